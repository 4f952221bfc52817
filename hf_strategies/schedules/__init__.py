"""Learning-rate schedules as pure functions of the optimizer step, without torch and transformers."""

from hf_strategies.lengths import to_steps
from hf_strategies.schedules.decays import DECAYS
from hf_strategies.schedules.parameters import Choice, Length, Milestones, Real
from hf_strategies.schedules.plans import Curve, Plan, WarmupDecayPlan
from hf_strategies.schedules.register import register_decay, register_schedule, register_warmup
from hf_strategies.schedules.registry import SCHEDULES, find_plan, load_entry_points
from hf_strategies.schedules.schedule import Schedule, schedule
from hf_strategies.schedules.warmups import WARMUPS

__all__ = [
    "DECAYS",
    "SCHEDULES",
    "WARMUPS",
    "Choice",
    "Curve",
    "Length",
    "Milestones",
    "Plan",
    "Real",
    "Schedule",
    "WarmupDecayPlan",
    "find_plan",
    "load_entry_points",
    "register_decay",
    "register_schedule",
    "register_warmup",
    "schedule",
    "to_steps",
]
