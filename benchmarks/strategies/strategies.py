"""The strategies that the benchmark compares. A new one is one function and one row of ``STRATEGIES``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

BUDGETS = (1, 2, 4, 8, 16)
"""Epochs of the sweep that a user would run; its sum is what the sweep costs."""
GENEROUS = 20
"""Epochs that stopping strategies may use."""
PATIENCE = 4
"""Evaluations without improvement until early stopping stops: two epochs."""


@dataclass(frozen=True)
class Plan:
    """What a strategy asks of the Trainer: options of TrainingArguments, and callbacks."""

    options: dict[str, Any]
    callbacks: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Strategy:
    """A strategy: ``plan`` makes it for a metric of the task, which is to be as high as can be.

    ``epochs`` is its budget. Rows of the group ``"linear"`` and ``"cosine"`` are the budgets of a sweep; they end
    with their last weights, and the best ones are measured beside them. All others end with the best.
    """

    name: str
    group: str
    epochs: int
    plan: Callable[[str], Plan]
    description: str

    @property
    def is_swept(self) -> bool:
        """Whether it is one budget of a sweep."""
        return self.group in SWEEPS


SWEEPS = ("linear", "cosine")


def fixed(schedule: str, metric: str) -> Plan:
    """Let the schedule run over the whole budget."""
    return Plan({"lr_scheduler_type": schedule})


def stopped_by_transformers(schedule: str, monitor: str | None, metric: str) -> Plan:
    """Stop by transformers' EarlyStoppingCallback; it needs checkpoints to go back to the best."""
    from transformers import EarlyStoppingCallback

    options = {
        "lr_scheduler_type": schedule,
        "load_best_model_at_end": True,
        "metric_for_best_model": f"eval_{monitor or metric}",
        "greater_is_better": monitor is None,
        "save_strategy": "steps",
        "save_total_limit": 1,
        "save_only_model": True,
    }
    return Plan(options, [EarlyStoppingCallback(early_stopping_patience=PATIENCE)])


def stopped_by_us(schedule: str, monitor: str | None, metric: str) -> Plan:
    """Stop by our EarlyStopping, which keeps the best weights in memory."""
    from hf_strategies import EarlyStopping

    stopping = EarlyStopping(monitor=monitor or metric, patience=PATIENCE, mode="min" if monitor else "max")
    return Plan({"lr_scheduler_type": schedule}, [stopping])


def cooled_down(monitor: str | None, options: Mapping[str, Any], metric: str) -> Plan:
    """Hold the learning rate until ``monitor`` (the metric if None) stalls, then cool down and stop."""
    from hf_strategies import PlateauCooldown

    callback = PlateauCooldown(monitor=monitor or metric, mode="min" if monitor else "max", **options)
    return Plan({"lr_scheduler_type": "linear_warmup_plateau_cooldown"}, [callback])


def _sweep(group: str) -> list[Strategy]:
    return [
        Strategy(f"{group}_{epochs}", group, epochs, partial(fixed, group), f"stock {group} over {epochs} epochs")
        for epochs in BUDGETS
    ]


def _stops(name: str, group: str, plan: Callable[[str], Plan], description: str) -> Strategy:
    return Strategy(name, group, GENEROUS, plan, description)


def _cooldown(name: str, monitor: str | None = None, **options: Any) -> Strategy:
    described = ", ".join(f"{key}={value}" for key, value in options.items())
    return _stops(name, "ours", partial(cooled_down, monitor, options), f"plateau, cooldown {described}".rstrip())


_CONSTANT = "constant_with_warmup"

# The order is that in which they run.
STRATEGIES: Mapping[str, Strategy] = {
    row.name: row
    for row in (
        *_sweep("linear"),
        _stops("linear_stop", "stop", partial(stopped_by_transformers, "linear", None), "EarlyStoppingCallback"),
        _stops("constant_stop", "stop", partial(stopped_by_us, _CONSTANT, None), "EarlyStopping, constant rate"),
        _cooldown("cooldown"),
        _cooldown("cooldown_0.3", cooldown=0.3),
        _cooldown("cooldown_0.2", cooldown=0.2),
        _cooldown("cooldown_metric", patience=3, cooldown=0.5),
        _cooldown("cooldown_loss", "loss", patience=2, cooldown=0.5),
        *_sweep("cosine"),
        _stops("cosine_stop", "more", partial(stopped_by_transformers, "cosine", None), "EarlyStoppingCallback"),
        _stops("linear_stop_loss", "more", partial(stopped_by_transformers, "linear", "loss"), "... by the loss"),
        _stops("constant_stop_loss", "more", partial(stopped_by_us, _CONSTANT, "loss"), "... by the loss"),
    )
}

GROUPS: Mapping[str, tuple[str, ...]] = {
    "baselines": ("linear", "stop"),
    "ours": ("ours",),
    "more": ("cosine", "more"),
}
"""What ``--strategies`` also takes: several rows by one name."""
