"""Processes that were launched to work together do so, or nothing is done."""

import os

import torch
from transformers import TrainingArguments

from hf_strategies.errors import StrategyError

__all__ = ["check_world", "take_cpu"]


def take_cpu(args: TrainingArguments) -> None:
    """Say that several processes without an accelerator work on the CPU.

    accelerate 1.15 does not pass a configuration's ``use_cpu: true`` on to several processes; each of them would then
    believe to be alone. To be called before `TrainingArguments` sets up its devices.
    """
    if _launched() > 1 and not torch.accelerator.is_available():
        args.use_cpu = True


def check_world(args: TrainingArguments) -> None:
    """Raise `StrategyError` when each of several launched processes would train alone, over the others' files."""
    if args.world_size != _launched():
        raise StrategyError(
            f"{_launched()} processes were launched, and each of them sees {args.world_size}: give --use_cpu to train"
            " on the CPU, or launch as many as there are devices"
        )


def _launched() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
