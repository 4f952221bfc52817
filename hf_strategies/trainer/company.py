"""Callbacks that would get into each other's way."""

from transformers import Trainer, TrainerCallback

from hf_strategies.errors import StrategyError

__all__ = ["refuse_other_restorer"]


def refuse_other_restorer(trainer: Trainer | None, callback: TrainerCallback, kind: type[TrainerCallback]) -> None:
    """Raise `StrategyError` if another callback, of a kind, restores its best weights over those of ``callback``.

    Those that restore have the name of what they restore in ``restores``; two of the same name agree.
    """
    own = getattr(callback, "restores", None)
    for other in trainer.callback_handler.callbacks if trainer and own else ():
        if isinstance(other, kind) and getattr(other, "restores", None) not in (None, own):
            raise StrategyError(
                f"{type(callback).__name__} and {type(other).__name__} would both restore weights, of different best"
                " evaluations: set restore_best_weights=False on one"
            )
