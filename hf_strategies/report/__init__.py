"""Tables, texts and figures of schedules, stop criteria, replays and runs."""
