"""What other settings would have done to runs that are over."""
