"""Who makes which run: claims in files, for processes on one host or on several that share a disk.

The claims of a run are numbered files beside its folder. A process makes the first one, or the one after the newest
if the owner of that no longer works. Each is made with O_EXCL, so that of several processes which find the same claim
abandoned one alone makes the next. No claim is ever deleted or renamed while others may look: a process that has
looked at an older state fails to make a claim that is there already.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_strategies.experiments.plan import Run
from hf_strategies.files import read_json, write_json
from hf_strategies.processes import Process

__all__ = ["HEARTBEAT", "LAPSE", "Claim", "take"]

HEARTBEAT = 15.0
"""The seconds after which an owner renews its claim, for other hosts."""

LAPSE = 120.0
"""The seconds without a renewal after which a claim of another host is abandoned."""

_STARTING = 5.0  # seconds in which a process that was started writes its number


@dataclass(frozen=True)
class Claim:
    """A claim of this process on a run."""

    run: Run
    number: int

    @property
    def file(self) -> Path:
        """The file of the claim."""
        return _file(self.run, self.number)

    @property
    def child_file(self) -> Path:
        """The file with the number of the process that trains, which may outlive this one."""
        return self.run.beside(f".claim-{self.number}.child")

    def release(self) -> None:
        """Let other processes make the run, if it is not done."""
        with suppress(OSError):
            write_json(self.file, {"released": True})

    @contextmanager
    def kept_alive(self, every: float = HEARTBEAT) -> Iterator[None]:
        """Renew the claim until the block ends, and release it then."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(every):
                with suppress(OSError):
                    os.utime(self.file)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.release()


def take(run: Run) -> Claim | None:
    """Claim a run; None if a process that works has it, or has just taken it."""
    number = _newest(run)
    if number is not None and not _is_abandoned(run, number):
        return None
    claim = Claim(run, 0 if number is None else number + 1)
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(claim.file, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(Process.this().as_json(), file)
    return claim


def _file(run: Run, number: int) -> Path:
    return run.beside(f".claim-{number}")


def _newest(run: Run) -> int | None:
    found = run.folder.parent.glob(f"{run.folder.name}.claim-*")
    numbers = [int(path.name.rpartition("-")[2]) for path in found if path.name.rpartition("-")[2].isdigit()]
    return max(numbers, default=None)


def _is_abandoned(run: Run, number: int) -> bool:
    """Whether neither the owner of a claim nor the process that it has started works any more."""
    claim = Claim(run, number)
    content = read_json(claim.file)
    if isinstance(content, dict) and content.get("released"):
        return True
    owner = Process.of(content)
    if owner is None:  # it is being written, or its process was killed within that moment
        return _age(claim.file) > _STARTING
    if not owner.is_on_this_host:
        return _age(claim.file) > LAPSE
    if owner.is_alive():
        return False
    if not claim.child_file.exists():
        return _age(claim.file) > _STARTING
    return not _trains(claim)


def _trains(claim: Claim) -> bool:
    """Whether the process that was started for a claim still runs on this host.

    Its number may belong to another process by now, whose command does not have the folder of the run.
    """
    try:
        number = int(claim.child_file.read_text(encoding="utf-8"))
        os.kill(number, 0)
    except (OSError, ValueError):
        return False
    try:
        words = Path(f"/proc/{number}/cmdline").read_bytes()
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # the system has no such files
        return True
    # The command is empty at the moment at which a process becomes another program.
    return state not in "ZX" and (not words or os.fsencode(claim.run.folder) in words)


def _age(file: Path) -> float:
    """Return the seconds since a file was changed, by the clock of the disk that it lies on."""
    probe = file.with_name(f"{file.name}.{os.getpid()}-{threading.get_ident()}.now")
    try:
        probe.touch()
        now: Any = probe.stat().st_mtime
        probe.unlink()
    except OSError:
        now = time.time()
    with suppress(OSError):
        return float(now - file.stat().st_mtime)
    return 0.0
