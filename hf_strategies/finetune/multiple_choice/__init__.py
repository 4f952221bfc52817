"""Which of several endings is right."""
