"""Parsing of expressions that users write, as Python syntax trees. Nothing is evaluated, and any text is safe."""

import ast
import warnings

__all__ = ["shown", "syntax_tree"]

_MAX_NODES = 500  # far more than anybody writes, and few enough not to exhaust the stack
_MAX_CHARACTERS = 10_000


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


def shown(node: ast.expr) -> str:
    """Return the source of a part of an expression, for a message."""
    try:
        return ast.unparse(node)
    except ValueError:  # Python does not print whole numbers of over 4,300 digits
        return "a number of thousands of digits"
