"""What the tests of the commands share: a command in a process of its own, and the check of a mistake."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from hf_strategies.cli.main import main

PHASES = '[{"shape": "linear", "length": 0.1, "start": 0, "end": 1}, {"shape": "cosine"}]'
"""A value of the parameter that the schedule ``phases`` has to be given."""

Run = Callable[..., str]
"""The fixture ``run``: the arguments of a command to what it prints."""


def process(*argv: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    command = [sys.executable, "-m", "hf_strategies", *argv]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"} | (env or {})
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=False)


def check_mistake(argv: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Assert that a command prints one line with ``words`` on stderr, nothing else, and exits with code 2."""
    assert main(argv.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
