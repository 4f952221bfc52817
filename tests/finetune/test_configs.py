"""The files of recipes/configs and recipes/accelerate: each says its command and works."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from transformers import AutoModelForMaskedLM

from hf_strategies.finetune.arguments import ModelArguments
from hf_strategies.finetune.model import load_model
from hf_strategies.finetune.small_bert import train_wordpiece
from hf_strategies.flag_file import flags_of_yaml
from tests.conftest import CHECKOUT
from tests.conftest import RECIPES as NAMES
from tests.finetune.runs import QUIET
from tests.finetune.two_processes import RANK_REPORT
from tests.two_processes import run_launcher

RECIPES = CHECKOUT / "recipes"
CONFIGS = sorted(path.name for path in (RECIPES / "configs").glob("*.yaml"))
PLACEMENTS = sorted(path.name for path in (RECIPES / "accelerate").glob("*.yaml"))
UNLOGGED = [*QUIET, "--logging_strategy", "no"]
SHORT = ["--max_steps", "2", "--per_device_train_batch_size", "2", "--per_device_eval_batch_size", "4"]
SHORT += ["--gradient_accumulation_steps", "1", "--save_strategy", "no"]
SHORT += ["--eval_strategy", "steps", "--eval_steps", "1"]
WORDS = ["the", "grey", "cat", "sleeps", "on", "a", "warm", "stone", "near", "Rome"]


def header(name: str) -> str:
    lines = (RECIPES / "configs" / name).read_text(encoding="utf-8").splitlines()
    return "\n".join(line.removeprefix("#").strip() for line in lines if line.startswith("#"))


def recipe_of(name: str) -> str:
    """The module of the recipe that the file's header launches."""
    found = re.findall(r"accelerate launch recipes/(\w+)\.py", header(name))
    return f"hf_strategies.recipes.{found[0]}"


def rows(recipe: str) -> list[dict[str, Any]]:
    """Eight small examples of the recipe's kind."""
    texts = [" ".join(WORDS[index:] + WORDS[:index]) for index in range(8)]
    made: dict[str, Any] = {
        "text_classification": lambda text, index: {"text": text, "label": ["no", "yes"][index % 2]},
        "token_classification": lambda text, index: {
            "tokens": text.split(),
            "tags": ["B-PLACE" if word == "Rome" else "O" for word in text.split()],
        },
        "question_answering": lambda text, index: {
            "id": str(index),
            "question": "Who sleeps?",
            "context": text,
            "answers": {"text": ["cat"], "answer_start": [text.index("cat")]},
        },
        "multiple_choice": lambda text, index: {
            "sent1": text,
            "sent2": "",
            **{f"ending{number}": f"{WORDS[number]} {index}" for number in range(4)},
            "label": index % 4,
        },
        "masked_lm": lambda text, index: {"text": text},
    }[recipe.rpartition(".")[2]]
    return [made(text, index) for index, text in enumerate(texts)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a small BERT with its tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_wordpiece([" ".join(WORDS)] * 4)
    load_model(AutoModelForMaskedLM, ModelArguments(), None, tokenizer).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_says_its_command_and_its_source(name: str) -> None:
    assert f"--config recipes/configs/{name}" in header(name)
    assert (
        re.search(r"Source: .*(arXiv:\d{4}\.\d{5}|benchmarks/README.md)", header(name), re.DOTALL) or "demo" in name
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_trains_two_steps(name: str, model: str, tmp_path: Path) -> None:
    recipe = recipe_of(name)
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows(recipe)), encoding="utf-8")
    files = [word for split in ("train", "validation", "test") for word in (f"--{split}_file", str(file))]
    flags = ["--config", str(RECIPES / "configs" / name), *files, "--model_name_or_path", model, *UNLOGGED, *SHORT]
    trainer = import_module(recipe).main([*flags, "--output_dir", str(tmp_path / "out")])
    assert trainer.state.global_step == 2
    assert (tmp_path / "out" / "all_results.json").is_file()


class _ReadError(Exception):
    """Carries the flags that a recipe has read."""


def resolved(recipe: str, argv: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """All arguments of a recipe as it reads them."""
    module = import_module(recipe)
    read = module.read_flags

    def stop(*args: Any, **kwargs: Any) -> None:
        raise _ReadError(read(*args, **kwargs))

    monkeypatch.setattr(module, "read_flags", stop)
    with pytest.raises(_ReadError) as raised:
        module.main([*argv, "--use_cpu"])
    monkeypatch.setattr(module, "read_flags", read)
    return [dataclasses.asdict(part) for part in raised.value.args[0]]


@pytest.mark.parametrize("name", CONFIGS)
def test_yaml_flags_and_both_mean_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file, recipe = RECIPES / "configs" / name, recipe_of(name)
    entries = yaml.safe_load(file.read_text(encoding="utf-8"))
    flags = flags_of_yaml(file, set(entries))
    by_file = resolved(recipe, ["--config", str(file)], monkeypatch)
    assert by_file == resolved(recipe, flags, monkeypatch)
    assert by_file == resolved(recipe, ["--config", str(file), *flags], monkeypatch)
    assert by_file != resolved(recipe, ["--config", str(file), "--seed", "77"], monkeypatch)
    # What the file says is what is there, read by another YAML reader.
    found = {key: value for part in by_file for key, value in part.items()}
    for key, value in entries.items():
        there = getattr(found[key], "value", found[key])  # some are members of an enum
        assert str(there) == str(value) or float(there) == float(value), key


@pytest.mark.parametrize(
    ("name", "processes", "kind", "precision"),
    [
        ("cpu.yaml", 1, "", "no"),
        ("fsdp2.yaml", 2, "fsdp", "bf16"),
        ("gpu_bf16.yaml", 1, "", "bf16"),
        ("gpu_fp16.yaml", 1, "", "fp16"),
        ("multi_cpu.yaml", 2, "ddp", "no"),
        ("multi_gpu.yaml", 2, "ddp", "bf16"),
        ("multi_node.yaml", 16, "ddp", "bf16"),
        ("zero2.yaml", 2, "deepspeed", "bf16"),
        ("zero3.yaml", 2, "deepspeed", "bf16"),
        ("zero3_offload.yaml", 2, "deepspeed", "bf16"),
    ],
)
def test_accelerate_reads_a_placement_as_it_is_meant(name: str, processes: int, kind: str, precision: str) -> None:
    file = str(RECIPES / "accelerate" / name)
    load_config_from_file(file)  # refuses unknown keys
    args = launch_command_parser().parse_args(["--config_file", file, "recipes/text_classification.py"])
    args = _validate_launch_command(args)[0]
    kinds = {"ddp": args.multi_gpu, "fsdp": args.use_fsdp, "deepspeed": args.use_deepspeed}
    assert [name for name, chosen in kinds.items() if chosen] == [kind] * bool(kind)
    assert (args.num_processes, args.mixed_precision) == (processes, precision)
    assert name in PLACEMENTS


def test_every_placement_is_tested() -> None:
    assert len(PLACEMENTS) == 10


def test_the_placement_for_two_processes_on_the_cpu_has_two(tmp_path: Path) -> None:
    rows = "".join(f"{word} {index},{'ab'[index % 2]}\n" for index, word in enumerate(WORDS * 2))
    (tmp_path / "rows.csv").write_text("text,label\n" + rows, encoding="utf-8")
    command = ["accelerate.commands.launch", "--main_process_port", "0", "--config_file"]
    command += [str(RECIPES / "accelerate" / "multi_cpu.yaml"), "-m", RANK_REPORT, str(tmp_path)]
    # Without --use_cpu: the file has to place both processes on the CPU.
    command += ["text_classification", *UNLOGGED[1:], *SHORT, "--output_dir", "out"]
    reports = run_launcher([*command, "--train_file", "rows.csv", "--validation_file", "rows.csv"], tmp_path)
    assert [report["world_size"] for report in reports] == [2, 2]
    assert [report["wrapped_model"] for report in reports] == ["DistributedDataParallel"] * 2
    assert [report["global_step"] for report in reports] == [2, 2]


@pytest.mark.parametrize(
    ("precision", "flags", "compiled"),
    [
        ("bf16", [], False),
        # A compiler of C++ makes the kernels; on two cores that takes minutes.
        pytest.param("no", ["--torch_compile", "true"], True, marks=[pytest.mark.slow, pytest.mark.timeout(1500)]),
    ],
    ids=["bf16", "torch_compile"],
)
def test_every_recipe_runs_on_the_cpu_with_as_many_steps_as_rows_give(
    precision: str, flags: list[str], compiled: bool, tmp_path: Path, checkout: Path
) -> None:
    for name in NAMES:
        lines = "".join(json.dumps(row) + "\n" for row in rows(name))
        (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1"]
    command += ["--dynamo_backend", "no", "--mixed_precision", precision]
    command += ["-m", "tests.finetune.programs.every_recipe", str(tmp_path), *flags]
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1400)
    assert done.returncode == 0, done.stderr[-3000:]
    # Eight rows in batches of two.
    assert json.loads((tmp_path / "report.json").read_text()) == {name: [4, precision, compiled] for name in NAMES}
