"""The YAML file of ``--config``: a mapping of flags, read within bounds so that any file is answered in a moment."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hf_strategies.errors import StrategyError, did_you_mean, short

__all__ = ["as_flags", "flags_of_yaml", "read_mapping"]

# Far more than a file of flags needs. PyYAML reads about 100,000 characters in a second.
_MOST_BYTES = 100_000
_DEEPEST = 20
_MOST_NODES = 10_000

# The plain scalars of YAML 1.2. PyYAML reads YAML 1.1, where ``no`` is false, ``1e-5`` a text and 12:30 is 750.
_SCALARS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9]*)",
    "float": r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
    "merge": r"<<",
}


class _BoundsError(yaml.MarkedYAMLError):
    """The file is YAML, and more than a file of flags may hold."""


class _Loader(yaml.SafeLoader):
    """Reads plain scalars as JSON does, so that an entry and the flag with the same text have the same value.

    Refuses what a file of flags has no use for: tags such as ``!!python/name``, a key that stands twice, nesting
    beyond `_DEEPEST`, and aliases that stand for more than `_MOST_NODES` values when they are written out.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._nodes = 0
        self._sizes: dict[int, int] = {}  # the number of values of each node with an anchor, aliases written out

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a value, and count it; an alias counts as all that it stands for."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self._sizes:
                raise _mistake(f"the alias *{short(str(event.anchor))} stands within what it names", event)
            self._count(self._sizes[id(node)], event)
            return node
        _check_tag(event)
        self._count(1, event)
        before = self._nodes
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _mistake(f"the nesting is deeper than {_DEEPEST}", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        self._sizes[id(node)] = 1 + self._nodes - before
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping; refuse a key that stands in it twice, of which the second would win in silence."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _mistake(f"the key {short(key.value)!r} stands there twice", key)
                seen.add(key.value)
        return node

    def _count(self, more: int, event: Any) -> None:
        self._nodes += more
        if self._nodes > _MOST_NODES:
            raise _mistake(f"it holds more than {_MOST_NODES} values, aliases written out", event)


_Loader.yaml_implicit_resolvers = {}
for _kind, _pattern in _SCALARS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), None)


def flags_of_yaml(file: str | os.PathLike[str], known: set[str]) -> list[str]:
    """Return the flags that a YAML mapping stands for; ``known`` are the keys that are allowed."""
    name = os.fspath(file)
    settings = read_mapping(name)
    for key in settings:
        if key not in known:
            raise StrategyError(f"{name}: unknown key {key!r}: {did_you_mean(str(key), known)}")
    return as_flags(settings)


def as_flags(settings: Mapping[str, Any]) -> list[str]:
    """Return the flags that settings stand for, which are written as in a YAML file.

    >>> as_flags({"seed": 1, "figure": True, "lr_scheduler_kwargs": {"gamma": 0.5}, "max_steps": None})
    ['--seed=1', '--figure=true', '--lr_scheduler_kwargs={"gamma": 0.5}']
    """
    return [flag for key, value in settings.items() for flag in _arguments(key, value)]


def read_mapping(name: str, flag: str = "--config") -> dict[str, Any]:
    """Return the content of a YAML file of flags; ``flag`` is what named the file, for the errors."""
    text = _text_of(name, flag)
    try:
        entries = yaml.load(text, _Loader)
    except _BoundsError as mistake:
        raise StrategyError(f"{flag} {name} is no file of flags: {_reason(mistake)}") from mistake
    except yaml.YAMLError as mistake:
        raise StrategyError(f"{flag} {name} is no YAML: {_reason(mistake)}") from mistake
    except (ValueError, KeyError, IndexError, AttributeError) as mistake:
        # A scalar with a tag that it does not fit, such as `!!int many`, or an integer of over 4,300 digits.
        reason = str(mistake).partition(";")[0]
        raise StrategyError(
            f"{flag} {name} is no YAML: a value cannot be read ({reason}): give ordinary numbers and texts"
        ) from mistake
    if entries is None:
        return {}
    if not isinstance(entries, dict):
        raise StrategyError(f"{flag} {name} holds no mapping but {type(entries).__name__}: write `flag: value` lines")
    return entries


def _text_of(name: str, flag: str) -> str:
    # os.path is used because the methods of Path raise an error for a name that is too long.
    if os.path.isdir(name):
        raise StrategyError(f"{flag} {name} is a folder: give a YAML file")
    if not os.path.isfile(name):
        raise StrategyError(f"{flag} {name}: no such file")
    try:
        with Path(name).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as mistake:
        raise StrategyError(f"{flag} {name} cannot be read: {mistake.strerror or mistake}") from mistake
    if len(content) > _MOST_BYTES:
        raise StrategyError(f"{flag} {name} has more than {_MOST_BYTES} bytes: give a YAML file of flags")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as mistake:
        raise StrategyError(f"{flag} {name} is no YAML in UTF-8 ({mistake}): save it as UTF-8") from mistake


def _check_tag(event: yaml.Event) -> None:
    tag = getattr(event, "tag", None)
    if tag not in (None, "!") and tag.removeprefix("tag:yaml.org,2002:") not in {*_SCALARS, "str", "seq", "map"}:
        raise _mistake(f"the tag {short(tag)!r} has no place in it", event)


def _mistake(reason: str, at: Any) -> _BoundsError:
    return _BoundsError(problem=reason, problem_mark=at.start_mark)


def _reason(mistake: yaml.YAMLError) -> str:
    """Return the reason and the line, without the excerpt of the file."""
    mark = getattr(mistake, "problem_mark", None)
    if mark is None:
        return str(mistake)
    context = getattr(mistake, "context", None)
    reason = ", ".join(part for part in (context, getattr(mistake, "problem", None)) if part)
    return f"{reason} (line {mark.line + 1}, column {mark.column + 1})"


def _arguments(key: str, value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [f"--{key}", *map(_text, value)]
    return [f"--{key}={_text(value)}"]


def _text(value: object) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value)
