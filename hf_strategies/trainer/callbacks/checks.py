"""Checks when training begins: does it have what the stopping rule needs, and do the callbacks fit together."""

import math
from collections.abc import Mapping
from typing import Any

from torch import nn
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy, has_length

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import Span
from hf_strategies.pytorch.lr_scheduler import ScheduleLR
from hf_strategies.stopping import StoppingRule
from hf_strategies.stopping.condition import calls

__all__ = ["check_needs", "refuse_epochs", "refuse_idle", "refuse_other_restorer", "steps_per_epoch", "warmup_end"]


def check_needs(
    rule: StoppingRule,
    args: TrainingArguments,
    state: TrainerState,
    event: Mapping[str, Any],
    trainer: Trainer | None,
) -> None:
    """Raise `StrategyError` if the training does not log or count what a criterion of the rule needs.

    ``event`` has the keywords of `on_train_begin`.
    """
    _check_lengths(rule, event.get("train_dataloader"))
    criteria = [call.criterion for call in calls(rule.condition)]
    needing_loss = [criterion.name for criterion in criteria if criterion.needs_train_loss]
    if needing_loss and _logs_too_seldom(args, state):
        raise StrategyError(
            f"{needing_loss[0]} needs a training loss for each evaluation: log at least as often as you evaluate"
            f" (logging_strategy={str(args.logging_strategy)!r}, logging_steps={args.logging_steps:g})"
        )
    criterion_of = {criterion.resource: criterion.name for criterion in reversed(criteria)}
    if "tokens" in criterion_of and str(args.include_num_input_tokens_seen).lower() in ("no", "false"):
        raise StrategyError(
            f"{criterion_of['tokens']} has no tokens to count with include_num_input_tokens_seen="
            f"{args.include_num_input_tokens_seen!r}: set it to 'non_padding' or 'all'"
        )
    if "flos" in criterion_of:
        _check_operations(criterion_of["flos"], event["model"], trainer)


def _check_lengths(rule: StoppingRule, loader: object) -> None:
    """Raise `StrategyError` if a length of the rule, or of one of its criteria, is in epochs that are not known."""
    refuse_epochs("start_from", rule.start_from, loader)
    for call in calls(rule.condition):
        for name, value in call.parameters.items():
            if isinstance(value, Span):
                refuse_epochs(name, value, loader)


def _check_operations(name: str, model: nn.Module, trainer: Trainer | None) -> None:
    """Raise `StrategyError` if nothing counts floating-point operations for the criterion ``name``."""
    if not (hasattr(model, "num_parameters") or hasattr(model, "floating_point_ops")):
        raise StrategyError(
            f"{name}: {type(model).__name__} has no num_parameters(), with which the Trainer counts: take"
            " time_budget, or a model of transformers"
        )
    if trainer is None:
        raise StrategyError(f"{name}: only a Trainer counts operations, and none was found: take time_budget")


def steps_per_epoch(args: TrainingArguments, loader: Any) -> int | None:
    """Return the optimizer steps of an epoch, counted as the Trainer counts them; None for data without a length."""
    return max(1, math.ceil(len(loader) / args.gradient_accumulation_steps)) if has_length(loader) else None


def warmup_end(scheduler: Any, args: TrainingArguments, max_steps: int) -> int:
    """Return the number of steps of the warmup; ``scheduler`` is without accelerate's wrappers."""
    if isinstance(scheduler, ScheduleLR):
        return scheduler.schedule.warmup_steps
    return int(args.get_warmup_steps(max_steps))


def refuse_epochs(name: str, span: Span, loader: object) -> None:
    """Raise `StrategyError` if ``span`` counts epochs of data without a length.

    For such data the Trainer counts the whole training as one epoch. ``loader`` is the loader of the training
    batches. Nothing is raised if it is None, because a loop that calls the events by itself counts its own epochs.
    """
    if span.unit == "epochs" and loader is not None and not has_length(loader):
        raise StrategyError(
            f"{name}={span!r} counts epochs, and the training data have no length, so that an epoch is not known:"
            " give it in steps, such as '500 steps', or as a fraction of training"
        )


def _logs_too_seldom(args: TrainingArguments, state: TrainerState) -> bool:
    """Whether an evaluation may have no new training loss in the log."""
    if args.logging_strategy == IntervalStrategy.NO:
        return True
    both_by_steps = args.logging_strategy == args.eval_strategy == IntervalStrategy.STEPS
    return both_by_steps and state.logging_steps > state.eval_steps


def refuse_idle(name: str, value: object, default: object, why: str) -> None:
    """Raise `StrategyError` for a setting that was given and would have no effect; ``why`` has the remedy too.

    >>> refuse_idle("factor", 0.1, 0.1, "without stages: set that too")
    """
    if value != default:
        raise StrategyError(f"{name}={value!r} has no effect {why}")


def refuse_other_restorer(trainer: Trainer | None, callback: TrainerCallback, kind: type[TrainerCallback]) -> None:
    """Raise `StrategyError` if another callback, of class ``kind``, would restore other weights than ``callback``.

    The attribute ``restores`` of a callback is the name of the weights that it restores, or None. Two callbacks with
    the same name restore the same weights.
    """
    own = getattr(callback, "restores", None)
    for other in trainer.callback_handler.callbacks if trainer and own else ():
        if isinstance(other, kind) and getattr(other, "restores", None) not in (None, own):
            raise StrategyError(
                f"{type(callback).__name__} and {type(other).__name__} would both restore weights, of different best"
                " evaluations: set restore_best_weights=False on one"
            )
