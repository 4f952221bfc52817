"""The recipes: each runs from a checkout as a script and from the wheel as ``hf_strategies.recipes.NAME``."""
