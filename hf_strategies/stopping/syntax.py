"""Parsing of expressions that users write, as Python syntax trees. Nothing is evaluated, and any text is safe."""

import ast
import re
import warnings

__all__ = ["shown", "syntax_tree", "with_quotes"]

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
