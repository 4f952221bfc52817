"""The program that checks a search before its first trial: the recipe reads the flags of the task and of the space.

It reads one JSON object from its standard input, and ends with exit code 2 and one line for a mistake of the user. No
data and no model is loaded.
"""

import json
import re
import sys
from collections.abc import Collection
from typing import Any

from transformers.trainer_utils import IntervalStrategy

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.command_line import run_command
from hf_strategies.flag_file import as_flags
from hf_strategies.search.trial import reading_flags
from hf_strategies.stopping import Metric

__all__ = ["main"]


class _Read(Exception):  # noqa: N818 - no error: the flags are read, and the recipe is to go no further
    pass


def main() -> None:
    """Check what the standard input describes."""
    _check(json.load(sys.stdin))


def _check(order: dict[str, Any]) -> None:
    def then(flags: Any, metrics: Collection[str]) -> None:
        _check_objective(order["objective"], metrics)
        if order["prune"] != "none" and flags.run.eval_strategy == IntervalStrategy.NO:
            raise StrategyError(f"--prune {order['prune']} with eval_strategy='no' has nothing to judge: give epoch")
        raise _Read

    recipe = reading_flags(order["recipe"], then)
    for number, (row, settings) in enumerate(order["corners"]):
        try:
            recipe(as_flags(settings))
        except _Read:
            pass
        except StrategyError as mistake:
            raise StrategyError(_named(str(mistake), order, row if number else None, settings)) from None


def _check_objective(objective: str, metrics: Collection[str]) -> None:
    known = ["loss", *metrics]
    for name in Metric.read(objective).names:
        if name.removeprefix("eval_") not in known:
            near = did_you_mean(name.removeprefix("eval_"), known)
            raise StrategyError(f"--objective {objective}: the recipe has no such metric: {near}")


def _named(mistake: str, order: dict[str, Any], row: str | None, settings: dict[str, Any]) -> str:
    """Return the message of a mistake with the file, and with the row of the space that the mistake is in.

    ``row`` is the row whose value is another one than before. It is None for the first corner, which has a value of
    every row, so that the mistake is in the one that the message names; if it names none, it is in the task.
    """
    if mistake.startswith(("--objective", "--prune")):
        return mistake
    words = set(re.findall(r"\w+", mistake))
    named = [name for name in order["rows"] if name.split(".")[-1] in words]
    if row is None and not named:
        return f"TASK_CONFIG {order['file']}: {mistake}"
    changed = {key: value for key, value in settings.items() if order["task"].get(key) != value}
    return f"--space {order['space']}: row {row or named[0]}, with {json.dumps(changed)}: {mistake}"


if __name__ == "__main__":
    run_command(main)
