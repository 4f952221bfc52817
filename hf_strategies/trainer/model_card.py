"""The section on strategy in the model cards that the Trainer writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import Trainer

__all__ = ["add_to_card", "put_on_card"]

_TITLE = "## Training strategy"


def put_on_card(trainer: Trainer, key: str, line: str) -> None:
    """Have each model card that the Trainer writes from now on end with ``line``.

    The Trainer writes it anew, and uploads it, in `push_to_hub` and `create_model_card`, where no event is left to
    add to it: so that method of this one Trainer is wrapped, whichever subclass it comes from. A second line under
    the same ``key``, that of a record in `state.stateful_callbacks`, takes the place of the first.
    """
    lines = getattr(trainer.create_model_card, "strategy_lines", None)
    if lines is None:
        lines = _wrap(trainer)
    lines[key] = line


def add_to_card(file: Path, lines: Sequence[str]) -> None:
    """Add lines to the strategy section at the end of a model card, which is begun if there is none."""
    text = file.read_text(encoding="utf-8").rstrip()
    begun = text if _TITLE in text else f"{text}\n\n{_TITLE}\n"
    file.write_text("\n".join([begun, *(f"- {line}" for line in lines), ""]), encoding="utf-8")


def _wrap(trainer: Trainer) -> dict[str, str]:
    write, lines = trainer.create_model_card, dict[str, str]()

    def create_model_card(*args: Any, **kwargs: Any) -> None:
        write(*args, **kwargs)
        file = Path(str(trainer.args.output_dir)) / "README.md"
        # What has no record in the state is of an earlier training, by a callback that is gone.
        records: Any = trainer.state.stateful_callbacks
        said = [line for key, line in lines.items() if key in records]
        if trainer.is_world_process_zero() and said and file.is_file():
            add_to_card(file, said)

    create_model_card.strategy_lines = lines  # type: ignore[attr-defined]
    trainer.create_model_card = create_model_card  # type: ignore[method-assign]
    return lines
