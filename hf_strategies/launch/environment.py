"""The environment variables by which ``hf-strategies run`` reaches every process that a program starts."""

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hf_strategies.errors import visible

__all__ = ["STARTUP", "environment_of", "flags_here", "note_trainer", "warn_of_no_trainer"]

STARTUP = Path(__file__).resolve().parent / "startup"
"""The folder that comes first on the path of Python in these processes."""

_FLAGS = "HF_STRATEGIES_RUN"
_NOTE = "HF_STRATEGIES_RUN_NOTE"
_ROOT = "HF_STRATEGIES_RUN_ROOT"


def environment_of(flags: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return ``environment`` with what the processes of a run need beside.

    ``flags`` are those of `ProgramArguments` as they stand on the command line. The process that is this one is the
    root of the run, which `warn_of_no_trainer` is for.
    """
    before = [folder for folder in environment.get("PYTHONPATH", "").split(os.pathsep) if folder != str(STARTUP)]
    path = os.pathsep.join([str(STARTUP), *(folder for folder in before if folder)])
    made = {**environment, "PYTHONPATH": path, _FLAGS: json.dumps(list(flags)), _NOTE: "", _ROOT: ""}
    if flags:
        descriptor, made[_NOTE] = tempfile.mkstemp(prefix="hf_strategies_run_")
        os.close(descriptor)
        made[_ROOT] = str(os.getpid())
    return made


def flags_here() -> list[str]:
    """Return the flags of the run that this process belongs to; none if it belongs to none."""
    return [str(flag) for flag in json.loads(os.environ.get(_FLAGS, "[]"))]


def note_trainer() -> None:
    """Note for `warn_of_no_trainer` that a process of this run has made a Trainer."""
    note = Path(os.environ.get(_NOTE, ""))
    if note.is_file():  # the root may have ended before its children
        note.write_text("made", encoding="utf-8")


def warn_of_no_trainer() -> None:
    """Print a line if no process of this run has made a Trainer that the flags reach; for the end of the root."""
    note = Path(os.environ.get(_NOTE, ""))
    made = not note.is_file() or bool(note.read_text(encoding="utf-8"))
    if note.is_file():
        note.unlink()
    if not made:
        print(
            f"warning: no Trainer was made, so that {visible(shlex.join(flags_here()))} had no effect",
            file=sys.stderr,
        )
