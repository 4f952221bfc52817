"""Checkpoints of another model or optimizer are refused, and those of the same one are not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_model
from torch import nn
from transformers import Adafactor

from hf_strategies import StrategyError
from hf_strategies.finetune.fitting import check_moments, check_weights_of, loading_state


class Tied(nn.Module):
    """Two layers with one weight, of which a file holds one."""

    def __init__(self, size: int = 3, outputs: int = 2) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(size, size, bias=False), nn.Linear(size, size, bias=False)
        self.last.weight = self.first.weight
        self.classifier = nn.Linear(size, outputs)


def saved(folder: Path, model: nn.Module) -> Path:
    save_model(model, str(folder / "model.safetensors"))
    return folder


def test_weights_of_the_same_model_fit(tmp_path: Path) -> None:
    check_weights_of(saved(tmp_path, Tied()), Tied())


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        StrategyError, match=r"it has classifier\.weight of the size 5 x 3, and the model 2 x 3: resume"
    ):
        check_weights_of(saved(tmp_path, nn.ModuleDict({"classifier": nn.Linear(3, 5)})), Tied())


def test_weights_of_other_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"it has no first.weight, which the model has"):
        check_weights_of(saved(tmp_path, nn.ModuleDict({"classifier": nn.Linear(3, 2)})), Tied())


def test_whole_weights_are_no_adapters_and_adapters_no_whole_weights(tmp_path: Path) -> None:
    with_adapters: Any = Tied()
    with_adapters.merge_and_unload = lambda: None
    with pytest.raises(StrategyError, match="it has no adapters of LoRA"):
        check_weights_of(saved(tmp_path, Tied()), with_adapters)
    (tmp_path / "model.safetensors").rename(tmp_path / "adapter_model.safetensors")
    with pytest.raises(StrategyError, match="it has adapters of LoRA"):
        check_weights_of(tmp_path, Tied())
    check_weights_of(tmp_path, with_adapters)


def stepped(size: int, **options: Any) -> tuple[nn.Linear, torch.optim.Optimizer]:
    model = nn.Linear(size, 1)
    optimizer = torch.optim.AdamW(model.parameters(), **options)
    model(torch.ones(1, size)).sum().backward()
    optimizer.step()
    return model, optimizer


def test_moments_of_the_same_weights_fit() -> None:
    optimizer = torch.optim.AdamW(nn.Linear(3, 1).parameters())
    optimizer.load_state_dict(stepped(3)[1].state_dict())
    check_moments(Path("checkpoint-4"), optimizer)


def test_moments_of_weights_of_another_size_are_refused() -> None:
    optimizer = torch.optim.AdamW(nn.Linear(4, 1).parameters())
    optimizer.load_state_dict(stepped(3)[1].state_dict())
    with pytest.raises(StrategyError, match="an optimizer for weights of other sizes"):
        check_moments(Path("checkpoint-4"), optimizer)


@pytest.mark.parametrize("kind", [torch.optim.SGD, Adafactor])
def test_the_state_of_another_optimizer_is_refused(kind: Any) -> None:
    optimizer = kind(nn.Linear(3, 1).parameters())
    optimizer.load_state_dict(stepped(3)[1].state_dict())
    with pytest.raises(StrategyError, match="the state of another optimizer, without"):
        check_moments(Path("checkpoint-4"), optimizer)


def test_an_error_of_loading_is_one_line_and_an_error_without_a_checkpoint_stays() -> None:
    words = "'checkpoint-4' is of another run: it has a state of x that cannot"
    with pytest.raises(StrategyError, match=words), loading_state("checkpoint-4", "x"):
        raise KeyError("param_groups")
    with pytest.raises(KeyError, match="param_groups"), loading_state(None, "x"):
        raise KeyError("param_groups")
    with pytest.raises(StrategyError, match="would jump"), loading_state("checkpoint-4", "x"):
        raise StrategyError("the learning rate would jump")
