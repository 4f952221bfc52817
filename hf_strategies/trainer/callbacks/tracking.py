"""What the experiment trackers of ``report_to`` get beside the Trainer's logs: events, their reasons, and rates."""

from collections.abc import Iterable, Mapping
from typing import Any

from transformers import Trainer, TrainerCallback
from transformers.integrations import integration_utils

from hf_strategies.errors import visible

__all__ = ["send", "send_event"]

# These take a text among the logged values. MLflow has tags for it, and trackio alerts.
_WITH_TEXT = {"tensorboard", "wandb"}


def send(trainer: Trainer, numbers: Mapping[str, float | None], texts: Mapping[str, str]) -> None:
    """Send the numbers (without None) to each tracker by the Trainer's own callback for it, and the texts.

    The Trainer's callbacks put ``eval/`` in place of ``eval_`` at the beginning of a name, and ``train/`` before any
    other name. A text goes to TensorBoard and W&B as a logged value and to MLflow as a tag.
    """
    given: dict[str, float | str] = {name: float(value) for name, value in numbers.items() if value is not None}
    for name, callback in _trackers(trainer.callback_handler.callbacks):
        logs = given | (dict(texts) if name in _WITH_TEXT else {})
        callback.on_log(trainer.args, trainer.state, trainer.control, model=trainer.model, logs=logs)
        if name == "mlflow" and trainer.state.is_world_process_zero:
            _tag(callback, texts)


def send_event(trainer: Trainer, event: str, value: float, text: str) -> None:
    """Send an event, such as a stop, to each tracker at the step at which it happens.

    It is the number ``strategy_<event>``, and its ``text`` the value ``strategy_<event>_reason``, the tag of this
    name in MLflow, and an alert in trackio.
    """
    send(trainer, {f"strategy_{event}": value}, {f"strategy_{event}_reason": text})
    for name, callback in _trackers(trainer.callback_handler.callbacks):
        if name == "trackio" and trainer.state.is_world_process_zero and event != "best":
            _alert(callback, event, text)


def _trackers(callbacks: Iterable[TrainerCallback]) -> list[tuple[str, Any]]:
    """Return the callbacks that report to an experiment tracker, with the name that ``report_to`` has for it."""
    kinds = integration_utils.INTEGRATION_TO_CALLBACK.items()
    named = [(next((name for name, kind in kinds if isinstance(each, kind)), None), each) for each in callbacks]
    return [(name, each) for name, each in named if name is not None]


def _tag(callback: Any, texts: Mapping[str, str]) -> None:
    mlflow = getattr(callback, "_ml_flow", None)
    if mlflow is not None and mlflow.active_run():
        mlflow.set_tags({name: visible(text) for name, text in texts.items()})


def _alert(callback: Any, event: str, text: str) -> None:
    trackio: Any = getattr(callback, "_trackio", None)
    if hasattr(trackio, "alert"):  # trackio 0.16 or later
        trackio.alert(title=event.replace("_", " "), text=visible(text), level=trackio.AlertLevel.INFO)
