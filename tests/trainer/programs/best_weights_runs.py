"""Trainings of a small BERT in which a callback keeps the best weights, in one process or several, of any placement.

As a script it runs scenarios on this rank: ``best_weights_runs.py <placement> <folder>``.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import PartialState
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import Trainer, TrainerCallback, TrainingArguments

from hf_strategies.trainer.best_weights.keeper import BestKeeper
from hf_strategies.trainer.distributed import leave
from tests.trainer.bert_runs import bert, examples

SCORES = [0.5, 0.6, 0.8, 0.7, 0.75, 0.7, 0.6]  # best at step 3
PLACEMENTS: dict[str, dict[str, Any]] = {
    "ddp": {},
    "fsdp2": {
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "transformer_layer_cls_to_wrap": ["BertLayer"],
            "state_dict_type": "FULL_STATE_DICT",
        },
    },
    "zero1": {"deepspeed": {"zero_optimization": {"stage": 1}}},
    "zero2": {"deepspeed": {"zero_optimization": {"stage": 2}}},
    "zero3": {
        "deepspeed": {
            "zero_optimization": {
                "stage": 3,
                "stage3_param_persistence_threshold": 20,  # the smaller ones stay gathered
                "stage3_gather_16bit_weights_on_model_save": True,
            }
        }
    },
}
DEEPSPEED = {"train_micro_batch_size_per_gpu": 2, "zero_allow_untested_optimizer": True}


def call_cpus_gpus() -> None:
    """Let accelerate set up FSDP and DeepSpeed as it does for GPUs, on CPUs with gloo.

    On CPUs it silently makes DDP of both. Nothing else is changed.
    """

    def prepare_backend(self: PartialState, *args: Any) -> tuple[str, DistributedType]:
        return "gloo", DistributedType.MULTI_GPU

    def set_device(self: PartialState) -> None:
        self.device = torch.device("cpu")

    PartialState._prepare_backend = prepare_backend
    PartialState.set_device = set_device
    transformers.training_args.is_torch_bf16_gpu_available = lambda: True


def whole_weights(model: nn.Module) -> dict[str, Tensor]:
    """All parameters, gathered from all ranks, by the means of each placement."""
    parameters = dict(model.named_parameters())
    if any(hasattr(parameter, "ds_id") for parameter in parameters.values()):
        import deepspeed

        with deepspeed.zero.GatheredParameters(list(parameters.values())):
            return {name: parameter.detach().clone() for name, parameter in parameters.items()}
    return {
        name: (parameter.full_tensor() if isinstance(parameter, DTensor) else parameter).detach().clone()
        for name, parameter in parameters.items()
    }


def digest(tensors: dict[str, Tensor]) -> str:
    """A short name of the very bits."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode() + tensors[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


class KeepBest(TrainerCallback):
    """Keep the best weights by ``eval_score``, restore them at the end and, if told to, after an evaluation too."""

    def __init__(self, where: str = "memory", *, optimizer: bool = False, rewind_at: int | None = None) -> None:
        self.where, self.optimizer, self.rewind_at = where, optimizer, rewind_at
        self.restored: bool | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        optimizer = kwargs["optimizer"] if self.optimizer else None
        self.keeper = BestKeeper(kwargs["model"], args, "best", self.where, optimizer)
        self.best, self.restored = -1.0, None
        for entry in state.log_history:
            if entry.get("eval_score", -1.0) > self.best:
                self.best, step = entry["eval_score"], entry["step"]
        if self.best > -1.0:
            self.keeper.find(state, step, "score")

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        score = kwargs["metrics"]["eval_score"]
        self.keeper.evaluated(state, control, score > self.best)
        self.best = max(score, self.best)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.keeper.on_save(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.rewind_at:
            self.restored = self.keeper.restore()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.rewind_at is None:
            self.restored = self.keeper.restore()


class Record(TrainerCallback):
    """Remember the whole weights after each step; given after what it watches, whose state it must not touch."""

    def __init__(self, at_evaluation: bool = True) -> None:
        self.at: dict[int, str] = {}
        event = "on_evaluate" if at_evaluation else "on_step_begin"
        setattr(self, event, self._remember)

    def _remember(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.at[state.global_step] = digest(whole_weights(kwargs["model"]))


def trainer_of(
    folder: Path, callbacks: Sequence[TrainerCallback], scores: Sequence[float] = SCORES, **options: Any
) -> Trainer:
    """A Trainer over four examples, all four in every step, so that a step depends on the state alone."""
    settings: dict[str, Any] = {
        "per_device_train_batch_size": 4,
        "train_sampling_strategy": "sequential",
        "learning_rate": 0.01,
        "lr_scheduler_type": "constant",
        "max_steps": 5,
        "eval_strategy": "steps",
        "eval_steps": 1,
        "save_strategy": "no",
        "average_tokens_across_devices": False,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "use_cpu": True,
    }
    model = options.pop("model", None)
    given = list(scores)
    return Trainer(
        model=bert() if model is None else model,
        args=TrainingArguments(output_dir=str(folder), **(settings | options)),
        train_dataset=examples(4) * 8,
        eval_dataset=examples(4),
        callbacks=list(callbacks),
        compute_metrics=lambda _: {"score": given.pop(0)},
    )


# --- scenarios ------------------------------------------------------------------------------------------------


def at_the_end(folder: Path, where: str, **options: Any) -> dict[str, Any]:
    """Train past the best, restore it, save."""
    keep, record = KeepBest(where), Record()
    trainer = trainer_of(folder, [keep, record], **options)
    trainer.train()
    after = digest(whole_weights(trainer.model))
    trainer.save_model(str(folder / "final"))
    return {"at": record.at, "after": after, "restored": keep.restored, "kind": type(trainer.model_wrapped).__name__}


def rewound(folder: Path, where: str, **options: Any) -> dict[str, Any]:
    """Put weights and optimizer back to step 3 at the end of step 5 and train on."""
    record = Record(at_evaluation=False)
    keep = KeepBest(where, optimizer=True, rewind_at=5)
    trainer_of(folder, [keep, record], **({"max_steps": 8} | options), scores=[*SCORES, 0.1]).train()
    return {"at": record.at, "restored": keep.restored}


def resumed(folder: Path, where: str, **options: Any) -> dict[str, Any]:
    """Train to the end with checkpoints, then again from the fourth as after a crash; and with a file lost."""
    options = {"save_strategy": "steps", "save_steps": 1} | options
    whole = at_the_end(folder, where, **options)
    process = PartialState()
    process.wait_for_everyone()
    if process.is_main_process:
        shutil.rmtree(folder / "checkpoint-5")
    process.wait_for_everyone()
    files = sorted(file.name for file in (folder / "checkpoint-4").glob("best*"))
    keep = KeepBest(where)
    trainer = trainer_of(folder, [keep], SCORES[4:], **options)
    trainer.train(resume_from_checkpoint=str(folder / "checkpoint-4"))
    again = {"after": digest(whole_weights(trainer.model)), "restored": keep.restored, "files": files}
    return {"whole": whole, "again": again}


def lost(folder: Path, **options: Any) -> dict[str, Any]:
    """Resume after the file of the last rank was lost."""
    process = PartialState()
    if process.is_main_process:
        shutil.rmtree(folder / "checkpoint-5")
        sorted((folder / "checkpoint-4").glob("best*"))[-1].unlink()
    process.wait_for_everyone()
    keep = KeepBest()
    trainer = trainer_of(folder, [keep], SCORES[4:], save_strategy="steps", save_steps=1, **options)
    trainer.train(resume_from_checkpoint=str(folder / "checkpoint-4"))
    return {"restored": keep.restored, "step": keep.keeper.step}


def scenarios(placement: str, folder: Path) -> dict[str, Any]:
    """All of one placement, each in a folder of its own."""
    options = PLACEMENTS[placement] | {"per_device_train_batch_size": 2, "use_cpu": placement == "ddp"}
    if "deepspeed" in options:
        options |= {"deepspeed": options["deepspeed"] | DEEPSPEED}
    theirs = {"load_best_model_at_end": True, "metric_for_best_model": "score", "greater_is_better": False}
    saving = {"save_strategy": "steps", "save_steps": 1}
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        "memory": lambda: at_the_end(folder / "memory", "memory", **options),
        "disk": lambda: at_the_end(folder / "disk", "disk", **options),
        "with theirs": lambda: at_the_end(folder / "theirs", "memory", **options, **saving, **theirs),
        "rewound": lambda: rewound(folder / "rewound", "memory", **options),
        "rewound from disk": lambda: rewound(folder / "rewound_disk", "disk", **options),
        "resumed": lambda: resumed(folder / "resumed", "memory", **options),
        "resumed from disk": lambda: resumed(folder / "resumed_disk", "disk", **options),
        "lost": lambda: lost(folder / "resumed", **options),
    }
    if "deepspeed" in options:
        half = options | {"deepspeed": options["deepspeed"] | {"bf16": {"enabled": True}}, "bf16": True}
        runs["rewound in bf16"] = lambda: rewound(folder / "half", "memory", **half)
    return {name: run() for name, run in runs.items()}


if __name__ == "__main__":
    placement, folder = sys.argv[1], Path(sys.argv[2])
    if placement != "ddp":
        call_cpus_gpus()
    found = scenarios(placement, folder)
    state = PartialState()
    found |= {"world_size": state.num_processes}
    (folder / f"rank{state.process_index}.json").write_text(json.dumps(found))
    leave()
