"""What judging the log costs as it grows: an evaluation, a training, a replay."""
