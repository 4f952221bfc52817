"""Reading of what users write as an expression, be it never so odd."""

import ast
import warnings

__all__ = ["shown", "syntax_tree"]

_MOST_PARTS = 500  # far more than anybody writes, and few enough not to exhaust the stack


def syntax_tree(text: str) -> ast.expr | None:
    """Return the syntax tree of a Python expression; None for what is none, or too long to be meant.

    Nothing is evaluated.

    >>> ast.dump(syntax_tree(" loss "))
    "Name(id='loss', ctx=Load())"
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's, about odd escapes: what is wrong here is told as an error
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree if sum(1 for _ in ast.walk(tree)) <= _MOST_PARTS else None


def shown(node: ast.expr) -> str:
    """Write a part of an expression for a message."""
    try:
        return ast.unparse(node)
    except ValueError:  # Python does not print whole numbers of over 4,300 digits
        return "a number of thousands of digits"
