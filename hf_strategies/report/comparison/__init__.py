"""A comparison of strategies as text, as data, and as a figure."""
