"""What every recipe begins with: its flags, read and checked."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hf_strategies.recipe.arguments import ModelArguments, RecipeArguments
from hf_strategies.recipe.flag_checks import check_flags
from hf_strategies.recipe.parsing import parse
from hf_strategies.recipe.prepare import check_strategy
from hf_strategies.trainer.arguments import StrategyArguments

__all__ = ["Flags", "check_metrics", "read_flags"]


class Flags(NamedTuple):
    """The flags of a recipe: its own on data, and those that all recipes share."""

    data: Any
    model: ModelArguments
    strategy: StrategyArguments
    run: RecipeArguments


def read_flags(data_kind: type, argv: Sequence[str] | None, description: str, metrics: Sequence[str]) -> Flags:
    """Read flags and YAML file; ``data_kind`` is the dataclass of the recipe's own flags.

    ``metrics`` are all that the recipe may report beside the loss. Raises `StrategyError` for what the flags alone
    show to be a mistake.
    """
    flags = Flags(
        *parse((data_kind, ModelArguments, StrategyArguments, RecipeArguments), argv, description=description)
    )
    check_metrics(flags, metrics)
    return flags


def check_metrics(flags: Flags, metrics: Sequence[str]) -> None:
    """Raise `StrategyError` for a metric that is watched and is none of ``metrics``, nor the loss."""
    check_flags(flags.run, flags.model, ["loss", *metrics])
    check_strategy(flags.run, flags.strategy, ["loss", *metrics])
