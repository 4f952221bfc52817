"""The cost of the package itself: its commands, its import, its schedules and its callbacks."""
