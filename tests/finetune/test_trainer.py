"""What the recipes give their Trainer: a multiple to pad to, and logits without other outputs."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import BartConfig, BartForSequenceClassification

from hf_strategies.finetune.trainer import only_logits, padding_multiple


@pytest.mark.parametrize(
    ("device", "length", "multiple"), [("cuda", 512, 8), ("cuda", 66, None), ("cuda", 100, None), ("cpu", 512, None)]
)
def test_rows_of_the_longest_input_are_not_padded_beyond_it(device: str, length: int, multiple: int | None) -> None:
    flags: Any = SimpleNamespace(run=SimpleNamespace(device=torch.device(device)))
    assert padding_multiple(flags, length) == multiple


def test_the_states_of_an_encoder_are_no_logits() -> None:
    config = BartConfig(
        vocab_size=20,
        d_model=8,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=8,
        decoder_ffn_dim=8,
        max_position_embeddings=8,
        num_labels=3,
    )
    outputs = BartForSequenceClassification(config)(input_ids=torch.tensor([[0, 5, 2]]))
    logits = tuple(outputs.values())
    assert len(logits) > 1
    assert only_logits(logits, torch.tensor([0])).shape == (1, 3)
    assert only_logits(logits[0], torch.tensor([0])) is logits[0]
