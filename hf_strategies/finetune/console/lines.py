"""Lines above a progress bar: what warns, logs or prints meanwhile gets lines of its own."""

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

from tqdm.auto import tqdm

__all__ = ["AboveBars", "lines_above_bars"]


class AboveBars:
    """Stands in for a stream of the terminal: the bars on ``bars`` make way for each line that is written.

    A line is written when it is whole, or when it is too long to be kept.
    """

    _LONGEST = 10_000

    def __init__(self, stream: TextIO, bars: TextIO) -> None:
        self._stream, self._bars, self._begun = stream, bars, ""

    def write(self, text: str) -> int:
        """Write the lines that are whole by now."""
        whole, end, self._begun = (self._begun + text).rpartition("\n")
        if len(self._begun) > self._LONGEST:
            whole, end, self._begun = self._begun, "\n", ""
        if end:
            with tqdm.external_write_mode(file=self._bars):
                self._stream.write(whole + end)
        return len(text)

    def flush(self) -> None:
        """Flush the stream; a line that has only begun is kept."""
        self._stream.flush()

    def end(self) -> None:
        """Write the line that has begun."""
        if self._begun:
            self.write("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def lines_above_bars() -> Iterator[None]:
    """Let everything that Python code writes to the terminal meanwhile have lines of its own, above the bars.

    Handlers of logging keep the stream that they were made with, so that each one of the terminal gets the other one.
    """
    out, err = AboveBars(sys.stdout, sys.stderr), AboveBars(sys.stderr, sys.stderr)
    streams: dict[int, Any] = {id(sys.stdout): out, id(sys.stderr): err}
    with ExitStack() as stack:
        for handler in _handlers():
            if id(handler.stream) in streams:
                stack.callback(handler.setStream, handler.setStream(streams[id(handler.stream)]))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        stack.callback(err.end)
        stack.callback(out.end)
        yield


def _handlers() -> Iterator["logging.StreamHandler[Any]"]:
    """Yield the handlers of all loggers that write to a stream."""
    loggers = [logging.getLogger(), *(each for each in logging.Logger.manager.loggerDict.values())]
    seen = {id(handler): handler for each in loggers for handler in getattr(each, "handlers", ())}
    for handler in seen.values():
        # The handler of last resort looks its stream up each time, and so follows by itself.
        if isinstance(handler, logging.StreamHandler) and "stream" in vars(handler):
            yield handler
