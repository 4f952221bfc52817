"""The folder that is written: whole or not at all, with a card that names the sources."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard

from hf_strategies import StrategyError
from hf_strategies.checkpoints.folder import new_folder
from hf_strategies.cli.main import main
from tests.checkpoints.runs import write_checkpoint

StockRun = Callable[[str], Path]


def write_half(output: Path, mistake: BaseException) -> None:
    with new_folder(output) as folder:
        (folder / "half").write_text("x")
        assert not output.exists()
        raise mistake


def test_a_write_that_fails_or_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    for mistake in (StrategyError("diverged"), KeyboardInterrupt()):
        with pytest.raises(type(mistake)):
            write_half(tmp_path / "a", mistake)
        assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(StrategyError, match="cannot be written \\(No space left"),
        new_folder(tmp_path / "a"),
    ):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("a", "link", "x" * 300):
        with pytest.raises(StrategyError, match="output="), new_folder(tmp_path / name):
            pass


_SLEEPY = """
import sys, time
from hf_strategies.checkpoints import mean
write = mean._write_file
def sleepy(file, metadata, entries, tensors):
    file.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
from hf_strategies.cli.main import main
mean._write_file = sleepy
main(sys.argv[1:])
"""


def test_a_killed_process_leaves_no_folder_of_that_name_and_the_next_one_replaces_what_it_left(
    tmp_path: Path,
) -> None:
    for step in (2, 4):
        write_checkpoint(tmp_path / f"checkpoint-{step}", {"w": torch.full((3,), float(step))})
    flags = ["average", str(tmp_path), "--last", "2"]
    process = subprocess.Popen([sys.executable, "-c", _SLEEPY, *flags], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (tmp_path / "average").exists()
    assert (tmp_path / "_average.tmp" / "model.safetensors").read_bytes() == b"half"
    assert main(flags) == 0
    assert not (tmp_path / "_average.tmp").exists()
    assert (tmp_path / "average" / "model.safetensors").stat().st_size > 4


def test_the_tokenizer_and_the_parts_that_modules_json_names_come_along_and_states_and_results_do_not(
    tmp_path: Path,
) -> None:
    for step in (2, 4):
        folder = write_checkpoint(tmp_path / f"checkpoint-{step}", {"w": torch.full((2,), float(step))})
        write_checkpoint(folder / "2_Dense", {"linear.weight": torch.full((2, 2), float(step))})
        write_checkpoint(folder / "elsewhere", {"v": torch.zeros(1)})
        (folder / "modules.json").write_text('[{"path": ""}, {"path": "2_Dense"}, {"path": "../../x"}]')
        for name in [
            "tokenizer.json",
            "vocab.txt",
            "custom_code.py",
            "optimizer.pt",
            "scheduler.pt",
            "rng_state.pth",
            "training_args.bin",
            "latest",
            "eval_results.json",
            "predictions.jsonl",
            "training.png",
            "_run.json",
            "zero_to_fp32.py",
        ]:
            (folder / name).write_text(str(step))
    assert main(["average", str(tmp_path), "--last", "2"]) == 0
    average = tmp_path / "average"
    assert {str(file.relative_to(average)) for file in average.rglob("*") if file.is_file()} == {
        *("README.md", "config.json", "custom_code.py", "model.safetensors", "modules.json", "tokenizer.json"),
        *("vocab.txt", "2_Dense/config.json", "2_Dense/model.safetensors"),
    }
    assert (average / "vocab.txt").read_text() == "4"


def test_the_card_names_the_sources_with_steps_values_and_weights(stock_run: StockRun, tmp_path: Path) -> None:
    output = tmp_path / "mean_of_two"
    main(["average", str(stock_run("whole")), "--best", "2", "--mode", "max", "--output", str(output)])
    text = (output / "README.md").read_text()
    assert "# mean_of_two\n\n## Averaged weights\n" in text
    assert "The plain mean of the best 2 checkpoints of run by eval_score." in text
    assert "The average itself was not evaluated" in text
    assert "| checkpoint-4 | 4 | 0.75 | 0.5 |\n| checkpoint-6 | 6 | 0.75 | 0.5 |\n" in text
    assert str(tmp_path) not in text


def test_the_card_keeps_what_holds_for_an_average_too_and_no_results(tmp_path: Path) -> None:
    for step in (2, 4):
        write_checkpoint(tmp_path / f"checkpoint-{step}", {"w": torch.zeros(2)})
    kept = {"license": "mit", "base_model": "bert-base-uncased", "tags": ["a"]}
    matter = yaml.safe_dump(kept | {"model-index": [{"name": "run", "results": []}], "metrics": ["accuracy"]})
    (tmp_path / "README.md").write_text(f"---\n{matter}---\n\n# A run\n\naccuracy 0.9 \x1b[2J")
    main(["average", str(tmp_path), "--last", "2"])
    card = ModelCard.load(tmp_path / "average" / "README.md")
    assert card.data.to_dict() == kept
    assert "0.9" not in card.text
    assert "The average itself was not evaluated.\n\n| source | step |  | weight |" in card.text


def test_a_base_model_in_a_folder_is_not_named_on_the_card(tmp_path: Path) -> None:
    for step in (2, 4):
        folder = write_checkpoint(tmp_path / f"checkpoint-{step}", {"w": torch.zeros(2)})
    (tmp_path / "README.md").write_text("---\nlibrary_name: transformers\nlicense: mit\n---\n")
    (folder / "README.md").write_text("---\nbase_model: /home/me/model\nlibrary_name: peft\n---\n")
    main(["average", str(tmp_path), "--last", "2"])
    card = ModelCard.load(tmp_path / "average" / "README.md")
    assert card.data.to_dict() == {"library_name": "peft", "license": "mit"}


def test_a_name_cannot_break_the_card_s_table(tmp_path: Path) -> None:
    run = tmp_path / "a|b<script>"
    for name in ("x", "y"):
        write_checkpoint(run / name, {"w": torch.zeros(2)})
    output = tmp_path / "o"
    main(["average", str(run / "x"), str(run / "y"), "--output", str(output)])
    assert "<script>" not in (output / "README.md").read_text()
