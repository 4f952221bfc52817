"""The names: every warmup crossed with every decay, whole schedules, and what users add to them."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from types import MappingProxyType

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.schedules.curve import Curve
from hf_strategies.schedules.decays import DECAY_ROWS
from hf_strategies.schedules.parameters import Real
from hf_strategies.schedules.phases import PHASES
from hf_strategies.schedules.plans import Plan, WarmupDecayPlan
from hf_strategies.schedules.plateau_cooldown import plateau_cooldown
from hf_strategies.schedules.warmups import WARMUP_ROWS

__all__ = [
    "ENTRY_POINTS",
    "RESERVED_PARAMETERS",
    "SCHEDULES",
    "TRANSFORMERS_NAMES",
    "add_plans",
    "find_plan",
    "load_entry_points",
    "new_pairs",
    "on_new",
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
"""Values, and members' names in lower case, of transformers' own `SchedulerType`, which need not be loaded for it."""

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
"""Arguments of `schedule`, of `ScheduleLR` and of transformers, which take such a value first."""


ENTRY_POINTS = "hf_strategies.schedules"
"""The group of entry points by which other packages contribute: each names a function that registers."""

_plans: dict[str, Plan] = {}
_listeners: list[Callable[[], None]] = []
_loaded: set[tuple[str, str, str]] = set()

SCHEDULES: Mapping[str, Plan] = MappingProxyType(_plans)


def find_plan(name: str) -> Plan:
    """Look up what a name stands for; an unknown one raises `StrategyError` with near matches.

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


def crossed(warmup: Curve, decay: Curve) -> WarmupDecayPlan:
    """Name a pair ``{warmup}_warmup_{decay}_decay``, or ``{decay}_decay`` without warmup."""
    prefix = "" if warmup.name == "none" else f"{warmup.name}_warmup_"
    return WarmupDecayPlan(f"{prefix}{decay.name}_decay", warmup, decay)


def new_pairs(warmup: Curve | None = None, decay: Curve | None = None) -> list[Plan]:
    """Cross a new warmup with all decays and the plateau's cooldown, or a new decay with all warmups."""
    if warmup is not None:
        return [*(crossed(warmup, other) for other in DECAY_ROWS.values()), plateau_cooldown(warmup)]
    return [crossed(other, decay) for other in WARMUP_ROWS.values() if decay is not None]


def add_plans(plans: list[Plan], *, warmup: Curve | None = None, decay: Curve | None = None) -> None:
    """Enter plans, and the curve that they came from, all or none; those who listen are told.

    Raises `StrategyError` when a name is taken. A listener that refuses (transformers may own a name) undoes it.
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
        _tell()


def _tell() -> None:
    for listener in _listeners:
        listener()


@contextmanager
def _all_or_none() -> Iterator[None]:
    """Put the tables back as they were if anything fails."""
    before = [(table, dict(table)) for table in (_plans, WARMUP_ROWS, DECAY_ROWS)]
    try:
        yield
    except BaseException:
        for table, entries in before:
            table.clear()
            table.update(entries)  # type: ignore[arg-type]
        raise


@contextmanager
def _untold() -> Iterator[None]:
    """Tell nobody of new names in between: transformers cannot be made to forget a name."""
    waiting = _listeners[:]
    _listeners.clear()
    try:
        yield
    finally:
        _listeners[:0] = waiting


def on_new(listener: Callable[[], None]) -> None:
    """Have ``listener`` called whenever names were added."""
    _listeners.append(listener)


def load_entry_points() -> None:
    """Let installed packages contribute, once each: every entry point of the group is loaded and called."""
    for entry in metadata.entry_points(group=ENTRY_POINTS):
        # Two packages may give their entry points the same name.
        key = (entry.dist.name if entry.dist else "", entry.name, entry.value)
        if key not in _loaded:
            _loaded.add(key)
            _contribute(entry)


def _contribute(entry: metadata.EntryPoint) -> None:
    try:
        with _all_or_none():
            with _untold():
                entry.load()()
            _tell()
    except Exception as mistake:
        # Only a warning: a broken package must not keep everybody from training.
        warnings.warn(
            f"entry point {entry.name!r} ({entry.value}) of group {ENTRY_POINTS!r} fails and adds no schedule:"
            f" {mistake!r}. Mend or uninstall the package that has it.",
            stacklevel=4,
        )


def _built_in() -> Iterator[Plan]:
    for warmup in WARMUP_ROWS.values():
        for decay in DECAY_ROWS.values():
            yield crossed(warmup, decay)
    for warmup in WARMUP_ROWS.values():
        yield plateau_cooldown(warmup)
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
        own_source="Smith & Topin 2018, arXiv:1708.07120; torch.optim.lr_scheduler.OneCycleLR",
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
    yield PHASES


_plans.update({plan.name: plan for plan in _built_in()})
