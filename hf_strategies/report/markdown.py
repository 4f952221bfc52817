"""Texts of a run in Markdown: a model card shows them as they are, with no link, picture or HTML of their own."""

import re

from hf_strategies.errors import visible

__all__ = ["inline", "without_html"]

_SIGNS = re.compile(r"[\[\]`*|]")
_FENCE = re.compile(r"\s*(```|~~~)")
_TAG_OR_CODE = re.compile(r"`[^`]*`|<(?=[A-Za-z/?])")

# TRL puts this picture on its cards.
_BADGE = '<img src="https://raw.githubusercontent.com/wandb/'


def inline(text: object) -> str:
    """Return a text so that Markdown shows it as it is, on one line.

    >>> print(inline("[here](http://a.b) <script>"))
    \\[here\\](http://a.b) &lt;script>
    """
    return _SIGNS.sub(r"\\\g<0>", visible(text)).replace("<", "&lt;")


def without_html(text: str) -> str:
    """Return a Markdown text whose HTML tags are shown instead of used, but for comments and TRL's badge.

    Names of metrics and models are in the cards of transformers as they are. Code is shown as it is, and is left so.

    >>> without_html("| <script>x</script> | `<mask>` |")
    '| &lt;script>x&lt;/script> | `<mask>` |'
    """
    lines, in_code = [], False
    for line in text.split("\n"):
        if _FENCE.match(line):
            in_code = not in_code
        lines.append(line if in_code else _shown(line))
    return "\n".join(lines)


def _shown(line: str) -> str:
    return _BADGE.join(_TAG_OR_CODE.sub(_without_tag, part) for part in line.split(_BADGE))


def _without_tag(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("`") else "&lt;"
