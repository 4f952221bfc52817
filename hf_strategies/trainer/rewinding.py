"""Training on from earlier weights."""

from typing import Any

import torch

from hf_strategies.pytorch.shards import OptimizerPieces

__all__ = ["forget_moments"]


@torch.no_grad()
def forget_moments(optimizer: Any) -> None:
    """Make an optimizer forget all gradients that it has seen, as if it had made no step yet."""
    inner = optimizer
    while hasattr(inner, "optimizer"):
        inner = inner.optimizer
        if type(inner).__module__.startswith("deepspeed.runtime"):
            # It holds on to the tensors of its state: they are emptied in place.
            for piece in OptimizerPieces(optimizer).pieces():
                piece.put(torch.zeros_like(piece.tensor))
            return
    inner.state.clear()
