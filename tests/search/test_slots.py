"""Which attempts count: under any order of events, each trial that was asked for ends exactly once."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hf_strategies.search.slots import Attempt, Standing, State


class Ledger:
    """A storage of attempts as Optuna's: numbers rise, and two workers never get the same attempt."""

    def __init__(self) -> None:
        self.rows: list[Attempt] = []
        self.runs: list[int] = []  # the trials whose attempts were run to their end

    def ask(self) -> int:
        waiting = next((each.number for each in self.rows if each.state == "waiting"), None)
        if waiting is None:
            waiting = len(self.rows)
            self.rows.append(Attempt(waiting, "waiting", waiting))
        self.put(waiting, "running")
        return waiting

    def put(self, number: int, state: State) -> None:
        self.rows[number] = Attempt(number, state, self.rows[number].first)

    def retry(self, number: int) -> None:
        self.rows.append(Attempt(len(self.rows), "waiting", self.rows[number].first))


class Worker:
    """A worker as a program of steps, between which those of other workers come: it reads, it asks, it runs."""

    def __init__(self, ledger: Ledger, wanted: int) -> None:
        self._ledger, self._wanted = ledger, wanted
        self._read: Standing | None = None
        self._attempt: int | None = None

    def step(self, end: State) -> None:
        """Make the next step; an attempt that runs ends by ``end``, which is ``lost`` where the worker dies."""
        if self._attempt is not None:
            self._finish(self._attempt, end)
            self._attempt = self._read = None
        elif self._read is None:
            self._read = Standing(self._ledger.rows, self._wanted)
        else:
            self._begin(self._read)  # what it has read may be old by now
            self._read = None

    def _begin(self, standing: Standing) -> None:
        for number in standing.to_retry:
            self._ledger.retry(number)
        if standing.to_retry or standing.may_begin:
            self._attempt = self._ledger.ask()

    def _finish(self, number: int, end: State) -> None:
        is_admitted = Standing(self._ledger.rows, self._wanted).admits(number)
        if is_admitted and end != "lost":
            self._ledger.runs.append(self._ledger.rows[number].first)
        self._ledger.put(number, end if is_admitted or end == "lost" else "surplus")


ENDS = st.sampled_from(["completed", "pruned", "failed", "lost"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), ENDS), max_size=200), st.integers(1, 5))
def test_however_workers_interleave_and_die_each_trial_ends_exactly_once(
    steps: list[tuple[int, State]], wanted: int
) -> None:
    ledger = Ledger()
    workers = [Worker(ledger, wanted) for _ in range(4)]
    for worker, end in steps:
        workers[worker].step(end)
    # Then nobody dies any more. A round has at most three steps of a worker, and what was lost is taken up once.
    for _ in range(3 * (wanted + len(steps))):
        for each in workers:
            each.step("completed")
    end = Standing(ledger.rows, wanted)
    assert end.is_done
    assert len(ledger.runs) == len(set(ledger.runs)) == wanted
    assert sorted(ledger.runs) == sorted(each.first for each in end.ended_attempts)


def test_more_trials_than_before_go_on_where_the_search_has_ended() -> None:
    rows = [Attempt(0, "completed", 0), Attempt(1, "pruned", 1), Attempt(2, "surplus", 2)]
    assert Standing(rows, wanted=2).is_done
    more = Standing(rows, wanted=3)
    assert (more.is_done, more.may_begin, more.ended) == (False, True, 2)
    # The surplus attempt is no trial, so that the next one is the third.
    assert Standing([*rows, Attempt(3, "running", 3)], wanted=3).admits(3)
    assert not Standing([*rows, Attempt(3, "running", 3), Attempt(4, "running", 4)], wanted=3).admits(4)


def test_of_two_retries_of_one_trial_the_first_is_run() -> None:
    rows = [Attempt(0, "lost", 0), Attempt(1, "running", 0), Attempt(2, "running", 0)]
    standing = Standing(rows, wanted=1)
    assert [standing.admits(1), standing.admits(2)] == [True, False]
    assert standing.to_retry == []
