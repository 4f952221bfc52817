"""A stopping rule: a criterion bound to a metric, and its words about what happened."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hf_strategies.stopping.criteria import Verdict, patience, read_min_delta, read_patience
from hf_strategies.stopping.history import Direction, Evaluation, direction, evaluations, log_key

__all__ = ["Judgement", "PatienceRule"]


@dataclass(frozen=True)
class Judgement:
    """A verdict together with the evaluations that it is about."""

    history: tuple[Evaluation, ...]
    verdict: Verdict

    @property
    def stop(self) -> Evaluation | None:
        """The evaluation at which training stops."""
        return None if self.verdict.stop_index is None else self.history[self.verdict.stop_index]

    @property
    def best(self) -> Evaluation | None:
        """The best evaluation up to there."""
        return None if self.verdict.best_index is None else self.history[self.verdict.best_index]

    @property
    def last_is_best(self) -> bool:
        """Whether the newest evaluation is the best one."""
        return self.verdict.best_index == len(self.history) - 1


@dataclass(frozen=True)
class PatienceRule:
    """Stop when ``monitor`` has not improved for ``patience`` evaluations; see `stopping.patience`."""

    monitor: str
    patience: int
    min_delta: float
    mode: Direction

    @classmethod
    def read(cls, monitor: str, patience: object, min_delta: object, mode: str | None) -> "PatienceRule":
        """Check the settings as a user gives them; raises `StrategyError` for a bad one.

        >>> PatienceRule.read("accuracy", "3", 0, None)
        PatienceRule(monitor='eval_accuracy', patience=3, min_delta=0.0, mode='max')
        """
        return cls(
            log_key(monitor),
            read_patience("patience", patience),
            read_min_delta("min_delta", min_delta),
            direction(monitor, mode),
        )

    def judge(self, log_history: Iterable[Mapping[str, Any]]) -> Judgement:
        """Judge a Trainer's log.

        >>> log = [{"eval_loss": value, "step": step} for step, value in ((10, 0.5), (20, 0.7), (30, 0.6))]
        >>> PatienceRule.read("loss", 2, 0, None).judge(log).stop.step
        30
        """
        history = evaluations(log_history, self.monitor)
        values = [evaluation.value for evaluation in history]
        verdict = patience(values, patience=self.patience, min_delta=self.min_delta, mode=self.mode)
        return Judgement(tuple(history), verdict)

    def reason(self, judgement: Judgement) -> str:
        """Say in one sentence why and where training stopped, or that it has not."""
        stop, best, waited = judgement.stop, judgement.best, judgement.verdict.waited
        if stop is None:
            return f"Not stopped early: {waited} of {self.patience} evaluations without improvement."
        said = f"Stopped early at step {stop.step} (epoch {stop.epoch:.2f}): {self.monitor} has not improved"
        said += f" by more than {self.min_delta:g}" if self.min_delta else ""
        said += f" for {self.patience} evaluation{'s' if self.patience > 1 else ''}"
        if best is None:
            return f"{said}; it never was finite."
        return f"{said}; best {best.value:.6g} at step {best.step} (epoch {best.epoch:.2f})."

    def record(self, judgement: Judgement) -> dict[str, Any]:
        """Put what happened into plain JSON values: the settings, the stop, the best, the reason."""
        stop, best = judgement.stop, judgement.best
        return {
            "monitor": self.monitor,
            "mode": self.mode,
            "patience": self.patience,
            "min_delta": self.min_delta,
            "stopped": stop is not None,
            "reason": self.reason(judgement),
            "stop_step": stop and stop.step,
            "stop_epoch": stop and stop.epoch,
            "best_step": best and best.step,
            "best_epoch": best and best.epoch,
            "best_value": best and best.value,
            "evaluations": len(judgement.history),
            "evaluations_since_best": judgement.verdict.waited,
        }
