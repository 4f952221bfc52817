"""How long a call of a schedule takes, in batches of calls.

The linear schedule of transformers is timed beside ours when transformers is installed.
"""

import timeit
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from hf_strategies import schedule

GOAL = 2.0  # microseconds
TOTAL, WARMUP = 10_000, 1_000
CALLS, REPEATS = 10_000, 25

PHASES = [
    {"shape": "linear", "length": 0.1, "start": 0, "end": 1},
    {"shape": "constant", "length": 0.6},
    {"shape": "cosine", "end": 0.1},
]
SCHEDULES: Mapping[str, Mapping[str, Any]] = {
    "linear_warmup_linear_decay": {},
    "linear_warmup_cosine_decay": {},
    "exponential_warmup_exponential_decay": {},
    "linear_warmup_cosine_restarts_decay": {},
    "linear_warmup_multi_step_decay": {},
    "linear_warmup_stable_decay": {},
    "linear_warmup_triangular_decay": {},
    "one_cycle": {},
    "phases": {"phases": PHASES},
}


def step_functions() -> dict[str, Callable[[int], float]]:
    """Return functions of the step by their names, that of transformers last."""
    ours: dict[str, Callable[[int], float]] = {}
    for name, parameters in SCHEDULES.items():
        warmup = 0 if name == "phases" else WARMUP
        ours[name] = schedule(name, total_steps=TOTAL, warmup_steps=warmup, **parameters).multiplier
    try:
        from transformers import optimization
    except ImportError:
        return ours
    linear = optimization._get_linear_schedule_with_warmup_lr_lambda
    return ours | {"transformers' linear": partial(linear, num_warmup_steps=WARMUP, num_training_steps=TOTAL)}


def time_steps() -> dict[str, list[float]]:
    """Return microseconds of one call, over steps spread evenly over the training, in ``REPEATS`` batches."""
    functions = step_functions()
    microseconds: dict[str, list[float]] = {name: [] for name in functions}
    steps = range(0, TOTAL, TOTAL // CALLS)
    empty = min(timeit.repeat(partial(_all_calls, _nothing, steps), number=1, repeat=REPEATS))
    for _ in range(REPEATS):
        for name, function in functions.items():
            seconds = timeit.timeit(partial(_all_calls, function, steps), number=1)
            microseconds[name].append(seconds / len(steps) * 1e6)
    return microseconds | {"(a call of nothing)": [empty / len(steps) * 1e6]}


def _all_calls(function: Callable[[int], float], steps: range) -> None:
    for step in steps:
        function(step)


def _nothing(step: int) -> float:
    return 0.0
