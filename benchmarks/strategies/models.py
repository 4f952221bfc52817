"""Models of the benchmark of strategies, and rows as they go into them."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Sampler
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, BertConfig, set_seed

from benchmarks.strategies.tasks import TASKS, Row, Task, minilm
from hf_strategies.finetune.small_bert import SMALL_BERT, train_wordpiece

BATCH = 16
_CHUNK = 4 * BATCH


@dataclass(frozen=True)
class Prepared:
    """The encoded rows of a task and a seed; ``kept`` are the ids of the vocabulary that occur in them."""

    task: Task
    layers: int
    splits: dict[str, list[dict[str, Any]]]
    labels: int
    kept: tuple[int, ...]

    @property
    def steps_per_epoch(self) -> int:
        """How many optimizer steps an epoch has."""
        return -(-len(self.splits["train"]) // BATCH)

    def model(self, seed: int) -> Any:
        """Make the model, its new weights drawn by ``seed``."""
        set_seed(seed)
        if self.task.small_bert:
            options: dict[str, Any] = {"num_labels": self.labels, "problem_type": self.task.kind}
            config = BertConfig(vocab_size=len(self.kept), **SMALL_BERT, **options)
            return AutoModelForSequenceClassification.from_config(config)
        encoder = AutoModel.from_pretrained(minilm(), num_hidden_layers=self.layers, add_pooling_layer=False)
        # A word that never occurs has no gradient, and without weight decay Adam leaves it alone: without those
        # rows training is the same, and a step takes three quarters of the time.
        words = encoder.get_input_embeddings().weight.detach()[torch.tensor(self.kept)].clone()
        encoder.set_input_embeddings(nn.Embedding.from_pretrained(words, freeze=False, padding_idx=0))
        return MeanPooled(encoder, self.base_rates(), self.task.kind)

    def base_rates(self) -> Tensor:
        """Return the logits of a model that knows only the labels' frequencies: the first bias of the last layer.

        With many rare labels a model would otherwise spend most of its steps learning that they are rare.
        """
        labels = torch.tensor([row["labels"] for row in self.splits["train"]])
        if self.task.kind == "multi_label_classification":
            return torch.logit(labels.mean(0), eps=1e-3)
        return labels.mean(0, keepdim=True) if self.task.kind == "regression" else torch.zeros(self.labels)


class MeanPooled(nn.Module):
    """An encoder, the mean over its tokens, and a linear layer.

    MiniLM was trained for that mean; its first token has to be taught first what it is for, which takes more
    steps than these small training sets have in several epochs.
    """

    def __init__(self, encoder: Any, start: Tensor, kind: str) -> None:
        super().__init__()
        self.encoder, self.kind = encoder, kind
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(encoder.config.hidden_size, len(start))
        self.head.bias.data.copy_(start)

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Return the loss, by the kind of problem as transformers has it, and the logits."""
        states = self.encoder(input_ids, attention_mask, token_type_ids).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        logits = self.head(self.dropout((states * weights).sum(1) / weights.sum(1)))
        return {"loss": LOSSES[self.kind](logits, labels), "logits": logits}


LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "single_label_classification": functional.cross_entropy,
    "multi_label_classification": functional.binary_cross_entropy_with_logits,
    "regression": lambda logits, labels: functional.mse_loss(logits.squeeze(-1), labels),
}


@lru_cache(maxsize=4)
def prepare(name: str, seed: int, layers: int, scale: int) -> Prepared:
    """Draw and encode the rows of a task; the vocabulary is cut down to the ids that occur."""
    task = TASKS[name]
    drawn = task.draw(seed, scale)
    if task.small_bert:
        tokenizer: Any = train_wordpiece([text for texts, _ in drawn["train"] for text in texts])
    else:
        tokenizer = AutoTokenizer.from_pretrained(minilm())
    encoded = {split: [_encode(tokenizer, row, task.max_length) for row in rows] for split, rows in drawn.items()}
    kept = sorted({0} | {token for rows in encoded.values() for row in rows for token in row["input_ids"]})
    place = {token: index for index, token in enumerate(kept)}
    for row in (row for rows in encoded.values() for row in rows):
        row["input_ids"] = [place[token] for token in row["input_ids"]]
    for split in ("validation", "test"):  # batches of like length; the metrics do not depend on the order
        encoded[split].sort(key=lambda row: len(row["input_ids"]))
    return Prepared(task, layers, encoded, _outputs(task), tuple(kept))


def _encode(tokenizer: Any, row: Row, max_length: int) -> dict[str, Any]:
    texts, label = row
    return dict(tokenizer(*texts, truncation=True, max_length=max_length)) | {"labels": label}


def _outputs(task: Task) -> int:
    labels = [label for _, label in task.rows()["train"]]
    if task.kind == "regression":
        return 1
    return len(labels[0]) if isinstance(labels[0], list) else max(labels) + 1


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """Pad a batch to its longest row (the padding token is 0)."""
    padded = {
        key: pad_sequence([torch.tensor(row[key]) for row in rows], batch_first=True)
        for key in ("input_ids", "token_type_ids", "attention_mask")
    }
    return padded | {"labels": torch.tensor([row["labels"] for row in rows])}


class LikeLengths(Sampler[int]):
    """Random batches of rows of like length: chunks of four batches are sorted, then the batches shuffled.

    transformers' own grouping sorts 50 batches at once, which is more than these training sets have: each epoch
    would go from the longest to the shortest.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]], seed: int) -> None:
        self.lengths = [len(row["input_ids"]) for row in rows]
        self.random = random.Random(seed)

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        order = self.random.sample(range(len(self)), len(self))
        batches: list[list[int]] = []
        for start in range(0, len(order), _CHUNK):
            chunk = sorted(order[start : start + _CHUNK], key=self.lengths.__getitem__)
            batches += [chunk[first : first + BATCH] for first in range(0, len(chunk), BATCH)]
        # A short batch stays at the end, or all later ones would straddle two lengths.
        whole = [batch for batch in batches if len(batch) == BATCH]
        self.random.shuffle(whole)
        yield from (index for batch in [*whole, *(b for b in batches if len(b) < BATCH)] for index in batch)
