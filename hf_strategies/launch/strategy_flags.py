"""The flags before the name of a program: those of `StrategyArguments`, and one for a report."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from typing import Any, NoReturn, cast

from transformers import HfArgumentParser, TrainerCallback
from transformers.hf_argparser import string_to_bool

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.trainer.arguments import StrategyArguments
from hf_strategies.trainer.callbacks.run_report import RunReport

__all__ = ["ProgramArguments", "read_strategy", "split_flags", "strategy_flags"]


class _Parser(HfArgumentParser):
    """Raises mistakes as `StrategyError`, and accepts no shortened flags."""

    def error(self, message: str) -> NoReturn:
        raise StrategyError(message.removeprefix("argument "))


@dataclass
class ProgramArguments(StrategyArguments):
    """The flags for a program that makes its Trainer by itself.

    >>> [type(callback).__name__ for callback in ProgramArguments(report=True).callbacks()]
    ['RunReport']
    """

    report: bool = field(
        default=False,
        metadata={
            "help": "Write strategy_report.json and a figure into output_dir at the end, and both into the model card"
            " (needs matplotlib)."
        },
    )

    def callbacks(self) -> list[TrainerCallback]:
        """Return new callbacks for a Trainer."""
        if not self.report:
            return super().callbacks()
        if find_spec("matplotlib") is None:
            raise StrategyError("report=True needs matplotlib: pip install 'hf-strategies[plots]'")
        return [*super().callbacks(), RunReport()]


def read_strategy(flags: Sequence[str]) -> ProgramArguments:
    """Return the settings that the flags ask for; raises `StrategyError` for what cannot be meant.

    >>> read_strategy(["--layer_decay", "0.9"]).layer_decay
    0.9
    """
    kind: Any = ProgramArguments
    parser = _Parser(kind, allow_abbrev=False)
    (strategy,) = parser.parse_args_into_dataclasses(list(flags), look_for_args_file=False)
    return cast(ProgramArguments, strategy)


def strategy_flags() -> dict[str, str]:
    """Return the help of each flag by its name, without dashes."""
    return {row.name: str(row.metadata.get("help", "")) for row in fields(ProgramArguments) if row.init}


def split_flags(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the flags that stand before a program, and the words from the program on.

    A flag takes the next word as its value; a flag that is true or false takes it only if it is such a word. Raises
    `StrategyError` for an unknown flag, and for a flag without a value.

    >>> split_flags(["--early_stopping_patience", "3", "train.py", "--lr", "1"])
    (['--early_stopping_patience', '3'], ['train.py', '--lr', '1'])
    >>> split_flags(["--average_weights_keep_raw", "train.py"])
    (['--average_weights_keep_raw'], ['train.py'])
    """
    switches = {row.name for row in fields(ProgramArguments) if row.type in (bool, "bool")}
    place = 0
    while place < len(words) and words[place].startswith("--") and words[place] != "--":
        flag, equals, _ = words[place].partition("=")
        name = flag[2:].replace("-", "_")
        _check_name(name, flag)
        place += 1
        if equals:
            continue
        if name not in switches:
            if place == len(words):
                raise StrategyError(f"{flag} has no value: give one after it")
            place += 1
        elif place < len(words) and _is_switch(words[place]):
            place += 1
    return list(words[:place]), list(words[place:])


def _check_name(name: str, flag: str) -> None:
    known = strategy_flags()
    if name == "strategy":
        raise StrategyError(
            "--strategy is a flag of the recipes, because a preset sets the program's own flags too: give the flags"
            " that `hf-strategies presets NAME` prints, those of TrainingArguments after the program's name"
        )
    if name not in known:
        raise StrategyError(
            f"unknown flag {flag} before the program: {did_you_mean('--' + name, [f'--{each}' for each in known])};"
            " the program's own flags stand after its name"
        )


def _is_switch(word: str) -> bool:
    try:
        string_to_bool(word)
    except Exception:  # argparse.ArgumentTypeError, as the parser would report it
        return False
    return True
