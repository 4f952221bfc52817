"""The command line of the recipes: flags or a YAML file of flags in, lines for the user out."""

import dataclasses
import json
import os
import re
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from transformers import HfArgumentParser

from hf_strategies.errors import StrategyError, announce, did_you_mean, visible
from hf_strategies.finetune.combinations import check_combinations
from hf_strategies.finetune.disk import disk_problem
from hf_strategies.finetune.flag_texts import check_texts, known_texts
from hf_strategies.finetune.help_text import help_page, wanted_help
from hf_strategies.finetune.ranges import RANGES, check_ranges
from hf_strategies.flag_file import flags_of_yaml
from hf_strategies.presets import PRESETS
from hf_strategies.trainer.distributed import exit_process

__all__ = ["is_main_process", "notify", "parse", "run_command"]


_INVALID_CHOICE = re.compile(r"argument (--\w+)\S*: invalid choice: '?(.*?)'? \(choose from (.*)\)", re.DOTALL)
_INVALID_VALUE = re.compile(r"argument --(\w+)\S*: invalid (\w+)[^:]* value: '?(.*?)'?", re.DOTALL)
_REMEDIES = {"int": "a whole number", "float": "a number such as 0.1", "dict": "it in a script of your own"}
_HEAD_START = 10.0  # seconds in which the main process may report a mistake that all processes make


class _Parser(HfArgumentParser):
    """Raises mistakes as `StrategyError` instead of printing some hundred lines of usage."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse the flags, and check their values before any dataclass is filled with them."""
        parsed, unknown = super().parse_known_args(args, namespace)
        values = vars(parsed)
        for name, value in values.items():
            if value != self.get_default(name):
                check_texts(name, value)
        check_ranges(values)
        check_combinations(values, self.get_default)
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        if match := _INVALID_CHOICE.fullmatch(message):
            flag, value, choices = match.groups()
            known = re.findall(r"[^\s,']+", choices)
            raise StrategyError(f"{flag} {value}: {did_you_mean(value, known)}")
        raise StrategyError(message.removeprefix("argument ") + _remedy(message))


def parse(kinds: Sequence[Any], argv: Sequence[str] | None = None, *, description: str = "") -> tuple[Any, ...]:
    """Fill dataclasses from flags, which win over ``--config FILE.yaml``, which wins over ``--strategy PRESET``.

    A YAML entry ``key: value`` is read as the flag ``--key value``, and a flag on the command line wins over it. A
    list becomes several values, a mapping becomes JSON, and null leaves the default. ``--help`` prints a page of help
    and ends the process.

    Raises `StrategyError` for an unknown flag or key, a value that its dataclass refuses, a bad file.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = _Parser(kinds, description=description, allow_abbrev=False)
    parser.add_argument("--config", metavar="FILE", help="YAML file of flags; flags given beside it win")
    parser.add_argument(
        "--strategy",
        metavar="NAME",
        help=f"Preset of schedule, stopping and epochs ({', '.join(PRESETS)}); --config and flags win",
    )
    if wanted := wanted_help(argv):
        print(help_page(parser, kinds, wanted))
        raise SystemExit(0)
    known = {field.name for kind in kinds for field in dataclasses.fields(kind) if field.init}
    config = _first_of(argv, "config", "--config names no file: give --config FILE.yaml")
    if config is not None:
        argv = flags_of_yaml(config, {*known, "strategy"}) + argv
    chosen = _first_of(argv, "strategy", f"--strategy names no preset: {did_you_mean('', PRESETS)}")
    if chosen is not None:
        if chosen not in PRESETS:
            raise StrategyError(f"--strategy {chosen}: {did_you_mean(chosen, PRESETS)}")
        argv = [f"--{name}={value}" for name, value in PRESETS[chosen].settings.items()] + argv
    try:
        *filled, _namespace, unknown = parser.parse_args_into_dataclasses(
            argv, look_for_args_file=False, return_remaining_strings=True
        )
    except StrategyError:
        raise
    except ImportError as mistake:
        reason = str(mistake).strip().removeprefix("No package metadata was found for ").rstrip(".")
        raise StrategyError(f"{reason}: install it, or leave out the flag that needs it") from mistake
    except (ValueError, OSError, RuntimeError, TypeError, LookupError, AttributeError, ArithmeticError) as mistake:
        # Raised by `TrainingArguments` for values that it refuses or cannot process.
        raise StrategyError(mistake) from mistake
    _refuse_unknown(unknown, known)
    return tuple(filled)


def run_command(main: Callable[[], object]) -> NoReturn:
    """Run a recipe's ``main`` as a command, and end the process with its exit code, without a traceback for a user.

    A user's mistake is one line on stderr and exit code 2, a disk that cannot be written one line and 1, Ctrl-C one
    line and 130.
    """
    code = 0
    try:
        main()
    except StrategyError as mistake:
        code = _fail(2, f"error: {mistake}")
    except KeyboardInterrupt as interrupt:
        code = 130
        if is_main_process():
            print(str(interrupt) or "Interrupted: nothing was written yet", file=sys.stderr)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else _fail(1, str(end)) if end.code else 0
    except Exception as mistake:
        line = disk_problem(mistake)
        if line is None:
            raise
        code = _fail(1, f"error: {line}")
    exit_process(code)
    sys.exit(code)


def _fail(code: int, line: str) -> int:
    """Print a line to stderr, once for all processes, and return the exit code."""
    if not is_main_process():
        # Most mistakes are made on every process. The main process then prints the line and ends, and the launcher
        # ends this process while it sleeps. A mistake that only this process meets is printed afterwards.
        time.sleep(_HEAD_START)
        line = f"{visible(line)} (process {os.environ['RANK']})"
        _report_to_launcher(line)
    print(visible(line), file=sys.stderr)
    return code


def _report_to_launcher(line: str) -> None:
    """Let torchrun and accelerate show the line as the cause, also where the output of this process is not shown."""
    file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if file:
        with suppress(OSError):
            Path(file).write_text(json.dumps({"message": line, "timestamp": int(time.time())}), encoding="utf-8")


def notify(line: str) -> None:
    """Print one line to the user, in the main process."""
    if is_main_process():
        announce(line)


def is_main_process() -> bool:
    """Return whether this is the first of the processes that a launcher has started, or the only process."""
    return os.environ.get("RANK", "0") == "0"


def _first_of(argv: Sequence[str], flag: str, without_value: str) -> str | None:
    """Return the value of a flag that is read before all others; None if it is not given."""
    finder = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    finder.add_argument(f"--{flag}", nargs="?", const="")
    value: str | None = getattr(finder.parse_known_args(argv)[0], flag)
    if value == "":
        raise StrategyError(without_value)
    return value


def _remedy(message: str) -> str:
    """Return the end of a message of argparse, with what to give."""
    if match := _INVALID_VALUE.fullmatch(message):
        name, kind, value = match.groups()
        if known := known_texts(name):
            return f": {did_you_mean(value, known)}"
        return f": give {RANGES[name].remedy if name in RANGES else _REMEDIES.get(kind, 'another one')}"
    return ": give a value" if "expected one argument" in message or "expected at least" in message else ""


def _refuse_unknown(arguments: Sequence[str], known: set[str]) -> None:
    for argument in arguments:
        name = argument.removeprefix("--").partition("=")[0]
        if argument.startswith("--"):
            raise StrategyError(f"unknown flag --{name}: {did_you_mean(name.replace('-', '_'), known)}")
        raise StrategyError(f"{argument!r} belongs to no flag: flags begin with --")
