"""Lines for the user on the console."""

import logging

from transformers import TrainerState

__all__ = ["say"]

# Its lines go out at warning level: that is what a script shows which configures no logging.
logger = logging.getLogger(__name__)


def say(state: TrainerState, line: str) -> None:
    """Print a line in the main process."""
    if state.is_world_process_zero:
        logger.warning(line)
