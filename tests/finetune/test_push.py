"""What goes to the Hub, which is not reached here; and runs that are the same bit by bit."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from huggingface_hub.utils import filter_repo_objects
from safetensors.torch import load_file
from transformers import Trainer, trainer

from hf_strategies import StrategyError
from hf_strategies.recipes import text_classification
from tests.finetune.runs import QUIET, read, reviews, write_csv_splits

FLAGS = [*QUIET, "--max_steps", "2", "--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "no"]


class Hub:
    """Stands in for the Hub: remembers what it was asked for, and the card as it was uploaded."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.cards: list[str] = []
        self.files: list[set[str]] = []
        self.content: dict[str, bytes] = {}

    def create_repo(self, name: str, **options: Any) -> Any:
        self.made.append(name)
        return SimpleNamespace(repo_id=name)

    def upload_folder(self, *, folder_path: str, ignore_patterns: list[str], **options: Any) -> Any:
        inside = [str(path.relative_to(folder_path)) for path in Path(folder_path).rglob("*") if path.is_file()]
        names = set(filter_repo_objects(inside, ignore_patterns=ignore_patterns))
        place = options.get("path_in_repo", "")
        self.content |= {f"{place}/{name}": Path(folder_path, name).read_bytes() for name in names}
        self.cards += [self.content["/README.md"].decode()] if "README.md" in names and not place else []
        self.files.append(names)
        return SimpleNamespace(done=lambda: True)

    def upload_file(self, *, path_or_fileobj: bytes, path_in_repo: str, **options: Any) -> None:
        self.content[path_in_repo] = path_or_fileobj


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    """What transformers takes for the Hub."""
    hub = Hub()
    monkeypatch.setattr(trainer, "hf_api", lambda: hub)
    return hub


def test_the_card_that_is_uploaded_tells_strategy_and_test_metrics(hub: Hub, tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = [*write_csv_splits(tmp_path, reviews), "--push_to_hub", "--hub_model_id", "someone/pets"]
    text_classification.main([*FLAGS, *flags, "--output_dir", str(out)])
    assert set(hub.made) == {"someone/pets"}
    section = hub.cards[-1].partition("## Training strategy\n")[2]
    accuracy = read(out / "all_results.json")["test_accuracy"]
    assert "learning rate: linear_warmup_cosine_decay, peak 0.001" in section
    assert f"- test set, this model: accuracy {accuracy:.4f}, macro_f1" in section
    assert {"model.safetensors", "config.json", "tokenizer.json", "all_results.json"} <= hub.files[-1]


def test_neither_token_nor_paths_nor_test_texts_are_uploaded(hub: Hub, tmp_path: Path) -> None:
    flags = [*write_csv_splits(tmp_path, reviews), "--push_to_hub", "--hub_token", "hf_top_secret"]
    flags += ["--save_strategy", "steps", "--save_steps", "1", "--load_best_model_at_end"]
    text_classification.main([*FLAGS, *flags, "--hub_strategy", "checkpoint", "--output_dir", str(tmp_path / "out")])
    assert {"/model.safetensors", "/README.md", "trainer_state.json"} <= set(hub.content)
    assert {"last-checkpoint/optimizer.pt", "last-checkpoint/trainer_state.json"} <= set(hub.content)
    assert [name for name, content in hub.content.items() if b"hf_top_secret" in content] == []
    assert [name for name, content in hub.content.items() if str(tmp_path).encode() in content] == []
    assert [name for name in hub.content if "predictions" in name or "training_args" in name] == []


def test_predictions_are_uploaded_where_asked_for(hub: Hub, tmp_path: Path) -> None:
    flags = [*write_csv_splits(tmp_path, reviews), "--push_to_hub", "--push_predictions"]
    text_classification.main([*FLAGS, *flags, "--output_dir", str(tmp_path / "out")])
    assert "predictions.jsonl" in hub.files[-1]


def test_a_repository_that_cannot_be_made_is_reported_before_training(tmp_path: Path) -> None:
    out = tmp_path / "out"
    flags = [*write_csv_splits(tmp_path, reviews), "--push_to_hub", "--output_dir", str(out)]
    with pytest.raises(StrategyError, match=r"push_to_hub=True, and the Hub refuses a repository for it: .*offline"):
        text_classification.main([*FLAGS, *flags])
    assert not list(out.glob("*.json"))


def test_nothing_is_uploaded_without_the_flag(hub: Hub, tmp_path: Path) -> None:
    text_classification.main([*FLAGS, *write_csv_splits(tmp_path, reviews), "--output_dir", str(tmp_path / "out")])
    assert hub.made == hub.cards == []


def test_full_determinism_gives_the_same_bits_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # It sets these variables, and torch to deterministic algorithms, for the whole process.
    for name in ("CUDA_LAUNCH_BLOCKING", "CUBLAS_WORKSPACE_CONFIG", "ASCEND_LAUNCH_BLOCKING", "HCCL_DETERMINISTIC"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("FLASH_ATTENTION_DETERMINISTIC", "")
    files = write_csv_splits(tmp_path, reviews)
    try:
        for name in ("one", "two"):
            text_classification.main([*FLAGS, *files, "--full_determinism", "--output_dir", str(tmp_path / name)])
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_eager_attention_is_what_the_model_uses(tmp_path: Path) -> None:
    files = write_csv_splits(tmp_path, reviews)
    flags = ["--attn_implementation", "eager", "--output_dir", str(tmp_path / "out")]
    run: Trainer = text_classification.main([*FLAGS, *files, *flags])
    assert run.model.config._attn_implementation == "eager"  # type: ignore[union-attr]
