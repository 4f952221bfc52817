"""Running averages of weights in a plain loop, against torch's own and against sums in float64."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from hf_strategies import StrategyError
from hf_strategies.pytorch import conversion
from hf_strategies.pytorch.averaged_weights import AveragedWeights


def model(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(7, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)).to(dtype)


def move(module: nn.Module) -> None:
    """Other weights and statistics."""
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.randn_like(tensor))
            else:
                tensor.add_(1)


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize(
    ("of_torch", "coefficient"),
    [(get_ema_multi_avg_fn(0.9), lambda n: 0.1), (get_swa_multi_avg_fn(), lambda n: 1 / n)],
    ids=["ema", "swa"],
)
def test_it_is_bit_for_bit_torch_s_averaged_model(
    of_torch: Callable[..., Any], coefficient: Callable[[int], float]
) -> None:
    ours_model, theirs_model = model(), model()
    for each in (ours_model, theirs_model):
        each[1].num_batches_tracked = None  # torch would average the counter
    ours, theirs = AveragedWeights(ours_model), AveragedModel(theirs_model, multi_avg_fn=of_torch, use_buffers=True)
    for n in range(1, 9):
        torch.manual_seed(n)
        move(ours_model)
        torch.manual_seed(n)
        move(theirs_model)
        ours.update([1.0 if n == 1 else coefficient(n)])
        theirs.update_parameters(theirs_model)
    ours.swap_in(0)
    expected = theirs.module.state_dict()
    for name, tensor in ours_model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("chunk", [1, 4, 1 << 20])
def test_it_is_the_weighted_sum_in_every_type_however_it_is_split(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, chunk: int
) -> None:
    monkeypatch.setattr(conversion, "_CHUNK_ON_CPU", chunk)
    module = model(dtype)
    average = AveragedWeights(module, slots=2)
    recorded = []
    for coefficients in [(1.0, 0.0), (0.5, 1.0), (0.25, 0.5), (0.5, 1.0), (0.0, 0.25)]:
        move(module)
        recorded.append({name: tensor.double() for name, tensor in copied(module).items()})
        average.update(coefficients)
    # By hand, slot 0: 1; 1/2, 1/2; 3/8, 3/8, 1/4; 3/16, 3/16, 1/8, 1/2; and as it is. Slot 1 restarts at the fourth.
    for slot, shares in ((0, [3 / 16, 3 / 16, 1 / 8, 1 / 2, 0.0]), (1, [0.0, 0.0, 0.0, 0.75, 0.25])):
        for name, tensor in average.tensors(slot).items():
            assert tensor.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
            expected = sum(share * each[name] for share, each in zip(shares, recorded, strict=True))
            assert torch.allclose(tensor.double(), torch.as_tensor(expected), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("in_cpu_memory", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_raw_weights_come_back_bit_for_bit(in_cpu_memory: bool, dtype: torch.dtype) -> None:
    module = model(dtype)
    average = AveragedWeights(module, in_cpu_memory=in_cpu_memory)
    average.update([1.0])
    move(module)
    average.update([0.3])
    raw = copied(module)
    average.swap_in(0)
    averaged = copied(module)
    average.swap_out()
    assert all(torch.equal(raw[name], tensor) for name, tensor in module.state_dict().items())
    assert not torch.equal(raw["0.weight"], averaged["0.weight"])
    assert torch.equal(raw["1.num_batches_tracked"], averaged["1.num_batches_tracked"])
    average.write(0)
    assert all(torch.equal(averaged[name], tensor) for name, tensor in module.state_dict().items())


def test_constant_weights_stay_bit_for_bit_what_they_are() -> None:
    module = model()
    average = AveragedWeights(module)
    for n in range(1, 100):
        average.update([2 / (n + 1)])
    assert all(torch.equal(average.tensors(0)[name], tensor) for name, tensor in module.named_parameters())


def test_a_saved_average_goes_on_bit_for_bit(tmp_path: Path) -> None:
    module = model(torch.bfloat16)
    whole = AveragedWeights(module, slots=2)
    whole.update([1.0, 0.0])
    move(module)
    whole.update([0.5, 1.0])
    whole.save(tmp_path / "average.safetensors", {"log": "x"})
    again = AveragedWeights(module, slots=2)
    again.load(tmp_path / "average.safetensors")
    move(module)
    for each in (whole, again):
        each.update([0.3, 0.4])
    for slot in (0, 1):
        found = again.tensors(slot)
        assert all(torch.equal(found[name], tensor) for name, tensor in whole.tensors(slot).items())
    assert {path.name for path in tmp_path.iterdir()} == {"average.safetensors"}


def test_the_average_of_another_model_is_refused(tmp_path: Path) -> None:
    average = AveragedWeights(model())
    average.update([1.0])
    average.save(tmp_path / "average.safetensors")
    other = nn.Sequential(nn.Linear(7, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    with pytest.raises(StrategyError, match="is of another model or average"):
        AveragedWeights(other).load(tmp_path / "average.safetensors")
    with pytest.raises(StrategyError, match=r"another model: 3\.bias is missing"):
        AveragedWeights(nn.Sequential(*model(), nn.Linear(3, 3))).load(tmp_path / "average.safetensors")


def test_calls_in_the_wrong_order_are_refused() -> None:
    average = AveragedWeights(model())
    with pytest.raises(StrategyError, match="no average in slot 0 yet"):
        average.swap_in(0)
    average.update([1.0])
    average.swap_out()  # nothing is in the model
    average.swap_in(0)
    for call in (lambda: average.update([0.5]), lambda: average.swap_in(0), lambda: average.write(0)):
        with pytest.raises(StrategyError, match=r"call swap_out\(\) before"):
            call()


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(StrategyError, match="weights of a list cannot be averaged"):
        AveragedWeights([1.0])  # type: ignore[arg-type]
