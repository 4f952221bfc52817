"""Taking note of all that training steps change, and putting it back in place."""

import random
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import GradientState
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from transformers import Trainer, TrainerControl, TrainerState
from transformers.trainer_callback import CallbackHandler

__all__ = ["Kept"]

# What is followed into its attributes. DDP is not: its reducer, in C++, must not disagree with them.
_FOLLOWED: tuple[type, ...] = (Trainer, CallbackHandler, TrainerState, TrainerControl, Accelerator, GradientState)
_FOLLOWED += (nn.Module, Optimizer, GradScaler)
_CONTAINERS = {dict, OrderedDict, defaultdict, list, deque, set}
_LOADER_PARTS = ("base_dataloader", "batch_sampler", "sampler", "dataset", "collate_fn", "data_collator")


class Kept:
    """All that training steps change, found from the Trainer, with how to put it back in place.

    Tensors are copied to CPU memory, containers and attributes by reference to what they hold: what steps replace,
    add or remove comes back too, such as optimizer state, hooks, a patched `forward` or a collected metric.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._seen: dict[int, object] = {}
        self._undo: list[Callable[[], object]] = []
        self._undo += _random_states()
        # Data as plain lists are not copied.
        self._seen |= {id(data): data for data in (trainer.train_dataset, trainer.eval_dataset)}
        self._keep(trainer)

    def put_back(self) -> None:
        """Make everything what it was."""
        for undo in self._undo:
            undo()

    def new_loader(self) -> Any:
        """Make a loader of the same batches as the one that training will use, which stays untouched."""
        states = _random_states()
        loader = self._trainer.get_train_dataloader()
        for undo in states:
            undo()
        # Its sampler, data set and collator may be shared.
        parts: dict[int, object] = {}
        waiting: list[Any] = [loader]
        while waiting:
            part = waiting.pop()
            if part is not None and id(part) not in parts:
                parts[id(part)] = part
                self._keep_part(part)
                waiting += [getattr(part, name, None) for name in _LOADER_PARTS]
        return loader

    def _keep_part(self, part: Any) -> None:
        attributes = getattr(part, "__dict__", None)
        if isinstance(attributes, dict):
            self._undo.append(partial(_refill, attributes, copy(attributes)))
            for value in attributes.values():
                # A data set's epoch may be a tensor; its large ones are data.
                if not isinstance(value, Tensor) or value.ndim == 0:
                    self._keep_leaf(value)

    def _keep(self, value: Any) -> None:
        if id(value) in self._seen or isinstance(value, DistributedDataParallel):
            return
        self._seen[id(value)] = value
        if isinstance(value, _FOLLOWED):
            self._keep(vars(value))
        elif type(value) in _CONTAINERS:
            self._undo.append(partial(_refill, value, copy(value)))
            for item in list(value.values() if isinstance(value, dict) else value):
                self._keep(item)
        else:
            self._keep_leaf(value)

    def _keep_leaf(self, value: Any) -> None:
        if isinstance(value, Tensor):
            self._undo.append(partial(_refill_tensor, value, value.data.to("cpu", copy=True), _gradient(value)))
        elif isinstance(value, torch.Generator):
            self._undo.append(partial(value.set_state, value.get_state()))
        elif isinstance(value, random.Random):
            self._undo.append(partial(value.setstate, value.getstate()))
        elif isinstance(value, np.random.RandomState):
            self._undo.append(partial(value.set_state, value.get_state()))
        elif isinstance(value, np.random.Generator):
            self._undo.append(partial(setattr, value.bit_generator, "state", value.bit_generator.state))


def _random_states() -> list[Callable[[], object]]:
    undo: list[Callable[[], object]] = [
        partial(random.setstate, random.getstate()),
        partial(np.random.set_state, np.random.get_state()),
        partial(torch.set_rng_state, torch.get_rng_state()),
    ]
    if torch.cuda.is_available():
        undo.append(partial(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
    return undo


def _refill(container: Any, contents: Any) -> None:
    container.clear()
    (container.update if hasattr(container, "update") else container.extend)(contents)


def _gradient(tensor: Tensor) -> Tensor | None:
    return tensor.grad if tensor.is_leaf else None


def _refill_tensor(tensor: Tensor, contents: Tensor, gradient: Tensor | None) -> None:
    # An expanded tensor cannot be written to, by the steps no more than here.
    if not any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True)):
        tensor.data.copy_(contents)
    if tensor.is_leaf:
        tensor.grad = gradient
