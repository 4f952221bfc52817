"""The command ``plot``: curves, guides, parameters for all and for one, and figures."""

from pathlib import Path

import pytest

from hf_strategies import SCHEDULES
from hf_strategies.cli.main import main
from tests.cli.commands import PHASES, Run, check_mistake, process


def required(name: str) -> list[str]:
    """Return the flags without which a schedule cannot be built."""
    return ["--set", f"phases={PHASES}"] if name == "phases" else []


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


def test_plot_draws_schedules_of_transformers_beside_ours(run: Run) -> None:
    """The line of the last values: ours at its floor, theirs at theirs, and the stock linear at 0."""
    own = run("plot", "linear_warmup_linear_decay", "--ascii").splitlines()
    stock = run("plot", "linear", "--ascii").splitlines()
    assert own[:-2] == stock[:-2]
    assert stock[-2:] == ["* linear", ": the warmup ends at step 100"]
    floors = run("plot", "cosine_with_min_lr", "cosine_decay", "--set", "min_lr=1e-5", "--peak", "1e-4", "--ascii")
    assert floors.splitlines()[-1] == ". floor 1e-05 (*, o)"
    assert "floor 0.1" in run("plot", "cosine_with_min_lr:min_lr_rate=0.1")
    assert "floor 2e-05" in run("plot", "polynomial", "--set", "lr_end=2e-5", "--peak", "1e-4")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
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
        ("plot one_cycle --set min_lr=1e-6", "a plot of ratios of the peak: give min_lr_ratio, or --peak LR too"),
        ("plot polynomial --set lr_end=1e-6", "lr_end=1e-06 in a plot of ratios of the peak: give --peak LR too"),
        ("plot cosine_with_min_lr", "min_lr_rate is missing: give a ratio of the peak such as min_lr_rate=0.1"),
        ("plot greedy one_cycle", "'greedy' of transformers is no function of the step"),
        ("plot one_cycle:min_lr=1e-6", "a plot of ratios of the peak: give min_lr_ratio, or --peak LR too"),
        ("plot one_cycle --peak 1e-6 --set min_lr=1", "give a learning rate from 0 to the peak, 1e-06"),
        ("plot constant_decay --peak 1 --set min_lr=0", "--set min_lr: no schedule plotted takes it"),
        ("plot one_cycle --set on_extend=keep", "is about resumed runs, which a plot does not show: leave it out"),
    ],
)
def test_a_mistake_of_plot_is_one_line_and_exit_code_2(
    argv: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_mistake(argv, words, capsys)


def test_more_curves_than_can_be_told_apart_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", *list(SCHEDULES)[:13]]) == 2
    assert capsys.readouterr().err == "error: 13 schedules are too many for one plot: give at most 12 names\n"
