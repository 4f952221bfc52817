"""A schedule as a torch learning-rate scheduler, for the Trainer's loop and for plain PyTorch loops."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from hf_strategies.errors import StrategyError
from hf_strategies.schedules import Schedule, find_plan
from hf_strategies.schedules.options import check_on_extend, read_min_lr
from hf_strategies.schedules.resume import SavedPlan

__all__ = ["ScheduleLR"]

logger = logging.getLogger(__name__)

_PLANNED = "hf_strategies_planned"  # in the state dict


class ScheduleLR(LambdaLR):
    """Set each parameter group's learning rate to its own peak times ``schedule(step)``.

    The peak of a group is the ``lr`` that the optimizer was made with. Call ``step()`` once after each
    optimizer step (or once per epoch, when ``total_steps`` and ``warmup_steps`` count epochs).

    Args:
        optimizer: the optimizer to drive.
        name: a schedule's name, such as ``"linear_warmup_cosine_decay"``, or a `Schedule`, which then has
            its lengths already.
        total_steps: number of ``step()`` calls in the training, warmup included.
        warmup_steps: those of the warmup: an int, or a fraction of ``total_steps`` in (0, 1).
        last_epoch: steps done so far, when resuming without a state dict; as in torch, -1 starts afresh.
        min_lr: floor as a learning rate, the same for all groups; instead of ``min_lr_ratio``, which is a share
            of each group's own peak.
        on_extend: what to do when a state is loaded of a run that was planned for another number of steps, so
            that the learning rate would jump. ``"error"`` refuses and shows the jump; ``"keep"`` goes on with
            the old plan, which stays at its last value when it ends; ``"replan"`` spreads what is left of the
            old plan over the steps that are left, with no jump; ``"jump"`` takes the new plan as it is.
        **parameters: the curves' parameters, as in `hf_strategies.schedule`.

    Raises `StrategyError` for a bad name, length or parameter.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    >>> scheduler = ScheduleLR(optimizer, "linear_warmup_cosine_decay", total_steps=10, warmup_steps=2)
    >>> optimizer.step(); scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    # In slots, because torch writes the __dict__ into checkpoints, which are read with weights_only=True and
    # would put the old run's schedule in the place of this one.
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
        super().__init__(optimizer, [each.multiplier for each in self.schedules], last_epoch)

    @property
    def schedule(self) -> Schedule:
        """The schedule of the first parameter group; the others differ at most in the floor."""
        return self.schedules[0]

    @property
    def given(self) -> Mapping[str, Any]:
        """The curves' parameters as they were given; of a schedule that came built, all as computed with."""
        return self._planned.parameters if self._planned else self.schedule.parameters

    @property
    def is_stretched(self) -> bool:
        """Whether it was replanned for another number of steps."""
        return bool(self._planned and self._planned.stretches)

    @property
    def on_extend(self) -> str:
        """What to do when resumed with another number of steps."""
        return self._on_extend

    def state_dict(self) -> dict[str, Any]:
        """Return torch's state, and how the schedule was planned, for a resumed run to compare."""
        return super().state_dict() | ({_PLANNED: self._planned.to_json()} if self._planned else {})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a state; if it was planned for another number of steps, do as ``on_extend`` says."""
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
            self._take_up(SavedPlan.of_json(planned), self._planned)

    def refit(self) -> None:
        """Fit an absolute floor to the peaks, ``base_lrs``, as they are now."""
        if self._planned:
            self._use(self._planned)

    def _take_up(self, old: SavedPlan, new: SavedPlan) -> None:
        """Go on with the plan of the checkpoint, with that of this run, or with one made of both."""
        if old.horizon == new.horizon:
            if old.was_extended and old.name == new.name:
                self._use(old)
        elif self._on_extend == "keep":
            self._use(old.kept(new.horizon))
        elif self._on_extend == "replan":
            self._use(old.replanned(self.last_epoch, new.horizon))
        else:
            self._jump(old, new)

    def _jump(self, old: SavedPlan, new: SavedPlan) -> None:
        before, after = self._rates(self._build(old, self.base_lrs)), self._rates(self.schedules)
        if all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-300) for a, b in zip(before, after, strict=True)):
            return
        if self._on_extend == "error":
            raise StrategyError(_words_of_jump(old, new, self.last_epoch, before[0], after[0]))
        self._set_rates(after)

    def _build(self, planned: SavedPlan, peaks: Sequence[Any]) -> list[Schedule]:
        floors = _floors(planned, self._min_lr, [float(peak) for peak in peaks])
        return [planned.build(**floor) for floor in floors]

    def _use(self, planned: SavedPlan) -> None:
        self._planned, self.schedules = planned, self._build(planned, self.base_lrs)
        self.lr_lambdas = [each.multiplier for each in self.schedules]

    def _rates(self, schedules: list[Schedule]) -> list[float]:
        return [float(peak * each(self.last_epoch)) for peak, each in zip(self.base_lrs, schedules, strict=True)]

    def _set_rates(self, rates: list[float]) -> None:
        # The optimizer's state, which was loaded before, holds the old plan's rate for the next update.
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = list(rates)


def _floors(planned: SavedPlan, min_lr: float | None, peaks: list[float]) -> list[dict[str, float]]:
    """Return the ``min_lr_ratio`` of each group that makes its floor ``min_lr``; nothing when that is not given."""
    if min_lr is None:
        return [{}] * len(peaks)
    plan, lowest = find_plan(planned.name), min(peaks)
    floor = read_min_lr(plan, min_lr, planned.parameters, peak=lowest, peak_name="the lowest peak")
    return [{"min_lr_ratio": floor / peak if peak else 0.0} for peak in peaks]


def _words_of_jump(old: SavedPlan, new: SavedPlan, step: int, before: float, after: float) -> str:
    return (
        f"resumed with {new.horizon} training steps where {old.horizon} were planned: the learning rate would jump"
        f" from {before:.4g} to {after:.4g} at step {step}. Set on_extend in lr_scheduler_kwargs: 'keep' the old plan"
        " (it stays at its last value), 'replan' what is left of it over the new number of steps with no jump, or"
        " accept the 'jump'"
    )
