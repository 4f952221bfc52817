"""A snapshot of everything that training steps change in a Trainer, to be restored in place."""

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

__all__ = ["TrainerSnapshot", "random_state_restorers"]

# Objects whose attributes are saved too. DDP is left out: its attributes have to agree with its reducer in C++.
_WITH_ATTRIBUTES: tuple[type, ...] = (
    *(Trainer, CallbackHandler, TrainerState, TrainerControl, Accelerator, GradientState),
    *(nn.Module, Optimizer, GradScaler),
)
_CONTAINERS = {dict, OrderedDict, defaultdict, list, deque, set}
_LOADER_PARTS = ("base_dataloader", "batch_sampler", "sampler", "dataset", "collate_fn", "data_collator")


class TrainerSnapshot:
    """The state of everything that training steps change in ``trainer``; `restore` puts it back in place.

    Tensors are copied to CPU memory. Of containers and attributes the references are copied, so that whatever the
    steps replace, add or remove is restored too: optimizer state, hooks, a patched `forward`, a collected metric.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._seen: dict[int, object] = {}
        self._restorers: list[Callable[[], object]] = []
        self._restorers += random_state_restorers()
        # The data sets count as seen already, so that data in plain lists are not copied.
        self._seen |= {id(data): data for data in (trainer.train_dataset, trainer.eval_dataset)}
        self._save(trainer)

    def restore(self) -> None:
        """Put the saved state back, in place."""
        for restore in self._restorers:
            restore()

    def new_loader(self) -> Any:
        """Return a loader of the batches with which training will begin, and save its state for `restore`."""
        restorers = random_state_restorers()
        loader = self._trainer.get_train_dataloader()
        for restore in restorers:
            restore()
        # Training's own loader may share its sampler, data set and collator, so that their state is saved too.
        seen: dict[int, object] = {}
        pending: list[Any] = [loader]
        while pending:
            part = pending.pop()
            if part is not None and id(part) not in seen:
                seen[id(part)] = part
                self._save_loader_part(part)
                pending += [getattr(part, name, None) for name in _LOADER_PARTS]
        return loader

    def _save_loader_part(self, part: Any) -> None:
        attributes = getattr(part, "__dict__", None)
        if isinstance(attributes, dict):
            self._restorers.append(partial(_refill, attributes, copy(attributes)))
            for value in attributes.values():
                # A tensor without dimensions may be a data set's epoch; larger tensors are data and do not change.
                if not isinstance(value, Tensor) or value.ndim == 0:
                    self._save_leaf(value)

    def _save(self, value: Any) -> None:
        """Save a value and all that it refers to, each object once."""
        if id(value) in self._seen or isinstance(value, DistributedDataParallel):
            return
        self._seen[id(value)] = value
        if isinstance(value, _WITH_ATTRIBUTES):
            self._save(vars(value))
        elif type(value) in _CONTAINERS:
            self._restorers.append(partial(_refill, value, copy(value)))
            for item in list(value.values() if isinstance(value, dict) else value):
                self._save(item)
        else:
            self._save_leaf(value)

    def _save_leaf(self, value: Any) -> None:
        """Save a tensor or a random number generator; ignore any other value."""
        if isinstance(value, Tensor):
            self._restorers.append(partial(_refill_tensor, value, value.data.to("cpu", copy=True), _gradient(value)))
        elif isinstance(value, torch.Generator):
            self._restorers.append(partial(value.set_state, value.get_state()))
        elif isinstance(value, random.Random):
            self._restorers.append(partial(value.setstate, value.getstate()))
        elif isinstance(value, np.random.RandomState):
            self._restorers.append(partial(value.set_state, value.get_state()))
        elif isinstance(value, np.random.Generator):
            self._restorers.append(partial(setattr, value.bit_generator, "state", value.bit_generator.state))


def random_state_restorers() -> list[Callable[[], object]]:
    """Return functions that set the global random number generators to their states of now."""
    restorers: list[Callable[[], object]] = [
        partial(random.setstate, random.getstate()),
        partial(np.random.set_state, np.random.get_state()),
        partial(torch.set_rng_state, torch.get_rng_state()),
    ]
    if torch.cuda.is_available():
        restorers.append(partial(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
    return restorers


def _refill(container: Any, contents: Any) -> None:
    container.clear()
    (container.update if hasattr(container, "update") else container.extend)(contents)


def _gradient(tensor: Tensor) -> Tensor | None:
    return tensor.grad if tensor.is_leaf else None


def _refill_tensor(tensor: Tensor, contents: Tensor, gradient: Tensor | None) -> None:
    # An expanded tensor cannot be written to, so that the steps have not changed it.
    if not any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True)):
        tensor.data.copy_(contents)
    if tensor.is_leaf:
        tensor.grad = gradient
