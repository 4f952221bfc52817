"""Metrics of labels against values worked out by hand, by scipy and scikit-learn; thresholds; the baselines."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from scipy.stats import rankdata
from sklearn.metrics import f1_score
from transformers import EvalPrediction

from hf_strategies.finetune.metrics import Metric, accuracy, measure
from hf_strategies.finetune.text_classification.labels import LABEL_KINDS
from hf_strategies.finetune.text_classification.metrics import (
    CLASSIFICATION_METRICS,
    MULTI_LABEL_METRICS,
    REGRESSION_METRICS,
    macro_f1,
    micro_f1,
    pearson,
    rmse,
    spearman,
)
from hf_strategies.finetune.text_classification.threshold import best_threshold, label_probabilities

SINGLE, MULTI, NUMBER = (
    LABEL_KINDS[name] for name in ("single_label_classification", "multi_label_classification", "regression")
)

# Of three labels, true against predicted:   0: 2 of 3 right, predicted 3 times -> P = R = F1 = 2/3
#                                            1: 1 of 1 right, predicted 2 times -> P = 1/2, R = 1, F1 = 2/3
#                                            2: 0 of 1 right, never predicted   -> F1 = 0
TRUE = [0, 0, 0, 1, 2]
PREDICTED = [0, 0, 1, 1, 0]


@pytest.mark.parametrize(
    ("predicted", "true", "share", "mean"),
    [
        (PREDICTED, TRUE, 3 / 5, (2 / 3 + 2 / 3 + 0) / 3),
        ([0, 1, 1], [0, 1, 1], 1.0, 1.0),
        ([1, 0], [0, 1], 0.0, 0.0),
        ([0, 0, 0, 0], [0, 0, 0, 1], 3 / 4, (6 / 7 + 0) / 2),
        ([7], [7], 1.0, 1.0),
    ],
)
def test_metrics_have_the_values_worked_out_by_hand(
    predicted: list[int], true: list[int], share: float, mean: float
) -> None:
    assert accuracy(predicted, true) == pytest.approx(share)
    assert macro_f1(predicted, true) == pytest.approx(mean)


@pytest.mark.parametrize(
    ("metrics", "predicted", "true"),
    [
        (CLASSIFICATION_METRICS, PREDICTED, TRUE),
        (MULTI_LABEL_METRICS, [[1, 0]], [[1, 1]]),
        (REGRESSION_METRICS, PREDICTED, TRUE),
        (REGRESSION_METRICS, [1.0, 1.0], [1.0, 2.0]),
    ],
)
def test_values_are_plain_floats_that_the_trainers_log_can_hold(metrics: Any, predicted: Any, true: Any) -> None:
    values = measure(metrics, predicted, true)
    assert list(values) == list(metrics)
    assert {type(value) for value in values.values()} == {float}


def model(**config: float) -> Any:
    return SimpleNamespace(config=SimpleNamespace(**config))


def test_compute_metrics_measures_the_likeliest_label_of_each_row_again_and_again() -> None:
    compute = SINGLE.compute_metrics(model())
    logits = np.full((5, 3), -1.0)
    logits[range(5), PREDICTED] = 0.5
    for shift in (0, 100):
        values = compute(EvalPrediction(predictions=logits - shift, label_ids=np.array(TRUE)))
        assert values["accuracy"] == pytest.approx(0.6)
        assert values["macro_f1"] == pytest.approx(4 / 9)
    assert compute(EvalPrediction(predictions=logits, label_ids=np.array(PREDICTED)))["accuracy"] == 1.0


class TestRegression:
    """Correlations and errors of numbers."""

    @pytest.mark.parametrize(
        ("predicted", "true", "correlation", "of_ranks", "error"),
        [
            ([1.0, 2.0, 3.0], [10.0, 20.0, 30.0], 1.0, 1.0, np.sqrt((81 + 324 + 729) / 3)),
            ([3.0, 2.0, 1.0], [1.0, 2.0, 3.0], -1.0, -1.0, np.sqrt(8 / 3)),
            ([1.0, 2.0, 3.0], [1.0, 2.0, 30.0], 29 / np.sqrt(2 * 542), 1.0, np.sqrt(729 / 3)),
            ([0.0, 0.0], [0.0, 0.0], 0.0, 0.0, 0.0),
            ([5.0], [3.0], 0.0, 0.0, 2.0),
        ],
    )
    def test_they_have_the_values_worked_out_by_hand(
        self, predicted: list[float], true: list[float], correlation: float, of_ranks: float, error: float
    ) -> None:
        assert pearson(predicted, true) == pytest.approx(correlation)
        assert spearman(predicted, true) == pytest.approx(of_ranks)
        assert rmse(predicted, true) == pytest.approx(error)

    def test_they_are_the_formulas_with_ties_and_without(self) -> None:
        chance = np.random.default_rng(0)
        for digits in (0, 1, 8):
            one, other = (np.round(chance.normal(size=200), digits) for _ in range(2))
            assert pearson(one, one + other) == pytest.approx(np.corrcoef(one, one + other)[0, 1])
            ranks = [rankdata(values) for values in (one, one + other)]
            assert spearman(one, one + other) == pytest.approx(np.corrcoef(ranks)[0, 1])

    @pytest.mark.parametrize("metric", [pearson, spearman])
    @pytest.mark.parametrize("constant", [[2.0, 2.0, 2.0], [1e9, 1e9, 1e9]])
    def test_constant_values_have_no_correlation_and_no_warning(self, metric: Metric, constant: list[float]) -> None:
        assert metric(constant, [1.0, 2.0, 3.0]) == 0.0
        assert metric([1.0, 2.0, 3.0], constant) == 0.0

    @pytest.mark.parametrize("metric", [pearson, spearman])
    def test_values_that_are_nearly_constant_have_no_warning(self, metric: Metric) -> None:
        assert -1.0 <= metric([1.0, 1.0 + 3e-16, 1.0], [1.0, 2.0, 3.0]) <= 1.0

    @pytest.mark.parametrize(
        "predicted", [[np.nan, 1.0, 2.0], [np.inf, 1.0, 2.0], [np.nan, np.nan, np.nan], [np.inf, np.inf, np.inf]]
    )
    def test_a_model_that_has_diverged_has_no_value_and_no_warning(self, predicted: list[float]) -> None:
        assert np.isnan(pearson(predicted, [1.0, 2.0, 3.0]))
        assert not np.isfinite(rmse(predicted, [1.0, 2.0, 3.0]))
        if np.isnan(predicted).any():
            assert np.isnan(spearman(predicted, [1.0, 2.0, 3.0]))

    def test_the_trainers_column_of_outputs_is_what_is_measured(self) -> None:
        outputs, labels = np.array([[1.0], [2.0]], dtype=np.float32), np.array([1.0, 4.0], dtype=np.float32)
        values = NUMBER.compute_metrics(model())(EvalPrediction(predictions=outputs, label_ids=labels))
        assert values["pearson"] == pytest.approx(1.0)
        assert values["spearman"] == pytest.approx(1.0)
        assert values["rmse"] == pytest.approx(np.sqrt(2))


# Of three labels in four examples: 0 is right twice and missed once, 1 is right once and wrong once, 2 never occurs.
ALL_TRUE = [[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]
ALL_PREDICTED = [[1, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 0]]


class TestMultiLabel:
    """F1 over several labels of an example."""

    def test_they_have_the_values_worked_out_by_hand(self) -> None:
        # 3 right, 1 wrong, 1 missed; 0: P = 1, R = 2/3; 1: P = 1/2, R = 1; 2: nothing, which counts 0.
        assert micro_f1(ALL_PREDICTED, ALL_TRUE) == pytest.approx(6 / 8)
        assert macro_f1(ALL_PREDICTED, ALL_TRUE) == pytest.approx((0.8 + 2 / 3 + 0) / 3)

    def test_nothing_predicted_is_zero_without_a_warning(self) -> None:
        assert micro_f1(np.zeros((4, 3), int), ALL_TRUE) == 0.0
        assert macro_f1(np.zeros((4, 3), int), ALL_TRUE) == 0.0

    @pytest.mark.parametrize("threshold", [None, 0.2])
    def test_the_threshold_is_the_models_and_else_a_half(self, threshold: float | None) -> None:
        # sigmoid(-1) = 0.27
        outputs, labels = np.where(np.array(ALL_PREDICTED) == 1, -1.0, -2.0), np.array(ALL_TRUE, dtype=float)
        tuned = model() if threshold is None else model(threshold=threshold)
        values = MULTI.compute_metrics(tuned)(EvalPrediction(predictions=outputs, label_ids=labels))
        assert values["micro_f1"] == (0.0 if threshold is None else 0.75)


class TestBestThreshold:
    """The one at which micro F1 is highest."""

    def test_no_threshold_is_better(self) -> None:
        chance = np.random.default_rng(3)
        for digits in (1, 2, 8):
            truth = (chance.random((40, 5)) < 0.2).astype(int)
            scores = np.round(np.clip(0.3 * truth + chance.normal(0.3, 0.2, size=truth.shape), 0, 1), digits)
            tried = [f1_score(truth, scores >= limit, average="micro") for limit in np.unique(scores)]
            found = f1_score(truth, scores >= best_threshold(scores, truth), average="micro")
            assert found == pytest.approx(max(tried))

    @pytest.mark.parametrize(
        ("scores", "truth", "threshold"),
        [
            ([[0.9, 0.4], [0.2, 0.1]], [[1, 1], [0, 0]], 0.3),  # halfway between what is given and what is not
            ([[0.9, 0.9], [0.9, 0.1]], [[1, 0], [0, 0]], 0.5),  # equal ones are given together
            ([[0.8, 0.6]], [[1, 1]], 0.3),
            ([[0.8, 0.6]], [[0, 0]], 0.5),
            ([[0.0, 0.0]], [[1, 1]], 0.0),
        ],
    )
    def test_it_is_the_one_worked_out_by_hand(self, scores: Any, truth: Any, threshold: float) -> None:
        assert best_threshold(np.array(scores), np.array(truth)) == pytest.approx(threshold)

    def test_it_lies_between_neighbours_that_no_number_lies_between(self) -> None:
        low = 0.3
        high = float(np.nextafter(low, 1))
        found = best_threshold(np.array([[high, low]]), np.array([[1, 0]]))
        assert found == high

    def test_probabilities_are_right_at_both_ends(self) -> None:
        assert label_probabilities(np.array([-800.0, 0.0, 800.0], dtype=np.float32)).tolist() == [0.0, 0.5, 1.0]
        assert label_probabilities(np.array([-1.0])) == pytest.approx(1 / (1 + np.e))


def rows(texts: str, labels: Any, **columns: list[str]) -> Dataset:
    names = labels.split() if isinstance(labels, str) else labels
    return Dataset.from_dict({"text": texts.split(), "label": names, **columns})


class TestBaselines:
    """What a model is compared with."""

    def test_the_majority_has_the_share_of_the_training_sets_commonest_label(self) -> None:
        train, test = rows("one two three", "b b a"), rows("one two three four", "a b b b")
        results = SINGLE.baseline_metrics(train, test, ("a", "b"))
        assert results["majority class"]["accuracy"] == 0.75
        assert results["majority class"]["macro_f1"] == pytest.approx(3 / 7)

    def test_tf_idf_separates_what_words_separate_and_the_majority_does_not(self) -> None:
        train, test = rows("good fine bad grim", "y y n n"), rows("grim good", "n y")
        results = SINGLE.baseline_metrics(train, test, ("n", "y"))
        assert results["TF-IDF + logistic regression"]["accuracy"] == 1.0
        assert results["TF-IDF + logistic regression"]["macro_f1"] == 1.0
        assert results["majority class"]["accuracy"] == 0.5
        assert set(results) == {"majority class", "TF-IDF + logistic regression"}

    def test_the_second_text_of_a_pair_is_read(self) -> None:
        train = rows("same same same same", "y y n n", text_pair=["good", "fine", "bad", "grim"])
        test = rows("same same", "n y", text_pair=["grim", "good"])
        results = SINGLE.baseline_metrics(train, test, ("n", "y"))
        assert results["TF-IDF + logistic regression"]["accuracy"] == 1.0

    def test_cosine_similarity_tells_pairs_that_share_words_from_those_that_do_not(self) -> None:
        pairs = ["get the red_apple", "other words here", "a blue_pear", "nothing of that"]
        train = rows("get_red_apple get_red_plum blue_pear blue_plum", "y n y n", text_pair=pairs)
        test = rows("red_apple red_apple", "y n", text_pair=["the Red apple", "nothing here"])
        results = SINGLE.baseline_metrics(train, test, ("n", "y"))
        assert results["TF-IDF cosine similarity"]["accuracy"] == 1.0

    def test_the_mean_has_the_error_worked_out_by_hand_and_no_correlation(self) -> None:
        results = NUMBER.baseline_metrics(rows("a b", [1.0, 3.0]), rows("a b", [2.0, 4.0]), ("score",))
        assert results["mean of the labels"]["pearson"] == 0.0
        assert results["mean of the labels"]["spearman"] == 0.0
        assert results["mean of the labels"]["rmse"] == pytest.approx(np.sqrt(2))

    def test_ridge_and_similarity_order_what_words_order(self) -> None:
        train = rows("good good bad bad", [5.0, 5.0, 0.0, 0.0], text_pair=["good", "good", "dog", "dog"])
        test = rows("good bad", [4.0, 1.0], text_pair=["good", "dog"])
        results = NUMBER.baseline_metrics(train, test, ("score",))
        for name in ("TF-IDF + ridge regression", "TF-IDF cosine similarity"):
            assert results[name]["pearson"] == pytest.approx(1.0)

    def test_the_most_frequent_labels_are_as_many_as_an_example_has(self) -> None:
        train = rows("a b c", [["x", "y"], ["x"], ["x", "y", "z"]])  # x 3 times, y 2, z 1: two on average
        results = MULTI.baseline_metrics(train, rows("a b", [["x", "y"], ["z"]]), ("x", "y", "z"))
        assert results["most frequent labels"]["micro_f1"] == pytest.approx(2 * 2 / (4 + 3))

    def test_one_against_the_rest_finds_several_labels_and_does_not_warn_of_one_that_training_lacks(self) -> None:
        train = rows("cat dog fish", [["c"], ["d"], []])
        joined = Dataset.from_dict({"text": ["cat", "dog", "fish"], "label": [["c"], ["d"], []]})
        results = MULTI.baseline_metrics(train, joined, ("c", "d", "unused"))
        assert results["TF-IDF + one-vs-rest logistic regression"]["micro_f1"] == 1.0
