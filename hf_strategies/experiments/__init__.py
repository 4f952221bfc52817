"""Runs of recipes for a comparison: which there are, who makes them, and what has become of them."""
