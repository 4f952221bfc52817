"""How to use a schedule, for a script or a recipe: as flags, YAML lines, or Python."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hf_strategies.report.lines import broken_literal, shell_command
from hf_strategies.schedules import Plan, WarmupDecayPlan
from hf_strategies.schedules.plateau_cooldown import PLATEAU_COOLDOWN
from hf_strategies.schedules.stock import StockPlan

__all__ = ["Usage", "as_flags", "as_python", "as_yaml", "is_triggered"]

_LONGEST_WORD = 20
_IMPORT = "import hf_strategies.auto"
_HOW_TO_TRIGGER = (
    "read these flags by HfArgumentParser((TrainingArguments, StrategyArguments))",
    "and call Trainer(model, args, ..., **strategy.trainer_kwargs(args))",
)


def is_triggered(plan: Plan) -> bool:
    """Return whether `PlateauCooldown` is meant to start the cooldown of a schedule."""
    return isinstance(plan, WarmupDecayPlan) and plan.decay is PLATEAU_COOLDOWN


@dataclass(frozen=True)
class Usage:
    """A schedule with what is given for it; ``monitor`` is the metric whose plateau starts a cooldown."""

    plan: Plan
    parameters: Mapping[str, Any] = field(default_factory=dict)
    warmup_steps: float | None = None
    learning_rate: float | None = None
    monitor: str = "loss"

    @property
    def training(self) -> dict[str, Any]:
        """The TrainingArguments."""
        arguments = {
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": self.plan.name,
            "warmup_steps": self.warmup_steps,
            "lr_scheduler_kwargs": dict(self.parameters) or None,
            "eval_strategy": "epoch" if is_triggered(self.plan) else None,
        }
        return {key: value for key, value in arguments.items() if value is not None}

    @property
    def strategy(self) -> dict[str, Any]:
        """The StrategyArguments."""
        return {"plateau_cooldown_monitor": self.monitor} if is_triggered(self.plan) else {}

    @property
    def notes(self) -> list[str]:
        """What a script has to do beside, as comments; nothing for a schedule of transformers."""
        if isinstance(self.plan, StockPlan):
            return []
        needs = f"# a script of your own needs: {_IMPORT}"
        return [needs, *(f"# {line}" for line in _HOW_TO_TRIGGER)] if is_triggered(self.plan) else [needs]


def as_flags(usage: Usage, width: int | None = None) -> str:
    """Return the flags, quoted for a shell, which joins the lines of at most ``width`` characters again.

    >>> from hf_strategies.schedules import find_plan
    >>> print(as_flags(Usage(find_plan("linear_warmup_step_decay"), {"gamma": 0.5}, warmup_steps=0.1), width=64))
    --lr_scheduler_type linear_warmup_step_decay \\
      --warmup_steps 0.1 --lr_scheduler_kwargs '{"gamma": 0.5}'
    """
    arguments = usage.training | usage.strategy
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in arguments.items()}
    return shell_command(" ".join(f"--{key} {shlex.quote(text)}" for key, text in texts.items()), width)


def as_yaml(usage: Usage, width: int | None = None) -> str:
    """Return YAML lines that mean the same in YAML 1.1 and 1.2.

    >>> from hf_strategies.schedules import find_plan
    >>> print(as_yaml(Usage(find_plan("linear_warmup_step_decay"), {"gamma": 1e-5}, warmup_steps=0.1)))
    lr_scheduler_type: linear_warmup_step_decay
    warmup_steps: 0.1
    lr_scheduler_kwargs: {gamma: 1.0e-05}
    """
    import yaml

    arguments = usage.training | usage.strategy
    # None writes the innermost mappings and lists in braces, and so would a mapping of texts and numbers alone.
    style = None if usage.parameters else False
    # PyYAML breaks a line at the first space after its width.
    room = 10_000 if width is None else width - _LONGEST_WORD
    return yaml.safe_dump(arguments, sort_keys=False, default_flow_style=style, width=room).rstrip()


def as_python(usage: Usage, width: int | None = None) -> str:
    """Return the TrainingArguments, and the callback that the schedule needs, with the imports.

    >>> from hf_strategies.schedules import find_plan
    >>> print(as_python(Usage(find_plan("linear_warmup_step_decay"), {"gamma": 0.5}, warmup_steps=0.1)))
    import hf_strategies.auto  # makes the name valid
    from transformers import TrainingArguments
    <BLANKLINE>
    args = TrainingArguments(
        lr_scheduler_type="linear_warmup_step_decay",
        warmup_steps=0.1,
        lr_scheduler_kwargs={"gamma": 0.5},
    )
    """
    imports, end = ["from transformers import TrainingArguments"], [")"]
    if is_triggered(usage.plan):
        imports.insert(0, "from hf_strategies import PlateauCooldown")
        end.append(f"callbacks = [PlateauCooldown({_literal(usage.monitor)})]  # Trainer(..., callbacks=callbacks)")
    if not isinstance(usage.plan, StockPlan):
        imports.insert(0, f"{_IMPORT}  # makes the name valid")
    arguments = [f"    {key}={_literal(value)}," for key, value in usage.training.items()]
    broken = [broken_literal(line, width or len(line), " " * 8) for line in arguments]
    return "\n".join([*imports, "", "args = TrainingArguments(", *broken, *end])


def _literal(value: object) -> str:
    """Write a value that came from JSON as Python, with double quotes."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return repr(value)
