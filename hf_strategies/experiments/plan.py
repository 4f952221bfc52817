"""Which runs a comparison has: a recipe's task, strategies and seeds, and the folder in which it is recorded."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.files import read_json, write_json, write_text
from hf_strategies.flag_file import read_mapping
from hf_strategies.presets import PRESETS

__all__ = ["Plan", "Run", "read_plan", "read_seeds", "read_strategies"]

SETTINGS = "comparison.json"
"""The file of a comparison's folder with its task and strategies."""

_LOCK = "_comparison.lock"
_OURS = ("output_dir", "overwrite_output_dir", "resume_from_checkpoint", "seed", "config")
_FOLDS = ("folds", "fold")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
_NAME = re.compile(r"[\w.+-]{1,100}")
_MOST_SEEDS = 1000


@dataclass(frozen=True)
class Run:
    """One run: its strategy, seed and fold (None without folds), and the folder that it writes into."""

    strategy: str
    seed: int
    folder: Path
    fold: int | None = None

    @property
    def title(self) -> str:
        """The run in the lines for the user."""
        return f"{self.strategy} seed {self.seed}" + ("" if self.fold is None else f" fold {self.fold}")

    def beside(self, ending: str) -> Path:
        """Return a file beside the folder, which has its name."""
        return self.folder.with_name(f"{self.folder.name}{ending}")


@dataclass(frozen=True)
class Plan:
    """A comparison: the recipe, the flags of the task, those of each strategy, the seeds, and the folder.

    ``folds`` is into how many parts the training set is cut, each of which is the test set of one run; None: not.
    """

    recipe: str
    task: Mapping[str, Any]
    strategies: Mapping[str, Mapping[str, Any]]
    seeds: tuple[int, ...]
    folder: Path
    folds: int | None = None

    @property
    def runs(self) -> list[Run]:
        """All runs: a seed goes through all strategies before the next one begins, so that early results pair."""
        folds = [None] if self.folds is None else range(self.folds)
        return [self._run(name, seed, fold) for seed in self.seeds for fold in folds for name in self.strategies]

    def _run(self, name: str, seed: int, fold: int | None) -> Run:
        folder = self.folder / name / f"seed_{seed}"
        return Run(name, seed, folder if fold is None else folder / f"fold_{fold}", fold)

    def flags_of(self, strategy: str) -> Path:
        """Return the file with the flags of a strategy's runs."""
        return self.folder / strategy / "flags.yaml"

    def write(self) -> None:
        """Write the settings and the flags; raises `StrategyError` where the folder has those of another comparison.

        Seeds and strategies may be added to a comparison. What has been run may not change.
        """
        with self.alone():
            known = read_json(self.folder / SETTINGS)
            before = known if isinstance(known, dict) else {}
            if before:
                _refuse_change("the recipe", before.get("recipe"), self.recipe, self.folder)
                _refuse_changes("the task", before.get("task", {}), self.task, self.folder)
                _refuse_change("the number of folds", before.get("folds"), self.folds, self.folder)
            strategies = dict(before.get("strategies", {}))
            for name, flags in self.strategies.items():
                if name in strategies:
                    _refuse_changes(f"strategy {name}", strategies[name], flags, self.folder)
            seeds = sorted({*before.get("seeds", ()), *self.seeds})
            strategies |= {name: dict(flags) for name, flags in self.strategies.items()}
            content: dict[str, Any] = {
                "recipe": self.recipe,
                "task": dict(self.task),
                "strategies": strategies,
                "seeds": seeds,
            }
            if self.folds is not None:
                content["folds"] = self.folds
            write_json(self.folder / SETTINGS, content)
            for name, flags in self.strategies.items():
                self.flags_of(name).parent.mkdir(exist_ok=True)
                # JSON is YAML, in which a text cannot be taken for a number.
                write_text(self.flags_of(name), json.dumps({**self.task, **flags}, indent=2) + "\n")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from writing into the comparison's own files meanwhile; runs have claims."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / _LOCK):
            yield


def read_plan(
    task: str,
    strategies: Sequence[str],
    seeds: str,
    *,
    recipe: str | None,
    folder: str,
    recipes: Sequence[str],
    folds: int | None = None,
) -> Plan:
    """Read the files of a comparison; ``recipes`` are the names of the recipes that there are."""
    flags = dict(read_mapping(task, "TASK_CONFIG"))
    own = flags.pop("recipe", None)
    name = recipe if recipe is not None else own
    if name is None:
        known = ", ".join(recipes)
        raise StrategyError(f"--recipe is missing, and {task} has no `recipe:` line: give one of {known}")
    if name not in recipes:
        raise StrategyError(f"recipe {name!r}: {did_you_mean(str(name), recipes)}")
    for key in _OURS:
        flags.pop(key, None)  # of a file that is made for single runs
    for key in _FOLDS:
        if key in flags:
            raise StrategyError(f"TASK_CONFIG {task}: {key} is set for each run: leave it out, and give --folds")
    return Plan(str(name), flags, read_strategies(strategies), read_seeds(seeds), Path(folder), folds)


def read_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds of a list such as ``0..4`` or ``0,1,7``.

    >>> read_seeds("0..2,7")
    (0, 1, 2, 7)
    """
    seeds: list[int] = []
    for part in text.split(","):
        if match := _RANGE.fullmatch(part.strip()):
            low, high = int(match[1]), int(match[2])
            seeds += range(low, min(high, low + _MOST_SEEDS) + 1)
        elif part.strip().isdigit() and len(part.strip()) < 10:
            seeds.append(int(part))
        else:
            raise StrategyError(f"--seeds {text}: {part.strip()!r} is no seed: give numbers such as 0..4 or 0,1,7")
    if len(set(seeds)) < len(seeds) or len(seeds) > _MOST_SEEDS:
        raise StrategyError(f"--seeds {text}: give each seed once, {_MOST_SEEDS:,} at most")
    return tuple(seeds)


def read_strategies(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the flags of each strategy by its name: a preset, or the stem of a YAML file of flags."""
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        name, flags = _strategy(text)
        if name in found:
            raise StrategyError(f"--strategies has {name!r} twice: rename a file")
        for key in flags:
            if key in (*_OURS, *_FOLDS):
                raise StrategyError(f"{text}: {key} is set for each run: leave it out of the strategy")
        found[name] = flags
    return found


def _strategy(text: str) -> tuple[str, dict[str, Any]]:
    path = Path(text)
    if path.suffix.lower() in (".yaml", ".yml", ".json"):
        flags = dict(read_mapping(text, "--strategies"))
        preset = flags.pop("strategy", None)
        base = _preset(str(preset)) if preset is not None else {}
        name = path.stem
    else:
        base, flags, name = _preset(text), {}, text
    if not _NAME.fullmatch(name):
        raise StrategyError(f"--strategies {text}: name the file by letters, digits, '.', '+', '-' and '_' alone")
    return name, {**base, **flags}


def _preset(name: str) -> dict[str, Any]:
    if name not in PRESETS:
        raise StrategyError(f"--strategies {name}: no YAML file, and no preset: {did_you_mean(name, PRESETS)}")
    return PRESETS[name].settings


def _refuse_changes(what: str, before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    for key in sorted({*before, *now}):
        _refuse_change(f"{key} of {what}", before.get(key), now.get(key), folder)


def _refuse_change(what: str, before: object, now: object, folder: Path) -> None:
    if before != now:
        raise StrategyError(
            f"{folder} has a comparison in which {what} is {before!r}, and now it is {now!r}: give another"
            " --output_dir"
        )
