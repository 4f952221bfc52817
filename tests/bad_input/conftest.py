"""A recipe as the shell sees it, in this process: its one message, and nothing left behind."""

import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hf_strategies.finetune import command_line
from hf_strategies.finetune.command_line import run_command

Refused = Callable[..., str]
"""The fixture ``refused``: a recipe and flags to the one message that the recipe prints."""

GOOD = "text,label\n" + "".join(
    f"number {index} of {['cats', 'dogs'][index % 2]},{index % 2}\n" for index in range(12)
)
_LONGEST = 20.0


class _LoadedError(Exception):
    """A model was loaded: nothing has refused the input."""


_Parser = command_line._Parser


@cache
def _parser(kinds: tuple[type, ...]) -> Any:
    return _Parser(kinds, allow_abbrev=False)


def _cached_parser(kinds: Sequence[type], **_options: Any) -> Any:
    """A parser costs 30 ms, and one serves all rows."""
    parser = _parser(tuple(kinds))
    if parser.get_default("config") is None and "--config" not in parser._option_string_actions:
        return parser
    parser.add_argument = lambda *_names, **_settings: None
    return parser


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with good data."""
    (tmp_path / "good.csv").write_text(GOOD, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Run a recipe with these flags; return its one message, having checked that nothing else came of it."""

    def load(*_args: Any, **_options: Any) -> NoReturn:
        raise _LoadedError

    def run(recipe: str, *argv: str) -> str:
        module = import_module(f"hf_strategies.recipes.{recipe}")
        if "--model_name_or_path" not in argv:
            monkeypatch.setattr(module, "load_model", load)
        before = contents(folder)
        start = time.monotonic()
        with pytest.raises(SystemExit) as ended:
            run_command(lambda: module.main(["--use_cpu", "--output_dir", "out", *argv]))
        assert time.monotonic() - start < _LONGEST
        assert ended.value.code == 2
        printed = capfd.readouterr()
        assert contents(folder) == before
        lines = [line for line in printed.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, printed.err
        assert "Traceback" not in printed.err
        assert len(lines[0]) < 1100
        assert lines[0].isprintable()
        return lines[0].removeprefix("error: ")

    monkeypatch.setattr(command_line, "_Parser", _cached_parser)
    return run


def contents(folder: Path) -> dict[str, bytes | None]:
    """What lies in a folder, files with their bytes."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
