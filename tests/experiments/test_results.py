"""What is read of runs: the folds of a seed together, and no seed that lacks one."""

import json
from pathlib import Path
from typing import Any

from hf_strategies.experiments.plan import Plan, Run
from hf_strategies.experiments.results import read_records


def write(run: Run, results: dict[str, Any], right: list[bool] | None = None) -> None:
    run.folder.mkdir(parents=True)
    (run.folder / "_run.json").write_text(json.dumps({"finished": "yes"}))
    (run.folder / "all_results.json").write_text(json.dumps(results))
    report = {"schema_version": 1, "steps": 10 + (run.fold or 0), "seconds": 2.0, "flops": 4.0}
    (run.folder / "strategy_report.json").write_text(json.dumps(report))
    if right is not None:
        lines = [json.dumps({"label": "a", "prediction": "a" if each else "b"}) for each in right]
        (run.folder / "predictions.jsonl").write_text("\n".join(lines) + "\n")


def test_the_folds_of_a_seed_are_one_result_over_all_their_examples(tmp_path: Path) -> None:
    runs = Plan("fake", {}, {"a": {}}, (0, 1), tmp_path, folds=2).runs
    write(runs[0], {"test_accuracy": 1.0}, [True, True])
    write(runs[1], {"test_accuracy": 1 / 3}, [True, False, False])
    write(runs[2], {"test_accuracy": 0.5}, [True, False])  # the second fold of this seed is not done
    [record] = read_records(runs, "test_accuracy")
    assert (record.seed, record.value, record.examples) == (0, 3 / 5, (1.0, 1.0, 1.0, 0.0, 0.0))
    assert (record.steps, record.seconds, record.flops) == (round(10.5), 2.0, 4.0)


def test_folds_without_scores_of_examples_have_the_mean_of_the_metric(tmp_path: Path) -> None:
    runs = Plan("fake", {}, {"a": {}}, (0,), tmp_path, folds=2).runs
    write(runs[0], {"test_f1": 0.25})
    write(runs[1], {"test_f1": 0.75})
    [record] = read_records(runs, "test_f1")
    assert (record.value, record.examples) == (0.5, None)
