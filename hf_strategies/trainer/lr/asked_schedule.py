"""The schedule that the arguments of a Trainer ask for, in words, and as a curve if it is one of transformers."""

from transformers import TrainingArguments
from transformers.trainer_utils import SchedulerType

from hf_strategies.errors import StrategyError
from hf_strategies.schedules.schedule import Schedule, build
from hf_strategies.schedules.stock import STOCK, find_any_plan

__all__ = ["asked_schedule", "schedule_text"]


def asked_schedule(args: TrainingArguments, steps: int) -> tuple[Schedule, float] | None:
    """Return the schedule of transformers that a training of ``steps`` has, and its peak; None for any other one.

    The state of a run has the schedules of this package, and nothing of those of transformers.
    """
    name, peak = SchedulerType(args.lr_scheduler_type).value, float(args.learning_rate or 0.0)
    kwargs = args.lr_scheduler_kwargs or {}
    if name not in STOCK or not isinstance(kwargs, dict):
        return None
    plan = find_any_plan(name, peak)
    warmup = args.get_warmup_steps(steps) if plan.has_warmup else 0
    try:
        return build(plan, kwargs, total_steps=steps, warmup_steps=warmup), peak
    except StrategyError:  # transformers takes some settings that make no sense, and the figure then shows the log
        return None


def schedule_text(args: TrainingArguments) -> str:
    """Return the name of the schedule, its peak and its warmup, as a line for a figure or a card."""
    name = SchedulerType(args.lr_scheduler_type).value
    return f"{name}, peak {args.learning_rate:g}, warmup_steps={args.warmup_steps:g}"
