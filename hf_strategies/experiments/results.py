"""The results of a comparison's runs, from what the recipes have written into their folders."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from hf_strategies.comparison.record import RunRecord
from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.experiments.plan import Run
from hf_strategies.experiments.runner import is_done
from hf_strategies.files import read_json
from hf_strategies.report.run.document import REPORT_NAME
from hf_strategies.values import is_number

__all__ = ["choose_metric", "read_records"]

_PREFERRED = ("accuracy", "f1", "micro_f1", "macro_f1", "pearson", "spearman", "loss")
_NOT_METRICS = ("_runtime", "_per_second", "_preparation_time", "_samples", "_threshold")


def choose_metric(runs: Iterable[Run], wanted: str | None) -> str:
    """Return the key of the metric that all finished runs have: of the test set, or else of the validation set.

    Without a metric that is ``wanted`` it is the first that there is of accuracy, F1 and others, or the loss.
    """
    results = [_results(run) for run in runs if is_done(run)]
    shared = [key for key in (results[0] if results else ()) if all(key in each for each in results)]
    metrics = [key for key in shared if key.startswith(("test_", "eval_")) and not key.endswith(_NOT_METRICS)]
    for name in [wanted.removeprefix("test_").removeprefix("eval_")] if wanted else _PREFERRED:
        for key in (f"test_{name}", f"eval_{name}"):
            if key in metrics:
                return key
    names = list(dict.fromkeys(key.partition("_")[2] for key in metrics))
    if not wanted and metrics:
        return metrics[0]
    raise StrategyError(f"--metric {wanted}: no metric of all runs that are done: {did_you_mean(str(wanted), names)}")


def read_records(runs: Sequence[Run], metric: str) -> list[RunRecord]:
    """Return the results of the runs that are done; ``metric`` is a key of ``all_results.json``.

    The folds of a seed are one result, once all of them are done: together they test each row once.
    """
    by_seed: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        by_seed.setdefault((run.strategy, run.seed), []).append(run)
    return [
        _joined([_record(run, metric) for run in folds]) for folds in by_seed.values() if all(map(is_done, folds))
    ]


def _record(run: Run, metric: str) -> RunRecord:
    results, report = _results(run), _mapping(run.folder / REPORT_NAME)
    value = _number(results, metric, math.nan)
    end = report.get("end")
    return RunRecord(
        run.strategy,
        run.seed,
        value,
        steps=int(_number(report, "steps")),
        seconds=_number(report, "seconds"),
        flops=_number(report, "flops"),
        examples=_examples(run.folder / "predictions.jsonl", value) if metric.startswith("test_") else None,
        ended=str(end.get("reason", "")) if isinstance(end, Mapping) else "",
    )


def _joined(folds: Sequence[RunRecord]) -> RunRecord:
    """Return the result of a seed: the examples of all folds, and the means of the rest."""
    first, *others = folds
    if not others:
        return first
    examples: tuple[float, ...] | None = ()
    for fold in folds:
        examples = None if examples is None or fold.examples is None else examples + fold.examples
    return replace(
        first,
        value=fmean(examples or [fold.value for fold in folds]),
        steps=round(fmean(fold.steps for fold in folds)),
        seconds=fmean(fold.seconds for fold in folds),
        flops=fmean(fold.flops for fold in folds),
        examples=examples,
    )


def _results(run: Run) -> Mapping[str, Any]:
    return _mapping(run.folder / "all_results.json")


def _mapping(file: Path) -> Mapping[str, Any]:
    content = read_json(file)
    return content if isinstance(content, Mapping) else {}


def _number(report: Mapping[str, Any], key: str, otherwise: float = 0.0) -> float:
    value: Any = report.get(key)
    return float(value) if is_number(value) else otherwise


def _examples(file: Path, value: float) -> tuple[float, ...] | None:
    """Return for each test example whether its prediction is right, if the metric is the mean of that."""
    if not file.is_file():
        return None
    scores = []
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            if not isinstance(row, dict) or "label" not in row or "prediction" not in row:
                return None
            scores.append(float(row["label"] == row["prediction"]))
    return tuple(scores) if scores and math.isclose(math.fsum(scores) / len(scores), value, abs_tol=1e-6) else None
