"""Registration of a user's own criteria, which are checked first and can then be used in ``stop_when``."""

import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from keyword import iskeyword
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.stopping.condition import COMMON_PARAMETERS
from hf_strategies.stopping.criteria.reasons import Entries, Reasons, entries
from hf_strategies.stopping.criteria.table import CRITERIA, Criterion
from hf_strategies.stopping.history import RESOURCES, Evaluation, Series, Stream
from hf_strategies.stopping.improvement import IMPROVEMENT_PARAMETERS, Improvement
from hf_strategies.stopping.metric import Direction
from hf_strategies.stopping.parameters import Count, Number, Parameter
from hf_strategies.values import switch

__all__ = ["register_criterion"]

_JOIN_NAMES = ("any", "all")
_COMMON_NAMES = (*COMMON_PARAMETERS, *IMPROVEMENT_PARAMETERS)  # parameters that users may give to other criteria too
_MODES: tuple[Direction, ...] = ("min", "max")
_TRIAL_VALUES = (3.0, 1.0, 2.0, math.nan, 2.5, 0.5, math.inf, 0.75)


def register_criterion(
    name: str,
    function: Callable[..., Reasons | Entries],
    *,
    summary: str,
    source: str = "user",
    safety: bool = False,
    resource: str | None = None,
    needs_train_loss: bool = False,
) -> None:
    """Add a criterion, which can then be used in ``stop_when`` like the built-in criteria.

    ``function(series, *, parameter=default, ...)`` takes the evaluations as a `Series`. It returns a list with one
    entry for each evaluation: None, or the reason to stop there, as the part of a sentence that follows "Stopped
    early:". An entry must depend on nothing but the arguments, and on no later evaluation. The function is called
    again with all evaluations so far at each evaluation, so that its cost grows with their number. In a long training
    let it be a generator function, which takes a `Stream`: it iterates over the evaluations, and yields the entry of
    each before it takes the next. An evaluation then costs the same however many came before.

    The keyword-only parameters of the function are the parameters of the criterion. A default that is a float takes
    numbers, an int takes whole numbers from 0, and None takes a number or None. A parameter without a default has to
    be given, and is a number unless it is annotated ``int``. A parameter with the name ``improvement`` is no
    parameter of the criterion: the function gets the rule's `Improvement` for it, as `patience` does.

    ``summary`` is one line that describes when the criterion stops, ``source`` is where it comes from. A criterion
    with ``safety`` ends a run for good and not because it has stalled; an `EarlyStopping` beside a `PlateauCooldown`
    may have such criteria only. A budget names its ``resource``, "seconds", "flos" or "tokens", and has a parameter
    ``limit``: training evaluates as soon as it has used up that much, in the middle of an epoch too. With
    ``needs_train_loss``, a training that does not log its loss between evaluations is refused at its start.

    Raises `StrategyError`, and adds nothing, for a name that is taken or is no identifier, and for another signature.
    The function is then tried on short series, with 1 for parameters without a default: raises `StrategyError`, too,
    if it fails or does not keep to the above.

    Example::

        def above(series, *, limit=2.0):
            return [f"{series.name} is above {limit:g}" if value > limit else None for value in series.values]

        register_criterion("above", above, summary="the metric is above a limit")
        verdict([1.0, 2.5], "patience(3) or above(2.0)").stop_index  # 1

        def above_one_by_one(series, *, limit=2.0):  # the same, for long trainings
            for evaluation in series:
                yield f"{series.name} is above {limit:g}" if evaluation.value > limit else None
    """
    _check_name(name)
    if not isinstance(summary, str) or not summary.strip():
        raise StrategyError(f"summary={summary!r} of criterion {name!r} is no text: say in a line when it stops")
    parameters = _parameter_rows(name, function)
    takes_improvement = parameters.pop("improvement", None) is not None
    _check_resource(name, resource, parameters)
    row = Criterion(
        name,
        (_CheckedGenerator if inspect.isgeneratorfunction(function) else _CheckedFunction)(name, function),
        parameters,
        summary,
        source,
        takes_improvement,
        needs_train_loss=switch("needs_train_loss", needs_train_loss),
        resource=resource,
        safety=switch("safety", safety),
    )
    _check_on_trial_series(row)
    CRITERIA[name] = row


@dataclass(frozen=True)
class _CheckedFunction:
    """A user's function, which raises a `StrategyError` of one line if it fails or returns something malformed."""

    name: str
    function: Callable[..., Any]

    def __call__(self, series: Series, **parameters: Any) -> Reasons:
        with self._naming_criterion(len(series)):
            result = self.function(series, **parameters)
        if not isinstance(result, list) or len(result) != len(series):
            raise self._error(
                f"returns {result!r} for {len(series)} evaluations: return a list of one entry for each"
            )
        for entry in result:
            self._check_entry(entry)
        return result

    @contextmanager
    def _naming_criterion(self, count: int) -> Iterator[None]:
        """Turn any error inside into a `StrategyError` with the name of the criterion."""
        try:
            yield
        except (StrategyError, GeneratorExit):
            raise
        except Exception as mistake:
            raise StrategyError(
                f"criterion {self.name!r} fails on {count} evaluations: {mistake!r}: mend its function"
            ) from mistake

    def _check_entry(self, entry: object) -> None:
        if entry is not None and (not isinstance(entry, str) or not entry):
            raise self._error(f"returns an entry {entry!r}: return None, or in words why to stop")

    def _error(self, what: str) -> StrategyError:
        return StrategyError(f"criterion {self.name!r} {what}")


@dataclass(frozen=True)
class _CheckedGenerator(_CheckedFunction):
    """A user's generator function, which is checked in the same way."""

    def __call__(self, series: Series, **parameters: Any) -> Reasons:
        result = list(self.entries(series, **parameters))
        if len(result) != len(series):
            raise self._error(
                f"yields {len(result)} entries for {len(series)} evaluations: yield one for each, before it takes"
                " the next"
            )
        return result

    def entries(self, series: Stream, **parameters: Any) -> Entries:
        """Yield the entries of the function, each before it takes the next evaluation."""
        stream = Stream(*(getattr(series, each.name) for each in fields(Stream)))  # without the values of a `Series`
        coming = self.function(stream, **parameters)
        for count in itertools.count(1):
            with self._naming_criterion(count):
                try:
                    entry = next(coming)
                except StopIteration:
                    return
            self._check_entry(entry)
            yield entry


def _check_name(name: object) -> None:
    # ASCII, because Python's parser changes other letters into a normal form, which the table would not have.
    if not isinstance(name, str) or not name.isidentifier() or not name.isascii() or iskeyword(name):
        raise StrategyError(f"name={name!r} is no name for a criterion: give letters, digits and _")
    if name in CRITERIA or name in _JOIN_NAMES:
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


def _parameter_rows(name: str, function: Callable[..., object]) -> dict[str, Any]:
    """Return the parameters of the criterion by name; ``improvement``, if the function takes it, is a text there."""
    try:
        first, *others = inspect.signature(function, eval_str=True).parameters.values()
    except (TypeError, ValueError, NameError):
        first, others = None, []
    if first is None or first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
        raise StrategyError(
            f"criterion {name!r}: {function!r} is no function of a series: write def {name}(series, *)"
        )
    return {each.name: _parameter_row(name, each) for each in others}


def _parameter_row(criterion: str, parameter: inspect.Parameter) -> Parameter | str:
    """Return the row of one keyword-only parameter, or the text "improvement" for the parameter of that name."""
    where = f"criterion {criterion!r}: parameter {parameter.name!r}"
    if parameter.kind is not parameter.KEYWORD_ONLY:
        raise StrategyError(f"{where} is not keyword-only: write f(series, *, {parameter.name}=...)")
    if parameter.name == "improvement":
        return "improvement"
    if parameter.name in _COMMON_NAMES:
        raise StrategyError(f"{where} has the name of what every criterion is given: choose another name")
    default = ... if parameter.default is parameter.empty else parameter.default
    if parameter.annotation in (int, float):
        kind = parameter.annotation
    else:
        kind = float if default is ... else type(default)
    if kind is int and default is not None:
        return Count(default, "a whole number", low=0)
    if kind in (int, float, type(None)):
        return Number(default, "a number")
    raise StrategyError(f"{where} has the default {default!r}: give a number, None, or no default")


def _check_on_trial_series(row: Criterion) -> None:
    """Raise `StrategyError` if the criterion fails on short series, or if an entry depends on later evaluations."""
    given: dict[str, Any] = {key: 1 if each.default is ... else each.default for key, each in row.parameters.items()}
    given = {key: row.parameters[key].read(key, value) for key, value in given.items()}
    given |= {"improvement": Improvement()} if row.takes_improvement else {}
    for mode in _MODES:
        whole = row.function(_trial_series(len(_TRIAL_VALUES), mode), **given)
        for length in range(len(_TRIAL_VALUES) + 1):
            _check_prefix(row.name, row.function(_trial_series(length, mode), **given), whole)
        _check_prefix(row.name, _as_training_goes_on(row, mode, given), whole)


def _as_training_goes_on(row: Criterion, mode: Direction, given: Mapping[str, Any]) -> Reasons:
    """Return the entries of the trial series, whose evaluations are added one by one."""
    series, so_far = _trial_series(len(_TRIAL_VALUES), mode), list[Evaluation]()
    stream = Stream(so_far, series.mode, series.name, series.total_steps)
    coming = entries(row.function, stream, **given)
    result: Reasons = []
    for evaluation in series:
        so_far.append(evaluation)
        result += itertools.islice(coming, 1)
    if len(result) < len(series):
        raise StrategyError(
            f"criterion {row.name!r} yields {len(result)} entries for {len(series)} evaluations that come one by one:"
            " yield one for each, before it takes the next"
        )
    return result


def _check_prefix(name: str, prefix: Reasons, whole: Reasons) -> None:
    """Raise `StrategyError` if the entries for the first evaluations change when later evaluations follow."""
    for index, (now, later) in enumerate(zip(prefix, whole, strict=False)):
        if now != later:
            raise StrategyError(
                f"criterion {name!r} says {now!r} of evaluation {index} of {len(prefix)}, and {later!r} when there"
                f" are {len(whole)}: let an entry depend on nothing but the evaluations up to it"
            )


def _trial_series(length: int, mode: Direction) -> Series:
    count = [float(index + 1) for index in range(length)]
    columns = dict.fromkeys(("train_loss", "stderr", *RESOURCES), count)
    return Series.of_values(_TRIAL_VALUES[:length], mode, **columns)
