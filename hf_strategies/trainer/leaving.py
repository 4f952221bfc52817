"""How a program of several processes ends."""

import atexit
import gc
import os
import sys
from pathlib import Path
from types import FunctionType

from accelerate import PartialState
from torch import distributed

__all__ = ["leave_process_group"]


def leave_process_group() -> None:
    """End the process group, if there is one, with its threads; to be called last, when no Trainer is held any more.

    A thread of gloo drops the tensors of a collective after the caller has gone on, and needs the interpreter for
    it. When that is shutting down, Python unwinds the thread out of a C++ destructor, and the process aborts:
    "terminate called without an active exception". `destroy_process_group` does not end the threads: they end, and
    are waited for, when nothing refers to the group any more. DDP does, and so do functions whose default argument
    is ``group.WORLD`` and whose module was loaded when there was a group (`torch.distributed.nn`, which DDP loads).
    """
    if not distributed.is_initialized():
        return
    group = distributed.group.WORLD
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and any(each is group for each in function.__defaults__ or ()):
            # None means the whole world, too: it is what stands there when the module was loaded before.
            function.__defaults__ = tuple(None if each is group else each for each in function.__defaults__ or ())
    del group
    PartialState().destroy_process_group()
    gc.collect()
    if left := _threads_of_gloo():
        print(f"{left} threads of gloo are left: something holds the process group", file=sys.stderr)
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # this way no thread can meet an interpreter that shuts down


def _threads_of_gloo() -> int:
    tasks = Path("/proc/self/task")
    names = [(task / "comm").read_text() for task in tasks.iterdir()] if tasks.is_dir() else []
    return sum("gloo" in name for name in names)
