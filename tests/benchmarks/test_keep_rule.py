"""The benchmark of the keep rule: its outcomes by hand, and its page."""

import numpy as np
import pytest

from benchmarks import keep_rule
from benchmarks.keep_rule import Run


def run(truth: list[float], measured: list[float]) -> Run:
    return Run(np.array(truth), np.array(measured), 128)


def test_the_regret_is_the_truth_that_was_not_kept() -> None:
    of = keep_rule.outcomes([run([0.70, 0.71, 0.70, 0.74], [0.70, 0.76, 0.69, 0.75])])
    assert of["always the end"].regret == 0.0
    assert of["always the best"].regret == pytest.approx(3.0)  # 0.71 was kept, 0.74 is the end's
    assert [of[name].share for name in ("always the end", "always the best")] == [1.0, 0.0]


def test_without_a_truly_better_candidate_no_share_is_reported() -> None:
    of = keep_rule.outcomes([run([0.7] * 4, [0.70, 0.76, 0.69, 0.60])])
    assert np.isnan(of["always the best"].share)
    assert of["always the best"].regret == 0.0


def test_each_number_of_rows_and_difference_has_a_line() -> None:
    text = keep_rule.text_of(keep_rule.measured(1, 0), 1)
    lines = [line.split("|")[1:3] for line in text.splitlines() if line.startswith(("|128", "|500", "|2000"))]
    per_wander = [[str(rows), f"{100 * each:+.0f}"] for rows in (128, 500, 2000) for each in keep_rule.DIFFERENCES]
    per_wander += [[str(rows), "all"] for rows in (128, 500, 2000)]
    assert lines == 2 * per_wander
