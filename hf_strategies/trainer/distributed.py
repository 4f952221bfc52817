"""Several processes: which placements shard the weights, one value for all of them, how a process ends."""

import atexit
import os
import sys
import threading
from typing import TypeVar

from accelerate.utils import DistributedType, broadcast_object_list
from torch import distributed

__all__ = ["SHARDED", "from_rank_zero", "leave"]

SHARDED = {DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM}
"""Placements in which no process has the whole weights.

Some of them flatten parameters together: a frozen one would get zeros for its missing gradient, and move.
"""

T = TypeVar("T")


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


def from_rank_zero(value: T) -> T:
    """Return the first process's ``value`` in all of them; every process has to call this.

    A process that decided otherwise would hang, or abort, the next collective of the others.
    """
    box = [value]
    broadcast_object_list(box, from_process=0)
    return box[0]
