"""Real runs of a recipe that are killed, damaged and starved of disk, and then go on with the same command."""
