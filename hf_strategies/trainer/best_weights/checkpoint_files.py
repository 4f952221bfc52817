"""Files of weights that belong to each checkpoint of a training, and are read when a run resumes from it."""

import shutil
from pathlib import Path

from transformers import TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hf_strategies.trainer.best_weights.files import (
    DamagedFolders,
    SavedWeights,
    file_names,
    move_files,
    read_files,
    write_files,
)
from hf_strategies.trainer.checkpoint import resumed_folder
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["CheckpointFiles"]


class CheckpointFiles:
    """The files of ``weights`` in the checkpoints of one training; ``name`` is the common beginning of their names.

    A run can resume from a checkpoint as soon as the Trainer has written it, which is before `on_save`. So the files
    are written before, and wait in a folder beside the checkpoint until they are moved into it. A hyperparameter
    search saves in other folders, and its trials are never resumed: nothing is written. Every process has to call
    the methods.
    """

    def __init__(self, weights: SavedWeights, args: TrainingArguments, name: str) -> None:
        self._weights, self._args, self._name = weights, args, name
        self._written: int | None = None  # the step for whose checkpoint the files were written
        self._saved: int | None = None  # the step whose checkpoint has the files
        self._damaged = DamagedFolders()

    def read(self, state: TrainerState) -> bool:
        """Read the weights of the checkpoint from which training resumes; return whether they were there.

        The files are in that checkpoint, or wait beside it; the output folder may be another one. Files of another
        run are recognized by the log in their note.
        """
        folders = [self._checkpoint(state), self._pending(state)]
        if given := resumed_folder(self._args):
            folders = [given, self._pending(state, given.parent), *folders]
        for folder in dict.fromkeys(folders):
            if read_files(self._weights, folder, self._name, state.log_history, self._damaged):
                self._end_interrupted_save(state, folder)
                return True
        return False

    def describe_missing(self, state: TrainerState) -> str:
        """Return the part of a message that names the missing or damaged files."""
        if self._damaged.folders:
            return f"their file in {str(self._damaged.folders[0])!r} is damaged"
        files = " or ".join(repr(file) for file in file_names(self._weights, self._name).values())
        folder = resumed_folder(self._args) or self._checkpoint(state)
        return f"no {files} of this run lies in {str(folder)!r}"

    def write(self, state: TrainerState) -> None:
        """Write the files for the checkpoint of this step, before the Trainer writes it."""
        if state.is_hyper_param_search:
            return
        folder = self._pending(state)
        if self._args.should_save:
            for leftover in {*folder.parent.glob("waiting-*")} - {folder}:  # of a run that crashed
                shutil.rmtree(leftover, ignore_errors=True)
        write_files(self._weights, folder, self._name, state.log_history, self._args.should_save)
        self._written = state.global_step

    def move(self, state: TrainerState) -> None:
        """Move the files into the checkpoint of this step, if the Trainer has written one; for `on_save`."""
        has_files = self._saved == state.global_step != self._written
        if state.is_hyper_param_search or has_files:
            return
        if from_rank_zero(self._checkpoint(state).is_dir()):
            if self._written != state.global_step:
                self.write(state)
            target, is_main = self._checkpoint(state), self._args.should_save
            move_files(self._weights, self._pending(state), target, self._name, is_main)
            self._written, self._saved = None, state.global_step

    def _end_interrupted_save(self, state: TrainerState, folder: Path) -> None:
        """Move files that still wait for the checkpoint from which training resumes into that checkpoint.

        Otherwise the files for the next checkpoint would replace them. A process that is killed while it writes
        that one resumes from this one again, and needs them.
        """
        target = self._checkpoint(state)
        if folder == self._pending(state) and from_rank_zero(target.is_dir()):
            move_files(self._weights, folder, target, self._name, self._args.should_save)

    def _pending(self, state: TrainerState, output: Path | None = None) -> Path:
        """Return the folder of the files until their checkpoint is written.

        The Trainer does not upload a folder whose name begins with an underscore to the Hub.
        """
        return (output or Path(str(self._args.output_dir))) / f"_{self._name}" / f"waiting-{state.global_step}"

    def _checkpoint(self, state: TrainerState) -> Path:
        return Path(str(self._args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
