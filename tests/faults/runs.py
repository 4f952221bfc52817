"""A small recipe run in a forked process, and what it leaves on disk."""

import contextlib
import gc
import json
import os
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from hf_strategies.finetune.command_line import run_command
from recipes import text_classification
from tests.faults.operations import Operation, Watch, stop, watch
from tests.finetune.runs import QUIET, reviews, write_csv

# Forked runs share what is ready by now: a table that transformers builds in 0.7 s, and objects that the Trainer's
# garbage collection need not walk.
get_checkpoint_conversion_mapping("bert")
gc.freeze()

__all__ = ["STRATEGIES", "Run", "Sandbox", "differences", "finished", "results"]

STRATEGIES = {
    "early stopping": ["--early_stopping_patience", "3", "--early_stopping_monitor", "accuracy"],
    "early stopping, best weights on disk": [
        *("--early_stopping_patience", "3", "--early_stopping_monitor", "accuracy"),
        *("--best_weights_in", "disk"),
    ],
    "plateau cooldown": [
        *("--plateau_cooldown_patience", "2", "--plateau_cooldown_monitor", "accuracy"),
        *("--lr_scheduler_type", "linear_warmup_plateau_cooldown"),
    ],
    "reduce on plateau": [
        *("--reduce_on_plateau_patience", "1", "--reduce_on_plateau_monitor", "accuracy"),
        *("--lr_scheduler_type", "constant"),
    ],
}
"""The flags of each strategy whose runs are broken."""

_LENGTH = [
    *("--per_device_train_batch_size", "4", "--max_steps", "16", "--logging_steps", "1", "--seed", "3"),
    *("--eval_strategy", "steps", "--eval_steps", "2", "--save_strategy", "steps", "--save_steps", "2"),
    *("--save_total_limit", "3", "--max_length", "32", "--learning_rate", "3e-3"),
]
_TIMES = re.compile(r"(runtime|per_second)$")  # measurements of the clock, which differ in each run


@dataclass(frozen=True)
class Run:
    """How a process ended: its exit code, or minus the signal; its output; its operations on files."""

    code: int
    output: str
    operations: tuple[Operation, ...] = ()

    @property
    def traceback(self) -> bool:
        """Whether the user saw a traceback."""
        return "Traceback (most recent call last)" in self.output


class Sandbox:
    """A folder with the output and the caches of one run, and the means to run its command in it.

    ``folder`` holds ``out``, ``cache`` and the log of each run; ``data`` the files of the data set, which are
    written if they are absent; ``strategy`` is a name in `STRATEGIES`.
    """

    def __init__(self, folder: Path, data: Path, strategy: str) -> None:
        self.folder, self.root = folder, folder / "watched"
        self.out, self.cache = self.root / "out", self.root / "cache"
        self.data, self.strategy = data, strategy
        self.cache.mkdir(parents=True, exist_ok=True)

    def run(self, *flags: str, fault: Watch | None = None) -> Run:
        """Run the recipe's command with more ``flags`` in a forked process, with the ``fault``."""
        number = len(list(self.folder.glob("*.log")))
        log, operations = self.folder / f"{number}.log", self.folder / f"{number}.json"
        if (child := os.fork()) == 0:
            self._in_child([*self._flags(), *flags], fault, log, operations)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        listed = json.loads(operations.read_text()) if operations.exists() else []
        return Run(code, log.read_text(errors="replace"), tuple(Operation(*row) for row in listed))

    @contextlib.contextmanager
    def stopped_at(self, number: int) -> Iterator[int]:
        """Run the command until the operation with a number, where it waits; yield its process, to be killed."""
        log, operations = self.folder / "first.log", self.folder / "first.json"
        if (child := os.fork()) == 0:
            self._in_child(self._flags(), stop(self.root, number), log, operations)
        os.waitpid(child, os.WUNTRACED)
        try:
            yield child
        finally:
            os.waitpid(child, 0)

    def resume(self) -> Run:
        """Run the same command once more, with ``--resume_from_checkpoint last``.

        Where no checkpoint was written yet, the command starts from the beginning, as a user of a cluster that
        restarts jobs by one fixed command expects.
        """
        return self.run("--resume_from_checkpoint", "last")

    def _flags(self) -> list[str]:
        files = [flag for split in ("train", "validation", "test") for flag in self._file(split)]
        return [*files, *QUIET, *_LENGTH, *STRATEGIES[self.strategy], "--output_dir", str(self.out)]

    def _file(self, split: str) -> list[str]:
        file = self.data / f"{split}.csv"
        if not file.exists():
            seed = ("train", "validation", "test").index(split)
            write_csv(file, reviews((24, 12, 8)[seed], seed))
        return [f"--{split}_file", str(file)]

    def _in_child(self, argv: list[str], fault: Watch | None, log: Path, operations: Path) -> None:
        code = 1
        state = fault or Watch(self.root)
        try:
            _send_output_to(log)
            _use_cache(self.cache)
            sys.argv = ["text_classification.py", *argv]
            watch(state)
            run_command(text_classification.main)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(BaseException):
                sys.stdout.flush()
                sys.stderr.flush()
                listed = [[each.number, each.kind, each.path] for each in state.operations]
                operations.write_text(json.dumps(listed))
            os._exit(code)


def results(out: Path) -> dict[str, Any]:
    """Return what a finished run has left, without the times: weights, predictions, metrics, the training's log."""
    log = _json(out / "trainer_state.json")["log_history"]
    names = ("config.json", "model.safetensors", "predictions.jsonl")
    return {
        **{name: (out / name).read_bytes() for name in names},
        **{name: _without_times(_json(out / name)) for name in ("all_results.json", "test_results.json")},
        "log": [_without_times(entry) for entry in log if "train_runtime" not in entry],
    }


def finished(out: Path) -> bool:
    """Whether a run has left everything that a whole run leaves."""
    try:
        results(out)
    except (OSError, ValueError, KeyError):
        return False
    return True


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Return the names of the results that differ."""
    return [name for name in theirs if ours.get(name) != theirs[name]]


def _without_times(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if not _TIMES.search(key)}


def _json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def _send_output_to(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_warning()


def _use_cache(cache: Path) -> None:
    os.environ["HF_STRATEGIES_CACHE"] = str(cache / "hf_strategies")
    datasets.config.HF_DATASETS_CACHE = cache / "datasets"
    datasets.config.HF_CACHE_HOME = cache
    datasets.disable_progress_bars()
