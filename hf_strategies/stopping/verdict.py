"""The verdict of a stop criterion on the bare values of a metric, without a log or a Trainer."""

from collections.abc import Sequence
from dataclasses import dataclass

from hf_strategies.errors import StrategyError
from hf_strategies.stopping.rule import StoppingRule

__all__ = ["Verdict", "verdict"]


@dataclass(frozen=True)
class Verdict:
    """What a criterion decides about the values of a metric; there is one value for each evaluation.

    ``stop_index`` is the index of the evaluation at which training stops (None: it goes on), ``best_index`` that of
    the best evaluation up to the stop (None: no value was finite), and ``waited`` the number of evaluations after
    the best, up to the stop.
    """

    stop_index: int | None
    best_index: int | None
    waited: int

    @property
    def should_stop(self) -> bool:
        """Whether training stops at one of the values."""
        return self.stop_index is not None


def verdict(
    values: Sequence[float], stop_when: object = "patience(3)", *, mode: str = "min", **settings: object
) -> Verdict:
    """Judge the values of a metric in the way `EarlyStopping` judges the evaluations of a training.

    ``stop_when`` and ``settings`` (``min_delta``, ``smoothing``, ...) are those of `StoppingRule.read`. Value k,
    counted from 1, is at step and epoch k, and training is planned to be as long as ``values``. Without any values
    training goes on. A criterion that needs anything else than this metric raises `StrategyError`.

    >>> verdict([1.0, 0.8, 0.9, 0.85, 0.7], "patience(2)")
    Verdict(stop_index=3, best_index=1, waited=2)
    >>> verdict([0.5, 0.6, 0.92], "patience(2) or target(0.9)", mode="max").stop_index
    2
    """
    rule = StoppingRule.read("value", stop_when, mode, **settings)
    _check_needs_values_only(rule, stop_when)
    numbers = [_number(index, value) for index, value in enumerate(values)]
    log = [{"eval_value": value, "step": index + 1, "epoch": index + 1.0} for index, value in enumerate(numbers)]
    judgement = rule.judge(log, total_steps=max(1, len(log)))
    return Verdict(judgement.stop_index, judgement.best_index, judgement.waited)


def _check_needs_values_only(rule: StoppingRule, stop_when: object) -> None:
    for name in rule.names:
        if name != "eval_value":
            raise StrategyError(
                f"stop_when={stop_when!r} looks at {name}, and there are only the bare values: leave it out"
            )
    if rule.budgets:
        raise StrategyError(f"stop_when={stop_when!r} has a budget, and there are only the bare values: leave it out")


def _number(index: int, value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise StrategyError(f"values[{index}]={value!r} is not a number: give the metric's values") from None
