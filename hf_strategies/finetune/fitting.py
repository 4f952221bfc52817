"""Whether a checkpoint is one of the model, the optimizer and the schedule that a run goes on with."""

import math
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from transformers.utils import SAFE_WEIGHTS_NAME

from hf_strategies.errors import StrategyError

__all__ = ["check_moments", "check_weights_of", "loading_state"]

_ADAPTERS = "adapter_model.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer")  # each has the size of its weight
_REMEDY = "resume with the model, the data and the flags that the run began with, or start a new run"


def check_weights_of(checkpoint: Path, model: Any) -> None:
    """Raise `StrategyError` if the weights in a checkpoint are not those of the model.

    A resumed run would otherwise end in an error of torch, or train weights that are still random. Weights in other
    layouts, such as several files, are left to the Trainer.
    """
    has_adapters = hasattr(model, "merge_and_unload")
    if has_adapters != (checkpoint / _ADAPTERS).is_file():
        if (checkpoint / SAFE_WEIGHTS_NAME).is_file() == has_adapters:
            raise _misfit(checkpoint, f"{'no ' * has_adapters}adapters of LoRA")
        return
    file = checkpoint / SAFE_WEIGHTS_NAME
    if has_adapters or not file.is_file():
        return
    with safe_open(file, framework="np") as saved:
        sizes = {name: list(saved.get_slice(name).get_shape()) for name in saved.keys()}  # noqa: SIM118
    if fault := _fault_of(sizes, model):
        raise _misfit(checkpoint, fault)


def check_moments(checkpoint: Path, optimizer: torch.optim.Optimizer) -> None:
    """Raise `StrategyError` if the loaded state of an optimizer is that of another model, or of another optimizer.

    The moments are compared for the optimizers of torch alone: some others keep moments of a lower rank.
    """
    library = type(optimizer).__module__.partition(".")[0]
    if library not in ("torch", "transformers"):
        return
    for weight in (weight for group in optimizer.param_groups for weight in group["params"]):
        moments = optimizer.state.get(weight, {})
        if library == "torch" and any(name in moments and moments[name].shape != weight.shape for name in _MOMENTS):
            raise _misfit(checkpoint, "the state of an optimizer for weights of other sizes")
    missing = sorted(
        name for name in optimizer.defaults if any(name not in group for group in optimizer.param_groups)
    )
    if missing:
        raise _misfit(checkpoint, f"the state of another optimizer, without {missing[0]}")


@contextmanager
def loading_state(checkpoint: str | None, what: str) -> Iterator[None]:
    """Raise `StrategyError` for an error inside, where ``what`` is loaded from a checkpoint."""
    try:
        yield
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RuntimeError,
        pickle.UnpicklingError,
    ) as mistake:
        if checkpoint is None or isinstance(mistake, StrategyError):
            raise
        raise _misfit(Path(checkpoint), f"a state of {what} that cannot be loaded here") from mistake


def _fault_of(sizes: dict[str, list[int]], model: nn.Module) -> str:
    """Return what is wrong with saved weights of these sizes; of weights that share memory one is saved."""
    own = model.state_dict(keep_vars=True)
    for name, weight in own.items():
        if name in sizes and sizes[name] != list(weight.shape) and math.prod(weight.shape):
            saved, wanted = (" x ".join(map(str, size)) or "one number" for size in (sizes[name], weight.shape))
            return f"{name} of the size {saved}, and the model {wanted}"
    there = {own[name].data_ptr() for name in sizes if name in own}
    missing = [
        name for name, weight in model.named_parameters() if name not in sizes and weight.data_ptr() not in there
    ]
    return f"no {missing[0]}, which the model has" if missing else ""


def _misfit(checkpoint: Path, fault: str) -> StrategyError:
    return StrategyError(f"resume_from_checkpoint={str(checkpoint)!r} is of another run: it has {fault}: {_REMEDY}")
