"""Tests of the averages of checkpoints."""
