"""What one process holds of an optimizer's state."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from hf_strategies.errors import StrategyError
from hf_strategies.trainer.local_shards import Piece

__all__ = ["OptimizerPieces"]

_NUMBERS = {float: torch.float64, int: torch.int64, bool: torch.bool}


class OptimizerPieces:
    """The state of an optimizer, such as Adam's moments, by name; not its learning rates and other settings.

    ``optimizer`` may be wrapped by accelerate and DeepSpeed. Raises `StrategyError` for state that is neither
    tensors nor numbers, or lies on NVMe.
    """

    prefix = "optimizer."

    def __init__(self, optimizer: Any) -> None:
        self._zero = ""
        while hasattr(optimizer, "optimizer"):
            optimizer = optimizer.optimizer
            if type(optimizer).__module__.startswith("deepspeed.runtime"):
                self._zero = "ZeRO"
                self._wrapper = optimizer
        if self._zero and type(self._wrapper).__name__.startswith("FP16_"):
            raise StrategyError(
                "the optimizer's state cannot be kept under DeepSpeed in fp16 without ZeRO: set stage 1"
            )
        if self._zero and getattr(self._wrapper, "optimizer_swapper", None) is not None:
            raise StrategyError("the optimizer's state cannot be kept on NVMe: set offload_optimizer to 'cpu'")
        self._optimizer = optimizer

    def pieces(self) -> Iterator[Piece]:
        """Yield what there is now; nothing for parameters that have made no step."""
        for index, parameter in enumerate(self._parameters()):
            state = self._optimizer.state.get(parameter, {})
            for key, value in state.items():
                yield self._piece(f"{self.prefix}{index}.{key}", state, key, value)

    def forget_others(self, names: set[str]) -> None:
        """Drop the state of parameters that have none among ``names``: they had made no step then.

        Raises `StrategyError` when one of ``names`` is not here.
        """
        missing = names - {piece.name for piece in self.pieces()}
        if missing:
            raise StrategyError(f"the optimizer has no {min(missing)!r} now: it is another one than was kept")
        for index, parameter in enumerate(self._parameters()):
            if not any(name.startswith(f"{self.prefix}{index}.") for name in names):
                self._optimizer.state.pop(parameter, None)

    def _parameters(self) -> list[Any]:
        # ZeRO-3 takes its flat parameters out of the groups between the steps.
        flat = getattr(self._wrapper, "fp32_partitioned_groups_flat", None) if self._zero else None
        if flat is not None:
            return list(flat)
        return [parameter for group in self._optimizer.param_groups for parameter in group["params"]]

    def _piece(self, name: str, state: dict[str, Any], key: str, value: Any) -> Piece:
        if isinstance(value, DTensor):
            return Piece(name, value.to_local(), f"{value.placements} on {tuple(value.device_mesh.shape)}")
        if isinstance(value, Tensor):
            return Piece(name, value.detach(), self._zero)
        kind = type(value)
        if kind not in _NUMBERS:
            raise StrategyError(
                f"the state {key!r} of {type(self._optimizer).__name__} is a {kind.__name__}, neither tensor nor"
                " number: it cannot be kept with the best weights"
            )

        def write(kept: Tensor) -> None:
            state[key] = kind(kept.item())

        return Piece(name, torch.tensor(value, dtype=_NUMBERS[kind]), self._zero, write)
