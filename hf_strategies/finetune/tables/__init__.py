"""Reading of data files: one set of rules for all recipes, and a module for each kind of file."""
