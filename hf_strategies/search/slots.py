"""Which attempts of a study count: each trial that was asked for ends exactly once, whatever dies on the way.

A study of Optuna has an entry for each attempt. A trial is a first attempt and its retries. Every worker derives from
the list of all attempts what is to be done, and no worker keeps a state of its own; so it does not matter how many
there are, on how many machines, nor which of them die.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Attempt", "Standing", "State"]

State = Literal["waiting", "running", "completed", "pruned", "failed", "lost", "surplus"]
_ENDED = ("completed", "pruned", "failed")


@dataclass(frozen=True)
class Attempt:
    """One attempt: its number in the study, its state, and the number of the first attempt of its trial.

    ``lost`` is an attempt whose worker died or was interrupted: its trial is tried again. ``failed`` is one that its
    own error has ended, and ``surplus`` one that was never run, because another worker was faster.
    """

    number: int
    state: State
    first: int


class Standing:
    """How far a search of ``wanted`` trials has come.

    >>> rows = [(0, "completed", 0), (1, "lost", 1), (2, "running", 1), (3, "waiting", 3)]
    >>> standing = Standing([Attempt(*row) for row in rows], wanted=3)
    >>> standing.ended, standing.to_retry, standing.may_begin, standing.admits(2), standing.is_done
    (1, [], True, True, False)
    """

    def __init__(self, attempts: Iterable[Attempt], wanted: int) -> None:
        self._attempts = {each.number: each for each in attempts}
        firsts = [each.first for each in self._attempts.values() if each.state != "surplus"]
        self._trials = sorted(set(firsts))[:wanted]
        self._wanted = wanted

    @property
    def ended(self) -> int:
        """The number of trials that have ended: completed, pruned, or by an error of their own."""
        return len(self.ended_attempts)

    @property
    def ended_attempts(self) -> list[Attempt]:
        """The attempt that has ended each trial, in the order of the trials."""
        found = (next((each for each in self._of(first) if each.state in _ENDED), None) for first in self._trials)
        return [each for each in found if each is not None]

    @property
    def is_done(self) -> bool:
        """Whether all trials have ended."""
        return self.ended == self._wanted

    @property
    def running(self) -> list[int]:
        """The numbers of the attempts that are running."""
        return [each.number for first in self._trials for each in self._of(first) if each.state == "running"]

    @property
    def to_retry(self) -> list[int]:
        """The numbers of lost attempts whose trials nobody has taken up again."""
        tries = [self._of(first) for first in self._trials]
        return [each[-1].number for each in tries if each and all(one.state == "lost" for one in each)]

    @property
    def may_begin(self) -> bool:
        """Whether there is a trial to begin or to try again."""
        waiting = any(each.state == "waiting" for first in self._trials for each in self._of(first))
        return waiting or len(self._trials) < self._wanted

    def admits(self, number: int) -> bool:
        """Whether an attempt that has begun is to be run; otherwise it is surplus.

        It is the first of its trial that is neither lost nor surplus, and its trial is among the wanted ones. All
        workers agree, because numbers are given once and never change.
        """
        attempt = self._attempts[number]
        before = [each for each in self._of(attempt.first) if each.number < number and each.state != "lost"]
        return attempt.first in self._trials and not before

    def _of(self, first: int) -> list[Attempt]:
        return sorted(
            (each for each in self._attempts.values() if each.first == first and each.state != "surplus"),
            key=lambda each: each.number,
        )
