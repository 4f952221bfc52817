"""The objective and the settings of a trial, and when its callback prunes it."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.search.pruning import read_pruning
from hf_strategies.search.result import Result, Trial
from hf_strategies.search.task import read_task
from hf_strategies.search.trial import Reporter
from tests.search.searches import write

TASK = """\
recipe: text_classification
output_dir: runs/mine
lr_scheduler_type: linear_warmup_step_decay
lr_scheduler_kwargs: {gamma: 0.5}
early_stopping_monitor: macro_f1
"""


def task_of(folder: Path, text: str = TASK, **options: Any) -> Any:
    given = {"recipe": None, "objective": None, "mode": None, **options}
    return read_task(write(folder, task=text)[0], **given)


def test_parameters_of_the_tasks_schedule_hold_for_that_schedule_alone(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    same = {"lr_scheduler_type": "linear_warmup_step_decay", "lr_scheduler_kwargs": {"step_size": 9}}
    assert task.with_settings(same)["lr_scheduler_kwargs"] == {"gamma": 0.5, "step_size": 9}
    assert "lr_scheduler_kwargs" not in task.with_settings({"lr_scheduler_type": "cosine"})
    trial = task.of_trial({"learning_rate": 1e-3}, tmp_path / "0001")
    assert trial["output_dir"] == str(tmp_path / "0001")
    assert trial["do_predict"] is False  # the test set is for the model that is found
    assert "output_dir" not in task.with_settings({})


def test_the_objective_is_what_the_task_watches_unless_it_is_given(tmp_path: Path) -> None:
    assert (task_of(tmp_path).objective, task_of(tmp_path).mode) == ("macro_f1", "max")
    assert task_of(tmp_path, "recipe: masked_lm").objective == "loss"
    assert task_of(tmp_path, "recipe: masked_lm\nstrategy: no_epochs").objective == "loss"
    chosen = task_of(tmp_path, objective="mean(accuracy, macro_f1)")
    assert chosen.value({"eval_accuracy": 0.5, "eval_macro_f1": 0.25}) == 0.375
    with pytest.raises(StrategyError, match="the recipe reports no eval_macro_f1"):
        chosen.value({"eval_accuracy": 0.5})
    with pytest.raises(StrategyError, match="no telling whether lower or higher is better"):
        task_of(tmp_path, objective="my_score")


def test_a_task_names_its_recipe_in_its_file_or_by_a_flag(tmp_path: Path) -> None:
    assert task_of(tmp_path, recipe="masked_lm").recipe == "masked_lm"
    with pytest.raises(StrategyError, match="names no recipe: add a line such as recipe: text_classification"):
        task_of(tmp_path, "max_steps: 3")


def test_prune_takes_a_pruner_of_optuna_or_a_criterion_and_refuses_the_rest() -> None:
    pruner = read_pruning("percentile(25, n_startup_trials=2)", "loss", "min").make_pruner()
    assert isinstance(pruner, optuna.pruners.PercentilePruner)
    assert isinstance(read_pruning("patience(3)", "loss", "min").make_pruner(), optuna.pruners.NopPruner)
    for text, words in {
        "mediam": "neither a pruner",
        "median(startup=3)": "has no parameter 'startup'",
        "patience(0)": "--prune patience",
    }.items():
        with pytest.raises(StrategyError, match=words):
            read_pruning(text, "loss", "min")
    with pytest.raises(StrategyError, match="--prune percentile"):
        read_pruning("percentile(250)", "loss", "min").make_pruner()


def evaluated(values: list[float], criterion: str | None, pruner: Any = None, *, others: list[float]) -> int | None:
    """The step at which a trial with these values is pruned, where others have completed with theirs."""
    study = optuna.create_study(direction="maximize", pruner=pruner or optuna.pruners.NopPruner())
    for value in others:
        done = study.ask()
        for step in range(1, 11):
            done.report(value, step)
        study.tell(done, value)
    trial = study.ask()
    reporter = Reporter(study, trial, objective="accuracy", mode="max", criterion=criterion)
    args, state, control = TrainingArguments("out", report_to="none"), TrainerState(max_steps=10), TrainerControl()
    reporter.on_train_begin(args, state, control)
    for step, value in enumerate(values, 1):
        state.global_step = step
        state.log_history.append({"eval_accuracy": value, "step": step})
        try:
            reporter.on_evaluate(args, state, control, metrics={"eval_accuracy": value})
        except SystemExit:
            assert study.trials[-1].user_attrs["pruned"] == {"attempt": trial.number, "step": step}
            return step
    reporter.on_train_end(args, state, control)
    reporter.on_evaluate(args, state, control, metrics={"eval_accuracy": 0.0})  # of the final weights: not reported
    assert study.trials[-1].intermediate_values == dict(enumerate(values, 1))
    return None


def test_a_criterion_prunes_a_trial_that_stalls_unless_it_is_the_best_so_far() -> None:
    stalls = [0.5, 0.6, 0.6, 0.6, 0.6]  # its best is the second; patience 2 is used up at the fourth
    assert evaluated(stalls, "patience(2)", others=[0.7]) == 4
    assert evaluated(stalls, "patience(2)", others=[0.55]) is None
    assert evaluated(stalls, "patience(2)", others=[]) is None
    assert evaluated([0.1, 0.2, 0.3, 0.4], "patience(2)", others=[0.7]) is None


def test_a_pruner_of_optuna_compares_trials_at_the_same_step() -> None:
    median = optuna.pruners.MedianPruner(n_startup_trials=1)
    assert evaluated([0.5, 0.6, 0.7], None, median, others=[0.4]) is None
    assert evaluated([0.5, 0.6, 0.7], None, median, others=[0.55, 0.9, 0.9]) == 1


def test_a_training_at_its_last_step_is_not_pruned() -> None:
    median = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=10)
    assert evaluated([0.1] * 10, None, median, others=[0.9]) is None


def test_of_trials_with_the_same_value_the_earlier_is_the_best() -> None:
    rows = [
        (0, "failed", None),
        (1, "completed", 0.5),
        (2, "pruned", 0.1),
        (3, "completed", 0.4),
        (4, "completed", 0.4),
    ]
    trials = [Trial(number, state, value, {}, {}, "") for number, state, value in rows]
    assert [trial.number for trial in Result("loss", "min", trials).ranked] == [3, 4, 1]
    assert Result("accuracy", "max", trials).best.number == 1
