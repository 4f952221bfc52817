"""Whether progress bars can be drawn, and the bars of transformers and datasets where they cannot."""

import os
import sys

import datasets
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers.utils import logging

__all__ = ["draws_bars", "hide_bars_of_libraries", "hide_bars_of_transformers"]


def draws_bars() -> bool:
    """Whether a bar can be drawn: on a terminal whose cursor moves, and not in a log of continuous integration."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("CI")


def hide_bars_of_libraries() -> None:
    """Let transformers and datasets draw no bars: in a file, all states of a bar would stand on one line."""
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    disable_progress_bars()


def hide_bars_of_transformers() -> None:
    """Let transformers draw no bars from now on: each checkpoint would leave one between two rows of a table.

    Those of transfers to and from the Hub stay as they are.
    """
    were_hidden = are_progress_bars_disabled()
    logging.disable_progress_bar()  # it hides those of the Hub, too
    if not were_hidden:
        enable_progress_bars()
