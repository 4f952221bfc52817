"""How long the commands take that list, show and plot schedules, and how much a step of a schedule costs.

    python benchmarks/schedules.py [--runs 15]

The commands run as whole processes, beside a Python that does nothing and one that loads torch; rounds go through
all of them in turn, so that other work on the machine hits them alike. A step is timed in batches of calls; the
linear schedule of transformers stands beside ours when transformers is installed.
"""

import os
import platform
import subprocess
import sys
import timeit
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from hf_strategies import schedule

COMMAND_GOAL = 0.2  # seconds
STEP_GOAL = 2.0  # microseconds
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


def commands() -> dict[str, list[str]]:
    """Return what is run, by its name; the commands that have a goal begin with ``hf-strategies``."""
    module = [sys.executable, "-m", "hf_strategies"]
    found = {
        "python -c pass": [sys.executable, "-c", "pass"],
        'python -c "import torch"': [sys.executable, "-c", "import torch"],
        "hf-strategies list (-m)": [*module, "list"],
        "hf-strategies show (-m)": [*module, "show", "linear_warmup_cosine_decay"],
        "hf-strategies plot (-m)": [*module, "plot", "linear_warmup_cosine_decay", "one_cycle"],
    }
    script = Path(sys.executable).with_name("hf-strategies")
    return found | ({"hf-strategies list (script)": [str(script), "list"]} if script.is_file() else {})


def time_commands(runs: int) -> dict[str, list[float]]:
    """Run every command ``runs`` times, after one round that fills the caches; return the seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in commands()}
    for _ in range(runs + 1):
        for name, command in commands().items():
            seconds[name].append(_seconds(command))
    return {name: each[1:] for name, each in seconds.items()}


def _seconds(command: Sequence[str]) -> float:
    start = perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return perf_counter() - start


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
    found: dict[str, list[float]] = {name: [] for name in functions}
    steps = range(0, TOTAL, TOTAL // CALLS)
    empty = min(timeit.repeat(partial(_all_calls, _nothing, steps), number=1, repeat=REPEATS))
    for _ in range(REPEATS):
        for name, function in functions.items():
            taken = timeit.timeit(partial(_all_calls, function, steps), number=1)
            found[name].append(taken / len(steps) * 1e6)
    return found | {"(a call of nothing)": [empty / len(steps) * 1e6]}


def _all_calls(function: Callable[[int], float], steps: range) -> None:
    for step in steps:
        function(step)


def _nothing(step: int) -> float:
    return 0.0


def table(title: str, times: Mapping[str, Sequence[float]], goal: float, bound: Callable[[str], bool]) -> str:
    """Return median, least and most of each row, and whether the medians of those bound by it meet the goal."""
    lines = [title, f"  {'':38}{'median':>9}{'min':>9}{'max':>9}  goal {goal:g}"]
    for name, each in times.items():
        verdict = ("met" if median(each) <= goal else "MISSED") if bound(name) else ""
        numbers = "".join(f"{value:9.3f}" for value in (median(each), min(each), max(each)))
        lines.append(f"  {name:38}{numbers}  {verdict}".rstrip())
    return "\n".join(lines)


def machine() -> str:
    """Return what the numbers were taken on."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{platform.platform()}, {os.cpu_count()} CPUs{load}, Python {platform.python_version()}"


def main() -> None:
    """Measure, and print two tables."""
    parser = ArgumentParser(description="Time the commands and the schedules.")
    parser.add_argument("--runs", type=int, default=15, help="runs of each command (15)")
    runs = parser.parse_args().runs
    if runs < 1:
        parser.error(f"--runs {runs}: give at least 1")
    print(machine(), end="\n\n")
    title = f"Whole processes, seconds, {runs} runs each"
    print(table(title, time_commands(runs), COMMAND_GOAL, lambda name: name.startswith("hf-strategies")))
    title = f"\nmultiplier(step), microseconds, {REPEATS} x {CALLS} calls, warmup {WARMUP} of {TOTAL} steps"
    print(table(title, time_steps(), STEP_GOAL, lambda name: name in SCHEDULES))


if __name__ == "__main__":
    main()
