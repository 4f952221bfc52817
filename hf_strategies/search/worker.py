"""A worker of a search: it runs trials, one after the other, until all that were asked for have ended."""

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hf_strategies.errors import StrategyError, short, visible
from hf_strategies.files import read_json, write_text
from hf_strategies.search.pruning import Pruning
from hf_strategies.search.slots import Standing
from hf_strategies.search.space import Space
from hf_strategies.search.study import (
    ATTEMPT,
    ERROR,
    PRUNED,
    SETTINGS,
    SURPLUS,
    Plan,
    attempts_of,
    engine_of,
    open_study,
    require_optuna,
    retry,
    sampler_of,
)
from hf_strategies.search.task import Task

__all__ = ["Search", "Worker"]

_LOOK = 0.2  # seconds between two looks at a running trial
_PATIENCE = 10.0  # seconds that a trial has to end after SIGTERM
_HOPELESS = 3  # trials that fail before any other ends
_MOST_KILLS = 3  # of the attempts of one trial by a signal from outside, which may be for want of memory


class _Unfinished(Exception):  # noqa: N818 - no error of this program
    """The attempt has no value: its own error, an interrupt, or another worker that has taken its place."""


@dataclass(frozen=True)
class Search:
    """All that a worker needs to know.

    ``prune`` is the text that ``pruning`` was read from. ``folder`` is that of the trials. ``threads`` is how many
    threads each trial takes on a CPU (None: as many as it wants), and ``program`` the module that runs one trial.
    """

    task: Task
    space: Space
    plan: Plan
    prune: str
    pruning: Pruning
    folder: Path
    threads: int | None = None
    program: str = "hf_strategies.search.trial"
    say: Callable[[str], None] = field(default=lambda line: print(visible(line), file=sys.stderr, flush=True))

    def open(self) -> Any:
        """Return the study; see `open_study`."""
        description = {**self.task.description(), "space": self.space.description(), "prune": self.prune}
        return open_study(self.plan, self.task.mode, self.pruning, description)


class Worker:
    """Runs the trials of a search one at a time, until all have ended or ``stop`` is set.

    Each trial is a process of its own, so that one that runs out of memory does not end the worker, and the memory
    of a GPU is free again afterwards. The worker gives the signs of life of its trial, and waits at the end for the
    trials of the other workers, because one of them may die.
    """

    def __init__(self, search: Search, stop: threading.Event) -> None:
        self._search, self._stop = search, stop
        self._study = search.open()
        self._waits_for: list[int] = []
        self._unborn: dict[int, float] = {}

    def run(self) -> None:
        """Work until the search is done; raises `StrategyError` where the first trials have all failed."""
        fail_stale = require_optuna().storages.fail_stale_trials
        while not self._stop.is_set():
            fail_stale(self._study)
            standing = self._standing()
            retry(self._study, standing)
            if standing.is_done:
                return
            self._give_up_if_hopeless(standing)
            if standing.to_retry or standing.may_begin:
                self._study.optimize(self._attempt, n_trials=1, catch=(_Unfinished,))
            else:
                self._wait(standing)
        retry(self._study, self._standing())

    def _standing(self) -> Standing:
        return Standing(attempts_of(self._study), self._search.plan.trials)

    def _give_up_if_hopeless(self, standing: Standing) -> None:
        ended = standing.ended_attempts
        if len(ended) < _HOPELESS or any(each.state != "failed" for each in ended):
            return
        errors = {each.number: each.user_attrs.get(ERROR) for each in self._study.get_trials(deepcopy=False)}
        raise StrategyError(
            f"the first {len(ended)} trials have failed, the last with: {errors[ended[-1].number]}: see"
            f" {self._search.folder}/*.log; mend it, and give another --study"
        )

    def _wait(self, standing: Standing) -> None:
        """Wait for the trials of other workers; take one for dead that has never given a sign of life."""
        running = standing.running
        if running != self._waits_for:
            self._waits_for = running
            numbers = ", ".join(map(str, running))
            self._search.say(f"waiting for trial {numbers}, which another worker runs")
        now, limit = time.monotonic(), 2.0 * self._search.plan.heartbeat
        unborn = [
            each.number
            for each in self._study.get_trials(deepcopy=False)
            if each.number in running and each.user_attrs.get(ATTEMPT) != each.number
        ]
        self._unborn = {number: self._unborn.get(number, now) for number in unborn}
        for number, since in self._unborn.items():
            if now - since > limit:
                with suppress(Exception):  # it has ended in the meantime
                    self._study.tell(number, state=require_optuna().trial.TrialState.FAIL)
        self._stop.wait(min(5.0, self._search.plan.heartbeat / 2))

    def _attempt(self, trial: Any) -> float:
        """Run one attempt, and return its objective; for `Study.optimize`."""
        if not self._standing().admits(trial.number):
            trial.set_user_attr(SURPLUS, True)
            raise _Unfinished
        self._study.sampler = sampler_of(self._search.plan, trial.number)
        chosen = self._search.space.settings(trial)
        trial.set_user_attr(SETTINGS, json.dumps(chosen))
        trial.set_user_attr(ATTEMPT, trial.number)
        folder = self._search.folder / self._name(trial)
        trial.set_user_attr("folder", str(folder.absolute()))
        settings = self._search.task.of_trial(chosen, folder)
        config = folder.with_name(f"{folder.name}.yaml")
        config.parent.mkdir(parents=True, exist_ok=True)
        write_text(config, yaml.safe_dump(settings, sort_keys=False))
        code = self._run_process(trial, config)
        return self._value(trial, code, folder)

    def _value(self, trial: Any, code: int, folder: Path) -> float:
        attempt, name = self._of(trial), self._name(trial)
        pruned = attempt.user_attrs.get(PRUNED)
        if pruned is not None and pruned["attempt"] == trial.number:
            self._search.say(f"trial {name} is pruned at step {pruned['step']}{self._progress(1)}")
            raise require_optuna().TrialPruned
        if code < 0 and len(attempt.system_attrs.get("retry_history", ())) < _MOST_KILLS:
            self._search.say(f"trial {name} was ended by signal {-code}, and is tried again")
            raise _Unfinished
        results = read_json(folder / "all_results.json") if code == 0 else None
        if not isinstance(results, dict):
            killed = f"ended by signal {-code}" if code < 0 else ""
            raise self._failed(trial, killed or _last_line(folder.with_name(f"{folder.name}.log")))
        try:
            value = self._search.task.value(results)
        except StrategyError as mistake:
            raise self._failed(trial, str(mistake)) from None
        if not math.isfinite(value):
            raise self._failed(trial, f"{self._search.task.objective} is {value}")
        self._search.say(f"trial {name}: {self._search.task.objective} {value:.6g}{self._progress(1)}")
        return value

    def _failed(self, trial: Any, error: str) -> _Unfinished:
        trial.set_user_attr(ERROR, short(error))
        self._search.say(f"trial {self._name(trial)} has failed: {error}{self._progress(1)}")
        return _Unfinished(error)

    def _progress(self, more: int) -> str:
        return f" ({self._standing().ended + more} of {self._search.plan.trials} ended)"

    def _of(self, trial: Any) -> Any:
        """Return what the storage knows of a trial by now, from its process too."""
        return next(each for each in self._study.get_trials(deepcopy=False) if each.number == trial.number)

    def _name(self, trial: Any) -> str:
        """Return the name of an attempt: the number of the trial, and that of the attempt if it is a retry."""
        first = self._of(trial).system_attrs.get("failed_trial", trial.number)
        return f"{first:04d}" if first == trial.number else f"{first:04d}-retry-{trial.number:04d}"

    def _run_process(self, trial: Any, config: Path) -> int:
        """Run the process of a trial to its end, and return its exit code."""
        plan, task = self._search.plan, self._search.task
        order: dict[str, Any] = {"recipe": task.recipe, "objective": task.objective, "mode": task.mode}
        order |= {"config": str(config), "prune": self._search.prune, "trial": trial.number}
        order |= {"storage": plan.storage, "engine": engine_of(plan.storage), "study": plan.name}
        environment = dict(os.environ)
        if self._search.threads is not None:
            environment.setdefault("OMP_NUM_THREADS", str(self._search.threads))
        with config.with_suffix(".log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", self._search.program],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the worker, which ends the trial
            )
            try:
                _write_order(process, order)
                return self._wait_for(process, trial)
            finally:
                _end(process)

    def _wait_for(self, process: "subprocess.Popen[bytes]", trial: Any) -> int:
        """Wait for the end of the process; raise where the worker is to stop, or where the trial was taken away."""
        looked = time.monotonic()
        while (code := process.poll()) is None:
            if self._stop.wait(_LOOK) and process.poll() is None:
                self._search.say(f"trial {self._name(trial)} is interrupted: the next worker tries it again")
                raise _Unfinished
            if time.monotonic() - looked > self._search.plan.heartbeat:
                looked = time.monotonic()
                if self._of(trial).state.name != "RUNNING":
                    self._search.say(f"trial {self._name(trial)} was taken over: this worker gave no sign of life")
                    raise _Unfinished
        return code


def _write_order(process: "subprocess.Popen[bytes]", order: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended at once: its exit code tells
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the process if it runs, and close its input, which it would end by."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            process.stdin.close()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or lines or ["it has printed nothing"])[-1].removeprefix("error: ")
