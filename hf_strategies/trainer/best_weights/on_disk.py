"""The best weights as a checkpoint of the Trainer's, kept from deletion."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from accelerate.state import PartialState
from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, SaveStrategy

from hf_strategies.errors import StrategyError
from hf_strategies.pytorch.best_weights import BestWeights
from hf_strategies.trainer.best_weights.checkpoint_weights import SavedModel
from hf_strategies.trainer.best_weights.files import everywhere, fingerprint, read_files, write_files
from hf_strategies.trainer.console import say
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["OnDisk"]


class OnDisk:
    """The best weights on disk: the Trainer saves at each best evaluation, and that checkpoint is kept.

    It is kept as ``<output_dir>/_<name>/checkpoint-<step>`` (what begins with an underscore is not pushed to the
    Hub), made of hard links to the files of the Trainer's checkpoint: that costs nothing while that one exists,
    and `save_total_limit` may delete it. Where a file system has no hard links, they are copies. It is a whole
    checkpoint, to load with `from_pretrained` or to resume from. The one of the best before is deleted.

    `state.best_model_checkpoint`, with which the Trainer protects a checkpoint, is left to the Trainer: it
    overwrites it with its own best, and with ``save_total_limit=1`` deletes all others at the end of training.

    Cost: a checkpoint is written at each best evaluation, with the optimizer's state unless `save_only_model`,
    and one more is kept at a time. No memory, where what the Trainer saves holds all weights under their names.
    Where it does not (sharded weights, PEFT, whose checkpoints lack buffers, models that transformers saves under
    other names, an optimizer to keep), one more file per process is written into it, through CPU memory. That file
    is in the Trainer's own checkpoint too: when training resumes from before a later best, it is found there.

    Raises `StrategyError` with ``save_strategy="best"``, which overrides the request to save, with
    `eval_on_start`, at which the Trainer cannot save, and when it saves elsewhere, as in a search.
    """

    def __init__(self, weights: BestWeights, model: nn.Module, args: TrainingArguments, name: str) -> None:
        if args.save_strategy == SaveStrategy.BEST:
            raise StrategyError(
                "best weights on disk with save_strategy='best' are not saved when metric_for_best_model thinks"
                " otherwise: set save_strategy='no', 'steps' or 'epoch', or keep them in memory"
            )
        if args.eval_on_start:
            raise StrategyError("best weights on disk with eval_on_start=True cannot be saved: keep them in memory")
        self._weights, self._model, self._args, self._name = weights, model, args, name
        self._folder: Path | None = None  # where they are
        self._state: TrainerState | None = None  # of the training whose weights are kept

    def keep(self, state: TrainerState, control: TrainerControl) -> None:
        """Have the Trainer save."""
        control.should_save = True
        self._folder, self._state = None, state

    def before_save(self, state: TrainerState, step: int) -> None:
        """Write nothing: on resume the weights are read from the Trainer's own checkpoint."""

    def on_save(self, state: TrainerState, step: int) -> None:
        """Keep the checkpoint if it is the best."""
        if step != state.global_step or self._folder is not None:
            return
        process = PartialState()
        process.wait_for_everyone()  # each writes its random state
        source, target = self._saved(step), self._kept(step)
        if not from_rank_zero(source.is_dir()):
            raise StrategyError(
                f"best weights on disk: the Trainer does not save in {str(source)!r}: keep them in memory"
            )
        _refuse_unseen(source)
        if not everywhere(SavedModel(source).holds(self._model, self._weights)):
            # Into the Trainer's own: the clone is deleted when a better one comes, and a run that is resumed from
            # before that looks for this one again.
            self._add_files(source)
        process.wait_for_everyone()
        self._clone(source, target)
        if self._args.should_save:
            _delete_all_but(target)
        self._folder = target

    def find(self, state: TrainerState, step: int) -> bool:
        """Find the kept checkpoint; make one if the weights are those that were loaded."""
        target = self._kept(step)
        # Or where training resumes from; or the Trainer's own, when a later best was kept in its place since.
        resumed = Path(str(self._args.resume_from_checkpoint)).parent / target.parent.name / target.name
        for folder in (target, resumed, self._saved(step)):
            if from_rank_zero(_is_of_run(folder, state)) and self._is_complete(folder):
                if folder == self._saved(step):
                    self._clone(folder, target)
                self._folder = target if folder == self._saved(step) else folder
                return True
        if step != state.global_step:
            return False
        if self._args.should_save:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            state.save_to_json(str(target / TRAINER_STATE_NAME))
        PartialState().wait_for_everyone()
        self._add_files(target)
        self._folder = target
        return True

    def missing(self, state: TrainerState, step: int) -> str:
        """Tell what `find` did not find."""
        return f"no checkpoint of this run lies in {str(self._kept(step))!r}"

    def restore(self, step: int) -> bool:
        """Read the weights into the model; False, with a warning, if they were not saved."""
        if self._folder is None:
            if self._state:
                say(
                    self._state, f"The best weights, of step {step}, are not restored: the Trainer did not save them."
                )
            return False
        saved = SavedModel(self._folder)
        if everywhere(saved.holds(self._model, self._weights)):
            saved.read_into(self._model, self._weights)
        elif read_files(self._weights, self._folder, self._name, _history(self._folder)):
            self._weights.restore()
            self._weights.drop()
        else:
            raise StrategyError(f"the best weights, of step {step}, are no longer in {str(self._folder)!r}")
        return True

    def _saved(self, step: int) -> Path:
        return Path(str(self._args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{step}"

    def _kept(self, step: int) -> Path:
        return Path(str(self._args.output_dir)) / f"_{self._name}" / f"{PREFIX_CHECKPOINT_DIR}-{step}"

    def _clone(self, source: Path, target: Path) -> None:
        if self._args.should_save:
            _clone(source, target)
        PartialState().wait_for_everyone()
        _refuse_unseen(target)

    def _is_complete(self, folder: Path) -> bool:
        if everywhere(SavedModel(folder).holds(self._model, self._weights)):
            return True
        found = read_files(self._weights, folder, self._name, _history(folder))
        self._weights.drop()
        return found

    def _add_files(self, folder: Path) -> None:
        self._weights.keep()
        write_files(self._weights, folder, self._name, _history(folder), self._args.should_save)
        self._weights.drop()


def _refuse_unseen(folder: Path) -> None:
    if not everywhere(folder.is_dir()):
        raise StrategyError(
            f"best weights on disk: not every process sees {str(folder)!r}: set save_on_each_node=True, or an"
            " output_dir that all nodes share"
        )


def _history(folder: Path) -> list[dict[str, Any]]:
    state = json.loads((folder / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    return list(state["log_history"])


def _is_of_run(folder: Path, state: TrainerState) -> bool:
    """Whether the log of the checkpoint is how the one of the run began."""
    if not (folder / TRAINER_STATE_NAME).is_file():
        return False
    log = _history(folder)
    return fingerprint(log) == fingerprint(state.log_history[: len(log)])


def _clone(source: Path, target: Path) -> None:
    """Make a folder of links to the files of another, whole or not at all."""
    unfinished = target.with_name(f"{target.name}.tmp")
    for old in (unfinished, target):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(source, unfinished, copy_function=_link)
    os.replace(unfinished, target)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def _delete_all_but(folder: Path) -> None:
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
