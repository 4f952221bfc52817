"""A search of three trials on two ranks, of which the second trial is pruned; each rank writes down what it did."""

import sys
import warnings
from pathlib import Path
from typing import Any

import optuna
from transformers import Trainer, TrainerCallback, TrainingArguments

from hf_strategies import EarlyStopping
from tests.tiny import TinyModel, tiny_examples
from tests.two_processes import write_report

CURVES = [[0.9, 0.6575, 0.80, 0.8675], [0.95, 0.6291, 0.90, 0.9615], [0.8, 0.6359, 0.70, 0.8061]]


class SecondTrial(optuna.pruners.BasePruner):
    """Prunes the second trial at step 4."""

    def prune(self, study: Any, trial: Any) -> bool:
        return bool(trial.number == 1 and trial.last_step >= 4)


class Steps(TrainerCallback):
    """The last step of each trial."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seen.append(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seen[-1] = state.global_step


def main(folder: Path) -> None:
    warnings.simplefilter("error", UserWarning)  # such as Optuna's, of a value that is reported twice
    left: list[float] = []

    def model_init(trial: Any) -> TinyModel:
        if trial is not None:
            left[:] = CURVES[trial.number]
        return TinyModel()

    settings: dict[str, Any] = {"max_steps": 8, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "no"}
    settings |= {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "per_device_train_batch_size": 2}
    steps = Steps()
    trainer = Trainer(
        model_init=model_init,
        args=TrainingArguments(str(folder / "out"), **settings),
        train_dataset=tiny_examples(),
        eval_dataset=tiny_examples(8),
        compute_metrics=lambda _: {"score": left.pop(0)},
        callbacks=[EarlyStopping("score", mode="min", patience=9), steps],
    )
    storage = f"sqlite:///{folder / 'study.db'}"
    given = {"storage": storage, "study_name": "study", "pruner": SecondTrial()}
    best: Any = trainer.hyperparameter_search(
        hp_space=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-3, 1e-2)},
        compute_objective=lambda metrics: metrics["eval_score"],
        direction="minimize",
        n_trials=3,
        backend="optuna",
        **(given if trainer.args.process_index == 0 else {}),
    )
    report: dict[str, Any] = {"world": trainer.args.world_size, "steps": steps.seen, "best": None}
    if best is not None:
        trials = optuna.load_study(study_name="study", storage=storage).trials
        report["states"] = [trial.state.name for trial in trials]
        report["values"] = [trial.value for trial in trials]
        report["reported"] = [sorted(trial.intermediate_values) for trial in trials]
        report["best"] = best.run_id
    write_report(folder, report)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
