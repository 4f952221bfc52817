"""The averaged weights, against the mean worked out by hand from the files of a stock Trainer's run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertForSequenceClassification

from hf_strategies import StrategyError
from hf_strategies.averaging import shape_weights
from hf_strategies.checkpoints.mean import write_mean
from hf_strategies.checkpoints.weights import read_weights
from hf_strategies.cli.main import main
from tests.checkpoints.runs import STEPS, write_checkpoint

StockRun = Callable[[str], Path]


def by_hand(run: Path, shares: dict[int, float], name: str = "model.safetensors") -> dict[str, torch.Tensor]:
    """The weighted mean of checkpoints in float64."""
    loaded = {step: load_file(run / f"checkpoint-{step}" / name) for step in shares}
    first = next(iter(loaded.values()))
    parts = {
        key: torch.stack([shares[step] * weights[key].to(torch.float64) for step, weights in loaded.items()])
        for key in first
    }
    return {key: part.sum(dim=0) for key, part in parts.items()}


def check_equal(file: Path, expected: dict[str, torch.Tensor], tolerance: float = 1e-6) -> None:
    found = load_file(file)
    assert found.keys() == expected.keys()
    for key, weights in found.items():
        torch.testing.assert_close(weights.to(torch.float64), expected[key], rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize(
    ("flags", "shares"),
    [
        (["--last", "3"], dict.fromkeys(STEPS[2:], 1 / 3)),
        (["--best", "3"], dict.fromkeys((4, 6, 10), 1 / 3)),  # scores 0.5, 0.75, 0.75, 0.25, 0.625
        (["--best", "1", "--metric", "score", "--mode", "min"], {8: 1.0}),
        (["--shape", "linear"], dict.fromkeys(STEPS, 1 / 5)),
        # 1 - sqrt(j / 4), j = 0, 1, ..., 4
        (["--last", "4", "--shape", "sqrt"], {4: 0.5, 6: 0.20710678, 8: 0.15891862, 10: 0.1339746}),
    ],
)
def test_the_average_of_a_stock_run_is_the_mean_by_hand_and_loads(
    stock_run: StockRun, tmp_path: Path, flags: list[str], shares: dict[int, float]
) -> None:
    mode = [] if "--best" not in flags or "--mode" in flags else ["--mode", "max"]  # nothing is known of a "score"
    run, output = stock_run("whole"), tmp_path / "average"
    assert main(["average", str(run), *flags, *mode, "--output", str(output)]) == 0
    expected = by_hand(run, shares)
    check_equal(output / "model.safetensors", expected)
    model, loading = BertForSequenceClassification.from_pretrained(output, output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    state = model.state_dict()
    assert all(torch.allclose(state[key], weights.float(), atol=1e-7) for key, weights in expected.items())


def test_only_what_belongs_to_a_model_is_written(stock_run: StockRun, tmp_path: Path) -> None:
    main(["average", str(stock_run("whole")), "--last", "2", "--output", str(tmp_path / "a")])
    assert sorted(file.name for file in (tmp_path / "a").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_the_mean_of_bf16_weights_is_computed_in_float32_and_written_as_bf16(
    stock_run: StockRun, tmp_path: Path
) -> None:
    run, output = stock_run("bf16"), tmp_path / "average"
    assert main(["average", str(run), "--last", "5", "--output", str(output)]) == 0
    found, expected = load_file(output / "model.safetensors"), by_hand(run, dict.fromkeys(STEPS, 1 / 5))
    for key, weights in found.items():
        assert weights.dtype == torch.bfloat16
        # half a unit in the last of 8 bits; a mean that is rounded after each of five terms is further off
        torch.testing.assert_close(weights.to(torch.float64), expected[key], rtol=2**-8, atol=1e-9)


# peft 0.21 calls transformers by a name that is going to change
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_an_adapter_is_averaged_and_loads(stock_run: StockRun, tmp_path: Path) -> None:
    from peft import PeftModel

    run, output = stock_run("adapter"), tmp_path / "average"
    assert main(["average", str(run), "--last", "2", "--output", str(output)]) == 0
    expected = by_hand(run, {8: 0.5, 10: 0.5}, "adapter_model.safetensors")
    check_equal(output / "adapter_model.safetensors", expected)
    assert {file.name for file in output.iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    whole = stock_run("whole") / "checkpoint-2"
    model = PeftModel.from_pretrained(BertForSequenceClassification.from_pretrained(whole), output)
    key = "base_model.model.bert.encoder.layer.0.attention.self.query.lora_A"
    loaded = model.state_dict()[f"{key}.default.weight"]
    torch.testing.assert_close(loaded, expected[f"{key}.weight"].float())


def test_shards_are_averaged_into_the_same_shards_and_load(stock_run: StockRun, tmp_path: Path) -> None:
    run = tmp_path / "run"
    for step in STEPS[2:]:
        folder = stock_run("whole") / f"checkpoint-{step}"
        model = BertForSequenceClassification.from_pretrained(folder)
        model.save_pretrained(run / folder.name, max_shard_size="4KB")
        shutil.copy(folder / "trainer_state.json", run / folder.name)
    # the oldest one in one file: what counts is the tensors
    shutil.copytree(stock_run("whole") / "checkpoint-4", run / "checkpoint-4")
    assert main(["average", str(run), "--last", "4"]) == 0
    output, expected = run / "average", by_hand(stock_run("whole"), dict.fromkeys(STEPS[1:], 1 / 4))
    shards = sorted(file.name for file in output.glob("*.safetensors"))
    assert shards == sorted(file.name for file in (run / "checkpoint-10").glob("*.safetensors"))
    assert len(shards) == 2
    weight_map = json.loads((output / "model.safetensors.index.json").read_text())["weight_map"]
    for key, shard in weight_map.items():
        torch.testing.assert_close(load_file(output / shard)[key].double(), expected[key], rtol=1e-6, atol=1e-7)
    state = BertForSequenceClassification.from_pretrained(output).state_dict()
    assert all(torch.allclose(state[key], weights.float(), atol=1e-7) for key, weights in expected.items())


def mean_of(
    tmp_path: Path, *parts: dict[str, torch.Tensor], shares: list[float] | None = None
) -> dict[str, torch.Tensor]:
    folders = [write_checkpoint(tmp_path / f"checkpoint-{index}", part) for index, part in enumerate(parts, 1)]
    write_mean([read_weights(folder) for folder in folders], shares or [1 / len(parts)] * len(parts), tmp_path)
    return load_file(tmp_path / "model.safetensors")


def test_integers_and_truth_values_are_those_of_the_newest(tmp_path: Path) -> None:
    def part(value: float) -> dict[str, torch.Tensor]:
        return {
            "w": torch.full((2, 3), value),
            "batches": torch.tensor(int(value)),
            "mask": torch.tensor([value > 2.0, True]),
            "empty": torch.zeros(0, 4),
            "half": torch.full((3,), value, dtype=torch.float16),
            "double": torch.full((3,), value, dtype=torch.float64),
            "complex": torch.full((3,), value * 1j, dtype=torch.complex64),
        }

    mean = mean_of(tmp_path, part(1.0), part(4.0), shares=[0.75, 0.25])
    assert torch.equal(mean["w"], torch.full((2, 3), 1.75))
    assert (mean["batches"].item(), mean["mask"].tolist(), mean["empty"].shape) == (4, [True, True], (0, 4))
    assert torch.equal(mean["half"], torch.full((3,), 1.75, dtype=torch.float16))
    assert torch.equal(mean["double"], torch.full((3,), 1.75, dtype=torch.float64))
    assert torch.equal(mean["complex"], torch.full((3,), 1.75j, dtype=torch.complex64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_weights_that_all_sources_have_alike_stay_as_they_are_bit_by_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    frozen = torch.randn(100, generator=torch.Generator().manual_seed(0)).to(dtype)
    shares = list(shape_weights(7, curve=lambda step, steps: 1 - (step / steps) ** 0.5))
    assert torch.equal(mean_of(tmp_path, *({"w": frozen},) * 7, shares=shares)["w"], frozen)


def test_a_source_of_no_weight_changes_nothing(tmp_path: Path) -> None:
    nan = {"w": torch.tensor([float("nan"), 1.0])}
    mean = mean_of(
        tmp_path, nan, {"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 2.0])}, shares=[0, 0.5, 0.5]
    )
    assert mean["w"].tolist() == [2.0, 2.0]


def test_infinite_entries_that_all_have_are_kept_and_a_diverged_source_is_refused(tmp_path: Path) -> None:
    mask = torch.tensor([0.0, float("-inf")])
    assert torch.equal(mean_of(tmp_path / "a", {"m": mask}, {"m": mask})["m"], mask)
    with pytest.raises(StrategyError, match=r"'m' has values that are not finite in .*checkpoint-1"):
        mean_of(tmp_path / "b", {"m": torch.tensor([0.0, float("nan")])}, {"m": torch.zeros(2)})


def test_quantised_weights_that_differ_are_refused(tmp_path: Path) -> None:
    same = torch.tensor([1, 2], dtype=torch.int8)
    assert torch.equal(mean_of(tmp_path / "a", {"q": same}, {"q": same})["q"], same)
    with pytest.raises(StrategyError, match="'q' is quantised"):
        mean_of(tmp_path / "b", {"q": same}, {"q": same + 1})


def test_a_file_has_the_same_bytes_as_one_that_safetensors_writes(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "b": torch.randn(3, 5, generator=generator),
        "a": torch.randn(2, generator=generator).to(torch.bfloat16),
        "c": torch.arange(3),
        "é": torch.tensor([True]),
    }
    mean_of(tmp_path, tensors, tensors)
    save_file(tensors, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    ours, theirs = ((tmp_path / name).read_bytes() for name in ("model.safetensors", "theirs.safetensors"))
    length = [8 + int.from_bytes(content[:8], "little") for content in (ours, theirs)]
    assert json.loads(ours[8 : length[0]]) == json.loads(theirs[8 : length[1]])
    assert ours[length[0] :] == theirs[length[1] :]
    assert length[0] % 8 == 0
