"""What a run computes on: the CPU or GPUs of all its processes, and in which precision."""

import os

import torch
from transformers import TrainingArguments
from transformers.utils.import_utils import is_torch_bf16_gpu_available, is_torch_tf32_available

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.command_line import notify

__all__ = ["check_world", "choose_precision", "take_cpu", "warn_of_slow_bf16"]

_LAUNCHER_PRECISION = "ACCELERATE_MIXED_PRECISION"


def take_cpu(args: TrainingArguments) -> None:
    """Set ``use_cpu`` for several processes on a machine without an accelerator.

    accelerate 1.15 does not pass a configuration's ``use_cpu: true`` on to several processes; each of them would then
    train alone. To be called before `TrainingArguments` sets up its devices.
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


def choose_precision(args: TrainingArguments, *, bf16_is_unset: bool) -> None:
    """Turn on bf16 and TF32 on a GPU that has them, where the user and Accelerate leave it open.

    ``accelerate launch`` always sets a precision (``ACCELERATE_MIXED_PRECISION``, "no" by default), and that one is
    taken. To be called before `TrainingArguments` reads ``bf16``.
    """
    if args.tf32 is None and not args.use_cpu and is_torch_tf32_available():
        args.tf32 = True
    if not bf16_is_unset:
        return
    has_bf16 = not args.use_cpu and torch.cuda.is_available() and is_torch_bf16_gpu_available()
    args.bf16 = has_bf16 and not args.fp16 and _LAUNCHER_PRECISION not in os.environ
    if has_bf16 and not args.fp16 and os.environ.get(_LAUNCHER_PRECISION) == "no":
        notify(
            "This GPU has bf16, which is about twice as fast: add --mixed_precision bf16 after `accelerate launch`"
        )


def warn_of_slow_bf16(args: TrainingArguments) -> None:
    """Print a warning when bf16 was asked for on a processor that has no instructions for it."""
    on_cpu = args.device.type == "cpu"
    has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if on_cpu and args.mixed_precision == "bf16" and not has_bf16:
        notify("bf16 works on this CPU, but about 10 times slower than fp32: it has no bf16 instructions")


def _launched() -> int:
    """Return the number of processes that the launcher has started together."""
    return int(os.environ.get("WORLD_SIZE", "1"))
