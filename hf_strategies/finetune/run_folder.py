"""The output folder of one run: its run, the process that writes into it, and how far that run has come.

All of it is in one file, `RUN_RECORD`. The main process writes it before anything else, so that whatever is found in
the folder later has an owner.
"""

import os
import re
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from hf_strategies.errors import StrategyError
from hf_strategies.files import read_json, write_json
from hf_strategies.finetune.arguments import RecipeArguments
from hf_strategies.finetune.checkpoints import numbered_checkpoints, step_of
from hf_strategies.finetune.command_line import is_main_process, notify
from hf_strategies.processes import Process
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["RUN_RECORD", "RunFolder", "on_rank_zero"]

RUN_RECORD = "_run.json"
"""The file of an output folder with the identity of its run; the Trainer uploads no file whose name begins so."""

_GUARD = "_run.lock"
_RESULTS = re.compile(
    r"(_)?((all|train|eval|test)_results|trainer_state|predictions|report|README|training|lr_finder|strategy_report)(?(1)\.tmp)\.(jsonl?|md|png|txt)"
    r"|training_args\.bin"
)
_MODEL = re.compile(
    r"(model|pytorch_model|adapter_model)[^/]*\.(safetensors|bin)(\.index\.json)?|(generation_|adapter_)?config\.json"
    r"|tokenizer(_config)?\.json|special_tokens_map\.json|added_tokens\.json|chat_template\.\w+"
)
_WAITING = re.compile(r"_best_weights-.+|_weight_average")
_RAW_MODEL = ("raw", "training_args.bin")  # the folder of `average_weights_keep_raw`, and a file that a model has


T = TypeVar("T")


def on_rank_zero(decide: Callable[[], T]) -> T:
    """Return what ``decide()`` returns in the first process, on every process; every process has to call this.

    A `StrategyError` that it raises there is raised on every process. So processes that share a folder agree, even
    if a process reads it while another writes.
    """
    outcome: tuple[T | None, str | None] = (None, None)
    if is_main_process():
        try:
            outcome = (decide(), None)
        except StrategyError as mistake:
            outcome = (None, str(mistake))
    value, mistaken = from_rank_zero(outcome)
    if mistaken is not None:
        raise StrategyError(mistaken)
    return value  # type: ignore[return-value]


class RunFolder:
    """An output folder and the record of its run; the methods that write are for the main process.

    >>> import tempfile
    >>> folder = RunFolder(tempfile.mkdtemp())
    >>> folder.run is None
    True
    >>> folder.begin(run=None)
    >>> RunFolder(folder.path).run == folder.run != None
    True
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._record = self._read()

    @property
    def run(self) -> str | None:
        """The identity of the run that the folder belongs to; None if no recipe has written into it."""
        run = self._record.get("run")
        return run if isinstance(run, str) else None

    @property
    def flags(self) -> dict[str, str]:
        """The fingerprint of each flag of the run's last command, as far as training depends on it."""
        flags = self._record.get("flags")
        return flags if isinstance(flags, dict) else {}

    @property
    def is_being_cleared(self) -> bool:
        """Whether a run was killed while it deleted what an older run had left."""
        return bool(self._record.get("clearing"))

    def has_trained(self, args: RecipeArguments) -> bool:
        """Whether the training that a resumed command asks for was done to its end, and its model was saved."""
        trained = self._record.get("trained")
        if not args.resumes or args.command is None or not isinstance(trained, dict):
            return False
        checkpoint = args.resume_from_checkpoint
        is_at_end = args.resumes == "last" or step_of(Path(str(checkpoint))) == trained.get("step")
        return is_at_end and trained.get("command") == args.command.training

    def has_finished(self, args: RecipeArguments) -> bool:
        """Whether all that a resumed command asks for was done."""
        return self.has_trained(args) and self._record.get("finished") == getattr(args.command, "whole", None)

    def refuse_other_process(self) -> None:
        """Raise `StrategyError` if another process is writing into the folder."""
        owner = Process.of(self._record.get("process"))
        if owner is None or owner == Process.this():
            return
        if owner.host != socket.gethostname():
            raise StrategyError(
                f"output_dir={str(self.path)!r} is in use by process {owner.number} on {owner.host}, since"
                f" {owner.since}: give another folder, or delete {str(self.path / RUN_RECORD)!r} if that run is over"
            )
        if owner.is_alive():
            raise StrategyError(
                f"output_dir={str(self.path)!r} is in use by process {owner.number}, since {owner.since}: wait until"
                " that run ends, or give another folder"
            )

    def begin(self, run: str | None, *, clear: bool = False, keep_model: bool = False) -> None:
        """Take the folder for this process, and for a ``run``; None gives it a new identity.

        With ``clear``, what an older run has left is deleted: its checkpoints, results, figures and model card, and
        its model too unless ``keep_model``. Files of other names stay. Raises `StrategyError` if another process is
        writing into the folder.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path / _GUARD):  # so that of two runs that begin together only one takes the folder
            self._record = self._read()
            self.refuse_other_process()
            self._report_takeover()
            identity = {"run": run or uuid.uuid4().hex} | ({"clearing": True} if clear else {})
            kept = self._record if run is not None and run == self.run else {}
            self._write({**kept, **identity, "process": Process.this().as_json()})
        if clear:
            self._delete_results(keep_model=keep_model)
            self.note(clearing=None)

    def note(self, **entries: Any) -> None:
        """Write entries into the record; None deletes one."""
        record = {**self._record, **entries}
        self._write({key: value for key, value in record.items() if value is not None})

    def forget_end(self) -> None:
        """Note that the run goes on, so that what it had reached at an earlier end holds no more."""
        if self._record.keys() & {"trained", "finished"}:
            self.note(trained=None, finished=None)

    def end(self) -> None:
        """Release the folder for other processes; a full disk does not keep a run from ending."""
        with suppress(OSError):
            self.note(process=None)

    def _report_takeover(self) -> None:
        owner = Process.of(self._record.get("process"))
        if owner is not None and owner != Process.this():
            notify(f"{str(self.path)!r} is taken over from process {owner.number}, which no longer runs")

    def _delete_results(self, *, keep_model: bool) -> None:
        for path in [*numbered_checkpoints(self.path), *self._of_older_run(keep_model=keep_model)]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _of_older_run(self, *, keep_model: bool) -> Iterator[Path]:
        """Yield what a recipe writes under names of its own, beside the checkpoints."""
        for path in self.path.iterdir():
            if path.is_dir():
                is_raw_model = path.name == _RAW_MODEL[0] and (path / _RAW_MODEL[1]).is_file()
                is_adapter = (path / "adapter_config.json").is_file()
                if _WAITING.fullmatch(path.name) or is_raw_model or is_adapter:
                    yield path
            elif _RESULTS.fullmatch(path.name) or (_MODEL.fullmatch(path.name) and not keep_model):
                yield path

    def _read(self) -> dict[str, Any]:
        record = read_json(self.path / RUN_RECORD)
        return record if isinstance(record, dict) else {}

    def _write(self, record: dict[str, Any]) -> None:
        write_json(self.path / RUN_RECORD, record)
        self._record = record
