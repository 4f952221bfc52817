"""The part of the package that uses accelerate and transformers.

Importing anything from here registers the name of every schedule as a value of ``lr_scheduler_type``, including the
schedules that other installed packages contribute by an entry point.
"""

from hf_strategies.schedules import load_entry_points
from hf_strategies.trainer.lr.registration import register_schedules

load_entry_points()
register_schedules()
