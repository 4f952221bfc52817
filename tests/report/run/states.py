"""The state of a finished run, written by hand, and the cells of the tables that are printed of it."""

from typing import Any

from rich.console import Console
from rich.table import Table

RECORD: dict[str, Any] = {
    "monitor": "eval_accuracy",
    "stopped": True,
    "reason": "Stopped early at step 30 (epoch 3.00): eval_accuracy has not improved for 2 evaluations.",
    "stop_step": 30,
    "best_step": 10,
    "best_epoch": 1.0,
    "best_value": 0.75,
    "restored_best_weights": True,
}


def evaluation(step: int, loss: float, accuracy: float) -> dict[str, Any]:
    return {
        "step": step,
        "epoch": step / 10,
        "eval_loss": loss,
        "eval_accuracy": accuracy,
        "eval_runtime": 1.5,
        "eval_samples_per_second": 60.5,
        "eval_steps_per_second": 7.5,
    }


def state(record: dict[str, Any] | None = None) -> dict[str, Any]:
    """What `trainer_state.json` holds after 30 steps with an evaluation each 10."""
    log = []
    for step, loss, accuracy in ((10, 0.5, 0.75), (20, 0.4, 0.7), (30, 0.6, 0.725)):
        log.append({"step": step - 5, "epoch": step / 10 - 0.5, "loss": loss, "learning_rate": step * 1e-5})
        log.append(evaluation(step, loss, accuracy))
    log.append({"step": 30, "epoch": 3.0, "train_loss": 0.5, "train_runtime": 10.0})
    callbacks: dict[str, Any] = {"TrainerControl": {"args": {}}}
    if record:
        callbacks["early_stopping"] = record
    return {"log_history": log, "stateful_callbacks": callbacks}


def printed(*tables: Table) -> list[list[str]]:
    """The cells of the tables' lines."""
    console = Console(width=200, file=None, record=True, quiet=False)
    with console.capture() as captured:
        console.print(*tables)
    lines = captured.get().splitlines()
    return [
        [cell.strip() for cell in line.strip("│┃").replace("┃", "│").split("│")] for line in lines if "─" not in line
    ]
