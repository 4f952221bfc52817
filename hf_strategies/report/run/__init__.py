"""What a training did: tables, the figure of its rates and metrics, that of a range test."""
