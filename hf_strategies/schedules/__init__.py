"""Learning-rate schedules as pure functions of the optimizer step; needs neither torch nor transformers."""

from hf_strategies.schedules.grid import SCHEDULES, Blueprint, Schedule, blueprint, schedule
from hf_strategies.schedules.shapes import DECAYS, WARMUPS, Shape
from hf_strategies.schedules.units import to_steps

__all__ = [
    "DECAYS",
    "SCHEDULES",
    "WARMUPS",
    "Blueprint",
    "Schedule",
    "Shape",
    "blueprint",
    "schedule",
    "to_steps",
]
