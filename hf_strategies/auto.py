"""``import hf_strategies.auto`` makes every schedule's name valid wherever ``lr_scheduler_type`` is."""

import hf_strategies.trainer  # noqa: F401  its import registers the names
