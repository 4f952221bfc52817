"""Low-rank adapters (LoRA) by flags, with the optional package peft."""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from torch import nn
from transformers import PreTrainedModel, Trainer

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.ranges import check_ranges

__all__ = ["LoraArguments", "save_merged", "trained_whole", "with_lora"]


@dataclass
class LoraArguments:
    """Train low-rank updates of the weights instead of the weights (Hu et al. 2021, arXiv:2106.09685)."""

    lora_r: int | None = field(
        default=None, metadata={"help": "Rank of the updates, such as 8; needs peft (unset: train all weights)."}
    )
    lora_alpha: float | None = field(
        default=None, metadata={"help": "The updates are multiplied by lora_alpha / lora_r (unset: twice lora_r)."}
    )
    lora_dropout: float = field(default=0.0, metadata={"help": "Dropout before the updates, in [0, 1)."})
    lora_target_modules: list[str] | None = field(
        default=None,
        metadata={"help": "Names of the layers that get updates, such as 'query value' (unset: all linear ones)."},
    )

    def __post_init__(self) -> None:
        """Refuse bad values, and settings that have no effect without ``lora_r``."""
        if self.lora_r is None:
            for name, default in (("lora_alpha", None), ("lora_dropout", 0.0), ("lora_target_modules", None)):
                if getattr(self, name) != default:
                    raise StrategyError(f"{name}={getattr(self, name)!r} has no effect without lora_r: set that too")
            return
        check_ranges(vars(self))
        if find_spec("peft") is None:
            raise StrategyError(f"lora_r={self.lora_r} needs peft: pip install peft")


def with_lora(model: PreTrainedModel, args: LoraArguments) -> PreTrainedModel:
    """Add adapters to the model, and train the modules of `trained_whole` too; without ``lora_r`` return it as it is.

    Raises `StrategyError` when a name in ``lora_target_modules`` fits no layer, or a layer that shares its weight
    with another one: an adapter could not be merged into both.
    """
    if args.lora_r is None:
        return model
    from peft import LoraConfig, get_peft_model

    whole = trained_whole(model)
    for target in args.lora_target_modules or ():
        _check_target(model, target, whole)
    config = LoraConfig(
        r=args.lora_r,
        lora_alpha=cast(int, args.lora_alpha or 2 * args.lora_r),
        lora_dropout=args.lora_dropout,
        target_modules=args.lora_target_modules or "all-linear",
        exclude_modules=whole or None,
        modules_to_save=whole or None,
    )
    with warnings.catch_warnings():
        # peft 0.21 calls transformers 5.23 by a name that is going to change.
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        return cast(PreTrainedModel, get_peft_model(model, config))


def trained_whole(model: PreTrainedModel) -> list[str]:
    """Return the names of the modules whose weights are trained themselves, beside the adapters of the others.

    They are those of the head, and any with weights that the pretrained model lacks (``new_weights`` of
    `load_model`), such as a pooler. A module that shares a weight, as the decoder of a masked language model does
    with the embeddings, is not among them.
    """
    inside = (
        {id(parameter) for parameter in model.base_model.parameters()} if model.base_model is not model else set()
    )
    new: set[str] = getattr(model, "new_weights", set())
    shared = _shared(model)
    names: list[str] = []
    for path, module in model.named_modules():
        own = list(module.named_parameters(path, recurse=False))
        is_free = any(name in new or (inside and id(parameter) not in inside) for name, parameter in own)
        is_tied = any(id(parameter) in shared for parameter in module.parameters())
        if path and is_free and not is_tied and not any(path.startswith(f"{parent}.") for parent in names):
            names.append(path)
    return names


def save_merged(trainer: Trainer) -> None:
    """Save the model; adapters are merged into its weights first, so that it is loaded like any other.

    The adapter alone is saved to the folder ``adapter``, and the Trainer goes on with the merged model. Under FSDP
    and DeepSpeed no process has the whole weights to merge the adapter into, and the adapter alone is saved.
    """
    model: Any = trainer.model
    if not hasattr(model, "merge_and_unload") or trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        trainer.save_model()
        return
    trainer.save_model(str(Path(str(trainer.args.output_dir), "adapter")))
    trainer.model = trainer.model_wrapped = model.merge_and_unload()
    trainer.save_model()


def _shared(model: nn.Module) -> set[int]:
    times = Counter(id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False))
    return {key for key, count in times.items() if count > 1}


def _check_target(model: nn.Module, target: str, whole: Sequence[str]) -> None:
    layers, shared = dict(_layers(model, whole)), _shared(model)
    chosen = [layer for name, layer in layers.items() if f".{name}".endswith(f".{target}")]
    if not chosen:
        names = {name.rpartition(".")[2] for name, layer in layers.items() if id(layer.weight) not in shared}
        raise StrategyError(
            f"lora_target_modules={target!r} fits no layer of this model: {did_you_mean(target, names)}"
        )
    if any(id(layer.weight) in shared for layer in chosen):
        raise StrategyError(
            f"lora_target_modules={target!r} shares its weight with another layer of this model: leave it out"
        )


def _layers(model: nn.Module, whole: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the layers that can have adapters: those whose weight is a matrix, outside of the modules ``whole``."""
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        is_free = any(f"{name}.".startswith(f"{parent}.") for parent in whole)
        if isinstance(weight, nn.Parameter) and weight.dim() > 1 and not is_free:
            yield name, module
