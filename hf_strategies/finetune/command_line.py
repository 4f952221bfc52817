"""The command line of the recipes: flags or a YAML file of flags in, lines for the user out."""

import dataclasses
import json
import logging
import os
import re
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml
from transformers import HfArgumentParser

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.trainer.distributed import exit_process

__all__ = ["flags_of_yaml", "notify", "parse", "run_command"]

logger = logging.getLogger(__name__)

_INVALID_CHOICE = re.compile(r"argument (--\w+)\S*: invalid choice: '?(.*?)'? \(choose from (.*)\)", re.DOTALL)


# The plain scalars of YAML 1.2. PyYAML reads YAML 1.1, where ``no`` is false, ``1e-5`` a text and 12:30 is 750.
_SCALARS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9]*)",
    "float": r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
    "merge": r"<<",
}


class _Loader(yaml.SafeLoader):
    """Reads plain scalars as JSON does, so that an entry and the flag with the same text have the same value."""


_Loader.yaml_implicit_resolvers = {}
for _kind, _pattern in _SCALARS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), None)


class _Parser(HfArgumentParser):
    """Raises mistakes as `StrategyError` instead of printing some hundred lines of usage."""

    def error(self, message: str) -> NoReturn:
        if match := _INVALID_CHOICE.fullmatch(message):
            flag, value, choices = match.groups()
            known = re.findall(r"[^\s,']+", choices)
            raise StrategyError(f"{flag} {value}: {did_you_mean(value, known)}")
        raise StrategyError(message.removeprefix("argument "))


def parse(kinds: Sequence[Any], argv: Sequence[str] | None = None, *, description: str = "") -> tuple[Any, ...]:
    """Fill dataclasses from flags; the entries of ``--config FILE.yaml`` are read before the flags.

    A YAML entry ``key: value`` is read as the flag ``--key value``, and a flag on the command line wins over it. A
    list becomes several values, a mapping becomes JSON, and null leaves the default.

    Raises `StrategyError` for an unknown flag or key, a value that its dataclass refuses, a bad file.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = _Parser(kinds, description=description, allow_abbrev=False)
    parser.add_argument("--config", metavar="FILE", help="YAML file of flags; flags given beside it win")
    known = {field.name for kind in kinds for field in dataclasses.fields(kind) if field.init}
    config = _config_file(argv)
    if config is not None:
        argv = flags_of_yaml(config, known) + argv
    try:
        *filled, _namespace, unknown = parser.parse_args_into_dataclasses(
            argv, look_for_args_file=False, return_remaining_strings=True
        )
    except StrategyError:
        raise
    except ImportError as mistake:
        reason = _one_line(mistake).removeprefix("No package metadata was found for ").rstrip(".")
        raise StrategyError(f"{reason}: install it, or leave out the flag that needs it") from mistake
    except (ValueError, OSError, RuntimeError) as mistake:
        raise StrategyError(_one_line(mistake)) from mistake
    _refuse_unknown(unknown, known)
    return tuple(filled)


def flags_of_yaml(file: str | os.PathLike[str], known: set[str]) -> list[str]:
    """Return the flags that a YAML mapping stands for; ``known`` are the keys that are allowed."""
    entries = _read_yaml(Path(file))
    flags: list[str] = []
    for key, value in entries.items():
        if key not in known:
            raise StrategyError(f"{os.fspath(file)}: unknown key {key!r}: {did_you_mean(str(key), known)}")
        flags += _flag(key, value)
    return flags


def run_command(main: Callable[[], object]) -> NoReturn:
    """Run a recipe's ``main`` as a command: a user's mistake is one line on stderr and exit code 2."""
    try:
        main()
    except StrategyError as mistake:
        if _is_main_process():
            print(f"error: {_one_line(mistake)}", file=sys.stderr)
        exit_process(2)
        sys.exit(2)
    exit_process()
    sys.exit(0)


def notify(line: str) -> None:
    """Print one line to the user, in the main process.

    At warning level, because that is what a script shows which sets up no logging.
    """
    if _is_main_process():
        logger.warning(line)


def _is_main_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _config_file(argv: Sequence[str]) -> str | None:
    finder = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    finder.add_argument("--config", nargs="?", const="")
    config: str | None = finder.parse_known_args(argv)[0].config
    if config == "":
        raise StrategyError("--config names no file: give --config FILE.yaml")
    return config


def _read_yaml(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise StrategyError(f"--config {file}: no such file")
    try:
        entries = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as mistake:
        raise StrategyError(f"--config {file} is no YAML: {_one_line(mistake)}") from mistake
    if entries is None:
        return {}
    if not isinstance(entries, dict):
        raise StrategyError(
            f"--config {file} holds no mapping but {type(entries).__name__}: write `flag: value` lines"
        )
    return entries


def _flag(key: str, value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [f"--{key}", *map(_text, value)]
    return [f"--{key}={_text(value)}"]


def _text(value: object) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value)


def _refuse_unknown(arguments: Sequence[str], known: set[str]) -> None:
    for argument in arguments:
        name = argument.removeprefix("--").partition("=")[0]
        if argument.startswith("--"):
            raise StrategyError(f"unknown flag --{name}: {did_you_mean(name.replace('-', '_'), known)}")
        raise StrategyError(f"{argument!r} belongs to no flag: flags begin with --")


def _one_line(mistake: Exception) -> str:
    return " ".join(str(mistake).split())
