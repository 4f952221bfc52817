"""What a cooldown cannot work with: other callbacks, and evaluation sets that have no such loss."""

from transformers import EarlyStoppingCallback, Trainer, TrainerCallback

from hf_strategies.errors import StrategyError
from hf_strategies.stopping.condition import calls
from hf_strategies.trainer.early_stopping import EarlyStopping
from hf_strategies.trainer.plateau import ReduceOnPlateau

__all__ = ["refuse_company", "refuse_sets"]

# They stop a run for good, not because it has stalled: there is nothing to cool down, or no time for it.
_SAFETY = {"divergence", "target", "time_budget", "flop_budget", "token_budget"}


def refuse_company(trainer: Trainer | None, callback: TrainerCallback) -> None:
    """Raise `StrategyError` for another callback that would lower the rate, or end training, at a plateau too."""
    for other in trainer.callback_handler.callbacks if trainer else ():
        if other is not callback and type(other) is type(callback):
            raise StrategyError("there are two PlateauCooldown callbacks: leave one out")
        if isinstance(other, ReduceOnPlateau):
            raise StrategyError(
                "ReduceOnPlateau beside PlateauCooldown would lower the rate at the same plateaus: leave it out, and"
                " take PlateauCooldown(stages=..., factor=...) to lower it before the cooldown"
            )
        if isinstance(other, EarlyStoppingCallback) or (isinstance(other, EarlyStopping) and _waits(other)):
            raise StrategyError(
                f"{type(other).__name__} beside PlateauCooldown would end training where the cooldown starts, or in"
                " it: leave it out, PlateauCooldown stops by itself"
            )


def refuse_sets(trainer: Trainer | None, monitor: str) -> None:
    """Raise `StrategyError` if there are several evaluation sets, none of whose losses is called ``eval_loss``."""
    if trainer is not None and isinstance(trainer.eval_dataset, dict):
        raise StrategyError(
            f"PlateauCooldown({monitor!r}) watches 'eval_loss' too, which several evaluation sets do not have: say"
            " when it stalls, by patience=2, or by stop_when with a loss of one of them, such as"
            f" \"patience(2) and patience(2, monitor='{next(iter(trainer.eval_dataset), 'set')}_loss')\""
        )


def _waits(other: EarlyStopping) -> bool:
    return any(call.criterion.name not in _SAFETY for call in calls(other.rule.condition))
