"""Plans: what a schedule's name stands for before any number of steps is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from hf_strategies.schedules.curve import Curve
from hf_strategies.schedules.parameters import Clock, Parameter

__all__ = ["FunctionPlan", "Multiplier", "Plan", "WarmupDecayPlan"]

Multiplier = Callable[[float], float]


class Plan(Protocol):
    """What a schedule's name stands for."""

    @property
    def name(self) -> str:
        """The name in ``lr_scheduler_type``."""

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The parameters by the names that users give."""

    @property
    def summary(self) -> str:
        """What it does, in a line."""

    @property
    def formula(self) -> str:
        """How it is computed."""

    @property
    def source(self) -> str:
        """Where it comes from."""

    @property
    def has_warmup(self) -> bool:
        """Whether ``warmup_steps`` may be above 0."""

    @property
    def default_warmup(self) -> float:
        """The fraction of training that stands for ``warmup_steps=0``."""

    def multiplier(self, clock: Clock, values: Mapping[str, Any]) -> Multiplier:
        """Return the function of the step, for 0 <= step <= total steps, from parameters that were read."""


@dataclass(frozen=True)
class WarmupDecayPlan:
    """A warmup curve and a decay curve, joined where the warmup ends.

    ``defaults`` replace defaults of the parameters.
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
        own = {_prefixed(key): row for key, row in self.warmup.parameters.items()} | dict(self.decay.parameters)
        return own | dict(self.defaults)

    @property
    def summary(self) -> str:
        """What it does, in a line."""
        if self.own_summary or not self.has_warmup:
            return self.own_summary or self.decay.summary
        return f"{self.warmup.summary}, then {self.decay.summary}"

    @property
    def formula(self) -> str:
        """How warmup and decay are computed."""
        if not self.has_warmup:
            return self.decay.formula
        return f"warmup: {self.warmup.formula};  decay: {self.decay.formula}"

    @property
    def source(self) -> str:
        """Where the two curves come from."""
        return self.own_source or "; ".join(part for part in (self.warmup.source, self.decay.source) if part)

    @property
    def has_warmup(self) -> bool:
        """Whether it rises before it falls."""
        return self.warmup.name != "none"

    @property
    def warmup_end(self) -> float:
        """The value of the warmup's curve at its end, with the default parameters."""
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
    """A whole schedule as one function ``f(step, total_steps=, warmup_steps=, **parameters)``."""

    name: str
    function: Callable[..., float]
    parameters: Mapping[str, Parameter]
    summary: str = ""
    formula: str = ""
    source: str = ""
    has_warmup: bool = True
    default_warmup: float = 0.0

    def multiplier(self, clock: Clock, values: Mapping[str, Any]) -> Multiplier:
        """Bind the function to the lengths and the parameters."""
        return partial(self.function, total_steps=clock.total_steps, warmup_steps=clock.warmup_steps, **values)


def _prefixed(parameter: str) -> str:
    return f"warmup_{parameter}"
