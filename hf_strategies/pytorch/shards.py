"""The tensors of a model and of its optimizer that one process holds, also when they are sharded."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
from torch.distributed.tensor import DTensor

from hf_strategies.errors import StrategyError

__all__ = [
    "OptimizerPieces",
    "Piece",
    "drop_gathered",
    "pieces",
    "pieces_of",
    "refuse_unknown_placements",
    "reshard",
    "uncompiled_name",
]


@dataclass(frozen=True)
class Piece:
    """A named tensor of this process, which can be read (`tensor`) and written (`put`).

    ``source`` is the tensor, or a function that returns it. ``write`` is the function that writes it; None copies the
    value into the tensor. ``placement`` is empty if every process holds the same tensor, else it describes the shard
    of this process.
    """

    name: str
    source: Tensor | Callable[[], Tensor]
    placement: str = ""
    write: Callable[[Tensor], object] | None = None

    @property
    def tensor(self) -> Tensor:
        """The present value."""
        return self.source if isinstance(self.source, Tensor) else self.source()

    def put(self, value: Tensor) -> None:
        """Replace the value, in place."""
        if self.write:
            self.write(value)
        else:
            self.tensor.copy_(value)  # the tensor shares its memory with the model or the optimizer


def refuse_unknown_placements(model: nn.Module, what: str = "best weights cannot be kept") -> None:
    """Raise `StrategyError`, which begins with ``what``, if `pieces` does not support how the weights are placed."""
    if any(isinstance(module, FullyShardedDataParallel) for module in model.modules()):
        raise StrategyError(f"{what} under FSDP 1: set fsdp_config={{'version': 2}}")
    for name, parameter in model.named_parameters():
        if getattr(getattr(parameter, "ds_tensor", None), "final_location", None) == "nvme":
            raise StrategyError(f"{what} while {name} is on NVMe: set offload_param to 'cpu'")
        if getattr(getattr(parameter, "_z3_optimizer", None), "optimizer_swapper", None) is not None:
            raise StrategyError(f"{what} with the optimizer on NVMe: set offload_optimizer to 'cpu'")
        if getattr(parameter, "ds_secondary_tensor", None) is not None:
            raise StrategyError(f"{what} with zero_hpz_partition_size > 1: set it to 1")


def drop_gathered(model: nn.Module) -> None:
    """Free the gathered weights that an evaluation left, so that each process holds its shards only.

    After a forward pass without a backward pass, FSDP 2 leaves its root module unsharded, and DeepSpeed ZeRO-3 its
    small parameters. The gathered weights would hide a value that is written to the shards, or overwrite it.
    """
    reshard(model)
    parameter: Any
    for parameter in model.parameters():
        # The status is compared by its name, so that deepspeed need not be imported.
        if getattr(getattr(parameter, "ds_status", None), "name", "") == "AVAILABLE":
            parameter.partition()


def reshard(model: nn.Module) -> None:
    """Free the gathered weights of FSDP 2 alone; this costs nothing after a backward pass, which has freed them."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def pieces(model: nn.Module, wanted: Callable[[str, nn.Parameter], bool]) -> Iterator[Piece]:
    """Yield the pieces that this process holds of the wanted parameters and of all buffers; tied weights once.

    ``wanted`` returns whether a parameter is included, from its name and the parameter. A piece is the local shard
    under FSDP 2 and tensor parallelism, and the partition under DeepSpeed ZeRO-3. Under any ZeRO, the process's share
    of the fp32 master weights is a piece too: the next step computes the weights from them, and would otherwise undo
    a change of the weights.
    """
    sharded = False
    for long_name, parameter in model.named_parameters():
        name = uncompiled_name(long_name)
        if wanted(name, parameter):
            for piece in pieces_of(name, parameter):
                sharded |= bool(piece.placement) or hasattr(parameter, "_hp_mapping")
                yield piece
    # The buffers of a sharded model may differ between processes; under DDP, they are copied from the first process.
    for long_name, buffer in model.named_buffers():
        yield _of_tensor(uncompiled_name(long_name), buffer, "a buffer of a sharded model" if sharded else "")


def uncompiled_name(name: str) -> str:
    """Return a parameter's name without the prefixes that `torch.compile` adds."""
    return name.replace("_orig_mod.", "")


def _of_tensor(name: str, tensor: Tensor, placement: str = "") -> Piece:
    if isinstance(tensor, DTensor):
        return Piece(name, tensor.to_local(), f"{tensor.placements} on {tuple(tensor.device_mesh.shape)}")
    return Piece(name, tensor.detach(), placement)


def pieces_of(name: str, parameter: nn.Parameter) -> Iterator[Piece]:
    """Yield the pieces of one parameter: the weights, then the fp32 master weights if this process holds any."""
    if hasattr(parameter, "ds_tensor"):
        yield from _of_zero_3(name, parameter)
        return
    yield _of_tensor(name, parameter)
    # Of DeepSpeed ZeRO-1 and 2; None if other processes hold the master weights of the parameter.
    mapping = getattr(parameter, "_hp_mapping", None)
    if mapping is not None:
        address = mapping.lp_fragment_address
        yield Piece(f"{name} (fp32 master)", mapping.hp_fragment, f"{address.start} + {address.numel}")


def _of_zero_3(name: str, parameter: Any) -> Iterator[Piece]:
    shard: Tensor = parameter.ds_tensor
    placement = f"ZeRO-3 partition of {shard.numel()}"
    yield Piece(name, shard.detach(), placement)
    # There are no master weights without an optimizer, as in an evaluation, or for a frozen parameter.
    if hasattr(parameter, "_z3_optimizer") and parameter.requires_grad:
        deepspeed = importlib.import_module("deepspeed.utils")

        def read() -> Tensor:
            return cast(Tensor, deepspeed.safe_get_local_fp32_param(parameter)).detach()

        def write(value: Tensor) -> None:
            deepspeed.safe_set_local_fp32_param(parameter, value.to(shard.device))

        # DeepSpeed copies offloaded master weights to the device when they are read.
        yield Piece(f"{name} (fp32 master)", read, placement, write)


_NUMBER_DTYPES = {float: torch.float64, int: torch.int64, bool: torch.bool}


class OptimizerPieces:
    """The state of an optimizer, such as Adam's moments, as pieces; without its settings, such as learning rates.

    ``optimizer`` may be wrapped by accelerate and DeepSpeed. Raises `StrategyError` for a state that is neither a
    tensor nor a number, or that is on NVMe.
    """

    prefix = "optimizer."

    def __init__(self, optimizer: Any) -> None:
        self._zero = ""  # the placement of every piece: "ZeRO" under DeepSpeed
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
        """Yield the present state; a parameter has none before its first update."""
        for index, parameter in enumerate(self._parameters()):
            state = self._optimizer.state.get(parameter, {})
            for key, value in state.items():
                yield self._piece(f"{self.prefix}{index}.{key}", state, key, value)

    def forget_others(self, names: set[str]) -> None:
        """Drop the state of each parameter that has no piece in ``names``, as before its first update.

        Raises `StrategyError` when the optimizer has no piece of one of ``names``.
        """
        missing = names - {piece.name for piece in self.pieces()}
        if missing:
            raise StrategyError(f"the optimizer has no {min(missing)!r} now: it is another one than was kept")
        for index, parameter in enumerate(self._parameters()):
            if not any(name.startswith(f"{self.prefix}{index}.") for name in names):
                self._optimizer.state.pop(parameter, None)

    def _parameters(self) -> list[Any]:
        # Between two steps, ZeRO-3 removes its flat parameters from the groups.
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
        if kind not in _NUMBER_DTYPES:
            raise StrategyError(
                f"the state {key!r} of {type(self._optimizer).__name__} is a {kind.__name__}, neither tensor nor"
                " number: it cannot be kept with the best weights"
            )

        def write(new: Tensor) -> None:
            state[key] = kind(new.item())

        return Piece(name, torch.tensor(value, dtype=_NUMBER_DTYPES[kind]), self._zero, write)
