"""Endings that only fill up a row are never chosen, and the loss is that of each row's own endings."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from transformers import BertConfig, BertForMultipleChoice, TrainingArguments

from hf_strategies.finetune.metrics import ComputeMetrics
from hf_strategies.finetune.multiple_choice.data import (
    IS_ENDING,
    ChoiceArguments,
    ChoiceCollator,
    ChoiceData,
    encode,
    most_endings,
)
from hf_strategies.finetune.multiple_choice.metrics import CHOICE_METRICS, decode_choices
from hf_strategies.finetune.multiple_choice.trainer import ChoiceTrainer, choice_loss
from hf_strategies.finetune.small_bert import train_wordpiece

ROWS = {
    "context": ["the cat", "a dog", "one plum", "the old cat"],
    "question": ["", "it", "", "who"],
    "endings": [["sat", "ran off"], ["sat", "ran", "fell down"], ["was a plum", "ran"], list("abcde")],
    "label": [1, 2, 0, 4],
}
TOKENIZER = train_wordpiece([*ROWS["context"], "sat ran off fell down was who it a b c d e"])


@pytest.fixture(scope="module")
def encoded() -> Dataset:
    data = ChoiceData(DatasetDict({"train": Dataset.from_dict(ROWS)}), "test")
    splits = encode(ChoiceArguments(), data, TOKENIZER, 32)
    assert most_endings(splits) == 5
    return splits["train"]


def trainer(folder: Path, smoothing: float = 0.0, **options: Any) -> ChoiceTrainer:
    """A Trainer of a random BERT without dropout."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    rates = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = BertForMultipleChoice(BertConfig(vocab_size=len(TOKENIZER), initializer_range=0.5, **sizes, **rates))
    quiet = {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "label_smoothing_factor": smoothing}
    return ChoiceTrainer(
        model=model,
        args=TrainingArguments(str(folder), per_device_eval_batch_size=3, save_strategy="no", **quiet, **options),
        data_collator=ChoiceCollator(TOKENIZER),
        compute_loss_func=choice_loss(smoothing),
        compute_metrics=ComputeMetrics(CHOICE_METRICS, decode_choices),
        endings=5,
    )


def logits_alone(model: Any, encoded: Dataset) -> list[torch.Tensor]:
    """The logits of each row, in a batch without any other."""
    batches = [ChoiceCollator(TOKENIZER)([row]) for row in encoded.remove_columns("labels")]
    assert all(bool(batch.pop(IS_ENDING).all()) for batch in batches)
    return [model(**batch).logits[0] for batch in batches]


def loss_by_hand(logits: list[torch.Tensor], smoothing: float) -> float:
    losses = []
    for row, label in zip(logits, ROWS["label"], strict=True):
        powers = [math.exp(value) for value in row.tolist()]
        logs = [math.log(power / sum(powers)) for power in powers]
        losses.append(-(1 - smoothing) * logs[label] - smoothing * sum(logs) / len(logs))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_each_row_alone(smoothing: float, encoded: Dataset, tmp_path: Path) -> None:
    made = trainer(tmp_path, smoothing)
    batch = ChoiceCollator(TOKENIZER)(list(encoded))
    assert batch[IS_ENDING].sum(dim=-1).tolist() == [2, 3, 2, 5]
    alone = logits_alone(made.model, encoded)
    loss = made.compute_loss(made.model, batch)
    assert loss.item() == pytest.approx(loss_by_hand(alone, smoothing), rel=1e-5)
    loss.backward()
    gradients = [parameter.grad.clone() for parameter in made.model.parameters() if parameter.grad is not None]
    made.model.zero_grad()
    smoothed = torch.nn.functional.cross_entropy
    rows = zip(alone, torch.tensor(ROWS["label"]), strict=True)
    torch.stack([smoothed(row, label, label_smoothing=smoothing) for row, label in rows]).mean().backward()
    wanted = [parameter.grad for parameter in made.model.parameters() if parameter.grad is not None]
    for one, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_what_fills_up_a_row_is_never_predicted(encoded: Dataset, tmp_path: Path) -> None:
    """Batches of three rows: the first has rows of up to three endings, the second a row of five."""
    made = trainer(tmp_path)
    torch.nn.init.zeros_(made.model.classifier.weight)  # type: ignore[union-attr]
    known, unknown = made.predict(encoded), made.predict(encoded.remove_columns("labels"))
    for output in (known, unknown):
        logits = np.asarray(output.predictions)
        assert np.isfinite(logits).sum(axis=-1).tolist() == [2, 3, 2, 5]
        assert logits.shape == (4, 5)
    assert unknown.metrics is not None
    assert "test_accuracy" not in unknown.metrics
    # All logits of a row are equal: the first ending is taken, and its probability is 1 / the number of endings.
    assert known.metrics is not None
    assert known.metrics["test_accuracy"] == 0.25
    assert known.metrics["test_loss"] == pytest.approx(np.log([2, 3, 2, 5]).mean())


def test_predictions_are_the_logits_of_each_row_alone(encoded: Dataset, tmp_path: Path) -> None:
    made = trainer(tmp_path)
    output = made.predict(encoded)
    alone = [row.detach().numpy() for row in logits_alone(made.model.eval(), encoded)]
    for row, wanted in zip(np.asarray(output.predictions), alone, strict=True):
        np.testing.assert_allclose(row[: len(wanted)], wanted, rtol=1e-4, atol=1e-5)
    right = [int(row.argmax() == label) for row, label in zip(alone, ROWS["label"], strict=True)]
    assert output.metrics is not None
    assert output.metrics["test_accuracy"] == sum(right) / 4


def test_two_batches_of_a_step_weigh_their_rows_alike(encoded: Dataset, tmp_path: Path) -> None:
    """The mean of three rows and one row, accumulated, is that of the four."""
    losses = []
    for size, batches in ((4, 1), (3, 2)):
        made = trainer(
            tmp_path,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=batches,
            max_steps=1,
            logging_steps=1,
        )
        made.train_dataset = encoded
        made.train()
        losses += [row["loss"] for row in made.state.log_history if "loss" in row]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
