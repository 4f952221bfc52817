"""Flags that contradict each other, or name what is not there."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

from transformers import AttentionInterface
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    get_available_reporting_integrations,
)

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.arguments import ModelArguments, RecipeArguments
from hf_strategies.finetune.command_line import parse
from hf_strategies.finetune.preflight import check_strategy
from hf_strategies.trainer.arguments import StrategyArguments

__all__ = ["Flags", "check_flags", "check_metrics", "read_flags"]


# transformers' list of what is installed leaves these out even where they work.
_NOT_LISTED = {"azure_ml", "flyte"}


def check_flags(args: RecipeArguments, model: ModelArguments, metrics: Sequence[str]) -> None:
    """Raise `StrategyError` for what the flags alone show to be a mistake; ``metrics`` are those of the recipe."""
    if args.find_lr and not args.do_train:
        raise StrategyError("find_lr=True with do_train=False: it trains, so leave out --do_train false")
    if not args.do_train and model.model_name_or_path is None:
        raise StrategyError(
            "do_train=False without model_name_or_path would evaluate random weights: name a trained model"
        )
    if model.lora_r is not None and not args.do_train:
        raise StrategyError(f"lora_r={model.lora_r} with do_train=False has nothing to train: leave it out")
    _check_attention(model.attn_implementation)
    best = (args.metric_for_best_model or "loss").removeprefix("eval_")
    if best not in metrics:
        raise StrategyError(f"metric_for_best_model={best!r} is no metric here: {did_you_mean(best, metrics)}")
    if args.figure and find_spec("matplotlib") is None:
        raise StrategyError("figure=True needs matplotlib: pip install 'hf-strategies[plots]'")
    for name in args.report_to or ():
        _check_reporting(name)


def _check_attention(name: str | None) -> None:
    known = ["eager", *AttentionInterface().valid_keys()]
    # One with a slash is a kernel on the Hub.
    if name is not None and name not in known and "/" not in name:
        raise StrategyError(f"attn_implementation={name!r}: {did_you_mean(name, known)}")


def _check_reporting(name: str) -> None:
    if name not in INTEGRATION_TO_CALLBACK:
        raise StrategyError(f"report_to={name!r}: {did_you_mean(name, ['none', *INTEGRATION_TO_CALLBACK])}")
    if name not in {*get_available_reporting_integrations(), *_NOT_LISTED}:
        raise StrategyError(f"report_to={name!r} is not installed: install it, or give --report_to none")


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
