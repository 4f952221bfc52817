"""Checks when training begins: does it have what the stopping rule needs, and do the callbacks fit together."""

from torch import nn
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from hf_strategies.errors import StrategyError
from hf_strategies.stopping import Judgement, StoppingRule
from hf_strategies.stopping.condition import calls

__all__ = ["check_logged", "check_needs", "refuse_other_restorer"]


def check_needs(
    rule: StoppingRule, args: TrainingArguments, state: TrainerState, model: nn.Module, trainer: Trainer | None
) -> None:
    """Raise `StrategyError` if the training does not log or count what a criterion of the rule needs."""
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
        _check_operations(criterion_of["flos"], model, trainer)


def _check_operations(name: str, model: nn.Module, trainer: Trainer | None) -> None:
    """Raise `StrategyError` if nothing counts floating-point operations for the criterion ``name``."""
    if not (hasattr(model, "num_parameters") or hasattr(model, "floating_point_ops")):
        raise StrategyError(
            f"{name}: {type(model).__name__} has no num_parameters(), with which the Trainer counts: take"
            " time_budget, or a model of transformers"
        )
    if trainer is None:
        raise StrategyError(f"{name}: only a Trainer counts operations, and none was found: take time_budget")


def check_logged(judgement: Judgement, state: TrainerState) -> None:
    """Raise `StrategyError` if the evaluation just made is not in the log, which the judgement is made from."""
    if not judgement.history or judgement.history[-1].step != state.global_step:
        raise StrategyError(
            f"the metrics of the evaluation at step {state.global_step} are not in state.log_history as numbers: a"
            " loop that calls the events by itself has to write them there first, with 'step' and 'epoch'"
        )


def _logs_too_seldom(args: TrainingArguments, state: TrainerState) -> bool:
    """Whether an evaluation may have no new training loss in the log."""
    if args.logging_strategy == IntervalStrategy.NO:
        return True
    both_by_steps = args.logging_strategy == args.eval_strategy == IntervalStrategy.STEPS
    return both_by_steps and state.logging_steps > state.eval_steps


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
