"""``import hf_strategies.auto`` makes every schedule's name valid in ``lr_scheduler_type``."""

import hf_strategies.trainer  # noqa: F401  importing it registers the names
