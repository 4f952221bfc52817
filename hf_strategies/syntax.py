"""Parsing of expressions that users write, as Python syntax trees. Nothing is evaluated, and any text is safe."""

import ast
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean

__all__ = ["WrittenCall", "shown", "syntax_tree", "with_quotes", "written_call"]

_MAX_SEARCHED = 2_000  # characters of an expression that are searched for missing quotes
_MAX_NODES = 500  # far more than anybody writes, and few enough not to exhaust the stack
_MAX_CHARACTERS = 10_000

# A length with a unit, such as 2ep and 1.5 h, and a value of monitor= with a space in it.
_UNIT = r"(?:ep(?:ochs?)?|steps?|eval(?:uation)?s?|s|min|h|d)"
_LENGTH = rf"""(?<![\w.'"]) (?:\d+(?:\.\d*)?|\.\d+) (?:e[+-]?\d+)? \s* {_UNIT} (?![\w.'"(])"""
_NAME = r"""(?<=monitor=) [^\W\d][^'",()=]*\s[^'",()=]* (?=[,)])"""
_UNQUOTED = re.compile(f"(?P<length>{_LENGTH}) | (?P<name>{_NAME})", re.VERBOSE)


def syntax_tree(text: str) -> ast.expr | None:
    """Return the syntax tree of a Python expression, or None where ``text`` is no expression or is too long.

    >>> ast.dump(syntax_tree(" loss "))
    "Name(id='loss', ctx=Load())"
    """
    if len(text) > _MAX_CHARACTERS:
        return None
    try:
        with warnings.catch_warnings():
            # Python warns of strange escapes; the caller raises an error for whatever is wrong with the expression.
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree if sum(1 for _ in ast.walk(tree)) <= _MAX_NODES else None


def with_quotes(text: str) -> str | None:
    """Return ``text`` with quotes around the lengths and names that need them, if it is an expression then.

    The result is None for a text that is an expression already, and for one that quotes do not mend.

    >>> with_quotes("patience(2ep) or time_budget(90min)")
    "patience('2ep') or time_budget('90min')"
    """
    quoted = _UNQUOTED.sub(_in_quotes, text[:_MAX_SEARCHED])
    return quoted if syntax_tree(text) is None and syntax_tree(quoted) is not None else None


def _in_quotes(match: re.Match[str]) -> str:
    """Return a length in quotes; a name in two pairs of them, because an expression of metrics needs its own."""
    return repr(match["length"]) if match["length"] else repr(repr(match["name"].strip()))


def shown(node: ast.expr) -> str:
    """Return the source of a part of an expression, for a message."""
    try:
        return ast.unparse(node)
    except ValueError:  # Python does not print whole numbers of over 4,300 digits
        return "a number of thousands of digits"


@dataclass(frozen=True)
class WrittenCall:
    """A name with values, as in ``patience(5, min_delta=0.01)``; a bare name has no values.

    ``argument`` is the argument that the user wrote it in, for messages.
    """

    argument: str
    name: str
    positional: tuple[Any, ...] = ()
    named: tuple[tuple[str, Any], ...] = ()

    def bound(self, names: Sequence[str], signature: str, *, more: Sequence[str] = ()) -> dict[str, Any]:
        """Return the values by the names of the parameters.

        ``names`` are the parameters in their order; ``more`` are names that are valid too, but not by position.
        ``signature`` shows how to write it. Raises `StrategyError` for too many values, for a name that is given
        twice, and for an unknown name.

        >>> WrittenCall("stop_when", "patience", (5,), (("baseline", 0.5),)).bound(["patience", "baseline"], "")
        {'patience': 5, 'baseline': 0.5}
        """
        if len(self.positional) > len(names):
            raise self._mistake(f"takes {len(names)} values, not {len(self.positional)}: {signature}")
        given = dict(zip(names, self.positional, strict=False))
        if twice := sorted(given.keys() & dict(self.named).keys()):
            raise self._mistake(f"is given {twice[0]} twice: leave one of the two: {signature}")
        given |= self.named
        known = [*names, *more]
        if unknown := sorted(given.keys() - set(known)):
            raise self._mistake(f"has no parameter {unknown[0]!r}: {did_you_mean(unknown[0], known)}")
        return given

    def _mistake(self, what: str) -> StrategyError:
        return StrategyError(f"{self.argument}: {self.name} {what}")


def written_call(argument: str, tree: ast.expr) -> WrittenCall | None:
    """Return the call or the bare name of a syntax tree; None for any other expression.

    Raises `StrategyError` for a value that is no number, text or None, and for a name that is given twice.

    >>> written_call("stop_when", syntax_tree("target(0.9, monitor=accuracy)"))
    WrittenCall(argument='stop_when', name='target', positional=(0.9,), named=(('monitor', 'accuracy'),))
    """
    match tree:
        case ast.Call(func=ast.Name(id=name), args=values, keywords=keywords):
            positional = tuple(_value(argument, value) for value in values)
            return WrittenCall(argument, name, positional, _named(argument, name, keywords))
        case ast.Name(id=name):
            return WrittenCall(argument, name)
    return None


def _named(argument: str, name: str, keywords: Sequence[ast.keyword]) -> tuple[tuple[str, Any], ...]:
    values: dict[str, Any] = {}
    for keyword in keywords:
        if keyword.arg is None:
            raise StrategyError(f"{argument}: {name} is given **{shown(keyword.value)}: write name=value")
        if keyword.arg in values:
            raise StrategyError(f"{argument}: {name} is given {keyword.arg} twice: leave one of the two")
        values[keyword.arg] = _value(argument, keyword.value)
    return tuple(values.items())


def _value(argument: str, tree: ast.expr) -> Any:
    """Return a number, a text or None; a bare name is a text, so that monitor=accuracy needs no quotes."""
    if isinstance(tree, ast.Name):
        return tree.id
    try:
        return ast.literal_eval(tree)
    except (ValueError, TypeError):
        raise StrategyError(f"{argument}: {shown(tree)!r} is no value: give a number, or a text in quotes") from None
