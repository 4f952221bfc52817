"""The operations on files that a process makes below a folder, and faults at a chosen one of them.

Python reports each operation to its audit hooks before it happens (PEP 578). The weights are written by Rust and the
optimizer's state by C++, which report nothing: the two functions that call them are wrapped.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

__all__ = ["FAULTS", "Operation", "Watch", "kill_at", "stop", "watch"]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = {
    "os.mkdir": "mkdir",
    "os.rename": "rename",
    "os.remove": "remove",
    "os.rmdir": "rmdir",
    "os.link": "link",
    "os.symlink": "link",
    "os.truncate": "truncate",
    "faults.write": "write",
}


@dataclass(frozen=True)
class Operation:
    """One operation: its number in the process, its kind, and the path below the watched folder."""

    number: int
    kind: str
    path: str


@dataclass
class Watch:
    """The operations so far, and the fault that happens ``before`` or ``after`` each of them."""

    root: Path
    before: Callable[[Operation], None] = lambda _: None
    after: Callable[[Operation], None] = lambda _: None
    operations: list[Operation] = field(default_factory=list)
    _busy: bool = False

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """Take an audit event; raise what the fault raises in place of the operation."""
        if self._busy or (kind := _kind(event, args)) is None or (path := self._below(args[0])) is None:
            return
        self._busy = True
        try:
            if self.operations:
                self.after(self.operations[-1])
            operation = Operation(len(self.operations), kind, path)
            self.operations.append(operation)
            self.before(operation)
        finally:
            self._busy = False

    def _below(self, path: object) -> str | None:
        if not isinstance(path, str | bytes | os.PathLike):
            return None
        absolute = os.path.abspath(os.fsdecode(path))
        root = str(self.root)
        return os.path.relpath(absolute, root) if absolute.startswith(root) else None


def watch(state: Watch) -> None:
    """Watch this process from here on; a process cannot be watched twice, nor can the watch be ended."""
    sys.addaudithook(state.hook)
    _report(safetensors.torch, "serialize_file", 1)
    _report(torch, "save", 1)


def _kind(event: str, args: tuple[Any, ...]) -> str | None:
    if event == "open":
        mode, flags = args[1], args[2]
        writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(flags & _WRITING)
        return "open" if writes else None
    return _EVENTS.get(event)


def _report(module: Any, name: str, position: int) -> None:
    """Report each call of a native writer, whose argument at ``position`` is the file."""
    native = getattr(module, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        file = args[position] if len(args) > position else None
        if isinstance(file, str | os.PathLike):
            sys.audit("faults.write", os.fspath(file))
        return native(*args, **kwargs)

    setattr(module, name, wrapped)


def kill(root: Path, number: int) -> Watch:
    """``kill -9`` before the operation."""

    def before(operation: Operation) -> None:
        if operation.number == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return Watch(root, before=before)


def kill_at(root: Path, path: str) -> Watch:
    """``kill -9`` before the first operation on ``path``, which is relative to the root."""

    def before(operation: Operation) -> None:
        if operation.path == path:
            os.kill(os.getpid(), signal.SIGKILL)

    return Watch(root, before=before)


def tear(root: Path, number: int) -> Watch:
    """``kill -9`` before the next operation, with the file that this one has written cut to its half.

    A process that is killed has not written what is in its buffers; after a power cut a file may have any length.
    """

    def after(operation: Operation) -> None:
        if operation.number != number:
            return
        file = root / operation.path
        if operation.kind in ("open", "write") and file.is_file():
            os.truncate(file, file.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    return Watch(root, after=after)


def fill_disk(root: Path, number: int) -> Watch:
    """From this operation on, nothing can be written."""

    def before(operation: Operation) -> None:
        if operation.number >= number and operation.kind not in ("remove", "rmdir"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(root / operation.path))

    return Watch(root, before=before)


def interrupt(root: Path, number: int, signal_number: int = signal.SIGINT) -> Watch:
    """Ctrl-C at this operation."""

    def before(operation: Operation) -> None:
        if operation.number == number:
            os.kill(os.getpid(), signal_number)

    return Watch(root, before=before)


def terminate(root: Path, number: int) -> Watch:
    """SIGTERM at this operation, as a scheduler of a cluster sends it."""
    return interrupt(root, number, signal.SIGTERM)


def stop(root: Path, number: int) -> Watch:
    """SIGSTOP at this operation: the process waits, and holds what it has taken, until it is killed."""
    return interrupt(root, number, signal.SIGSTOP)


FAULTS: dict[str, Callable[[Path, int], Watch]] = {
    "kill -9 before an operation": kill,
    "kill -9 with a file half written": tear,
    "disk full": fill_disk,
    "Ctrl-C": interrupt,
    "SIGTERM": terminate,
}
"""A watch that makes the fault at the operation with a number, by what the fault is."""
