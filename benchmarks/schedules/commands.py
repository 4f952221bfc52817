"""How long the commands take that list, show and plot schedules, as whole processes."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks.schedules.processes import environment

GOAL = 0.2  # seconds


def commands() -> dict[str, list[str]]:
    """Return the commands by their names; those that have a goal begin with ``hf-strategies``."""
    module = [sys.executable, "-m", "hf_strategies"]
    named = {
        "python -c pass": [sys.executable, "-c", "pass"],
        'python -c "import torch"': [sys.executable, "-c", "import torch"],
        "hf-strategies list (-m)": [*module, "list"],
        "hf-strategies show (-m)": [*module, "show", "linear_warmup_cosine_decay"],
        "hf-strategies plot (-m)": [*module, "plot", "linear_warmup_cosine_decay", "one_cycle"],
    }
    script = Path(sys.executable).with_name("hf-strategies")
    return named | ({"hf-strategies list (script)": [str(script), "list"]} if script.is_file() else {})


def time_commands(runs: int) -> dict[str, list[float]]:
    """Run every command ``runs`` times, after one round that fills the caches; return the seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in commands()}
    for _ in range(runs + 1):
        for name, command in commands().items():
            seconds[name].append(_seconds(command))
    return {name: each[1:] for name, each in seconds.items()}


def _seconds(command: Sequence[str]) -> float:
    start = perf_counter()
    subprocess.run(command, env=environment(), stdout=subprocess.DEVNULL, check=True)
    return perf_counter() - start
