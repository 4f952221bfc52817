"""Final models of several runs: averaged only if they began with the same weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hf_strategies.checkpoints.same_start import cosine
from hf_strategies.cli.main import main
from tests.checkpoints.runs import write_checkpoint
from tests.cli.commands import check_mistake

StockRun = Callable[[str], Path]


def finals(folder: Path, make_head: Callable[[int], torch.Tensor]) -> list[str]:
    """The final models of three seeds: one pretrained body, moved a little by each, and a head."""
    body = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    runs = []
    for seed in (1, 2, 3):
        moved = body + 0.1 * torch.randn(64, 32, generator=torch.Generator().manual_seed(seed))
        run = folder / f"seed_{seed}"
        write_checkpoint(run, {"body.weight": moved, "classifier.weight": make_head(seed), "bias": torch.randn(2)})
        runs.append(str(run))
    return runs


def own_head(seed: int) -> torch.Tensor:
    return 0.02 * torch.randn(2, 64, generator=torch.Generator().manual_seed(100 + seed))


def common_head(seed: int) -> torch.Tensor:
    return own_head(0) + 0.5 * own_head(seed)


def test_models_whose_heads_began_alike_are_averaged(tmp_path: Path) -> None:
    runs, output = finals(tmp_path, common_head), tmp_path / "soup"
    assert main(["average", *runs, "--output", str(output)]) == 0
    parts = [load_file(Path(run) / "model.safetensors") for run in runs]
    for key, weights in load_file(output / "model.safetensors").items():
        torch.testing.assert_close(weights, torch.stack([part[key] for part in parts]).mean(dim=0))
    card = (output / "README.md").read_text()
    assert "The plain mean of the final models of 3 runs." in card
    assert "| seed_1 |  |  | 0.3333 |" in card


def test_heads_of_their_own_are_refused_unless_told_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, output = finals(tmp_path, own_head), tmp_path / "soup"
    command = f"average {' '.join(runs)} --output {output}"
    check_mistake(command, "'classifier.weight' of", capsys)
    check_mistake(command, "did not begin with the same values (cosine", capsys)
    assert not output.exists()
    assert main([*command.split(), "--same_start"]) == 0


def test_adapters_are_compared_by_what_was_not_zero_at_the_start(tmp_path: Path) -> None:
    for seed in (1, 2):
        generator = torch.Generator().manual_seed(seed)
        tensors = {
            "q.lora_A.weight": torch.ones(2, 64) + 0.1 * torch.randn(2, 64, generator=generator),
            "q.lora_B.weight": torch.randn(64, 2, generator=generator),
        }
        write_checkpoint(tmp_path / str(seed), tensors, name="adapter_model.safetensors")
    runs = [str(tmp_path / "1"), str(tmp_path / "2")]
    assert main(["average", *runs, "--output", str(tmp_path / "o")]) == 0


def test_the_cosine_of_a_matrix_and_what_it_became() -> None:
    one = torch.randn(50, 50, generator=torch.Generator().manual_seed(0))
    other = torch.randn(50, 50, generator=torch.Generator().manual_seed(1))
    assert cosine(one, 3 * one) == pytest.approx(1.0)
    assert abs(cosine(one, other)) < 4 / 50
    assert cosine(torch.zeros(3), torch.zeros(3)) == 1.0
    assert cosine(torch.zeros(3), torch.ones(3)) == 0.0


def test_the_final_models_of_two_trainings_of_the_stock_trainer_are_averaged(
    stock_run: StockRun, tmp_path: Path
) -> None:
    whole = stock_run("whole")  # its checkpoints stand for finals: both have begun alike
    runs = [str(whole / "checkpoint-4"), str(whole)]
    assert main(["average", *runs, "--output", str(tmp_path / "o")]) == 0
    assert sorted(file.name for file in (tmp_path / "o").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
