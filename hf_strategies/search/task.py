"""The task of a search: a recipe with its flags, what its trials are ranked by, and the settings of a trial."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.flag_file import read_mapping
from hf_strategies.presets import PRESETS
from hf_strategies.stopping.metric import Direction, Metric

__all__ = ["Task", "read_task"]

_SCHEDULE, _PARAMETERS = "lr_scheduler_type", "lr_scheduler_kwargs"
# The metric that a run watches decides which weights it keeps; so it is what its trials are ranked by, too.
_WATCHED = ("early_stopping_monitor", "plateau_cooldown_monitor", "metric_for_best_model")
# The test set is for the model that is found, and not for the search.
_IN_TRIALS = {"do_train": True, "do_eval": True, "do_predict": False, "baselines": False, "push_to_hub": False}
_OF_A_RUN = ("output_dir", "overwrite_output_dir", "resume_from_checkpoint")


@dataclass(frozen=True)
class Task:
    """A recipe with the flags that all trials share, and the objective.

    ``objective`` is a metric of the validation set, or an expression of several, and ``mode`` its direction.
    """

    file: str
    recipe: str
    settings: Mapping[str, Any]
    objective: str
    mode: Direction

    @property
    def schedule(self) -> str | None:
        """The schedule of the task, where its file or its preset names one."""
        name = self._with_preset(self.settings).get(_SCHEDULE)
        return None if name is None else str(name)

    def value(self, results: Mapping[str, Any]) -> float:
        """Return the objective of a trial from its ``all_results.json``, that is of the weights that it has kept."""
        metric = Metric.read(self.objective)
        missing = [name for name in metric.names if not isinstance(results.get(name), int | float)]
        if missing:
            known = sorted(name.removeprefix("eval_") for name in results if name.startswith("eval_"))
            raise StrategyError(f"--objective {self.objective}: the recipe reports no {missing[0]}, but {known}")
        return metric.value(results)

    def of_trial(self, chosen: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the flags of a trial that writes into ``folder``."""
        return self.with_settings(chosen) | _IN_TRIALS | {"output_dir": str(folder)}

    def with_settings(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return the flags of a run with the settings of a trial, without what belongs to one run.

        The parameters of the task's schedule hold for a trial with the same schedule only.
        """
        shared = {name: value for name, value in self.settings.items() if name not in _OF_A_RUN}
        name = str(chosen.get(_SCHEDULE, self.schedule or "linear"))
        parameters = dict(shared.pop(_PARAMETERS, None) or {}) if name == (self.schedule or "linear") else {}
        shared.pop(_PARAMETERS, None)
        parameters |= chosen.get(_PARAMETERS) or {}
        return {**shared, **chosen} | ({_PARAMETERS: parameters} if parameters else {})

    def description(self) -> dict[str, Any]:
        """Return what a resumed search has to have in common with this task, as JSON."""
        shared = {name: value for name, value in self.settings.items() if name not in _OF_A_RUN}
        return {"recipe": self.recipe, "objective": self.objective, "mode": self.mode, "task": shared}

    @staticmethod
    def _with_preset(settings: Mapping[str, Any]) -> dict[str, Any]:
        preset = PRESETS.get(str(settings.get("strategy")))
        return {**(preset.settings if preset else {}), **settings}


def read_task(file: str, recipe: str | None, objective: str | None, mode: str | None) -> Task:
    """Read the file of a task: flags of a recipe, and the key ``recipe`` where ``recipe`` is None.

    Without an ``objective`` it is the metric that the task watches: by early stopping, by a cooldown, or for the best
    checkpoint; else the loss. Raises `StrategyError` for a file without a recipe, and where the direction of the
    objective is not known.
    """
    settings = {str(name): value for name, value in read_mapping(file, "TASK_CONFIG").items()}
    named = settings.pop("recipe", None)
    if recipe is None and named is None:
        raise StrategyError(f"TASK_CONFIG {file} names no recipe: add a line such as recipe: text_classification")
    all_settings = Task._with_preset(settings)
    watched = next((str(all_settings[flag]) for flag in _WATCHED if all_settings.get(flag)), "loss")
    chosen = (objective or watched).removeprefix("eval_")
    return Task(file, str(recipe or named), settings, chosen, Metric.read(chosen).direction(mode))
