"""What happens in a process of ``hf-strategies run`` when it imports transformers."""

import os
import sys
from types import TracebackType

import hf_strategies.trainer  # noqa: F401  importing it registers the names
from hf_strategies.errors import StrategyError, visible
from hf_strategies.launch.environment import flags_here, note_trainer
from hf_strategies.launch.strategy_flags import read_strategy
from hf_strategies.trainer.every_trainer import apply_to_every_trainer

__all__ = ["activate"]


def activate() -> None:
    """Add what the flags of the run ask for to every Trainer, and print a `StrategyError` as one line."""
    apply_to_every_trainer(read_strategy(flags_here()), note_trainer)
    hook = sys.excepthook

    def one_line(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not isinstance(error, StrategyError):
            hook(kind, error, traceback)
            return
        rank = os.environ.get("RANK", "0")
        print(visible(f"error: {error}") + (f" (process {rank})" if rank != "0" else ""), file=sys.stderr)
        sys.exit(2)  # Python ends with the exit code of a hook that exits

    sys.excepthook = one_line
