"""The average of the weights of the hold, by which a `PlateauCooldown` judges the plateau."""

from collections.abc import Callable, Mapping
from typing import Any

from transformers import TrainerControl, TrainerState

from hf_strategies.averaging import Average
from hf_strategies.errors import StrategyError
from hf_strategies.trainer.callbacks.context import TrainerContext
from hf_strategies.trainer.callbacks.weight_averaging.run import AveragingRun
from hf_strategies.trainer.distributed import say

__all__ = ["HoldAverage"]


class HoldAverage:
    """The average of the weights from the end of the warmup to the last step of the hold.

    As long as the rate is held, evaluations are of the average. In the cooldown they are of the weights themselves,
    and the average stays as it was at the plateau.

    Args:
        average: the average.
        context: the Trainer.
        event: the keywords of `on_train_begin`.
        start_of_cooldown: returns the step at which the cooldown starts, as far as that is known.
    """

    def __init__(
        self,
        average: Average,
        context: TrainerContext,
        event: Mapping[str, Any],
        start_of_cooldown: Callable[[], int],
    ) -> None:
        if context.trainer is None:
            raise StrategyError(
                f"PlateauCooldown(average={str(average)!r}) evaluates the average in a Trainer: none is calling it"
            )
        self._start = start_of_cooldown
        self._run = AveragingRun(average, None, context.trainer, event, False, is_held=self.holds)
        if not context.trainer.state.global_step:
            say(context.trainer.state, f"While the rate is held, evaluations are of {self._run.words}.")

    def holds(self, step: int) -> bool:
        """Whether the rate is held up to ``step``, so that the average takes in its weights."""
        return step <= self._start()

    def stepped(self, state: TrainerState, control: TrainerControl) -> None:
        """Take in the weights after an optimizer step of the hold."""
        self._run.stepped(state.global_step)
        self.before_save(control)

    def before_save(self, control: TrainerControl) -> None:
        """Write the average for the checkpoint of this step, if there is one."""
        if control.should_save:
            self._run.before_save()

    def saved(self) -> None:
        """Move the average into the checkpoint that was written."""
        self._run.saved()

    def finish(self, state: TrainerState) -> None:
        """Leave the average in the model if training has ended in the hold; give the Trainer its methods back."""
        if self.holds(state.global_step):
            self._run.finish(None)
        self._run.close()
