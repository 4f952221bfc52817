"""The callback of the recipes that shows progress, in place of the Trainer's own: a table that grows, and a bar."""

import math
import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from tqdm.auto import tqdm
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ProgressCallback
from transformers.trainer_utils import IntervalStrategy, has_length

from hf_strategies.errors import visible
from hf_strategies.finetune.console.bars import draws_bars, hide_bars_of_transformers
from hf_strategies.finetune.console.evaluation_rows import EvaluationRows, Progress
from hf_strategies.finetune.console.lines import lines_above_bars
from hf_strategies.stopping.results import EARLY_STOPPING, PLATEAU_COOLDOWN, records_of
from hf_strategies.trainer.callbacks.context import records
from hf_strategies.values import is_number

__all__ = ["RecipeProgress", "show_progress"]

_WIDTH = 100  # where the output is no terminal
_BAR = "{percentage:3.0f}% {bar:5} {n_fmt}/{total_fmt} [{elapsed}<{remaining}]{postfix}"
_TIMINGS = ("_runtime", "_per_second", "_preparation_time")


def show_progress(trainer: Trainer) -> "RecipeProgress":
    """Put `RecipeProgress` in the place of the callbacks with which the Trainer shows its progress."""
    for kind in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(kind)
    hide_bars_of_transformers()
    progress = RecipeProgress()
    trainer.add_callback(progress)
    return progress


class RecipeProgress(TrainerCallback):
    """Write a row for each evaluation, and on a terminal draw a bar with the learning rate and the best value.

    Without a terminal, under ``CI`` and on a terminal that knows no cursor (``TERM=dumb``) there is no bar, and the
    rows are plain lines. With ``disable_tqdm`` there is neither. A run without evaluations has a row for each log.
    Only the first process writes.
    """

    def __init__(self) -> None:
        self.training_bar: _Status | None = None
        """Where the other callbacks write what they wait for; the bar shows it, and the rows do."""
        self.has_table = False
        """Whether all evaluations of the run are in the table that has grown."""
        self._prediction_bar: Any = None
        self._rows: EvaluationRows | None = None
        self._rate: float | None = None
        self._loss: float | None = None
        self._open = ExitStack()
        self._terminal: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin the bar; a run that goes on says from which step."""
        self._rows, self._rate, self._loss = None, None, None
        self.has_table = False
        for entry in state.log_history:  # of a run that goes on
            self._keep(entry)
        if args.disable_tqdm or not state.is_world_process_zero:
            return
        self.has_table = state.global_step == 0
        bar = None
        if draws_bars():
            self._terminal = sys.stderr
            bar = self._bar(state.max_steps, _BAR)
            bar.update(state.global_step)
            self._open.callback(bar.close)
            self._open.enter_context(lines_above_bars())
        self.training_bar = _Status(bar)
        if state.global_step:
            self._write(f"resumed at step {state.global_step} of {state.max_steps}")
            self._show_on_bar(args, state)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Move the bar."""
        if self.training_bar is not None:
            self.training_bar.move_to(state.global_step)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Draw a second bar for an evaluation, which goes when that ends."""
        batches = kwargs.get("eval_dataloader")
        if args.disable_tqdm or not state.is_world_process_zero or not has_length(batches) or not draws_bars():
            return
        if self._prediction_bar is None:
            if self.training_bar is None:
                self._terminal = sys.stderr
                self._open.enter_context(lines_above_bars())
            self._prediction_bar = self._bar(len(batches), f"evaluation {_BAR}")
        self._prediction_bar.update(1)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Keep the rate and the training loss for the bar and the next row."""
        logs: Mapping[str, Any] = kwargs.get("logs") or {}
        self._keep(logs)
        if self.training_bar is None:
            return
        if "loss" in logs and args.eval_strategy == IntervalStrategy.NO:
            self._write_row(state, {}, "")
        self._show_on_bar(args, state)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the row of an evaluation; the callbacks that watch it come first, and have recorded what it means."""
        if self.training_bar is None:
            return
        values = {
            name: float(value)
            for name, value in kwargs["metrics"].items()
            if name.startswith("eval_") and not name.endswith(_TIMINGS) and isinstance(value, int | float)
        }
        best = _best(args, state)
        stops = control.should_training_stop
        notes = ["best"] if best and best[0] == state.global_step else [] if stops else [self.training_bar.note]
        notes += ["stop"] if stops and state.global_step < state.max_steps else []  # else the budget has ended
        self._write_row(state, values, ", ".join(filter(None, notes)))
        self._show_on_bar(args, state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the bar."""
        self.close()

    def close(self) -> None:
        """Close the bars, also where training has ended in an error."""
        self.training_bar = None
        self.end_evaluation()

    def end_evaluation(self) -> None:
        """Remove the bar of an evaluation or of predictions, also where these have ended in an error."""
        if self._prediction_bar is not None:
            self._prediction_bar.close()
            self._prediction_bar = None
        if self.training_bar is None:
            self._open.close()

    def _keep(self, logs: Mapping[str, Any]) -> None:
        self._rate = logs.get("learning_rate", self._rate)
        self._loss = logs.get("loss", self._loss)

    def _write_row(self, state: TrainerState, values: Mapping[str, float], note: str) -> None:
        if self._rows is None:
            self._rows = EvaluationRows(_ordered(_monitor(state), values), _width())
            self._write(self._rows.head.rstrip())
        progress = Progress(state.global_step, state.epoch or 0.0, self._rate, self._loss, values, note)
        self._write(self._rows.row(progress).rstrip())

    def _show_on_bar(self, args: TrainingArguments, state: TrainerState) -> None:
        if self.training_bar is None:
            return
        best = _best(args, state)
        parts = [] if self._rate is None else [f"lr {self._rate:.1e}"]
        parts += [] if best is None else [f"best {best[1]:.4g} at {best[0]}"]
        self.training_bar.show(", ".join(parts))

    @staticmethod
    def _write(line: str) -> None:
        print(visible(line), flush=True)

    def _bar(self, total: int, form: str) -> Any:
        """Draw a bar on the terminal itself, also while lines go above the bars."""
        return tqdm(total=total, leave=False, bar_format=form, dynamic_ncols=True, file=self._terminal)


class _Status:
    """The bar of the training, where there is one, and what the callbacks wait for."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._numbers, self.note = "", ""

    def move_to(self, step: int) -> None:
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def show(self, numbers: str) -> None:
        self._numbers = numbers
        self._refresh()

    def set_postfix_str(self, text: str) -> None:
        """Take a text of a callback, by the name that tqdm has for it."""
        self.note = text
        self._refresh()

    def _refresh(self) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(visible(", ".join(filter(None, (self._numbers, self.note)))), refresh=False)


def _width() -> int:
    return shutil.get_terminal_size((_WIDTH, 24)).columns if sys.stdout.isatty() else _WIDTH


def _record(state: TrainerState) -> Mapping[str, Any] | None:
    """Return the record of the first callback that stops training, where it knows its best evaluation."""
    for name in (PLATEAU_COOLDOWN, EARLY_STOPPING):
        for record in records_of(name, records(state)).values():
            if "best_step" in record and "best_value" in record:
                return record
    return None


def _best(args: TrainingArguments, state: TrainerState) -> tuple[int, float] | None:
    """Return step and value of the best evaluation so far: by the record of a callback, or else by the log."""
    record = _record(state)
    if record is not None:
        step, value = record["best_step"], record["best_value"]
        return None if step is None or value is None else (step, value)
    name, mode = _watched(args)
    found = [(int(entry["step"]), float(entry[name])) for entry in state.log_history if is_number(entry.get(name))]
    finite = [each for each in found if math.isfinite(each[1])]
    return (min if mode == "min" else max)(finite, key=lambda each: each[1], default=None)


def _monitor(state: TrainerState) -> str | None:
    record = _record(state)
    return None if record is None else str(record["monitor"])


def _watched(args: TrainingArguments) -> tuple[str, str]:
    """Return the metric of a run without our callbacks, and its direction."""
    name = args.metric_for_best_model
    if not name:
        return "eval_loss", "min"
    return f"eval_{name.removeprefix('eval_')}", "max" if args.greater_is_better else "min"


def _ordered(monitor: str | None, values: Mapping[str, float]) -> list[str]:
    """Return the metrics by what is left out last: the watched one, the loss, the others."""
    first = [name for name in (monitor, "eval_loss") if name in values]
    return [str(name) for name in dict.fromkeys([*first, *values])]
