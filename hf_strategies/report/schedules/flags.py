"""The TrainingArguments that select a schedule: as flags, YAML lines, or a Python call."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

__all__ = ["as_flags", "as_python", "as_yaml"]


def as_flags(
    name: str,
    parameters: Mapping[str, Any],
    *,
    warmup_steps: float | None = None,
    learning_rate: float | None = None,
) -> str:
    """Return the flags on one line, quoted for a shell.

    >>> print(as_flags("linear_warmup_step_decay", {"gamma": 0.5}, warmup_steps=0.1))
    --lr_scheduler_type linear_warmup_step_decay --warmup_steps 0.1 --lr_scheduler_kwargs '{"gamma": 0.5}'
    """
    entries = _entries(name, parameters, warmup_steps, learning_rate)
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in entries.items()}
    return " ".join(f"--{key} {shlex.quote(text)}" for key, text in texts.items())


def as_yaml(
    name: str,
    parameters: Mapping[str, Any],
    *,
    warmup_steps: float | None = None,
    learning_rate: float | None = None,
) -> str:
    """Return YAML lines that mean the same in YAML 1.1 and 1.2.

    >>> print(as_yaml("linear_warmup_step_decay", {"gamma": 1e-5}, warmup_steps=0.1))
    lr_scheduler_type: linear_warmup_step_decay
    warmup_steps: 0.1
    lr_scheduler_kwargs: {gamma: 1.0e-05}
    """
    import yaml

    entries = _entries(name, parameters, warmup_steps, learning_rate)
    return yaml.safe_dump(entries, sort_keys=False, default_flow_style=None, width=10_000).rstrip()


def as_python(
    name: str,
    parameters: Mapping[str, Any],
    *,
    warmup_steps: float | None = None,
    learning_rate: float | None = None,
) -> str:
    """Return the call of TrainingArguments, with the imports that it needs.

    >>> print(as_python("linear_warmup_step_decay", {"gamma": 0.5}, warmup_steps=0.1))
    import hf_strategies.auto  # makes the name valid
    from transformers import TrainingArguments
    <BLANKLINE>
    args = TrainingArguments(
        lr_scheduler_type="linear_warmup_step_decay",
        warmup_steps=0.1,
        lr_scheduler_kwargs={"gamma": 0.5},
    )
    """
    entries = _entries(name, parameters, warmup_steps, learning_rate)
    return "\n".join(
        [
            "import hf_strategies.auto  # makes the name valid",
            "from transformers import TrainingArguments",
            "",
            "args = TrainingArguments(",
            *(f"    {key}={_literal(value)}," for key, value in entries.items()),
            ")",
        ]
    )


def _entries(
    name: str, parameters: Mapping[str, Any], warmup_steps: float | None, learning_rate: float | None
) -> dict[str, Any]:
    entries = {
        "learning_rate": learning_rate,
        "lr_scheduler_type": name,
        "warmup_steps": warmup_steps,
        "lr_scheduler_kwargs": dict(parameters) or None,
    }
    return {key: value for key, value in entries.items() if value is not None}


def _literal(value: object) -> str:
    """Write a value that came from JSON as Python, with double quotes."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return repr(value)
