"""Processes that train the units of the study, a task and some seeds each.

Results are written when a unit ends, and what has them already is not trained again. A unit that fails leaves its
traceback in ``log.txt``, and the others go on.
"""

import queue
import time
import traceback
from argparse import Namespace
from typing import Any

import torch
from torch import multiprocessing

from benchmarks.landing.results import done, write
from hf_strategies.errors import StrategyError, did_you_mean

LOG = "log.txt"
_HEAVY = ("wnut17", "xquad", "docstrings", "docstrings_flipped", "banking77", "nlupp", "nlupp_flipped")
"""Tasks that take long: they come first, so that the others fill the gaps at the end."""

_CONTEXT: Any = multiprocessing.get_context("spawn")

Unit = tuple[str, tuple[int, ...]]


def run(args: Namespace) -> None:
    """Train what has no results yet, the first group of seeds of all tasks before the next."""
    waiting, running, messages = _units(args), list[Any](), _CONTEXT.Queue()
    args.out.mkdir(parents=True, exist_ok=True)
    deadline = time.time() + args.seconds
    with (args.out / LOG).open("a", encoding="utf-8", buffering=1) as log:
        while running or (waiting and time.time() < deadline):
            while waiting and len(running) < args.workers and time.time() < deadline:
                running.append(_CONTEXT.Process(target=_work, args=(args, deadline, waiting.pop(0), messages)))
                running[-1].start()
            ended = [process for process in running if not process.is_alive()]
            while text := _message(args, messages):  # what a process sent is there when it has ended
                _say(log, text)
            for process in ended:
                running.remove(process)
                if process.exitcode:  # killed, for its memory say: it could send nothing
                    _say(log, f"a process ended with exit code {process.exitcode}: its unit has no results")


def _say(log: Any, text: str) -> None:
    line = f"{time.strftime('%H:%M:%S')} {text}"
    print(line, flush=True)
    log.write(line + "\n")


def _units(args: Namespace) -> list[Unit]:
    prepared = [file.stem for file in sorted(args.folder.glob("*.npz")) if file.stem != "encoder"]
    names = args.tasks or sorted(prepared, key=lambda name: _HEAVY.index(name) if name in _HEAVY else len(_HEAVY))
    finished = done(args.out)
    for name in names:
        if name not in prepared:
            raise StrategyError(f"--tasks: {name!r} is not in {args.folder}: {did_you_mean(name, prepared)}")
    units = [(name, tuple(seeds)) for seeds in args.seeds for name in names]
    return [(name, seeds) for name, seeds in units if not {(name, seed) for seed in seeds} <= finished]


def _message(args: Namespace, messages: Any) -> str:
    """Wait a second for a message of the processes, and write the results in it; an empty text if there is none."""
    try:
        label, text, cells = messages.get(timeout=1.0)
    except queue.Empty:
        return ""
    write(args.out, cells)
    return f"{label}: {text}"


def _work(args: Namespace, deadline: float, unit: Unit, messages: Any) -> None:
    """Train a unit, and send its results."""
    from benchmarks.landing.data import Data
    from benchmarks.landing.study import Study, TimeUpError

    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    label = f"{unit[0]} {','.join(map(str, unit[1]))}"

    def alive() -> None:
        if time.time() > deadline:
            raise TimeUpError

    try:
        study = Study(Data.read(args.folder, *unit, args.device), args.branches, alive)
        cells = list(study.run())
    except TimeUpError:
        messages.put((label, "the time is over", []))
    except Exception:
        messages.put((label, f"failed\n{traceback.format_exc()}", []))
    else:
        speed = ", ".join(f"{key} {count} in {study.seconds[key]:.0f} s" for key, count in study.done.items())
        messages.put((label, f"done; model-steps: {speed}", cells))
