"""Low-rank adapters (LoRA) by flags, with the optional package peft."""

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from transformers import PreTrainedModel, Trainer

from hf_strategies.errors import StrategyError

__all__ = ["LoraArguments", "save_merged", "with_lora"]

_HEADS = ("classifier", "qa_outputs", "score", "cls", "lm_head", "pre_classifier", "pooler", "predictions")


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
        """Refuse bad values, and what nothing would read."""
        if self.lora_r is None:
            for name, default in (("lora_alpha", None), ("lora_dropout", 0.0), ("lora_target_modules", None)):
                if getattr(self, name) != default:
                    raise StrategyError(f"{name}={getattr(self, name)!r} has no effect without lora_r: set that too")
            return
        if self.lora_r < 1:
            raise StrategyError(f"lora_r={self.lora_r} is no rank: give at least 1, such as 8")
        if self.lora_alpha is not None and not self.lora_alpha > 0:
            raise StrategyError(f"lora_alpha={self.lora_alpha} is out of range: give a number above 0")
        if not 0 <= self.lora_dropout < 1:
            raise StrategyError(f"lora_dropout={self.lora_dropout} is not in [0, 1): give such as 0.1")
        if find_spec("peft") is None:
            raise StrategyError(f"lora_r={self.lora_r} needs peft: pip install peft")


def with_lora(model: PreTrainedModel, args: LoraArguments) -> PreTrainedModel:
    """Return the model with adapters, whose new head is trained whole; the model itself without ``lora_r``.

    Raises `StrategyError` when no layer has one of the names in ``lora_target_modules``.
    """
    if args.lora_r is None:
        return model
    from peft import LoraConfig, get_peft_model

    heads = [name for name, _ in model.named_children() if name in _HEADS]
    config = LoraConfig(
        r=args.lora_r,
        lora_alpha=cast(int, args.lora_alpha or 2 * args.lora_r),
        lora_dropout=args.lora_dropout,
        target_modules=args.lora_target_modules or "all-linear",
        exclude_modules=heads or None,
        modules_to_save=heads or None,
    )
    try:
        return cast(PreTrainedModel, get_peft_model(model, config))
    except ValueError as mistake:
        names = sorted({name.rpartition(".")[2] for name, part in model.named_modules() if hasattr(part, "weight")})
        raise StrategyError(
            f"lora_target_modules={args.lora_target_modules!r} fits no layer of this model: give some of"
            f" {', '.join(names)}"
        ) from mistake


def save_merged(trainer: Trainer) -> None:
    """Save the model; one with adapters merged into its weights, to be loaded like any other.

    The adapter alone goes into the folder ``adapter``, and the merged model takes its place in the Trainer. Under
    FSDP and DeepSpeed, where no process has the weights to merge it into, the adapter is what is saved.
    """
    model: Any = trainer.model
    if not hasattr(model, "merge_and_unload") or trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        trainer.save_model()
        return
    trainer.save_model(str(Path(str(trainer.args.output_dir), "adapter")))
    trainer.model = trainer.model_wrapped = model.merge_and_unload()
    trainer.save_model()
