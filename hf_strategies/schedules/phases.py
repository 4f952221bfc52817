"""The schedule ``phases``, which joins a list of phases; each follows a curve from one level to another."""

import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.lengths import read_span
from hf_strategies.schedules.decays import DECAYS
from hf_strategies.schedules.parameters import Clock, Parameter
from hf_strategies.schedules.plans import Multiplier
from hf_strategies.schedules.warmups import WARMUPS
from hf_strategies.values import number

__all__ = ["PHASES", "Phase"]

_KEYS = ("shape", "length", "start", "end")
_EXAMPLE = '[{"shape": "linear", "length": 0.1, "start": 0, "end": 1}, {"shape": "cosine", "end": 0}]'


@dataclass(frozen=True)
class Phase:
    """One phase: from step ``begin`` to step ``stop``, the curve ``shape`` leads from level ``start`` to ``end``.

    Levels are ratios of the peak. ``shape`` is the name of a warmup in a rising phase, else the name of a decay.
    ``parameters`` are the other parameters of that curve.
    """

    shape: str
    begin: int
    stop: int
    start: float
    end: float
    parameters: Mapping[str, Any]

    def curve(self) -> Callable[[float], float]:
        """Return the ratio of the peak as a function of the steps since ``begin``."""
        length = self.stop - self.begin
        if self.end > self.start:
            rise = partial(WARMUPS[self.shape].function, start=self.start / self.end, **self.parameters)
            return lambda step: self.end * rise(step / length)
        fall = partial(DECAYS[self.shape].function, **_decay_parameters(self))
        return lambda step: self.start * fall(step, length)


@dataclass(frozen=True)
class _PhaseList:
    """The parameter ``phases``: a list of mappings, or such a list as JSON text."""

    help: str = "list of phases, each with shape, length, start, end and the curve's own parameters"
    shown: str = "has to be given"

    def read(self, name: str, value: object, clock: Clock) -> tuple[Phase, ...]:
        """Check the list, and return its phases; without ``start``, a phase starts at the last level before it."""
        entries = _entries(name, value)
        stops = _stops(name, entries, clock)
        phases: list[Phase] = []
        level = 1.0
        for index, (entry, begin, stop) in enumerate(zip(entries, [0, *stops], stops, strict=False)):
            # A phase reads its parameters as a decay does; the steps before the phase count as its warmup.
            phase_clock = Clock(clock.total_steps, begin, clock.steps_per_epoch, stop)
            phases.append(_read_phase(f"{name}[{index}]", entry, phase_clock, level))
            level = phases[-1].curve()(stop - begin)
        return tuple(phases)

    def read_default(self, name: str, clock: Clock) -> tuple[Phase, ...]:
        """Raise `StrategyError`: there is no default."""
        raise StrategyError(f"{name} is missing: give a list such as {_EXAMPLE}")


@dataclass(frozen=True)
class _PhasesPlan:
    """The plan of the schedule ``phases``; a first phase that rises takes the place of ``warmup_steps``."""

    name: str = "phases"
    summary: str = "phases after one another, each a curve from one level to another, given as a list"
    formula: str = "rising: end * warmup(t; start/end);  falling: start * decay(s; end/start)"
    source: str = "optax.join_schedules; fairseq's tri-stage"
    has_warmup: bool = False
    default_warmup: float = 0.0

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The one parameter, the list of phases."""
        return {"phases": _PhaseList()}

    def multiplier(self, clock: Clock, values: Mapping[str, Any]) -> Multiplier:
        """Join the phases; the step at which two phases meet belongs to the later phase."""
        phases: tuple[Phase, ...] = values["phases"]
        begins = [phase.begin for phase in phases]
        curves = [phase.curve() for phase in phases]

        def joined(step: float) -> float:
            index = bisect_right(begins, step) - 1
            return curves[index](step - begins[index])

        return joined


PHASES = _PhasesPlan()


def _entries(name: str, value: object) -> Sequence[Mapping[str, Any]]:
    """Return the list of phases as the user wrote it, after a check that it is a list of mappings with text keys."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise StrategyError(f"{name}={value!r} is no JSON: give a list such as {_EXAMPLE}") from error
    is_list = isinstance(value, Sequence) and value and all(isinstance(entry, Mapping) for entry in value)
    if not is_list:
        raise StrategyError(f"{name}={value!r} is no list of phases: give one such as {_EXAMPLE}")
    _check_keys(name, value)  # type: ignore[arg-type]
    return value  # type: ignore[return-value]


def _check_keys(name: str, entries: Sequence[Mapping[Any, Any]]) -> None:
    for index, entry in enumerate(entries):
        for key in entry:
            if not isinstance(key, str):
                raise StrategyError(f"{name}[{index}] has the key {key!r}: give names in text, such as 'shape'")


def _stops(name: str, entries: Sequence[Mapping[str, Any]], clock: Clock) -> list[int]:
    """Return the last step of each phase; positions are rounded after they are summed, so that fractions add up."""
    position, stops = 0.0, []
    for index, entry in enumerate(entries):
        if "length" in entry:
            position += _exact_length(f"{name}[{index}].length", entry["length"], clock)
        elif index == len(entries) - 1:
            position = clock.total_steps
        else:
            raise StrategyError(f"{name}[{index}].length is missing: only the last phase may leave it out")
        stops.append(round(position))
    if stops[-1] != clock.total_steps:
        raise StrategyError(
            f"{name} cover {stops[-1]} of {clock.total_steps} steps: leave the last phase's length out, and it takes"
            " the rest"
        )
    for index, (begin, stop) in enumerate(zip([0, *stops], stops, strict=False)):
        if stop <= begin:
            raise StrategyError(f"{name}[{index}] has no step (from {begin} to {stop}): give it a longer length")
    return stops


def _exact_length(name: str, value: object, clock: Clock) -> float:
    """Return a length in steps; a fraction of the training is not rounded."""
    span = read_span(name, value)
    return span.amount * clock.total_steps if span.unit == "of training" else clock.steps(name, value)


def _read_phase(name: str, entry: Mapping[str, Any], clock: Clock, level: float) -> Phase:
    """Return the phase of an entry; ``clock`` has its first and last step, ``level`` is the default of ``start``."""
    shape = entry.get("shape")
    start = _level(f"{name}.start", entry.get("start", level))
    end = _level(f"{name}.end", entry.get("end", start if shape == "constant" else 0.0))
    table = WARMUPS if end > start else DECAYS
    known = sorted(set(table) - {"none"})
    if shape not in known:
        kind = "rising" if end > start else "falling"
        raise StrategyError(f"{name}.shape={shape!r} is no {kind} curve: {did_you_mean(str(shape), known)}")
    if shape == "constant" and end != start:
        raise StrategyError(f"{name}.end={end:g} with shape='constant' and start={start:g}: leave end out")
    given = {key: value for key, value in entry.items() if key not in _KEYS}
    rows = {key: row for key, row in table[shape].parameters.items() if key not in ("start", "min_lr_ratio")}
    for key in given:
        if key not in rows:
            raise StrategyError(f"{name} ({shape}) takes no {key!r}: {did_you_mean(key, [*rows, *_KEYS])}")
    values = {
        key: row.read(f"{name}.{key}", given[key], clock) if key in given else row.read_default(key, clock)
        for key, row in rows.items()
    }
    if end > start:
        table[shape].parameters["start"].read(f"{name}.start", start, clock)
    elif end == 0.0 < start:
        _check_reaches_0(name, shape, values)
    return Phase(shape, clock.warmup_steps, clock.warmup_steps + clock.decay_steps, start, end, values)


def _level(name: str, value: object) -> float:
    level = float(number(name, value))
    if not 0.0 <= level <= 1.0:
        raise StrategyError(f"{name}={value!r} is out of range: give a ratio of the peak in [0, 1]")
    return level


def _check_reaches_0(name: str, shape: str, values: Mapping[str, Any]) -> None:
    """Raise `StrategyError` for a phase that has to end at 0, on a curve that cannot reach 0."""
    without_gamma = shape == "exponential" and values["gamma"] is None
    if without_gamma or values.get("cooldown_shape") == "exponential":
        raise StrategyError(
            f"{name}.end=0 with an exponential fall, which never reaches 0: give {name}.end above 0, such as 0.01, or"
            " another curve"
        )


def _decay_parameters(phase: Phase) -> dict[str, Any]:
    """Return the parameters of a falling phase's curve, with the end of the phase as the floor."""
    if "min_lr_ratio" not in DECAYS[phase.shape].parameters:
        return dict(phase.parameters)
    return {**phase.parameters, "min_lr_ratio": phase.end / phase.start if phase.start else 0.0}
