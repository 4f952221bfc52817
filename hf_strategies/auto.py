"""``import hf_strategies.auto`` makes every schedule's name valid wherever ``lr_scheduler_type`` is."""

from hf_strategies.trainer.registration import register_schedules

register_schedules()
