"""Encode the rows of the tasks, and cut MiniLM down to what they need: all that a machine without data then reads.

``python -m benchmarks.landing prepare FOLDER`` writes a file for each task and one for the first layers of MiniLM.
The study itself needs torch, numpy and scipy only.
"""

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.landing.tasks import TASKS, Task
from benchmarks.strategies.tasks import Row, minilm

ENCODER = "encoder.npz"
_SPLITS = ("train", "validation", "test")


def prepare(args: Namespace) -> None:
    """Write the files of the tasks, of all seeds."""
    from transformers import AutoTokenizer

    args.folder.mkdir(parents=True, exist_ok=True)
    tokenizer = AutoTokenizer.from_pretrained(minilm())
    encoded = {name: _task(TASKS[name], args.seeds, tokenizer) for name in args.tasks}
    of_minilm = [arrays["ids"] for name, arrays in encoded.items() if not TASKS[name].small_bert]
    kept = np.unique(np.concatenate([[0], *(ids.ravel() for ids in of_minilm)]))
    for name, arrays in encoded.items():
        own = [np.unique(np.append(ids, 0)) for ids in arrays["ids"]]
        ids = [np.searchsorted(*pair) for pair in zip(own, arrays["ids"], strict=True)]
        arrays["ids"] = np.stack(ids).astype(np.uint16)
        places = own if TASKS[name].small_bert else [np.searchsorted(kept, words) for words in own]
        arrays["kept"] = _padded([list(words) for words in places], max(map(len, own)), 0, np.int64)
        np.savez_compressed(args.folder / f"{name}.npz", **arrays)
        print(f"{name}: {arrays['ids'].shape}, {max(map(len, own))} words, {arrays['meta']}")
    np.savez_compressed(args.folder / ENCODER, **_minilm(args.layers, kept))


def _task(task: Task, seeds: Sequence[int], minilm_tokenizer: Any) -> dict[str, Any]:
    """Return the rows of a task: for each seed those of training, validation and test, one after another."""
    parts = [_seed(task, seed, minilm_tokenizer) for seed in seeds]
    counts = parts[0][1]
    assert all(part[1] == counts for part in parts), f"{task.name}: the seeds have unlike numbers of rows"
    meta = {
        "task": task.name, "data": task.data, "metric": task.metric, "kind": task.kind, "rates": task.rates,
        "epochs": task.epochs, "small_bert": task.small_bert, "seeds": list(seeds), "counts": counts,
        "outputs": _outputs(task),
    }  # fmt: skip
    arrays = {key: np.stack([part[0][key] for part in parts]) for key in parts[0][0]}
    return {**arrays, "meta": json.dumps(meta)}


def _seed(task: Task, seed: int, tokenizer: Any) -> tuple[dict[str, np.ndarray], list[int]]:
    from hf_strategies.finetune.small_bert import train_wordpiece

    drawn = task.draw(seed)
    if task.small_bert:
        tokenizer = train_wordpiece([text for texts, _ in drawn["train"] for text in texts])
    rows = []
    for split in _SPLITS:
        encoded = [encode_row(task, tokenizer, row) for row in drawn[split]]
        # Batches of like length for the evaluations; the metrics do not depend on the order.
        rows += encoded if split == "train" else sorted(encoded, key=lambda row: len(row["ids"]))
    length = task.max_length
    arrays = {
        "ids": _padded([row["ids"] for row in rows], length, 0, np.int64),
        "types": _padded([row["types"] for row in rows], length, 0, np.uint8),
        "lengths": np.array([len(row["ids"]) for row in rows], np.uint8),
    }
    labels = [row["labels"] for row in rows]
    if task.kind == "tokens":
        arrays["labels"] = _padded(labels, length, -100, np.int16)
    else:
        arrays["labels"] = np.array(labels, np.float32 if task.kind == "number" else np.int16)
    return arrays, [len(drawn[split]) for split in _SPLITS]


def encode_row(task: Task, tokenizer: Any, row: Row) -> dict[str, Any]:
    """Return the ids, types and labels of a row of a task."""
    texts, labels = row
    if task.kind != "tokens":
        encoded = tokenizer(*texts, truncation=True, max_length=task.max_length)
        return {"ids": encoded["input_ids"], "types": encoded["token_type_ids"], "labels": labels}
    encoded = tokenizer(list(texts), is_split_into_words=True, truncation=True, max_length=task.max_length)
    words = encoded.word_ids()
    first = [
        labels[word] if word is not None and word != before else -100
        for before, word in zip([None, *words], words, strict=False)
    ]
    return {"ids": encoded["input_ids"], "types": encoded["token_type_ids"], "labels": first}


def _padded(rows: Sequence[Sequence[int]], length: int, padding: int, kind: Any) -> np.ndarray:
    found = np.full((len(rows), length), padding, kind)
    for place, row in zip(found, rows, strict=True):
        place[: len(row)] = row
    return found


def _outputs(task: Task) -> int:
    labels = [label for _, label in task.rows()["train"]]
    if task.kind == "number":
        return 1
    if task.kind == "many":
        return len(labels[0])
    return 1 + max(max(label) if isinstance(label, list) else label for label in labels)


def _minilm(layers: int, kept: np.ndarray) -> Mapping[str, np.ndarray]:
    """Return MiniLM's first layers by the names of `benchmarks.landing.stacked.Shape`."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(minilm(), num_hidden_layers=layers, add_pooling_layer=False)
    longest = max(task.max_length for task in TASKS.values())
    return {name: value.numpy() for name, value in encoder_values(model, kept, longest).items()}


def encoder_values(model: Any, kept: Any, longest: int) -> dict[str, Any]:
    """Return the parameters of a `transformers.BertModel` by the names of a stacked encoder."""
    import torch

    state = {name: value.detach() for name, value in model.state_dict().items()}
    found = {
        "words": state["embeddings.word_embeddings.weight"][torch.as_tensor(kept)],
        "positions": state["embeddings.position_embeddings.weight"][:longest],
        "types": state["embeddings.token_type_embeddings.weight"],
        "norm.weight": state["embeddings.LayerNorm.weight"],
        "norm.bias": state["embeddings.LayerNorm.bias"],
    }
    for layer in range(model.config.num_hidden_layers):
        at = f"encoder.layer.{layer}"
        qkv = [f"{at}.attention.self.{name}" for name in ("query", "key", "value")]
        found[f"{layer}.qkv.weight"] = torch.cat([state[f"{name}.weight"] for name in qkv]).T
        found[f"{layer}.qkv.bias"] = torch.cat([state[f"{name}.bias"] for name in qkv])
        for ours, theirs in (
            ("out", "attention.output.dense"),
            ("up", "intermediate.dense"),
            ("down", "output.dense"),
        ):
            found[f"{layer}.{ours}.weight"] = state[f"{at}.{theirs}.weight"].T
            found[f"{layer}.{ours}.bias"] = state[f"{at}.{theirs}.bias"]
        for ours, theirs in (("norm1", "attention.output.LayerNorm"), ("norm2", "output.LayerNorm")):
            for part in ("weight", "bias"):
                found[f"{layer}.{ours}.{part}"] = state[f"{at}.{theirs}.{part}"]
    return {name: value.contiguous() for name, value in found.items()}
