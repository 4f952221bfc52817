"""The trained model of a run, read back from its output folder in place of training again."""

from pathlib import Path
from typing import Any

import torch
from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from hf_strategies.finetune.trainer import RecipeTrainer
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["load_trained"]


def load_trained(trainer: RecipeTrainer) -> bool:
    """Load the weights and the state that a run has saved at its end into the Trainer; return whether that worked.

    Under FSDP and DeepSpeed no process holds the whole model, and nothing is loaded. Every process has to call this.
    """
    folder = Path(str(trainer.args.output_dir))
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled or not from_rank_zero(_is_there(folder)):
        return False
    model: Any = trainer.model
    if hasattr(model, "merge_and_unload"):  # the adapters of LoRA were merged before the model was saved
        model = model.merge_and_unload()
    saved = type(model).from_pretrained(folder)
    with torch.no_grad():
        model.load_state_dict(saved.state_dict())
    # What was tuned after training, such as a threshold, is in the configuration alone.
    for name, value in vars(saved.config).items():
        vars(model.config).setdefault(name, value)
    trainer.model = model
    trainer.model_wrapped = trainer.accelerator.prepare_model(model, evaluation_mode=True)  # as it is after training
    trainer.state = TrainerState.load_from_json(str(folder / TRAINER_STATE_NAME))
    return True


def _is_there(folder: Path) -> bool:
    weights = (folder / SAFE_WEIGHTS_NAME, folder / SAFE_WEIGHTS_INDEX_NAME)
    return any(file.is_file() for file in weights) and (folder / TRAINER_STATE_NAME).is_file()
