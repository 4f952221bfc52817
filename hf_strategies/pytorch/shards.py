"""What one process holds of a model's weights, wherever they are placed."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
from torch.distributed.tensor import DTensor

from hf_strategies.errors import StrategyError

__all__ = ["OptimizerPieces", "Piece", "bare", "pieces", "refuse_unknown_placements", "settle"]


@dataclass(frozen=True)
class Piece:
    """A named tensor of this process, to be read, and written by `put`.

    ``source`` is the tensor or reads it; ``placement`` is empty where every process holds the same, else it says
    how the share of this one is cut.
    """

    name: str
    source: Tensor | Callable[[], Tensor]
    placement: str = ""
    write: Callable[[Tensor], object] | None = None

    @property
    def tensor(self) -> Tensor:
        """What it holds now."""
        return self.source if isinstance(self.source, Tensor) else self.source()

    def put(self, value: Tensor) -> None:
        """Write the value, in place."""
        if self.write:
            self.write(value)
        else:
            self.tensor.copy_(value)  # of the same memory as what it was made of


def refuse_unknown_placements(model: nn.Module) -> None:
    """Raise `StrategyError` for weights that are placed in a way that `pieces` does not know."""
    if any(isinstance(module, FullyShardedDataParallel) for module in model.modules()):
        raise StrategyError("best weights cannot be kept under FSDP 1: set fsdp_config={'version': 2}")
    for name, parameter in model.named_parameters():
        if getattr(getattr(parameter, "ds_tensor", None), "final_location", None) == "nvme":
            raise StrategyError(f"best weights cannot be kept while {name} is on NVMe: set offload_param to 'cpu'")
        if getattr(getattr(parameter, "_z3_optimizer", None), "optimizer_swapper", None) is not None:
            raise StrategyError(
                "best weights cannot be kept with the optimizer on NVMe: set offload_optimizer to 'cpu'"
            )
        if getattr(parameter, "ds_secondary_tensor", None) is not None:
            raise StrategyError("best weights cannot be kept with zero_hpz_partition_size > 1: set it to 1")


def settle(model: nn.Module) -> None:
    """Drop the whole weights that an evaluation left gathered, so that only each process's share is there.

    FSDP 2 leaves its root unsharded after a forward pass without a backward pass, and DeepSpeed ZeRO-3 its small
    parameters: what is written to the shares would be overwritten from, or hidden by, the gathered ones.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    parameter: Any
    for parameter in model.parameters():
        # By name, so that deepspeed need not be imported.
        if getattr(getattr(parameter, "ds_status", None), "name", "") == "AVAILABLE":
            parameter.partition()


def pieces(model: nn.Module, wanted: Callable[[str, nn.Parameter], bool]) -> Iterator[Piece]:
    """Yield what this process holds of the wanted parameters and of all buffers, tied ones once.

    Under FSDP 2 and tensor parallelism that is its local shard; under DeepSpeed ZeRO-3 its partition, and under
    any ZeRO its share of the fp32 master weights too, from which the next step would otherwise bring back the
    weights of before.
    """
    sharded = False
    for long_name, parameter in model.named_parameters():
        name = bare(long_name)
        if wanted(name, parameter):
            for piece in _of_parameter(name, parameter):
                sharded |= bool(piece.placement) or hasattr(parameter, "_hp_mapping")
                yield piece
    # No process looks after the buffers of the others unless it is DDP, which copies those of the first.
    for long_name, buffer in model.named_buffers():
        yield _of_tensor(bare(long_name), buffer, "a buffer of a sharded model" if sharded else "")


def bare(name: str) -> str:
    """A parameter's name without what `torch.compile` puts into it."""
    return name.replace("_orig_mod.", "")


def _of_tensor(name: str, tensor: Tensor, placement: str = "") -> Piece:
    if isinstance(tensor, DTensor):
        return Piece(name, tensor.to_local(), f"{tensor.placements} on {tuple(tensor.device_mesh.shape)}")
    return Piece(name, tensor.detach(), placement)


def _of_parameter(name: str, parameter: nn.Parameter) -> Iterator[Piece]:
    if hasattr(parameter, "ds_tensor"):
        yield from _of_zero_3(name, parameter)
        return
    yield _of_tensor(name, parameter)
    mapping = getattr(parameter, "_hp_mapping", None)  # DeepSpeed ZeRO-1 and 2; None where others hold the masters
    if mapping is not None:
        address = mapping.lp_fragment_address
        yield Piece(f"{name} (fp32 master)", mapping.hp_fragment, f"{address.start} + {address.numel}")


def _of_zero_3(name: str, parameter: Any) -> Iterator[Piece]:
    shard: Tensor = parameter.ds_tensor
    placement = f"ZeRO-3 partition of {shard.numel()}"
    yield Piece(name, shard.detach(), placement)
    # A model that is only evaluated has no optimizer, and what is frozen has no master.
    if hasattr(parameter, "_z3_optimizer") and parameter.requires_grad:
        deepspeed = importlib.import_module("deepspeed.utils")

        def read() -> Tensor:
            return cast(Tensor, deepspeed.safe_get_local_fp32_param(parameter)).detach()

        def write(value: Tensor) -> None:
            deepspeed.safe_set_local_fp32_param(parameter, value.to(shard.device))

        yield Piece(f"{name} (fp32 master)", read, placement, write)  # an offloaded one is brought to the device


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
