"""The weighted loss against torch by hand, and steps of accumulated batches against one of all."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from transformers import Trainer

from hf_strategies.finetune.class_weights import ClassWeightArguments, balanced_loss, balanced_weights, weighted_loss
from hf_strategies.recipes import text_classification
from tests.finetune.runs import QUIET, logged, read, reviews, write_csv

WEIGHTS = [0.5, 2.0, 1.0]
LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.0], [0.0, 1.0, 3.0], [1.0, -1.0, 0.0]])
LABELS = torch.tensor([0, 1, -100, 2])


def by_hand(labels: list[int], smoothing: float = 0.0) -> float:
    """The sum over the labels that count, each term written out."""
    total, share = 0.0, smoothing / 3
    for logits, label in zip(LOGITS.double().tolist(), labels, strict=True):
        if label < 0:
            continue
        shifted = np.exp(np.array(logits))
        costs = -np.log(shifted / shifted.sum())
        total += (1 - smoothing) * WEIGHTS[label] * costs[label] + share * float(np.dot(WEIGHTS, costs))
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_sum_worked_out_by_hand_over_the_number_of_labels(smoothing: float) -> None:
    loss = weighted_loss(WEIGHTS, smoothing)
    total = by_hand(LABELS.tolist(), smoothing)
    assert float(loss({"logits": LOGITS}, LABELS)) == pytest.approx(total / 3)
    assert float(loss({"logits": LOGITS}, LABELS, num_items_in_batch=7)) == pytest.approx(total / 7)
    assert float(loss({"logits": LOGITS}, LABELS, torch.tensor(7))) == pytest.approx(total / 7)


def test_with_equal_weights_it_is_torchs_own_mean() -> None:
    own = torch.nn.functional.cross_entropy(LOGITS, LABELS)
    assert float(weighted_loss([1.0, 1.0, 1.0])({"logits": LOGITS}, LABELS)) == pytest.approx(float(own))


def test_the_labels_of_tokens_may_lie_in_rows() -> None:
    flat = weighted_loss(WEIGHTS)({"logits": LOGITS}, LABELS)
    nested = weighted_loss(WEIGHTS)({"logits": LOGITS.view(2, 2, 3)}, LABELS.view(2, 2))
    assert float(nested) == float(flat)


def test_parts_of_a_batch_have_the_gradient_of_the_whole() -> None:
    def gradient(parts: list[slice]) -> Tensor:
        logits = LOGITS.clone().requires_grad_()
        for part in parts:
            weighted_loss(WEIGHTS)({"logits": logits[part]}, LABELS[part], num_items_in_batch=3).backward()
        assert logits.grad is not None
        return logits.grad

    torch.testing.assert_close(gradient([slice(0, 1), slice(1, 4)]), gradient([slice(0, 4)]))


def test_weights_are_scikit_learns_and_their_mean_over_the_labels_is_one() -> None:
    labels = np.array([0] * 7 + [1] * 2 + [2])
    weights = balanced_weights(labels, 3)
    assert weights == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=labels).tolist())
    assert np.array(weights)[labels].mean() == pytest.approx(1.0)
    assert balanced_weights(np.append(labels, [-100] * 5), 4) == pytest.approx([*weights, 1.0])


def test_without_the_flag_the_models_own_loss_is_taken() -> None:
    args: Any = type("Args", (), {"label_smoothing_factor": 0.0})
    assert balanced_loss(ClassWeightArguments(), args, [0, 1], 2) is None
    loss = balanced_loss(ClassWeightArguments(class_weights="balanced"), args, [0, 0, 1], 2)
    assert loss is not None
    wanted = weighted_loss([0.75, 1.5])({"logits": LOGITS[:, :2]}, torch.tensor([0, 1, 0, 0]))
    assert float(loss({"logits": LOGITS[:, :2]}, torch.tensor([0, 1, 0, 0]))) == float(wanted)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A training file with three times as many good reviews, and a model to begin with."""
    folder = tmp_path_factory.mktemp("weights")
    rows = reviews(48, 0)
    good, bad = ([row for row in rows if row["label"] == label] for label in ("good", "bad"))
    train = write_csv(folder / "train.csv", good + bad[:8])
    flags = ["--max_steps", "1", "--eval_strategy", "no", "--save_strategy", "no", "--train_file", train]
    text_classification.main([*QUIET, *flags, "--output_dir", str(folder / "model")])
    config = read(folder / "model" / "config.json")
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "model" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return train, str(folder / "model")


class TestRecipe:
    """Flags, in a run of two steps without dropout."""

    def run(self, files: tuple[str, str], out: Path, *flags: str) -> Trainer:
        train, model = files
        data = ["--train_file", train, "--validation_file", train, "--model_name_or_path", model]
        steps = ["--max_steps", "2", "--logging_steps", "1", "--learning_rate", "1e-3", "--save_strategy", "no"]
        order = ["--train_sampling_strategy", "sequential", "--per_device_train_batch_size", "16"]
        trainer: Trainer = text_classification.main([*QUIET, *data, *steps, *order, *flags, "--output_dir", str(out)])
        return trainer

    @pytest.mark.parametrize(
        "flags",
        [
            [],
            ["--class_weights", "balanced"],
            ["--label_smoothing_factor", "0.2"],
            ["--class_weights", "balanced", "--label_smoothing_factor", "0.2"],
        ],
        ids=["plain", "weights", "smoothing", "both"],
    )
    def test_two_batches_of_eight_are_a_step_of_sixteen(
        self, flags: list[str], files: tuple[str, str], tmp_path: Path
    ) -> None:
        whole = self.run(files, tmp_path / "whole", *flags)
        parts = ["--per_device_train_batch_size", "8", "--gradient_accumulation_steps", "2"]
        accumulated = self.run(files, tmp_path / "parts", *flags, *parts)
        for key in ("loss", "grad_norm", "eval_loss"):
            values = [[row[key] for row in run.state.log_history if key in row] for run in (whole, accumulated)]
            assert values[0] == pytest.approx(values[1], rel=1e-3)
            assert values[0]

    def test_each_flag_changes_the_loss_to_what_it_says(self, files: tuple[str, str], tmp_path: Path) -> None:
        def first_loss(name: str, *flags: str) -> float:
            self.run(files, tmp_path / name, *flags, "--max_steps", "1", "--eval_strategy", "no")
            return logged(tmp_path / name, "loss")[0][1]

        plain = first_loss("plain")
        smooth = first_loss("smooth", "--label_smoothing_factor", "0.2")
        both = first_loss("both", "--label_smoothing_factor", "0.2", "--class_weights", "balanced")
        weighted = first_loss("weighted", "--class_weights", "balanced")
        # The first 16 rows are good ones: 24 of 32 are, so that each weighs 2/3; of the smoothed part some weighs 2.
        assert weighted == pytest.approx(plain * 32 / (2 * 24), rel=1e-3)
        assert len({round(loss, 4) for loss in (plain, smooth, both, weighted)}) == 4
