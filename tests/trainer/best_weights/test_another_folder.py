"""Best weights of a run that goes on in another folder, and files of best weights that are damaged."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trainer.best_weights.keeper_runs import SCORES, KeepBest, Record, trainer_of
from tests.trainer.placements import digest, whole_weights

EACH = {"save_strategy": "steps", "save_steps": 1}
PLACES = ["memory", "disk"]


def train(
    folder: Path, where: str, until: int, checkpoint: Path | None = None
) -> tuple[KeepBest, dict[int, str], str]:
    """Train or resume in a folder; return the callback, the weights by step, and those after training."""
    keep, record = KeepBest(where), Record()
    done = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    trainer = trainer_of(folder, [keep, record], SCORES[done:], **EACH, max_steps=until)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    return keep, record.at, digest(whole_weights(trainer.model))


@pytest.mark.parametrize("where", PLACES)
def test_the_best_weights_go_along_from_folder_to_folder(tmp_path: Path, where: str) -> None:
    _, at, _ = train(tmp_path / "first", where, 4)
    train(tmp_path / "second", where, 5, tmp_path / "first" / "checkpoint-4")
    keep, _, last = train(tmp_path / "third", where, 6, tmp_path / "second" / "checkpoint-5")
    assert keep.restored is True
    assert last == at[3]


def test_a_relative_output_folder_is_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, at, _ = train(Path("out"), "disk", 4)
    _, _, last = train(Path("out"), "disk", 5, tmp_path / "out" / "checkpoint-4")
    assert last == at[3]


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: os.truncate(file, 0),
    "cut": lambda file: os.truncate(file, file.stat().st_size // 2),
    "garbage": lambda file: file.write_bytes(bytes(range(256)) * 4),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("where", "files"),
    [
        ("memory", ["checkpoint-4/best.safetensors"]),
        ("disk", ["_best/checkpoint-3/model.safetensors"]),
        ("disk", ["_best/checkpoint-3/trainer_state.json"]),
    ],
)
def test_damaged_files_cost_the_best_weights_and_not_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, where: str, files: list[str], damage: str
) -> None:
    train(tmp_path, where, 4)
    for file in files:
        DAMAGES[damage](tmp_path / file)
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        keep, at, last = train(tmp_path, where, 5, tmp_path / "checkpoint-4")
    lines = [line for line in caplog.messages if "best weights" in line]
    assert len(lines) == 1
    assert "The best weights so far (score at step 3) are lost: their" in lines[0]
    assert "is damaged" in lines[0]
    assert keep.restored is False
    assert last == at[5]


def test_best_weights_that_are_damaged_while_training_are_told_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Damage(Record):
        def on_train_end(self, args: object, state: object, control: object, **kwargs: object) -> None:
            DAMAGES["cut"](tmp_path / "_best" / "checkpoint-3" / "model.safetensors")

    keep, damage = KeepBest("disk"), Damage()
    trainer = trainer_of(tmp_path, [damage, keep], **EACH)
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        trainer.train()
    assert "The best weights, of step 3, are not restored:" in caplog.text
    assert keep.restored is False
    assert digest(whole_weights(trainer.model)) == damage.at[5]
