"""The content of `trainer_state.json` as no Trainer writes it, by what is wrong with it."""

import json
import math
from collections.abc import Mapping
from typing import Any

LOG = [{"eval_loss": loss, "step": step, "epoch": step / 10} for step, loss in ((10, 0.5), (20, 0.4), (30, 0.6))]


def _state(log: object = LOG, **more: Any) -> str:
    return json.dumps({"log_history": log, "max_steps": 40, "global_step": 40, **more})


def _with(**changes: Any) -> str:
    """Return a state whose second evaluation is changed."""
    return _state([LOG[0], {**LOG[1], **changes}, LOG[2]])


_HUGE = 10**400
_NAN = math.nan

STATES: Mapping[str, str | bytes] = {
    "nothing": "",
    "blanks": "  \n ",
    "words": "what a run",
    "single quotes": "{'log_history': []}",
    "half a file": _state()[:60],
    "two states": f"{_state()}\n{_state()}",
    "a byte order mark": b"\xef\xbb\xbf" + _state().encode(),
    "UTF-16": _state().encode("utf-16"),
    "a null byte": b"\x00",
    "null bytes": b"\x00" * 5000,
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00",
    "brackets": "[" * 100_000,
    "braces": '{"log_history":' * 100_000,
    "a deep log": '{"log_history": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "a number of 5,000 digits": '{"log_history": [{"eval_loss": ' + "7" * 5000 + ', "step": 1}]}',
    "a list": "[]",
    "a number": "5",
    "null": "null",
    "a text": '"log_history"',
    "no log": "{}",
    "an empty log": _state([]),
    "null for a log": _state(None),
    "a mapping for a log": _state({}),
    "a text for a log": _state("log"),
    "a number for a log": _state(5),
    "lists in the log": _state([[1, 2]]),
    "null in the log": _state([*LOG, None]),
    "texts in the log": _state(["step"]),
    "no evaluation": _state([{"loss": 1.0, "step": 5}]),
    "one evaluation": _state(LOG[:1]),
    "a step as a text": _with(step="20"),
    "a step that is NaN": _with(step=_NAN),
    "a step without end": _with(step=math.inf),
    "a negative step": _with(step=-20),
    "half a step": _with(step=20.5),
    "a step that is true": _with(step=True),
    "null for a step": _with(step=None),
    "a list for a step": _with(step=[20]),
    "a step of 400 digits": _with(step=_HUGE),
    "a step of 20 digits": _with(step=10**20),
    "steps that fall": _state(LOG[::-1]),
    "two runs in one log": _state([*LOG, *LOG]),
    "a metric as a text": _with(eval_loss="0.4"),
    "null for a metric": _with(eval_loss=None),
    "a list for a metric": _with(eval_loss=[0.4]),
    "a mapping for a metric": _with(eval_loss={"mean": 0.4}),
    "true for a metric": _with(eval_loss=True),
    "a metric of 400 digits": _with(eval_loss=_HUGE),
    "texts for all metrics": _state([{"eval_loss": "low", "step": step} for step in (1, 2, 3)]),
    "an epoch as a text": _with(epoch="two"),
    "a list for an epoch": _with(epoch=[2]),
    "an epoch that is NaN": _with(epoch=_NAN),
    "a negative epoch": _with(epoch=-2.0),
    "an epoch of 400 digits": _with(epoch=_HUGE),
    "a loss as a text": _state([{"loss": "low", "step": 5}, *LOG]),
    "a loss of 400 digits": _state([{"loss": _HUGE, "step": 5}, *LOG]),
    "planned steps as a text": _state(max_steps="40"),
    "planned steps that are NaN": _state(max_steps=_NAN),
    "negative planned steps": _state(max_steps=-40),
    "planned steps of 400 digits": _state(max_steps=_HUGE),
    "null for the planned steps": _state(max_steps=None),
    "steps made as a text": _state(global_step="40"),
    "steps made of 400 digits": _state(global_step=_HUGE),
    "negative steps made": _state(global_step=-1),
    "a list of callbacks": _state(stateful_callbacks=[1]),
    "a text for the callbacks": _state(stateful_callbacks="EarlyStopping"),
    "a number for the usage": _state(stateful_callbacks={"early_stopping": {"usage": 5}}),
    "a number of seconds": _state(stateful_callbacks={"early_stopping": {"usage": {"seconds": 5}}}),
    "seconds as a text": _state(stateful_callbacks={"early_stopping": {"usage": {"seconds": {"10": "long"}}}}),
    "another metric": _state([{"eval_\x1b[2J\u202e": 1.0, "step": step} for step in (1, 2, 3)]),
}
"""The content of each file."""
