"""A training run as tables and a figure of its rates and metrics; the figure of a range test."""
