"""Stacked training beside transformers' BERT and torch's AdamW, one model after another."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertModel

from benchmarks.landing.prepare import encoder_values
from benchmarks.landing.stacked import Shape, Stack

WORDS, LENGTH = 40, 12
OUTPUTS = {"labels": 5, "many": 6, "number": 1, "tokens": 4}
SIZES = {"hidden": 32, "inner": 64, "layers": 2, "heads": 4}


class Alone:
    """One model, trained by transformers and torch alone."""

    def __init__(self, kind: str) -> None:
        config = BertConfig(
            vocab_size=WORDS, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=LENGTH, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        self.kind, self.norms = kind, list[float]()
        self.encoder, self.head = BertModel(config, add_pooling_layer=False), nn.Linear(32, OUTPUTS[kind])
        self.parameters = [*self.encoder.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=1.0, weight_decay=0.0)

    def row(self, shape: Shape) -> Tensor:
        head = {"head.weight": self.head.weight.detach().T, "head.bias": self.head.bias.detach()}
        return shape.row({**encoder_values(self.encoder, range(WORDS), LENGTH), **head})

    def train(self, batch: dict[str, Tensor], rate: float) -> None:
        mask = torch.arange(LENGTH) < batch["lengths"].unsqueeze(-1)
        states = self.encoder(batch["ids"], mask.long(), batch["types"]).last_hidden_state
        if self.kind != "tokens":
            states = (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        self.optimizer.param_groups[0]["lr"] = rate
        self.optimizer.zero_grad()
        self.loss(self.head(states), batch["labels"]).backward()
        self.norms.append(float(nn.utils.clip_grad_norm_(self.parameters, 1.0)))
        self.optimizer.step()

    def loss(self, out: Tensor, labels: Tensor) -> Tensor:
        if self.kind == "many":
            return functional.binary_cross_entropy_with_logits(out, labels)
        if self.kind == "number":
            return functional.mse_loss(out.squeeze(-1), labels)
        return functional.cross_entropy(out.view(-1, out.shape[-1]), labels.view(-1))


def batch(kind: str) -> dict[str, Tensor]:
    """Rows of random lengths for two models."""
    lengths = torch.randint(3, LENGTH + 1, (2, 6))
    mask = torch.arange(LENGTH) < lengths.unsqueeze(-1)
    ids, types = torch.randint(1, WORDS, mask.shape) * mask, torch.randint(0, 2, mask.shape) * mask
    labels: dict[str, Any] = {
        "labels": torch.randint(0, 5, (2, 6)),
        "many": torch.randint(0, 2, (2, 6, 6)).float(),
        "number": torch.rand(2, 6),
        "tokens": torch.where(mask, torch.randint(0, 4, mask.shape), -100),
    }
    return {"ids": ids, "types": types, "lengths": lengths, "labels": labels[kind]}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_two_stacked_trainings_equal_two_single_ones(kind: str) -> None:
    torch.manual_seed(0)
    alone = [Alone(kind), Alone(kind)]
    shape = Shape(WORDS, positions=LENGTH, outputs=OUTPUTS[kind], tokens=kind == "tokens", dropout=0.0, **SIZES)
    first = torch.stack([model.row(shape) for model in alone])
    stack = Stack(shape, first)
    for step in range(8):
        rows, rates = batch(kind), [1e-2 * (step + 1) / 8, 3e-3]  # one of them is still warming up
        stack.train(kind, rows, rates)
        for number, model in enumerate(alone):
            model.train({name: value[number] for name, value in rows.items()}, rates[number])
    expected = torch.stack([model.row(shape) for model in alone])
    assert (expected - first).abs().max() > 0.02
    assert any(norm > 1.0 for model in alone for norm in model.norms)  # clipping had something to do
    torch.testing.assert_close(stack.rows.detach(), expected, atol=5e-5, rtol=0.0)


def test_a_model_taken_out_of_a_stack_goes_on_as_within_it() -> None:
    torch.manual_seed(0)
    shape = Shape(WORDS, positions=LENGTH, outputs=5, dropout=0.0, **SIZES)
    stack = Stack(shape, torch.stack([Alone("labels").row(shape) for _ in range(2)]))
    stack.train("labels", batch("labels"), [1e-3, 2e-3])
    kept, copied = Stack.of(shape, [stack.state(0), stack.state(1)]), Stack.of(shape, [stack.state(1)])
    kept.keep([1])
    rows = batch("labels")
    stack.train("labels", rows, [1e-3, 2e-3])
    for other in (kept, copied):
        other.train("labels", {name: value[1:] for name, value in rows.items()}, [2e-3])
        torch.testing.assert_close(other.rows[0], stack.rows[1], atol=1e-6, rtol=0.0)
