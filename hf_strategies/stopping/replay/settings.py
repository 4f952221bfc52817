"""The settings to replay: all combinations of values from several lists."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from hf_strategies.errors import StrategyError
from hf_strategies.stopping.rule import StoppingRule

__all__ = ["MOST_SETTINGS", "Setting", "grid", "varying"]

MOST_SETTINGS = 1000
"""The most settings that a replay takes: nobody reads a larger table."""

_NAMES = ("patience", "stop_when", "min_delta", "relative_delta", "z", "smoothing", "start_from")


@dataclass(frozen=True)
class Setting:
    """One cell of the grid: a rule, and the values that it was made from, as texts by their names."""

    values: Mapping[str, str]
    rule: StoppingRule

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.values.items())


def grid(
    monitor: str = "loss", mode: str | None = None, *, samples: object = None, **lists: Iterable[object]
) -> list[Setting]:
    """Return a setting for each combination of the values in ``lists``; the last list varies fastest.

    The lists are ``patience`` (lengths of training) or ``stop_when`` (whole conditions), ``min_delta``,
    ``relative_delta``, ``z``, ``smoothing`` (None or "none" for no smoothing) and ``start_from``. Their values, and
    ``monitor``, ``mode`` and ``samples``, are those of `StoppingRule.read`. Raises `StrategyError` for a bad value,
    for both or neither of patience and stop_when, for an unknown or empty list, for ``samples`` without ``z``, and
    for more than `MOST_SETTINGS` settings.

    >>> [str(setting) for setting in grid("loss", patience=[1, "2ep"], min_delta=[0.0, 0.01])][1:3]
    ['patience=1, min_delta=0.01', 'patience=2ep, min_delta=0.0']
    """
    given = {name: list(lists[name]) for name in _NAMES if name in lists}
    _check_lists(lists, given)
    names = list(given)
    settings = [
        _setting(monitor, mode, samples, dict(zip(names, cell, strict=True))) for cell in product(*given.values())
    ]
    if samples is not None and not any(setting.rule.watched.improvement.z for setting in settings):
        raise StrategyError(
            f"samples={samples!r} has no effect without z: give that too, such as z=1, or leave it out"
        )
    return settings


def varying(settings: Sequence[Setting]) -> list[str]:
    """Return the names of the values that differ between settings; if none differs, the first name.

    >>> varying(grid("loss", patience=[3], min_delta=[0.0, 0.01]))
    ['min_delta']
    """
    names = list(settings[0].values)
    different = [name for name in names if len({setting.values[name] for setting in settings}) > 1]
    return different or names[:1]


def _check_lists(lists: Mapping[str, object], given: Mapping[str, Sequence[object]]) -> None:
    for name in lists:
        if name not in _NAMES:
            raise StrategyError(f"{name} is no list of a replay's grid: give {', '.join(_NAMES)}")
    for name, values in given.items():
        if not values:
            raise StrategyError(f"{name} is an empty list: give at least one value")
    if ("patience" in given) == ("stop_when" in given):
        which = "both patience and stop_when are" if "patience" in given else "neither patience nor stop_when is"
        raise StrategyError(f"{which} given: give one of them; a condition holds its patience, as in 'patience(3)'")
    count = math.prod(len(values) for values in given.values())
    if count > MOST_SETTINGS:
        sizes = " x ".join(f"{len(values)} {name}" for name, values in given.items())
        raise StrategyError(f"{sizes} make {count} settings, more than {MOST_SETTINGS}: give fewer values")


def _setting(monitor: str, mode: str | None, samples: object, cell: Mapping[str, object]) -> Setting:
    arguments = dict(cell)
    if arguments.get("smoothing") == "none":
        arguments["smoothing"] = None
    if samples is not None:
        arguments["samples"] = samples
    texts = {name: "none" if value is None else str(value) for name, value in cell.items()}
    return Setting(texts, StoppingRule.read(monitor, mode=mode, **arguments))
