"""Makes the runs of a comparison, several side by side, until each is done or has failed."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hf_strategies.errors import StrategyError, announce, short, visible
from hf_strategies.experiments.claims import Claim, take
from hf_strategies.experiments.plan import Plan, Run
from hf_strategies.files import read_json, write_json

__all__ = ["Failure", "Runner", "check_flags", "failure_of", "is_done", "recipe_command", "train"]

RUN_RECORD = "_run.json"  # of a recipe; it has "finished" when all is written
_PAUSE = 0.5  # seconds between two looks at the runs of other processes
_LOOK = 0.05  # seconds between two looks at a process that trains

# The number of the process that trains is written before it becomes the recipe, so that it is known even where
# this process is killed right after it has started it.
_START = 'printf %s "$$" > "$0" && exec "$@"'

Command = Callable[[Plan, Run], Sequence[str]]


@dataclass(frozen=True)
class Failure:
    """A run that ended in an error: its exit code, and the last line that it wrote."""

    run: Run
    code: int
    line: str


def is_done(run: Run) -> bool:
    """Whether a run has ended and written all of its results.

    ``all_results.json`` alone is there when training has ended, before the test set is predicted.
    """
    record, results = read_json(run.folder / RUN_RECORD), read_json(run.folder / "all_results.json")
    return isinstance(record, dict) and bool(record.get("finished")) and isinstance(results, dict)


def recipe_command(plan: Plan, run: Run) -> list[str]:
    """Return the command of a run, which also goes on with one that was interrupted."""
    module = f"hf_strategies.recipes.{plan.recipe}"
    flags = ["--config", str(plan.flags_of(run.strategy)), "--seed", str(run.seed), "--output_dir", str(run.folder)]
    if run.fold is not None:
        flags += ["--folds", str(plan.folds), "--fold", str(run.fold)]
    return [sys.executable, "-m", module, *flags, "--resume_from_checkpoint", "last", "--disable_tqdm", "true"]


def check_flags(plan: Plan) -> None:
    """Let the recipe read the flags of each strategy before any is trained; raise `StrategyError` for a mistake."""
    with tempfile.TemporaryDirectory(prefix="hf_strategies_") as folder:
        trial = replace(plan, folder=Path(folder), seeds=plan.seeds[:1])
        trial.write()
        runs = trial.runs[: len(plan.strategies)]
        with ThreadPoolExecutor(min(4, len(runs))) as pool:
            for run, done in zip(runs, pool.map(partial(_checked, trial), runs), strict=True):
                if done.returncode:
                    line = visible((done.stderr.strip().splitlines() or ["the recipe does not start"])[-1])
                    said = line.removeprefix("error: ").replace(str(trial.flags_of(run.strategy)), "its flags")
                    raise StrategyError(f"strategy {run.strategy}: {said}")


def _checked(plan: Plan, run: Run) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*recipe_command(plan, run), "--check_flags"], capture_output=True, text=True)


class Runner:
    """Makes the runs of ``plan``, ``jobs`` side by side; several processes may do so in one folder.

    ``command`` gives the command of a run, that of its recipe by default, and ``needless`` the runs that need not be
    made, by what others have come to. SIGINT and SIGTERM reach the processes that train, which write a checkpoint
    and end.
    """

    def __init__(
        self,
        plan: Plan,
        jobs: int = 1,
        command: Command = recipe_command,
        needless: Callable[[], Collection[Run]] = frozenset,
    ) -> None:
        self._plan, self._jobs, self._command, self._needless = plan, jobs, command, needless
        self._failures: dict[Run, Failure] = {}
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._has_waited = False

    def run(self) -> list[Failure]:
        """Make all runs that are not done, and wait for those of other processes; return those that failed."""
        with self._forwarding_signals(), ThreadPoolExecutor(self._jobs) as pool:
            for each in [pool.submit(self._work, slot) for slot in range(self._jobs)]:
                each.result()
        return list(self._failures.values())

    def _work(self, slot: int) -> None:
        """Make one run after another until none is left for this process."""
        while not self._stopped.is_set():
            left = [run for run in self._plan.runs if run not in self._failures and not is_done(run)]
            needless = self._needless()
            left = [run for run in left if run not in needless]
            claim = next(filter(None, map(take, left)), None) if left else None
            if not left:
                return
            if claim is None:
                self._wait(left)
            elif is_done(claim.run):  # it was done between the look and the claim
                claim.release()
            else:
                with claim.kept_alive():
                    self._train(claim, slot)

    def _wait(self, left: Sequence[Run]) -> None:
        with self._lock:
            if not self._has_waited and not self._children:
                self._has_waited = True
                announce(f"waiting for {len(left)} runs that other processes make")
        self._stopped.wait(_PAUSE)

    def _train(self, claim: Claim, slot: int) -> None:
        started = time.monotonic()
        command = self._command(self._plan, claim.run)
        code = train(claim, command, _environment(slot, self._jobs), self._begin)
        with self._lock:
            self._children = {child for child in self._children if child.returncode is None}
        if code == 0 and is_done(claim.run):
            announce(f"{claim.run.title}: done in {time.monotonic() - started:.0f} s")
        elif code is not None and not self._stopped.is_set():
            self._failures[claim.run] = failure_of(claim.run, code)

    def _begin(self, start: Callable[[], "subprocess.Popen[bytes]"]) -> "subprocess.Popen[bytes] | None":
        """Start a process that trains, unless a signal has come."""
        with self._lock:
            if self._stopped.is_set():
                return None
            child = start()
            self._children.add(child)
            return child

    @contextmanager
    def _forwarding_signals(self) -> Iterator[None]:
        """Pass SIGINT and SIGTERM on to the processes that train, and raise them here when those have ended."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        received: list[int] = []

        def forward(number: int, _frame: Any) -> None:
            received.append(number)
            self._stopped.set()
            for child in list(self._children):
                with suppress(OSError):
                    child.send_signal(number)

        before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if received:
            raise SystemExit(128 + received[0])


def train(
    claim: Claim,
    command: Sequence[str],
    environment: Mapping[str, str],
    begin: Callable[[Callable[[], "subprocess.Popen[bytes]"]], "subprocess.Popen[bytes] | None"],
) -> int | None:
    """Run the command of a claimed run to its end and return its exit code; None if ``begin`` does not start it.

    ``begin`` is given what starts the process, so that the caller can keep it for signals.
    """
    _forget_process(claim.run)
    words = ["sh", "-c", _START, str(claim.child_file), *command]
    with claim.run.beside(".log").open("ab") as log:
        # In a session of its own: signals are forwarded to it, and reach it once.
        child = begin(
            lambda: subprocess.Popen(words, stdout=log, stderr=log, env=dict(environment), start_new_session=True)
        )
        while child is not None and child.poll() is None:  # a signal's handler may look at it, too
            time.sleep(_LOOK)
    return None if child is None else child.returncode


def failure_of(run: Run, code: int) -> Failure:
    """Record that a run has failed, tell it, and return it."""
    failure = Failure(run, code, _last_line(run.beside(".log")))
    write_json(run.beside(".failed.json"), {"code": code, "line": failure.line})
    announce(f"{run.title}: failed with exit code {code}: {short(failure.line)}")
    return failure


def _forget_process(run: Run) -> None:
    """Take the process of another host out of the run's own record: its claim has lapsed, so it no longer works."""
    record = read_json(run.folder / RUN_RECORD)
    if isinstance(record, dict) and record.get("process"):
        write_json(run.folder / RUN_RECORD, record | {"process": None})


def _environment(slot: int, jobs: int) -> dict[str, str]:
    """Return the environment of a run: its share of the cores, and one GPU in turn if there are several."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environment = dict(os.environ)
    if jobs > 1:
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cores // jobs)))
    devices = _devices()
    if len(devices) > 1:
        environment["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
    return environment


def _devices() -> list[str]:
    """Return the GPUs that may be used, by their names for CUDA."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [each.strip() for each in given.split(",") if each.strip()]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True).stdout
    return [str(place) for place, line in enumerate(listed.splitlines()) if line.startswith("GPU ")]


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError as mistake:
        raise StrategyError(f"{log} cannot be read: {mistake.strerror or mistake}") from mistake
    return visible(lines[-1].rpartition("\r")[2]) if lines else ""
