"""The arithmetic of the benchmark of strategies: what is chosen, what it costs, which goals are met."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.strategies import results, table
from benchmarks.strategies.figure import SHOWN, comparisons, sentence
from benchmarks.strategies.report import write_report
from benchmarks.strategies.results import Key, Record
from benchmarks.strategies.tasks import TASKS


def record(
    strategy: str, lr: float, steps: int, validation: float, test: float, *, seed: int = 0,
    best: tuple[float, float] | None = None, task: str = "banking77",
) -> Record:  # fmt: skip
    return Record(Key(task, seed, strategy, lr), steps, steps, validation, test, *(best or (None, None)), 1.0)


def sweep(seed: int, tests: dict[int, float]) -> list[Record]:
    """A linear sweep whose validation metric is the test metric, at two learning rates, the second 10 points off."""
    return [
        record("linear_" + str(epochs), lr, 10 * epochs, value - worse, value - worse, seed=seed,
               best=(value - worse + 1, value - worse + 2))
        for epochs, value in tests.items()
        for lr, worse in ((3e-4, 0.0), (1e-3, 10.0))
    ]  # fmt: skip


CURVE = {1: 50.0, 2: 60.0, 4: 70.0, 8: 80.0, 16: 75.0}


def test_the_run_is_chosen_by_validation_and_all_runs_are_paid_for() -> None:
    runs = [record("linear_1", 3e-4, 10, 80, 70), record("linear_2", 3e-4, 20, 81, 60)]
    assert table.choose(runs) == table.Choice(test=60, steps=20, cost=30, strategy="linear_2")


def test_of_equal_validations_the_shorter_run_is_chosen() -> None:
    runs = [record("linear_2", 3e-4, 20, 80, 60), record("linear_1", 3e-4, 10, 80, 70)]
    assert table.choose(runs).strategy == "linear_1"


def test_best_weights_are_chosen_by_their_own_validation() -> None:
    runs = [record("linear_1", 3e-4, 10, 80, 70, best=(82, 71)), record("linear_2", 3e-4, 20, 81, 60, best=(81, 60))]
    assert table.choose(runs, best=True).test == 71


def test_a_sweep_costs_the_steps_of_every_budget_and_rate() -> None:
    found = table.ways(TASKS["banking77"], sweep(0, CURVE))
    assert found["linear sweep"] == {0: table.Choice(80.0, 80, 2 * 310, "linear_8")}
    assert found["linear sweep, best weights"][0].test == 82.0
    assert found["linear_4"][0] == table.Choice(70.0, 40, 80, "linear_4")


def test_a_seed_with_a_run_missing_does_not_count() -> None:
    runs = [*sweep(0, CURVE), *sweep(1, CURVE)[:-1]]
    found = table.ways(TASKS["banking77"], runs)
    assert list(found["linear sweep"]) == [0]
    assert list(found["linear_8"]) == [0, 1]


def test_gains_are_compared_seed_by_seed() -> None:
    ours = {seed: table.Choice(value, 1, 30, "cooldown") for seed, value in enumerate((71.0, 82.0, 93.0))}
    other = {seed: table.Choice(value, 1, 100, "linear_8") for seed, value in enumerate((70.0, 80.0, 90.0))}
    compared = table.compare(ours, other)
    # Gains 1, 2 and 3: mean 2, standard deviation 1, of three.
    assert compared.gain == pytest.approx(2.0)
    assert compared.error == pytest.approx(3**-0.5)
    assert compared.share == pytest.approx(0.3)


@pytest.mark.parametrize(("gain", "error", "holds"), [(-0.5, 0.5, True), (-0.6, 0.5, False), (-0.1, None, False)])
def test_no_worse_means_within_one_standard_error(gain: float, error: float | None, holds: bool) -> None:
    assert table.Comparison(gain, error, 0.3).holds_up is holds


def test_the_goals_need_quality_and_cost() -> None:
    def way(test: float, cost: int) -> dict[int, table.Choice]:
        return {seed: table.Choice(test + seed, 1, cost, "") for seed in (0, 1)}

    task = {"linear sweep": way(80, 300), "linear_stop": way(78, 120), "cooldown": way(80, 100)}
    assert table.goal_1("cooldown", [task]) == "1 of 1|1 of 1|met"
    assert table.goal_2("cooldown", [task]) == "+2.00|0.83|met"
    worse, dearer = task | {"cooldown": way(79, 100)}, task | {"cooldown": way(80, 121)}
    assert table.goal_1("cooldown", [task, worse]) == "1 of 2|2 of 2|not met"
    assert table.goal_1("cooldown", [dearer]) == "1 of 1|0 of 1|not met"
    assert table.goal_2("cooldown", [dearer]) == "+2.00|1.01|not met"
    assert table.goal_2("cooldown", [worse, worse | {"cooldown": way(78.9, 100)}]) == "+0.95|0.83|not met"


def test_the_stronger_way_of_the_sweep_is_the_one_to_reach() -> None:
    last, best = {0: table.Choice(80, 1, 9, "")}, {0: table.Choice(81, 1, 9, "")}
    assert table.best_sweep({"linear sweep": last, "linear sweep, best weights": best}).endswith("best weights")
    assert table.best_sweep({"linear_1": last}) is None


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    runs = [*sweep(0, CURVE), record("linear_stop", 3e-4, 12, 61.25, 60.125)]
    for run in runs:
        results.append(tmp_path / "new" / "runs.csv", run)
    assert results.read(tmp_path / "new" / "runs.csv") == runs


@pytest.mark.parametrize("lost", [1, 40, 110])
def test_a_half_written_line_is_run_again_and_nothing_else(tmp_path: Path, lost: int) -> None:
    file, runs = tmp_path / "runs.csv", sweep(0, CURVE)
    for run in runs[:3]:
        results.append(file, run)
    file.write_text(file.read_text()[: -1 - lost])
    assert results.unfinished([run.key for run in runs[:4]], file) == [runs[2].key, runs[3].key]
    results.append(file, runs[2])
    assert results.read(file) == runs[:3]


def test_the_report_says_which_goals_are_met(tmp_path: Path) -> None:
    file = tmp_path / "runs.csv"
    stopped = [record(name, lr, 30, 79, 79, seed=seed) for name in ("linear_stop", "constant_stop")
               for lr in (3e-4, 1e-3) for seed in (0, 1)]  # fmt: skip
    for run in [*sweep(0, CURVE), *sweep(1, CURVE), *stopped]:
        results.append(file, run)
    text = write_report(file, layers=3, scale=1)
    assert "|constant_stop|choose|0 of 1|1 of 1|not met|+0.00|1.00|not met|" in text
    assert "|linear sweep, best weights (the sweep)|2|82.0 ± 0.0|+0.0 ± 0.0|80|620|1.00|" in text
    assert (tmp_path / "runs.md").read_text() == text
    assert (tmp_path / "runs.png").stat().st_size > 10_000


def test_the_figure_s_sentence_counts_the_tasks_as_the_table_of_goals_does() -> None:
    def way(test: float, cost: int) -> dict[int, table.Choice]:
        return {seed: table.Choice(test + seed, 1, cost, "") for seed in (0, 1)}

    level = {"linear sweep": way(80, 400), "linear_stop": way(79, 100), "cooldown": way(80, 120)}
    below = level | {"cooldown": way(79.5, 80)}
    assert sentence(comparisons({"banking77": level, "sts16": below})).splitlines()[1:] == [
        "PlateauCooldown: on 1 of 2 tasks, at 0.25 of the steps",
        "linear schedule, stock early stopping: on 0 of 2 tasks, at 0.25 of the steps",
    ]


def test_the_committed_figure_has_the_numbers_of_the_committed_table(checkout: Path) -> None:
    made = {name: table.ways(task, _records(checkout, name)) for name, task in TASKS.items()}
    said = sentence(comparisons(made))
    goals = (checkout / "benchmarks" / "results" / "strategies.md").read_text(encoding="utf-8")
    for name, (words, *_) in SHOWN.items():
        (row,) = [line for line in goals.splitlines() if line.startswith(f"|{name}|all|")]
        assert f"{words}: on {row.split('|')[3]} tasks, " in said


def _records(checkout: Path, task: str) -> list[Record]:
    every = results.read(checkout / "benchmarks" / "results" / "strategies.csv")
    layers = TASKS[task].layers(3)
    return [each for each in every if (each.key.task, each.key.layers, each.key.scale) == (task, layers, 1)]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--tasks", "banking"], "tasks='banking' is unknown: did you mean 'banking77'"),
        (["--strategies", "linear_3"], "strategies='linear_3' is unknown: did you mean"),
        (["--layers", "7"], "layers=7: give 1 to 6"),
        (["--table", "--results", "nowhere.csv"], "has no whole grid of runs"),
    ],
)
def test_a_mistake_is_one_line(flags: list[str], message: str, checkout: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.strategies", *flags]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
