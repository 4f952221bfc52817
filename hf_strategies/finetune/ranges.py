"""The ranges of the recipes' flags: one row for each number, checked before anything is loaded."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_strategies.errors import StrategyError, short

__all__ = ["RANGES", "Range", "check_ranges"]

_MANY = 2**31 - 1
_MOST_STEPS = 10**12
_MOST_PROCESSES = 512


@dataclass(frozen=True)
class Range:
    """The numbers that a flag takes: from ``low`` to ``high``, without the bounds that are ``open``.

    From ``whole_from`` on only whole numbers are in the range. ``also`` is a number outside of it that is allowed.
    ``remedy`` is the end of the message for any other number.
    """

    low: float
    high: float
    remedy: str
    open_low: bool = False
    open_high: bool = False
    whole_from: float = math.inf
    also: float | None = None

    def holds(self, value: float) -> bool:
        """Return whether a number is in the range."""
        if value == self.also:
            return True
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below and (value < self.whole_from or value == int(value))


def _count(low: int = 1, high: int = _MANY, *, more: str = "") -> Range:
    """Return the range of a whole number."""
    words = f"of at least {low}" if high >= _MANY else f"from {low} to {high}"
    return Range(low, high, f"a whole number {words}{more}")


def _length(remedy: str, *, zero: bool = False) -> Range:
    """Return the range of a number of steps that may be given as a fraction of training."""
    return Range(0, _MOST_STEPS, remedy, open_low=not zero, whole_from=1)


def _share(low: float = 0, *, open_low: bool = False, more: str = "") -> Range:
    """Return the range of a share of a whole, which is below 1."""
    return Range(low, 1, f"a number in {'(' if open_low else '['}0, 1){more}", open_low=open_low, open_high=True)


_INTERVAL = "a whole number of steps, or a fraction of training in (0, 1)"
_SEED = _count(0, 2**32 - 1)  # NumPy takes no larger one
_SAMPLES = _count(1, _MOST_STEPS, more=", or leave it out to use all")
_RATE = Range(0, 1000, "a number above 0, such as 5e-5", open_low=True)

RANGES: Mapping[str, Range] = {
    # data
    "validation_fraction": _share(open_low=True, more=", such as 0.1"),
    "folds": _count(2, 1000, more=", such as 5"),
    "fold": _count(0, 999),
    "max_train_samples": _SAMPLES,
    "max_eval_samples": _SAMPLES,
    "max_test_samples": _SAMPLES,
    "preprocessing_num_workers": _count(1, _MOST_PROCESSES),
    "doc_stride": _count(0),
    "max_answer_length": _count(),
    "n_best": _count(1, 1000),
    "null_threshold": Range(-1e9, 1e9, "a number such as 0"),
    "mlm_probability": _share(open_low=True, more=", such as 0.15"),
    "block_size": _count(8),
    # model
    "max_length": _count(3),
    "lora_r": _count(1, 65_536, more=", such as 8"),
    "lora_alpha": Range(0, 1e6, "a number above 0, such as 16", open_low=True),
    "lora_dropout": _share(more=", such as 0.1"),
    "neftune_noise_alpha": Range(0, 1e6, "a number above 0, such as 5", open_low=True),
    # optimization
    "learning_rate": _RATE,
    "head_learning_rate": _RATE,
    "per_device_train_batch_size": _count(),
    "per_device_eval_batch_size": _count(),
    "gradient_accumulation_steps": _count(),
    "length_pool": _count(1, more=", such as 8"),
    "num_train_epochs": Range(0, 1e9, "a number above 0, such as 3", open_low=True),
    "max_steps": Range(
        1, _MOST_STEPS, "a whole number of at least 1, or -1 to train for num_train_epochs", whole_from=1, also=-1
    ),
    "warmup_steps": _length("whole steps, or a fraction in [0, 1)", zero=True),
    "weight_decay": Range(0, 1000, "0 or a little more, such as 0.01"),
    "adam_beta1": _share(more=", such as 0.9"),
    "adam_beta2": _share(more=", such as 0.999"),
    "adam_epsilon": Range(0, 1, "a small number above 0, such as 1e-8", open_low=True),
    "max_grad_norm": Range(0, 1e9, "a number such as 1, or 0 to clip nothing"),
    "label_smoothing_factor": _share(more=", such as 0.1"),
    # how often
    "logging_steps": _length(_INTERVAL),
    "eval_steps": _length(_INTERVAL),
    "save_steps": _length(_INTERVAL),
    "eval_delay": Range(0, _MOST_STEPS, "a number of epochs or steps, 0 or more"),
    "eval_accumulation_steps": _count(),
    "torch_empty_cache_steps": _count(),
    "save_total_limit": _count(0, more=" (0 keeps all checkpoints)"),
    # machine
    "seed": _SEED,
    "data_seed": _SEED,
    "dataloader_num_workers": _count(0, _MOST_PROCESSES),
    "dataloader_prefetch_factor": _count(1, 10_000),
    "ddp_bucket_cap_mb": _count(1, 1_000_000),
    "ddp_timeout": _count(1, 10**9, more=" (seconds)"),
    "local_rank": _count(-1, 65_535),
}
"""The range of each flag that takes a number and has no check of its own elsewhere."""


def check_ranges(values: Mapping[str, Any]) -> None:
    """Raise `StrategyError` for the first of the ``values`` that is not in the range of its flag; None is unset."""
    for name, value in values.items():
        row = RANGES.get(name)
        if row is None or value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise StrategyError(f"{name}={short(repr(value))} is not a number: give {row.remedy}")
        if not math.isfinite(value):
            raise StrategyError(f"{name}={value} is not finite: give {row.remedy}")
        if not row.holds(value):
            remedy = f"at most {row.high:.0f}" if value > row.high >= _MANY else row.remedy
            raise StrategyError(f"{name}={value} is out of range: give {remedy}")
