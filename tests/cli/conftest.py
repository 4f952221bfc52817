"""The fixture of the tests of the commands."""

import pytest

from hf_strategies.cli.main import main
from tests.cli.commands import Run


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command, asserts that it succeeds, and returns what it printed."""

    def command(*argv: str) -> str:
        assert main(argv) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return command
