"""The benchmark of strategies on `hf-strategies compare`: the files that it writes, and its page."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.strategies import compared
from benchmarks.strategies.tasks import TASKS
from hf_strategies.experiments.plan import read_plan


def test_the_command_reads_the_files_of_a_task_as_one_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {
        split: [((f"{split} {n}", "b"), n / 600) for n in range(600)] for split in ("train", "validation", "test")
    }
    monkeypatch.setitem(vars(TASKS["sts16"]), "rows", lambda: rows)
    monkeypatch.setattr(compared, "minilm", lambda: "a model")
    words = compared.write_inputs("sts16", tmp_path)
    end = words.index("--metric")
    plan = read_plan(
        words[0], words[2:end], "0..1", recipe=None, folder=str(tmp_path / "c"), recipes=["text_classification"]
    )
    assert list(plan.strategies) == list(compared.STRATEGIES)
    assert plan.strategies["linear_3"] == {"lr_scheduler_type": "linear", "num_train_epochs": 3}
    assert plan.task["model_name_or_path"] == "a model"
    assert plan.task["learning_rate"] == 3e-4
    lines = Path(plan.task["train_file"]).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 * TASKS["sts16"].train
    assert set(json.loads(lines[0])) == {"sentence1", "sentence2", "label"}
    assert isinstance(json.loads(lines[0])["label"], float)


def _data(low: float, high: float, steps: int) -> dict[str, Any]:
    strategies = [{"name": "linear_10", "steps": 100}, {"name": "no_epochs", "steps": steps}]
    difference = {"mean": (low + high) / 2, "low": low, "high": high}
    return {"scale": 100, "strategies": strategies, "challengers": [{"name": "no_epochs", "difference": difference}]}


def test_the_page_counts_tasks_by_what_their_intervals_leave_out() -> None:
    found = {
        "a": (_data(0.01, 0.03, 50), "table a"),
        "b": (_data(-0.01, 0.02, 100), "table b"),
        "c": (_data(-0.05, -0.01, 150), "table c"),
    }
    page = compared.document(found)
    # One better, one worse, one neither; the mean of +2, +0.5 and -3 points; half, the same and 1.5 times the steps.
    assert "|no_epochs|3|1|1|1|-0.2|1.00|" in page
    assert "|averaged|0|-|-|-|-|-|" in page
    assert "### b\n\n```text\ntable b\n```" in page


def test_an_unknown_task_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert compared.main(["--tasks", "banking"]) == 2
    assert "did you mean 'banking77'" in capsys.readouterr().err
