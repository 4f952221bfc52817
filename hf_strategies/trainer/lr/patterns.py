"""Patterns of parameter names: which parameters learn at another rate, and which are frozen."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean, short
from hf_strategies.values import number

__all__ = ["FREEZE", "Pattern", "patterns_of", "read_patterns", "settings_text"]

FREEZE = "freeze"
"""The value of a pattern whose parameters do not train."""

_KEYS = ("lr_ratio", "weight_decay")
_EXAMPLE = '{"embeddings": "freeze", "layer.0": {"lr_ratio": 0.1}}'


@dataclass(frozen=True)
class Pattern:
    """One entry of ``patterns``: a regular expression, and what holds for the parameters whose names it matches."""

    text: str
    frozen: bool = False
    lr_ratio: float = 1.0
    weight_decay: float | None = None

    def matches(self, name: str) -> bool:
        """Whether the expression is found anywhere in a parameter's name, as `re.search` does."""
        return re.search(self.text, name) is not None

    @property
    def settings(self) -> str | dict[str, float]:
        """The value of the entry, as a user writes it."""
        if self.frozen:
            return FREEZE
        given = {"lr_ratio": self.lr_ratio, "weight_decay": self.weight_decay}
        return {key: value for key, value in given.items() if value is not None}


def read_patterns(value: object, argument: str = "patterns") -> tuple[Pattern, ...]:
    r"""Return the patterns of a mapping, or of its JSON as a flag has it; no patterns for None.

    A key is a regular expression, which may match any part of a parameter's name. Its value is ``"freeze"``, or a
    mapping with ``lr_ratio`` (above 0: the factor of the learning rate that the parameter would have without the
    pattern), ``weight_decay`` (from 0, in place of the Trainer's), or both. Raises `StrategyError` for anything else.

    >>> [(each.text, each.lr_ratio) for each in read_patterns({"layer\\.0": {"lr_ratio": 0.1}})]
    [('layer\\.0', 0.1)]
    """
    if value is None:
        return ()
    given = _mapping(value, argument)
    if not given:
        raise StrategyError(f"{argument}={value!r} has no pattern: give some, such as {_EXAMPLE}, or leave it out")
    return tuple(_pattern(str(text), settings, argument) for text, settings in given.items())


def patterns_of(names: Iterable[str], patterns: Sequence[Pattern], argument: str = "patterns") -> dict[str, Pattern]:
    """Return the pattern that decides for each name; where several match it is the last, and a name may have none.

    Raises `StrategyError` for a pattern that decides for no name: it would have no effect.

    >>> first, last = read_patterns({".": "freeze", "bias": {"lr_ratio": 1}})
    >>> patterns_of(["layer.weight", "layer.bias"], [first, last]) == {"layer.weight": first, "layer.bias": last}
    True
    """
    names = list(names)
    found = {name: each for each in patterns for name in names if each.matches(name)}
    for each in patterns:
        if each not in found.values():
            raise StrategyError(_without_effect(each, names, argument))
    return found


def settings_text(patterns: Sequence[Pattern]) -> str:
    """Return all patterns as JSON, as a flag has them; the same settings give the same text.

    >>> settings_text(read_patterns({"embeddings": "freeze"}))
    '{"embeddings": "freeze"}'
    """
    return json.dumps({each.text: each.settings for each in patterns})


def _without_effect(pattern: Pattern, names: list[str], argument: str) -> str:
    if any(pattern.matches(name) for name in names):
        return (
            f"{argument}: later patterns match every parameter that {pattern.text!r} matches, so that it has no"
            " effect, because the last match decides: put it behind them, or leave it out"
        )
    parts = {part for name in names for part in name.split(".")}
    examples = f"such as {names[0]!r} and {names[-1]!r}" if names else "and there is none"
    return (
        f"{argument}: {pattern.text!r} matches no parameter's name ({examples}): {did_you_mean(pattern.text, parts)}"
    )


def _mapping(value: object, argument: str) -> Mapping[Any, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value, object_pairs_hook=lambda pairs: _without_repetition(pairs, argument))
        except ValueError as mistake:
            if isinstance(mistake, StrategyError):
                raise
            raise StrategyError(f"{argument}={short(str(value))!r} is no JSON ({mistake}): give {_EXAMPLE}") from None
    if not isinstance(value, Mapping):
        raise StrategyError(f"{argument}={value!r} is no mapping of patterns: give {_EXAMPLE}")
    return value


def _without_repetition(pairs: list[tuple[str, Any]], argument: str) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise StrategyError(f"{argument} has {key!r} twice: leave one of them out")
    return dict(pairs)


def _pattern(text: str, settings: object, argument: str) -> Pattern:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as mistake:
        raise StrategyError(
            f"{argument}: {text!r} is no regular expression ({mistake}): put a backslash before characters that mean"
            " themselves"
        ) from None
    if not text:
        raise StrategyError(f"{argument}: an empty pattern matches every parameter: give '.' for all of them")
    where = f"{argument}: {text!r}"
    if settings == FREEZE:
        return Pattern(text, frozen=True)
    if not isinstance(settings, Mapping) or not settings:
        raise StrategyError(f"{where} has {settings!r}: give 'freeze', or a mapping such as {{\"lr_ratio\": 0.1}}")
    for key in settings:
        if key not in _KEYS:
            raise StrategyError(f"{where} has {key!r}: {did_you_mean(str(key), _KEYS)}")
    return Pattern(text, False, *_numbers(settings, where))


def _numbers(settings: Mapping[str, object], where: str) -> tuple[float, float | None]:
    ratio = number(f"{where}: lr_ratio", settings.get("lr_ratio", 1.0))
    if ratio <= 0:
        raise StrategyError(f"{where}: lr_ratio={ratio!r} is not above 0: give one such as 0.1, or 'freeze'")
    if "weight_decay" not in settings:
        return ratio, None
    decay = number(f"{where}: weight_decay", settings["weight_decay"])
    if decay < 0:
        raise StrategyError(f"{where}: weight_decay={decay!r} is below 0: give one such as 0.01")
    return ratio, decay
