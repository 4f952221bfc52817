"""The command line: what it prints, what it loads, and each mistake by its words."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_strategies import SCHEDULES, schedule
from hf_strategies.cli.main import main
from hf_strategies.schedules import DECAYS, WARMUPS
from hf_strategies.schedules.options import ON_EXTEND

PHASES = '[{"shape": "linear", "length": 0.1, "start": 0, "end": 1}, {"shape": "cosine"}]'
Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that is to succeed and give what it printed."""

    def command(*argv: str) -> str:
        assert main(argv) == 0
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out

    return command


def process(*argv: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own."""
    command = [sys.executable, "-m", "hf_strategies", *argv]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8"} | (env or {})
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, check=False)


def required(name: str) -> list[str]:
    """The parameters that a schedule cannot do without."""
    return ["--set", f"phases={PHASES}"] if name == "phases" else []


# list


def test_list_has_every_curve_and_every_whole_schedule_with_its_summary(run: Run) -> None:
    lines = [line.split(maxsplit=1) for line in run("list").splitlines() if line.startswith("  ")]
    warmups = [[row.name, row.summary] for row in WARMUPS.values() if row.name != "none"]
    decays = [[row.name, row.summary] for row in DECAYS.values()]
    held = [["plateau_cooldown", SCHEDULES["plateau_cooldown"].summary]]
    pairs = ("_decay", "_cooldown")
    whole = [[name, plan.summary] for name, plan in SCHEDULES.items() if not name.endswith(pairs)]
    assert lines == warmups + decays + held + whole


def test_list_counts_the_pairs_and_stays_short(run: Run) -> None:
    printed = run("list")
    pairs = (len(WARMUPS) - 1) * len(DECAYS)
    assert f"{{warmup}}_warmup_{{decay}}_decay ({pairs} pairs)" in printed
    assert printed.startswith(f"{len(SCHEDULES)} schedules: ")
    assert len(printed.splitlines()) < 40


def test_list_names_are_bare_and_all_there(run: Run) -> None:
    assert run("list", "--names").splitlines() == list(SCHEDULES)


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("stable", lambda name: "stable" in name),
        ("STABLE", lambda name: "stable" in name),
        ("*_warmup_step_decay", lambda name: name.endswith("_warmup_step_decay")),
        ("on?_cycle", lambda name: name == "one_cycle"),
        ("[lc]*_warmup_sqrt_decay", lambda name: name in ("linear_warmup_sqrt_decay", "cosine_warmup_sqrt_decay")),
    ],
)
def test_list_filters_by_a_part_or_a_pattern(run: Run, pattern: str, fits: Callable[[str], bool]) -> None:
    names = run("list", pattern, "--names").splitlines()
    assert names == [name for name in SCHEDULES if fits(name)]
    assert [line.split()[0] for line in run("list", pattern).splitlines()] == names
    assert SCHEDULES[names[0]].summary in run("list", pattern)


# show


@pytest.mark.parametrize("name", SCHEDULES)
def test_show_tells_all_of_every_schedule(run: Run, name: str) -> None:
    printed, plan = run("show", name), SCHEDULES[name]
    assert printed.startswith(f"{name}\n  {plan.summary}\n")
    for part in plan.formula.split(";  "):
        assert part.split(": ", 1)[-1] in printed
    for parameter, row in plan.parameters.items():
        assert any(
            line.split()[:1] == [parameter] and f"({row.shown})" in line and line.endswith(row.help)
            for line in printed.splitlines()
        )
    sources = [line for line in printed.partition("\n\nSource\n")[2].splitlines()[:1] if plan.source]
    assert [set(line.strip().split("; ")) for line in sources] == [set(plan.source.split("; "))] * bool(plan.source)
    assert f"--lr_scheduler_type {name}" in printed


def test_show_has_the_values_at_the_edges(run: Run) -> None:
    printed = run("show", "exponential_warmup_step_decay")
    values = dict(line.rsplit("  ", 1) for line in printed.splitlines() if " f(" in line)
    assert {" ".join(key.split()): float(value) for key, value in values.items()} == {
        "first update f(0)": 0.01,
        "half of the warmup f(50)": 0.1,
        "end of the warmup f(100)": 1.0,
        "half of the training f(500)": 0.1,
        "last update f(999)": 0.01,
        "at the end and after f(1000)": 0.01,
    }
    assert "Values with total_steps=1000, warmup_steps=100, and the default parameters" in printed


def test_show_binds_each_symbol_of_the_formula(run: Run) -> None:
    def symbols(name: str) -> dict[str, str]:
        lines = [line for line in run("show", name).splitlines() if line.startswith("    ")]
        return {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}

    found = symbols("polynomial_warmup_step_decay")
    assert set(found) == {"t", "s", "floor", "floor(x)", "power", "start"}
    assert found["floor"] == "min_lr_ratio"
    assert found["floor(x)"] == "x rounded down"
    assert found["start"] == "warmup_start, in the warmup"
    assert found["power"] == "warmup_power, in the warmup"
    assert set(symbols("cosine_decay")) == {"s", "S", "floor"}
    assert symbols("constant_decay") == {}
    assert symbols("phases")["s"].startswith("optimizer steps since the phase began")


def test_show_names_each_source_once_and_leaves_the_line_out_where_there_is_none(run: Run) -> None:
    twice = run("show", "sqrt_warmup_sqrt_decay")
    assert SCHEDULES["sqrt_warmup_sqrt_decay"].source.count("arXiv:2405.18392") == 2
    assert twice.count("arXiv:2405.18392") == 1
    assert "Source" not in run("show", "constant_decay")
    assert "Source" in run("show", "cosine_decay")


def test_show_tells_of_the_schedulers_own_options(run: Run) -> None:
    extend = "on_extend (when resumed with another number of steps: error, keep, replan, jump)"
    also = "  also: min_lr (a learning rate, instead of min_lr_ratio), "
    assert also + extend in run("show", "cosine_decay").splitlines()
    assert f"  also: {extend}" in run("show", "constant_decay").splitlines()  # without a floor


def test_show_takes_a_schedules_own_warmup_and_an_example_of_phases(run: Run) -> None:
    assert "warmup_steps=300 (its default)" in run("show", "one_cycle")
    assert "--warmup_steps" not in run("show", "one_cycle")
    phases = run("show", "phases")
    assert "phases  (has to be given)" in phases
    kwargs = json.loads(shlex.split(phases.splitlines()[-1])[-1])
    built = schedule("phases", total_steps=1000, **kwargs)
    assert f"f(500)   {built(500):g}" in phases


# plot


@pytest.mark.parametrize("name", SCHEDULES)
def test_plot_draws_every_schedule(run: Run, name: str) -> None:
    printed = run("plot", name, *required(name), "--ascii", "--height", "9", "--width", "60")
    lines = printed.splitlines()
    assert f"* {name}" in lines
    columns = {column for line in lines[1:10] for column, sign in enumerate(line) if sign == "*"}
    assert columns == set(range(6, 60))
    assert printed.isascii()
    assert any(line.startswith(": the warmup ends") for line in lines) == SCHEDULES[name].has_warmup


def test_plot_has_values_units_warmups_and_floors(run: Run) -> None:
    printed = run(
        "plot", "linear_warmup_cosine_decay", "one_cycle", "--total_steps", "500", "--steps_per_epoch", "50",
        "--peak", "2e-5", "--set", "min_lr_ratio=0.1", "--warmup_steps", "2ep",
    )  # fmt: skip
    lines = printed.splitlines()
    assert lines[0] == "learning rate"
    assert lines[1].lstrip().startswith("2e-05 ┤")
    assert "epoch  0" in printed
    assert lines[-4:] == [
        "A linear_warmup_cosine_decay",
        "B one_cycle",
        "┊ the warmup ends at step 100 (A, B)",
        "┈ floor 2e-06 (A, B)",
    ]


def test_plot_takes_the_schedules_own_warmup_unless_told(run: Run) -> None:
    assert "step 100 (A), step 300 (B)" in run("plot", "linear_warmup_cosine_decay", "one_cycle")
    assert "step 200 (A, B)" in run("plot", "linear_warmup_cosine_decay", "one_cycle", "--warmup_steps", "200")


def test_plot_sets_a_parameter_where_it_is_taken(run: Run) -> None:
    both = run("plot", "step_decay", "cosine_decay", "--set", "gamma=0.5", "min_lr_ratio=0.2", "--ascii")
    assert ". floor 0.2 (*, o)" in both
    assert both != run(
        "plot", "step_decay", "cosine_decay", "--set", "gamma=0.1", "--set", "min_lr_ratio=0.2", "--ascii"
    )
    assert ". floor 0.2 (*)" in run("plot", "step_decay", "constant_decay", "--set", "min_lr_ratio=0.2", "--ascii")


def test_plot_sets_a_parameter_of_one_alone(run: Run) -> None:
    names = (
        "linear_warmup_multi_step_decay:milestones=[0.3, 0.6],min_lr_ratio=0.2",
        "one_cycle:warmup_steps=2ep,min_lr_ratio=0.3",
        "stable_decay:cooldown_shape=linear,cooldown=0.5",
    )
    lines = run("plot", *names, "--steps_per_epoch", "100").splitlines()
    assert [line[2:] for line in lines if line[:2] in ("A ", "B ", "C ")] == list(names)
    assert "┊ the warmup ends at step 100 (A), step 200 (B)" in lines
    assert "┈ floor 0.2 (A), 0.3 (B)" in lines


def test_plot_turns_a_floor_given_as_a_learning_rate_into_a_ratio_of_the_peak(run: Run) -> None:
    names = ("cosine_decay", "constant_decay", "--peak", "2e-5", "--ascii")
    assert run("plot", *names, "--set", "min_lr=2e-6") == run("plot", *names, "--set", "min_lr_ratio=0.1")
    both = run("plot", "step_decay:min_lr=4e-6", "cosine_decay", "--peak", "2e-5", "--set", "min_lr_ratio=0.1")
    assert "┈ floor 2e-06 (B), 4e-06 (A)" in both


def test_plot_takes_names_after_flags_too(run: Run) -> None:
    printed = run("plot", "step_decay", "--ascii", "cosine_decay", "--total-steps", "50", "sqrt_decay")
    assert printed.splitlines()[-3:] == ["* step_decay", "o cosine_decay", "+ sqrt_decay"]


def test_plot_falls_back_to_ascii_where_nothing_else_prints() -> None:
    done = process("plot", "cosine_decay", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert "* cosine_decay" in done.stdout.splitlines()


def test_plot_writes_a_figure_of_four(run: Run, tmp_path: Path) -> None:
    names = ("linear_warmup_cosine_decay", "exponential_warmup_step_decay", "linear_warmup_stable_decay", "one_cycle")
    file = tmp_path / "four.png"
    assert run("plot", *names, "--output", str(file), "--width", "800", "--height", "500") == f"wrote {file}\n"
    content = file.read_bytes()
    assert content[:4] == b"\x89PNG"
    assert (int.from_bytes(content[16:20]), int.from_bytes(content[20:24])) == (800, 500)


# flags


def test_flags_are_quoted_for_a_shell(run: Run) -> None:
    printed = run("flags", "exponential_warmup_step_decay", "--set", "gamma=0.5", "step_size=100")
    assert printed == (
        "--lr_scheduler_type exponential_warmup_step_decay --warmup_steps 0.1"
        """ --lr_scheduler_kwargs '{"gamma": 0.5, "step_size": 100}'\n"""
    )


def test_flags_tell_what_was_given(run: Run) -> None:
    assert run("flags", "cosine_decay") == "--lr_scheduler_type cosine_decay\n"
    assert run("flags", "one_cycle") == "--lr_scheduler_type one_cycle\n"
    assert run("flags", "one_cycle", "--warmup-steps", "50", "--learning_rate", "2e-5") == (
        "--learning_rate 2e-05 --lr_scheduler_type one_cycle --warmup_steps 50\n"
    )


def test_flags_are_checked_against_the_length_of_the_training(run: Run) -> None:
    options = ("stable_decay", "--set", "cooldown=5000")
    assert "5000" in run("flags", *options)
    assert main(["flags", *options, "--total_steps", "1000"]) == 2


def test_flags_take_the_schedulers_own_options(run: Run) -> None:
    options = ("cosine_decay", "--set", "min_lr=1e-6", "on_extend=replan")
    kwargs = """--lr_scheduler_kwargs '{"min_lr": 1e-06, "on_extend": "replan"}'\n"""
    assert run("flags", *options) == f"--lr_scheduler_type cosine_decay {kwargs}"
    assert run("flags", *options, "--learning_rate", "1e-6") == (
        f"--learning_rate 1e-06 --lr_scheduler_type cosine_decay {kwargs}"
    )


@pytest.mark.parametrize("choice", ON_EXTEND)
def test_flags_take_every_choice_of_on_extend_for_every_kind_of_schedule(run: Run, choice: str) -> None:
    for name in ("constant_decay", "one_cycle", "linear_warmup_step_decay"):
        assert f'"on_extend": "{choice}"' in run("flags", name, "--set", f"on_extend={choice}")


def test_flags_take_lengths_in_epochs_when_they_know_one(run: Run) -> None:
    printed = run("flags", "linear_warmup_step_decay", "--set", "step_size=2ep", "--steps_per_epoch", "50")
    assert printed.endswith("""--lr_scheduler_kwargs '{"step_size": "2ep", "steps_per_epoch": 50}'\n""")
    assert "--warmup_steps 75 " in run("flags", "one_cycle", "--warmup_steps", "1.5ep", "--steps-per-epoch", "50")
    assert '"steps_per_epoch": 12.5' in run("flags", "one_cycle", "--steps_per_epoch", "12.5")


CASES: list[tuple[str, dict[str, Any], float | str | None]] = [
    ("exponential_warmup_step_decay", {"gamma": 0.5, "step_size": 100}, None),
    ("linear_warmup_multi_step_decay", {"milestones": [0.5, 300], "min_lr_ratio": 1e-05}, 20),
    ("polynomial_warmup_stable_decay", {"cooldown_shape": "linear", "cooldown": 0.3, "warmup_power": 3}, 0.25),
    ("exponential_decay", {"gamma": None}, None),
    ("phases", {"phases": json.loads(PHASES)}, None),
    ("linear_warmup_cosine_decay", {"min_lr": 3e-05, "on_extend": "keep"}, None),
    ("linear_warmup_step_decay", {"step_size": "2ep"}, "1ep"),
    *((name, {}, None) for name in SCHEDULES if name != "phases"),
]


@pytest.mark.parametrize("form", ["flags", "yaml", "python"])
def test_what_flags_prints_gives_the_same_schedule_in_transformers(run: Run, form: str, tmp_path: Path) -> None:
    import torch
    from transformers import HfArgumentParser, TrainingArguments, get_scheduler

    import hf_strategies.auto  # noqa: F401

    parser = HfArgumentParser(TrainingArguments)

    def parsed(text: str) -> TrainingArguments:
        if form == "flags":
            return parser.parse_args_into_dataclasses(shlex.split(text))[0]
        if form == "yaml":
            (tmp_path / "arguments.yaml").write_text(text, encoding="utf-8")
            return parser.parse_yaml_file(tmp_path / "arguments.yaml")[0]
        names: dict[str, Any] = {}
        exec(text, names)
        return names["args"]

    for name, parameters, warmup in CASES:
        given = [f"--set={key}={json.dumps(value)}" for key, value in parameters.items()]
        options = [*given, *(["--warmup_steps", str(warmup)] if warmup else []), "--learning_rate", "3e-4"]
        epoch = {"steps_per_epoch": 30} if str(warmup).endswith("ep") else {}
        options += [f"--{key}={value}" for key, value in epoch.items()]
        args = parsed(
            run("flags", name, *options, *([] if form == "flags" else [f"--{form}"]), "--total_steps", "400")
        )
        assert args.learning_rate == 3e-4
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=args.learning_rate)
        made = get_scheduler(
            args.lr_scheduler_type,
            optimizer,
            num_warmup_steps=args.get_warmup_steps(400),
            num_training_steps=400,
            scheduler_specific_kwargs=args.lr_scheduler_kwargs,
        )
        usual = 0.1 if "_warmup_" in name else 0
        in_ratios = {key: value for key, value in parameters.items() if key not in ("min_lr", "on_extend")}
        in_ratios |= {"min_lr_ratio": parameters["min_lr"] / 3e-4} if "min_lr" in parameters else {}
        same = schedule(name, total_steps=400, warmup_steps=warmup or usual, **epoch, **in_ratios)
        steps = range(0, 401, 10)
        assert [made.lr_lambdas[0](step) for step in steps] == [same(step) for step in steps], name


# What is loaded


COMMANDS = [
    ["list"],
    ["list", "step"],
    ["show", "exponential_warmup_step_decay"],
    ["plot", "one_cycle", "cosine_decay"],
    ["plot", "one_cycle", "--peak", "2e-5", "--set", "min_lr=1e-6"],
    ["flags", "one_cycle", "--set", "min_lr=1e-6", "on_extend=keep"],
    ["flags", "one_cycle", "--yaml"],
    ["flags", "one_cycle", "--python"],
    ["plot", "one_cycle", "--output", "PNG"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
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


# The process


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
    assert "  plunge           plunges midway" in process("list", env=env).stdout.splitlines()
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


# find-lr

QUIET = ["--max_steps", "4", "--use_cpu", "--disable_tqdm", "true", "--report_to", "none"]
SMALL = ["--per_device_train_batch_size", "2", "--max_length", "8"]


@pytest.fixture
def reviews(tmp_path: Path) -> list[str]:
    """Write a tiny data set, and give the flags that name it and an output folder."""
    rows = "".join(f"{word} day number {number},{word}\n" for number in range(16) for word in ("good", "bad"))
    (tmp_path / "train.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
    return ["--train_file", str(tmp_path / "train.csv"), "--output_dir", str(tmp_path / "out"), *QUIET, *SMALL]


def test_find_lr_runs_a_recipes_range_test(
    reviews: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Its own --find_lr has the last word.
    assert main(["find-lr", "text_classification", *reviews, "--find_lr", "false"]) == 0
    printed = capsys.readouterr().out
    assert "learning rate" in printed
    assert not printed.endswith("\n\n")
    assert not (tmp_path / "out" / "all_results.json").exists()


def test_find_lr_tells_a_recipes_mistake_on_one_line(reviews: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find-lr", "text_classification", *reviews, "--max-stps", "4"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: unknown flag --max-stps: did you mean 'max_steps'")
    assert printed.err.count("\n") == 1


def test_find_lr_hands_help_to_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["find-lr", "text_classification", "--help"])
    assert "--early_stopping_patience" in capsys.readouterr().out
    assert main(["find-lr", "--help"]) == 0
    assert "RECIPE" in capsys.readouterr().out


def test_an_unknown_recipe_is_told_before_any_is_loaded() -> None:
    code = """
import sys
from hf_strategies.cli.main import main
code = main(["find-lr", "text_clasification", "--max_steps", "4"])
print(sorted({"torch", "transformers", "hf_strategies.recipes.text_classification"} & set(sys.modules)))
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (2, "[]")
    assert done.stderr.startswith("error: unknown recipe 'text_clasification': did you mean 'text_classification'")


# Mistakes


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("", "no command: give one of list, show, plot, flags, replay, criteria, find-lr; see hf-strategies --help"),
        ("lst", "unknown command 'lst': did you mean 'list'?"),
        ("--hlp", "unknown flag --hlp of hf-strategies: did you mean '--help'?"),
        ("list --name", "unknown flag --name of hf-strategies list: did you mean '--names'?"),
        ("list one two", "hf-strategies list takes no further 'two': see hf-strategies list --help"),
        ("list expnential", "no schedule's name matches 'expnential': did you mean 'exponential'"),
        ("list *qqq*", "no schedule's name matches '*qqq*': known: "),
        ("show", "NAME is missing: see hf-strategies show --help"),
        ("show one_cycle b", "hf-strategies show takes no further 'b': see hf-strategies show --help"),
        ("show cosine_decy", "unknown schedule 'cosine_decy': did you mean 'cosine_decay'"),
        ("plot", "NAME is missing: see hf-strategies plot --help"),
        ("plot cosine_decy", "unknown schedule 'cosine_decy': did you mean 'cosine_decay'"),
        ("plot step_decay --widht=9", "unknown flag --widht of hf-strategies plot: did you mean '--width'"),
        ("plot step_decay --width", "--width: expected one argument: see hf-strategies plot --help"),
        ("plot step_decay --width 9", "--width 9: give 40 to 400"),
        ("plot step_decay --height 4", "--height 4: give 5 to 200"),
        ("plot step_decay --height 10 --output x.png", "--height 10: give 400 to 10000"),
        ("plot step_decay --total_steps x", "--total_steps x: give an integer"),
        ("plot step_decay --total_steps 0", "--total_steps 0: give at least 1"),
        ("plot step_decay --peak fast", "--peak='fast' is not a number: give one, such as --peak=0.1"),
        ("plot step_decay --peak 0", "--peak='0' is out of range: give a number above 0"),
        ("plot step_decay --steps_per_epoch -1", "--steps_per_epoch='-1' is out of range: give a number above 0"),
        ("plot step_decay --set", "--set: expected at least one argument: see hf-strategies plot --help"),
        ("plot --set gamma=1 step_decay", "--set step_decay: give KEY=VALUE, such as min_lr_ratio=0.1; names stand"),
        ("plot step_decay --set gama=1", "--set gama: no schedule plotted takes it: did you mean 'gamma'?"),
        ("plot step_decay --set gamma=2", "gamma=2 is out of range: give a number in (0, 1]"),
        ("plot step_decay --set gamma=x", "gamma='x' is not a number"),
        ("plot step_decay --set warmup_steps=5", "warmup_steps is no parameter of a curve: give --warmup_steps"),
        ("plot step_decay:gama=1", "'step_decay' takes no parameter 'gama': did you mean 'gamma'?"),
        ("plot step_decay:gamma", "'step_decay:gamma' has 'gamma' without a value: give NAME:key=value,key=value"),
        ("plot cosine_decay --warmup_steps 3", "has no warmup: set warmup_steps=0, or take a schedule that has one"),
        ("plot one_cycle --warmup_steps 1000", "leaves nothing of the 1000 training steps"),
        ("plot one_cycle --warmup_steps 2ep", "counts epochs, and the number of steps in an epoch is not known here"),
        ("plot phases", "phases is missing: give a list such as [{"),
        ("plot step_decay --output x.jpg", "x.jpg has no ending of a figure: give one of .png, .svg, .pdf"),
        ("plot step_decay --output no/x.png", "no/x.png: there is no folder no: make it first"),
        ("flags", "NAME is missing: see hf-strategies flags --help"),
        ("flags step_decay --yaml --python", "--python: not allowed with argument --yaml: see hf-strategies flags"),
        ("flags step_decay --set gama=1", "'step_decay' takes no parameter 'gama': did you mean 'gamma'?"),
        ("flags step_decay --set gamma=2", "gamma=2 is out of range: give a number in (0, 1]"),
        ("flags step_decay --set learning_rate=1", "learning_rate is no parameter of a curve: give --learning_rate"),
        ("flags one_cycle --learning_rate x", "--learning_rate='x' is not a number"),
        ("flags one_cycle --set on_extnd=keep", "takes no parameter 'on_extnd': did you mean 'on_extend'?"),
        ("flags one_cycle --set on_extend=kep", "on_extend='kep' is no choice: did you mean 'keep'?"),
        (
            "flags one_cycle --set on_extend=[1]",
            "on_extend=[1] is no choice: known: 'error', 'jump', 'keep', 'replan'",
        ),
        ("flags one_cycle --set min_lr=-1", "min_lr=-1 is out of range: give a learning rate of at least 0"),
        ("flags one_cycle --set min_lr=low", "min_lr='low' is not a number"),
        (
            "flags one_cycle --set min_lr=1e-3 --learning_rate 1e-4",
            "min_lr=0.001 is out of range: give a learning rate from 0 to the peak, 0.0001",
        ),
        ("flags one_cycle --set min_lr=1e-6 min_lr_ratio=0", "min_lr=1e-06 with min_lr_ratio=0: give one of the two"),
        ("flags constant_decay --set min_lr=1e-6", "with 'constant_decay', which has no floor: leave min_lr out"),
        ("plot one_cycle --set min_lr=1e-6", "a plot of ratios of the peak: give min_lr_ratio, or --peak LR too"),
        ("plot one_cycle:min_lr=1e-6", "a plot of ratios of the peak: give min_lr_ratio, or --peak LR too"),
        ("plot one_cycle --peak 1e-6 --set min_lr=1", "give a learning rate from 0 to the peak, 1e-06"),
        ("plot constant_decay --peak 1 --set min_lr=0", "--set min_lr: no schedule plotted takes it"),
        ("plot one_cycle --set on_extend=keep", "is about resumed runs, which a plot does not show: leave it out"),
        ("flags step_decay --set step_size=2ep", "not known here: give steps_per_epoch, or the length in steps or"),
        ("flags step_decay --set step_size=2ep", "(--steps_per_epoch N; the recipes count it themselves)"),
        ("flags step_decay --set steps_per_epoch=5", "is no parameter of a curve: give --steps_per_epoch"),
        ("flags step_decay --steps_per_epoch 0", "--steps_per_epoch='0' is out of range: give a number above 0"),
        ("find-lr", "RECIPE is missing: known: '"),
        ("find-lr --max_steps 4", "unknown flag --max_steps of hf-strategies find-lr"),
        ("find-lr text-classification", "unknown recipe 'text-classification': did you mean 'text_classification'"),
        ("find_lr text_classification", "unknown command 'find_lr': did you mean 'find-lr'?"),
        ("flags one_cycle --warmup_steps 2ep", "warmup_steps='2ep' counts epochs"),
        ("flags one_cycle --warmup_steps soon", "warmup_steps='soon' is not a number: give one"),
        ("flags one_cycle --warmup_steps 1.0", "warmup_steps=1.0 is ambiguous: give a whole number of steps"),
        ("flags one_cycle --warmup_steps 2000000", "(checked for 1000000 steps: give yours with --total_steps)"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(argv: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err


def test_more_curves_than_can_be_told_apart_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", *list(SCHEDULES)[:13]]) == 2
    assert capsys.readouterr().err == "error: 13 schedules are too many for one plot: give at most 12 names\n"
