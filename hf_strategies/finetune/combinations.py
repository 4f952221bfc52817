"""Flags that contradict each other, or that have no effect without another one; checked before anything is loaded."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean

__all__ = ["check_combinations"]

Values = Mapping[str, Any]

# A flag, the flag that it needs, and what to give. The flags of the callbacks are checked with the callbacks.
_NEEDS: tuple[tuple[str, str, str], ...] = (
    ("dataset_config_name", "dataset_name", "give both"),
    ("train_split", "dataset_name", "give both"),
    ("validation_split", "dataset_name", "give both"),
    ("test_split", "dataset_name", "give both"),
    ("model_revision", "model_name_or_path", "give both"),
    ("fsdp_config", "fsdp", "give --fsdp true too"),
    ("dataloader_prefetch_factor", "dataloader_num_workers", "give 1 worker or more"),
    ("dataloader_persistent_workers", "dataloader_num_workers", "give 1 worker or more"),
    ("dataloader_multiprocessing_context", "dataloader_num_workers", "give 1 worker or more"),
)

# Flags with a value that the recipes do not support, with the reason and the remedy.
_IMPOSSIBLE: tuple[tuple[str, bool, str], ...] = (
    ("batch_eval_metrics", True, "the metrics are computed over all examples: leave it out"),
    ("eval_do_concat_batches", False, "the metrics are computed over all examples: leave it out"),
)

# The keys of ``optim_args`` that transformers reads for an optimizer. It ignores all others without a message.
_OPTIMIZER_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "adamw_torch": (),
    "adamw_torch_fused": (),
    "adafactor": (),
    "sgd": ("momentum", "dampening", "weight_decay", "nesterov"),
    "adagrad": ("lr_decay", "weight_decay", "eps"),
    "rmsprop": ("momentum", "alpha", "eps", "weight_decay", "centered"),
}


def check_combinations(values: Values, defaults: Callable[[str], Any]) -> None:
    """Raise `StrategyError` for flags that do not go together; ``defaults`` returns the default of a flag."""
    for mistake in _mistakes(values, defaults):
        raise StrategyError(mistake)


def _mistakes(values: Values, defaults: Callable[[str], Any]) -> Iterator[str]:
    for flag, needed, remedy in _NEEDS:
        given = values.get(flag)
        if given is not None and given != defaults(flag) and not values.get(needed):
            yield f"{flag}={given!r} has no effect without {needed}: {remedy}"
    for flag, value, reason in _IMPOSSIBLE:
        if values.get(flag) is value:
            yield f"{flag}={value} is not possible here, because {reason}"
    yield from _mistakes_of_precision(values)
    yield from _mistakes_of_evaluation(values)
    yield from _mistakes_of_optimizer(values)


def _mistakes_of_precision(values: Values) -> Iterator[str]:
    for one, other in (("fp16", "bf16"), ("fp16_full_eval", "bf16_full_eval")):
        if values.get(one) and values.get(other):
            yield f"{one}=True with {other}=True: give one of them"


def _mistakes_of_evaluation(values: Values) -> Iterator[str]:
    if values.get("prediction_loss_only") and values.get("do_predict"):
        yield "prediction_loss_only=True leaves no predictions of the test set: leave it out, or --do_predict false"
    evaluates, saves = (_choice_name(values.get(name)) for name in ("eval_strategy", "save_strategy"))
    schedule = _choice_name(values.get("lr_scheduler_type"))
    if schedule in ("reduce_lr_on_plateau", "greedy") and evaluates == "no":
        yield f"lr_scheduler_type={schedule!r} with eval_strategy='no' has nothing to watch: give epoch or steps"
    if saves == "best" and values.get("metric_for_best_model") is None:
        yield "save_strategy='best' needs metric_for_best_model, which says what is best: give such as loss"
    if not values.get("load_best_model_at_end") or saves == "best":
        return
    if evaluates != saves:
        yield (
            f"load_best_model_at_end=True with eval_strategy={evaluates!r} and save_strategy={saves!r}: give the same"
            " for both, or --save_strategy best"
        )
    every, save_every = values.get("eval_steps"), values.get("save_steps")
    if evaluates == saves == "steps" and every and save_every and every >= 1 and save_every % every:
        yield (
            f"save_steps={save_every:g} with eval_steps={every:g} and load_best_model_at_end=True: give a multiple of"
            " eval_steps, so that each saved model has been evaluated"
        )


def _mistakes_of_optimizer(values: Values) -> Iterator[str]:
    optimizer, modules = _choice_name(values.get("optim")), values.get("optim_target_modules")
    for part in (values.get("optim_args") or "").replace(" ", "").split(","):
        key = part.partition("=")[0]
        if key and key not in (known := _OPTIMIZER_ARGUMENTS.get(optimizer, (key,))):
            yield f"optim_args={part!r} has no effect with optim={optimizer!r}: {did_you_mean(key, known)}"
    by_module = optimizer.startswith(("galore", "apollo"))
    if modules is not None and not by_module:
        yield f"optim_target_modules={modules!r} has no effect with optim={optimizer!r}: leave it out"
    if modules is None and by_module:
        yield f"optim={optimizer!r} needs optim_target_modules: give such as 'attention', or all-linear"


def _choice_name(value: object) -> str:
    """Return the name of a choice, which may be a member of an enumeration."""
    return str(getattr(value, "value", value))
