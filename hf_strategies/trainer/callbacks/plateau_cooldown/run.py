"""The work of a `PlateauCooldown` in one training, from the beginning to the end."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from hf_strategies.averaging import Average
from hf_strategies.pytorch.lambda_lr import lambda_lr
from hf_strategies.pytorch.shards import OptimizerPieces
from hf_strategies.schedules.plateau_cooldown import Timeline
from hf_strategies.stopping import StoppingRule
from hf_strategies.stopping.history import read_log
from hf_strategies.stopping.plateau_cooldown import Choice, CooldownJudge, Phases, cooldown_reason, cooldown_record
from hf_strategies.stopping.results import PLATEAU_COOLDOWN, CooldownResult
from hf_strategies.trainer.best_weights.keeper import BestKeeper
from hf_strategies.trainer.callbacks.base import MetricRun, save_state
from hf_strategies.trainer.callbacks.context import TrainerContext, records
from hf_strategies.trainer.callbacks.plateau_cooldown.hold_average import HoldAverage
from hf_strategies.trainer.callbacks.plateau_cooldown.rates import CooldownRates, refuse_falling
from hf_strategies.trainer.callbacks.plateau_cooldown.settings import (
    Bounds,
    refuse_jump,
    resolve_cooldown,
    resume_bounds,
)
from hf_strategies.trainer.callbacks.usage import UsageLog
from hf_strategies.trainer.distributed import from_rank_zero, say

__all__ = ["CooldownOptions", "CooldownRun", "reset_optimizer_state"]

_NAME = "PlateauCooldown"


@dataclass(frozen=True)
class CooldownOptions:
    """The checked settings of a `PlateauCooldown`; ``cooldown`` has the settings of the cooldown that were given.

    ``rule_without_loss`` takes the place of ``rule`` if the evaluations have no loss; None if they have to have all
    names of ``rule``. ``average`` is the average of the hold's weights by which the plateau is judged. Unless
    ``cools_down``, training ends at the plateau.
    """

    rule: StoppingRule
    rule_without_loss: StoppingRule | None
    cooldown: Mapping[str, Any]
    rewind: str
    stages: int
    factor: float
    restores: str
    keeping: str
    hold: str
    weights_in: str
    average: Average | None
    cools_down: bool


class CooldownRun(MetricRun):
    """The cooldown of one training; its phases follow at any time from the log, the step and the budget.

    Create it on every process in `on_train_begin`; ``event`` has the keywords of that event. It writes its record
    into the Trainer's state whenever the record changes: at an evaluation, at a change of phase, before a checkpoint.
    """

    def __init__(
        self,
        options: CooldownOptions,
        context: TrainerContext,
        args: TrainingArguments,
        state: TrainerState,
        event: Mapping[str, Any],
    ) -> None:
        self._options, self._context, self._args = _without_missing_loss(options, state), context, args
        self._usage = UsageLog(state, options.rule.budgets, context.trainer)
        self._judge = self._make_judge()
        self._optimizer = event["optimizer"]
        scheduler = lambda_lr(f"{_NAME} cannot cool down", event["lr_scheduler"])
        self._cooldown = resolve_cooldown(options.cooldown, scheduler, args, state, event.get("train_dataloader"))
        if options.hold == "peak":
            refuse_falling(scheduler, self._cooldown.warmup, self._latest, _name_of(args))
        self._keeper = self._make_keeper(event["model"])
        self._settings = self._describe_settings()
        before = records(state).pop(PLATEAU_COOLDOWN, None) or {}
        step = state.global_step
        self._bounds = self._resume_bounds(before, scheduler, state) if step else Bounds()
        self._rewound_to = list(before.get("rewound_to", ()))
        self._read_log(state)
        self._average = options.average and HoldAverage(options.average, context, event, lambda: self._phases.start)
        self._announced = step > 0 and self._phases.at(step) != "hold"
        late = before.get("skipped_at_start") if self._announced else None
        rates = [float(group["lr"]) for group in scheduler.optimizer.param_groups]
        self._rates = CooldownRates(scheduler, self._cooldown.cooldowns, self._timeline, step, late)
        if step and before.get("settings", self._settings) != self._settings:
            refuse_jump(before, self._settings, step, rates, scheduler)
        self.was_over = step > 0 and self._phases.at(step) == "over"
        self._shown_phase = ""  # by the progress bar
        if step:
            self._resume(state)
        self._record(state)

    # --- events ---------------------------------------------------------------------------------------------

    def evaluated(self, state: TrainerState, control: TrainerControl) -> None:
        """Read the phases from the log again, and save the weights if they are the best so far."""
        self._usage.evaluated(state)
        self._leave_out_loss(state)
        before = self._phases
        is_best = self._read_log(state)
        if self._keeper:
            self._keeper.evaluated(state, control, is_best)
        dropped = len(self._phases.drops) > len(before.drops)
        if dropped or (self._phases.why and not before.why):
            self._rewind(state)
        self._tell_evaluation(state, is_best, dropped)
        rate = self._rates.set_timeline(state.global_step, self._timeline)
        if dropped:
            say(
                state,
                f"Plateau {len(self._phases.drops)} of {self._options.stages + 1} at step {state.global_step}: the"
                f" learning rate is multiplied by {self._options.factor:g}, to {rate:.4g}.",
            )
        self._report_phase(state)
        if self._phases.cut is not None or (not self._options.cools_down and self._phases.why):
            control.should_training_stop = True

    def stepped(self, state: TrainerState, control: TrainerControl) -> None:
        """Set the rate of the next update; at the end of the cooldown, stop training and ask for an evaluation."""
        step = state.global_step
        self._usage.stepped(state)
        if self._average:
            self._average.stepped(state, control)
        # `spent` reports a budget only once, and an evaluation in the warmup would not count.
        if self._warmup_end(self._bounds) < step < self._phases.start and self._usage.spent(state):
            control.should_evaluate = True
        self._rates.follow(step)
        if self._phases.at(step) != self._shown_phase:
            self._report_phase(state)
        if step >= self._phases.end:
            control.should_training_stop = True
            # With the strategy "epoch", the Trainer evaluates and saves by itself after it leaves the epoch.
            control.should_evaluate |= self._args.eval_strategy == IntervalStrategy.STEPS
            control.should_save |= self._args.save_strategy == SaveStrategy.STEPS
        self.before_save(state, control)

    def before_save(self, state: TrainerState, control: TrainerControl) -> None:
        """Write the best weights and the record for the checkpoint of this step, if there is one."""
        if self._keeper:
            self._keeper.before_save(state, control)
        if self._average:
            self._average.before_save(control)
        if control.should_save:
            self._record(state)

    def saved(self, state: TrainerState) -> None:
        """Put the best weights into the checkpoint, or protect the checkpoint that holds them."""
        if self._keeper:
            self._keeper.on_save(state)
        if self._average:
            self._average.saved()

    def track(self, state: TrainerState) -> None:
        """Send the result to the trackers."""
        result = self._record(state)
        numbers = ("cooldown_start", "cooldown_end", "best_step", "best_value")
        self._context.track(
            {f"plateau_{name}": result[name] for name in numbers}, {"plateau_cooldown": result["reason"]}
        )
        if self._phases.at(state.global_step) == "over":
            if self._options.cools_down:
                self._context.tell_event("cooldown_end", self._phases.end, f"at step {self._phases.end}")
            self._context.tell_event("stop", state.global_step, result["reason"])

    def finish(self, state: TrainerState) -> None:
        """Remove the cooldown from the scheduler, restore the best weights, and record how training ended."""
        self._rates.remove()
        if self._average:
            self._average.finish(state)
        restored = bool(self._options.keeping != "end" and self._keeper and self._keeper.restore())
        result = self._record(state, restored)
        if not self.was_over:
            say(state, result["reason"])
        if self._phases.at(state.global_step) != "over":
            say(state, f"Something else has ended training at step {state.global_step}, before the cooldown did.")
        if self._keeper and restored and self._keeper.step != state.global_step:
            say(state, f"Restored the best weights, of step {self._keeper.step}.")
        self._context.put_on_card(PLATEAU_COOLDOWN, f"end of training: {result['reason']}")
        save_state(self._args, state)

    # --- phases ---------------------------------------------------------------------------------------------

    def _leave_out_loss(self, state: TrainerState) -> None:
        """Judge by the rule without the loss from the first evaluation on, if that has no loss."""
        options = _without_missing_loss(self._options, state)
        if options.rule != self._options.rule:
            self._options = options
            self._settings = self._describe_settings()
        self._options = options

    def _read_log(self, state: TrainerState) -> bool:
        """Set the phases, the timeline and the best evaluation; return whether the last evaluation is the best."""
        self._phases, self._choice = self._phases_within(state, self._bounds)
        self._timeline = Timeline(self._phases.start, self._phases.end, self._phases.drops, self._options.factor)
        return self._choice.is_newest

    def _phases_within(self, state: TrainerState, bounds: Bounds) -> tuple[Phases, Choice]:
        """Return the phases and the evaluation whose weights are to be kept, as rank 0 reads them."""
        cooldown, options = self._cooldown, self._options
        usage = self._usage.usage(state)
        if self._judge.rule != options.rule:  # since the first evaluation, which has no loss
            self._judge = self._make_judge()
        plan = self._judge.phases(
            state.log_history,
            length=cooldown.cooldown.steps if options.cools_down else lambda step: 0,
            latest=min(max(self._latest, bounds.earliest), cooldown.budget),
            total_steps=cooldown.budget,
            stages=options.stages,
            after_step=self._warmup_end(bounds),
            rewinds=options.rewind != "none",
            usage=usage,
        )
        choice = self._judge.best(
            state.log_history, plan.start, end=plan.end, total_steps=cooldown.budget, usage=usage
        )
        return from_rank_zero((plan, choice))

    def _make_judge(self) -> CooldownJudge:
        options = self._options
        return CooldownJudge(options.rule, options.keeping, averaged=options.average is not None)

    @property
    def _latest(self) -> int:
        """The last step at which the cooldown may start."""
        return self._cooldown.latest if self._options.cools_down else self._cooldown.budget

    def _warmup_end(self, bounds: Bounds) -> int:
        """Return the step up to which evaluations do not count for a plateau."""
        return max(self._cooldown.warmup, bounds.after)

    def _resume_bounds(self, before: Mapping[str, Any], scheduler: Any, state: TrainerState) -> Bounds:
        return resume_bounds(
            before or None,
            {"settings": self._settings, "budget": self._cooldown.budget},
            state.global_step,
            lambda bounds: self._phases_within(state, bounds)[0],
            may_jump=getattr(scheduler, "on_extend", "") == "jump",
        )

    # --- weights --------------------------------------------------------------------------------------------

    def _make_keeper(self, model: Any) -> BestKeeper | None:
        options = self._options
        if options.keeping == "end" and options.rewind == "none":
            return None
        with_moments = options.rewind == "optimizer"
        name = f"{options.restores}{'-optimizer' if with_moments else ''}"
        optimizer = self._optimizer if with_moments else None
        averaged = options.average is not None or self._context.averaging is not None
        return BestKeeper(model, self._args, name, options.weights_in, optimizer=optimizer, averaged=averaged)

    def _rewind(self, state: TrainerState) -> None:
        """Restore the best weights at a plateau, if ``rewind`` asks for it and they are not the current weights."""
        keeper, rewind = self._keeper, self._options.rewind
        if rewind == "none" or keeper is None or keeper.step in (None, state.global_step) or not keeper.restore():
            return
        if rewind == "weights":
            reset_optimizer_state(self._optimizer)
        self._rewound_to.append(keeper.step)
        say(state, f"Went back to the best weights, of step {keeper.step}.")

    # --- messages and the record ----------------------------------------------------------------------------

    def _report_phase(self, state: TrainerState) -> None:
        """Show the phase behind the progress bar, print a message when the cooldown starts, write the record."""
        self._shown_phase = self._phases.at(state.global_step)
        if self._shown_phase == "hold":
            self._context.show(f"cooldown by step {self._phases.start}")
        elif self._options.cools_down:
            self._context.show(f"cooldown to step {self._phases.end}")
            self._announce(state)
        self._record(state)

    def _announce(self, state: TrainerState) -> None:
        if not self._announced:
            self._announced = True
            why = self._phases.why or "the budget ends there"
            line = f"Cooldown started at step {self._phases.start}, ends at step {self._phases.end}: {why}."
            say(state, line)
            self._context.tell_event("cooldown_start", self._phases.start, line)

    def _tell_evaluation(self, state: TrainerState, is_best: bool, dropped: bool) -> None:
        """Send the trackers the events of the newest evaluation: the best one so far, and a plateau."""
        best = self._choice.evaluation
        if is_best and best:
            self._context.tell_event("best", best.value, f"{self._options.rule.monitor}={best.value:.6g}")
        if dropped or (self._phases.why and not self._announced):
            self._context.tell_event("plateau", state.global_step, self._phases.why or "the learning rate is lowered")

    def _resume(self, state: TrainerState) -> None:
        """Read the best weights again, and print where the resumed run is."""
        best = self._choice.evaluation
        if self._keeper and best:
            self._keeper.resume(state, best.step, f"{self._options.rule.monitor}={best.value:.6g}")
        if self.was_over:
            reason = cooldown_reason(self._options.rule, self._phases, self._choice, state.global_step)
            say(state, f"This run has ended already and does not train on. {reason}")
        elif self._announced:
            say(state, f"Resumed in the cooldown from step {self._phases.start} to {self._phases.end}.")

    def _describe_settings(self) -> str:
        options, cooldown = self._options, self._cooldown.cooldown
        length = repr(cooldown.length) if options.cools_down else "0"
        parts = [f"{options.rule}", f"cooldown={length}", f"cooldown_shape={cooldown.shape!r}"]
        parts += [f"average={str(options.average)!r}"] if options.average else []
        parts += [f"min_lr_ratio={cooldown.floor:g}"] if cooldown.floor else []
        parts += [f"stages={options.stages}, factor={options.factor:g}"] if options.stages else []
        return ", ".join(parts + ([f"rewind={options.rewind!r}"] if options.rewind != "none" else []))

    def _record(self, state: TrainerState, restored: bool | None = None) -> dict[str, Any]:
        """Write the record into the Trainer's state and return it; ``restored`` is None while training."""
        rule, budget = self._options.rule, self._cooldown.budget
        result = cooldown_record(rule, self._phases, self._choice, state.global_step, budget)
        result |= {
            "settings": self._settings,
            "cooldown_shape": self._cooldown.cooldown.shape,
            "min_lr_ratio": self._cooldown.cooldown.floor,
            "factor": self._options.factor,
            "after_step": self._bounds.after,
            "earliest_start": self._bounds.earliest,
            "skipped_at_start": self._rates.late_at_start,
            "rewound_to": self._rewound_to,
            "restored_best_weights": bool(restored),
        }
        result = records(state)[PLATEAU_COOLDOWN] = self._context.measured(result)
        self.result = CooldownResult.of(result)
        if restored is not None:
            step = self._keeper.step if self._keeper and restored else state.global_step
            self.result = CooldownResult.of(result, self._kept(restored), step)
        return result

    def _kept(self, restored: bool) -> str:
        """Return which weights the model has after training."""
        best, decision = self._choice.evaluation, self._choice.decision
        if not restored or best is None:
            return "end"
        if decision:
            return decision.kept.kind
        return "average" if self._average and best.step <= self._phases.start else "best"


def _name_of(args: TrainingArguments) -> str:
    """Return the name of the schedule; transformers has it as a member of an enum."""
    return str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type))


def _without_missing_loss(options: CooldownOptions, state: TrainerState) -> CooldownOptions:
    """Return the options with the rule that fits the first evaluation in the log: with the loss, or without it.

    They are returned as they are before the first evaluation, and if they do not depend on it.
    """
    alone = options.rule_without_loss
    if alone is None:
        return options
    first = from_rank_zero(next(iter(read_log(state.log_history, alone.names)), None))
    if first is None:
        return options
    if set(options.rule.names) <= first.metrics.keys():
        return replace(options, rule_without_loss=None)
    say(state, f"{_NAME} watches {alone.monitor} alone, because the evaluations have no eval_loss: {alone}.")
    return replace(options, rule=alone, rule_without_loss=None)


@torch.no_grad()
def reset_optimizer_state(optimizer: Any) -> None:
    """Reset the moments of an optimizer, as if it had made no step yet."""
    inner = optimizer
    while hasattr(inner, "optimizer"):
        inner = inner.optimizer
        if type(inner).__module__.startswith("deepspeed.runtime"):
            # DeepSpeed keeps references to the tensors of the state, so that they are set to zero in place.
            for piece in OptimizerPieces(optimizer).pieces():
                piece.put(torch.zeros_like(piece.tensor))
            return
    inner.state.clear()
