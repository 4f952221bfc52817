"""Callbacks that would get into each other's way."""

import hashlib
from urllib.parse import quote

from torch import nn
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.stopping import Judgement, StoppingRule
from hf_strategies.stopping.condition import calls
from hf_strategies.stopping.criteria.table import CRITERIA
from hf_strategies.trainer.best_weights.keeper import WHERE

__all__ = [
    "check_logged",
    "check_needs",
    "keeper_name",
    "read_place",
    "read_rule",
    "read_switch",
    "refuse_other_restorer",
]


def refuse_other_restorer(trainer: Trainer | None, callback: TrainerCallback, kind: type[TrainerCallback]) -> None:
    """Raise `StrategyError` if another callback, of a kind, restores its best weights over those of ``callback``.

    Those that restore have the name of what they restore in ``restores``; two of the same name agree.
    """
    own = getattr(callback, "restores", None)
    for other in trainer.callback_handler.callbacks if trainer and own else ():
        if isinstance(other, kind) and getattr(other, "restores", None) not in (None, own):
            raise StrategyError(
                f"{type(callback).__name__} and {type(other).__name__} would both restore weights, of different best"
                " evaluations: set restore_best_weights=False on one"
            )


def read_rule(
    monitor: object,
    stop_when: object,
    patience: object,
    baseline: object,
    mode: str | None,
    **settings: object,
) -> StoppingRule:
    """Read a rule from criteria, or from a patience; raises `StrategyError` for both and for a bad one."""
    if stop_when is None:
        span = CRITERIA["patience"].parameters["patience"].read("patience", 3 if patience is None else patience)
        past = CRITERIA["patience"].parameters["baseline"].read("baseline", baseline)
        stop_when = f"patience({span!r}, baseline={past!r})"
    else:
        for name, value in (("patience", patience), ("baseline", baseline)):
            if value is not None:
                raise StrategyError(
                    f"{name}={value!r} and stop_when={stop_when!r} are both given: write it into stop_when, such as"
                    f" stop_when='patience(3) or ...'"
                )
    return StoppingRule.read(monitor, stop_when, mode, **settings)


def check_needs(
    rule: StoppingRule, args: TrainingArguments, state: TrainerState, model: nn.Module, trainer: Trainer | None
) -> None:
    """Raise `StrategyError` if the training does not log or count what a criterion looks at."""
    needs_loss = [call.criterion.name for call in calls(rule.condition) if call.criterion.needs_train_loss]
    if needs_loss and _logs_too_seldom(args, state):
        raise StrategyError(
            f"{needs_loss[0]} needs a training loss for each evaluation: log at least as often as you evaluate"
            f" (logging_strategy={str(args.logging_strategy)!r}, logging_steps={args.logging_steps:g})"
        )
    if "tokens" in rule.meters and str(args.include_num_input_tokens_seen).lower() in ("no", "false"):
        raise StrategyError(
            "token_budget has no tokens to count with include_num_input_tokens_seen="
            f"{args.include_num_input_tokens_seen!r}: set it to 'non_padding' or 'all'"
        )
    if "flos" in rule.meters and not (hasattr(model, "num_parameters") or hasattr(model, "floating_point_ops")):
        raise StrategyError(
            f"flop_budget: {type(model).__name__} has no num_parameters(), with which the Trainer counts: take"
            " time_budget, or a model of transformers"
        )
    if "flos" in rule.meters and trainer is None:
        raise StrategyError("flop_budget: only a Trainer counts operations, and none was found: take time_budget")


def read_switch(name: str, value: object) -> bool:
    """Check a yes or no: a text such as "no" would count as yes."""
    if not isinstance(value, bool):
        raise StrategyError(f"{name}={value!r} is neither True nor False: give one of them")
    return value


def check_logged(judgement: Judgement, state: TrainerState) -> None:
    """Raise `StrategyError` if the evaluation just made is not in the log, out of which it is judged."""
    if not judgement.history or judgement.history[-1].step != state.global_step:
        raise StrategyError(
            f"the metrics of the evaluation at step {state.global_step} are not in state.log_history as numbers: a"
            " loop that calls the events by itself has to write them there first, with 'step' and 'epoch'"
        )


def read_place(name: str, value: str) -> str:
    """Check where the best weights shall be kept."""
    if not isinstance(value, str) or value not in WHERE:
        raise StrategyError(f"{name}={value!r} is no place for the best weights: {did_you_mean(str(value), WHERE)}")
    return value


def keeper_name(rule: StoppingRule) -> str:
    """Return the name of the files of best weights: one for each way of finding the best."""
    view = rule.watched
    ways = f"{view.metric.text} {view.mode} {view.smoothing} {view.improvement} {rule.start_from}"
    return f"best_weights-{quote(rule.monitor, safe='')[:60]}-{hashlib.sha256(ways.encode()).hexdigest()[:8]}"


def _logs_too_seldom(args: TrainingArguments, state: TrainerState) -> bool:
    if args.logging_strategy == IntervalStrategy.NO:
        return True
    steps = args.logging_strategy == args.eval_strategy == IntervalStrategy.STEPS
    return steps and state.logging_steps > state.eval_steps
