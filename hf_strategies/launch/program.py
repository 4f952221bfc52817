"""The program that ``hf-strategies run`` starts: this process becomes it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from hf_strategies.errors import StrategyError

__all__ = ["become", "program_of"]


def program_of(words: Sequence[str]) -> list[str]:
    """Return the command line for the words after the flags: ``SCRIPT ...``, ``-m MODULE ...`` or ``-- COMMAND ...``.

    A script or a module runs in this Python, with its options. Raises `StrategyError` where there is nothing to run.
    """
    words = list(words)
    if not words or words in (["--"], ["-m"]):
        raise StrategyError("nothing to run: give SCRIPT, -m MODULE or -- COMMAND after the flags")
    if words[0] == "--":
        command = shutil.which(words[1])
        if command is None:
            raise StrategyError(f"no command {words[1]!r} is installed or on the PATH: give another one, or its path")
        return [command, *words[2:]]
    if words[0] != "-m":
        script = Path(words[0])
        if words[0].startswith("-"):
            raise StrategyError(f"{words[0]} stands where SCRIPT, -m MODULE or -- COMMAND is expected")
        if not script.is_file() and not (script / "__main__.py").is_file():
            raise StrategyError(f"the script {words[0]!r} is not there: give its path, or -- before a command")
    return [sys.executable, *subprocess._args_from_interpreter_flags(), *words]  # type: ignore[attr-defined]


def become(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by the command, so that nothing is between it and whoever has started this process.

    Arguments, standard input, signals, the exit code and tracebacks are those of the command itself. Windows cannot
    replace a process; there the command is a child, whose exit code this process ends with.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":
        sys.exit(subprocess.run(list(command), env=dict(environment), check=False).returncode)
    os.execve(command[0], list(command), dict(environment))
