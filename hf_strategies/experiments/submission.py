"""The runs of a comparison as jobs of submitit: on SLURM, or on this machine."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_strategies.errors import StrategyError, announce, first_line
from hf_strategies.experiments.claims import take
from hf_strategies.experiments.plan import Plan, Run
from hf_strategies.experiments.runner import Command, Failure, failure_of, is_done, recipe_command, train

if TYPE_CHECKING:
    import subprocess

__all__ = ["CLUSTERS", "Resources", "RunJob", "submit"]

CLUSTERS = ("slurm", "local", "debug")
"""Where jobs run: on SLURM, as processes of this machine, or one after another in this process."""

_ATTEMPTS = 4  # of a run whose job is lost
_PAUSE = 0.5
_GRACE = 60.0  # seconds in which a run that is preempted writes its checkpoint


@dataclass(frozen=True)
class Resources:
    """What each job asks for; ``memory`` is in GB, and None leaves the cluster's default."""

    cluster: str | None = None
    gpus: int = 0
    cpus: int = 1
    memory: int | None = None
    minutes: int = 240
    partition: str | None = None

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of submitit's executor."""
        found: dict[str, Any] = {"timeout_min": self.minutes, "cpus_per_task": self.cpus, "tasks_per_node": 1}
        found |= {"gpus_per_node": self.gpus} if self.gpus else {}
        found |= {"mem_gb": self.memory} if self.memory is not None else {}
        found |= {"slurm_partition": self.partition} if self.partition is not None else {}
        return found


class RunJob:
    """A run as a job: it claims the run, makes it, and returns its exit code (0 if another process makes it).

    When SLURM takes the machine away, the run writes a checkpoint, and the job goes back into the queue.
    """

    def __init__(self, run: Run, command: Sequence[str]) -> None:
        self.run, self.command = run, list(command)
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Make the run."""
        claim = None if is_done(self.run) else take(self.run)
        if claim is None:
            return 0
        with claim.kept_alive():
            return train(claim, self.command, os.environ, self._begin) or 0

    def checkpoint(self) -> Any:
        """Let the run write its checkpoint; submitit calls this before the machine goes."""
        from submitit.helpers import DelayedSubmission

        self._stop()
        return DelayedSubmission(RunJob(self.run, self.command))

    def __getstate__(self) -> dict[str, Any]:
        return {"run": self.run, "command": self.command, "_child": None}

    def _begin(self, start: Callable[[], "subprocess.Popen[bytes]"]) -> "subprocess.Popen[bytes]":
        self._child = start()
        return self._child

    def _stop(self) -> None:
        child = self._child
        if child is None:
            return
        with suppress(OSError):
            child.send_signal(signal.SIGTERM)
        until = time.monotonic() + _GRACE
        while child.poll() is None and time.monotonic() < until:
            time.sleep(0.05)


def submit(plan: Plan, resources: Resources, command: Command = recipe_command) -> list[Failure]:
    """Submit a job for each run that is not done, and wait for them; return the runs that failed.

    A job that is lost is submitted again, three times at most: SLURM does so by itself for one that it takes away.
    """
    executor = _executor(plan, resources)
    jobs: dict[Run, Any] = {}
    attempts: dict[Run, int] = {}
    failures: dict[Run, Failure] = {}
    while True:
        for run in [run for run, job in jobs.items() if job.done()]:
            _ended(jobs.pop(run), run, attempts[run], failures)
        left = [run for run in plan.runs if run not in failures and not is_done(run)]
        if not left and not jobs:
            return list(failures.values())
        for run in left:
            if run not in jobs:
                attempts[run] = attempts.get(run, 0) + 1
                jobs[run] = executor.submit(RunJob(run, command(plan, run)))
        time.sleep(_PAUSE)


def _ended(job: Any, run: Run, attempt: int, failures: dict[Run, Failure]) -> None:
    """Tell what became of a job; one that is lost is left for another attempt."""
    try:
        code = int(job.result())
    except Exception as mistake:  # what the job raised, or that it has left no result
        line = first_line(mistake)
        announce(f"{run.title}: its job {job.job_id} is lost ({line})")
        if attempt >= _ATTEMPTS:
            failures[run] = Failure(run, 1, line)
        return
    if code:
        failures[run] = failure_of(run, code)
    elif is_done(run):
        announce(f"{run.title}: done by job {job.job_id}")


def _executor(plan: Plan, resources: Resources) -> Any:
    try:
        import submitit
    except ImportError as mistake:
        raise StrategyError(
            "--launcher submitit needs submitit: pip install 'hf-strategies[submitit]', or leave it out"
        ) from mistake
    try:
        executor = submitit.AutoExecutor(folder=plan.folder / "jobs", cluster=resources.cluster)
    except RuntimeError as mistake:  # no SLURM
        raise StrategyError(f"--cluster {resources.cluster}: {first_line(mistake)}: give local") from mistake
    executor.update_parameters(name=plan.folder.name, **resources.parameters())
    return executor
