"""How a program of several processes ends."""

import atexit
import os
import sys
import threading

from torch import distributed

__all__ = ["leave"]


def leave(code: int = 0) -> None:
    """End the process with ``code`` if it is one of several; to be called last. Otherwise do nothing.

    A thread of gloo drops the tensors of a collective after the caller has gone on, and needs the interpreter for
    it. When that is shutting down, Python unwinds the thread out of a C++ destructor, and the process aborts, one
    time in some ten: "terminate called without an active exception". To end the threads first is no way out: whoever
    drops the last reference to the process group waits for them, and DDP does so holding the lock that they wait
    for. So the interpreter does what it does at its end, waiting for threads of Python and calling exit functions
    included, but for its own shutting down.
    """
    if not distributed.is_initialized():
        return
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
