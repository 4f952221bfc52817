"""Processes that were launched to work together do so, or nothing is done."""

import logging
import os

import torch
from transformers import TrainingArguments
from transformers.utils.import_utils import is_torch_bf16_gpu_available, is_torch_tf32_available

from hf_strategies.errors import StrategyError

__all__ = ["check_world", "choose_precision", "take_cpu", "warn_of_slow_bf16"]


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


logger = logging.getLogger(__name__)


def choose_precision(args: TrainingArguments, *, bf16_is_unset: bool) -> None:
    """Turn on bf16 and TF32 on a GPU that has them, where the user and Accelerate leave it open.

    ``accelerate launch`` always says which precision to take (``ACCELERATE_MIXED_PRECISION``, "no" when not told),
    and is obeyed. To be called before `TrainingArguments` looks at ``bf16``.
    """
    if args.tf32 is None and not args.use_cpu and is_torch_tf32_available():
        args.tf32 = True
    if not bf16_is_unset:
        return
    has_bf16 = not args.use_cpu and torch.cuda.is_available() and is_torch_bf16_gpu_available()
    is_open = not args.fp16 and "ACCELERATE_MIXED_PRECISION" not in os.environ
    args.bf16 = has_bf16 and is_open
    if has_bf16 and not args.fp16 and os.environ.get("ACCELERATE_MIXED_PRECISION") == "no":
        logger.warning(
            "This GPU has bf16, which is about twice as fast: add --mixed_precision bf16 after `accelerate launch`"
        )


def warn_of_slow_bf16(args: TrainingArguments) -> None:
    """Say so when bf16 was asked for on a processor that has no instructions for it."""
    on_cpu = args.device.type == "cpu"
    has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if on_cpu and args.mixed_precision == "bf16" and not has_bf16 and args.process_index == 0:
        logger.warning("bf16 works on this CPU, but about 10 times slower than fp32: it has no bf16 instructions")
