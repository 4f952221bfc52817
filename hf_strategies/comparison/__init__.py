"""What runs of several strategies over seeds say: paired differences, their intervals, and one sentence."""
