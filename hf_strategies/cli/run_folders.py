"""The runs that a user names on the command line: where the state of each lies, and what it holds."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_strategies.errors import StrategyError, visible
from hf_strategies.stopping.replay.runs import PastRun

__all__ = ["read_runs", "read_state", "refuse_twins", "report_file", "state_file"]

_STATE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def read_runs(paths: Sequence[str]) -> list[PastRun]:
    """Read a run for each path: a `trainer_state.json`, or the folder of a run or a checkpoint.

    Raises `StrategyError` for a path that holds no such file, and for two that hold the same run.
    """
    runs = [PastRun.of_state(visible(path), read_state(path, state_file(path))) for path in paths]
    refuse_twins(runs)
    return runs


def state_file(given: str) -> Path:
    """Return the file to read for a path.

    For a folder, this is its own state, or the state of its newest checkpoint if that has more steps.
    """
    if not given:
        raise StrategyError("RUN='' is empty: give a trainer_state.json or the folder of a run")
    path = Path(given)
    if not os.path.exists(path):  # Path.exists() raises for a name that is too long
        raise StrategyError(f"{path}: there is no such file or folder: give a {_STATE} or the folder of a run")
    if path.is_file():
        return path
    if not path.is_dir():  # a pipe or a device, which may never end
        raise StrategyError(f"{path} is neither a file nor a folder: give a {_STATE} or the folder of a run")
    own = path / _STATE
    steps, newest = max(((_number(folder), folder / _STATE) for folder in _folders(path)), default=(-1, own))
    if own.is_file():
        return newest if steps > _step(own) else own
    if steps < 0:
        raise StrategyError(f"{path} has no {_STATE}, and no checkpoint with one: give the folder of a Trainer's run")
    return newest


def report_file(state: Path) -> Path:
    """Return where the report of a run lies, if it has one: in its folder, of whose checkpoint ``state`` may be."""
    from hf_strategies.report.run.document import REPORT_NAME

    folder = state.parent
    return (folder.parent if _CHECKPOINT.fullmatch(folder.name) else folder) / REPORT_NAME


def read_state(name: str, file: Path) -> Any:
    """Return the content of a state; raise `StrategyError` for a file that is no JSON or cannot be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as mistake:
        raise StrategyError(f"{name} cannot be read: {mistake.strerror or mistake}") from mistake
    except (ValueError, RecursionError):  # UnicodeDecodeError too
        raise StrategyError(f"{file} is no JSON: give a {_STATE} as the Trainer writes it") from None


def refuse_twins(runs: Sequence[PastRun]) -> None:
    """Refuse two logs of one run, such as those of two of its checkpoints: the run would count twice."""
    for index, run in enumerate(runs):
        for other in runs[:index]:
            short, long = sorted((run, other), key=lambda each: len(each.log_history))
            if short.log_history and long.log_history[: len(short.log_history)] == short.log_history:
                raise StrategyError(
                    f"{short.name} holds the same run as {long.name}, or the beginning of it: leave it out"
                )


def _folders(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError as mistake:
        raise StrategyError(f"{path} cannot be read: {mistake.strerror or mistake}") from mistake


def _number(folder: Path) -> int:
    """Return the number of steps in the name of a checkpoint that has a state; -1 for any other folder."""
    match = _CHECKPOINT.fullmatch(folder.name)
    return int(match[1]) if match and (folder / _STATE).is_file() else -1


def _step(file: Path) -> int:
    state = read_state(str(file), file)
    step = state.get("global_step") if isinstance(state, dict) else None
    return step if isinstance(step, int) else 0
