"""Curves, and plans: the definitions of schedules by name, before any number of steps is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from hf_strategies.schedules.parameters import Clock, Parameter

__all__ = ["Curve", "FunctionPlan", "Multiplier", "Plan", "WarmupDecayPlan", "lift"]


@dataclass(frozen=True)
class Curve:
    """A named curve, one row of the table of warmups or of decays.

    The ``function`` of a warmup takes ``t``, the fraction of the warmup that is done: 0 at the first update, 1 at
    the end of the warmup. The ``function`` of a decay takes ``step``, the optimizer steps since the end of the
    warmup, and ``steps``, the length of the decay (0 <= step <= steps). Both take the parameters as keyword
    arguments and return the ratio of the peak learning rate.

    ``golden`` is a test case worked out by hand: positional arguments, parameters, and the value to return.
    ``check`` raises `StrategyError` for parameters that are valid one by one but contradict each other.
    """

    name: str
    function: Callable[..., float]
    parameters: Mapping[str, Parameter]
    summary: str
    formula: str
    source: str
    golden: tuple[tuple[float, ...], Mapping[str, Any], float] | None = None
    check: Callable[[Mapping[str, Any]], None] | None = None


def lift(shape: float, floor: float) -> float:
    """Map ``shape`` from [0, 1] to [``floor``, 1]: ``shape + floor * (1 - shape)``, exact at both ends.

    >>> lift(0.5, 0.2)
    0.6
    """
    return shape + floor * (1.0 - shape)


Multiplier = Callable[[float], float]
"""A function of the optimizer step that returns the ratio of the peak learning rate."""


class Plan(Protocol):
    """The definition of a schedule."""

    @property
    def name(self) -> str:
        """The schedule's name, as in ``lr_scheduler_type``."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The parameters by the names that users give."""

    @property
    def summary(self) -> str:
        """What the schedule does, in one line."""

    @property
    def formula(self) -> str:
        """How the ratio of the peak is computed."""

    @property
    def source(self) -> str:
        """The paper or the library that the schedule comes from."""

    @property
    def has_warmup(self) -> bool:
        """Whether ``warmup_steps`` may be above 0."""

    @property
    def default_warmup(self) -> float:
        """The warmup, as a fraction of training, that ``warmup_steps=0`` selects."""

    def multiplier(self, clock: Clock, values: Mapping[str, Any]) -> Multiplier:
        """Return the function for 0 <= step <= total steps; ``values`` are the parameters after `Parameter.read`."""


@dataclass(frozen=True)
class WarmupDecayPlan:
    """A warmup curve and a decay curve, joined where the warmup ends.

    ``defaults`` replace parameters of the curves, in order to give them other defaults. ``own_summary`` and
    ``own_source`` replace the texts that are put together from the two curves.
    """

    name: str
    warmup: Curve
    decay: Curve
    default_warmup: float = 0.0
    defaults: Mapping[str, Parameter] = field(default_factory=dict)
    own_summary: str = ""
    own_source: str = ""

    @property
    def parameters(self) -> dict[str, Parameter]:
        """All parameters by the names that users give; those of the warmup begin with ``warmup_``."""
        warmup = {_prefixed(key): row for key, row in self.warmup.parameters.items()}
        return warmup | dict(self.decay.parameters) | dict(self.defaults)

    @property
    def summary(self) -> str:
        """What the schedule does, in one line."""
        if self.own_summary or not self.has_warmup:
            return self.own_summary or self.decay.summary
        return f"{self.warmup.summary}, then {self.decay.summary}"

    @property
    def formula(self) -> str:
        """The formulas of the warmup and of the decay."""
        if not self.has_warmup:
            return self.decay.formula
        return f"warmup: {self.warmup.formula};  decay: {self.decay.formula}"

    @property
    def source(self) -> str:
        """The papers or libraries that the two curves come from."""
        return self.own_source or "; ".join(part for part in (self.warmup.source, self.decay.source) if part)

    @property
    def has_warmup(self) -> bool:
        """Whether there is a warmup curve other than ``none``."""
        return self.warmup.name != "none"

    @property
    def warmup_end(self) -> float:
        """The value of the warmup curve at its end, with the default parameters."""
        clock = Clock(total_steps=2, warmup_steps=1)
        values = {key: row.read_default(key, clock) for key, row in self.warmup.parameters.items()}
        return self.warmup.function(1.0, **values)

    def multiplier(self, clock: Clock, values: Mapping[str, Any]) -> Multiplier:
        """Join the two curves at the end of the warmup."""
        if self.decay.check is not None:
            self.decay.check(values)
        rise = partial(self.warmup.function, **{key: values[_prefixed(key)] for key in self.warmup.parameters})
        fall = partial(self.decay.function, **{key: values[key] for key in self.decay.parameters})
        warmup, decay_steps = clock.warmup_steps, clock.decay_steps

        def joined(step: float) -> float:
            return rise(step / warmup) if step < warmup else fall(step - warmup, decay_steps)

        return joined


@dataclass(frozen=True)
class FunctionPlan:
    """A whole schedule as one function: ``function(step, total_steps=..., warmup_steps=..., **parameters)``."""

    name: str
    function: Callable[..., float]
    parameters: Mapping[str, Parameter]
    summary: str = ""
    formula: str = ""
    source: str = ""
    has_warmup: bool = True
    default_warmup: float = 0.0

    def multiplier(self, clock: Clock, values: Mapping[str, Any]) -> Multiplier:
        """Return the function with the lengths and the parameters bound."""
        return partial(self.function, total_steps=clock.total_steps, warmup_steps=clock.warmup_steps, **values)


def _prefixed(parameter: str) -> str:
    return f"warmup_{parameter}"
