"""``import hf_strategies.auto`` makes every schedule's name valid wherever ``lr_scheduler_type`` is.

Also those that other installed packages contribute by an entry point.
"""

from hf_strategies.schedules import load_entry_points
from hf_strategies.trainer.registration import register_schedules

load_entry_points()
register_schedules()
