"""One training with a cooldown: what a `PlateauCooldown` does from its beginning to its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from hf_strategies.pytorch.lambda_lr import lambda_lr
from hf_strategies.pytorch.shards import OptimizerPieces
from hf_strategies.schedules.plateau_cooldown import Timeline
from hf_strategies.stopping import Evaluation, StoppingRule
from hf_strategies.stopping.plateau_cooldown import Phases, best_of, cooldown_reason, cooldown_record, phases
from hf_strategies.trainer.best_weights.keeper import BestKeeper
from hf_strategies.trainer.callbacks.context import Host, records, say
from hf_strategies.trainer.callbacks.plateau_cooldown.rates import CooldownRates
from hf_strategies.trainer.callbacks.plateau_cooldown.resume import Bounds, take_records, take_up
from hf_strategies.trainer.callbacks.plateau_cooldown.settings import settle
from hf_strategies.trainer.callbacks.usage import MeterBook
from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["CooldownOptions", "CooldownRun", "forget_moments"]


_NAME = "PlateauCooldown"


@dataclass(frozen=True)
class CooldownOptions:
    """What a `PlateauCooldown` was given, checked; ``cooldown`` has only what was given of it."""

    rule: StoppingRule
    cooldown: Mapping[str, Any]
    rewind: str
    stages: int
    factor: float
    restores: str
    restore_best_weights: bool
    weights_in: str


class CooldownRun:
    """The cooldown of one training: its phases follow from the log, the step and the budget at any time.

    To be made in `on_train_begin`, with the keywords of that event; on every process.
    """

    def __init__(
        self, options: CooldownOptions, host: Host, args: TrainingArguments, state: TrainerState, **event: Any
    ) -> None:
        self._options, self._host, self._args = options, host, args
        self._book, self._shown = MeterBook(state, options.rule.budgets, host.trainer), ""
        self._optimizer = event["optimizer"]
        scheduler = lambda_lr(f"{_NAME} cannot cool down", event["lr_scheduler"])
        self._setting = settle(options.cooldown, scheduler, args, state, event.get("train_dataloader"))
        self._keeper = self._make_keeper(event["model"])
        before, step = take_records(_NAME, state), state.global_step
        self._bounds = self._take_up(before, scheduler, state) if step else Bounds()
        self._rewound = list((before or {}).get("rewound_to", ()))
        self.phases, self._best, _ = self._look(state, self._bounds)
        self._rates = CooldownRates(scheduler, self._setting.cooldowns, self._timeline)
        self._announced = 0 < step >= self.phases.start
        if self._announced:
            self._rates.late_at_start = (before or {}).get("skipped_at_start")
        self._rates.follow(step, self._timeline)
        self.was_over = step > 0 and self.phases.at(step) == "over"
        if state.global_step:
            self._resume(state)
        self._record(state)

    # --- events ---------------------------------------------------------------------------------------------

    def evaluated(self, state: TrainerState, control: TrainerControl) -> None:
        """Find the phase anew, and keep the weights when they are the best so far."""
        self._book.stamp(state)
        before = self.phases
        self.phases, self._best, is_best = self._look(state, self._bounds)
        if self._keeper:
            self._keeper.evaluated(state, control, is_best)
        if len(self.phases.drops) > len(before.drops) or (self.phases.why and not before.why):
            self._rewind(state)
        rate = self._rates.follow(state.global_step, self._timeline)
        if len(self.phases.drops) > len(before.drops):
            say(
                state,
                f"Plateau {len(self.phases.drops)} of {self._options.stages + 1} at step {state.global_step}: the"
                f" learning rate is multiplied by {self._options.factor:g}, to {rate:.4g}.",
            )
        self._announce(state)
        if self.phases.cut is not None:
            control.should_training_stop = True
        self._record(state)

    def stepped(self, state: TrainerState, control: TrainerControl) -> None:
        """Set the rate of the next update; at the end of the cooldown ask for the stop and an evaluation."""
        self._book.on_step_end(state)
        # An evaluation in the warmup would not count, and a budget that is spent is told once.
        if self._from(self._bounds) < state.global_step < self.phases.start and self._book.spent(state):
            control.should_evaluate = True
        self._rates.follow(state.global_step, self._timeline)
        self._announce(state)
        if state.global_step >= self.phases.end:
            control.should_training_stop = True
            # With "epoch", the Trainer does both after its loop, which it leaves in the middle of an epoch.
            control.should_evaluate |= self._args.eval_strategy == IntervalStrategy.STEPS
            control.should_save |= self._args.save_strategy == SaveStrategy.STEPS
        self.before_save(state, control)
        self._record(state)

    def before_save(self, state: TrainerState, control: TrainerControl) -> None:
        """Have the best weights ready for a checkpoint."""
        if self._keeper:
            self._keeper.before_save(state, control)

    def saved(self, state: TrainerState) -> None:
        """Make the best weights safe from a crash."""
        if self._keeper:
            self._keeper.on_save(state)

    def tell(self, state: TrainerState) -> None:
        """Tell the trackers how training ended, before they are closed."""
        found = self._record(state)
        numbers = ("cooldown_start", "cooldown_end", "best_step", "best_value")
        self._host.track({f"plateau_{name}": found[name] for name in numbers}, {"plateau_cooldown": found["reason"]})

    def finish(self, state: TrainerState) -> None:
        """Restore the best weights, give the scheduler its own rates back, and say how it ended."""
        self._rates.take_off()
        restored = bool(self._options.restore_best_weights and self._keeper and self._keeper.restore())
        found = self._record(state, restored)
        if not self.was_over:
            say(state, found["reason"])
        if self.phases.at(state.global_step) != "over":
            say(state, f"Something else has ended training at step {state.global_step}, before the cooldown did.")
        if self._keeper and restored and self._keeper.step != state.global_step:
            say(state, f"Restored the best weights, of step {self._keeper.step}.")
        self._host.put_on_card(self._key, f"end of training: {found['reason']}")

    # --- parts ----------------------------------------------------------------------------------------------

    def _look(self, state: TrainerState, bounds: Bounds) -> tuple[Phases, Evaluation | None, bool]:
        setting, options = self._setting, self._options
        found = phases(
            options.rule,
            state.log_history,
            length=setting.cooldown.steps,
            latest=min(max(setting.latest, bounds.earliest), setting.budget),
            total_steps=setting.budget,
            stages=options.stages,
            after_step=self._from(bounds),
            rewinds=options.rewind != "none",
            meters=self._book.meters(state),
        )
        best, is_newest = best_of(
            options.rule, state.log_history, found.start, end=found.end, total_steps=setting.budget
        )
        return from_rank_zero((found, best, is_newest))

    def _from(self, bounds: Bounds) -> int:
        """The step up to which evaluations are no plateau."""
        return max(self._setting.warmup, bounds.after)

    def _take_up(self, before: dict[str, Any] | None, scheduler: Any, state: TrainerState) -> Bounds:
        now = {"settings": self._settings, "budget": self._setting.budget}
        return take_up(
            before,
            now,
            state.global_step,
            lambda bounds: self._look(state, bounds)[0],
            may_jump=getattr(scheduler, "on_extend", "") == "jump",
        )

    def _rewind(self, state: TrainerState) -> None:
        keeper, way = self._keeper, self._options.rewind
        if way == "none" or keeper is None or keeper.step in (None, state.global_step) or not keeper.restore():
            return
        if way == "weights":
            forget_moments(self._optimizer)
        self._rewound.append(keeper.step)
        say(state, f"Went back to the best weights, of step {keeper.step}.")

    def _announce(self, state: TrainerState) -> None:
        self._show(state)
        if not self._announced and self.phases.at(state.global_step) != "hold":
            self._announced = True
            why = self.phases.why or "the budget ends there"
            say(state, f"Cooldown started at step {self.phases.start}, ends at step {self.phases.end}: {why}.")

    def _show(self, state: TrainerState) -> None:
        held = self.phases.at(state.global_step) == "hold"
        words = f"cooldown at step {self.phases.start}" if held else f"cooldown, ends at step {self.phases.end}"
        if words != self._shown:
            self._host.show(words + (" at the latest" if held else ""))
        self._shown = words

    def _resume(self, state: TrainerState) -> None:
        if self._keeper and self._best:
            words = f"{self._options.rule.monitor}={self._best.value:.6g}"
            self._keeper.find(state, self._best.step, words)
        if self.was_over:
            say(state, f"This run has ended already and does not train on. {self._reason(state)}")
        elif self._announced:
            say(state, f"Resumed in the cooldown from step {self.phases.start} to {self.phases.end}.")

    def _make_keeper(self, model: Any) -> BestKeeper | None:
        options = self._options
        if not options.restore_best_weights and options.rewind == "none":
            return None
        with_moments = options.rewind == "optimizer"
        name = f"{options.restores}{'-optimizer' if with_moments else ''}"
        optimizer = self._optimizer if with_moments else None
        return BestKeeper(model, self._args, name, options.weights_in, optimizer=optimizer)

    @property
    def _timeline(self) -> Timeline:
        found = self.phases
        return Timeline(found.start, found.end, found.drops, self._options.factor)

    @property
    def _settings(self) -> str:
        options, one = self._options, self._setting.cooldown
        parts = [f"{options.rule}", f"cooldown={one.length!r}", f"cooldown_shape={one.shape!r}"]
        parts += [f"min_lr_ratio={one.floor:g}"] if one.floor else []
        parts += [f"stages={options.stages}, factor={options.factor:g}"] if options.stages else []
        return ", ".join(parts + ([f"rewind={options.rewind!r}"] if options.rewind != "none" else []))

    @property
    def _key(self) -> str:
        return f"{_NAME}({self._settings})"

    def _reason(self, state: TrainerState) -> str:
        return cooldown_reason(self._options.rule, self.phases, self._best, state.global_step)

    def _record(self, state: TrainerState, restored: bool = False) -> dict[str, Any]:
        found = cooldown_record(self._options.rule, self.phases, self._best, state.global_step, self._setting.budget)
        found |= {
            "settings": self._settings,
            "after_step": self._bounds.after,
            "earliest_start": self._bounds.earliest,
            "skipped_at_start": self._rates.late_at_start,
            "rewound_to": self._rewound,
            "restored_best_weights": restored,
        }
        records(state)[self._key] = found
        return found


@torch.no_grad()
def forget_moments(optimizer: Any) -> None:
    """Make an optimizer forget all gradients that it has seen, as if it had made no step yet."""
    inner = optimizer
    while hasattr(inner, "optimizer"):
        inner = inner.optimizer
        if type(inner).__module__.startswith("deepspeed.runtime"):
            # It holds on to the tensors of its state: they are emptied in place.
            for piece in OptimizerPieces(optimizer).pieces():
                piece.put(torch.zeros_like(piece.tensor))
            return
    inner.state.clear()
