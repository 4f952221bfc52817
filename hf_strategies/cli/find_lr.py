"""The command ``find-lr``: a recipe's learning-rate range test, by the recipe's name."""

import pkgutil
from argparse import Namespace
from importlib import import_module

from hf_strategies.errors import StrategyError, did_you_mean

__all__ = ["find_lr_command"]

_PACKAGE = "hf_strategies.recipes"


def find_lr_command(options: Namespace) -> str:
    """Run a recipe with ``--find_lr true`` and the flags given; it prints what it finds itself."""
    known = _recipes()
    if options.recipe is None:
        raise StrategyError(f"RECIPE is missing: {did_you_mean('', known)}")
    if options.recipe not in known:
        raise StrategyError(f"unknown recipe {options.recipe!r}: {did_you_mean(options.recipe, known)}")
    import_module(f"{_PACKAGE}.{options.recipe}").main([*options.flags, "--find_lr", "true"])
    return ""


def _recipes() -> list[str]:
    """Return the names of the recipes that are installed, without loading them."""
    folders = import_module(_PACKAGE).__path__
    return [module.name for module in pkgutil.iter_modules(folders) if not module.name.startswith("_")]
