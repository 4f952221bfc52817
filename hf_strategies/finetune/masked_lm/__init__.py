"""Masked language modelling: what was hidden of a text."""
