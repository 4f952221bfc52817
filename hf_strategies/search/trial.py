"""The program of one trial: a recipe whose evaluations are reported to the study, and that may be pruned.

`hf_strategies.search.worker` starts it, and writes one line of JSON to its standard input: the recipe, its flags, and
the trial. The input stays open as long as the worker lives; when it ends, so does this process, so that no trial goes
on that another worker tries again.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from inspect import signature
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_strategies.finetune.command_line import run_command
from hf_strategies.search.pruning import read_pruning
from hf_strategies.search.study import PRUNED, require_optuna
from hf_strategies.stopping import Metric, StoppingRule
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["Reporter", "main", "reading_flags"]

RECIPES = "hf_strategies.recipes"


class Reporter(TrainerCallback):
    """Reports the evaluations of a training to its trial, and ends the process where the trial is to be pruned.

    ``criterion`` is a condition as in ``early_stopping_when`` (see `hf_strategies.search.pruning`); without one the
    pruner of the study decides. A training that ends at this evaluation anyway is not pruned.
    """

    def __init__(self, study: Any, trial: Any, *, objective: str, mode: str, criterion: str | None) -> None:
        self._study, self._trial = study, trial
        self._metric, self._mode = Metric.read(objective), mode
        self._rule = None if criterion is None else StoppingRule.read(objective, criterion, mode)
        self._trains = False

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Report from here on."""
        self._trains = True

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Report no more: what is evaluated after training is the result."""
        self._trains = False

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report this evaluation; end every process of the training where it is to be pruned."""
        if not self._trains:
            return
        is_pruned = state.is_world_process_zero and self._report(state, kwargs.get("metrics") or {})
        ends = control.should_training_stop or state.global_step >= state.max_steps
        if from_rank_zero(is_pruned and not ends):
            if state.is_world_process_zero:
                self._trial.set_user_attr(PRUNED, {"attempt": self._trial.number, "step": state.global_step})
            raise SystemExit(0)

    def _report(self, state: TrainerState, metrics: Mapping[str, float]) -> bool:
        """Report an evaluation; return whether the trial is to be pruned."""
        value = self._metric.value(metrics)
        self._trial.report(value, state.global_step)
        if self._rule is None:
            return bool(self._trial.should_prune())
        judgement = self._rule.judge(state.log_history, total_steps=state.max_steps)
        return judgement.stop_index is not None and self._is_beaten([each.value for each in judgement.history])

    def _is_beaten(self, values: list[float]) -> bool:
        """Whether a trial that has completed is better than all evaluations of this one."""
        completed = [each.value for each in self._study.get_trials(deepcopy=False) if each.state.name == "COMPLETE"]
        best = max if self._mode == "max" else min
        return bool(completed) and best([*completed, best(values)]) != best(values)


def reading_flags(recipe: str, then: Callable[[Any, Collection[str]], None]) -> Callable[[list[str]], Any]:
    """Return the ``main`` of a recipe, which calls ``then`` as soon as it has read and checked its flags.

    ``then`` gets the flags, and the names of the metrics that the recipe can report.
    """
    module = import_module(f"{RECIPES}.{recipe}")
    read = module.read_flags

    def read_and_then(*args: Any, **kwargs: Any) -> Any:
        flags = read(*args, **kwargs)
        then(flags, signature(read).bind(*args, **kwargs).arguments["metrics"])
        return flags

    vars(module)["read_flags"] = read_and_then
    main: Callable[[list[str]], Any] = module.main
    return main


def main() -> None:
    """Run the trial that the line on the standard input describes."""
    order = json.loads(_first_line())
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    optuna = require_optuna()
    pruning = read_pruning(order["prune"], order["objective"], order["mode"])
    storage = optuna.storages.RDBStorage(order["storage"], engine_kwargs=order["engine"])
    study = optuna.load_study(study_name=order["study"], storage=storage, pruner=pruning.make_pruner())
    trial = optuna.trial.Trial(
        study, storage.get_trial_id_from_study_id_trial_number(study._study_id, order["trial"])
    )
    reporter = Reporter(study, trial, objective=order["objective"], mode=order["mode"], criterion=pruning.criterion)
    recipe = reading_flags(order["recipe"], lambda flags, _: flags.strategy.first_callbacks.append(reporter))
    run_command(lambda: recipe(["--config", order["config"]]))


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(sys.stdin.fileno(), 1)
        if not read:
            os._exit(1)
        line += read
    return line


def _end_with_the_worker() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
