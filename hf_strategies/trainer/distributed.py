"""Training on several processes: sharded placements, sharing a value, printing once, and ending a process safely."""

import atexit
import os
import sys
import threading
from typing import TypeVar

from accelerate.utils import DistributedType, broadcast_object_list
from torch import distributed
from transformers import TrainerState

from hf_strategies.errors import announce

__all__ = ["SHARDED", "exit_process", "from_rank_zero", "say"]


SHARDED = {DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM}
"""The kinds of distributed training in which no process has the whole weights.

Some of them flatten several parameters into one tensor. A frozen parameter in it would get a gradient of zeros in
place of none, and the optimizer would change it.
"""

T = TypeVar("T")


def exit_process(code: int = 0) -> None:
    """End the process with ``code`` if it is one of several; otherwise do nothing. Call this last.

    A background thread of gloo frees the tensors of a collective after the caller has returned, and needs the
    interpreter for that. If the interpreter is shutting down by then, Python unwinds the thread out of a C++
    destructor and the process aborts with "terminate called without an active exception", in about one run of ten.

    Ending those threads first is not possible: dropping the last reference to the process group waits for them, and
    DDP does that while it holds the lock that they wait for. So this function does the work of a normal exit (it
    waits for Python's threads, calls the exit functions and flushes the output), and skips the shutdown of the
    interpreter.
    """
    if not distributed.is_initialized():
        return
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def from_rank_zero(value: T) -> T:
    """Return the ``value`` of the first process on every process; every process has to call this.

    Decisions are shared in this way, because a process that decided differently would make the other processes hang
    or abort at their next collective.
    """
    values = [value]
    broadcast_object_list(values, from_process=0)
    return values[0]


def say(state: TrainerState, line: str) -> None:
    """Print one line, in the main process only."""
    if state.is_world_process_zero:
        announce(line)
