"""What a training needs for a stopping rule, and which callbacks cannot be used together."""

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
    """Raise `StrategyError` if the training does not log or count what a criterion needs."""
    criteria = [call.criterion for call in calls(rule.condition)]
    needs_loss = [criterion.name for criterion in criteria if criterion.needs_train_loss]
    if needs_loss and _logs_too_seldom(args, state):
        raise StrategyError(
            f"{needs_loss[0]} needs a training loss for each evaluation: log at least as often as you evaluate"
            f" (logging_strategy={str(args.logging_strategy)!r}, logging_steps={args.logging_steps:g})"
        )
    spends = {criterion.resource: criterion.name for criterion in reversed(criteria)}
    if "tokens" in spends and str(args.include_num_input_tokens_seen).lower() in ("no", "false"):
        raise StrategyError(
            f"{spends['tokens']} has no tokens to count with include_num_input_tokens_seen="
            f"{args.include_num_input_tokens_seen!r}: set it to 'non_padding' or 'all'"
        )
    if "flos" in spends:
        _check_operations(spends["flos"], model, trainer)


def _check_operations(name: str, model: nn.Module, trainer: Trainer | None) -> None:
    if not (hasattr(model, "num_parameters") or hasattr(model, "floating_point_ops")):
        raise StrategyError(
            f"{name}: {type(model).__name__} has no num_parameters(), with which the Trainer counts: take"
            " time_budget, or a model of transformers"
        )
    if trainer is None:
        raise StrategyError(f"{name}: only a Trainer counts operations, and none was found: take time_budget")


def check_logged(judgement: Judgement, state: TrainerState) -> None:
    """Raise `StrategyError` if the evaluation just made is not in the log, out of which it is judged."""
    if not judgement.history or judgement.history[-1].step != state.global_step:
        raise StrategyError(
            f"the metrics of the evaluation at step {state.global_step} are not in state.log_history as numbers: a"
            " loop that calls the events by itself has to write them there first, with 'step' and 'epoch'"
        )


def _logs_too_seldom(args: TrainingArguments, state: TrainerState) -> bool:
    if args.logging_strategy == IntervalStrategy.NO:
        return True
    steps = args.logging_strategy == args.eval_strategy == IntervalStrategy.STEPS
    return steps and state.logging_steps > state.eval_steps


def refuse_other_restorer(trainer: Trainer | None, callback: TrainerCallback, kind: type[TrainerCallback]) -> None:
    """Raise `StrategyError` if another callback of class ``kind`` would restore other weights than ``callback``.

    A callback that restores weights has their name in ``restores``. Two with the same name restore the same weights.
    """
    own = getattr(callback, "restores", None)
    for other in trainer.callback_handler.callbacks if trainer and own else ():
        if isinstance(other, kind) and getattr(other, "restores", None) not in (None, own):
            raise StrategyError(
                f"{type(callback).__name__} and {type(other).__name__} would both restore weights, of different best"
                " evaluations: set restore_best_weights=False on one"
            )
