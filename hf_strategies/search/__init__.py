"""The search of hyperparameters, schedules and strategies of a recipe, by Optuna."""
