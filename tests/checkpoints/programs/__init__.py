"""Programs that the tests of the averages of checkpoints start."""
