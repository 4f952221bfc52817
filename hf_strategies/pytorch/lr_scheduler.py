"""A schedule as a torch learning-rate scheduler, for the Trainer and for plain PyTorch loops."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from hf_strategies.errors import StrategyError, announce
from hf_strategies.schedules import Schedule
from hf_strategies.schedules.resume import SavedPlan
from hf_strategies.schedules.schedule import check_on_extend

__all__ = ["ScheduleLR"]

_PLANNED = "hf_strategies_planned"  # the key of the plan in the state dict


class ScheduleLR(LambdaLR):
    """Set each parameter group's learning rate to the group's peak times ``schedule(step)``.

    The peak of a group is the ``lr`` that the optimizer was created with. Call ``step()`` once after each
    optimizer step (or once per epoch, when ``total_steps`` and ``warmup_steps`` count epochs).

    Args:
        optimizer: the optimizer whose learning rates are set.
        name: a schedule's name, such as ``"linear_warmup_cosine_decay"``, or a `Schedule`, which has its lengths
            already.
        total_steps: number of ``step()`` calls in the training, warmup included.
        warmup_steps: number of ``step()`` calls in the warmup: an int, or a fraction of ``total_steps`` in (0, 1).
        last_epoch: steps done so far, for a run that is resumed without a state dict; as in torch, -1 starts a new
            run.
        min_lr: floor as a learning rate, the same for all groups; it replaces ``min_lr_ratio``, which is a ratio of
            each group's peak.
        on_extend: what to do when the loaded state is of a run with another plan (another schedule, parameter, warmup
            or number of steps), so that the learning rate would jump. ``"error"`` raises `StrategyError`, whose
            message has the rates before and after the jump. ``"keep"`` goes on with the old plan, which stays at its
            last value after its end. ``"replan"`` has no jump: it spreads the rest of the old plan over the remaining
            steps or, if the curve has changed, goes on with the new curve from the present rate. ``"jump"`` takes
            the new plan as it is.
        **parameters: the curves' parameters, as in `hf_strategies.schedule`.

    Raises `StrategyError` for a bad name, length or parameter.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    >>> scheduler = ScheduleLR(optimizer, "linear_warmup_cosine_decay", total_steps=10, warmup_steps=2)
    >>> optimizer.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    # Slots, because torch saves the __dict__ in checkpoints. A schedule in the __dict__ could not be loaded with
    # weights_only=True, and would replace the schedule of a resumed run by that of the old run.
    __slots__ = ("_on_extend", "_planned", "_settings", "changed_by_callbacks", "record", "schedules")

    changed_by_callbacks: bool | None
    """Whether callbacks of this run change the rates of the schedule; None if that is not known."""

    record: dict[str, Any]
    """The plan and the peaks as JSON values, always up to date, for a checkpoint that has no state dict."""

    def __init__(
        self,
        optimizer: Optimizer,
        name: str | Schedule,
        /,
        *,
        total_steps: int | None = None,
        warmup_steps: int | float = 0,
        last_epoch: int = -1,
        min_lr: float | None = None,
        on_extend: str = "error",
        **parameters: Any,
    ) -> None:
        check_on_extend(on_extend)
        self._on_extend, self.changed_by_callbacks, self.record = on_extend, None, {}
        self._planned: SavedPlan | None = None
        peaks = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
        if isinstance(name, Schedule):
            if total_steps is not None or warmup_steps or parameters or min_lr is not None:
                raise StrategyError(f"{name.name!r} is built already: give no lengths or parameters with it")
            self.schedules = [name] * len(peaks)
        elif total_steps is None:
            raise StrategyError("total_steps is missing: give the number of step() calls in the training")
        else:
            self._planned = SavedPlan(name, total_steps, warmup_steps, parameters, horizon=total_steps, min_lr=min_lr)
            self.schedules = self._planned.build(peaks)
        self._settings = self._planned.settings if self._planned else {}
        super().__init__(optimizer, [schedule.multiplier for schedule in self.schedules], last_epoch)
        self._write_record()

    @property
    def schedule(self) -> Schedule:
        """The schedule of the first parameter group; those of the other groups differ at most in the floor."""
        return self.schedules[0]

    @property
    def given(self) -> Mapping[str, Any]:
        """The parameters that were given with the name; all parameters for a `Schedule` that was given."""
        return self._planned.parameters if self._planned else self.schedule.parameters

    @property
    def is_stretched(self) -> bool:
        """Whether ``on_extend="replan"`` has changed the schedule."""
        return bool(self._planned and (self._planned.stretches or self._planned.past))

    @property
    def on_extend(self) -> str:
        """What to do when a run is resumed with another plan."""
        return self._on_extend

    def state_dict(self) -> dict[str, Any]:
        """Return torch's state and the plan of the schedule, with which a resumed run compares its own plan."""
        return super().state_dict() | ({_PLANNED: self._planned.to_json()} if self._planned else {})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state; if its run had another plan, apply ``on_extend``."""
        state = dict(state_dict)
        text = state.pop(_PLANNED, None)
        peaks = list(self.base_lrs)
        if "lr_lambdas" not in state or len(state["lr_lambdas"]) != len(peaks):
            raise StrategyError(_foreign_message(state, len(peaks)))
        super().load_state_dict(state)
        self._report_peaks(peaks)
        if self._planned is None:
            return
        self.refit()
        loaded = [float(rate) for rate in self._last_lr]
        if text:
            old = SavedPlan.of_json(text)
            self._resume(old, self._planned)
            self._check_callbacks(loaded, old)
        else:
            self._check_foreign(loaded)
        self._write_record()

    def __getstate__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what a pickle holds: in place of the functions of the step, the plan that they are built from.

        Functions that a callback has put in their place stay; a copy can have them, a pickle cannot.
        """
        fields = dict(vars(self))
        slots = {name: getattr(self, name) for name in self.__slots__}
        if self._planned and fields["lr_lambdas"] == [schedule.multiplier for schedule in self.schedules]:
            del fields["lr_lambdas"], slots["schedules"]
        return fields, slots

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        """Restore a copy or a pickle; it goes on at its step with the same rates."""
        fields, slots = state
        vars(self).update(fields)
        for name, value in slots.items():
            setattr(self, name, value)
        if "lr_lambdas" not in fields and self._planned:
            self._use(self._planned)

    def start_at(self, step: int, record: Mapping[str, Any] | None = None) -> None:
        """Go on at ``step``, without a state dict; ``record`` is the `record` of the run so far, if there is one.

        The plan of the record is compared with the plan of this run as that of a state dict is.
        """
        self.last_epoch, self._step_count = step, step + 1
        if record and self._planned:
            peaks = list(self.base_lrs)
            if len(record["peaks"]) == len(peaks):
                self.base_lrs = list(record["peaks"])
                self._report_peaks(peaks)
                self.refit()
            self._resume(SavedPlan.of_json(record["plan"]), self._planned)
        self._set_rates(self._current_rates(self.schedules))
        self._write_record()

    def refit(self) -> None:
        """Build the schedules again after a change of the peaks, ``base_lrs``, so that the floor stays ``min_lr``."""
        if self._planned:
            self._use(self._planned)

    def _report_peaks(self, given: list[Any]) -> None:
        if given != list(self.base_lrs):
            announce(
                f"The peak learning rates {given} of this run are not used: a resumed run keeps those of its"
                f" checkpoint, {list(self.base_lrs)}. To change them, start anew from the saved model."
            )

    def _resume(self, old: SavedPlan, new: SavedPlan) -> None:
        """Go on with the checkpoint's plan (``old``), as it is or changed, or with this run's plan (``new``)."""
        has_same_curve = old.has_same_curve(new, self.last_epoch)
        same_length = old.horizon == new.horizon
        # A run whose plan was changed on an earlier resume keeps that plan if the settings are the same as then.
        was_asked_for = old.asked == self._settings if old.asked else has_same_curve and same_length
        if was_asked_for:
            if old.was_changed or old.asked:
                self._use(old)
        elif self._on_extend == "keep":
            self._use(old.with_horizon(new.horizon))
        elif self._on_extend == "replan":
            step = self.last_epoch
            self._use(old.replanned(step, new.horizon) if has_same_curve else new.following(old, step))
        else:
            self._jump(old, new)

    def _jump(self, old: SavedPlan, new: SavedPlan) -> None:
        """Set the rates of the new plan; raises `StrategyError` if they differ and ``on_extend`` is ``"error"``."""
        after = self._current_rates(self.schedules)
        if self._on_extend == "error":
            before = self._current_rates(old.build(self._peaks()))
            if not _close(before, after):
                raise StrategyError(_jump_message(old, new, self.last_epoch, before[0], after[0]))
        else:
            self._set_rates(after)

    def _check_callbacks(self, loaded: list[float], old: SavedPlan) -> None:
        """Refuse a jump where the run's rate was changed by a callback which this run does not have.

        ``loaded`` are the rates in the checkpoint, and ``old`` is its plan.
        """
        if self.changed_by_callbacks is not False or self._on_extend == "jump":
            return
        planned = self._current_rates(old.build(self._peaks()))
        if _close(planned, loaded):
            return
        if self._on_extend == "error" or not planned[0] or not self._planned:
            raise StrategyError(_callback_message(self.last_epoch, loaded[0], planned[0]))
        # The rate stays as low as the callback has left it.
        self._use(replace(self._planned, scale=self._planned.scale * loaded[0] / planned[0]))

    def _check_foreign(self, before: list[float]) -> None:
        """Refuse a jump from the rates of a checkpoint that a scheduler of another kind has written."""
        after = self._current_rates(self.schedules)
        if self.changed_by_callbacks or len(before) != len(after) or _close(before, after):
            return
        if self._on_extend != "jump":
            raise StrategyError(
                f"resumed with {self.schedule.name!r} where another scheduler was in use: the learning rate would"
                f" jump from {before[0]:.4g} to {after[0]:.4g} at step {self.last_epoch}. Resume with the"
                " lr_scheduler_type of the checkpoint, or accept the jump with on_extend='jump' in"
                " lr_scheduler_kwargs"
            )
        self._set_rates(after)

    def _use(self, planned: SavedPlan) -> None:
        """Replace the plan, the schedules and torch's functions of the step."""
        if planned.was_changed or planned.settings != self._settings:
            planned = replace(planned, asked=self._settings)
        self._planned, self.schedules = planned, planned.build(self._peaks())
        self.lr_lambdas = [schedule.multiplier for schedule in self.schedules]

    def _write_record(self) -> None:
        if self._planned:
            self.record |= {"plan": self._planned.to_json(), "peaks": self._peaks()}

    def _peaks(self) -> list[float]:
        return [float(peak) for peak in self.base_lrs]

    def _current_rates(self, schedules: list[Schedule]) -> list[float]:
        """Return the rate of each group that the schedules give at the present step."""
        return [
            float(peak * schedule(self.last_epoch)) for peak, schedule in zip(self.base_lrs, schedules, strict=True)
        ]

    def _set_rates(self, rates: list[float]) -> None:
        # The optimizer's state was loaded before, with the old plan's rate for the next update.
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = list(rates)


def _close(rates: Sequence[float], others: Sequence[float]) -> bool:
    return all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-300) for a, b in zip(rates, others, strict=True))


def _jump_message(old: SavedPlan, new: SavedPlan, step: int, before: float, after: float) -> str:
    has_same_curve = old.has_same_curve(new, step)
    replan = (
        "'replan' what is left of it over the new number of steps with no jump"
        if has_same_curve
        else "'replan' to go on with the new curve from the present rate"
    )
    return (
        f"resumed with {_changes(old, new, has_same_curve)} planned: the learning rate would jump from {before:.4g}"
        f" to {after:.4g} at step {step}. Set on_extend in lr_scheduler_kwargs: 'keep' the old plan (it stays at its"
        f" last value), {replan}, or accept the 'jump'"
    )


def _changes(old: SavedPlan, new: SavedPlan, has_same_curve: bool) -> str:
    """Return what has changed, such as ``"20 training steps where 10 were"``, up to the word "planned"."""
    lengths = f"{new.horizon} training steps where {old.horizon} were"
    if has_same_curve:
        return lengths
    now, then = ({"lr_scheduler_type": each.name, **each.settings, **each.parameters} for each in (new, old))
    names = [name for name in now | then if name not in ("name", "total_steps", "parameters")]
    changed = [
        f"{_shown(name, now)} where {_shown(name, then)} was" for name in names if now.get(name) != then.get(name)
    ]
    if new.horizon != old.horizon or not changed:
        changed.append(lengths)
    return " planned, and with ".join(changed)


def _shown(name: str, settings: Mapping[str, Any]) -> str:
    return f"no {name}" if settings.get(name) is None else f"{name}={settings[name]!r}"


def _foreign_message(state: Mapping[str, Any], groups: int) -> str:
    what = "is of a scheduler of another kind"
    if "lr_lambdas" in state:
        what = f"has {len(state['lr_lambdas'])} parameter groups, where the optimizer has {groups} now"
    return (
        f"the state of the scheduler in the checkpoint {what}: resume with the lr_scheduler_type and the optimizer of"
        " the checkpoint, or start anew from the saved model"
    )


def _callback_message(step: int, before: float, after: float) -> str:
    return (
        f"resumed without the callback that had lowered the learning rate: it would jump from {before:.4g} to"
        f" {after:.4g} at step {step}. Resume with that callback (ReduceOnPlateau or PlateauCooldown), or set"
        " on_extend in lr_scheduler_kwargs: 'keep' the rate as low as it is, or accept the 'jump'"
    )
