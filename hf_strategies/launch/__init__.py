"""Running programs that know nothing of this package with its schedules and callbacks: ``hf-strategies run``."""
