"""All schedules by name: every warmup with every decay, whole schedules, and those that users register."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from types import MappingProxyType

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.schedules.decays import DECAY_ROWS
from hf_strategies.schedules.parameters import Real
from hf_strategies.schedules.phases import PHASES
from hf_strategies.schedules.plans import Curve, Plan, WarmupDecayPlan
from hf_strategies.schedules.plateau_cooldown import plateau_cooldown
from hf_strategies.schedules.warmups import WARMUP_ROWS

__all__ = [
    "ENTRY_POINTS",
    "RESERVED_PARAMETERS",
    "SCHEDULES",
    "TRANSFORMERS_NAMES",
    "add_listener",
    "add_plans",
    "find_plan",
    "load_entry_points",
    "new_pairs",
]


TRANSFORMERS_NAMES = (
    "constant",
    "constant_with_warmup",
    "cosine",
    "cosine_warmup_with_min_lr",
    "cosine_with_min_lr",
    "cosine_with_restarts",
    "greedy",
    "inverse_sqrt",
    "linear",
    "polynomial",
    "reduce_lr_on_plateau",
    "reduce_on_plateau",
    "warmup_stable_decay",
)
"""The names that transformers has already: the values and the member names, in lower case, of its `SchedulerType`.

They are copied, so that transformers need not be imported.
"""

RESERVED_PARAMETERS = (
    "last_epoch",
    "min_lr",
    "name",
    "num_training_steps",
    "num_warmup_steps",
    "on_extend",
    "optimizer",
    "steps_per_epoch",
    "total_steps",
    "warmup_steps",
)
"""Names that no parameter of a curve may have, because they are arguments of functions that pass parameters on.

These functions are `schedule`, `ScheduleLR` and those of transformers.
"""


ENTRY_POINTS = "hf_strategies.schedules"
"""The group of entry points of packages that add schedules; each names a function that calls ``register_...``."""

_plans: dict[str, Plan] = {}
_listeners: list[Callable[[], None]] = []
_called: set[tuple[str, str, str]] = set()  # entry points: the package, the name, the function

SCHEDULES: Mapping[str, Plan] = MappingProxyType(_plans)
"""The plans of all schedules by name."""


def find_plan(name: str) -> Plan:
    """Return the plan of a schedule's name; raises `StrategyError`, with near matches, for an unknown name.

    >>> find_plan("exponential_warmup_step_decay").source.split(";")[0]
    "log-linear annealing, as fastai's SchedExp"
    """
    if not isinstance(name, str):
        raise StrategyError(f"schedule name {name!r} is no text: give a name such as 'cosine_decay'")
    if name not in _plans:
        load_entry_points()
    if name not in _plans:
        raise StrategyError(f"unknown schedule {name!r}: {did_you_mean(str(name), _plans)}")
    return _plans[name]


def _pair(warmup: Curve, decay: Curve) -> WarmupDecayPlan:
    """Return the plan ``{warmup}_warmup_{decay}_decay``, or ``{decay}_decay`` for the warmup ``none``."""
    prefix = "" if warmup.name == "none" else f"{warmup.name}_warmup_"
    return WarmupDecayPlan(f"{prefix}{decay.name}_decay", warmup, decay)


def new_pairs(warmup: Curve | None = None, decay: Curve | None = None) -> list[Plan]:
    """Return the plans that a new warmup or a new decay adds.

    A warmup is paired with every decay and with the plateau cooldown, a decay with every warmup.
    """
    if warmup is not None:
        return [*(_pair(warmup, other) for other in DECAY_ROWS.values()), plateau_cooldown(warmup)]
    return [_pair(other, decay) for other in WARMUP_ROWS.values() if decay is not None]


def add_plans(plans: list[Plan], *, warmup: Curve | None = None, decay: Curve | None = None) -> None:
    """Add plans, and the curve that they come from, to the tables, and call every listener.

    Raises `StrategyError` when a name is taken. If a listener raises an exception, for example because transformers
    owns a name, nothing is added.
    """
    for plan in plans:
        if plan.name in _plans:
            raise StrategyError(f"schedule name {plan.name!r} is taken: choose another name")
        if plan.name in TRANSFORMERS_NAMES:
            raise StrategyError(f"schedule name {plan.name!r} belongs to transformers: choose another name")
    with _all_or_none():
        _plans.update({plan.name: plan for plan in plans})
        WARMUP_ROWS.update({warmup.name: warmup} if warmup else {})
        DECAY_ROWS.update({decay.name: decay} if decay else {})
        _call_listeners()


def _call_listeners() -> None:
    for listener in _listeners:
        listener()


@contextmanager
def _all_or_none() -> Iterator[None]:
    """Restore the tables of plans, warmups and decays if the body of the ``with`` statement fails."""
    copies = [(table, dict(table)) for table in (_plans, WARMUP_ROWS, DECAY_ROWS)]
    try:
        yield
    except BaseException:
        for table, entries in copies:
            table.clear()
            table.update(entries)  # type: ignore[arg-type]
        raise


@contextmanager
def _without_listeners() -> Iterator[None]:
    """Call no listener in the body of the ``with`` statement, even if it adds names.

    A listener makes new names known to transformers, which cannot remove a name again. The listeners are therefore
    called only after all names of a package are added.
    """
    paused = _listeners[:]
    _listeners.clear()
    try:
        yield
    finally:
        _listeners[:0] = paused


def add_listener(listener: Callable[[], None]) -> None:
    """Call ``listener`` from now on each time that names are added."""
    _listeners.append(listener)


def load_entry_points() -> None:
    """Load and call the entry points of installed packages in the group `ENTRY_POINTS`, each once per process."""
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        # The package is part of the key, because two packages may give their entry points the same name.
        key = (entry.dist.name if entry.dist else "", entry.name, entry.value)
        if key not in _called:
            _called.add(key)
            _call(entry)


def _call(entry: metadata.EntryPoint) -> None:
    """Load and call an entry point; if it fails, none of its names is added, and a warning reports the failure."""
    try:
        with _all_or_none():
            with _without_listeners():
                entry.load()()
            _call_listeners()
    except Exception as error:
        # A warning and no error: a broken package must not prevent every training on the machine.
        warnings.warn(
            f"entry point {entry.name!r} ({entry.value}) of group {ENTRY_POINTS!r} fails and adds no schedule:"
            f" {error!r}. Mend or uninstall the package that has it.",
            stacklevel=4,
        )


def _built_in() -> Iterator[Plan]:
    """Yield the built-in plans."""
    for warmup in WARMUP_ROWS.values():
        for decay in DECAY_ROWS.values():
            yield _pair(warmup, decay)
    for warmup in WARMUP_ROWS.values():
        yield plateau_cooldown(warmup)
    yield from _published()
    yield PHASES


def _published() -> Iterator[Plan]:
    """Yield the pairs of a warmup and a decay that are known under a name of their own, with its defaults if any."""
    yield WarmupDecayPlan(
        "one_cycle",
        WARMUP_ROWS["cosine"],
        DECAY_ROWS["cosine"],
        default_warmup=0.3,
        defaults={
            "warmup_start": Real(1 / 25, 0.0, 1.0, "ratio of the peak at the first update (1 / div_factor)"),
            "min_lr_ratio": Real(4e-6, 0.0, 1.0, "floor, as a ratio of the peak (1 / div_factor / final_div_factor)"),
        },
        own_summary="one cosine up over 0.3 of the training, unless warmup_steps is given, and one down",
        own_source="Smith & Topin 2018, arXiv:1708.07120; equal to optax.cosine_onecycle_schedule. torch's OneCycleLR"
        " ends one step earlier: up to 24 % of the peak apart at 10 steps, 3 % at 100, 0.3 % at 1,000",
    )
    yield WarmupDecayPlan(
        "slanted_triangular",
        WARMUP_ROWS["linear"],
        DECAY_ROWS["linear"],
        default_warmup=0.1,
        defaults={
            "warmup_start": Real(1 / 32, 0.0, 1.0, "ratio of the peak at the first update (1 / ratio)"),
            "min_lr_ratio": Real(1 / 32, 0.0, 1.0, "floor, as a ratio of the peak (1 / ratio)"),
        },
        own_summary="a straight line up over 0.1 of the training, unless warmup_steps is given, and one down",
        own_source="Howard & Ruder 2018, arXiv:1801.06146 (ULMFiT)",
    )
    yield WarmupDecayPlan(
        "wsd",
        WARMUP_ROWS["linear"],
        DECAY_ROWS["stable"],
        own_summary="short for linear_warmup_stable_decay (warmup-stable-decay)",
    )


_plans.update({plan.name: plan for plan in _built_in()})
