"""Print messages to the user on the console."""

import logging

from transformers import TrainerState

__all__ = ["say"]

# Messages are logged as warnings, because a script that does not configure logging shows only those.
logger = logging.getLogger(__name__)


def say(state: TrainerState, line: str) -> None:
    """Print one line, in the main process only."""
    if state.is_world_process_zero:
        logger.warning(line)
