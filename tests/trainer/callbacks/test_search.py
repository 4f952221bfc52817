"""The Trainer's own hyperparameter search with our names and callbacks: trials are ranked by what they keep."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from transformers import Trainer, TrainingArguments

from hf_strategies import EarlyStopping, PlateauCooldown, WeightAveraging, schedule
from tests.tiny import TinyModel, tiny_examples
from tests.two_processes import run_in_processes

# Each has its best value at the second evaluation, which is not the last, and the order of the bests is another one
# than that of the last values.
CURVES = [[0.9, 0.6575, 0.80, 0.8675], [0.95, 0.6291, 0.90, 0.9615], [0.8, 0.6359, 0.70, 0.8061]]
BESTS, LASTS = [0.6575, 0.6291, 0.6359], [0.8675, 0.9615, 0.8061]

Space = Callable[[Any], dict[str, Any]]


def rates_only(trial: Any) -> dict[str, Any]:
    return {"learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-2)}


def searched(
    folder: Path, callbacks: Sequence[Any], space: Space = rates_only, **options: Any
) -> tuple[list[float], str, Trainer]:
    """Search three trials; return the value of each, the number of the winner, and the Trainer."""
    left: list[float] = []

    def model_init(trial: Any) -> TinyModel:
        if trial is not None:
            left[:] = CURVES[trial.number]
        return TinyModel()

    settings: dict[str, Any] = {"max_steps": 8, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "no"}
    settings |= {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "logging_steps": 1}
    trainer = Trainer(
        model_init=model_init,
        args=TrainingArguments(str(folder), **(settings | options)),
        train_dataset=tiny_examples(),
        eval_dataset=tiny_examples(8),
        compute_metrics=lambda _: {"score": left.pop(0)},
        callbacks=list(callbacks),
    )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{folder / 'study.db'}"
    best: Any = trainer.hyperparameter_search(
        hp_space=space,
        compute_objective=lambda metrics: metrics["eval_score"],
        direction="minimize",
        n_trials=3,
        backend="optuna",
        storage=storage,
        study_name="study",
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    trials = optuna.load_study(study_name="study", storage=storage).trials
    return [float(trial.value or 0.0) for trial in trials], best.run_id, trainer


def test_without_ours_the_last_evaluation_counts_and_the_wrong_trial_wins(tmp_path: Path) -> None:
    assert searched(tmp_path, [])[:2] == (LASTS, "2")  # transformers#25247


def test_with_early_stopping_the_best_weights_count(tmp_path: Path) -> None:
    assert searched(tmp_path, [EarlyStopping("score", mode="min", patience=2)])[:2] == (BESTS, "1")


def test_with_a_cooldown_the_weights_that_it_keeps_count(tmp_path: Path) -> None:
    best = PlateauCooldown("score", mode="min", patience=1, cooldown=2, restore_best_weights="best")
    end = PlateauCooldown("score", mode="min", patience=1, cooldown=2, restore_best_weights="end")
    held = {"lr_scheduler_type": "constant"}
    assert searched(tmp_path / "best", [best], **held)[:2] == (BESTS, "1")
    # The plateau is at step 6, and the cooldown ends at step 8, with the fourth evaluation.
    assert searched(tmp_path / "end", [end], **held)[:2] == (LASTS, "2")


def test_averaged_weights_are_ranked_by_their_own_evaluations(tmp_path: Path) -> None:
    callbacks = [WeightAveraging("ema(over=0.5)"), EarlyStopping("score", mode="min", patience=2)]
    assert searched(tmp_path, callbacks)[:2] == (BESTS, "1")


def test_the_default_objective_is_that_of_the_kept_weights_too(tmp_path: Path) -> None:
    left: list[float] = []

    def model_init(trial: Any) -> TinyModel:
        left[:] = CURVES[0]
        return TinyModel()

    args = TrainingArguments(
        str(tmp_path),
        max_steps=8,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="no",
        use_cpu=True,
        report_to="none",
    )
    trainer = Trainer(
        model_init=model_init,
        args=args,
        train_dataset=tiny_examples(),
        eval_dataset=tiny_examples(8),
        compute_metrics=lambda _: {"score": left.pop(0)},
        callbacks=[EarlyStopping("score", mode="min", patience=2)],
    )
    # By default the objective is the sum of the metrics other than the loss; the step is none of them.
    best: Any = trainer.hyperparameter_search(hp_space=rates_only, direction="minimize", n_trials=1, backend="optuna")
    assert best.objective == pytest.approx(0.6575)


def test_schedules_and_their_parameters_are_searched_by_name(tmp_path: Path) -> None:
    names = ["exponential_warmup_step_decay", "linear_warmup_cosine_decay"]

    def space(trial: Any) -> dict[str, Any]:
        name = trial.suggest_categorical("lr_scheduler_type", names)
        parameter = "gamma" if "step" in name else "min_lr_ratio"
        kwargs = {parameter: trial.suggest_float(parameter, 0.1, 0.5)}
        return {"lr_scheduler_type": name, "lr_scheduler_kwargs": kwargs, "warmup_steps": 2, "learning_rate": 0.01}

    seen: list[tuple[str, dict[str, float], list[float]]] = []

    class Rates(EarlyStopping):
        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            super().on_train_end(args, state, control, **kwargs)
            rates = [entry["learning_rate"] for entry in state.log_history if "learning_rate" in entry]
            seen.append((args.lr_scheduler_type, args.lr_scheduler_kwargs, rates))

    searched(tmp_path, [Rates("score", mode="min", patience=9)], space)
    assert len(seen) == 3
    assert {str(getattr(name, "value", name)) for name, _, _ in seen} == set(names)
    for name, kwargs, rates in seen:
        curve = schedule(str(getattr(name, "value", name)), total_steps=8, warmup_steps=2, **kwargs)
        assert rates == curve.learning_rates(0.01)


def test_a_pruned_trial_ends_on_every_process_and_the_search_goes_on(tmp_path: Path) -> None:
    ranks = run_in_processes("tests.trainer.programs.search_on_ranks", tmp_path)
    assert [report["world"] for report in ranks] == [2, 2]
    # The second of three trials is pruned at its second evaluation, of step 4 of 8, on both ranks.
    assert [report["steps"] for report in ranks] == [[8, 4, 8], [8, 4, 8]]
    assert ranks[0]["states"] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert ranks[0]["values"][0] == pytest.approx(0.6575)
    assert ranks[0]["values"][2] == pytest.approx(0.6359)
    assert (ranks[0]["best"], ranks[1]["best"]) == ("2", None)
    assert ranks[0]["reported"] == [[2, 4, 6, 8], [2, 4], [2, 4, 6, 8]]
