"""The one step of a resumed run that was over already."""

from torch import nn
from transformers import TrainerControl

from hf_strategies.pytorch.best_weights import BestWeights

__all__ = ["IdleStep"]


class IdleStep:
    """Undoes the step that the Trainer's loop makes before it looks whether to stop; neither saves nor evaluates.

    Parameters and buffers are copied when this is made, which is to be in `on_train_begin`.
    """

    def __init__(self, model: nn.Module) -> None:
        self._loaded = BestWeights(model)
        self._loaded.keep()

    def undo(self, control: TrainerControl) -> None:
        """Put everything back; for `on_step_end`."""
        self._loaded.restore()
        self.skip(control)

    def skip(self, control: TrainerControl) -> None:
        """Neither save nor evaluate; for `on_epoch_end`."""
        control.should_save = control.should_evaluate = False
