"""Learning-rate schedules as pure functions of the optimizer step; needs neither torch nor transformers."""

from hf_strategies.lengths import to_steps
from hf_strategies.schedules.curve import Shape
from hf_strategies.schedules.parameters import Choice, Length, Milestones, Real
from hf_strategies.schedules.plans import GridPlan, Plan
from hf_strategies.schedules.register import register_decay, register_schedule, register_warmup
from hf_strategies.schedules.registry import SCHEDULES, find_plan, load_entry_points
from hf_strategies.schedules.schedule import Schedule, schedule
from hf_strategies.schedules.tables import DECAYS, WARMUPS

__all__ = [
    "DECAYS",
    "SCHEDULES",
    "WARMUPS",
    "Choice",
    "GridPlan",
    "Length",
    "Milestones",
    "Plan",
    "Real",
    "Schedule",
    "Shape",
    "find_plan",
    "load_entry_points",
    "register_decay",
    "register_schedule",
    "register_warmup",
    "schedule",
    "to_steps",
]
