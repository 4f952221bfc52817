"""The space of a search: a YAML file with a row for each flag that is searched, checked before anything runs.

A row has a kind. The rows below an option of a choice are searched only where that option is chosen::

    learning_rate: {float: [1e-5, 1e-3], log: true}
    num_train_epochs: {int: [2, 6]}
    per_device_train_batch_size: {choice: [16, 32]}
    lr_scheduler_type:
      choice:
        linear:
        exponential_warmup_step_decay:
          gamma: {float: [0.1, 0.9]}
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.flag_file import read_mapping
from hf_strategies.presets import PRESETS
from hf_strategies.schedules import SCHEDULES
from hf_strategies.schedules.parameters import Clock
from hf_strategies.schedules.registry import load_entry_points
from hf_strategies.schedules.stock import ADAPTIVE, STOCK, find_any_plan

__all__ = ["Option", "Row", "Space", "Suggest", "read_space"]

_SCHEDULE, _PARAMETERS = "lr_scheduler_type", "lr_scheduler_kwargs"
_KINDS = ("float", "int", "choice")
_WORDS = {"float": {"float", "log", "step"}, "int": {"int", "log", "step"}, "choice": {"choice"}}
_LONG = Clock(total_steps=1_000_000, warmup_steps=1_000, steps_per_epoch=1_000)  # any length in steps fits in
# A trial has a folder of its own, is begun anew when it was interrupted, and has to have a value.
_FIXED = {
    "output_dir", "overwrite_output_dir", "resume_from_checkpoint", "config", "recipe", "do_train", "do_eval",
    "do_predict", "find_lr", "push_to_hub",
}  # fmt: skip


class Suggest(Protocol):
    """What a space asks for the values; a trial of Optuna is one."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a number of [low, high]."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return a whole number of [low, high]."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Return one of the choices."""


@dataclass(frozen=True)
class Option:
    """One option of a choice: its value, the settings that come with it, and the rows that only it has."""

    value: Any
    settings: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple["Row", ...] = ()


@dataclass(frozen=True)
class Row:
    """One parameter of a space.

    ``name`` is its name among the parameters of a trial: that of the flag, with the option before it below a choice.
    ``flag`` is the flag, or the parameter of the schedule if ``of_schedule``. A ``choice`` has ``options``, the other
    kinds ``low``, ``high`` and perhaps a ``step``.
    """

    name: str
    flag: str
    kind: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    options: tuple[Option, ...] = ()
    of_schedule: bool = False

    def add_to(self, settings: dict[str, Any], suggest: Suggest) -> None:
        """Ask for the value of this row, and for those below the option that is chosen; add them to the settings."""
        if self.kind != "choice":
            self._put(settings, self._number(suggest))
            return
        texts = [str(option.value) for option in self.options]
        chosen = self.options[texts.index(suggest.suggest_categorical(self.name, texts))]
        settings |= chosen.settings
        if self.flag not in chosen.settings:
            self._put(settings, chosen.value)
        for row in chosen.rows:
            row.add_to(settings, suggest)

    def _put(self, settings: dict[str, Any], value: Any) -> None:
        if self.of_schedule:
            settings.setdefault(_PARAMETERS, {})[self.flag] = value
        elif value is not None:
            settings[self.flag] = value

    def _number(self, suggest: Suggest) -> float:
        if self.kind == "int":
            step = int(self.step or 1)
            return suggest.suggest_int(self.name, int(self.low), int(self.high), step=step, log=self.log)
        return suggest.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)

    def description(self) -> dict[str, Any]:
        """Return all that a resumed search has to have in common with this row, as JSON."""
        if self.kind != "choice":
            return {self.kind: [self.low, self.high], "log": self.log, "step": self.step}
        below = {str(each.value): {row.flag: row.description() for row in each.rows} for each in self.options}
        return {"choice": below, "settings": {str(each.value): dict(each.settings) for each in self.options}}


@dataclass(frozen=True)
class Space:
    """The rows of a space file."""

    file: str
    rows: tuple[Row, ...]

    def settings(self, suggest: Suggest) -> dict[str, Any]:
        """Return the flags of one trial; the parameters of a schedule are in ``lr_scheduler_kwargs``."""
        settings: dict[str, Any] = {}
        for row in self.rows:
            row.add_to(settings, suggest)
        return settings

    def corners(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the settings at both bounds of each row, and at each option, with the name of the row.

        The other rows have their lower bound or their first option.
        """
        for name, chosen in _ends(self.rows, {}):
            yield name, self.settings(_Corner(chosen))

    def all_rows(self) -> Iterator[Row]:
        """Yield every row, those below an option after the row of the option."""
        waiting = list(self.rows)
        while waiting:
            row = waiting.pop(0)
            yield row
            waiting = [inner for option in row.options for inner in option.rows] + waiting

    def description(self) -> dict[str, Any]:
        """Return what a resumed search has to have in common with this space, as JSON."""
        return {row.flag: row.description() for row in self.rows}


class _Corner:
    """Suggests the values given, and else the lower bound or the first option."""

    def __init__(self, chosen: Mapping[str, Any]) -> None:
        self._chosen = chosen

    def suggest_float(self, name: str, low: float, *_: Any, **__: Any) -> float:
        return float(self._chosen.get(name, low))

    def suggest_int(self, name: str, low: int, *_: Any, **__: Any) -> int:
        return int(self._chosen.get(name, low))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._chosen.get(name, choices[0])


def _ends(rows: tuple[Row, ...], above: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield both ends of each row and each option, with the options above them."""
    for row in rows:
        values: list[Any] = [str(option.value) for option in row.options] or [row.low, row.high]
        yield from ((row.name, {**above, row.name: value}) for value in values)
        for option in row.options:
            yield from _ends(option.rows, {**above, row.name: str(option.value)})


def read_space(file: str, schedule: str | None = None) -> Space:
    """Read a space file; ``schedule`` is that of the task, for rows of its parameters in ``lr_scheduler_kwargs``.

    Raises `StrategyError`, which names the row, for a row that cannot be searched: no kind or an unknown one, a lower
    bound that is not below the upper one, ``log`` with a bound that is not above 0, an unknown schedule or preset, a
    parameter that the schedule does not have or that refuses the bounds.
    """
    load_entry_points()
    entries = read_mapping(file, "--space")
    if not entries:
        raise StrategyError(f"--space {file} has no row: give one such as learning_rate: {{float: [1e-5, 1e-3]}}")
    reader = _Reader(file)
    rows: list[Row] = []
    for flag, entry in entries.items():
        if flag == _PARAMETERS:
            if _SCHEDULE in entries:
                raise reader.mistake(flag, f"stands beside {_SCHEDULE}: write the parameters below their schedule")
            rows += reader.parameters("", _mapping(reader, flag, entry), schedule or "linear")
        else:
            rows.append(reader.row("", flag, entry))
    return Space(file, tuple(rows))


def _mapping(reader: "_Reader", name: str, entry: Any) -> Mapping[Any, Any]:
    if not isinstance(entry, dict):
        raise reader.mistake(name, f"is {entry!r}: give rows, a line each")
    return entry


class _Reader:
    """Reads the rows of one file."""

    def __init__(self, file: str) -> None:
        self._file = file

    def mistake(self, name: object, what: str) -> StrategyError:
        """Return the error for a row."""
        return StrategyError(f"--space {self._file}: row {name!s} {what}")

    def row(self, prefix: str, flag: object, entry: Any, *, of_schedule: bool = False) -> Row:
        """Read one row; ``prefix`` is the option above it, with a dot."""
        name = f"{prefix}{flag}"
        if not isinstance(flag, str) or flag in _FIXED:
            raise self.mistake(name, "cannot be searched: leave it out")
        entry = _mapping(self, name, entry)
        kinds = [kind for kind in _KINDS if kind in entry]
        if len(kinds) != 1:
            kinds_known = ", ".join(_KINDS)
            raise self.mistake(name, f"needs one kind of {kinds_known}: give such as {{float: [0.1, 0.5]}}")
        kind = kinds[0]
        for word in entry:
            if word not in _WORDS[kind]:
                raise self.mistake(name, f"has an unknown entry {word!r}: {did_you_mean(str(word), _WORDS[kind])}")
        if kind == "choice":
            options = self._options(name, flag, entry[kind])
            return Row(name, flag, kind, options=options, of_schedule=of_schedule)
        return self._number(name, flag, kind, entry, of_schedule)

    def _number(self, name: str, flag: str, kind: str, entry: Mapping[str, Any], of_schedule: bool) -> Row:
        bounds, log, step = entry[kind], entry.get("log", False), entry.get("step")
        types = (int,) if kind == "int" else (int, float)
        if not isinstance(bounds, list) or len(bounds) != 2 or not all(_is_number(each, types) for each in bounds):
            what = "whole numbers" if kind == "int" else "numbers"
            raise self.mistake(name, f"has {kind}: {bounds!r}: give two {what}, [low, high]")
        low, high = bounds
        if low >= high:
            raise self.mistake(name, f"has low {low!r}, which is not below high {high!r}: give [low, high]")
        if not isinstance(log, bool):
            raise self.mistake(name, f"has log: {log!r}: give true or false")
        if log and low <= 0:
            raise self.mistake(name, f"has log: true with low {low!r}: give a low above 0, or leave log out")
        if step is not None and (log or not _is_number(step, types) or step <= 0 or step > high - low):
            raise self.mistake(name, f"has step: {step!r}: give one above 0 and up to {high - low:g}, without log")
        return Row(name, flag, kind, low, high, log, step, of_schedule=of_schedule)

    def _options(self, name: str, flag: str, entry: Any) -> tuple[Option, ...]:
        below = dict.fromkeys(entry) if isinstance(entry, list) and _are_hashable(entry) else entry
        if not isinstance(below, dict) or not below or (isinstance(entry, list) and len(below) < len(entry)):
            raise self.mistake(name, f"has choice: {entry!r}: give a list of different values, or a mapping of them")
        return tuple(self._option(name, flag, value, rows or {}) for value, rows in below.items())

    def _option(self, name: str, flag: str, value: Any, below: Any) -> Option:
        rows = _mapping(self, f"{name}: {value}", below)
        if flag == _SCHEDULE:
            return Option(value, {}, self._below_schedule(name, value, rows))
        settings = self._strategy(name, str(value)) if flag == "strategy" else {}
        return Option(value, settings, tuple(self.row(f"{value}.", key, row) for key, row in rows.items()))

    def _strategy(self, name: str, value: str) -> dict[str, Any]:
        """Return the settings of a strategy that is a YAML file of flags; a preset has its name alone."""
        if value in PRESETS:
            return {}
        if not value.endswith((".yaml", ".yml")):
            raise self.mistake(name, f"has no preset {value!r}, nor a YAML file: {did_you_mean(value, PRESETS)}")
        return {"strategy": None} | read_mapping(value, f"--space {self._file}: row {name}")

    def _below_schedule(self, name: str, schedule: Any, rows: Mapping[Any, Any]) -> tuple[Row, ...]:
        known = {*SCHEDULES, *STOCK, *ADAPTIVE}
        if schedule not in known:
            near = did_you_mean(str(schedule), known)
            raise self.mistake(name, f"has no schedule {schedule!r}: {near}")
        if not rows or schedule in ADAPTIVE:
            return tuple(self.row(f"{schedule}.", key, row) for key, row in rows.items())
        parameters = find_any_plan(schedule).parameters
        flags = {key: row for key, row in rows.items() if key not in parameters and key == "warmup_steps"}
        own = self.parameters(f"{schedule}.", {key: row for key, row in rows.items() if key not in flags}, schedule)
        return (*own, *(self.row(f"{schedule}.", key, row) for key, row in flags.items()))

    def parameters(self, prefix: str, rows: Mapping[Any, Any], schedule: str) -> tuple[Row, ...]:
        """Read the rows of the parameters of a schedule, and let it check their bounds and options."""
        known = find_any_plan(schedule).parameters
        read = []
        for key, entry in rows.items():
            if key not in known:
                near = did_you_mean(str(key), known)
                raise self.mistake(f"{prefix}{key}", f"is no parameter of {schedule!r}: {near}")
            row = self.row(prefix, key, entry, of_schedule=True)
            values = [option.value for option in row.options] if row.options else [row.low, row.high]
            for value in values:
                self._check(row, known[key], value)
            read.append(row)
        return tuple(read)

    def _check(self, row: Row, parameter: Any, value: Any) -> None:
        try:
            parameter.read(row.flag, value, _LONG)
        except StrategyError as mistake:
            raise self.mistake(row.name, f"does not fit: {mistake}") from None


def _is_number(value: object, types: tuple[type, ...]) -> bool:
    return isinstance(value, types) and not isinstance(value, bool) and math.isfinite(value)  # type: ignore[arg-type]


def _are_hashable(values: list[Any]) -> bool:
    return all(isinstance(value, str | int | float | None) for value in values)
