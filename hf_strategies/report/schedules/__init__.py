"""Schedules as text, curves in the terminal and figures."""
