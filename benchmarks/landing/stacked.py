"""Many BERT encoders of one shape, trained at once: their parameters are the rows of one matrix.

A small model leaves most of an accelerator idle. Here M models, each with its own rows, rate and number of steps
done, go through every kernel together, as batched matrix products. Each is trained as `transformers.BertModel` with
the mean over its tokens and a linear layer is by `torch.optim.AdamW` and `clip_grad_norm_`; the tests compare them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

NORM_EPS = 1e-12
MAX_GRAD_NORM = 1.0
_ALIGNED = 64  # floats, so that every matrix begins where the fast kernels want it


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder and of its linear layer; ``tokens`` gives logits for each token, not for the row."""

    vocabulary: int
    hidden: int
    inner: int
    layers: int
    heads: int
    positions: int
    outputs: int
    tokens: bool = False
    dropout: float = 0.1

    @cached_property
    def places(self) -> Mapping[str, tuple[int, tuple[int, ...]]]:
        """Where each parameter begins in a row, and its shape; a weight is (inputs, outputs)."""
        places, start = {}, 0
        for name, shape in self._parameters():
            places[name] = (start, shape)
            start += -(-math.prod(shape) // _ALIGNED) * _ALIGNED
        return places

    @cached_property
    def size(self) -> int:
        """The length of a row."""
        start, shape = list(self.places.values())[-1]
        return start + -(-math.prod(shape) // _ALIGNED) * _ALIGNED

    def _parameters(self) -> list[tuple[str, tuple[int, ...]]]:
        h, inner = self.hidden, self.inner
        found: list[tuple[str, tuple[int, ...]]] = [
            ("words", (self.vocabulary, h)), ("positions", (self.positions, h)), ("types", (2, h)),
            ("norm.weight", (h,)), ("norm.bias", (h,)),
        ]  # fmt: skip
        for layer in range(self.layers):
            sizes = {"qkv": (h, 3 * h), "out": (h, h), "up": (h, inner), "down": (inner, h)}
            for name, (rows, columns) in sizes.items():
                found += [(f"{layer}.{name}.weight", (rows, columns)), (f"{layer}.{name}.bias", (columns,))]
            found += [(f"{layer}.norm{k}.{part}", (h,)) for k in (1, 2) for part in ("weight", "bias")]
        return [*found, ("head.weight", (h, self.outputs)), ("head.bias", (self.outputs,))]

    def row(self, values: Mapping[str, Tensor]) -> Tensor:
        """Return the row of one model."""
        row = torch.zeros(self.size)
        for name, (start, shape) in self.places.items():
            row[start : start + math.prod(shape)] = values[name].reshape(-1)
        return row

    def parameters(self, rows: Tensor) -> dict[str, Tensor]:
        """Return views of the rows, each (M, ...); their gradients are put together by one copy."""
        starts = [start for start, _ in self.places.values()]
        ends = [*starts[1:], self.size]
        parts = rows.split([end - start for start, end in zip(starts, ends, strict=True)], dim=1)
        return {
            name: part[:, : math.prod(shape)].unflatten(1, shape)
            for (name, (_, shape)), part in zip(self.places.items(), parts, strict=True)
        }


def logits(shape: Shape, rows: Tensor, ids: Tensor, types: Tensor, lengths: Tensor, dropout: float = 0.0) -> Tensor:
    """Return (M, B, outputs), or (M, B, L, outputs) for each token, in float32.

    ``ids`` and ``types`` are (M, B, L), ``lengths`` (M, B), and model m reads its own rows ``ids[m]``.
    """
    p = shape.parameters(rows)
    mask = torch.arange(ids.shape[2], device=ids.device) < lengths.unsqueeze(-1)
    states = _embedded(p, ids, types)
    states = functional.dropout(_norm(states, p, "norm"), dropout, training=dropout > 0)
    hidden = torch.zeros(mask.shape, dtype=states.dtype, device=ids.device).masked_fill(~mask, float("-inf"))
    for layer in range(shape.layers):
        states = _layer(shape, p, layer, states, hidden, dropout)
    states = states.unflatten(1, ids.shape[1:])
    if not shape.tokens:
        weights = mask.unsqueeze(-1).to(states.dtype)
        states = ((states.float() * weights).sum(2) / weights.float().sum(2)).unsqueeze(2)
    # The encoder of the tokens and the mean are in float32 from here on, whatever the rows are in.
    states = functional.dropout(states.float(), dropout, training=dropout > 0)
    out = torch.baddbmm(p["head.bias"].float().unsqueeze(1), states.flatten(1, 2), p["head.weight"].float())
    out = out.unflatten(1, states.shape[1:3])
    return out if shape.tokens else out.squeeze(2)


def _embedded(p: Mapping[str, Tensor], ids: Tensor, types: Tensor) -> Tensor:
    models, _, length = ids.shape
    words, kinds = p["words"], p["types"]
    offsets = torch.arange(models, device=ids.device).view(-1, 1, 1) * words.shape[1]
    states = functional.embedding(ids + offsets, words.flatten(0, 1)) + p["positions"][:, None, :length]
    first, second = kinds[:, None, None, 0], kinds[:, None, None, 1]
    return (states + first + types.unsqueeze(-1).to(states.dtype) * (second - first)).flatten(1, 2)


def _norm(states: Tensor, p: Mapping[str, Tensor], name: str) -> Tensor:
    normed = functional.layer_norm(states, states.shape[-1:], eps=NORM_EPS)
    return torch.addcmul(p[f"{name}.bias"].unsqueeze(1), normed, p[f"{name}.weight"].unsqueeze(1))


def _dense(states: Tensor, p: Mapping[str, Tensor], name: str) -> Tensor:
    return torch.baddbmm(p[f"{name}.bias"].unsqueeze(1), states, p[f"{name}.weight"])


def _layer(
    shape: Shape, p: Mapping[str, Tensor], layer: int, states: Tensor, hidden: Tensor, dropout: float
) -> Tensor:
    models, batch, length = hidden.shape
    heads, size = shape.heads, shape.hidden // shape.heads
    qkv = _dense(states, p, f"{layer}.qkv").view(models * batch, length, 3, heads, size).permute(2, 0, 3, 1, 4)
    bias = hidden.flatten(0, 1)[:, None, None, :].expand(-1, heads, length, -1)
    mixed = functional.scaled_dot_product_attention(*qkv.unbind(0), attn_mask=bias, dropout_p=dropout)
    mixed = mixed.transpose(1, 2).reshape(models, batch * length, shape.hidden)
    mixed = functional.dropout(_dense(mixed, p, f"{layer}.out"), dropout, training=dropout > 0)
    states = _norm(mixed + states, p, f"{layer}.norm1")
    inner = functional.gelu(_dense(states, p, f"{layer}.up"))
    inner = functional.dropout(_dense(inner, p, f"{layer}.down"), dropout, training=dropout > 0)
    return _norm(inner + states, p, f"{layer}.norm2")


def losses(kind: str, out: Tensor, labels: Tensor) -> Tensor:
    """Return the mean loss of each model, as transformers has it; words with the label -100 do not count."""
    if kind == "many":
        each = functional.binary_cross_entropy_with_logits(out, labels.to(out.dtype), reduction="none")
        return each.flatten(1).mean(1)
    if kind == "number":
        return (out.squeeze(-1) - labels).square().mean(1)
    each = functional.cross_entropy(out.flatten(0, -2), labels.reshape(-1), reduction="none", ignore_index=-100)
    each, counted = each.view(len(out), -1), (labels != -100).flatten(1)
    return each.sum(1) / counted.sum(1)


class Stack:
    """Models in training: their rows, and the moments and the step of AdamW (no weight decay) for each."""

    def __init__(self, shape: Shape, rows: Tensor) -> None:
        self.shape = shape
        self.rows = rows.detach().clone().requires_grad_()
        self.first, self.second = torch.zeros_like(rows), torch.zeros_like(rows)
        self.steps = torch.zeros(len(rows), device=rows.device)

    def state(self, model: int) -> tuple[Tensor, ...]:
        """Return a copy of what one model's training needs to go on."""
        return tuple(x[model].detach().clone() for x in (self.rows, self.first, self.second, self.steps))

    @classmethod
    def of(cls, shape: Shape, states: Sequence[tuple[Tensor, ...]]) -> "Stack":
        """Stack such copies."""
        stack = cls.__new__(cls)
        rows, stack.first, stack.second, stack.steps = (torch.stack([state[k] for state in states]) for k in range(4))
        stack.shape, stack.rows = shape, rows.requires_grad_()
        return stack

    def keep(self, models: Sequence[int]) -> None:
        """Go on with some of the models, in this order."""
        index = torch.tensor(list(models), device=self.rows.device)
        self.first, self.second, self.steps = self.first[index], self.second[index], self.steps[index]
        self.rows = self.rows.detach()[index].requires_grad_()

    def train(self, kind: str, batch: Mapping[str, Tensor], rates: Sequence[float]) -> None:
        """Make one step of each model at its own rate."""
        out = logits(self.shape, self.rows, batch["ids"], batch["types"], batch["lengths"], self.shape.dropout)
        (gradient,) = torch.autograd.grad(losses(kind, out, batch["labels"]).sum(), self.rows)
        with torch.no_grad():
            norm = gradient.norm(dim=1, keepdim=True)
            gradient.mul_((MAX_GRAD_NORM / (norm + 1e-6)).clamp(max=1.0))
            self.steps.add_(1)
            self._update(gradient, rates)

    def _update(self, gradient: Tensor, rates: Sequence[float]) -> None:
        # One kernel for all models of a rate: by hand, AdamW on stacked tensors reads and writes three times as much.
        for rate in sorted(set(rates)):
            chosen = [m for m, other in enumerate(rates) if other == rate]
            rows, grads, first, second, steps = (
                [x[m] for m in chosen] for x in (self.rows.detach(), gradient, self.first, self.second, self.steps)
            )
            torch._fused_adamw_(
                rows, grads, first, second, [], steps,
                lr=rate, beta1=0.9, beta2=0.999, weight_decay=0.0, eps=1e-8, amsgrad=False, maximize=False,
            )  # fmt: skip
