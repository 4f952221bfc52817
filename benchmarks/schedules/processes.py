"""Programs that measure a given checkout of this project, each as a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from time import perf_counter
from typing import Any

TRAINING = Path(__file__).with_name("training.py")

IMPORT = """
from time import perf_counter
start = perf_counter()
import hf_strategies
print(perf_counter() - start)
"""


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a measured process, which may keep the bytecode that it compiles, as by default."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | variables


def run_python(checkout: Path, words: Sequence[str], bytecode: Path | None = None) -> CompletedProcess[str]:
    """Run Python so that it imports the package from ``checkout``, and keeps its bytecode in the folder ``bytecode``.

    With ``-P`` neither the current folder nor that of the program comes before PYTHONPATH.
    """
    variables = environment(PYTHONPATH=str(checkout), HF_HUB_OFFLINE="1")
    variables |= {"PYTHONPYCACHEPREFIX": str(bytecode)} if bytecode else {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-P", *words], env=variables, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{checkout}: python -P {' '.join(words)}: {done.stderr[-2000:]}")
    return done


def import_seconds(checkout: Path, bytecode: Path) -> float:
    """Return the seconds of ``import hf_strategies``, without those in which Python itself starts."""
    return float(run_python(checkout, ["-c", IMPORT], bytecode).stdout)


def list_seconds(checkout: Path, bytecode: Path) -> float:
    """Return the seconds of ``hf-strategies list`` as a whole process."""
    start = perf_counter()
    run_python(checkout, ["-m", "hf_strategies", "list"], bytecode)
    return perf_counter() - start


def in_turns(count: int, number: int) -> Iterable[int]:
    """Return in which order ``count`` checkouts are measured in a round: in every other one, the last comes first."""
    return range(count) if number % 2 else reversed(range(count))


def modules(checkout: Path, words: Sequence[str]) -> int:
    """Return how many modules a Python program loads, those of an empty program not counted."""
    return _modules(checkout, words) - _modules(checkout, ["-c", "pass"])


def _modules(checkout: Path, words: Sequence[str]) -> int:
    lines = run_python(checkout, ["-X", "importtime", *words]).stderr.splitlines()
    return sum(line.startswith("import time:") for line in lines)


def callback_costs(checkout: Path, steps: int, every: int) -> dict[str, dict[str, float]]:
    """Run the trainings of `training.py` once; return microseconds by the callback and by what is measured."""
    done = run_python(checkout, [str(TRAINING), "--steps", str(steps), "--every", str(every)])
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if not Path(measured["package"]).resolve().is_relative_to(checkout.resolve()):
        raise RuntimeError(f"{checkout}: the package was imported from {measured['package']}")
    costs: dict[str, dict[str, float]] = measured["costs"]
    return costs
