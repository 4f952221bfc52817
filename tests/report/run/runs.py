"""Runs of the Trainer, written by hand as their `trainer_state.json` has them."""

import math
from collections.abc import Sequence
from typing import Any

from hf_strategies.report.run.logged_run import LoggedRun

__all__ = ["STOCK_STOP", "cosine", "logged", "stock"]

STOCK_STOP: dict[str, Any] = {
    "EarlyStoppingCallback": {
        "args": {"early_stopping_patience": 2, "early_stopping_threshold": 0.0},
        "attributes": {"early_stopping_patience_counter": 2},
    },
    "TrainerControl": {"args": {"should_training_stop": True}, "attributes": {}},
}
"""What transformers' own callbacks leave in the state of a run that stopped early."""


def stock(
    losses: Sequence[float],
    rates: Sequence[float] = (),
    *,
    planned: int | None = None,
    metric: str = "eval_loss",
    callbacks: dict[str, Any] | None = None,
    **columns: Sequence[float],
) -> dict[str, Any]:
    """The state of a run without a line of ours, evaluated every 10 steps, with a rate logged before each evaluation.

    ``columns`` are further metrics, with a value for each evaluation.
    """
    log: list[dict[str, Any]] = []
    for index in range(max(len(losses), len(rates))):
        step = 10 * (index + 1)
        place = {"step": step, "epoch": step / 100}
        if index < len(rates):
            log.append({"loss": 2.0 / (index + 1), "learning_rate": rates[index], "grad_norm": 1.5, **place})
        if index < len(losses):
            more = {name: values[index] for name, values in columns.items()}
            log.append({metric: losses[index], "eval_runtime": 0.5, **more, **place})
    made = max((entry["step"] for entry in log), default=0)
    state = {"log_history": log, "global_step": made, "max_steps": planned or made, "total_flos": 3e12}
    return state | {"num_train_epochs": 3, "train_batch_size": 8, "stateful_callbacks": callbacks or {}}


def logged(*args: Any, name: str = "run", **options: Any) -> LoggedRun:
    """The run of a state that `stock` makes."""
    return LoggedRun.of_state(name, stock(*args, **options))


def cosine(steps: int, warmup: int, peak: float = 1e-3) -> list[float]:
    """The rates that a Trainer logs every 10 steps of a linear warmup and a cosine decay."""
    done = [10 * index + 9 for index in range(steps // 10)]  # the update that leads to a step has the rate before it
    ratios = [
        k / warmup if k < warmup else 0.5 + 0.5 * math.cos(math.pi * (k - warmup) / (steps - warmup)) for k in done
    ]
    return [peak * ratio for ratio in ratios]
