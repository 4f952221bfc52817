"""The tables of curves, the built-in ones and those that users add."""

from collections.abc import Mapping
from types import MappingProxyType

from hf_strategies.schedules.curve import Shape
from hf_strategies.schedules.decays import BUILT_IN_DECAYS
from hf_strategies.schedules.warmups import BUILT_IN_WARMUPS

__all__ = ["DECAYS", "DECAY_ROWS", "WARMUPS", "WARMUP_ROWS"]

# Only the registry writes to these two.
WARMUP_ROWS: dict[str, Shape] = {row.name: row for row in BUILT_IN_WARMUPS}
DECAY_ROWS: dict[str, Shape] = {row.name: row for row in BUILT_IN_DECAYS}

WARMUPS: Mapping[str, Shape] = MappingProxyType(WARMUP_ROWS)
DECAYS: Mapping[str, Shape] = MappingProxyType(DECAY_ROWS)
