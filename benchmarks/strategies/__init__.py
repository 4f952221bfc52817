"""The comparison of strategies: schedules over many budgets, early stopping and the plateau cooldown."""
