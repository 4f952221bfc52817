"""The command ``find-lr``: the learning-rate range test of a recipe."""

import pkgutil
from argparse import ArgumentParser, Namespace
from importlib import import_module

from hf_strategies.cli.command import Command
from hf_strategies.errors import StrategyError, did_you_mean

__all__ = ["FindLrCommand"]

_PACKAGE = "hf_strategies.recipes"


class FindLrCommand(Command):
    """Run a recipe with ``--find_lr true`` and the flags given; the recipe prints the result itself."""

    name = "find-lr"
    help = "range test of a recipe"
    description = "Train a recipe for some steps at growing learning rates, and suggest one."
    examples = """example:
  hf-strategies find-lr text_classification --train_file train.csv --output_dir runs/find_lr --figure
  hf-strategies find-lr text_classification --help: the flags of the recipe
"""
    forwards_flags = True

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the name of the recipe."""
        parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="name of a recipe; its flags follow it")

    def run(self, options: Namespace) -> str:
        """Check the name before the recipe is loaded, which takes seconds, and run the recipe."""
        recipes = _recipes()
        if options.recipe is None:
            raise StrategyError(f"RECIPE is missing: {did_you_mean('', recipes)}")
        if options.recipe not in recipes:
            raise StrategyError(f"unknown recipe {options.recipe!r}: {did_you_mean(options.recipe, recipes)}")
        import_module(f"{_PACKAGE}.{options.recipe}").main([*options.flags, "--find_lr", "true"])
        return ""


def _recipes() -> list[str]:
    """Return the names of the recipes that are installed, without loading them."""
    folders = import_module(_PACKAGE).__path__
    return [module.name for module in pkgutil.iter_modules(folders) if not module.name.startswith("_")]
