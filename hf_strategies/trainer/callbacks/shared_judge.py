"""The judgement of a training by rank 0, which all processes follow."""

from dataclasses import replace

from transformers import TrainerState

from hf_strategies.stopping import Judgement, StoppingRule
from hf_strategies.stopping.evaluation_log import History, Prefix
from hf_strategies.stopping.history import Usage
from hf_strategies.stopping.log_judge import LogJudge
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["SharedJudge"]


class SharedJudge:
    """Judges the log of one training by a rule, in the same way on every process, and reads each entry of it once.

    Rank 0 sends what it has decided and the evaluations that are new, because some metrics are in its log only.
    """

    def __init__(self, rule: StoppingRule) -> None:
        self._judge, self._history = LogJudge(rule), History()
        self._sent: History | None = None  # the history that was sent last, on rank 0

    def judge(self, state: TrainerState, usage: Usage, after_step: int) -> Judgement:
        """Return the judgement of rank 0; every process has to call this."""
        own = self._judge.judge(state.log_history, usage=usage, total_steps=state.max_steps, after_step=after_step)
        history = own.history.growing if isinstance(own.history, Prefix) else None
        known = len(self._history.evaluations) if history is self._sent else 0
        self._sent = history
        known, new, decision = from_rank_zero((known, own.history[known:], replace(own, history=())))
        if not known:
            self._history = History()
        for evaluation in new:
            self._history.add(evaluation)
        return replace(decision, history=Prefix(self._history, len(self._history.evaluations)))
