"""Schedules as text, as curves in the terminal, and as figures."""
