"""A search from its check to its end: the workers of this process, and the signals that end them."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hf_strategies.errors import StrategyError
from hf_strategies.search.worker import Search, Worker

__all__ = ["check_search", "run_workers"]


def check_search(search: Search) -> None:
    """Let the recipe read the flags of the task, and both ends of each row of the space.

    Raises `StrategyError`, which names the row, for a flag that the recipe does not have or a value that it refuses.
    """
    task = search.task
    corners = [(row, task.with_settings(chosen)) for row, chosen in search.space.corners()]
    order = {
        "recipe": task.recipe,
        "file": task.file,
        "space": search.space.file,
        "task": task.with_settings({}),
        "corners": corners,
        "rows": [row.name for row in search.space.all_rows()],
        "objective": task.objective,
        "prune": search.prune,
    }
    done = subprocess.run(
        [sys.executable, "-m", "hf_strategies.search.check"],
        input=json.dumps(order),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        errors = [line for line in lines if line.startswith("error: ")]
        raise StrategyError((errors or lines)[-1].removeprefix("error: "))


def run_workers(search: Search, jobs: int) -> None:
    """Run so many workers in this process until the search is done.

    SIGINT and SIGTERM interrupt the trials, which are tried again later, and end the process with 130 and 143.
    """
    stop = threading.Event()
    mistakes: list[BaseException] = []

    def work(worker: Worker) -> None:
        try:
            worker.run()
        except BaseException as mistake:  # it is raised again in the main thread
            mistakes.append(mistake)
            stop.set()

    with _interrupted_by_signals(stop) as received:
        threads = [threading.Thread(target=work, args=(Worker(search, stop),)) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if mistakes:
        raise mistakes[0]
    if received:
        search.say("Interrupted: the same command goes on with the search")
        raise SystemExit(128 + received[0])


@contextmanager
def _interrupted_by_signals(stop: threading.Event) -> Iterator[list[int]]:
    """Set ``stop`` at the first SIGINT or SIGTERM, and yield the list of those received; a second ends at once."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        stop.set()

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, note) for kind in kinds]
    try:
        yield received
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
