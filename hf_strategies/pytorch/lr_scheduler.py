"""A schedule as a torch learning-rate scheduler, for the Trainer and for plain PyTorch loops."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from hf_strategies.errors import StrategyError
from hf_strategies.schedules import Schedule, find_plan
from hf_strategies.schedules.resume import SavedPlan
from hf_strategies.schedules.schedule import check_on_extend, read_min_lr

__all__ = ["ScheduleLR"]

logger = logging.getLogger(__name__)

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
        on_extend: what to do when the loaded state is of a run that was planned for another number of steps, so that
            the learning rate would jump. ``"error"`` raises `StrategyError`, whose message has the rates before and
            after the jump. ``"keep"`` goes on with the old plan, which stays at its last value after its end.
            ``"replan"`` spreads the rest of the old plan over the remaining steps, with no jump. ``"jump"`` takes
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
    __slots__ = ("_min_lr", "_on_extend", "_planned", "schedules")

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
        self._on_extend, self._min_lr = on_extend, min_lr
        self._planned: SavedPlan | None = None
        peaks = [float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups]
        if isinstance(name, Schedule):
            if total_steps is not None or warmup_steps or parameters or min_lr is not None:
                raise StrategyError(f"{name.name!r} is built already: give no lengths or parameters with it")
            self.schedules = [name] * len(peaks)
        elif total_steps is None:
            raise StrategyError("total_steps is missing: give the number of step() calls in the training")
        else:
            self._planned = SavedPlan(name, total_steps, warmup_steps, parameters, horizon=total_steps)
            self.schedules = self._build(self._planned, peaks)
        super().__init__(optimizer, [schedule.multiplier for schedule in self.schedules], last_epoch)

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
        """Whether the schedule was spread over another number of steps, by ``on_extend="replan"``."""
        return bool(self._planned and self._planned.stretches)

    @property
    def on_extend(self) -> str:
        """What to do when a run is resumed with another number of steps."""
        return self._on_extend

    def state_dict(self) -> dict[str, Any]:
        """Return torch's state and the plan of the schedule, with which a resumed run compares its own plan."""
        return super().state_dict() | ({_PLANNED: self._planned.to_json()} if self._planned else {})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state; if its run was planned for another number of steps, apply ``on_extend``."""
        state = dict(state_dict)
        planned = state.pop(_PLANNED, None)
        peaks = list(self.base_lrs)
        super().load_state_dict(state)
        if peaks != list(self.base_lrs):
            logger.warning(
                f"The peak learning rates {peaks} of this run are not used: a resumed run keeps those of its"
                f" checkpoint, {list(self.base_lrs)}. To change them, start anew from the saved model."
            )
        if self._planned:
            self.refit()
        if planned and self._planned:
            self._resume(SavedPlan.of_json(planned), self._planned)

    def refit(self) -> None:
        """Build the schedules again after a change of the peaks, ``base_lrs``, so that the floor stays ``min_lr``."""
        if self._planned:
            self._use(self._planned)

    def _resume(self, old: SavedPlan, new: SavedPlan) -> None:
        """Go on with the checkpoint's plan (``old``), as it is or spread anew, or with this run's plan (``new``)."""
        if old.horizon == new.horizon:
            if old.was_extended and old.name == new.name:
                self._use(old)
        elif self._on_extend == "keep":
            self._use(old.with_horizon(new.horizon))
        elif self._on_extend == "replan":
            self._use(old.replanned(self.last_epoch, new.horizon))
        else:
            self._jump(old, new)

    def _jump(self, old: SavedPlan, new: SavedPlan) -> None:
        """Set the rates of the new plan; raises `StrategyError` if they differ and ``on_extend`` is ``"error"``."""
        before, after = self._current_rates(self._build(old, self.base_lrs)), self._current_rates(self.schedules)
        if all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-300) for a, b in zip(before, after, strict=True)):
            return
        if self._on_extend == "error":
            raise StrategyError(_jump_message(old, new, self.last_epoch, before[0], after[0]))
        self._set_rates(after)

    def _build(self, planned: SavedPlan, peaks: Sequence[Any]) -> list[Schedule]:
        """Build the schedule of each group."""
        floors = _floors(planned, self._min_lr, [float(peak) for peak in peaks])
        return [planned.build(**floor) for floor in floors]

    def _use(self, planned: SavedPlan) -> None:
        """Replace the plan, the schedules and torch's functions of the step."""
        self._planned, self.schedules = planned, self._build(planned, self.base_lrs)
        self.lr_lambdas = [schedule.multiplier for schedule in self.schedules]

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


def _floors(planned: SavedPlan, min_lr: float | None, peaks: list[float]) -> list[dict[str, float]]:
    """Return the ``min_lr_ratio`` of each group for which the floor is ``min_lr``; empty dicts if that is None."""
    if min_lr is None:
        return [{}] * len(peaks)
    plan, lowest = find_plan(planned.name), min(peaks)
    floor = read_min_lr(plan, min_lr, planned.parameters, peak=lowest, peak_name="the lowest peak")
    return [{"min_lr_ratio": floor / peak if peak else 0.0} for peak in peaks]


def _jump_message(old: SavedPlan, new: SavedPlan, step: int, before: float, after: float) -> str:
    return (
        f"resumed with {new.horizon} training steps where {old.horizon} were planned: the learning rate would jump"
        f" from {before:.4g} to {after:.4g} at step {step}. Set on_extend in lr_scheduler_kwargs: 'keep' the old plan"
        " (it stays at its last value), 'replan' what is left of it over the new number of steps with no jump, or"
        " accept the 'jump'"
    )
