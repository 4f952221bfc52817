"""The judgement of a log that grows: each entry is read once, however often the log is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.stopping.evaluation_log import EvaluationLog
from hf_strategies.stopping.history import Usage, used_at
from hf_strategies.stopping.judge import Judgement, RowJudge
from hf_strategies.stopping.rule import StoppingRule

__all__ = ["LogJudge"]


class LogJudge:
    """Judges the log of a training by a rule, again and again while it grows.

    `judge` returns what `StoppingRule.judge` returns: a function of its arguments alone. It recognises the log of the
    call before by its length and its last entry then, and reads the entries that have come since. Any other log, as
    that of another training or one that was shortened, is read from the beginning.
    """

    def __init__(self, rule: StoppingRule) -> None:
        self._rule, self._names = rule, rule.names
        self._begin(None, None)

    def judge(
        self,
        log_history: Sequence[Mapping[str, Any]],
        *,
        usage: Usage | None = None,
        total_steps: int | None = None,
        after_step: int = 0,
    ) -> Judgement:
        """Return the judgement of `StoppingRule.judge`, and how much of its patience is used up.

        Its history is a part of a list that grows; an entry of it does not change.

        >>> judge, log = LogJudge(StoppingRule.read("loss", "patience(2)")), []
        >>> for step, value in ((10, 0.5), (20, 0.7), (30, 0.6)):
        ...     log.append({"eval_loss": value, "step": step})
        ...     print(judge.judge(log).stop_index)
        None
        None
        2
        """
        try:
            judge = self.read(log_history, usage=usage, total_steps=total_steps, after_step=after_step)
            return replace(judge.judgement(), patience_used=judge.patience_used())
        except StrategyError:
            self._begin(None, None)  # a criterion that has failed cannot judge what comes after
            raise

    def read(
        self,
        log_history: Sequence[Mapping[str, Any]],
        *,
        usage: Usage | None = None,
        total_steps: int | None = None,
        after_step: int = 0,
    ) -> RowJudge:
        """Read what is new in the log, and return the judge of its evaluations."""
        if not self._follows(log_history, usage, total_steps):
            self._begin(usage, total_steps)
        self._log.read(log_history)
        self._used_at_last = used_at(usage, self._log.rows[-1].step) if self._log.rows else []
        if after_step not in self._judges:
            self._judges[after_step] = RowJudge(self._rule, self._log, after_step)
        return self._judges[after_step]

    def _begin(self, usage: Usage | None, total_steps: int | None) -> None:
        self._log = EvaluationLog(self._names, usage, total_steps)
        self._judges: dict[int, RowJudge] = {}  # by the step up to which evaluations cannot stop training
        self._used_at_last = list[float | None]()

    def _follows(
        self, log_history: Sequence[Mapping[str, Any]], usage: Usage | None, total_steps: int | None
    ) -> bool:
        """Whether everything that was read before is as it was."""
        log = self._log
        same_usage = not log.rows or used_at(usage, log.rows[-1].step) == self._used_at_last
        same_training = log.usage is usage and log.total_steps == total_steps
        return same_training and same_usage and log.follows(log_history)
