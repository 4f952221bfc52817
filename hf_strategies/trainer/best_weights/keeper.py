"""The best weights of one training: kept at the best evaluation, found again on resume, put back when asked."""

import shutil
from pathlib import Path
from typing import Any, Protocol

from accelerate.state import PartialState
from accelerate.utils import DistributedType
from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.pytorch.best_weights import BestWeights
from hf_strategies.trainer.best_weights.files import file_names, move_files, read_files, write_files
from hf_strategies.trainer.best_weights.on_disk import OnDisk
from hf_strategies.trainer.console import say
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["WHERE", "BestKeeper", "read_where"]


class BestKeeper:
    """Keeps the weights of the best evaluation of one training, for a callback that says which that is.

    The callback makes one in `on_train_begin` and calls, on every process: `find` when the run is a resumed one,
    `evaluated` after each evaluation, `on_save` from its own, and `restore` whenever it wants them back, at the
    end or in mid-training. They are right on one device, under DDP, FSDP 2, DeepSpeed ZeRO-1, 2 and 3,
    `torch.compile` and PEFT. With `load_best_model_at_end` too, what the Trainer loads is overwritten: it loads
    before `on_train_end`.

    Args:
        model: the model of the callback's events.
        args: the Trainer's arguments.
        name: what its files are called, without an ending; one per callback and setting.
        where: ``"memory"`` for a CPU copy in each process (see `BestWeights`) and, for safety from a crash, one
            more file of the weights' size in each checkpoint that is not itself the best: of sharded weights one
            per process. ``"disk"`` for the Trainer's own checkpoints (see `OnDisk`): it saves at each best
            evaluation, and that checkpoint is kept from `save_total_limit`.
        optimizer: the Trainer's optimizer, when its state shall be kept and put back together with the weights.

    Raises `StrategyError` for weights that it cannot keep, and for an unknown ``where``.
    """

    step: int | None
    """The step of the evaluation whose weights are kept; None when there are none."""

    def __init__(
        self, model: nn.Module, args: TrainingArguments, name: str, where: str = "memory", optimizer: Any = None
    ) -> None:
        where = read_where("where", where)
        if PartialState().distributed_type == DistributedType.MEGATRON_LM:
            raise StrategyError("best weights cannot be kept under Megatron-LM: set restore_best_weights=False")
        self._store = WHERE[where](BestWeights(model, optimizer), model, args, name)
        self.step = None

    def evaluated(self, state: TrainerState, control: TrainerControl, is_best: bool) -> None:
        """Keep the weights as they are now if they are the best so far."""
        if is_best:
            self._store.keep(state, control)
            self.step = state.global_step
        if control.should_save and self.step is not None:
            self._store.before_save(state, self.step)

    def before_save(self, state: TrainerState, control: TrainerControl) -> None:
        """Write what the checkpoint of this step will need, if there is one; for `on_step_end` and `on_epoch_end`.

        A checkpoint is complete, to whoever resumes, before `on_save`. An evaluation comes first and does the same.
        """
        if control.should_save and not control.should_evaluate and self.step is not None:
            self._store.before_save(state, self.step)

    def find(self, state: TrainerState, step: int, what: str) -> bool:
        """On resume, take up the weights of the evaluation at ``step``; say so, with ``what``, if they are lost."""
        if self._store.find(state, step):
            self.step = step
            return True
        say(
            state,
            f"The best weights so far ({what} at step {step}) are lost: {self._store.missing(state, step)}. What is"
            " restored is the best from here on, if it is better than that.",
        )
        return False

    def on_save(self, state: TrainerState) -> None:
        """Make the best weights safe from a crash."""
        if self.step is not None:
            self._store.on_save(state, self.step)

    def restore(self) -> bool:
        """Put the best weights back into the model, in place; False when none are kept."""
        return self.step is not None and self._store.restore(self.step)


class _Store(Protocol):
    def __init__(self, weights: BestWeights, model: nn.Module, args: TrainingArguments, name: str) -> None: ...
    def keep(self, state: TrainerState, control: TrainerControl) -> None: ...
    def find(self, state: TrainerState, step: int) -> bool: ...
    def missing(self, state: TrainerState, step: int) -> str: ...
    def before_save(self, state: TrainerState, step: int) -> None: ...
    def on_save(self, state: TrainerState, step: int) -> None: ...
    def restore(self, step: int) -> bool: ...


class InMemory:
    """The best weights in CPU memory, and beside each checkpoint that is not itself the best."""

    def __init__(self, weights: BestWeights, model: nn.Module, args: TrainingArguments, name: str) -> None:
        self._weights, self._args, self._name = weights, args, name
        self._written: int | None = None  # the step whose checkpoint they were written for

    def keep(self, state: TrainerState, control: TrainerControl) -> None:
        """Copy the weights."""
        self._weights.keep()

    def find(self, state: TrainerState, step: int) -> bool:
        """Copy them from the model if they are what was loaded, or read them from the checkpoint.

        That is in the output folder, or where the arguments say that training resumes from; another run's file is
        told by its note of the log.
        """
        if step == state.global_step:
            self._weights.keep()
            return True
        # The Trainer does not tell where it resumes from; another run's checkpoint may lie in the first place.
        given = Path(str(self._args.resume_from_checkpoint))
        folders = [self._checkpoint(state), self._waiting(state), given, self._waiting(state, given.parent)]
        return any(read_files(self._weights, folder, self._name, state.log_history) for folder in folders)

    def missing(self, state: TrainerState, step: int) -> str:
        """Tell what `find` did not find."""
        files = " or ".join(repr(file) for file in file_names(self._weights, self._name).values())
        return f"no {files} of this run lies in {str(self._checkpoint(state))!r}"

    def before_save(self, state: TrainerState, step: int) -> None:
        """Write the weights for a checkpoint that is not itself the best, and is not there yet."""
        # A hyperparameter search saves elsewhere, and its trials are not resumed.
        if step == state.global_step or state.is_hyper_param_search:
            return
        folder = self._waiting(state)
        if self._args.should_save:
            for other in {*folder.parent.glob("waiting-*")} - {folder}:  # of a crash
                shutil.rmtree(other, ignore_errors=True)
        write_files(self._weights, folder, self._name, state.log_history, self._args.should_save)
        self._written = state.global_step

    def on_save(self, state: TrainerState, step: int) -> None:
        """Put them into the checkpoint."""
        if step == state.global_step or state.is_hyper_param_search:
            return
        if from_rank_zero(self._checkpoint(state).is_dir()):
            if self._written != state.global_step:
                self.before_save(state, step)
            target, is_main = self._checkpoint(state), self._args.should_save
            move_files(self._weights, self._waiting(state), target, self._name, is_main)
            self._written = None

    def restore(self, step: int) -> bool:
        """Copy the weights back."""
        self._weights.restore()
        return True

    def _waiting(self, state: TrainerState, output: Path | None = None) -> Path:
        """Where the files are until their checkpoint is there; the underscore keeps them off the Hub."""
        return (output or Path(str(self._args.output_dir))) / f"_{self._name}" / f"waiting-{state.global_step}"

    def _checkpoint(self, state: TrainerState) -> Path:
        return Path(str(self._args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"


WHERE: dict[str, type[_Store]] = {"memory": InMemory, "disk": OnDisk}
"""Where the best weights can be kept."""


def read_where(name: str, value: object) -> str:
    """Check where the best weights are to be kept; ``name`` is the argument's name, for the message."""
    if not isinstance(value, str) or value not in WHERE:
        raise StrategyError(f"{name}={value!r} is no place for the best weights: {did_you_mean(str(value), WHERE)}")
    return value
