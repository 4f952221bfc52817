"""Learning rates in the Trainer: the names of schedules, rates by layer, and the range test."""
