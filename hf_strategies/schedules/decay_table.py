"""The table of the built-in decays: a newcomer is one function in ``decays.py`` and one row here."""

import math

from hf_strategies.schedules import decays
from hf_strategies.schedules.parameters import Choice, Length, Milestones, Real
from hf_strategies.schedules.shapes import Shape

__all__ = ["BUILT_IN_DECAYS"]

_FLOOR = Real(0.0, 0.0, 1.0, "floor, as a ratio of the peak")
_GAMMA = Real(0.1, 0.0, 1.0, "factor of each fall, in (0, 1]", above_low=True)
_PEAK_DECAY = Real(1.0, 0.0, 1.0, "factor from each peak to the next, in (0, 1]", above_low=True)

BUILT_IN_DECAYS: tuple[Shape, ...] = (
    Shape("constant", decays.constant, {}, "stays at the peak", "1", "", ((7, 10), {}, 1.0)),
    Shape(
        "linear",
        decays.linear,
        {"min_lr_ratio": _FLOOR},
        "falls on a straight line from the peak to the floor",
        "floor + (1 - floor) (1 - s/S)",
        "Devlin et al. 2019, arXiv:1810.04805",
        ((75, 100), {"min_lr_ratio": 0.2}, 0.4),
    ),
    Shape(
        "polynomial",
        decays.polynomial,
        {"power": Real(2.0, 0.0, math.inf, "exponent, above 0", above_low=True), "min_lr_ratio": _FLOOR},
        "falls as a power from the peak to the floor",
        "floor + (1 - floor) (1 - s/S) ^ power",
        "optax.polynomial_schedule; transformers' polynomial has power 1 by default",
        ((50, 100), {"power": 2.0, "min_lr_ratio": 0.2}, 0.4),
    ),
    Shape(
        "cosine",
        decays.cosine,
        {"min_lr_ratio": _FLOOR},
        "falls on half a cosine wave from the peak to the floor",
        "floor + (1 - floor) (1 + cos(pi s/S)) / 2",
        "Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts",
        ((50, 100), {"min_lr_ratio": 0.2}, 0.6),
    ),
    Shape(
        "cosine_restarts",
        decays.cosine_restarts,
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
    Shape(
        "step",
        decays.step_down,
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
    Shape(
        "multi_step",
        decays.multi_step,
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
    Shape(
        "exponential",
        decays.exponential,
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
    Shape(
        "inverse_sqrt",
        decays.inverse_sqrt,
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
    Shape(
        "sqrt",
        decays.sqrt,
        {"min_lr_ratio": _FLOOR},
        "falls steeply, then slowly, from the peak to the floor (1-sqrt)",
        "floor + (1 - floor) (1 - sqrt(s/S))",
        "Hagele et al. 2024, arXiv:2405.18392",
        ((25, 100), {"min_lr_ratio": 0.2}, 0.6),
    ),
    Shape(
        "triangular",
        decays.triangular,
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
    Shape(
        "stable",
        decays.stable,
        {
            "cooldown": Length(0.2, "length of the cooldown at the end", "0.2 of the training", in_decay=True),
            "cooldown_shape": Choice("sqrt", tuple(decays.COOLDOWNS), "curve of the cooldown"),
            "min_lr_ratio": _FLOOR,
        },
        "holds the peak, then cools down to the floor: warmup-stable-decay",
        "1, then cooldown_shape over the last cooldown steps",
        "Hu et al. 2024, arXiv:2404.06395; Hagele et al. 2024, arXiv:2405.18392",
        ((90, 100), {"cooldown": 20, "cooldown_shape": "linear", "min_lr_ratio": 0.2}, 0.6),
        decays.check_cooldown,
    ),
)
