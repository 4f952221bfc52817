"""The metrics against values worked out by hand, without a network; the baselines measured with them."""

import evaluate
import numpy as np
import pytest
from datasets import Dataset
from transformers import EvalPrediction

from hf_strategies.recipe.baselines import baseline_metrics
from hf_strategies.recipe.metrics import CLASSIFICATION_METRICS, Accuracy, MacroF1, classification_metrics

# Of three labels, true against predicted:   0: 2 of 3 right, predicted 3 times -> P = R = F1 = 2/3
#                                            1: 1 of 1 right, predicted 2 times -> P = 1/2, R = 1, F1 = 2/3
#                                            2: 0 of 1 right, never predicted   -> F1 = 0
TRUE = [0, 0, 0, 1, 2]
PREDICTED = [0, 0, 1, 1, 0]


@pytest.mark.parametrize(
    ("predicted", "true", "accuracy", "macro_f1"),
    [
        (PREDICTED, TRUE, 3 / 5, (2 / 3 + 2 / 3 + 0) / 3),
        ([0, 1, 1], [0, 1, 1], 1.0, 1.0),
        ([1, 0], [0, 1], 0.0, 0.0),
        ([0, 0, 0, 0], [0, 0, 0, 1], 3 / 4, (6 / 7 + 0) / 2),
        ([7], [7], 1.0, 1.0),
    ],
)
def test_metrics_have_the_values_worked_out_by_hand(
    predicted: list[int], true: list[int], accuracy: float, macro_f1: float
) -> None:
    assert Accuracy().compute(predictions=predicted, references=true) == {"accuracy": pytest.approx(accuracy)}
    assert MacroF1().compute(predictions=predicted, references=true) == {"macro_f1": pytest.approx(macro_f1)}


def test_metrics_combine_offline() -> None:
    both = evaluate.combine([Accuracy(), MacroF1()])
    assert both.compute(predictions=PREDICTED, references=TRUE) == {
        "accuracy": pytest.approx(0.6),
        "macro_f1": pytest.approx(4 / 9),
    }


def test_batches_added_one_by_one_count_as_one() -> None:
    metric = MacroF1()
    metric.add_batch(predictions=PREDICTED[:2], references=TRUE[:2])
    metric.add_batch(predictions=PREDICTED[2:], references=TRUE[2:])
    assert metric.compute() == {"macro_f1": pytest.approx(4 / 9)}


def test_values_are_plain_floats_that_the_trainers_log_can_hold() -> None:
    for metric in CLASSIFICATION_METRICS.values():
        [value] = metric().compute(predictions=PREDICTED, references=TRUE).values()
        assert type(value) is float


def test_compute_metrics_measures_the_likeliest_label_of_each_row_again_and_again() -> None:
    compute = classification_metrics()
    logits = np.full((5, 3), -1.0)
    logits[range(5), PREDICTED] = 0.5
    wanted = {"accuracy": pytest.approx(0.6), "macro_f1": pytest.approx(4 / 9)}
    assert compute(EvalPrediction(predictions=logits, label_ids=np.array(TRUE))) == wanted
    assert compute(EvalPrediction(predictions=logits - 100, label_ids=np.array(TRUE))) == wanted
    assert compute(EvalPrediction(predictions=logits, label_ids=np.array(PREDICTED)))["accuracy"] == 1.0


def rows(texts: str, labels: str, **columns: list[str]) -> Dataset:
    return Dataset.from_dict({"text": texts.split(), "label": labels.split(), **columns})


def test_the_majority_baseline_has_the_share_of_the_training_sets_commonest_label() -> None:
    results = baseline_metrics(rows("one two three", "b b a"), rows("one two three four", "a b b b"), ("a", "b"))
    assert results["majority class"] == {"accuracy": 0.75, "macro_f1": pytest.approx(3 / 7)}


def test_tf_idf_separates_what_words_separate_and_the_majority_does_not() -> None:
    train, test = rows("good fine bad grim", "y y n n"), rows("grim good", "n y")
    results = baseline_metrics(train, test, ("n", "y"))
    assert results["TF-IDF + logistic regression"] == {"accuracy": 1.0, "macro_f1": 1.0}
    assert results["majority class"]["accuracy"] == 0.5


def test_the_baselines_read_the_second_text_of_a_pair() -> None:
    train = rows("same same same same", "y y n n", text_pair=["good", "fine", "bad", "grim"])
    test = rows("same same", "n y", text_pair=["grim", "good"])
    assert baseline_metrics(train, test, ("n", "y"))["TF-IDF + logistic regression"]["accuracy"] == 1.0
