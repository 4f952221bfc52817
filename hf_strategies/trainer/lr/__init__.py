"""Learning rates with the Trainer: names of schedules, rates by layer, the range test."""
