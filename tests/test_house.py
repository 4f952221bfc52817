"""The house: what loads what, and who may import whom."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RECIPES

PACKAGE = "hf_strategies"

# Room -> the rooms and modules of the package that it may import beside itself. A folder within a room that has a
# line of its own follows that line; any other one follows its room's.
BASE = {"errors", "values", "lengths", "files", "syntax", "flag_file", "processes"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "values": {"errors"},
    "lengths": {"errors", "values"},
    "files": {"errors"},
    "syntax": {"errors"},
    "flag_file": {"errors"},
    "processes": set(),
    "comparison": BASE,
    "schedules": BASE,
    "stopping": BASE,
    "averaging": BASE,
    "pytorch": {*BASE, "schedules", "stopping", "averaging"},
    "trainer": {*BASE, "schedules", "stopping", "averaging", "pytorch", "report"},
    "trainer.lr": {*BASE, "schedules", "pytorch", "report", "trainer.checkpoint", "trainer.distributed"},
    "trainer.best_weights": {*BASE, "pytorch", "trainer.checkpoint", "trainer.distributed"},
    "checkpoints": {*BASE, "schedules", "stopping", "averaging"},
    "presets": {"errors"},
    "report": {*BASE, "comparison", "presets", "schedules", "stopping", "averaging"},
    "experiments": {*BASE, "comparison", "presets", "report", "stopping"},
    "launch": {*BASE, "trainer"},
    "cli": {
        *{*BASE, "comparison", "experiments", "search", "presets", "report", "checkpoints", "launch"},
        *{"schedules", "stopping", "averaging"},
    },
    "finetune": {*BASE, "presets", "report", "trainer", "schedules", "stopping", "averaging"},
    "search": {*BASE, "presets", "report", "trainer", "finetune", "schedules", "stopping"},
}
# The folders of the tasks: what the recipes share imports none of them, nor does one import another.
TASKS = set(RECIPES)
PURE = ("schedules", "stopping", "averaging")
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


def files_below(folder: Path) -> list[Path]:
    """All Python files below a folder, however deep; there has to be one."""
    files = sorted(folder.rglob("*.py"))
    assert files, folder
    return files


def room_of(module: str) -> str:
    """The longest row of the table that a module, named from the package on, lies in; "" where there is none."""
    parts = module.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((name for name in names if name in MAY_IMPORT), "")


def wrong_imports(package: Path) -> list[str]:
    """The imports below a package that its table does not allow, as "importer imports imported"."""
    wrong = []
    for file in files_below(package):
        importer = ".".join(file.relative_to(package).with_suffix("").parts)
        room = room_of(importer)
        allowed = tuple(f"{name}." for name in {room, *MAY_IMPORT.get(room, ())})
        for name in imported(file):
            inside = name.removeprefix(f"{PACKAGE}.")
            if room and inside != name and not f"{inside}.".startswith(allowed):
                wrong.append(f"{importer} imports {inside}")
    return wrong


def test_imports_go_one_way(checkout: Path) -> None:
    assert wrong_imports(checkout / PACKAGE) == []


def test_what_the_recipes_share_imports_no_task(checkout: Path) -> None:
    folder = checkout / PACKAGE / "finetune"
    assert {each.name for each in folder.iterdir() if each.name in TASKS} == TASKS
    for file in files_below(folder):
        own = file.relative_to(folder).parts[0]
        tasks = {name.split(".")[2] for name in imported(file) if name.startswith(f"{PACKAGE}.finetune.")} & TASKS
        assert tasks <= {own}, f"{file.relative_to(folder)} imports {tasks}"


def test_a_wrong_import_deep_in_a_folder_is_noticed(tmp_path: Path) -> None:
    deep = tmp_path / PACKAGE / "stopping" / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "c.py").write_text(f"def f():\n    from {PACKAGE}.schedules import find_plan\n", encoding="utf-8")
    assert wrong_imports(tmp_path / PACKAGE) == ["stopping.a.b.c imports schedules"]


def test_every_folder_of_the_package_is_in_the_table(checkout: Path) -> None:
    folders = {file.parent.relative_to(checkout / PACKAGE) for file in files_below(checkout / PACKAGE)}
    assert not [str(folder) for folder in folders if folder.parts and not room_of(".".join(folder.parts))]


@pytest.mark.parametrize("room", PURE)
def test_the_pure_rooms_import_nothing_heavy(room: str, checkout: Path) -> None:
    files = files_below(checkout / PACKAGE / room)
    assert not {name.split(".")[0] for file in files for name in imported(file)} & HEAVY


def section_on_the_house(checkout: Path) -> str:
    return (
        (checkout / "CONTRIBUTING.md")
        .read_text(encoding="utf-8")
        .partition("## The house\n")[2]
        .partition("\n## ")[0]
    )


def test_the_house_s_table_names_every_room_and_what_it_may_import(checkout: Path) -> None:
    rows = [row.split("|")[1:4] for row in re.findall(r"^\| `.*$", section_on_the_house(checkout), re.MULTILINE)]
    said = {room: imports for names, _what, imports in rows for room in re.findall(r"`(\w+)/?`", names)}
    assert set(said) == {room.partition(".")[0] for room in MAY_IMPORT} | {"recipes"}
    above: set[str] = set()
    for names, _what, imports in rows[:-1]:
        rooms = re.findall(r"`(\w+)/?`", names)
        words = set(re.findall(r"`(\w+)/?`", imports))
        words |= {*BASE, *PURE} if "pure rooms" in imports else set()
        words |= set(BASE) if "files above" in imports else set()
        words |= above if "rooms above" in imports or "ones before" in imports else set()
        for room in rooms:
            allowed = words | above if "ones before" in imports else words
            assert MAY_IMPORT[room] <= allowed, room
            above.add(room)


def test_paths_and_claims_about_the_house_hold(checkout: Path) -> None:
    section = section_on_the_house(checkout)
    for path in re.findall(r"`([a-z_/]+/[a-z_]*(?:\.py)?)`", section):
        names = [path, f"trainer/{path}", f"stopping/{path}", f"finetune/{path}"]
        places = [checkout / name for name in (path, *(f"{PACKAGE}/{name}" for name in names))]
        assert any(place.exists() for place in places), path
    texts = {file: file.read_text(encoding="utf-8") for file in files_below(checkout / PACKAGE)}
    adds = {file.name for file, text in texts.items() if "TYPE_TO_SCHEDULER_FUNCTION[" in text}
    assert adds == {"registration.py"}
    wraps = {file.name for file, text in texts.items() if re.search(r"\.create_model_card = ", text)}
    assert wraps == {"card.py"}


def test_a_plain_loop_needs_no_transformers(checkout: Path) -> None:
    files = files_below(checkout / PACKAGE / "pytorch")
    assert not {name.split(".")[0] for file in files for name in imported(file)} & {"transformers", "accelerate"}


def test_no_recipe_imports_another(checkout: Path) -> None:
    for file in files_below(checkout / "recipes"):
        assert not [name for name in imported(file) if name.startswith(("recipes", "hf_strategies.recipes"))]


def imported_test_modules(tests: Path) -> list[str]:
    """The imports of test modules below the folder of tests, as "importer imports imported"."""
    wrong = []
    for file in files_below(tests):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
            else:
                continue
            importer = file.relative_to(tests)
            wrong += [f"{importer} imports {name}" for name in names if is_test_module(name)]
    return wrong


def is_test_module(name: str) -> bool:
    """Whether a dotted name is that of a test module, or of a test or anything else in one."""
    first, *rest = name.split(".")
    return first in ("tests", "") and any(part.startswith("test_") for part in rest)


def programs_in(tests: Path) -> list[Path]:
    """The files below the folder of tests that lie in a folder for programs, or can be run."""
    files = [file for file in files_below(tests) if file.name != "__init__.py"]
    return [file for file in files if file.parent.name == "programs" or is_run(file)]


def is_run(file: Path) -> bool:
    """Whether a file does something when it is run as a program."""
    tests = (node.test for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.If))
    return any("__name__" in ast.unparse(test) for test in tests)


def unreferenced_programs(tests: Path) -> list[str]:
    """The programs below the folder of tests whose dotted name no other file there has in quotes, to start it."""
    texts = {file: file.read_text(encoding="utf-8") for file in files_below(tests)}
    unreferenced = []
    for program in programs_in(tests):
        name = ".".join(program.relative_to(tests.parent).with_suffix("").parts)
        if not any(f'"{name}"' in text for file, text in texts.items() if file != program):
            unreferenced.append(name)
    return unreferenced


def test_no_test_module_imports_another(checkout: Path) -> None:
    assert imported_test_modules(checkout / "tests") == []


def test_every_program_of_the_tests_lies_with_the_programs_and_is_started(checkout: Path) -> None:
    programs = programs_in(checkout / "tests")
    # They write a list anew, serve the class beside them, and are run by make: `tests.matrix`, `tests.faults`.
    by_hand = {"test_public_api", "fresh_process", "matrix", "__main__"}
    assert {file.stem for file in programs if file.parent.name != "programs"} == by_hand
    assert [file for file in programs if not is_run(file)] == []
    assert [name for name in unreferenced_programs(checkout / "tests") if name.split(".")[-1] not in by_hand] == []


def test_a_test_module_that_is_imported_and_a_program_that_nobody_starts_are_noticed(tmp_path: Path) -> None:
    deep = tmp_path / "tests" / "a" / "programs"
    deep.mkdir(parents=True)
    (deep / "c.py").write_text("if __name__ == '__main__':\n    print()\n", encoding="utf-8")
    lines = [
        "from tests.a.test_b import x",
        "from tests.a import test_b",
        "from .test_b import x",
        "import tests.test_a",
    ]
    (deep.parent / "test_c.py").write_text("\n".join(lines), encoding="utf-8")
    expected = ["tests.a.test_b.x", "tests.a.test_b", ".test_b.x", "tests.test_a"]
    assert imported_test_modules(tmp_path / "tests") == [f"a/test_c.py imports {name}" for name in expected]
    assert unreferenced_programs(tmp_path / "tests") == ["tests.a.programs.c"]


def test_no_recipe_places_tensors_itself(checkout: Path) -> None:
    for file in files_below(checkout / "recipes"):
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
        "import hf_strategies.stopping, hf_strategies.schedules, hf_strategies.averaging",
    ],
)
def test_schedules_and_criteria_load_nothing_heavy(code: str) -> None:
    listing = f"{code}; import sys; print(*sorted(set(sys.modules) & {HEAVY!r}))"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_wheel_has_every_folder_of_the_package(checkout: Path) -> None:
    import tomllib

    listed = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
        "packages"
    ]
    folders = {".".join(file.parent.relative_to(checkout).parts) for file in files_below(checkout / PACKAGE)}
    assert set(listed) == {*folders, f"{PACKAGE}.recipes"}


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
