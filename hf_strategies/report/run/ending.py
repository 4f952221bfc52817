"""How a run ended: by a record of our callbacks, by the states of transformers' own, or by its steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_strategies.report.run.recorded_run import RecordedRun
from hf_strategies.stopping.replay.runs import PastRun

__all__ = ["End", "end_of", "stock_patience"]


@dataclass(frozen=True)
class End:
    """How a run ended: a word for a table, a sentence, and whether it is over at all."""

    word: str
    sentence: str
    is_over: bool


def end_of(past: PastRun, report: RecordedRun, state: Mapping[str, Any]) -> End:
    """Return how a run ended, by the records, by transformers' own callback, or by its steps."""
    record, cooldown, planned = report.record, report.cooldown, past.planned_steps
    if record and record["stopped"]:
        word = "cooled down" if record is cooldown else "stopped early"
        return End(word, str(record["reason"]), True)
    if cooldown and cooldown["phase"] == "over":
        return End("cooled down", str(cooldown["reason"]), True)
    if not past.steps:
        return End("not trained", "Not trained.", True)
    if past.complete:
        return End("all steps", f"Trained to the end of the budget, at step {past.steps}.", True)
    at = f"at step {past.steps}" + (f" of {planned} planned" if planned else "")
    return _stock_end(past, state, at)


def _stock_end(past: PastRun, state: Mapping[str, Any], at: str) -> End:
    """Return the end of a run that made fewer steps than planned, as transformers' callbacks tell it."""
    callbacks = state.get("stateful_callbacks") or {}
    if patience := stock_patience(callbacks, used_up=True):
        why = f"EarlyStoppingCallback, after {patience} evaluations without an improvement"
        return End("stopped early", f"Stopped early {at}: {why}.", True)
    control = _entries(callbacks, "TrainerControl", "args")
    if control.get("should_training_stop") is True or any("train_runtime" in entry for entry in past.log_history):
        return End("stopped", f"Stopped {at}; the log does not say why.", True)
    return End("not over", f"The state was saved {at}: the run went on, or was cut off.", False)


def stock_patience(callbacks: Mapping[str, Any], *, used_up: bool = False) -> int | None:
    """Return the patience of transformers' `EarlyStoppingCallback`; with ``used_up`` only if it ended the run."""
    patience = _entries(callbacks, "EarlyStoppingCallback", "args").get("early_stopping_patience")
    counter = _entries(callbacks, "EarlyStoppingCallback", "attributes").get("early_stopping_patience_counter")
    if not isinstance(patience, int):
        return None
    return patience if not used_up or (isinstance(counter, int) and counter >= patience) else None


def _entries(callbacks: Mapping[str, Any], callback: str, part: str) -> Mapping[str, Any]:
    """Return a part of a stock callback's state; of several callbacks of a class, of the first."""
    state = callbacks.get(callback)
    state = state[0] if isinstance(state, list) and state else state
    found = state.get(part) if isinstance(state, Mapping) else None
    return found if isinstance(found, Mapping) else {}
