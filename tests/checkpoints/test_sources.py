"""Which checkpoints are chosen."""

from pathlib import Path
from typing import Any

import pytest
import torch

from hf_strategies import StrategyError
from hf_strategies.checkpoints.sources import Source, best, checkpoints_of, last, watched_metric
from tests.checkpoints.runs import write_checkpoint


def run_of(folder: Path, *entries: dict[str, Any], steps: tuple[int, ...] = (2, 4, 6, 8, 10), **state: Any) -> Path:
    """A run whose checkpoints each have the log up to their step."""
    for step in steps:
        log = [entry for entry in entries if entry["step"] <= step]
        write_checkpoint(folder / f"checkpoint-{step}", {"w": torch.zeros(1)}, log=log, **state)
    return folder


def scores(*values: float, name: str = "accuracy") -> list[dict[str, Any]]:
    return [{"step": 2 * number, f"eval_{name}": value} for number, value in enumerate(values, 1)]


def steps_of(sources: list[Source]) -> list[int | None]:
    return [source.step for source in sources]


def test_checkpoints_are_in_the_order_of_their_steps_and_not_of_their_names(tmp_path: Path) -> None:
    run = run_of(tmp_path, steps=(8, 100, 20, 9))
    (run / "checkpoint-7.tmp").mkdir()
    (run / "checkpoint-12").write_text("a file")
    assert steps_of(checkpoints_of(run)) == [8, 9, 20, 100]
    assert steps_of(last(checkpoints_of(run), 2)) == [20, 100]
    assert steps_of(last(checkpoints_of(run), None)) == [8, 9, 20, 100]


@pytest.mark.parametrize(
    ("metric", "values", "count", "chosen"),
    [
        ("accuracy", [0.5, 0.9, 0.7, 0.9, 0.1], 1, [4]),  # of equal ones the first
        ("accuracy", [0.5, 0.9, 0.7, 0.9, 0.1], 3, [4, 6, 8]),
        ("loss", [0.5, 0.9, 0.7, 0.9, 0.1], 2, [2, 10]),
        ("accuracy", [float("nan"), 0.2, float("inf"), 0.1, 0.3], 3, [4, 8, 10]),
    ],
)
def test_the_best_by_the_direction_of_the_metric(
    tmp_path: Path, metric: str, values: list[float], count: int, chosen: list[int]
) -> None:
    run = run_of(tmp_path, *scores(*values, name=metric))
    assert steps_of(best(checkpoints_of(run), count, watched_metric(run, metric, None))) == chosen


def test_sets_that_are_evaluated_at_one_step_are_one_evaluation_and_a_metric_may_be_an_expression(
    tmp_path: Path,
) -> None:
    log = [
        entry for step in (2, 4) for entry in ({"step": step, "eval_a_loss": step}, {"step": step, "eval_b_loss": 9})
    ]
    run = run_of(tmp_path, *log, steps=(2, 4))
    watched = watched_metric(run, "mean(a_loss, b_loss)", "min")
    assert [watched.value(source.evaluation) for source in checkpoints_of(run)] == [5.5, 6.5]


def test_a_checkpoint_that_was_evaluated_after_it_was_saved_has_that_evaluation_too(tmp_path: Path) -> None:
    run = run_of(tmp_path, *scores(0.5, 0.6), steps=(2, 4))
    write_checkpoint(tmp_path / "checkpoint-2", {"w": torch.zeros(1)}, log=[])
    assert [dict(source.evaluation) for source in checkpoints_of(run)] == [
        {"eval_accuracy": 0.5},
        {"eval_accuracy": 0.6},
    ]


def test_the_metric_is_the_one_whose_best_value_the_trainer_recorded_or_the_loss(tmp_path: Path) -> None:
    log = [{"step": 2, "eval_f1": 0.5, "eval_loss": 0.7}, {"step": 4, "eval_f1": 0.25, "eval_loss": 0.5}]
    recorded = run_of(tmp_path / "a", *log, steps=(2, 4), best_metric=0.5, best_global_step=2)
    assert watched_metric(recorded, None, None).metric.text == "eval_f1"
    assert watched_metric(recorded, "loss", None).metric.text == "eval_loss"
    assert watched_metric(run_of(tmp_path / "b", *log, steps=(2, 4)), None, None).metric.text == "eval_loss"
    ambiguous = run_of(tmp_path / "c", {"step": 2, "eval_a": 1.0, "eval_b": 1.0}, best_metric=1.0, best_global_step=2)
    with pytest.raises(StrategyError, match="that of eval_a and of eval_b: give --metric"):
        watched_metric(ambiguous, None, None)


def test_the_metrics_of_a_run_that_averages_its_weights_are_not_those_of_its_raw_checkpoints(tmp_path: Path) -> None:
    run = run_of(tmp_path, *scores(0.5, 0.6), steps=(2, 4))
    for step in (2, 4):
        (run / f"checkpoint-{step}" / "weight_average.safetensors").write_bytes(b"")
    assert [dict(source.evaluation) for source in last(checkpoints_of(run), 2)] == [{}, {}]
    with pytest.raises(StrategyError, match="those of the average that WeightAveraging keeps"):
        best(checkpoints_of(run), 1, watched_metric(run, "accuracy", None))
