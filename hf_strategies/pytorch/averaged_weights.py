"""Running averages of a model's weights, also when they are sharded."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _NormBase

from hf_strategies.errors import StrategyError
from hf_strategies.pytorch.conversion import Conversion, Part
from hf_strategies.pytorch.shards import (
    Piece,
    drop_gathered,
    pieces_of,
    refuse_unknown_placements,
    reshard,
    uncompiled_name,
)

__all__ = ["AveragedWeights"]


class AveragedWeights:
    """Keep running averages of a model's weights, and put one of them into the model, for a while or for good.

    A running average, or slot, follows ``slot + c * (weights - slot)`` at each `update`. Averaged are:

    * the parameters that require a gradient now or at an earlier update, tied weights once. For a model with LoRA
      adapters these are the adapters alone. A parameter that is unfrozen later joins with its value of then.
    * the running mean and variance of batch and instance normalization, as by `AveragedModel` with
      ``use_buffers=True``. They estimate what the averaged layers see better than those of the last weights do.

    All other buffers, such as counters and masks, stay as the model has them: an average has the newest ones.

    The averages are in float32, or in float64 for such weights. If the weights are sharded (FSDP 2, DeepSpeed ZeRO-3,
    tensor parallelism), each process averages its own shard; under any ZeRO, its share of the fp32 master weights.
    Every process therefore has to call each method at the same steps. Only `swap_in` and `write` communicate, and
    only under ZeRO-1 and 2, where each process needs the averages of all others: they are gathered in float32.

    Cost: 4 bytes per averaged weight and slot, and one pass over the weights per update. Between `swap_in` and
    `swap_out`, the raw weights take their own size once more. Under DeepSpeed in fp16 without ZeRO, the 16-bit
    weights are averaged, because the master weights are not accessible.

    Args:
        model: the model, wrapped or not, compiled with `torch.compile` or not.
        slots: the number of running averages, at least 1.
        in_cpu_memory: keep the averages in CPU memory; each update then copies the weights there.

    Raises `StrategyError` for a model that is no module, under FSDP 1, and if parameters or the optimizer's state are
    on NVMe.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> average = AveragedWeights(model)
    >>> for value, coefficient in ((1.0, 1.0), (4.0, 0.5)):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     average.update([coefficient])
    >>> average.swap_in(0)
    >>> model.weight.item()
    2.5
    >>> average.swap_out()
    >>> model.weight.item()
    4.0
    """

    def __init__(self, model: nn.Module, slots: int = 1, in_cpu_memory: bool = False) -> None:
        if not isinstance(model, nn.Module):
            raise StrategyError(
                f"weights of a {type(model).__name__} cannot be averaged, because it is no torch.nn.Module: give the"
                " module inside it"
            )
        refuse_unknown_placements(model, "weights cannot be averaged")
        self._model, self._in_cpu_memory = model, in_cpu_memory
        self._conversion = Conversion(in_cpu_memory)
        self._slots: list[dict[str, Tensor]] = [{} for _ in range(slots)]  # by the name of the piece
        self._trained: set[str] = set()  # the parameters that are averaged
        self._raw: dict[str, Tensor] | None = None  # while an average is in the model

    @torch.no_grad()
    def update(self, coefficients: Sequence[float]) -> None:
        """Take in the present weights, with one coefficient for each slot.

        1.0 restarts a slot from the present weights, and 0.0 leaves it as it is. A slot begins with the first weights
        that have another coefficient than 0.0.
        """
        self._refuse_swapped("update")
        reshard(self._model)
        begun = [set(averages) for averages in self._slots]
        for chunk in self._conversion.chunks(self._sources()):
            for averages, coefficient, old in zip(self._slots, coefficients, begun, strict=True):
                if coefficient != 0.0:
                    self._follow(averages, chunk, coefficient, old)

    @torch.no_grad()
    def swap_in(self, slot: int) -> None:
        """Put an average into the model, in place, and keep the raw weights for `swap_out`.

        Raises `StrategyError` if an average is in the model already, or if the slot has not begun.
        """
        self._refuse_swapped("swap_in")
        self._check_begun(slot)
        drop_gathered(self._model)
        device = torch.device("cpu") if self._in_cpu_memory else None
        # All are copied before the first is changed: if memory runs out, the model is as it was.
        raw = {piece.name: piece.tensor.to(device, copy=True) for piece in self._written()}
        self._raw = raw
        self._put_average(slot)

    @torch.no_grad()
    def swap_out(self) -> None:
        """Put the raw weights back into the model, bit for bit; do nothing if no average is in the model."""
        raw, self._raw = self._raw, None
        if raw is None:
            return
        drop_gathered(self._model)
        for piece in self._written():
            if piece.name in raw:
                piece.put(raw[piece.name])

    @torch.no_grad()
    def write(self, slot: int) -> None:
        """Put an average into the model for good; raises `StrategyError` as `swap_in` does."""
        self._refuse_swapped("write")
        self._check_begun(slot)
        drop_gathered(self._model)
        self._put_average(slot)

    def tensors(self, slot: int) -> dict[str, Tensor]:
        """Return the average of this process's pieces, by their names."""
        return dict(self._slots[slot])

    def save(
        self,
        path: str | os.PathLike[str],
        note: dict[str, str] | None = None,
        which: Callable[[Piece], bool] = lambda _: True,
    ) -> None:
        """Write the averages to a safetensors file, with ``note`` as its metadata.

        ``which`` selects the pieces to write. An interrupted write leaves no incomplete file under ``path``.
        """
        chosen = {piece.name: piece.tensor.contiguous() for piece in self._saved_pieces() if which(piece)}
        unfinished = f"{os.fspath(path)}.tmp"
        save_file(chosen, unfinished, metadata=note)
        os.replace(unfinished, path)

    def load(self, *paths: str | os.PathLike[str]) -> None:
        """Read the averages from files that `save` wrote; raises `StrategyError` if they are of another model."""
        loaded = {name: tensor for path in paths for name, tensor in load_file(path).items()}
        expected = {piece.name: piece.tensor for piece in self._sources()}
        slots: list[dict[str, Tensor]] = [{} for _ in self._slots]
        for key, tensor in loaded.items():
            slot, _, name = key.partition(".")
            here = expected.get(name)
            if here is None or here.shape != tensor.shape or int(slot) >= len(slots):
                raise StrategyError(
                    f"{os.fspath(paths[0])!r} is of another model or average: {key} is {tuple(tensor.shape)} there"
                    f" and {'missing' if here is None else tuple(here.shape)} here"
                )
            slots[int(slot)][name] = tensor.to(self._conversion.device_of(here))
        for number, averages in enumerate(slots):
            if averages and (missing := expected.keys() - averages.keys()):
                raise StrategyError(f"{os.fspath(paths[0])!r} is of another model: {min(missing)} is missing there")
            self._slots[number] = averages

    def layout(self) -> tuple[set[str], str]:
        """Return the kinds of pieces in this process, and a fingerprint of how the weights are sharded.

        The kinds are ``"common"``, for a piece that is the same in every process, and ``"own"``, for a shard.
        """
        placements = sorted((piece.name, piece.placement) for piece in self._sources())
        kinds = {"own" if placement else "common" for _, placement in placements}
        return kinds, hashlib.sha256(repr(placements).encode()).hexdigest()

    # --- parts ----------------------------------------------------------------------------------------------

    def _parameters(self) -> "Iterator[_Trained]":
        """Yield each averaged parameter with its pieces."""
        for long_name, parameter in self._model.named_parameters():
            name = uncompiled_name(long_name)
            if parameter.requires_grad or name in self._trained:
                self._trained.add(name)
                yield _Trained(parameter, tuple(pieces_of(name, parameter)))

    def _statistics(self, is_sharded: bool) -> Iterator[Piece]:
        """Yield the running statistics of the normalization layers."""
        norms = [module for module in self._model.modules() if isinstance(module, _NormBase)]
        averaged = {id(each) for norm in norms for each in (norm.running_mean, norm.running_var) if each is not None}
        # As in `pieces`: the buffers of a sharded model may differ between processes.
        placement = "a buffer of a sharded model" if is_sharded else ""
        for name, buffer in self._model.named_buffers() if averaged else ():
            if id(buffer) in averaged:
                yield Piece(uncompiled_name(name), buffer.detach(), placement)

    def _sources(self) -> Iterator[Piece]:
        """Yield the pieces of this process whose values are averaged: master weights where there are any."""
        is_sharded = False
        for trained in self._parameters():
            is_sharded |= trained.is_sharded
            if trained.source:
                yield trained.source
        yield from self._statistics(is_sharded)

    def _written(self) -> Iterator[Piece]:
        """Yield all pieces that an average is written to: the weights, their master weights, and the statistics."""
        is_sharded = False
        for trained in self._parameters():
            is_sharded |= trained.is_sharded
            yield from trained.pieces
        yield from self._statistics(is_sharded)

    def _put_average(self, slot: int) -> None:
        averages, is_sharded = self._slots[slot], False
        for trained in self._parameters():
            is_sharded |= trained.is_sharded
            average = averages.get(trained.source.name) if trained.source else None
            if trained.is_partitioned_copy:
                average_of_all = _gathered(trained.parameter, average)
                trained.pieces[0].put(average_of_all)
                for master in trained.pieces[1:]:
                    master.put(average)  # type: ignore[arg-type]  # this process has it if it has the master weights
            elif average is not None:
                for piece in trained.pieces:
                    piece.put(average.view_as(piece.tensor))
        for piece in self._statistics(is_sharded):
            if piece.name in averages:
                piece.put(averages[piece.name])

    def _saved_pieces(self) -> Iterator[Piece]:
        """Yield the averages as pieces, under the names in a file."""
        for source in self._sources():
            for slot, averages in enumerate(self._slots):
                if source.name in averages:
                    yield Piece(f"{slot}.{source.name}", averages[source.name], source.placement)

    def _follow(
        self, averages: dict[str, Tensor], chunk: list[tuple[Part, Tensor]], coefficient: float, begun: set[str]
    ) -> None:
        """Let the averages of a slot follow the weights of a chunk; those that have not ``begun`` begin with them."""
        olds, news = [], []
        for part, new in chunk:
            if part.name not in averages:
                averages[part.name] = self._conversion.empty(part.whole)
            average = part.of(averages[part.name])
            if coefficient == 1.0 or part.name not in begun:
                average.copy_(new)
            else:
                olds.append(average)
                news.append(new)
        if olds:
            torch._foreach_lerp_(olds, news, coefficient)

    def _refuse_swapped(self, call: str) -> None:
        if self._raw is not None:
            raise StrategyError(f"an average is in the model: call swap_out() before {call}()")

    def _check_begun(self, slot: int) -> None:
        if not self._slots[slot] and any(True for _ in self._sources()):
            raise StrategyError(f"there is no average in slot {slot} yet: call update() first")


@dataclass(frozen=True)
class _Trained:
    """An averaged parameter and the pieces that this process holds of it."""

    parameter: Any
    pieces: tuple[Piece, ...]

    @property
    def is_partitioned_copy(self) -> bool:
        """Whether the weights are whole on every process, and the master weights partitioned: ZeRO-1 and 2."""
        return hasattr(self.parameter, "_hp_mapping")

    @property
    def is_sharded(self) -> bool:
        """Whether this process does not hold the whole of the weights and their masters."""
        return self.is_partitioned_copy or any(piece.placement for piece in self.pieces)

    @property
    def source(self) -> Piece | None:
        """The piece whose values are averaged; None if other processes hold all of the master weights."""
        if self.is_partitioned_copy and len(self.pieces) == 1:
            return None
        return self.pieces[-1]


def _gathered(parameter: Any, average: Tensor | None) -> Tensor:
    """Return the average of a whole parameter, of which each process has a part, under ZeRO-1 and 2.

    Every process has to call this. The parts are disjoint, so that their sum is exact.
    """
    whole = torch.zeros(parameter.numel(), dtype=torch.float32, device=parameter.device)
    if parameter._hp_mapping is not None and average is not None:
        address = parameter._hp_mapping.lp_fragment_address
        whole.narrow(0, address.start, address.numel).copy_(average)
    distributed.all_reduce(whole, group=parameter._dp_group)
    return whole.view_as(parameter)
