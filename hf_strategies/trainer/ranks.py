"""One answer for all processes."""

from typing import TypeVar

from accelerate.utils import broadcast_object_list

__all__ = ["from_rank_zero"]

T = TypeVar("T")


def from_rank_zero(value: T) -> T:
    """Return the first process's ``value`` in all of them; every process has to call this.

    A process that decided otherwise would hang, or abort, the next collective of the others.
    """
    box = [value]
    broadcast_object_list(box, from_process=0)
    return box[0]
