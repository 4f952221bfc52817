"""Commands of ``hf-strategies``: odd words, odd states of past runs; each is answered by one line, in a moment."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_strategies.cli.main import main
from tests.bad_input.commands import COMMANDS
from tests.bad_input.conftest import contents
from tests.bad_input.states import LOG, STATES

_LONGEST = 10.0


@pytest.fixture
def mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run a command in a folder with a run; return its one message, having checked that nothing else came of it."""
    for folder in ("empty", "em\x1b[2Jpty"):
        (tmp_path / folder).mkdir()
    state = {"log_history": LOG, "max_steps": 40, "global_step": 40}
    (tmp_path / "run.json").write_text(json.dumps(state), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> str:
        before, start = contents(tmp_path), time.monotonic()
        assert main(argv) == 2
        assert time.monotonic() - start < _LONGEST
        printed = capsys.readouterr()
        assert contents(tmp_path) == before
        line = printed.err.removesuffix("\n")
        assert line.startswith("error: ")
        assert line.isprintable()
        assert len(line) < 1100
        assert printed.out == ""
        return line

    return run


@pytest.mark.parametrize("argv", COMMANDS, ids=[" ".join(argv)[:50] for argv in COMMANDS])
def test_a_command_that_cannot_be_is_refused_in_one_line(argv: tuple[str, ...], mistake: Callable[..., str]) -> None:
    assert mistake(*argv)


@pytest.mark.parametrize("name", STATES)
def test_a_state_that_no_trainer_writes_is_refused_in_one_line(name: str, mistake: Callable[..., str]) -> None:
    content = STATES[name]
    Path("odd.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert "odd.json" in mistake("replay", "odd.json")


def test_values_that_are_not_finite_are_those_of_a_run_that_diverged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = [*LOG, {"eval_loss": float("nan"), "loss": float("inf"), "step": 40, "epoch": 4.0}]
    (tmp_path / "run.json").write_text(json.dumps({"log_history": log, "max_steps": 40}), encoding="utf-8")
    assert main(["replay", str(tmp_path / "run.json")]) == 0
    assert "4 evaluations, 40 steps; best 0.4 at step 20" in capsys.readouterr().out
