"""The flags of a recipe, read and checked once, with the callbacks that they ask for."""

import re
from collections.abc import Collection, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

from transformers import AttentionInterface, TrainerCallback
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    get_available_reporting_integrations,
)
from transformers.trainer_utils import IntervalStrategy
from transformers.training_args import ParallelMode
from transformers.utils.import_utils import is_liger_kernel_available

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.arguments import ModelArguments, RecipeArguments
from hf_strategies.finetune.command import command_of
from hf_strategies.finetune.command_line import parse
from hf_strategies.finetune.console.bars import draws_bars, hide_bars_of_libraries
from hf_strategies.trainer.arguments import StrategyArguments
from hf_strategies.trainer.callbacks.base import MetricCallback
from hf_strategies.trainer.callbacks.weight_averaging.run import refuse_arguments

__all__ = ["Flags", "check_metrics", "read_flags"]

# transformers' list of what is installed leaves these out even where they work.
_NOT_LISTED = {"azure_ml", "flyte"}
_LABEL_COLUMNS = ("labels", "start_positions", "end_positions")


class Flags(NamedTuple):
    """The flags of a recipe: its own on data, and those that all recipes share."""

    data: Any
    model: ModelArguments
    strategy: StrategyArguments
    run: RecipeArguments

    @property
    def callbacks(self) -> list[TrainerCallback]:
        """The callbacks that ``strategy`` asks for: the same ones each time, for the one run."""
        return self.strategy.first_callbacks


def read_flags(data_arguments: type, argv: Sequence[str] | None, description: str, metrics: Collection[str]) -> Flags:
    """Read flags and YAML file; ``data_arguments`` is the dataclass of the recipe's own flags.

    ``metrics`` are the names of all metrics that the recipe can report beside the loss. Raises `StrategyError` for
    what the flags alone show to be a mistake, before any data is read.
    """
    kinds = (data_arguments, ModelArguments, StrategyArguments, RecipeArguments)
    flags = Flags(*parse(kinds, argv, description=description))
    flags.run.command = command_of(flags)
    if flags.run.disable_tqdm or not draws_bars():
        hide_bars_of_libraries()
    _check_training(flags.run, flags.model)
    _check_attention(flags.model.attn_implementation)
    _check_installed(flags.run)
    _check_processes(flags.run)
    _check_label_names(flags.run.label_names)
    _check_evaluation(flags)
    if any(getattr(callback, "average", None) for callback in flags.callbacks):
        refuse_arguments(flags.run, keep_raw=flags.strategy.average_weights_keep_raw)
    check_metrics(flags, metrics)
    if flags.run.check_flags:
        raise SystemExit(0)
    return flags


def check_metrics(flags: Flags, metrics: Collection[str]) -> None:
    """Raise `StrategyError` for a flag that names a metric which is none of ``metrics``, nor the loss.

    `read_flags` has done so for all metrics of the recipe. A recipe whose metrics depend on the data calls this with
    those that are left once the data is read.
    """
    known = ["loss", *metrics]
    for flag, name in _named_metrics(flags):
        if name not in known:
            raise StrategyError(f"{flag}={name!r} is no metric here: {did_you_mean(name, known)}")


def _named_metrics(flags: Flags) -> Iterator[tuple[str, str]]:
    """Yield each flag that names a metric, with the metric's name without ``eval_``."""
    yield "metric_for_best_model", (flags.run.metric_for_best_model or "loss").removeprefix("eval_")
    for callback, prefix in _watching(flags):
        for name in callback.names:
            yield f"{prefix}_monitor", name.removeprefix("eval_")


def _watching(flags: Flags) -> Iterator[tuple[MetricCallback, str]]:
    """Yield each callback that watches a metric, with the prefix of its flags: early_stopping for EarlyStopping."""
    for callback in flags.callbacks:
        if isinstance(callback, MetricCallback):
            yield callback, re.sub(r"(?<!^)(?=[A-Z])", "_", type(callback).__name__).lower()


def _check_training(run: RecipeArguments, model: ModelArguments) -> None:
    if run.do_train:
        return
    if run.find_lr:
        raise StrategyError("find_lr=True with do_train=False: it trains, so leave out --do_train false")
    if model.model_name_or_path is None:
        raise StrategyError(
            "do_train=False without model_name_or_path would evaluate random weights: name a trained model"
        )
    if model.lora_r is not None:
        raise StrategyError(f"lora_r={model.lora_r} with do_train=False has nothing to train: leave it out")


def _check_attention(name: str | None) -> None:
    known = ["eager", *AttentionInterface().valid_keys()]
    # One with a slash is a kernel on the Hub.
    if name is not None and name not in known and "/" not in name:
        raise StrategyError(f"attn_implementation={name!r}: {did_you_mean(name, known)}")


def _check_installed(run: RecipeArguments) -> None:
    if run.figure and find_spec("matplotlib") is None:
        raise StrategyError("figure=True needs matplotlib: pip install 'hf-strategies[plots]'")
    if run.use_liger_kernel and not is_liger_kernel_available():
        raise StrategyError("use_liger_kernel=True needs liger-kernel: pip install liger-kernel, or leave it out")
    for name in run.report_to or ():
        if name not in INTEGRATION_TO_CALLBACK:
            raise StrategyError(f"report_to={name!r}: {did_you_mean(name, ['none', *INTEGRATION_TO_CALLBACK])}")
        if name not in {*get_available_reporting_integrations(), *_NOT_LISTED}:
            raise StrategyError(f"report_to={name!r} is not installed: install it, or give --report_to none")


def _check_label_names(names: list[str] | None) -> None:
    for name in names or ():
        if name not in _LABEL_COLUMNS:
            raise StrategyError(f"label_names={name!r} is no column of labels: {did_you_mean(name, _LABEL_COLUMNS)}")


def _check_processes(run: RecipeArguments) -> None:
    if run.fsdp and run.parallel_mode != ParallelMode.DISTRIBUTED:
        raise StrategyError(
            "fsdp shards a model over several processes, and this is one: start it by accelerate launch with"
            " --num_processes 2 or more, or leave --fsdp out"
        )


def _check_evaluation(flags: Flags) -> None:
    for _, prefix in _watching(flags):
        if flags.run.eval_strategy == IntervalStrategy.NO:
            raise StrategyError(
                f"{prefix} with eval_strategy='no' has nothing to watch: set eval_strategy='epoch', or 'steps' with"
                " eval_steps"
            )
