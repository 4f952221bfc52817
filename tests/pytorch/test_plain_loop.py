"""The plain PyTorch loop: the example of the documentation, and the scheduler for itself."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from hf_strategies import BestWeights, ScheduleLR, StrategyError, schedule


def optimizer(rate: float = 0.01) -> torch.optim.Optimizer:
    return torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def classic() -> ScheduleLR:
    """5 epochs of linear warmup, then cosine decay over 45 epochs from 0.01 down to 0.001."""
    return ScheduleLR(optimizer(), "linear_warmup_cosine_decay", total_steps=50, warmup_steps=5, min_lr_ratio=0.1)


def rates(scheduler: ScheduleLR, steps: int) -> list[float]:
    seen = []
    for _ in range(steps):
        seen.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return seen


def test_the_classic_example_has_no_jump_after_the_warmup() -> None:
    seen = rates(classic(), 51)
    assert seen[:6] == pytest.approx([0, 0.002, 0.004, 0.006, 0.008, 0.01])
    assert seen[50] == pytest.approx(0.001)
    steps = [abs(after - before) for before, after in pairwise(seen)]
    assert max(steps) <= 0.002 + 1e-12  # the warmup's own step; the copied version falls from 0.01 to 0.0001


def test_the_commonly_copied_version_jumps() -> None:
    def copied(epoch: int) -> float:  # returns rates where LambdaLR wants ratios
        if epoch < 5:
            return epoch / 5
        return 0.001 + 0.5 * (0.01 - 0.001) * (1 + torch.cos(torch.tensor(torch.pi * (epoch - 5) / 45)).item())

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer(), copied)
    seen = []
    for _ in range(7):
        seen.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    assert seen[5] == pytest.approx(0.0001)


def test_the_example_of_the_documentation_runs_stops_and_restores_the_best(checkout: Path) -> None:
    page = (checkout / "docs" / "pytorch.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "Adam" in block]
    names: dict[str, Any] = {}
    exec(compile(code, "pytorch.md", "exec"), names)
    losses, verdict = names["losses"], names["now"]
    assert 5 < len(losses) <= 50
    assert min(losses) == losses[verdict.best_index] < losses[0] / 100
    with torch.no_grad():
        assert names["validation_loss"]() == losses[verdict.best_index]


def test_takes_a_schedule_that_is_built_already() -> None:
    built = schedule("step_decay", total_steps=4, gamma=0.5, step_size=1)
    scheduler = ScheduleLR(optimizer(1.0), built)
    assert scheduler.schedule is built
    assert rates(scheduler, 5) == [1.0, 0.5, 0.25, 0.125, 0.0625]


def test_its_state_restores_it_in_the_middle() -> None:
    whole, first = classic(), classic()
    expected = rates(whole, 50)
    begun = rates(first, 20)
    resumed = classic()
    resumed.load_state_dict(first.state_dict())
    assert begun + rates(resumed, 30) == expected


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("cosine_decay",), {}, "total_steps is missing: give the number of step"),
        (("cosin_decay",), {"total_steps": 3}, "unknown schedule 'cosin_decay': did you mean 'cosine_decay'"),
        ((schedule("cosine_decay", total_steps=3),), {"total_steps": 3}, "'cosine_decay' is built already"),
    ],
)
def test_a_mistake_is_told(arguments: tuple[Any, ...], options: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        ScheduleLR(optimizer(), *arguments, **options)


# --- best weights -------------------------------------------------------------------------------------------------


class Tied(torch.nn.Module):
    """Two layers that share a weight, a frozen one, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(2, 2)
        self.second = torch.nn.Linear(2, 2)
        self.second.weight = self.first.weight
        self.frozen = torch.nn.Linear(2, 2)
        self.frozen.requires_grad_(False)
        self.norm = torch.nn.BatchNorm1d(2)


def change(model: torch.nn.Module) -> None:
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            tensor.add_(1)


def snapshot(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_restores_parameters_and_buffers_and_leaves_frozen_ones_alone() -> None:
    model = Tied()
    best = BestWeights(model)
    best.keep()
    before = snapshot(model)
    change(model)
    changed = snapshot(model)
    best.restore()
    after = snapshot(model)
    assert model.second.weight is model.first.weight
    for name in before:
        expected = changed if name.startswith("frozen") else before
        assert torch.equal(after[name], expected[name]), name


def test_keeping_again_replaces_the_copy() -> None:
    model = Tied()
    best = BestWeights(model)
    best.keep()
    change(model)
    best.keep()
    kept = snapshot(model)
    change(model)
    best.restore()
    assert torch.equal(model.first.weight, kept["first.weight"])


def test_a_parameter_that_is_frozen_later_is_restored_all_the_same() -> None:
    model = Tied()
    best = BestWeights(model)
    best.keep()
    before = model.first.weight.clone()
    change(model)
    model.first.requires_grad_(False)
    best.restore()
    assert torch.equal(model.first.weight, before)


def test_restoring_nothing_is_an_error() -> None:
    with pytest.raises(StrategyError, match=r"no weights are kept: call keep\(\)"):
        BestWeights(Tied()).restore()


def test_a_file_brings_the_weights_to_another_process(tmp_path: Path) -> None:
    model = Tied()
    best = BestWeights(model)
    best.keep()
    best.save(tmp_path / "best.safetensors")
    before = snapshot(model)
    change(model)
    other = BestWeights(model)
    other.load(tmp_path / "best.safetensors")
    other.restore()
    assert torch.equal(model.first.weight, before["first.weight"])
    assert torch.equal(model.norm.running_mean, before["norm.running_mean"])
    assert [file.name for file in tmp_path.iterdir()] == ["best.safetensors"]


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    one, other = torch.nn.Linear(2, 2), torch.nn.Linear(3, 2)
    best = BestWeights(one)
    best.keep()
    best.save(tmp_path / "best.safetensors")
    with pytest.raises(StrategyError, match=r"is of another model: weight is \(2, 2\) there and \(2, 3\) here"):
        BestWeights(other).load(tmp_path / "best.safetensors")


def test_a_file_of_a_model_with_other_names_is_refused(tmp_path: Path) -> None:
    best = BestWeights(torch.nn.Linear(2, 2))
    best.keep()
    best.save(tmp_path / "best.safetensors")
    with pytest.raises(StrategyError, match=r"is of another model: 0.bias is missing there"):
        BestWeights(torch.nn.Sequential(torch.nn.Linear(2, 2))).load(tmp_path / "best.safetensors")


def test_weights_that_are_not_contiguous_are_saved_all_the_same(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    model.weight = torch.nn.Parameter(torch.arange(6.0).reshape(3, 2).T)
    best = BestWeights(model)
    best.keep()
    best.save(tmp_path / "best.safetensors", {"who": "me"})
    assert BestWeights.note_of(tmp_path / "best.safetensors") == {"who": "me"}
    with torch.no_grad():
        model.weight.zero_()
    best.load(tmp_path / "best.safetensors")
    best.restore()
    assert model.weight.tolist() == [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]


def test_a_buffer_that_has_grown_is_kept_as_it_is() -> None:
    model = torch.nn.Module()
    model.register_buffer("seen", torch.zeros(1))
    best = BestWeights(model)
    best.keep()
    model.seen = torch.ones(3)
    best.keep()
    model.seen.zero_()
    best.restore()
    assert model.seen.tolist() == [1.0, 1.0, 1.0]
