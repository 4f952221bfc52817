"""Decays: the ratio of the peak after ``step`` of the ``steps`` that follow the warmup; floor is ``min_lr_ratio``."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from types import MappingProxyType

from hf_strategies.schedules.cooldowns import COOLDOWNS, check_cooldown, cosine_constant, power_cooldown, stable
from hf_strategies.schedules.cycles import cosine_restarts, triangular
from hf_strategies.schedules.falls import cosine, exponential, linear, polynomial, rex, sqrt, tanh
from hf_strategies.schedules.parameters import Choice, Length, Milestones, Real
from hf_strategies.schedules.plans import Curve

__all__ = ["DECAYS", "DECAY_ROWS", "constant", "inverse_sqrt", "multi_step", "step_down"]


def constant(step: float, steps: int) -> float:
    """Stay at the peak: return 1 at every step."""
    return 1.0


def step_down(step: float, steps: int, *, gamma: float, step_size: int, min_lr_ratio: float) -> float:
    """Fall by the factor ``gamma`` every ``step_size`` steps: ``max(floor, gamma ** (step // step_size))``.

    >>> step_down(59, 90, gamma=0.5, step_size=30, min_lr_ratio=0.0)
    0.5
    """
    return max(min_lr_ratio, math.pow(gamma, step // step_size))


def multi_step(step: float, steps: int, *, gamma: float, milestones: tuple[int, ...], min_lr_ratio: float) -> float:
    """Fall by the factor ``gamma`` at each milestone: ``max(floor, gamma ** (milestones reached))``.

    >>> multi_step(60, 100, gamma=0.5, milestones=(50, 75), min_lr_ratio=0.0)
    0.5
    """
    return max(min_lr_ratio, math.pow(gamma, bisect_right(milestones, step)))


def inverse_sqrt(step: float, steps: int, *, timescale: int, min_lr_ratio: float) -> float:
    """Fall as one over a square root: ``max(floor, sqrt(timescale / (timescale + step)))``.

    >>> inverse_sqrt(300, 1000, timescale=100, min_lr_ratio=0.0)
    0.5
    """
    return max(min_lr_ratio, math.sqrt(timescale / (timescale + step)))


_FLOOR = Real(0.0, 0.0, 1.0, "floor, as a ratio of the peak")
_GAMMA = Real(0.1, 0.0, 1.0, "factor of each fall, in (0, 1]", above_low=True)
_PEAK_DECAY = Real(1.0, 0.0, 1.0, "factor from each peak to the next, in (0, 1]", above_low=True)

_BUILT_IN: tuple[Curve, ...] = (
    Curve("constant", constant, {}, "stays at the peak", "1", "", ((7, 10), {}, 1.0)),
    Curve(
        "linear",
        linear,
        {"min_lr_ratio": _FLOOR},
        "falls on a straight line from the peak to the floor",
        "floor + (1 - floor) (1 - s/S)",
        "Devlin et al. 2019, arXiv:1810.04805",
        ((75, 100), {"min_lr_ratio": 0.2}, 0.4),
    ),
    Curve(
        "polynomial",
        polynomial,
        {"power": Real(2.0, 0.0, math.inf, "exponent, above 0", above_low=True), "min_lr_ratio": _FLOOR},
        "falls as a power from the peak to the floor",
        "floor + (1 - floor) (1 - s/S) ^ power",
        "optax.polynomial_schedule; transformers' polynomial has power 1 by default",
        ((50, 100), {"power": 2.0, "min_lr_ratio": 0.2}, 0.4),
    ),
    Curve(
        "cosine",
        cosine,
        {"min_lr_ratio": _FLOOR},
        "falls on half a cosine wave from the peak to the floor",
        "floor + (1 - floor) (1 + cos(pi s/S)) / 2",
        "Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts",
        ((50, 100), {"min_lr_ratio": 0.2}, 0.6),
    ),
    Curve(
        "cosine_restarts",
        cosine_restarts,
        {
            "cycle_length": Length(1 / 4, "length of the first cycle", "1/4 of the training"),
            "cycle_mult": Real(1.0, 1.0, 1000.0, "factor from the length of each cycle to the next, in [1, 1000]"),
            "peak_decay": _PEAK_DECAY,
            "min_lr_ratio": _FLOOR,
        },
        "falls on half a cosine wave, again and again from a peak",
        "floor + (1 - floor) peak_decay ^ n (1 + cos(pi p)) / 2, p of cycle n done",
        "Loshchilov & Hutter 2017, arXiv:1608.03983 (SGDR)",
        ((20, 99), {"cycle_length": 10, "cycle_mult": 2.0, "peak_decay": 0.5, "min_lr_ratio": 0.2}, 0.4),
    ),
    Curve(
        "step",
        step_down,
        {
            "gamma": _GAMMA,
            "step_size": Length(1 / 3, "length between two falls", "1/3 of the training"),
            "min_lr_ratio": _FLOOR,
        },
        "falls by the factor gamma after every step_size steps",
        "max(floor, gamma ^ floor(s / step_size))",
        "torch.optim.lr_scheduler.StepLR; He et al. 2016, arXiv:1512.03385",
        ((60, 90), {"gamma": 0.5, "step_size": 30, "min_lr_ratio": 0.0}, 0.25),
    ),
    Curve(
        "multi_step",
        multi_step,
        {
            "gamma": _GAMMA,
            "milestones": Milestones(
                (0.5, 0.75),
                "positions of the falls in the training, rising",
                "1/2 and 3/4 of what follows the warmup",
            ),
            "min_lr_ratio": _FLOOR,
        },
        "falls by the factor gamma at each milestone",
        "max(floor, gamma ^ (milestones reached))",
        "torch.optim.lr_scheduler.MultiStepLR",
        ((75, 100), {"gamma": 0.5, "milestones": (50, 75), "min_lr_ratio": 0.0}, 0.25),
    ),
    Curve(
        "exponential",
        exponential,
        {
            "gamma": Real(
                None,
                0.0,
                1.0,
                "factor per step, in (0, 1]; unset: ends at the floor, or at 0.01 when that is 0",
                above_low=True,
            ),
            "min_lr_ratio": _FLOOR,
        },
        "falls by the same factor gamma at every step",
        "max(floor, gamma ^ s)",
        "torch.optim.lr_scheduler.ExponentialLR",
        ((50, 100), {"gamma": None, "min_lr_ratio": 0.04}, 0.2),
    ),
    Curve(
        "inverse_sqrt",
        inverse_sqrt,
        {
            "timescale": Length(
                None, "steps after which it has fallen to 0.71", "the warmup, or 10,000 steps", without_warmup=10_000
            ),
            "min_lr_ratio": _FLOOR,
        },
        "falls as one over the square root of the steps, knowing no end",
        "max(floor, sqrt(timescale / (timescale + s)))",
        "Vaswani et al. 2017, arXiv:1706.03762; Zhai et al. 2022, arXiv:2106.04560",
        ((300, 999), {"timescale": 100, "min_lr_ratio": 0.0}, 0.5),
    ),
    Curve(
        "sqrt",
        sqrt,
        {"min_lr_ratio": _FLOOR},
        "falls steeply, then slowly, from the peak to the floor (1-sqrt)",
        "floor + (1 - floor) (1 - sqrt(s/S))",
        "Hagele et al. 2024, arXiv:2405.18392",
        ((25, 100), {"min_lr_ratio": 0.2}, 0.6),
    ),
    Curve(
        "triangular",
        triangular,
        {
            "cycle_length": Length(1 / 4, "length from one peak to the next", "1/4 of the training"),
            "peak_decay": _PEAK_DECAY,
            "min_lr_ratio": _FLOOR,
        },
        "falls to the floor and rises to the peak on straight lines, again and again",
        "floor + (1 - floor) peak_decay ^ n |1 - 2p|, p of a cycle done",
        "Smith 2017, arXiv:1506.01186; torch.optim.lr_scheduler.CyclicLR from its peak on",
        ((13, 99), {"cycle_length": 10, "peak_decay": 0.5, "min_lr_ratio": 0.0}, 0.2),
    ),
    Curve(
        "stable",
        stable,
        {
            "cooldown": Length(0.2, "length of the cooldown at the end", "0.2 of the training", in_decay=True),
            "cooldown_shape": Choice("sqrt", tuple(COOLDOWNS), "curve of the cooldown"),
            "min_lr_ratio": _FLOOR,
        },
        "holds the peak, then cools down to the floor: warmup-stable-decay",
        "1, then cooldown_shape over the last cooldown steps",
        "Hu et al. 2024, arXiv:2404.06395; Hagele et al. 2024, arXiv:2405.18392",
        ((90, 100), {"cooldown": 20, "cooldown_shape": "linear", "min_lr_ratio": 0.2}, 0.6),
        check_cooldown,
    ),
    Curve(
        "power_cooldown",
        power_cooldown,
        {
            "power": Real(0.51, 0.0, 100.0, "exponent of the fall, above 0; 0.5 is inverse_sqrt", above_low=True),
            "timescale": Length(
                None,
                "steps after which it has fallen to 2 ^ -power",
                "the warmup, or 10,000 steps",
                without_warmup=10_000,
            ),
            "cooldown": Length(0.2, "length of the cooldown at the end", "0.2 of the training", in_decay=True),
            "cooldown_shape": Choice("sqrt", tuple(COOLDOWNS), "curve of the cooldown"),
            "min_lr_ratio": _FLOOR,
        },
        "falls as a power of the steps, then cools down to the floor",
        "max(floor, (timescale / (timescale + s)) ^ power), then cooldown_shape over the last cooldown steps",
        "Shen et al. 2024, arXiv:2408.13359 (power scheduler); Zhai et al. 2022, arXiv:2106.04560",
        (
            (80, 100),
            {"power": 0.5, "timescale": 20, "cooldown": 40, "cooldown_shape": "linear", "min_lr_ratio": 0.1},
            0.3,
        ),
        check_cooldown,
    ),
    Curve(
        "rex",
        rex,
        {"min_lr_ratio": _FLOOR},
        "falls slowly, then steeply, from the peak to the floor",
        "floor + (1 - floor) (1 - t) / (1/2 + (1 - t)/2), t = s/S",
        "Chen et al. 2021, arXiv:2107.04197 (REX)",
        ((2, 3), {"min_lr_ratio": 0.2}, 0.6),
    ),
    Curve(
        "tanh",
        tanh,
        {
            "lower": Real(-6.0, -100.0, 0.0, "argument of tanh at the peak, at most 0"),
            "upper": Real(3.0, 0.0, 100.0, "argument of tanh at the end, above 0", above_low=True),
            "min_lr_ratio": _FLOOR,
        },
        "falls along a hyperbolic tangent from the peak to the floor",
        "floor + (1 - floor) (tanh U - tanh(L + (U - L) s/S)) / (tanh U - tanh L)",
        "Hsueh et al. 2018, arXiv:1806.01593 (tanh decay)",
        ((50, 100), {"lower": -3.0, "upper": 3.0, "min_lr_ratio": 0.2}, 0.6),
    ),
    Curve(
        "cosine_constant",
        cosine_constant,
        {
            "decay_length": Length(0.8, "length of the fall", "0.8 of the training", in_decay=True),
            "min_lr_ratio": Real(0.1, 0.0, 1.0, "floor, as a ratio of the peak"),
        },
        "falls on half a cosine wave, then stays at the floor",
        "floor + (1 - floor) (1 + cos(pi min(1, s/decay_length))) / 2",
        "NeMo's CosineAnnealing with constant_steps; Megatron-LM's lr_decay_iters below train_iters",
        ((40, 100), {"decay_length": 80, "min_lr_ratio": 0.2}, 0.6),
    ),
)

# Writable, for the registry alone; other modules read DECAYS.
DECAY_ROWS: dict[str, Curve] = {row.name: row for row in _BUILT_IN}

DECAYS: Mapping[str, Curve] = MappingProxyType(DECAY_ROWS)
"""The decays by name: the built-in decays and those that users register."""
