"""The command ``search`` with a recipe: what it recommends is what a fresh process measures, whatever dies."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
import yaml

TASK = """\
recipe: text_classification
max_train_samples: 300
max_eval_samples: 300
max_length: 24
max_steps: 24
eval_strategy: steps
eval_steps: 4
save_strategy: "no"
use_cpu: true
report_to: none
early_stopping_patience: 4
early_stopping_monitor: accuracy
"""
SPACE = """\
learning_rate: {float: [1e-4, 3e-2], log: true}
lr_scheduler_type:
  choice:
    linear_warmup_cosine_decay:
      min_lr_ratio: {float: [0.0, 0.2]}
    exponential_warmup_step_decay:
      gamma: {float: [0.1, 0.9]}
early_stopping_patience: {int: [2, 4]}
"""
TRIALS = 6


def start(folder: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "hf_strategies", "search", "task.yaml", "--space", "space.yaml"]
    command += ["--trials", str(TRIALS), "--storage", "sqlite:///search.db", "--seed", "1", "--heartbeat", "2"]
    command += ["--output_dir", "out", *more]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def evaluated(folder: Path, model: Path) -> float:
    """The accuracy on the validation set that the recipe measures for a saved model, in a process of its own."""
    settings = yaml.safe_load((folder / "out" / "best.yaml").read_text(encoding="utf-8"))
    kept = {name: settings[name] for name in ("max_train_samples", "max_eval_samples", "max_length", "use_cpu")}
    kept |= {"do_train": False, "do_predict": False, "report_to": "none", "output_dir": "again"}
    (folder / "again.yaml").write_text(yaml.safe_dump(kept | {"model_name_or_path": str(model)}), encoding="utf-8")
    command = [sys.executable, "-m", "hf_strategies.recipes.text_classification", "--config", "again.yaml"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    results = json.loads((folder / "again" / "all_results.json").read_text(encoding="utf-8"))
    return float(results["eval_accuracy"])


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_end_all_trials_and_name_the_model_that_is_best(tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(TASK, encoding="utf-8")
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")
    victim, survivor = start(tmp_path), start(tmp_path, "--prune", "none")
    deadline = time.monotonic() + 300
    while len(list((tmp_path / "out").glob("trials/*/_run.json"))) < 2:  # both are training
        assert time.monotonic() < deadline
        time.sleep(0.1)
    victim.kill()
    victim.communicate()
    text, errors = survivor.communicate(timeout=900)
    assert survivor.returncode == 0, errors

    study = optuna.load_study(study_name="task", storage=f"sqlite:///{tmp_path / 'search.db'}")
    completed = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    firsts = [trial.system_attrs.get("failed_trial", trial.number) for trial in completed]
    assert len(completed) == len(set(firsts)) == TRIALS
    assert [trial.state.name for trial in study.trials if trial not in completed] == ["FAIL"]
    retried = next(trial for trial in completed if "failed_trial" in trial.system_attrs)
    lost = study.trials[retried.system_attrs["failed_trial"]]
    assert (lost.state.name, lost.params) == ("FAIL", retried.params)
    for trial in completed:  # a parameter of one schedule was sampled for that schedule alone
        schedule = trial.params["lr_scheduler_type"]
        own = [name for name in trial.params if "." in name]
        assert [name.partition(".")[0] for name in own] == [schedule]

    best = study.best_trial
    assert f"best: accuracy {best.value:.6g}, of the weights in {best.user_attrs['folder']}" in text
    # The best is of the weights that are kept, which are those of the best evaluation, and not of the last one.
    assert best.value == max(best.intermediate_values.values())
    assert evaluated(tmp_path, Path(best.user_attrs["folder"])) == pytest.approx(best.value, abs=1e-12)
    found = yaml.safe_load((tmp_path / "out" / "best.yaml").read_text(encoding="utf-8"))
    assert found["learning_rate"] == best.params["learning_rate"]
    assert (tmp_path / "out" / "search.png").stat().st_size > 10_000

    # The same command again has nothing to do, and says the same.
    again, _ = start(tmp_path).communicate(timeout=200)
    assert again == text
    changed = start(tmp_path, "--objective", "macro_f1")
    _, errors = changed.communicate(timeout=200)
    assert changed.returncode == 2
    assert 'is of another search: objective was "accuracy" and is "macro_f1"' in errors


@pytest.mark.slow
def test_a_trial_that_stalls_below_the_best_is_pruned_in_its_process(tmp_path: Path) -> None:
    lines = [line for line in TASK.splitlines() if not line.startswith("early_stopping")]
    (tmp_path / "task.yaml").write_text("\n".join(lines), encoding="utf-8")
    # Rates at which nothing is learned, after one at which something is.
    (tmp_path / "space.yaml").write_text("learning_rate: {choice: [1e-9, 1e-2]}\n", encoding="utf-8")
    worker = start(tmp_path, "--objective", "accuracy", "--prune", "patience(2)", "--sampler", "random")
    text, errors = worker.communicate(timeout=900)
    assert worker.returncode == 0, errors
    study = optuna.load_study(study_name="task", storage=f"sqlite:///{tmp_path / 'search.db'}")
    ended = [(trial.params["learning_rate"], trial.state.name) for trial in study.trials]
    first = ended.index(("0.01", "COMPLETE"))
    assert ("1e-09", "PRUNED") in ended[first:]
    assert {state for rate, state in ended[first:] if rate == "1e-09"} == {"PRUNED"}
    pruned = next(trial for trial in study.trials if trial.state.name == "PRUNED")
    assert max(pruned.intermediate_values) == pruned.user_attrs["pruned"]["step"] < 24
    assert f"{sum(state == 'PRUNED' for _, state in ended)} pruned" in text


@pytest.mark.slow
def test_sigterm_ends_the_training_of_a_trial_too(tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(TASK.replace("max_steps: 24", "max_steps: 5000"), encoding="utf-8")
    (tmp_path / "space.yaml").write_text("learning_rate: {float: [1e-9, 1e-8]}\n", encoding="utf-8")
    worker = start(tmp_path)
    deadline = time.monotonic() + 300
    while not list((tmp_path / "out").glob("trials/*/_run.json")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    trial = json.loads(next((tmp_path / "out").glob("trials/*/_run.json")).read_text(encoding="utf-8"))
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 143
    assert "trial 0000 is interrupted: the next worker tries it again" in errors
    assert not Path(f"/proc/{trial['process']['pid']}").exists()
