"""The command line as a whole: what it loads, its process, other packages' schedules, and mistakes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_strategies.cli.main import COMMANDS, main
from tests.cli.commands import check_mistake, process

LIGHT = [
    ["list"],
    ["list", "step"],
    ["show", "exponential_warmup_step_decay"],
    ["plot", "one_cycle", "cosine_decay"],
    ["plot", "one_cycle", "--peak", "2e-5", "--set", "min_lr=1e-6"],
    ["flags", "one_cycle", "--set", "min_lr=1e-6", "on_extend=keep"],
    ["flags", "one_cycle", "--yaml"],
    ["flags", "one_cycle", "--python"],
    ["plot", "one_cycle", "--output", "PNG"],
    ["plot", "cosine", "linear", "wsd"],
    ["show", "cosine_with_min_lr"],
    ["flags", "linear_warmup_plateau_cooldown"],
    ["flags", "inverse_sqrt", "--python"],
    ["criteria"],
    ["criteria", "target"],
]


@pytest.mark.parametrize("command", LIGHT, ids=" ".join)
def test_no_command_loads_torch_or_transformers(command: list[str], tmp_path: Path) -> None:
    argv = [str(tmp_path / "plot.png") if word == "PNG" else word for word in command]
    heavy = {"torch", "transformers", "accelerate", "datasets", "evaluate", "sklearn", "rich"}
    heavy |= set() if "PNG" in command else {"numpy", "matplotlib"}
    code = f"""
import sys
from hf_strategies.cli.main import main
code = main({argv!r})
print(sorted({heavy!r} & set(sys.modules)), file=sys.stderr)
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "[]")


def test_the_project_has_the_command(checkout: Path) -> None:
    import tomllib

    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"hf-strategies": "hf_strategies.cli.main:main"}


def test_the_module_is_the_command_too() -> None:
    done = process("list", "one_cycle", "--names")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one_cycle\n", "")
    done = process("show", "one_cylce")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unknown schedule 'one_cylce': did you mean 'one_cycle'?\n"


def test_help_and_version_are_no_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["--help"], ["plot", "--help"], ["--version"]):
        assert main(argv) == 0
        assert capsys.readouterr().out


def test_help_has_a_line_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line[:1] and line[0] in COMMANDS] == [
        [name, command.help] for name, command in COMMANDS.items()
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_its_description_and_its_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: hf-strategies {name} ")
    words = printed.replace("\\\n", "").split()  # a line that is too long is broken, as a shell reads it
    for text in (COMMANDS[name].description, COMMANDS[name].examples or ""):
        assert " ".join(text.split()) in " ".join(words)


def test_a_closed_pipe_is_no_traceback() -> None:
    code = "import sys; sys.stdout.reconfigure(write_through=True); "
    code += "from hf_strategies.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "list", "--names"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.close()
        assert writer.stderr.read() == ""
        assert writer.wait() == 141


PLUGIN = """
from hf_strategies.schedules import register_decay
def add():
    register_decay("plunge", lambda step, steps: 1.0 if step < steps / 2 else 0.25, summary="plunges midway")
def fail():
    raise RuntimeError("no such luck")
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Install a package with entry points, and give the environment that has it."""

    def install(points: str) -> dict[str, str]:
        (tmp_path / "plunger.py").write_text(PLUGIN, encoding="utf-8")
        info = tmp_path / "plunger-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plunger\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[hf_strategies.schedules]\n{points}\n", encoding="utf-8")
        return {"PYTHONPATH": str(tmp_path)}

    return install


def test_other_packages_schedules_are_seen_by_every_command(plugin: Callable[[str], dict[str, str]]) -> None:
    env = plugin("plunge = plunger:add")
    assert "  plunge_decay           plunges midway" in process("list", env=env).stdout.splitlines()
    assert "linear_warmup_plunge_decay" in process("list", "plunge", "--names", env=env).stdout.splitlines()
    for command in ("show", "plot", "flags"):
        done = process(command, "cosine_warmup_plunge_decay", env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert "cosine_warmup_plunge_decay" in done.stdout


def test_a_package_that_fails_is_told_and_keeps_nothing_else_from_being_seen(
    plugin: Callable[[str], dict[str, str]],
) -> None:
    done = process("list", "plunge_decay", "--names", env=plugin("a = plunger:fail\nb = plunger:add"))
    assert done.returncode == 0
    assert "plunge_decay" in done.stdout.splitlines()
    (warning,) = done.stderr.splitlines()
    assert warning.startswith("warning: entry point 'a' (plunger:fail)")
    assert "no such luck" in warning


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            "",
            "no command: give one of list, show, plot, flags, replay, report, compare, presets, criteria, averages,"
            " average, find-lr, run, search; see",
        ),
        ("lst", "unknown command 'lst': did you mean 'list'?"),
        ("--hlp", "unknown flag --hlp of hf-strategies: did you mean '--help'?"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(argv: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    check_mistake(argv, words, capsys)
