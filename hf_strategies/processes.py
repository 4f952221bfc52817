"""The identity of a process, so that another one can tell later whether it still runs."""

import os
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["Process"]

_ENDED = "ended"
_HIGHEST_NUMBER = 2**31 - 1


@dataclass(frozen=True)
class Process:
    """A process on a host: its number, when it began, because numbers are used again, and since when it writes."""

    number: int
    host: str
    began: str
    since: str = field(compare=False)

    @classmethod
    def this(cls) -> "Process":
        """Return this process."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(os.getpid(), socket.gethostname(), _beginning(os.getpid()) or "", now)

    @classmethod
    def of(cls, entry: Any) -> "Process | None":
        """Return the process that an entry of a record names; None if it names none."""
        if not isinstance(entry, dict):
            return None
        number, host, began, since = (entry.get(name, "") for name in ("pid", "host", "began", "since"))
        is_process = type(number) is int and 0 < number <= _HIGHEST_NUMBER and host and isinstance(host, str)
        return cls(number, host, str(began), str(since)) if is_process else None

    @property
    def is_on_this_host(self) -> bool:
        """Whether it is a process of this host."""
        return self.host == socket.gethostname()

    def as_json(self) -> dict[str, Any]:
        """Return the entry for a record."""
        return {"pid": self.number, "host": self.host, "began": self.began, "since": self.since}

    def is_alive(self) -> bool:
        """Whether the process still runs on this host."""
        try:
            os.kill(self.number, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # it runs for another user
            return True
        began = _beginning(self.number)
        return began is None or (began != _ENDED and self.began in ("", began))


def _beginning(number: int) -> str | None:
    """Return when a process began, in clock ticks since a boot of the machine; None if the system has no such record.

    It is `_ENDED` for a process that has ended and that its parent has not yet waited for.
    """
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return _ENDED if fields[0] in ("Z", "X") else f"{boot} {fields[19]}"
