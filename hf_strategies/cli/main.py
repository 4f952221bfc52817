"""The command ``hf-strategies``: ``list``, ``show``, ``plot``, ``flags``, ``criteria``, ``replay``, ``find-lr``.

All but the last load neither torch nor transformers. A user's mistake is one line on stderr and exit code 2.
"""

import os
import re
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any, NoReturn

from hf_strategies import __version__
from hf_strategies.cli.criteria import criteria_command
from hf_strategies.cli.find_lr import find_lr_command
from hf_strategies.cli.replay import REPLAY, REPLAY_EXAMPLES, add_replay_flags, replay_command
from hf_strategies.cli.schedules import flags_command, list_command, plot_command, show_command
from hf_strategies.errors import StrategyError, did_you_mean

__all__ = ["main"]

# Command -> where its list of names goes.
_OPEN_ENDED = {"plot": "names", "replay": "runs"}


class _Parser(ArgumentParser):
    """Raises mistakes as `StrategyError` instead of printing the usage, and takes no shortened flags."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False, formatter_class=RawDescriptionHelpFormatter)

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
        print(f"error: {' '.join(str(mistake).split())}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Whoever read the output has read enough. What is left in the buffer goes nowhere, or Python would tell
        # of the closed pipe when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _run(argv: list[str]) -> int:
    try:
        options = _options(argv)
    except SystemExit:  # --help and --version
        sys.stdout.flush()
        return 0
    text = options.run(options)
    encoding = sys.stdout.encoding or "utf-8"
    if text:
        print(text.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
    return 0


def _underscored(argument: str) -> str:
    """Write ``--total-steps`` as ``--total_steps``, as transformers takes both."""
    flag, equals, value = argument.partition("=")
    return "--" + flag[2:].replace("-", "_") + equals + value if argument.startswith("--") else argument


def _options(argv: list[str]) -> Namespace:
    # What follows the name of a recipe belongs to the recipe.
    argv, flags = (argv[:2], argv[2:]) if argv[:1] == ["find-lr"] else (argv, [])
    options = _own_options([_underscored(argument) for argument in argv])
    options.flags = flags
    return options


def _own_options(argv: list[str]) -> Namespace:
    parser, commands = _parsers()
    if argv and not argv[0].startswith("-") and argv[0] not in commands:
        raise StrategyError(f"unknown command {argv[0]!r}: {did_you_mean(argv[0], commands)}")
    options, unknown = parser.parse_known_args(argv)
    own = commands.get(options.command, parser)
    for argument in unknown:
        if argument.startswith("-"):
            flag = argument.partition("=")[0]
            known = ["--help", *re.findall(r"--\w+", own.format_usage())]
            raise StrategyError(f"unknown flag {flag} of {own.prog}: {did_you_mean(flag, known)}")
    if options.command is None:
        raise StrategyError(f"no command: give one of {', '.join(commands)}; see {parser.prog} --help")
    if unknown and options.command not in _OPEN_ENDED:
        raise StrategyError(f"{own.prog} takes no further {unknown[0]!r}: see {own.prog} --help")
    if options.command in _OPEN_ENDED:
        # They may stand after flags as well.
        getattr(options, _OPEN_ENDED[options.command]).extend(unknown)
    return options


def _parsers() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog="hf-strategies", description="Learning-rate schedules by name and early stopping, for the Trainer."
    )
    parser.add_argument("--version", action="version", version=f"hf-strategies {__version__}")
    parsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands = {
        "list": parsers.add_parser("list", help="names of schedules", description="Names of schedules."),
        "show": parsers.add_parser("show", help="formula, parameters, values", description="All about a schedule."),
        "plot": parsers.add_parser("plot", help="curves", description="Plot schedules.", epilog=_PLOT_EXAMPLES),
        "flags": parsers.add_parser("flags", help="TrainingArguments to paste", description="How to use a schedule."),
        "replay": parsers.add_parser(
            "replay", help="stop settings on past runs", description=REPLAY, epilog=REPLAY_EXAMPLES
        ),
        "criteria": parsers.add_parser(
            "criteria", help="when to stop", description="Stop criteria, or all about one."
        ),
        "find-lr": parsers.add_parser(
            "find-lr", help="range test of a recipe", description=_FIND_LR, epilog=_FIND_LR_EXAMPLE
        ),
    }
    _add_list(commands["list"])
    _add_show(commands["show"])
    _add_plot(commands["plot"])
    _add_flags(commands["flags"])
    add_replay_flags(commands["replay"])
    commands["replay"].set_defaults(run=replay_command)
    _add_criteria(commands["criteria"])
    _add_find_lr(commands["find-lr"])
    return parser, commands


def _add_list(parser: _Parser) -> None:
    parser.add_argument("pattern", nargs="?", metavar="PATTERN", help="part of a name, or such as '*_step_*'")
    parser.add_argument("--names", action="store_true", help="names alone, one on each line")
    parser.set_defaults(run=list_command)


def _add_show(parser: _Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of a schedule")
    parser.set_defaults(run=show_command)


def _add_plot(parser: _Parser) -> None:
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="name of a schedule, or NAME:key=value,key=value")
    add("--total_steps", metavar="N", help="optimizer steps of the training (1000)")
    add("--warmup_steps", metavar="W", help="steps, a fraction of the training, or 2ep (0.1, or the schedule's own)")
    add("--steps_per_epoch", metavar="N", help="steps of an epoch: shows epochs, and allows lengths such as 2ep")
    add("--peak", metavar="LR", help="peak learning rate (shows ratios of the peak)")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="for all that take KEY")
    add("--output", metavar="FILE", help="write a figure: .png, .svg or .pdf (needs matplotlib)")
    add("--width", metavar="N", help="columns of the terminal; pixels of a figure")
    add("--height", metavar="N", help="lines of the plot; pixels of a figure")
    add("--ascii", action="store_true", help="plain ASCII in the terminal")
    parser.set_defaults(run=plot_command)


def _add_flags(parser: _Parser) -> None:
    add = parser.add_argument
    add("name", metavar="NAME", help="name of a schedule")
    add("--warmup_steps", metavar="W", help="steps, or a fraction of the training (0.1, or the schedule's own)")
    add("--learning_rate", metavar="LR", help="peak learning rate")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="parameters, min_lr, on_extend")
    add("--total_steps", metavar="N", help="steps of the training, to check lengths against")
    add("--steps_per_epoch", metavar="N", help="steps of an epoch: allows lengths such as 2ep")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--yaml", dest="form", action="store_const", const="yaml", help="YAML lines instead")
    forms.add_argument("--python", dest="form", action="store_const", const="python", help="a Python call instead")
    parser.set_defaults(run=flags_command)


def _add_criteria(parser: _Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="name of a criterion")
    parser.set_defaults(run=criteria_command)


def _add_find_lr(parser: _Parser) -> None:
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="name of a recipe; its flags follow it")
    parser.set_defaults(run=find_lr_command)


_FIND_LR = "Train a recipe for some steps at growing learning rates, and suggest one."
_FIND_LR_EXAMPLE = """example:
  hf-strategies find-lr text_classification --train_file train.csv --output_dir runs/find_lr --figure
  hf-strategies find-lr text_classification --help: the flags of the recipe
"""
_PLOT_EXAMPLES = """examples:
  hf-strategies plot linear_warmup_cosine_decay one_cycle --set min_lr_ratio=0.1
  hf-strategies plot step_decay:gamma=0.5 step_decay:gamma=0.1,step_size=100 --peak 2e-5
  hf-strategies plot one_cycle:warmup_steps=50 one_cycle:warmup_steps=0.2 --output one_cycle.png
"""
