"""What a callback has done in a training: its record in `trainer_state.json`, and its ``result`` in Python.

Each callback has one record under ``stateful_callbacks`` in the Trainer's state, and so in the `trainer_state.json`
of each checkpoint and of the output folder. Its key depends on the callback's class alone:

- ``early_stopping``, of `EarlyStopping`: ``settings``, the rule as text, with its parts ``monitor``, ``mode`` and
  ``criterion``; ``stopped``, whether the rule has ended training, at ``stop_step``, ``stop_epoch`` and
  ``stop_value``; ``reason``, a sentence; ``best_step``, ``best_epoch`` and ``best_value`` of the best evaluation;
  ``values``, all evaluations of the metric, and ``evaluations``, their number; ``evaluations_since_best``;
  ``wall_seconds`` of training; ``restored_best_weights``; ``trained_on_after``, the step up to which stops are
  ignored, if there is one.
- ``plateau_cooldown``, of `PlateauCooldown`: ``settings``, ``monitor``, ``mode``, ``criterion``, ``stopped``,
  ``stop_step``, ``reason`` and ``restored_best_weights`` as above; ``phase`` (``hold``, ``cooldown``, ``over``);
  ``trigger`` (``plateau``, ``budget``) and ``why``; ``cooldown_start`` and ``cooldown_end``; ``drops``, the plateaus
  of ``stages``; ``cooldown_shape``, ``min_lr_ratio`` and ``factor``, from which the learning rate follows;
  ``budget``, the planned steps; ``candidates``, the kinds, steps and values of the weights that could
  be kept, and ``kept``, the kind of those that are; ``best_step``, ``best_epoch`` and ``best_value`` of these;
  ``rewound_to``; and for a resumed run ``after_step``, ``earliest_start`` and ``skipped_at_start``.
- ``reduce_on_plateau``, of `ReduceOnPlateau`: ``settings``, ``monitor``, ``mode``, ``patience``, ``factor`` and
  ``min_lr_ratio``; ``stalls``, the steps of the reductions; if the settings were changed on resume, ``after_step``,
  up to which evaluations do not count, and ``past``, the factors, numbers and floors of the reductions before.
- ``weight_averaging``, of `WeightAveraging`: ``average``, ``lengths`` and ``start_from``, the settings; ``start``,
  the step after which the average begins; ``updates``, the number of averaged steps up to ``step``; ``is_final``,
  whether the average was left in the model when training ended.

A second callback of the same class has the key with ``_2`` behind it, and so on. The records of metrics have
``measured_on`` if the weights that were evaluated were averaged ones.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "EARLY_STOPPING",
    "PLATEAU_COOLDOWN",
    "REDUCE_ON_PLATEAU",
    "WEIGHT_AVERAGING",
    "AveragingResult",
    "CooldownResult",
    "ReductionResult",
    "StoppingResult",
    "records_of",
]

EARLY_STOPPING = "early_stopping"
PLATEAU_COOLDOWN = "plateau_cooldown"
REDUCE_ON_PLATEAU = "reduce_on_plateau"
WEIGHT_AVERAGING = "weight_averaging"


def records_of(name: str, callbacks: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Return the records of the callbacks of one class, by their keys; ``name`` is the key of the first.

    ``callbacks`` are all records, the ``stateful_callbacks`` of a `trainer_state.json`; None for no records.

    >>> list(records_of(EARLY_STOPPING, {"early_stopping_2": {}, "early_stopping": {}, "early_stopping_x": {}}))
    ['early_stopping', 'early_stopping_2']
    """
    key = re.compile(rf"{name}(?:_([2-9]|[1-9][0-9]+))?")
    matches = [(key.fullmatch(each), record) for each, record in (callbacks or {}).items()]
    found = [(int(match[1] or 1), match[0], record) for match, record in matches if match]
    return {each: record for _, each, record in sorted(found, key=lambda row: row[0]) if isinstance(record, Mapping)}


@dataclass(frozen=True)
class StoppingResult:
    """The ``result`` of `EarlyStopping`: while training, of the evaluations so far, and in the end of all.

    ``best_step`` and ``best_value`` are those of the best evaluation of the metric ``monitor`` (None: no value was
    finite), smoothing aside. ``stopped`` is whether the rule has ended training, at ``stop_step``, and ``reason``
    says it in a sentence. ``kept`` is None while training; then it names the weights that the model has: ``"best"``
    for those of the best evaluation, or ``"end"`` for the last ones. ``kept_step`` is the step at which the model had
    these weights.

    >>> from hf_strategies.stopping import StoppingRule, record
    >>> rule = StoppingRule.read("loss", "patience(1)")
    >>> log = [{"eval_loss": value, "step": 10 * k, "epoch": k} for k, value in ((1, 0.5), (2, 0.4), (3, 0.6))]
    >>> result = StoppingResult.of(record(rule, rule.judge(log)), kept="best", kept_step=20)
    >>> result.best_step, result.best_value, result.stopped, result.stop_step, result.kept
    (20, 0.4, True, 30, 'best')
    >>> print(result.reason)
    Stopped early at step 30 (epoch 3.00): eval_loss has not improved for 1 evaluation; best 0.4 at step 20 (epoch 2.00).
    """  # noqa: E501

    monitor: str
    best_step: int | None
    best_value: float | None
    stopped: bool
    stop_step: int | None
    reason: str
    kept: str | None = None
    kept_step: int | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any], kept: str | None = None, kept_step: int | None = None) -> "StoppingResult":
        """Return the result that the record of an `EarlyStopping` tells; ``kept`` is told after training only."""
        return cls(**{name: record[name] for name in _FROM_RECORD}, kept=kept, kept_step=kept_step)


_FROM_RECORD = ("monitor", "best_step", "best_value", "stopped", "stop_step", "reason")


@dataclass(frozen=True)
class CooldownResult(StoppingResult):
    """The ``result`` of `PlateauCooldown`: while training, as things stand, and in the end.

    ``best_step`` and ``best_value`` are those of the best evaluation of hold and cooldown, also if ``kept`` is
    ``"end"``, because luck explains by how much it is better. ``kept`` may be ``"average"`` too: the best average of
    the weights of the hold. ``kept_value`` is the metric of the weights that were kept; None if they were not
    evaluated. ``stopped`` is whether training ended before its planned steps. ``phase`` is ``"hold"``, ``"cooldown"``
    or ``"over"``, with the cooldown from ``cooldown_start`` to ``cooldown_end``: in the hold, if no plateau comes
    before. ``drops`` are the steps of the plateaus of ``stages``.

    >>> record = {"monitor": "eval_accuracy", "mode": "max", "stopped": True, "stop_step": 60, "reason": "...",
    ...     "phase": "over", "cooldown_start": 40, "cooldown_end": 60, "drops": [],
    ...     "best_step": 60, "best_value": 0.79, "candidates": [
    ...         {"kind": "best", "step": 20, "value": 0.8}, {"kind": "end", "step": 60, "value": 0.79}]}
    >>> result = CooldownResult.of(record, kept="end", kept_step=60)
    >>> result.best_step, result.best_value, result.kept, result.kept_step, result.kept_value
    (20, 0.8, 'end', 60, 0.79)
    """

    kept_value: float | None = None
    phase: str = "hold"
    cooldown_start: int = 0
    cooldown_end: int = 0
    drops: tuple[int, ...] = ()

    @classmethod
    def of(cls, record: Mapping[str, Any], kept: str | None = None, kept_step: int | None = None) -> "CooldownResult":
        """Return the result that the record of a `PlateauCooldown` tells; ``kept`` is told after training only."""
        measured = {record["best_step"]: record["best_value"]}
        measured |= {each["step"]: each["value"] for each in record["candidates"]}
        finite = [(value, step) for step, value in measured.items() if value is not None]
        value, step = (max if record["mode"] == "max" else min)(finite, default=(None, record["best_step"]))
        own = {name: record[name] for name in _FROM_RECORD} | {"best_step": step, "best_value": value}
        phases = {name: record[name] for name in ("phase", "cooldown_start", "cooldown_end")}
        return cls(
            **own,
            kept=kept,
            kept_step=kept_step,
            kept_value=None if kept_step is None else measured.get(kept_step),
            **phases,
            drops=tuple(record["drops"]),
        )


@dataclass(frozen=True)
class ReductionResult:
    """The ``result`` of `ReduceOnPlateau`: the reductions so far.

    ``steps`` are those of the evaluations at which the metric ``monitor`` had stalled. ``count`` is the number of
    reductions, with those that a resumed run had made with other settings before. All of them multiply the rate of
    the schedule by ``ratio``, apart from floors.

    >>> record = {"monitor": "eval_loss", "factor": 0.5, "stalls": [40, 60], "past": [[0.1, 1, 0.0]]}
    >>> ReductionResult.of(record)
    ReductionResult(monitor='eval_loss', steps=(40, 60), count=3, ratio=0.025)
    """

    monitor: str
    steps: tuple[int, ...]
    count: int
    ratio: float

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "ReductionResult":
        """Return the result that the record of a `ReduceOnPlateau` tells."""
        steps, count = tuple(record["stalls"]), len(record["stalls"])
        ratio = float(record["factor"] ** count)
        for factor, number, _floor in record["past"]:
            count, ratio = count + number, ratio * factor**number
        return cls(record["monitor"], steps, count, ratio)


@dataclass(frozen=True)
class AveragingResult:
    """The ``result`` of `WeightAveraging`: the average so far.

    ``average`` is the average as text. It has ``updates`` steps, of those after the step ``start``. ``kept`` is None
    while training; then it names the weights that were left in the model: ``"average"``, or ``"end"`` for the raw
    ones, if training ended before the average began. A callback that restores the best weights then puts the best
    average in their place.

    >>> AveragingResult.of({"average": "tail(over=9)", "start": 4, "updates": 9, "is_final": True}, has_ended=True)
    AveragingResult(average='tail(over=9)', start=4, updates=9, kept='average')
    """

    average: str
    start: int
    updates: int
    kept: str | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any], has_ended: bool = False) -> "AveragingResult":
        """Return the result that the record of a `WeightAveraging` tells."""
        kept = ("average" if record["is_final"] else "end") if has_ended else None
        return cls(record["average"], record["start"], record["updates"], kept)
