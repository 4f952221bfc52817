"""The house: what loads what, and who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = "hf_strategies"

# Room -> the rooms of the package that it may import; the modules at the top (errors, checks) are open to all.
MAY_IMPORT = {
    "schedules": {"schedules"},
    "stopping": {"stopping"},
    "trainer": {"trainer", "schedules", "stopping", "auto"},
    "report": {"report", "schedules", "stopping"},
    "recipe": {"recipe", "report", "trainer", "schedules", "stopping"},
}
OPEN = {"errors", "checks"}
HEAVY = {"torch", "transformers", "accelerate", "datasets", "evaluate", "numpy", "sklearn", "matplotlib"}


def imported(file: Path) -> list[str]:
    """All modules that a file imports anywhere, as dotted names."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return found


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_go_one_way(room: str, checkout: Path) -> None:
    for file in (checkout / PACKAGE / room).glob("*.py"):
        for name in imported(file):
            parts = name.split(".")
            if parts[0] == PACKAGE and len(parts) > 1:
                assert parts[1] in MAY_IMPORT[room] | OPEN, f"{file.name} imports {name}"


@pytest.mark.parametrize("room", ["schedules", "stopping"])
def test_the_pure_rooms_import_nothing_heavy(room: str, checkout: Path) -> None:
    files = list((checkout / PACKAGE / room).glob("*.py"))
    assert files
    assert not {name.split(".")[0] for file in files for name in imported(file)} & HEAVY


def test_no_recipe_imports_another(checkout: Path) -> None:
    for file in (checkout / "recipes").glob("*.py"):
        assert not [name for name in imported(file) if name.startswith(("recipes", "hf_strategies.recipes"))]


def test_no_recipe_places_tensors_itself(checkout: Path) -> None:
    for file in (checkout / "recipes").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert ".to(" not in text
        assert "torch.distributed" not in text


@pytest.mark.parametrize(
    "code",
    [
        "import hf_strategies",
        "import hf_strategies; hf_strategies.schedule('linear_warmup_cosine_decay', total_steps=9)(3)",
        "import hf_strategies; list(hf_strategies.SCHEDULES); dir(hf_strategies)",
        "import hf_strategies; hf_strategies.verdict([3.0, 2.0], 'patience(2)')",
        "import hf_strategies.stopping, hf_strategies.schedules",
    ],
)
def test_schedules_and_criteria_load_nothing_heavy(code: str) -> None:
    listing = f"{code}; import sys; print(*sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_every_public_name_can_be_imported() -> None:
    import hf_strategies

    for name in hf_strategies.__all__:
        assert getattr(hf_strategies, name) is not None
    assert set(hf_strategies.__all__) <= set(dir(hf_strategies))


def test_an_unknown_name_is_an_attribute_error() -> None:
    import hf_strategies

    with pytest.raises(AttributeError, match="no attribute 'EarlyStoping'"):
        _ = hf_strategies.EarlyStoping


def test_the_version_is_the_one_of_the_project(checkout: Path) -> None:
    import tomllib

    import hf_strategies

    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert hf_strategies.__version__ == project["version"]
