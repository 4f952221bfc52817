"""The interface that every command of ``hf-strategies`` has, and what several of them need of the terminal."""

import pkgutil
import shutil
import sys
import warnings
from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import ClassVar

from hf_strategies.errors import StrategyError, did_you_mean, visible

__all__ = ["RECIPES", "Command", "can_print", "known_recipe", "known_recipes", "terminal_width", "warnings_as_lines"]

RECIPES = "hf_strategies.recipes"
"""The package with a module for each recipe."""


class Command(ABC):
    """One command of ``hf-strategies``: its words in the help, its flags, and what it does.

    A new command is a subclass in a file of its own, and a row in `hf_strategies.cli.main`. All commands are
    imported whenever any of them runs, so a module that is heavy, or that only this command needs, is imported
    within `run`.
    """

    name: ClassVar[str]
    """The word on the command line."""

    help: ClassVar[str]
    """The line about the command in ``hf-strategies --help``."""

    description: ClassVar[str]
    """The text above the flags in the command's own help."""

    examples: ClassVar[str | None] = None
    """The text below the flags in the command's own help."""

    list_argument: ClassVar[str | None] = None
    """The positional argument that takes any number of words. The words may also stand after the flags."""

    own_arguments: ClassVar[int | None] = None
    """How many arguments the command reads itself; those after them go unread into ``options.flags``. None: all."""

    @abstractmethod
    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the flags and the positional arguments to the command's parser."""

    @abstractmethod
    def run(self, options: Namespace) -> str:
        """Do what the command is for, and return the text to print.

        Raises `StrategyError` for a mistake of the user.
        """


def terminal_width() -> int | None:
    """Return the columns of the terminal; None when the output is no terminal, so that lines stay unbroken."""
    return max(40, shutil.get_terminal_size().columns) if sys.stdout.isatty() else None


def can_print(characters: str) -> bool:
    """Return whether the encoding of the output has these characters."""
    try:
        characters.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Print each warning that is raised within the block as one line on stderr."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        print(f"warning: {visible(' '.join(str(warning.message).split()))}", file=sys.stderr)


def known_recipes() -> list[str]:
    """Return the names of the installed recipes, none of which is loaded."""
    folders = import_module(RECIPES).__path__
    return [module.name for module in pkgutil.iter_modules(folders) if not module.name.startswith("_")]


def known_recipe(name: str | None) -> str:
    """Return the name of an installed recipe, which is not loaded; raises `StrategyError` for any other name."""
    recipes = known_recipes()
    if name is None:
        raise StrategyError(f"RECIPE is missing: {did_you_mean('', recipes)}")
    if name not in recipes:
        raise StrategyError(f"unknown recipe {name!r}: {did_you_mean(name, recipes)}")
    return name
