"""The command ``find-lr``: the learning-rate range test of a recipe."""

from argparse import ArgumentParser, Namespace
from importlib import import_module

from hf_strategies.cli.command import RECIPES, Command, known_recipe

__all__ = ["FindLrCommand"]


class FindLrCommand(Command):
    """Run a recipe with ``--find_lr true`` and the flags given; the recipe prints the result itself."""

    name = "find-lr"
    help = "range test of a recipe"
    description = "Train a recipe for some steps at growing learning rates, and suggest one."
    examples = """example:
  hf-strategies find-lr text_classification --train_file train.csv --output_dir runs/find_lr --figure
  hf-strategies find-lr text_classification --help: the flags of the recipe
"""
    own_arguments = 1

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the name of the recipe."""
        parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="name of a recipe; its flags follow it")

    def run(self, options: Namespace) -> str:
        """Check the name before the recipe is loaded, which takes seconds, and run the recipe."""
        recipe = known_recipe(options.recipe)
        import_module(f"{RECIPES}.{recipe}").main([*options.flags, "--find_lr", "true"])
        return ""
