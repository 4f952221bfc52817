"""The placements of a model in two CPU processes (DDP, FSDP 2, DeepSpeed ZeRO), and how to read weights in each."""

import hashlib
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import PartialState
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from tests.two_processes import ON_CPU, run_in_processes

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
# The class of the wrapped model: without `call_cpus_gpus` it is silently DDP's in every placement.
WRAPPED = {"ddp": "DistributedDataParallel", "fsdp2": "FSDPBertForSequenceClassification"}
WRAPPED |= dict.fromkeys(["zero1", "zero2", "zero3"], "DeepSpeedEngine")
DEEPSPEED = {"train_micro_batch_size_per_gpu": 2, "zero_allow_untested_optimizer": True}


def run_placed(program: str, folder: Path, placement: str, *words: str) -> list[dict[str, Any]]:
    """Run a program in two processes in a placement; return the report of each."""
    environment = {"ddp": ON_CPU, "fsdp2": {}}.get(placement, {"DS_ACCELERATOR": "cpu"})
    return run_in_processes(program, folder, placement, *words, environment=environment)


def place(placement: str) -> dict[str, Any]:
    """Prepare this process for a placement; return the arguments of the Trainer that ask for it."""
    if placement != "ddp":
        call_cpus_gpus()
    options = PLACEMENTS[placement] | {"per_device_train_batch_size": 2, "use_cpu": placement == "ddp"}
    if "deepspeed" in options:
        options |= {"deepspeed": options["deepspeed"] | DEEPSPEED}
    return options


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


def whole_masters(model: nn.Module) -> dict[str, Tensor]:
    """The trainable parameters, gathered from all ranks: under ZeRO their fp32 masters, else as `whole_weights`."""
    trainable = {name: each for name, each in model.named_parameters() if each.requires_grad}
    if any(hasattr(each, "ds_id") or hasattr(each, "_hp_mapping") for each in trainable.values()):
        from deepspeed.utils import safe_get_full_fp32_param

        return {name: safe_get_full_fp32_param(each).detach().clone() for name, each in trainable.items()}
    return {name: each for name, each in whole_weights(model).items() if name in trainable}


def digest(tensors: dict[str, Tensor]) -> str:
    """A short name of the very bits."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode() + tensors[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]
