"""The command ``run``: any program that uses the Trainer, with the schedules and the callbacks of this package."""

import os
from argparse import ArgumentParser, Namespace

from hf_strategies.cli.command import Command, terminal_width
from hf_strategies.report.lines import fill

__all__ = ["RunCommand"]


class RunCommand(Command):
    """Run a program unchanged; every Trainer that it makes gets what the flags before it ask for."""

    name = "run"
    help = "a script of others, unchanged"
    description = (
        "Run a program unchanged. In it, and in every process that it starts, the schedules' names are valid in"
        " lr_scheduler_type, and each Trainer has the callbacks that the flags before the program ask for."
    )
    examples = """examples:
  hf-strategies run --early_stopping_patience 3 run_glue.py --lr_scheduler_type wsd
  hf-strategies run -m my_package.train --warmup_steps 0.1
  hf-strategies run --plateau_cooldown_monitor loss -- trl sft --config sft.yaml
  accelerate launch -m hf_strategies run --layer_decay 0.9 run_ner.py --optim adamw_torch

All flags: hf-strategies run --flags"""
    own_arguments = 0

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the words of the usage; `run` reads them, because what follows the program is the program's."""
        parser.usage = "%(prog)s [FLAGS] SCRIPT ... | -m MODULE ... | -- COMMAND ..."
        parser.add_argument("--flags", action="store_true", help="list the flags")

    def run(self, options: Namespace) -> str:
        """Become the program; only where the flags are listed, return a text."""
        words: list[str] = options.flags
        if words == ["--flags"]:
            return _flag_list()
        from hf_strategies.launch.environment import environment_of
        from hf_strategies.launch.program import become, program_of

        flags: list[str] = []
        if words[:1] and words[0].startswith("--") and words[0] != "--":
            from hf_strategies.launch.strategy_flags import read_strategy, split_flags

            flags, words = split_flags(words)
            read_strategy(flags)  # so that a mistake is one line before the program starts
        command = program_of(words)
        return become(command, environment_of(flags, os.environ))


def _flag_list() -> str:
    from hf_strategies.launch.strategy_flags import strategy_flags

    width = terminal_width() or 80
    return "\n".join(
        f"--{name}\n" + "\n".join(f"    {line}" for line in fill(text, width - 4).split("\n"))
        for name, text in strategy_flags().items()
    )
