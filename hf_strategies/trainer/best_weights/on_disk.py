"""The best weights as a checkpoint of the Trainer, protected from deletion."""

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
from hf_strategies.trainer.best_weights.files import (
    CheckpointWeights,
    DamagedFolders,
    everywhere,
    fingerprint,
    read_files,
    write_files,
)
from hf_strategies.trainer.checkpoint import resumed_folder
from hf_strategies.trainer.distributed import from_rank_zero, say

__all__ = ["OnDisk"]


class OnDisk:
    """The best weights on disk: a protected copy of the checkpoint that the Trainer saves at each best evaluation.

    The copy is the folder ``<output_dir>/_<name>/checkpoint-<step>``; the Trainer does not upload a folder whose name
    begins with an underscore to the Hub. It consists of hard links to the files of the Trainer's checkpoint. So it
    takes no space while that checkpoint exists, and it stays when `save_total_limit` deletes that checkpoint. On a
    file system without hard links the files are copied. The copy is a whole checkpoint: `from_pretrained` can load
    it, and training can resume from it. The copy of the previous best checkpoint is deleted.

    The Trainer protects a checkpoint itself if `state.best_model_checkpoint` names it. This class does not set that
    field, because the Trainer overwrites it with its own best checkpoint, and with ``save_total_limit=1`` deletes all
    others at the end of training.

    Cost: a checkpoint is written at each best evaluation (with the optimizer's state unless `save_only_model`), and
    one more checkpoint is on disk at a time. No memory is needed if the Trainer's checkpoint holds all weights under
    their names. It does not for sharded weights, for PEFT (whose checkpoints lack buffers), for models that
    transformers saves under other names, and with an optimizer whose state is to be restored. Then each process
    writes one more file, through CPU memory. That file is in the Trainer's own checkpoint too, for a run that resumes
    from a step before a later best evaluation, which has replaced the copy.

    Raises `StrategyError` with ``save_strategy="best"``, which overrides the request to save; with `eval_on_start`,
    when the Trainer cannot save; with averaged weights, which no checkpoint holds; and when the Trainer saves in
    another folder, as in a hyperparameter search.
    """

    def __init__(
        self, weights: BestWeights, model: nn.Module, args: TrainingArguments, name: str, averaged: bool
    ) -> None:
        if averaged:
            raise StrategyError(
                "best weights on disk are the Trainer's checkpoints, which hold the raw weights, and WeightAveraging"
                " evaluates their average: keep them in memory, by weights_in='memory'"
            )
        if args.save_strategy == SaveStrategy.BEST:
            raise StrategyError(
                "best weights on disk with save_strategy='best' are not saved when metric_for_best_model thinks"
                " otherwise: set save_strategy='no', 'steps' or 'epoch', or keep them in memory"
            )
        if args.eval_on_start:
            raise StrategyError("best weights on disk with eval_on_start=True cannot be saved: keep them in memory")
        self._weights, self._model, self._args, self._name = weights, model, args, name
        self._damaged = DamagedFolders()
        self._folder: Path | None = None  # the checkpoint with the best weights, once it is written
        self._state: TrainerState | None = None  # the state of the training, once it has best weights

    def keep(self, state: TrainerState, control: TrainerControl) -> None:
        """Ask the Trainer to save a checkpoint."""
        control.should_save = True
        self._folder, self._state = None, state

    def before_save(self, state: TrainerState, step: int) -> None:
        """Do nothing: a resumed run reads the weights from the Trainer's checkpoint."""

    def on_save(self, state: TrainerState, step: int) -> None:
        """Copy the checkpoint just written if it is the best."""
        if step != state.global_step or self._folder is not None:
            return
        process = PartialState()
        process.wait_for_everyone()  # every process writes the state of its random numbers into the checkpoint
        source, target = self._checkpoint(step), self._copy(step)
        if not from_rank_zero(source.is_dir()):
            raise StrategyError(
                f"best weights on disk: the Trainer does not save in {str(source)!r}: keep them in memory"
            )
        _check_visible(source)
        if not everywhere(CheckpointWeights(source).holds(self._model, self._weights)):
            # The files go into the Trainer's checkpoint, because the copy is deleted at a better evaluation. A run
            # that resumes from a step before that evaluation needs this checkpoint again.
            self._add_files(source)
        process.wait_for_everyone()
        self._copy_checkpoint(source, target)
        if self._args.should_save:
            _delete_all_but(target)
        self._folder = target

    def resume(self, state: TrainerState, step: int) -> bool:
        """Use the checkpoint of the best evaluation, or write one if the model has just loaded the best weights."""
        self._state = state
        target = self._copy(step).resolve()
        # The copy is beside the checkpoint from which training resumes, and the output folder may be another one. If
        # a later best evaluation has replaced the copy, the Trainer's own checkpoint may still be there.
        given = resumed_folder(self._args)
        own = Path(str(self._args.output_dir)).resolve()
        outputs = dict.fromkeys([given.resolve().parent, own] if given else [own])
        folders = [self._copy(step, output) for output in outputs]
        folders += [self._checkpoint(step, output) for output in outputs]
        for folder in folders:
            if self._is_of_run(folder, state) and self._is_complete(folder):
                if folder != target:
                    self._copy_checkpoint(folder, target)
                self._folder = target
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

    def describe_missing(self, state: TrainerState, step: int) -> str:
        """Return the part of the message that names the missing or damaged checkpoint."""
        if self._damaged.folders:
            return f"their checkpoint {str(self._damaged.folders[0])!r} is damaged"
        return f"no checkpoint of this run lies in {str(self._copy(step))!r}"

    def restore(self, step: int) -> bool:
        """Read the weights into the model; return False, with a message, if the Trainer did not save them."""
        state, folder = self._state, self._folder
        if state is None:
            return False
        if folder is None:
            say(state, f"The best weights, of step {step}, are not restored: the Trainer did not save them.")
            return False
        if self._holds(folder):
            CheckpointWeights(folder).read_into(self._model, self._weights)
        elif self._reads_files(folder):
            self._weights.restore()
            self._weights.drop()
        else:
            say(
                state,
                f"The best weights, of step {step}, are not restored: {str(folder)!r} lacks them or is damaged.",
            )
            return False
        return True

    def _checkpoint(self, step: int, output: Path | None = None) -> Path:
        """Return the folder of the Trainer's checkpoint; ``output`` is another output folder than this run's."""
        return (output or Path(str(self._args.output_dir))) / f"{PREFIX_CHECKPOINT_DIR}-{step}"

    def _copy(self, step: int, output: Path | None = None) -> Path:
        """Return the folder of the protected copy; ``output`` is another output folder than this run's."""
        output = output or Path(str(self._args.output_dir))
        return output / f"_{self._name}" / f"{PREFIX_CHECKPOINT_DIR}-{step}"

    def _copy_checkpoint(self, source: Path, target: Path) -> None:
        if self._args.should_save:
            _link_folder(source, target)
        PartialState().wait_for_everyone()
        _check_visible(target)

    def _is_complete(self, folder: Path) -> bool:
        """Whether the folder has all of the weights, in the Trainer's files or in ours."""
        if self._holds(folder):
            return True
        was_read = self._reads_files(folder)
        self._weights.drop()
        return was_read

    def _holds(self, folder: Path) -> bool:
        """Whether the Trainer's files in the folder have all of the weights, on every process."""
        here = self._damaged.catch(folder, lambda: CheckpointWeights(folder).holds(self._model, self._weights))
        return everywhere(here)

    def _reads_files(self, folder: Path) -> bool:
        """Read our files in the folder; return whether all of the weights were read, on every process."""
        has_log = self._damaged.catch(folder, lambda: bool(_log_history(folder)))
        if not everywhere(has_log):
            return False
        return read_files(self._weights, folder, self._name, _log_history(folder), self._damaged)

    def _is_of_run(self, folder: Path, state: TrainerState) -> bool:
        """Whether the run's log begins with the log in the checkpoint, as the first process reads it."""
        return from_rank_zero(self._damaged.catch(folder, lambda: _is_of_run(folder, state)))

    def _add_files(self, folder: Path) -> None:
        """Write the current weights into the folder, in files of ours."""
        self._weights.keep()
        write_files(self._weights, folder, self._name, _log_history(folder), self._args.should_save)
        self._weights.drop()


def _check_visible(folder: Path) -> None:
    """Raise `StrategyError` if a process does not see the folder."""
    if not everywhere(folder.is_dir()):
        raise StrategyError(
            f"best weights on disk: not every process sees {str(folder)!r}: set save_on_each_node=True, or an"
            " output_dir that all nodes share"
        )


def _log_history(folder: Path) -> list[dict[str, Any]]:
    """Return the log in a checkpoint."""
    state = json.loads((folder / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    return list(state["log_history"])


def _is_of_run(folder: Path, state: TrainerState) -> bool:
    """Whether the run's log begins with the log in the checkpoint."""
    if not (folder / TRAINER_STATE_NAME).is_file():
        return False
    log = _log_history(folder)
    return fingerprint(log) == fingerprint(state.log_history[: len(log)])


def _link_folder(source: Path, target: Path) -> None:
    """Make ``target`` a folder of hard links to the files in ``source``; a crash leaves no incomplete ``target``."""
    unfinished = target.with_name(f"{target.name}.tmp")
    for old in (unfinished, target):
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(source, unfinished, copy_function=_link_file)
    os.replace(unfinished, target)


def _link_file(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # the folders are on different file systems, or the file system has no hard links
        shutil.copy2(source, target)


def _delete_all_but(folder: Path) -> None:
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
