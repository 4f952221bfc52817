"""The prepared rows of a task on a device: first weights, batches and scores."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.landing.stacked import Shape, logits, losses

BATCH = 16
EPOCHS = 32  # the longest: a hold of 20 epochs and its cooldown
_TOKENS = 48 * 1024  # that an evaluation has in memory at once
SMALL_BERT = {"hidden": 128, "inner": 512, "layers": 2, "heads": 2}
_HEAD_SIZE = 32  # of MiniLM

Score = tuple[float, float, float, dict[str, np.ndarray]]
"""Validation metric in points, validation loss, test metric in points, and what each test row adds to the metric."""


@dataclass
class Data:
    """The rows of some seeds of a task, of which those of training come first, then validation and test."""

    meta: Mapping[str, Any]
    seeds: tuple[int, ...]
    arrays: Mapping[str, Tensor]
    lengths: np.ndarray
    order: np.ndarray
    kept: np.ndarray
    encoder: Mapping[str, Tensor]

    @classmethod
    def read(cls, folder: Path, task: str, seeds: Sequence[int], device: str) -> "Data":
        """Read what `prepare` wrote."""
        with np.load(folder / f"{task}.npz") as file:
            stored = dict(file)
        meta = json.loads(str(stored.pop("meta")))
        places = [meta["seeds"].index(seed) for seed in seeds]
        kept = stored.pop("kept")[places]
        stored = {name: array[places] for name, array in stored.items()}
        arrays = {}
        for name, array in stored.items():
            wanted = np.float32 if name == "labels" and meta["kind"] in ("number", "many") else np.int64
            arrays[name] = torch.from_numpy(array.astype(wanted)).to(device)
        encoder: dict[str, Tensor] = {}
        if not meta["small_bert"]:
            with np.load(folder / "encoder.npz") as file:
                encoder = {name: torch.from_numpy(file[name]) for name in file}
        orders = [_order(seed, meta["counts"][0]) for seed in seeds]
        return cls(meta, tuple(seeds), arrays, stored["lengths"].astype(np.int64), np.stack(orders), kept, encoder)

    @property
    def device(self) -> torch.device:
        """Where its rows are."""
        return self.arrays["ids"].device

    @property
    def scored_in(self) -> torch.dtype:
        """The type of the weights in an evaluation."""
        return torch.float16 if self.device.type == "cuda" else torch.float32

    @property
    def steps_per_epoch(self) -> int:
        """How many optimizer steps an epoch has."""
        return -(-int(self.meta["counts"][0]) // BATCH)

    @property
    def shape(self) -> Shape:
        """The shape of its models."""
        tokens, positions = self.meta["kind"] == "tokens", self.arrays["ids"].shape[2]
        sizes = dict(SMALL_BERT)
        if not self.meta["small_bert"]:
            hidden, inner = self.encoder["0.up.weight"].shape
            layers = sum(name.endswith(".up.weight") for name in self.encoder)
            sizes = {"hidden": hidden, "inner": inner, "layers": layers, "heads": hidden // _HEAD_SIZE}
        return Shape(self.kept.shape[1], positions=positions, outputs=self.meta["outputs"], tokens=tokens, **sizes)

    def first(self, place: int) -> Tensor:
        """Return the first weights of a seed, by its place among the seeds: new ones are drawn by the seed."""
        generator, shape = torch.Generator().manual_seed(self.seeds[place]), self.shape
        values = {name: self._first(name, size, place, generator) for name, (_, size) in shape.places.items()}
        if self.meta["kind"] in ("many", "number"):
            values["head.bias"] = self._base_rates(place)
        return shape.row(values)

    def _first(self, name: str, size: tuple[int, ...], place: int, generator: torch.Generator) -> Tensor:
        if name.startswith("head."):
            bound = self.shape.hidden**-0.5  # as torch.nn.Linear
            return (2 * torch.rand(size, generator=generator) - 1) * bound
        if self.meta["small_bert"]:
            return _new(name, size, generator)
        value = self.encoder[name]
        return value[torch.from_numpy(self.kept[place])] if name == "words" else value[: size[0]]

    def _base_rates(self, place: int) -> Tensor:
        """Return the logits of a model that knows only the labels' frequencies, as `benchmarks.strategies`."""
        labels = self.arrays["labels"][place, : self.meta["counts"][0]].cpu()
        return torch.logit(labels.mean(0), eps=1e-3) if self.meta["kind"] == "many" else labels.mean(0, keepdim=True)

    def batch(self, places: Sequence[int], steps: Sequence[int]) -> dict[str, Tensor]:
        """Return the batches of models after ``steps`` steps each, cut to their longest row."""
        rows = np.stack([self.order[place, step] for place, step in zip(places, steps, strict=True)])
        chosen = np.asarray(places)[:, None]
        length = _round(int(self.lengths[chosen, rows].max()), self.arrays["ids"].shape[2])
        index = torch.from_numpy(np.stack([np.broadcast_to(chosen, rows.shape), rows]))
        index = index.to(self.device, non_blocking=True)  # a wait here would empty the queue of the accelerator
        return self._cut({name: array[index[0], index[1]] for name, array in self.arrays.items()}, length)

    def _cut(self, batch: dict[str, Tensor], length: int) -> dict[str, Tensor]:
        cut = {"ids", "types", *(["labels"] if self.meta["kind"] == "tokens" else [])}
        return {name: value[:, :, :length] if name in cut else value for name, value in batch.items()}

    # --- evaluation -----------------------------------------------------------------------------------------

    @torch.no_grad()
    def scores(self, rows: Tensor, places: Sequence[int]) -> list[Score]:
        """Evaluate models; on an accelerator in float16, whose mantissa is as long as that of TF32."""
        rows = rows.detach().to(self.scored_in)
        train, validation, test = self.meta["counts"]
        out, labels = self._logits(rows, places, train, train + validation)
        loss = losses(self.meta["kind"], out, labels).cpu().numpy()
        chosen = self.metrics(out, labels)
        tested = self.metrics(*self._logits(rows, places, train + validation, train + validation + test))
        return [
            (chosen[k][0], float(loss[k]), tested[k][0], tested[k][1]) for k in range(len(places))
        ]  # fmt: skip

    def _logits(self, rows: Tensor, places: Sequence[int], start: int, end: int) -> tuple[Tensor, Tensor]:
        chosen = torch.tensor(list(places), device=self.device)
        longest, parts = self.arrays["ids"].shape[2], []
        for first, last, length in self._chunks(places, start, end):
            piece = self._cut({name: array[chosen, first:last] for name, array in self.arrays.items()}, length)
            out = logits(self.shape, rows, piece["ids"], piece["types"], piece["lengths"])
            parts.append(functional.pad(out, (0, 0, 0, longest - length)) if self.shape.tokens else out)
        return torch.cat(parts, 1), self.arrays["labels"][chosen, start:end]

    def _chunks(self, places: Sequence[int], start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield ranges of rows, which are sorted by their lengths, and the longest length of each."""
        longest = self.lengths[sorted(set(places))].max(0)
        first = start
        while first < end:
            last = min(end, first + 64)
            while (
                last < end
                and len(places) * (last + 16 - first) * longest[last] <= _TOKENS
                and (longest[last] <= longest[first] + 8)
            ):
                last = min(end, last + 16)
            yield first, last, _round(int(longest[first:last].max()), self.arrays["ids"].shape[2])
            first = last

    def metrics(self, out: Tensor, labels: Tensor) -> list[tuple[float, dict[str, np.ndarray]]]:
        """Return the metric of each model in points, and its parts by row."""
        parts = {name: value.cpu().numpy() for name, value in _parts(self.meta["kind"], out, labels).items()}
        each = [{name: value[k] for name, value in parts.items()} for k in range(len(out))]
        if self.meta["kind"] == "number":
            true = labels.cpu().numpy()
            return [(100 * _spearman(part["predictions"], true[k]), part) for k, part in enumerate(each)]
        return [(100 * _share(part), part) for part in each]


def _new(name: str, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return the first values of a parameter of BERT that learns from nothing."""
    if name.endswith("bias"):
        return torch.zeros(size)
    return torch.ones(size) if "norm" in name else 0.02 * torch.randn(size, generator=generator)


def _parts(kind: str, out: Tensor, labels: Tensor) -> dict[str, Tensor]:
    if kind == "number":
        return {"predictions": out.squeeze(-1)}
    if kind == "labels":
        return {"right": out.argmax(-1) == labels}
    if kind == "many":
        predicted, true = out > 0, labels > 0.5
        found = {"tp": predicted & true, "fp": predicted & ~true, "fn": ~predicted & true}
    else:
        best, counted = out.argmax(-1), labels != -100
        wrong = counted & (best != labels)
        found = {"tp": counted & ~wrong & (labels != 0), "fp": wrong & (best != 0), "fn": wrong & (labels != 0)}
    return {name: value.sum(-1).to(torch.uint8) for name, value in found.items()}


def _share(parts: Mapping[str, np.ndarray]) -> float:
    """Return the accuracy, or F1 over all rows; 0 when nothing is right."""
    if "right" in parts:
        return float(parts["right"].mean())
    tp, fp, fn = (int(parts[name].sum(dtype=np.int64)) for name in ("tp", "fp", "fn"))
    return 2 * tp / (2 * tp + fp + fn) if tp else 0.0


def _spearman(predicted: np.ndarray, labels: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(predicted, labels).statistic) if np.ptp(predicted) > 0 else 0.0


def _round(length: int, longest: int) -> int:
    return min(longest, -(-length // 8) * 8)


def _order(seed: int, count: int) -> np.ndarray:
    """Return the rows of each batch, one epoch after another, each in an order of its own."""
    generator = np.random.default_rng([seed, count])
    whole = -(-count // BATCH) * BATCH
    # A last batch that would be short takes its rows from the beginning of the epoch, so that all are of one size.
    epochs = [np.resize(generator.permutation(count), whole) for _ in range(EPOCHS)]
    return np.concatenate(epochs).reshape(-1, BATCH)
