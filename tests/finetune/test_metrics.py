"""What follows from a table of metrics: a new row is measured, watched and reported; `evaluate` takes each row."""

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import evaluate
import numpy as np
import pytest
from transformers import EvalPrediction

from hf_strategies.finetune.masked_lm.metrics import LM_METRICS
from hf_strategies.finetune.metrics import ComputeMetrics, Decoded, Metric, TableMetric, accuracy, metric_names
from hf_strategies.finetune.multiple_choice.metrics import CHOICE_METRICS
from hf_strategies.finetune.question_answering.metrics import QUESTION_METRICS
from hf_strategies.finetune.text_classification.metrics import (
    CLASSIFICATION_METRICS,
    MULTI_LABEL_METRICS,
    REGRESSION_METRICS,
    macro_f1,
)
from hf_strategies.finetune.token_classification.metrics import ENTITY_METRICS, TAG_METRICS

PREDICTED, TRUE = [0, 0, 1, 1, 0], [0, 0, 0, 1, 2]  # accuracy 3/5, macro-F1 (2/3 + 2/3 + 0) / 3


def number_of_examples(predictions: Sequence[Any], references: Sequence[Any]) -> float:
    assert len(predictions) == len(references)
    return float(len(references))


WORDS = ["red", "green", "blue", "white", "black", "brown"]
ANSWER = {"text": ["Ann"], "answer_start": [0]}
# Recipe and table, with six rows of data.
RECIPES: list[tuple[str, dict[str, Metric], list[dict[str, Any]]]] = [
    ("text_classification", CLASSIFICATION_METRICS, [{"text": word, "label": "ab"[len(word) % 2]} for word in WORDS]),
    ("text_classification", MULTI_LABEL_METRICS, [{"text": word, "label": ["a", word[0]]} for word in WORDS]),
    ("text_classification", REGRESSION_METRICS, [{"text": word, "label": len(word) / 8} for word in WORDS]),
    ("token_classification", ENTITY_METRICS, [{"tokens": [word, "x"], "tags": ["B-A", "O"]} for word in WORDS]),
    ("token_classification", TAG_METRICS, [{"tokens": [word, "x"], "tags": ["NOUN", "VERB"]} for word in WORDS]),
    (
        "question_answering",
        QUESTION_METRICS,
        [{"question": f"who is {word}", "context": f"Ann is {word}", "answers": ANSWER} for word in WORDS],
    ),
    (
        "multiple_choice",
        CHOICE_METRICS,
        [{"sent1": word, "sent2": "it", "ending0": "a", "ending1": "b", "label": len(word) % 2} for word in WORDS],
    ),
    ("masked_lm", LM_METRICS, [{"text": f"the {word} cat sat on the {word} mat"} for word in WORDS]),
]


@pytest.mark.parametrize(
    ("recipe", "table", "rows"), RECIPES, ids=[f"{name}-{next(iter(table))}" for name, table, _ in RECIPES]
)
def test_a_metric_that_is_one_row_more_is_watched_reported_and_in_the_results(
    recipe: str,
    table: dict[str, Metric],
    rows: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(table, "size", number_of_examples)
    file, out = tmp_path / "rows.jsonl", tmp_path / "out"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    files = [f"--{split}_file={file}" for split in ("train", "validation", "test")]
    quiet = ["--use_cpu", "--report_to", "none", "--disable_tqdm", "true", "--save_strategy", "no"]
    steps = ["--max_steps", "2", "--eval_strategy", "steps", "--eval_steps", "1", "--logging_steps", "1"]
    watched = ["--early_stopping_patience", "1", "--early_stopping_monitor", "size", "--early_stopping_mode", "max"]
    pack = ["--pack", "false"] if recipe == "masked_lm" else []
    main = import_module(f"hf_strategies.recipes.{recipe}").main
    main([*quiet, *files, *steps, *watched, *pack, "--baselines", "--output_dir", str(out)])

    state = json.loads((out / "trainer_state.json").read_text(encoding="utf-8"))
    assert [entry["eval_size"] for entry in state["log_history"] if "eval_size" in entry] == [6.0, 6.0]
    results = json.loads((out / "all_results.json").read_text(encoding="utf-8"))
    assert results["eval_size"] == results["test_size"] == 6.0
    printed = capsys.readouterr().out
    assert "eval_size = 6.0000 at step 1" in printed.replace("\n", " ")
    card = [line for line in (out / "README.md").read_text(encoding="utf-8").splitlines() if "test set, " in line]
    assert len(card) > 1  # this model and at least one baseline
    assert "size 6.0000" in card[0]
    assert all(", size " in line for line in card)


def test_all_tables_give_their_names_once() -> None:
    assert metric_names(ENTITY_METRICS, TAG_METRICS).count("accuracy") == 1
    assert set(metric_names(ENTITY_METRICS, TAG_METRICS)) == {*ENTITY_METRICS, *TAG_METRICS}


def test_other_numbers_than_metrics_are_reported_as_the_decode_step_returns_them() -> None:
    compute = ComputeMetrics({"accuracy": accuracy}, lambda _: Decoded([1, 0], [1, 1], {"nll": 0.25}))
    assert compute(EvalPrediction(np.zeros(2), np.zeros(2))) == {"accuracy": 0.5, "nll": 0.25}


def test_without_references_there_are_no_metrics() -> None:
    assert ComputeMetrics({"accuracy": accuracy}, lambda _: None)(EvalPrediction(np.zeros(2), np.zeros(2))) == {}


def test_numbers_of_numpy_become_plain_floats() -> None:
    compute = ComputeMetrics({"mean": lambda predictions, _: np.float32(0.5)}, lambda _: Decoded([1], [1]))
    assert type(compute(EvalPrediction(np.zeros(1), np.zeros(1)))["mean"]) is float


def test_metrics_combine_offline() -> None:
    both = evaluate.combine([TableMetric("accuracy", accuracy), TableMetric("macro_f1", macro_f1)])
    values = both.compute(predictions=PREDICTED, references=TRUE)
    assert values == {"accuracy": pytest.approx(0.6), "macro_f1": pytest.approx(4 / 9)}


def test_batches_added_one_by_one_count_as_one() -> None:
    metric = TableMetric("macro_f1", macro_f1)
    metric.add_batch(predictions=PREDICTED[:2], references=TRUE[:2])
    metric.add_batch(predictions=PREDICTED[2:], references=TRUE[2:])
    assert metric.compute() == {"macro_f1": pytest.approx(4 / 9)}


@pytest.mark.parametrize(
    ("table", "predicted", "true"),
    [
        (CLASSIFICATION_METRICS, PREDICTED, TRUE),
        (MULTI_LABEL_METRICS, np.array([[1, 0], [0, 1]]), np.array([[1.0, 1.0], [0.0, 1.0]], dtype=np.float32)),
        (REGRESSION_METRICS, np.array([0.5, 1.5, 0.0], dtype=np.float32), [1.0, 2.0, 3.0]),
        (ENTITY_METRICS, [["B-A", "O"], ["O"]], [["B-A", "I-A"], ["O"]]),
        (TAG_METRICS, [["NOUN", "VERB"], ["NOUN"]], [["NOUN", "NOUN"], ["NOUN"]]),
        (QUESTION_METRICS, ["10", "a town"], [[], ["town", "York"]]),
        (CHOICE_METRICS, np.array([0, 1]), np.array([1, 1])),
        (LM_METRICS, np.array([[0.5, 1.0], [2.0, 0.0]]), np.array([2.0, 3.0])),
    ],
)
def test_each_row_of_each_table_is_a_metric_of_evaluate(table: dict[str, Metric], predicted: Any, true: Any) -> None:
    both = evaluate.combine([TableMetric(*row) for row in table.items()])
    values = both.compute(predictions=predicted, references=true)
    assert values == {name: metric(predicted, true) for name, metric in table.items()}
