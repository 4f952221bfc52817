"""What users write and read keeps its names: `public_api.txt` lists it, and changes only on purpose.

``python -m tests.test_public_api`` writes the list anew.
"""

import dataclasses
import inspect
import io
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path

import pytest
from transformers import TrainingArguments

import hf_strategies
from hf_strategies.finetune.arguments import ModelArguments, RecipeArguments
from tests.conftest import RECIPES

LIST = Path(__file__).with_name("public_api.txt")
NAMES = "list show plot flags replay report compare presets criteria averages average find-lr run search"
COMMANDS = tuple(NAMES.split())


def signature(value: object) -> str:
    """The arguments of a class or function, without annotations; "" where flags or nothing of ours takes them."""
    if not callable(value) or value in (hf_strategies.StrategyError, hf_strategies.StrategyArguments):
        return ""
    signed = inspect.signature(value)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signed.parameters.values()]
    return str(inspect.Signature(bare)).replace("<factory>", "...")


def flags(kind: type, beside: type | None = None) -> Iterator[str]:
    """The flags of a dataclass with their defaults; only what is new or has another default than ``beside``."""
    known = {row.name: row.default for row in dataclasses.fields(beside)} if beside else {}
    for row in sorted(dataclasses.fields(kind), key=lambda row: row.name):
        if row.init and (row.name not in known or known[row.name] != row.default):
            default = row.default_factory() if callable(row.default_factory) else row.default
            yield f"--{row.name} {default!r}"


def command_line() -> Iterator[str]:
    """Each command with its flags and positional arguments."""
    from hf_strategies.cli.main import main

    for command in COMMANDS:
        with redirect_stdout(io.StringIO()) as printed:
            main([command, "--help"])
        usage = printed.getvalue().partition("\n\n")[0]
        yield f"{command}: {' '.join(usage.removeprefix('usage: ').split())}"


def own_flags(recipe: str) -> Iterator[str]:
    """The flags that a recipe has beside those of all recipes."""
    module = import_module(f"hf_strategies.recipes.{recipe}")
    kinds = [kind for kind in vars(module).values() if inspect.isclass(kind) and dataclasses.is_dataclass(kind)]
    (kind,) = [kind for kind in kinds if "train_file" in {row.name for row in dataclasses.fields(kind)}]
    return flags(kind)


def outputs() -> Iterator[str]:
    """What a run of a recipe leaves in its folder."""
    from hf_strategies.recipes import text_classification

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [{"text": f"{word} {number}", "label": word} for number in range(8) for word in ("good", "bad")]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        words = [f"--{split}_file={folder / 'rows.jsonl'}" for split in ("train", "validation", "test")]
        words += ["--max_steps", "2", "--eval_strategy", "steps", "--eval_steps", "1", "--save_strategy", "steps"]
        words += ["--save_steps", "1", "--figure", "--baselines", "--early_stopping_patience", "3", "--use_cpu"]
        words += ["--report_to", "none", "--disable_tqdm", "true", "--output_dir", str(folder / "out")]
        with redirect_stdout(io.StringIO()):
            text_classification.main(words)
        yield from sorted(file.relative_to(folder / "out").as_posix() for file in (folder / "out").rglob("*.*"))


def sections() -> Iterator[str]:
    """The whole list, a line for each thing."""
    yield "# hf_strategies"
    for name in sorted(hf_strategies.__all__):
        yield f"{name}{signature(getattr(hf_strategies, name))}"
    yield "\n# flags: StrategyArguments"
    yield from flags(hf_strategies.StrategyArguments)
    yield "\n# flags of every recipe: ModelArguments"
    yield from flags(ModelArguments)
    yield "\n# flags of every recipe, beside or other than those of TrainingArguments"
    yield from flags(RecipeArguments, TrainingArguments)
    for recipe in RECIPES:
        yield f"\n# flags of {recipe}"
        yield from own_flags(recipe)
    yield "\n# hf-strategies"
    yield from command_line()
    yield "\n# files of a run"
    yield from outputs()


def test_the_public_api_is_the_one_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("COLUMNS", "118")
    assert "\n".join(sections()).splitlines() == LIST.read_text(encoding="utf-8").splitlines()


def test_the_list_names_all_commands() -> None:
    with redirect_stdout(io.StringIO()) as printed:
        from hf_strategies.cli.main import main

        main(["--help"])
    assert re.findall(r"^    (\S+) ", printed.getvalue(), re.MULTILINE) == list(COMMANDS)


if __name__ == "__main__":
    LIST.write_text("\n".join(sections()) + "\n", encoding="utf-8")
