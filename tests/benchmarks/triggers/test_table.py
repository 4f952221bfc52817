"""The arithmetic of the study of triggers: what a criterion would have got from the branches of one training."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.triggers import table
from benchmarks.triggers.table import Hold
from hf_strategies import StrategyError

# Validation metric and loss at the full rate, at evaluations 1 to 6; each 10 steps.
METRIC, LOSS = (50, 60, 55, 58, 70, 65), (1.0, 0.8, 0.7, 0.75, 0.6, 0.9)
# Evaluation -> validation and test metric after a cooldown of half of the steps.
COOLED = {2: (62.0, 61.0), 4: (70.0, 64.0), 6: (68.0, 72.0)}


def hold(seed: int = 0, lr: float = 1e-3, better: float = 0.0) -> Hold:
    evaluations: list[dict[str, Any]] = []
    for number, (metric, loss) in enumerate(zip(METRIC, LOSS, strict=True), start=1):
        each: dict[str, Any] = {"evaluation": number, "step": 10 * number, "validation_metric": metric}
        each |= {"validation_loss": loss, "test_metric": metric - 2, "test_loss": loss}
        if number in COOLED:
            validation, test = COOLED[number]
            each["cooled"] = {"steps": 5 * number, "validation_metric": validation + better, "test_metric": test}
            each["cooled"] |= {"validation_loss": 0.5, "test_loss": 0.5}
        evaluations.append(each)
    return Hold("banking77", seed, lr, evaluations)


@pytest.mark.parametrize(
    ("monitor", "condition", "evaluation"),
    [
        ("metric", "patience(1)", 3),  # 55 after 60
        ("metric", "patience(2)", 4),  # 55, 58 after 60
        ("metric", "patience(3)", 6),  # never: 70 is an improvement; so the last one
        ("loss", "patience(1)", 4),  # 0.75 after 0.7
        ("metric", "patience(2) or patience(1, monitor='loss')", 4),
        ("metric", "patience(1) and patience(1, monitor='loss')", 4),  # at 3 the loss still falls
    ],
)
def test_a_criterion_starts_the_cooldown_where_it_holds(monitor: str, condition: str, evaluation: int) -> None:
    assert hold().trigger(monitor, condition) == evaluation


@pytest.mark.parametrize(
    ("start", "validation", "test", "steps"),
    [(2, 62, 61, 30), (3, 66, 62.5, 45), (4, 70, 64, 60), (5, 69, 68, 75), (6, 68, 72, 90)],
)
def test_between_two_starts_that_were_tried_their_mean_stands(
    start: int, validation: float, test: float, steps: float
) -> None:
    outcome = hold().cooled(start)
    assert (outcome.validation, outcome.test, outcome.steps) == (validation, test, steps)


def test_the_best_start_is_that_with_the_best_test_metric() -> None:
    assert hold().best().start == 6


def test_the_rate_is_chosen_by_validation_and_all_steps_are_paid_for() -> None:
    holds = [hold(lr=1e-3), hold(lr=3e-4, better=5.0), hold(seed=1)]
    starts = (6, 4, 2)  # seed 0: validation 68 and 75, test 72 and 64; seed 1 has one rate: test 61
    outcomes = [each.cooled(start) for each, start in zip(holds, starts, strict=True)]
    assert table.chosen(holds, outcomes) == (62.5, 90)  # (64 + 61) / 2, (90 + 60 + 30) / 2


def test_every_trigger_can_be_read_and_gives_a_row() -> None:
    lines = table.table([hold()]).splitlines()
    assert [line.split("|")[1] for line in lines[2 : 2 + len(table.TRIGGERS)]] == list(table.TRIGGERS)
    # metric, patience 2: at evaluation 4, that is epoch 2; 64 is 8 points below the best start's 72; 60 steps.
    assert "|metric, patience 2|2|64.0|8.0|64.0|60|" in lines
    assert "|the best by validation|2|64.0|8.0|64.0|60|" in lines
    assert "|the best by test|3|72.0|0.0|72.0|90|" in lines


def test_over_all_tasks_each_has_the_same_weight() -> None:
    one = hold()
    lines = table.overall({"banking77": [one, one], "nlupp": [one]}).splitlines()
    # metric, patience 2: 64 after 60 steps; the best start, 72 after 90 steps.
    assert "|metric, patience 2|8.0|0.67|" in lines
    assert len(lines) == 2 + len(table.TRIGGERS)


def test_the_report_goes_beside_the_results(tmp_path: Path) -> None:
    one = hold()
    line = {"task": one.task, "seed": one.seed, "lr": one.lr, "evaluations": one.evaluations}
    (tmp_path / "triggers.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    text = table.write_report(tmp_path / "triggers.jsonl")
    assert (tmp_path / "triggers.md").read_text(encoding="utf-8") == text
    assert (tmp_path / "triggers.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(StrategyError, match=r"nothing.jsonl.*run the study before --table"):
        table.write_report(tmp_path / "nothing.jsonl")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tasks", "bankin77"], "tasks='bankin77' is unknown: did you mean 'banking77'"),
        (["--epochs", "0"], "epochs=0: give 1 to 1000"),
        (["--cooldown", "1.5"], "cooldown=1.5"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words: list[str], message: str, checkout: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.triggers", *words]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"benchmarks.triggers: error: {message}")
