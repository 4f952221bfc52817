"""Criteria of one's own: checked, named, and at once usable in ``stop_when``."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.stopping.condition import COMMON
from hf_strategies.stopping.criteria.patience import Reasons
from hf_strategies.stopping.criteria.table import CRITERIA, Criterion
from hf_strategies.stopping.history import RESOURCES, Series
from hf_strategies.stopping.improvement import IMPROVEMENT_PARAMETERS, Improvement
from hf_strategies.stopping.metric import Direction
from hf_strategies.stopping.parameters import Count, Number, Parameter
from hf_strategies.values import switch

__all__ = ["register_criterion"]

_JOINS = ("any", "all")
_TAKEN = (*COMMON, *IMPROVEMENT_PARAMETERS)  # what stop_when gives to every criterion
_MODES: tuple[Direction, ...] = ("min", "max")
_TRIAL = (3.0, 1.0, 2.0, math.nan, 2.5, 0.5, math.inf, 0.75)


def register_criterion(
    name: str,
    function: Callable[..., Reasons],
    *,
    summary: str,
    source: str = "user",
    safety: bool = False,
    resource: str | None = None,
    needs_train_loss: bool = False,
) -> None:
    """Add a criterion, to be used in ``stop_when`` as the built-in ones are.

    ``function(series, *, parameter=default, ...)`` gets the evaluations as a `Series` and returns one entry for each
    of them: None, or, where it says stop, why, as the part of a sentence that follows "Stopped early:". An entry may
    depend on no later evaluation, and on nothing but the arguments. Its keyword-only parameters are those that users
    give: one with a float for default takes numbers, with an int whole numbers from 0, with None a number or nothing;
    one without a default has to be given, and is a number unless annotated ``int``. A parameter called
    ``improvement`` is not given by users: it gets the rule's `Improvement`, as `patience` does.

    ``summary`` is one line that says when it stops, ``source`` where it comes from. A ``safety`` stop ends a run for
    good and not because it has stalled: it may stand in an `EarlyStopping` beside a `PlateauCooldown`. A budget gives
    the ``resource`` that it spends, "seconds", "flos" or "tokens", and has a parameter ``limit``: as soon as so much
    is used up, in the middle of an epoch too, training evaluates. With ``needs_train_loss`` a training that logs no
    loss for each evaluation is refused when it starts.

    Raises `StrategyError`, and adds nothing, for a name that is taken or is no identifier, for a signature of another
    kind, and when a trial on short series (those without a default being 1) fails or breaks the above.

    Example::

        def above(series, *, limit=2.0):
            return [f"{series.name} is above {limit:g}" if value > limit else None for value in series.values]

        register_criterion("above", above, summary="the metric is above a limit")
        verdict([1.0, 2.5], "patience(3) or above(2.0)").stop_index  # 1
    """
    _check_name(name)
    if not isinstance(summary, str) or not summary.strip():
        raise StrategyError(f"summary={summary!r} of criterion {name!r} is no text: say in a line when it stops")
    parameters = _parameters(name, function)
    improves = parameters.pop("improvement", None) is not None
    _check_resource(name, resource, parameters)
    row = Criterion(
        name,
        _Checked(name, function),
        parameters,
        summary,
        source,
        improves,
        needs_train_loss=switch("needs_train_loss", needs_train_loss),
        resource=resource,
        safety=switch("safety", safety),
    )
    _try(row)
    CRITERIA[name] = row


@dataclass(frozen=True)
class _Checked:
    """A user's function, whose failures and results of another shape are told in one line."""

    name: str
    function: Callable[..., Reasons]

    def __call__(self, series: Series, **parameters: Any) -> Reasons:
        try:
            found = self.function(series, **parameters)
        except StrategyError:
            raise
        except Exception as mistake:
            raise StrategyError(
                f"criterion {self.name!r} fails on {len(series)} evaluations: {mistake!r}: mend its function"
            ) from mistake
        if not isinstance(found, list) or len(found) != len(series):
            raise self._broken(
                f"returns {found!r} for {len(series)} evaluations: return a list of one entry for each"
            )
        for entry in found:
            if entry is not None and (not isinstance(entry, str) or not entry):
                raise self._broken(f"returns an entry {entry!r}: return None, or in words why to stop")
        return found

    def _broken(self, what: str) -> StrategyError:
        return StrategyError(f"criterion {self.name!r} {what}")


def _check_name(name: object) -> None:
    # ASCII, because Python's parser turns other letters into their plain forms.
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii() or iskeyword(name):
        raise StrategyError(f"name={name!r} is no name for a criterion: give letters, digits and _")
    if name in CRITERIA or name in _JOINS:
        raise StrategyError(f"name={name!r} is taken: choose another name for the criterion")


def _check_resource(name: str, resource: object, parameters: Mapping[str, object]) -> None:
    if resource is None:
        return
    if resource not in RESOURCES:
        raise StrategyError(f"resource={resource!r} is unknown: {did_you_mean(str(resource), RESOURCES)}")
    if "limit" not in parameters:
        raise StrategyError(
            f"resource={resource!r} of criterion {name!r} without a parameter 'limit', the amount of it that may be"
            f" used up: write def {name}(series, *, limit)"
        )


def _parameters(name: str, function: Callable[..., Reasons]) -> dict[str, Any]:
    """Return the rows of the function's parameters; that of ``improvement``, if there is one, is no row."""
    try:
        first, *others = inspect.signature(function, eval_str=True).parameters.values()
    except (TypeError, ValueError, NameError):
        first, others = None, []
    if first is None or first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        raise StrategyError(
            f"criterion {name!r}: {function!r} is no function of a series: write def {name}(series, *)"
        )
    return {each.name: _row(name, each) for each in others}


def _row(name: str, found: inspect.Parameter) -> Parameter | str:
    where = f"criterion {name!r}: parameter {found.name!r}"
    if found.kind is not found.KEYWORD_ONLY:
        raise StrategyError(f"{where} is not keyword-only: write f(series, *, {found.name}=...)")
    if found.name == "improvement":
        return "improvement"
    if found.name in _TAKEN:
        raise StrategyError(f"{where} has the name of what every criterion is given: choose another name")
    default = ... if found.default is found.empty else found.default
    kind = found.annotation if found.annotation in (int, float) else float if default is ... else type(default)
    if kind is int and default is not None:
        return Count(default, "a whole number", low=0)
    if kind in (int, float, type(None)):
        return Number(default, "a number")
    raise StrategyError(f"{where} has the default {default!r}: give a number, None, or no default")


def _try(row: Criterion) -> None:
    """Raise `StrategyError` unless the criterion holds to its word on short series, of either direction."""
    given: dict[str, Any] = {key: 1 if each.default is ... else each.default for key, each in row.parameters.items()}
    given = {key: row.parameters[key].read(key, value) for key, value in given.items()}
    given |= {"improvement": Improvement()} if row.improves else {}
    for mode in _MODES:
        whole = row.function(_trial(len(_TRIAL), mode), **given)
        for length in range(len(_TRIAL) + 1):
            _check_prefix(row.name, row.function(_trial(length, mode), **given), whole)


def _check_prefix(name: str, found: Reasons, whole: Reasons) -> None:
    for index, (now, later) in enumerate(zip(found, whole, strict=False)):
        if now != later:
            raise StrategyError(
                f"criterion {name!r} says {now!r} of evaluation {index} of {len(found)}, and {later!r} when there are"
                f" {len(whole)}: let an entry depend on nothing but the evaluations up to it"
            )


def _trial(length: int, mode: Direction) -> Series:
    count = [float(index + 1) for index in range(length)]
    columns = dict.fromkeys(("train_loss", "stderr", *RESOURCES), count)
    return Series.of_values(_TRIAL[:length], mode, **columns)
