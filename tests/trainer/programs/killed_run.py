"""Trainings of a small BERT with dropout that are killed and resumed; each phase is a process of its own.

``killed_run.py FOLDER JOBS``: for each job of a list in JSON, fork a process that trains in it, and report.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from hf_strategies import EarlyStopping, WeightAveraging
from tests.trainer.bert_runs import SIZES, examples
from tests.trainer.placements import digest

STEPS = 16
# The best is at step 6; patience 4 is used up at step 10.
SCORES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.9, 0.6, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0, 0.0]
BEST, STOP = 6, 10


class Killer(TrainerCallback):
    """Kill the process, as `kill -9` would, at a moment given as ``[event, step, share]``.

    "step" is after the forward pass of that step, "evaluate" within its evaluation, "save" while its checkpoint is
    being written, "time" a share of a second after it began, from another thread.
    """

    def __init__(self, event: str, step: int, share: float = 0.0) -> None:
        self.event, self.step, self.share = event, step, share

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.event == "time" and state.global_step + 1 == self.step:
            threading.Timer(self.share, self.die).start()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.event == "step" and state.global_step + 1 == self.step:
            self.die()

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.event == "evaluate" and state.global_step == self.step:
            self.die()


class Log(TrainerCallback):
    """Write down the rate of each update, by step, to be there after a kill."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        with self.file.open("a") as out:
            out.write(f"{state.global_step + 1} {kwargs['optimizer'].param_groups[0]['lr']!r}\n")


class Saving(Trainer):
    """Killed in the midst of a checkpoint: before the file number ``at`` of them is written."""

    killer: Killer | None = None

    def _reach(self, stage: int) -> None:
        killer = self.killer
        if killer and killer.event == "save" and killer.step == self.state.global_step and killer.share == stage:
            killer.die()

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        self._reach(0)  # there are the weights
        super()._save_optimizer_and_scheduler(output_dir)
        self._reach(1)  # and the optimizer's state

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        self._reach(2)  # all but trainer_state.json

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self._reach(3)  # all but the best weights, which callbacks write


def train(folder: Path, kill: list[Any] | None, resume: bool) -> dict[str, Any]:
    """Train; on resume from the newest checkpoint that is complete, as a user would."""
    set_seed(3)
    model = BertForSequenceClassification(BertConfig(**SIZES))  # dropout 0.1
    left = {step + 1: score for step, score in enumerate(SCORES)}
    args = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        learning_rate=0.01,
        lr_scheduler_type="linear_warmup_cosine_decay",
        warmup_steps=3,
        max_steps=STEPS,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=2,
        save_total_limit=3,
        logging_steps=1,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
    )
    killer = Killer(*kill) if kill else None
    stopping = EarlyStopping("score", 4, mode="max")
    averaging = [WeightAveraging("tail(over=3)")] if folder.name.startswith("averaged") else []
    trainer = Saving(
        model=model,
        args=args,
        train_dataset=examples(),
        eval_dataset=examples(4),
        compute_metrics=lambda _: {"score": left[trainer.state.global_step]},
        callbacks=[stopping, *averaging, Log(folder / "rates.txt"), *([killer] if killer else [])],
    )
    trainer.killer = killer
    trainer.train(resume_from_checkpoint=last_complete(folder) if resume else None)
    record = trainer.state.stateful_callbacks["early_stopping"]
    return {
        "stop": record["stop_step"],
        "best": record["best_step"],
        "step": trainer.state.global_step,
        "restored": record["restored_best_weights"],
        "weights": digest({name: tensor.detach() for name, tensor in trainer.model.state_dict().items()}),
    }


def last_complete(folder: Path) -> str | None:
    """The newest checkpoint that has its trainer_state.json, which the Trainer writes last; None to begin anew."""
    while (found := get_last_checkpoint(str(folder))) and not (Path(found) / "trainer_state.json").is_file():
        Path(found).rename(folder / f"half-{Path(found).name}-{time.monotonic_ns()}")
    return found


def in_a_process(folder: Path, kill: list[Any] | None, resume: bool) -> tuple[int, dict[str, Any] | None]:
    """Run `train` in a process forked from this one, which has only imported: status and report."""
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    process = os.fork()
    if process == 0:
        try:
            result.write_text(json.dumps(train(folder, kill, resume)))
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return status, json.loads(result.read_text()) if result.is_file() else None


def job(folder: Path, kills: list[list[Any]]) -> dict[str, Any]:
    """Train with a kill at each of the given moments in turn, each time resumed, and then to the end."""
    statuses, halves, resume = [], 0, False
    for kill in kills:
        statuses.append(in_a_process(folder, kill, resume)[0])
        newest = get_last_checkpoint(str(folder))
        halves += bool(newest and not (Path(newest) / "trainer_state.json").is_file())
        resume = True
    status, report = in_a_process(folder, None, resume)
    rates = dict(line.split() for line in (folder / "rates.txt").read_text().splitlines())
    return {"statuses": statuses, "end": status, "halves": halves, "report": report, "rates": rates}


if __name__ == "__main__":
    torch.set_num_threads(1)  # before the fork
    folder, jobs = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    found = {name: job(folder / name, kills) for name, kills in jobs.items()}
    (folder / "found.json").write_text(json.dumps(found))
