"""What a search has found: the trials as plain rows, the best flags as a command and as YAML, and the text on it."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hf_strategies.errors import StrategyError, visible
from hf_strategies.files import write_text
from hf_strategies.report.lines import aligned, shell_command
from hf_strategies.search.slots import Standing
from hf_strategies.search.study import ERROR, SETTINGS, attempts_of
from hf_strategies.search.worker import Search

__all__ = ["Result", "Trial", "result_of", "result_text", "write_best"]

_MOST_ROWS = 5


@dataclass(frozen=True)
class Trial:
    """A trial that has ended: its number, how (``completed``, ``pruned`` or ``failed``), and its objective, if any.

    ``parameters`` are its values by the names of the rows, ``settings`` the flags that they stand for.
    """

    number: int
    state: str
    value: float | None
    parameters: Mapping[str, Any]
    settings: Mapping[str, Any]
    folder: str
    error: str = ""


@dataclass(frozen=True)
class Result:
    """The trials of a search in the order in which they began, and the best one.

    ``importances`` are the shares of the objective's variation that the parameters account for (fANOVA). They are of
    the parameters that every trial has: those of a single option have too few trials to be compared with.
    """

    objective: str
    mode: str
    trials: Sequence[Trial]
    importances: Mapping[str, float] = field(default_factory=dict)

    @property
    def best(self) -> Trial:
        """The completed trial with the best objective; raises `StrategyError` if none has completed."""
        best = self.ranked
        if not best:
            errors = [trial.error for trial in self.trials if trial.error]
            raise StrategyError(f"no trial has completed: {errors[-1] if errors else 'all were pruned'}")
        return best[0]

    @property
    def ranked(self) -> list[Trial]:
        """The completed trials, the best first; of two with the same value the earlier one."""
        sign = 1.0 if self.mode == "min" else -1.0
        completed = [trial for trial in self.trials if trial.state == "completed" and trial.value is not None]
        return sorted(completed, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


def result_of(search: Search, study: Any) -> Result:
    """Return the trials that the search was for."""
    found = {each.number: each for each in study.get_trials(deepcopy=False)}
    trials = []
    for attempt in Standing(attempts_of(study), search.plan.trials).ended_attempts:
        each = found[attempt.number]
        trials.append(
            Trial(
                attempt.first,
                attempt.state,
                each.value,
                dict(each.params),
                json.loads(each.user_attrs.get(SETTINGS, "{}")),
                str(each.user_attrs.get("folder", "")),
                str(each.user_attrs.get(ERROR, "")),
            )
        )
    return Result(search.task.objective, search.task.mode, trials, _importances(study))


def _importances(study: Any) -> dict[str, float]:
    """Return the importance of each parameter that all completed trials have; none where too few have completed."""
    import optuna

    completed = [set(each.params) for each in study.get_trials(deepcopy=False) if each.state.name == "COMPLETE"]
    if len(completed) < 2:
        return {}
    names = sorted(set.intersection(*completed))
    fanova = optuna.importance.FanovaImportanceEvaluator(seed=0)
    try:
        return dict(optuna.importance.get_param_importances(study, evaluator=fanova, params=names))
    except (ValueError, RuntimeError):  # all trials have the same value
        return {}


def write_best(search: Search, result: Result) -> Path:
    """Write the flags of the best trial as a YAML file for ``--config``, and return its path."""
    settings = search.task.with_settings(result.best.settings)
    file = search.folder.parent / "best.yaml"
    found = f"{result.objective} {result.best.value:.6g} on the validation set"
    head = f"# {found}: trial {result.best.number} of a search\n"
    write_text(file, visible(head, keep="\n") + yaml.safe_dump(settings, sort_keys=False))
    return file


def result_text(search: Search, result: Result, best: Path, width: int | None) -> str:
    """Return the table of the best trials, what mattered, and the command that trains with the best flags."""
    recipe, out = search.task.recipe, best.with_name("best")
    start = f"accelerate launch -m hf_strategies.recipes.{recipe}"
    command = f"{start} --config {shlex.quote(str(best))} --output_dir {shlex.quote(str(out))}"
    flags = " ".join(
        f"--{name} {shlex.quote(_text(value))}" for name, value in result.best.settings.items() if value is not None
    )
    parts = [
        _table(result, width),
        _counts(result),
        *([_importance_line(result)] if result.importances else []),
        f"best: {result.objective} {result.best.value:.6g}, of the weights in {result.best.folder}",
        f"its flags, beside those of {search.task.file}:\n{shell_command(flags, width, '  ')}",
        f"all of them are in {best}; to train with them, and see the test set for the first time:\n"
        + shell_command(command, width, "  "),
    ]
    return "\n\n".join(parts)


def _table(result: Result, width: int | None) -> str:
    shown = result.ranked[:_MOST_ROWS]
    names = list(dict.fromkeys(name for trial in shown for name in trial.parameters))
    rows = [["trial", result.objective, *names]]
    for trial in shown:
        values = [_short(trial.parameters.get(name)) for name in names]
        rows.append([str(trial.number), f"{trial.value:.6g}", *values])
    return "\n".join(aligned(rows, left=0, width=width))


def _counts(result: Result) -> str:
    states = [trial.state for trial in result.trials]
    counts = {state: states.count(state) for state in ("completed", "pruned", "failed") if state in states}
    return f"{len(states)} trials: " + ", ".join(f"{count} {state}" for state, count in counts.items())


def _importance_line(result: Result) -> str:
    ranked = sorted(result.importances.items(), key=lambda item: -item[1])
    return "importance (fANOVA): " + ", ".join(f"{name} {share:.0%}" for name, share in ranked)


def _short(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
