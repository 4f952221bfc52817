"""The greedy soup: a source is taken into the average only if the average does not get worse by it."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hf_strategies.checkpoints.folder import WeightedMean, write_model
from hf_strategies.checkpoints.sources import Source, Watched
from hf_strategies.errors import StrategyError, did_you_mean

__all__ = ["RecipeEvaluation", "Soup", "greedy_soup"]

_GIVEN = {"do_train": "false", "do_eval": "true", "do_predict": "false"}
_OWN_FLAGS = ("model_name_or_path", "output_dir", "overwrite_output_dir", "find_lr", *_GIVEN)

Evaluate = Callable[[WeightedMean], float]


@dataclass(frozen=True)
class Soup:
    """A greedy soup: the average with its value, and the value of each source alone."""

    mean: WeightedMean
    value: float
    alone: Sequence[tuple[Source, float]]


def greedy_soup(
    sources: Sequence[Source], watched: Watched, evaluate: Evaluate, report: Callable[[str], None] = lambda _: None
) -> Soup:
    """Average those sources of which each, from the best on, does not make the average worse.

    The sources are ordered by their value alone. The average begins with the best one. Each further source is taken
    in if the plain mean of those that are in and of it has a value at least as good as the mean without it
    (Wortsman et al. 2022, arXiv:2203.05482, "greedy soup"). With N sources, ``evaluate`` is called 2 N - 1 times. The
    result is never worse than the best source on the data that ``evaluate`` measures. ``report`` gets a line after
    each evaluation.
    """
    alone = []
    for source in sources:
        alone.append((source, evaluate(WeightedMean.of([source]))))
        report(f"{source.name}: {alone[-1][1]:.6g}")
    ranked = sorted(alone, key=lambda pair: watched.rank(pair[1]))
    value, chosen = ranked[0][1], [ranked[0][0]]
    for source, _ in ranked[1:]:
        trial = [each for each in sources if each in (*chosen, source)]  # in the order of their age
        now = evaluate(WeightedMean.of(trial))
        is_in = watched.rank(now) <= watched.rank(value)
        report(f"with {source.name}: {now:.6g}, {'taken in' if is_in else 'left out'}")
        if is_in:
            chosen, value = trial, now
    return Soup(WeightedMean.of(chosen), value, alone)


@dataclass(frozen=True)
class RecipeEvaluation:
    """Evaluates an average by a recipe, in a process of its own that does not train.

    ``recipe`` is the name of a recipe, ``flags`` are its flags, such as ``--validation_file``. The model under
    evaluation lies in the folder ``place``, which has to exist, while the recipe runs.
    """

    recipe: str
    flags: Sequence[str]
    watched: Watched
    place: Path

    def __post_init__(self) -> None:
        """Raise `StrategyError` for a flag that the evaluation gives itself."""
        for word in self.flags:
            flag = word.partition("=")[0].removeprefix("--").replace("-", "_")
            if word.startswith("--") and flag in _OWN_FLAGS:
                raise StrategyError(f"--{flag} is given to the recipe by --greedy itself: leave it out")

    def __call__(self, mean: WeightedMean) -> float:
        """Return the value of the watched metric on the validation set; raises `StrategyError` if there is none."""
        with TemporaryDirectory(prefix="_candidate-", dir=self.place) as name:
            model, results = Path(name, "model"), Path(name, "results")
            model.mkdir()
            write_model(mean, model)
            metrics = self._metrics(model, results)
        value = self.watched.value(metrics)
        if value is None:
            names = [key.removeprefix("eval_") for key in metrics if key.startswith("eval_")]
            missing = next((each for each in self.watched.metric.names if each not in metrics), None)
            if missing is None:
                raise StrategyError(
                    f"the recipe {self.recipe} measured a {self.watched.metric.text} that is not finite"
                )
            near = did_you_mean(missing.removeprefix("eval_"), names)
            raise StrategyError(
                f"metric={missing.removeprefix('eval_')!r} is none of the recipe {self.recipe}: {near}"
            )
        return value

    def _metrics(self, model: Path, results: Path) -> dict[str, float]:
        given = {"model_name_or_path": model, "output_dir": results, **_GIVEN}
        command = [sys.executable, "-m", f"hf_strategies.recipes.{self.recipe}", *self.flags]
        command += [word for name, value in given.items() for word in (f"--{name}", str(value))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        file = results / "eval_results.json"
        if done.returncode or not file.is_file():
            lines = [line for line in done.stderr.splitlines() if line.strip()] or [
                "no results: give --validation_file"
            ]
            raise StrategyError(f"the recipe {self.recipe} failed: {lines[-1].strip().removeprefix('error: ')}")
        return {key: float(value) for key, value in json.loads(file.read_text(encoding="utf-8")).items()}
