"""Every block of README and docs runs, in the order of its page and in one folder, as a reader would run it.

Blocks marked ``python`` and ``sh`` are run. Those marked ``console`` show commands for data and machines that are not
here, with their output: their flags are looked up. Models of the Hub are small ones of random weights here.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from functools import lru_cache
from pathlib import Path

import pytest
import yaml

from tests.conftest import RECIPES
from tests.docs.pages import CHECKOUT, PAGES, Block, blocks, name_of
from tests.fresh_process import FreshProcesses

HUB_NAMES = re.compile(r"bert-base-(?:un)?cased|sentence-transformers/all-MiniLM-L6-v2")
NOT_RUN = {"console", "text", "yaml", "{toctree}", "{eval-rst}"}
WITH_BLOCKS = [page for page in PAGES if any(block.language in ("python", "sh") for block in blocks(page))]
ALL_BLOCKS = [(page, block) for page in PAGES for block in blocks(page)]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT of random weights with a tokenizer of letters, in place of one of the Hub."""
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    folder = tmp_path_factory.mktemp("model")
    letters = [chr(code) for code in range(33, 127)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertForMaskedLM(config).save_pretrained(folder)
    return folder


def run_python(block: Block, folder: Path, fresh: FreshProcesses) -> None:
    done = fresh.run(block.text, folder)
    assert done.returncode == 0, done.stderr
    expected = re.findall(r"^print\(.*\)  # (.*)$", block.text, re.MULTILINE)
    printed = done.stdout.splitlines()
    assert [line for line in printed if line in expected] == expected, done.stdout


def run_shell(block: Block, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(CHECKOUT), "ACCELERATE_USE_CPU": "true"}
    command = ["bash", "-euo", "pipefail", "-c", block.text]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def write_data(folder: Path) -> None:
    """Write the csv files that the README speaks of: texts with labels, and texts alone."""
    rows = [f"{word} {number},{label}" for number in range(40) for word, label in (("card", "pay"), ("late", "send"))]
    (folder / "train.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (folder / "new.csv").write_text("text\nmy card\nit is late\n")


@pytest.mark.docs
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name_of)
def test_the_blocks_of_a_page_run_one_after_the_other(
    page: Path, tmp_path: Path, fresh: FreshProcesses, model: Path
) -> None:
    (tmp_path / "recipes").symlink_to(CHECKOUT / "recipes")
    write_data(tmp_path)
    for block in blocks(page):
        here = block._replace(text=HUB_NAMES.sub(str(model), block.text))
        if block.language == "python":
            run_python(here, tmp_path, fresh)
        elif block.language == "sh":
            run_shell(here, tmp_path)


@pytest.mark.docs
def test_every_block_has_a_language_that_is_run_or_looked_up() -> None:
    strange = [
        (name_of(page), b.line, b.language) for page, b in ALL_BLOCKS if b.language not in {"python", "sh"} | NOT_RUN
    ]
    assert strange == []


def commands(block: Block) -> list[list[str]]:
    """Return the commands of a console block, as words."""
    joined = block.text.replace("\\\n", " ")
    return [shlex.split(line[2:], comments=True) for line in joined.splitlines() if line.startswith("$ ")]


SUBMITIT = "recipes/submitit/train.py"
CONSOLE = [(page, words) for page, block in ALL_BLOCKS if block.language == "console" for words in commands(block)]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.docs
@pytest.mark.parametrize(
    ("page", "words"), CONSOLE, ids=lambda each: name_of(each) if isinstance(each, Path) else None
)
def test_a_command_that_is_not_run_names_what_exists(page: Path, words: list[str]) -> None:
    if words[0] == "make":
        makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
        assert all(f"\n{target}:" in makefile for target in words[1:])
    elif words[0] == "pip":
        extras = re.findall(r"\[(.*?)\]", words[-1])
        assert set(extras) <= set(PROJECT["optional-dependencies"])
    else:
        assert unknown_flags(words) == set()


def unknown_flags(words: list[str]) -> set[str]:
    """Return the flags of a command, or of the commands in its arguments, that no help text has."""
    inner = [word for each in words for word in (shlex.split(each) if " " in each else [each])]
    recipe = next((name for name in RECIPES if any(name in word for word in inner)), None)
    command = ("-m", "hf_strategies", inner[1]) if inner[0] == "hf-strategies" else ("-m", f"recipes.{recipe}")
    known = help_of((*command, "--help")) + help_of((*command, "--help", "all"))
    if "accelerate" in inner:
        known += help_of(("-m", "accelerate.commands.accelerate_cli", "launch", "--help"))
    if "torchrun" in inner:
        known += help_of(("-m", "torch.distributed.run", "--help"))
    if SUBMITIT in inner:
        known += help_of((SUBMITIT, "--help"))
    flags = {word for word in inner if word.startswith("--")} - ({"--nodes", "--ntasks-per-node"} & set(inner))
    return {flag for flag in flags if not re.search(rf"{flag}\b", known)}


@lru_cache
def help_of(words: tuple[str, ...]) -> str:
    done = subprocess.run([sys.executable, *words], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return done.stdout


@pytest.mark.docs
@pytest.mark.parametrize(
    "block", [block for _, block in ALL_BLOCKS if block.language == "yaml"], ids=lambda block: str(block.line)
)
def test_a_yaml_block_is_a_schedule_or_flags_that_are_accepted(block: Block) -> None:
    from hf_strategies import schedule

    read = yaml.safe_load(block.text)
    if "lr_scheduler_type" not in read:
        from hf_strategies import StrategyArguments

        StrategyArguments(**read)
        return
    schedule(read["lr_scheduler_type"], total_steps=1000, warmup_steps=0, **read["lr_scheduler_kwargs"])
