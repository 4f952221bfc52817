"""The edge: all that touches accelerate and transformers.

Whatever is imported from here, every schedule's name is valid from then on wherever ``lr_scheduler_type`` is, those
included that other installed packages contribute by an entry point.
"""

from hf_strategies.schedules import load_entry_points
from hf_strategies.trainer.lr.registration import register_schedules

load_entry_points()
register_schedules()
