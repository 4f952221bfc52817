"""The command ``hf-strategies``: its commands, the reading of the command line, and errors.

Only ``find-lr``, ``average``, and ``run`` where it is given flags load torch, and all of these but ``average`` load
transformers. A user's mistake is one line on stderr and exit code 2.
"""

import os
import re
import sys
from argparse import ArgumentParser, HelpFormatter, Namespace
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from hf_strategies import __version__
from hf_strategies.cli.average import AverageCommand
from hf_strategies.cli.averages import AveragesCommand
from hf_strategies.cli.command import Command
from hf_strategies.cli.compare import CompareCommand
from hf_strategies.cli.criteria import CriteriaCommand
from hf_strategies.cli.find_lr import FindLrCommand
from hf_strategies.cli.flags import FlagsCommand
from hf_strategies.cli.list import ListCommand
from hf_strategies.cli.plot import PlotCommand
from hf_strategies.cli.presets import PresetsCommand
from hf_strategies.cli.replay import ReplayCommand
from hf_strategies.cli.report import ReportCommand
from hf_strategies.cli.run import RunCommand
from hf_strategies.cli.search import SearchCommand
from hf_strategies.cli.show import ShowCommand
from hf_strategies.errors import StrategyError, did_you_mean, visible
from hf_strategies.report.lines import fill, shell_command

__all__ = ["COMMANDS", "main"]

_ROWS: tuple[Command, ...] = (
    ListCommand(),
    ShowCommand(),
    PlotCommand(),
    FlagsCommand(),
    ReplayCommand(),
    ReportCommand(),
    CompareCommand(),
    PresetsCommand(),
    CriteriaCommand(),
    AveragesCommand(),
    AverageCommand(),
    FindLrCommand(),
    RunCommand(),
    SearchCommand(),
)
COMMANDS = {row.name: row for row in _ROWS}
"""The commands by their names, in the order of the help."""


class _HelpFormatter(HelpFormatter):
    """Breaks the paragraphs of a help for the terminal, and its examples, which are indented, as a shell reads."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines = fill(text, width).split("\n")
        return "\n".join(
            shell_command(line.strip(), width, "  ") if line.startswith("  ") else line for line in lines
        )


class _Parser(ArgumentParser):
    """A parser that raises mistakes as `StrategyError` instead of exiting, and accepts no shortened flags."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False, formatter_class=_HelpFormatter)

    def error(self, message: str) -> NoReturn:
        missing = "the following arguments are required: "
        if message.startswith(missing):
            raise StrategyError(f"{message.removeprefix(missing)} is missing: see {self.prog} --help")
        raise StrategyError(f"{message.removeprefix('argument ')}: see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the arguments given, or those of the process; return the exit code.

    >>> main(["list", "one_cycle", "--names"])
    one_cycle
    0
    """
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except StrategyError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of the output has closed the pipe, as `head` does. The rest of the buffer goes to devnull:
        # otherwise Python would print an error about the closed pipe when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(argv: list[str]) -> int:
    try:
        options = _options(argv)
    except SystemExit:  # --help and --version
        sys.stdout.flush()
        return 0
    text = COMMANDS[options.command].run(options)
    encoding = sys.stdout.encoding or "utf-8"
    if text:
        print(visible(text, keep="\n").encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
    return 0


def _options(argv: list[str]) -> Namespace:
    """Read the command line; ``flags`` holds the arguments that the command forwards."""
    count = COMMANDS[argv[0]].own_arguments if argv and argv[0] in COMMANDS else None
    if count is None or argv[1:2] in (["--help"], ["-h"]):
        count = len(argv)
    own, forwarded = argv[: count + 1], argv[count + 1 :]
    options = _own_options([_underscored(argument) for argument in own])
    options.flags = forwarded
    return options


def _underscored(argument: str) -> str:
    """Write ``--total-steps`` as ``--total_steps``, because transformers accepts both."""
    flag, equals, value = argument.partition("=")
    return "--" + flag[2:].replace("-", "_") + equals + value if argument.startswith("--") else argument


def _own_options(argv: list[str]) -> Namespace:
    """Parse the arguments that the command reads itself, and refuse those that it does not know."""
    parser, parsers = _parsers()
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        raise StrategyError(f"unknown command {argv[0]!r}: {did_you_mean(argv[0], COMMANDS)}")
    options, unknown = parser.parse_known_args(argv)
    parser_of_command = parsers.get(options.command, parser)
    _refuse_unknown_flags(unknown, parser_of_command)
    if options.command is None:
        raise StrategyError(f"no command: give one of {', '.join(COMMANDS)}; see {parser.prog} --help")
    list_argument = COMMANDS[options.command].list_argument
    if list_argument is not None:
        # argparse leaves the words after a flag unread.
        getattr(options, list_argument).extend(unknown)
    elif unknown:
        prog = parser_of_command.prog
        raise StrategyError(f"{prog} takes no further {unknown[0]!r}: see {prog} --help")
    return options


def _refuse_unknown_flags(arguments: Iterable[str], parser: _Parser) -> None:
    for argument in arguments:
        if argument.startswith("-"):
            flag = argument.partition("=")[0]
            known = ["--help", *re.findall(r"--\w+", parser.format_usage())]
            raise StrategyError(f"unknown flag {flag} of {parser.prog}: {did_you_mean(flag, known)}")


def _parsers() -> tuple[_Parser, dict[str, _Parser]]:
    """Return the parser of ``hf-strategies`` and the parser of each command by its name."""
    parser = _Parser(
        prog="hf-strategies", description="Learning-rate schedules by name and early stopping, for the Trainer."
    )
    parser.add_argument("--version", action="version", version=f"hf-strategies {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    parsers = {}
    for name, command in COMMANDS.items():
        parsers[name] = subparsers.add_parser(
            name, help=command.help, description=command.description, epilog=command.examples
        )
        command.add_flags(parsers[name])
    return parser, parsers
