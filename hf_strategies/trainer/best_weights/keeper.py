"""The best weights of one training: saved at the best evaluation, read again on resume, restored at the end."""

from typing import Any, Protocol, cast

from accelerate.state import PartialState
from accelerate.utils import DistributedType
from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.pytorch.best_weights import BestWeights
from hf_strategies.trainer.best_weights.checkpoint_files import CheckpointFiles
from hf_strategies.trainer.best_weights.files import everywhere
from hf_strategies.trainer.best_weights.on_disk import OnDisk
from hf_strategies.trainer.distributed import say

__all__ = ["WHERE", "BestKeeper", "read_where"]

_NOT_KEPT = "hf_strategies_not_kept"  # in the Trainer's state, by the name of the files


class BestKeeper:
    """The weights of the best evaluation of one training, for a callback that decides which evaluation is the best.

    The callback makes a keeper in `on_train_begin`. On every process it calls `resume` if the run is resumed,
    `evaluated` after each evaluation, `before_save` and `on_save` at the checkpoints, and `restore` to put the
    weights back, at the end of training or during it. This works on one device and under DDP, FSDP 2, DeepSpeed
    ZeRO-1, 2 and 3, `torch.compile` and PEFT. With `load_best_model_at_end`, the Trainer loads its own best weights
    before `on_train_end`, so that a `restore` in that event overwrites them.

    Args:
        model: the model, as the callback's events pass it.
        args: the Trainer's arguments.
        name: the name of the files, without an ending; different for each callback and each of its settings.
        where: ``"memory"`` for a CPU copy in each process (see `BestWeights`). For safety from a crash, each
            checkpoint that is not itself the best then has one more file of the weights' size, or one more per
            process if the weights are sharded. ``"disk"`` for a checkpoint of the Trainer (see `OnDisk`): it saves
            at each best evaluation, and `save_total_limit` does not delete that checkpoint.
        optimizer: the Trainer's optimizer if its state is to be saved and restored with the weights, else None.
        averaged: whether `WeightAveraging` puts an average into the model for each evaluation. The average is then
            what is saved, and no checkpoint holds it, so that each has the file.

    Raises `StrategyError` for weights that cannot be saved, and for an unknown ``where``.
    """

    step: int | None
    """The step of the evaluation whose weights are saved; None when none are saved."""

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        name: str,
        where: str = "memory",
        optimizer: Any = None,
        averaged: bool = False,
    ) -> None:
        where = read_where("where", where)
        if PartialState().distributed_type == DistributedType.MEGATRON_LM:
            raise StrategyError("best weights cannot be kept under Megatron-LM: set restore_best_weights=False")
        self._name, self._weights = name, BestWeights(model, optimizer)
        self._store = WHERE[where](self._weights, model, args, name, averaged)
        self.step = None

    def evaluated(self, state: TrainerState, control: TrainerControl, is_best: bool) -> None:
        """Save the current weights if this evaluation ``is_best`` so far; prepare the checkpoint if one follows.

        Weights that hold NaN or infinity are not saved, whatever their evaluation was.
        """
        if is_best and self._is_finite(state):
            self._store.keep(state, control)
            self.step = state.global_step
        if control.should_save and self.step is not None:
            self._store.before_save(state, self.step)

    def before_save(self, state: TrainerState, control: TrainerControl) -> None:
        """Write the files that the checkpoint of this step needs, if there is one; for `on_step_end`, `on_epoch_end`.

        A run can resume from a checkpoint already before `on_save`, so that the files have to be there earlier. If
        an evaluation is due first, `evaluated` writes them.
        """
        if control.should_save and not control.should_evaluate and self.step is not None:
            self._store.before_save(state, self.step)

    def resume(self, state: TrainerState, step: int, metric: str) -> bool:
        """Read the weights of the evaluation at ``step`` in a resumed run; return whether they are there.

        If they are not, a message with the ``metric``, such as ``"loss=0.5"``, is printed. If the weights of that
        evaluation were not finite, those that were kept in their place are read.
        """
        kept = self._not_kept(state).get(str(step), step)
        if kept is None:
            return False
        if self._store.resume(state, kept):
            self.step = kept
            return True
        say(
            state,
            f"The best weights so far ({metric} at step {step}) are lost:"
            f" {self._store.describe_missing(state, step)}."
            " What is restored is the best from here on, if it is better than that.",
        )
        return False

    def on_save(self, state: TrainerState) -> None:
        """Put the best weights into the checkpoint, or protect the checkpoint that holds them; for `on_save`."""
        if self.step is not None:
            self._store.on_save(state, self.step)

    def restore(self) -> bool:
        """Put the best weights back into the model, in place; return whether there were any."""
        return self.step is not None and self._store.restore(self.step)

    def _is_finite(self, state: TrainerState) -> bool:
        """Whether the weights are finite on every process; if they are not, print a message and record the step."""
        if everywhere(self._weights.is_finite()):
            return True
        earlier = self._not_kept(state)
        if not earlier:
            instead = "none are kept so far" if self.step is None else f"those of step {self.step} stay the best"
            say(
                state,
                f"The weights at step {state.global_step} hold NaN or infinity and are not kept, although their"
                f" evaluation is the best so far: {instead}.",
            )
        records = cast("dict[str, Any]", state.stateful_callbacks)
        records.setdefault(_NOT_KEPT, {})[self._name] = {**earlier, str(state.global_step): self.step}
        return False

    def _not_kept(self, state: TrainerState) -> dict[str, int | None]:
        """Return for each best evaluation without finite weights the step of the weights that were kept instead.

        This is in the Trainer's state, and so in each checkpoint.
        """
        records = cast("dict[str, Any]", state.stateful_callbacks)
        return cast("dict[str, int | None]", records.get(_NOT_KEPT, {}).get(self._name, {}))


class _Store(Protocol):
    """A place for the best weights; ``step`` is the step of the best evaluation."""

    def __init__(
        self, weights: BestWeights, model: nn.Module, args: TrainingArguments, name: str, averaged: bool
    ) -> None: ...
    def keep(self, state: TrainerState, control: TrainerControl) -> None: ...
    def resume(self, state: TrainerState, step: int) -> bool: ...
    def describe_missing(self, state: TrainerState, step: int) -> str: ...
    def before_save(self, state: TrainerState, step: int) -> None: ...
    def on_save(self, state: TrainerState, step: int) -> None: ...
    def restore(self, step: int) -> bool: ...


class InMemory:
    """The best weights in CPU memory, and in a file of each checkpoint that is not itself the best."""

    def __init__(
        self, weights: BestWeights, model: nn.Module, args: TrainingArguments, name: str, averaged: bool
    ) -> None:
        self._weights, self._averaged = weights, averaged
        self._files = CheckpointFiles(weights, args, name)

    def keep(self, state: TrainerState, control: TrainerControl) -> None:
        """Copy the weights."""
        self._weights.keep()

    def resume(self, state: TrainerState, step: int) -> bool:
        """Copy the weights from the model if the checkpoint is the best, else read them from its files."""
        if self._is_checkpoint(state, step):
            self._weights.keep()
            return True
        return self._files.read(state)

    def describe_missing(self, state: TrainerState, step: int) -> str:
        """Return the part of the message that names the missing or damaged files."""
        return self._files.describe_missing(state)

    def before_save(self, state: TrainerState, step: int) -> None:
        """Write the weights for a checkpoint that is not itself the best, before the Trainer writes it."""
        if not self._is_checkpoint(state, step):
            self._files.write(state)

    def on_save(self, state: TrainerState, step: int) -> None:
        """Move the files into the checkpoint."""
        if not self._is_checkpoint(state, step):
            self._files.move(state)

    def restore(self, step: int) -> bool:
        """Copy the weights back into the model; return True."""
        self._weights.restore()
        return True

    def _is_checkpoint(self, state: TrainerState, step: int) -> bool:
        """Whether the checkpoint of this step has the best weights; averaged weights are in no checkpoint."""
        return step == state.global_step and not self._averaged


WHERE: dict[str, type[_Store]] = {"memory": InMemory, "disk": OnDisk}
"""The places where the best weights can be saved."""


def read_where(name: str, value: object) -> str:
    """Return ``value`` if it is a key of `WHERE`, else raise `StrategyError`; ``name`` is the argument's name."""
    if not isinstance(value, str) or value not in WHERE:
        raise StrategyError(f"{name}={value!r} is no place for the best weights: {did_you_mean(str(value), WHERE)}")
    return value
