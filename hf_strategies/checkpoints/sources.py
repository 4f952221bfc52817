"""What is averaged: the checkpoints of a run, or the final models of several, with their steps and evaluations."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.files import read_json
from hf_strategies.stopping.metric import Direction, Metric
from hf_strategies.stopping.replay.state import check_state
from hf_strategies.values import is_number

__all__ = ["STATE", "Source", "Watched", "best", "checkpoints_of", "final_models", "last", "watched_metric"]

STATE = "trainer_state.json"
"""The file with the log of a run, which the Trainer writes last into a checkpoint."""

_CHECKPOINT = re.compile(r"checkpoint-([0-9]{1,18})")
_SUFFIXES_OF_NO_METRIC = ("_runtime", "_per_second", "_preparation_time")


@dataclass(frozen=True)
class Source:
    """A folder with weights; ``step`` and ``evaluation``, the metrics of these weights, are those of a checkpoint."""

    folder: Path
    name: str
    step: int | None = None
    evaluation: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Watched:
    """The metric by which checkpoints are chosen, and its direction."""

    metric: Metric
    mode: Direction

    def value(self, evaluation: Mapping[str, float]) -> float | None:
        """Return the value at an evaluation; None where it was not measured or is not finite."""
        if not all(name in evaluation for name in self.metric.names):
            return None
        value = self.metric.value(evaluation)
        return value if math.isfinite(value) else None

    def rank(self, value: float) -> float:
        """Return a number that is lower the better a value is."""
        return value if self.mode == "min" else -value


def checkpoints_of(run: Path) -> list[Source]:
    """Return the checkpoints in the folder of a run, in the order of their steps.

    The evaluation of a checkpoint is the one at its step. A checkpoint of `WeightAveraging` has none: the model in it
    has the raw weights, and what was evaluated is their average. Raises `StrategyError` where there is no checkpoint,
    and for one that was not written to its end.
    """
    folders = sorted(_checkpoint_folders(run), key=_step)
    if not folders:
        hint = f": give the folder above, {run.parent}" if _CHECKPOINT.fullmatch(run.name) else ""
        raise StrategyError(
            f"{run} has no checkpoint{hint or ': train with --save_strategy epoch (or steps), and keep several'}"
        )
    logs = {folder: _log(folder) for folder in folders}
    newest = logs[folders[-1]]
    sources = []
    for folder, log in logs.items():
        step = _step(folder)
        evaluation = {} if _has_average(folder) else _evaluation(newest, step) | _evaluation(log, step)
        sources.append(Source(folder, folder.name, step, evaluation))
    return sources


def final_models(runs: Sequence[Path]) -> list[Source]:
    """Return the models that several runs have saved at their end; raises `StrategyError` for one given twice."""
    for index, run in enumerate(runs):
        _check_folder(run)
        if any(run.resolve() == other.resolve() for other in runs[:index]):
            raise StrategyError(f"{run} is given twice: give each run once")
    short = [run.resolve().name for run in runs]
    return [Source(run, str(run) if short.count(name) > 1 else name) for run, name in zip(runs, short, strict=True)]


def last(sources: Sequence[Source], count: int | None) -> list[Source]:
    """Return the newest ``count`` checkpoints, all of them for None; raises `StrategyError` where there are fewer."""
    if count is None:
        return list(sources)
    if count > len(sources):
        raise StrategyError(f"last={count} of {_how_many(sources)}: {_keep_more(count)}")
    return list(sources[len(sources) - count :])


def best(sources: Sequence[Source], count: int, watched: Watched) -> list[Source]:
    """Return the ``count`` checkpoints with the best values, in the order of their steps; of equal ones the first.

    Raises `StrategyError` where fewer of them were evaluated at their step.
    """
    values = {source.folder: watched.value(source.evaluation) for source in sources}
    measured = [source for source in sources if values[source.folder] is not None]
    _refuse_unknown(sources, watched.metric, any_measured=bool(measured))
    if count > len(measured):
        few = f", {len(measured)} of which with {watched.metric.text}" if len(measured) < len(sources) else ""
        raise StrategyError(
            f"best={count} of {_how_many(sources)}{few}: {_keep_more(count)}, and the same --eval_strategy and"
            " --save_strategy"
        )
    ranked = sorted(measured, key=lambda source: watched.rank(values[source.folder] or 0.0))
    return sorted(ranked[:count], key=lambda source: source.step or 0)


def watched_metric(run: Path, metric: str | None, mode: str | None) -> Watched:
    """Return the metric that a user names or else that of the run, its ``metric_for_best_model``, or the loss.

    The Trainer records the best value and its step: the metric is the one that has this value there. Raises
    `StrategyError` for a metric of unknown direction without ``mode``.
    """
    read = Metric.read(metric or _recorded_metric(run) or "loss")
    try:
        return Watched(read, read.direction(mode))
    except StrategyError as mistake:
        raise StrategyError(str(mistake).replace("monitor=", "metric=")) from None


def _recorded_metric(run: Path) -> str | None:
    folders = sorted(_checkpoint_folders(run), key=_step)
    state = read_json(run / STATE) or (read_json(folders[-1] / STATE) if folders else None)
    if not isinstance(state, dict) or not isinstance(state.get("log_history"), list):
        return None
    value, step = state.get("best_metric"), state.get("best_global_step")
    if not is_number(value) or not isinstance(step, int):
        return None
    names = [name for name, measured in _evaluation(state["log_history"], step).items() if measured == value]
    if len(names) > 1:
        raise StrategyError(f"the best value of {run}, {value}, is that of {' and of '.join(names)}: give --metric")
    return names[0] if names else None


def _checkpoint_folders(run: Path) -> list[Path]:
    _check_folder(run)
    try:
        return [path for path in run.iterdir() if _CHECKPOINT.fullmatch(path.name) and path.is_dir()]
    except OSError as mistake:
        raise StrategyError(f"{run} cannot be read: {mistake.strerror or mistake}") from mistake


def _check_folder(run: Path) -> None:
    try:
        found = run.is_dir()
    except (OSError, ValueError):  # a name that is too long, or has a zero byte
        found = False
    if not found:
        raise StrategyError(f"{run} is no folder: give the output_dir of a Trainer's run")


def _has_average(folder: Path) -> bool:
    return any(folder.glob("weight_average*.safetensors"))


def _step(folder: Path) -> int:
    match = _CHECKPOINT.fullmatch(folder.name)
    return int(match[1]) if match else -1


def _log(folder: Path) -> list[Mapping[str, Any]]:
    state = read_json(folder / STATE)
    if state is None:
        raise StrategyError(
            f"{folder} has no {STATE} that can be read: wait until it is written, or delete it if its run was killed"
        )
    return check_state(str(folder), state)


def _evaluation(log: Sequence[Any], step: int) -> dict[str, float]:
    """Return the metrics that a log has at a step."""
    entries = [entry for entry in log if isinstance(entry, Mapping) and entry.get("step") == step]
    return {
        key: float(value)
        for entry in entries
        for key, value in entry.items()
        if isinstance(key, str) and _is_metric(key) and is_number(value)
    }


def _is_metric(key: str) -> bool:
    return key.startswith("eval_") and not key.endswith(_SUFFIXES_OF_NO_METRIC)


def _refuse_unknown(sources: Sequence[Source], metric: Metric, *, any_measured: bool) -> None:
    known = sorted({name for source in sources for name in source.evaluation})
    if not known and any(_has_average(source.folder) for source in sources):
        raise StrategyError(
            "the metrics of this run are those of the average that WeightAveraging keeps, and the checkpoints have"
            " the raw weights: take --last or --greedy"
        )
    if not known:
        raise StrategyError(
            f"none of {_how_many(sources)} was evaluated at its step: take --last, or train with the same"
            " --eval_strategy and --save_strategy"
        )
    if missing := [name for name in metric.names if name not in known]:
        near = did_you_mean(missing[0].removeprefix("eval_"), [name.removeprefix("eval_") for name in known])
        raise StrategyError(f"metric={missing[0].removeprefix('eval_')!r} was not measured at any checkpoint: {near}")
    if not any_measured:
        raise StrategyError(f"metric={metric.text!r} is not finite at any checkpoint: take another one, or --last")


def _how_many(sources: Sequence[Source]) -> str:
    steps = ", ".join(str(source.step) for source in sources[:12])
    more = f" and {len(sources) - 12} more" if len(sources) > 12 else ""
    return f"{len(sources)} checkpoint{'' if len(sources) == 1 else 's'} ({steps}{more})"


def _keep_more(count: int) -> str:
    return f"ask for fewer, or train with --save_total_limit {count} or more"
