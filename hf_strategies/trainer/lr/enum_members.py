"""Add members to an existing `enum.Enum`; no other file uses the private attributes of `enum`.

A subclass would not do: Python forbids subclasses of an enum that has members, and transformers reads names from its
own enum only.
"""

import sys
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

__all__ = ["add_members", "member_name"]

E = TypeVar("E", bound=Enum)


def member_name(value: str) -> str:
    """Return the Python name of the member with this value: the value in capitals.

    >>> member_name("cosine_decay")
    'COSINE_DECAY'
    """
    return value.upper()


def add_members(enum_class: type[E], values: list[str], resolve: Callable[[str], E]) -> Mapping[str, E]:
    """Add members with these string ``values`` to ``enum_class``, all or none; return a mapping from value to member.

    ``resolve`` returns the member for a value. A pickle or copy of a member stores a call of ``resolve``, so that
    unpickling in a new process imports the module of ``resolve``, and that module adds the members again.

    Raises ValueError when a value or its member name is taken.
    """
    taken = set(enum_class._value2member_map_) | set(enum_class.__members__)
    for value in values:
        if value in taken or member_name(value) in taken:
            raise ValueError(f"{enum_class.__name__} has {value!r} already")
    members = [_new_member(enum_class, value, resolve) for value in values]
    for member in members:
        _insert(enum_class, member)
    return {str(member.value): member for member in members}


def _new_member(enum_class: type[E], value: str, resolve: Callable[[str], E]) -> E:
    member: Any = str.__new__(enum_class, value)  # type: ignore[type-var]
    member._name_ = member_name(value)
    member._value_ = value
    member.__objclass__ = enum_class
    member._sort_order_ = len(enum_class.__members__)
    member.__reduce_ex__ = lambda protocol: (resolve, (value,))
    return member  # type: ignore[no-any-return]


def _insert(enum_class: type[E], member: E) -> None:
    name, value = member.name, member.value
    enum_class._member_names_.append(name)
    enum_class._member_map_[name] = member
    enum_class._value2member_map_[value] = member
    hashable: list[str] = getattr(enum_class, "_hashable_values_", [])  # a second index since Python 3.12
    hashable.append(value)
    if sys.version_info >= (3, 12):
        # Since Python 3.12 a member is a class attribute, which EnumType.__setattr__ refuses to set. Earlier
        # versions read members from _member_map_.
        type.__setattr__(enum_class, name, member)
