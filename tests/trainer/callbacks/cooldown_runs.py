"""What the tests of the plateau-triggered cooldown share: scores, settings, and how to read the record."""

from typing import Any

from transformers import TrainerCallback

from hf_strategies import PlateauCooldown

PEAK = 0.05
# best at step 3, patience 3 is used up at step 6; half of 6 steps of cooldown, which ends worse than the plateau was
SCORES = [0.5, 0.6, 0.7, *[0.6] * 3, *[0.55] * 37]
RISING = [0.01 * step for step in range(60)]
OPTIONS = {
    "lr_scheduler_type": "linear_warmup_plateau_cooldown",
    "warmup_steps": 2,
    "eval_strategy": "steps",
    "eval_steps": 1,
    "max_steps": 30,
}
# update k has the rate after k - 1 steps: warmup, hold, and from step 6 on the line down to step 9
EXPECTED = [PEAK * ratio for ratio in (0, 0.5, 1, 1, 1, 1, 1, 2 / 3, 1 / 3)]


def cooldown(**options: Any) -> PlateauCooldown:
    settings = {"monitor": "score", "mode": "max", "patience": 3, "cooldown": 0.5}
    shape = {} if options.get("cooldown") == 0 else {"cooldown_shape": "linear"}
    return PlateauCooldown(**(settings | shape | options))


def record(trainer: Any) -> dict[str, Any]:
    """The one record in the trainer's state."""
    return dict(trainer.state.stateful_callbacks["plateau_cooldown"])


class Skip(TrainerCallback):
    """Have the Trainer believe that mixed precision has skipped some updates."""

    def __init__(self, *updates: int) -> None:
        self.updates = updates

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        kwargs["optimizer"]._is_overflow = state.global_step + 1 in self.updates
