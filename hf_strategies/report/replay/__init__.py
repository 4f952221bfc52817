"""A replay of past runs with other settings, as tables, data and a figure."""
