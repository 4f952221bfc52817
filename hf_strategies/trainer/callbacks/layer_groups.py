"""Whether a training has the parameter groups that were asked for."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.trainer.callbacks.context import find_trainer
from hf_strategies.trainer.callbacks.tracking import send
from hf_strategies.trainer.lr.patterns import read_patterns, settings_text

__all__ = ["LayerGroupsCheck"]

_CLOSE = 1e-6  # the relative difference of two rates that are the same but for rounding


class LayerGroupsCheck(TrainerCallback):
    """Refuse a training whose optimizer lacks the parameter groups that the settings ask for.

    Parameter groups are no matter of a callback: the Trainer has to get its optimizer from
    `layer_decay_optimizer`. `StrategyArguments` adds this check to its callbacks, so that the flags are not ignored
    where the Trainer got the callbacks alone.

    Args:
        layer_decay: the factor from a layer to the layer below it that was asked for; None if none was.
        head_learning_rate: the head's peak rate that was asked for; None if none was.
        patterns: the patterns that were asked for; see `parameter_groups`.

    It also writes the rate of each group, as ``learning_rate/<name>``, into the log and to the trackers of
    ``report_to``.

    Raises `StrategyError` when training begins with an optimizer whose groups are not those of `parameter_groups`, or
    have other rates or patterns, as in a run that is resumed with other values than it was begun with.
    """

    def __init__(
        self,
        layer_decay: float | None,
        head_learning_rate: float | None,
        patterns: Mapping[str, Any] | str | None = None,
    ) -> None:
        self.layer_decay, self.head_learning_rate = layer_decay, head_learning_rate
        self.patterns = settings_text(rows) if (rows := read_patterns(patterns)) else None
        self._rates: dict[str, float] = {}  # of the last update, by the names that they have in the log

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Compare the optimizer's groups with what was asked for."""
        groups = getattr(kwargs.get("optimizer"), "param_groups", [])
        by_depth = self.layer_decay is not None or self.head_learning_rate is not None
        key = "depth" if by_depth else "pattern"
        if not groups or any(key not in group for group in groups):
            what = "groups by depth" if by_depth else "groups by patterns"
            raise StrategyError(
                f"{self._given} is not applied, because the optimizer of this Trainer has no {what}: make the Trainer"
                " by Trainer(..., **strategy.trainer_kwargs(args)), without optimizers"
            )
        self._check_patterns(groups[0].get("patterns"))
        plain = [group for group in groups if group.get("pattern") is None and "depth" in group]
        rates = {group["depth"]: group.get("initial_lr") for group in plain}
        if by_depth and None not in rates.values():  # a scheduler that is no LambdaLR may not have set them
            self._check_factor(rates)
            self._check_head(rates, args.learning_rate)

    def _check_patterns(self, present: str | None) -> None:
        if present != self.patterns:
            raise _other_rates(f"parameter_groups={self.patterns}", f"parameter_groups={present}")

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take note of the rates of the update that was made; the scheduler sets those of the next one after this."""
        groups = getattr(kwargs.get("optimizer"), "param_groups", [])
        self._rates = {f"learning_rate/{group['name']}": float(group["lr"]) for group in groups if "name" in group}

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Add the rate of each group to the newest entry of the log, and send it to the trackers."""
        newest = state.log_history[-1] if state.log_history else {}
        if "learning_rate" in newest and "learning_rate" in (kwargs.get("logs") or {}):
            newest |= self._rates
            trainer = find_trainer(self)
            if trainer and self._rates:
                send(trainer, self._rates, {})

    @property
    def _given(self) -> str:
        given: dict[str, object] = {"layer_decay": self.layer_decay, "head_learning_rate": self.head_learning_rate}
        given["parameter_groups"] = self.patterns
        return " and ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)

    def _check_factor(self, rates: Mapping[int, float]) -> None:
        """Compare the rates of neighbouring layers; the highest depth is left out, because it may be the head."""
        asked, layers = 1.0 if self.layer_decay is None else self.layer_decay, sorted(rates)[:-1]
        for low, high in pairwise(layers):
            factor = (rates[low] / rates[high]) ** (1.0 / (high - low)) if rates[high] else asked
            if not math.isclose(factor, asked, rel_tol=_CLOSE):
                raise _other_rates(f"layer_decay={self.layer_decay!r}", f"layer_decay={factor:.6g}")

    def _check_head(self, rates: Mapping[int, float], learning_rate: float) -> None:
        """Compare the rate of the head, as it is and in relation to the top layer's, which may be scaled with it."""
        if self.head_learning_rate is None or len(rates) < 2:
            return
        top, head = (rates[depth] for depth in sorted(rates)[-2:])
        scaled = self.head_learning_rate * top / learning_rate if learning_rate else math.nan
        expected: Sequence[float] = (self.head_learning_rate, scaled)
        if not any(math.isclose(head, each, rel_tol=_CLOSE) for each in expected):
            raise _other_rates(f"head_learning_rate={self.head_learning_rate!r}", f"head_learning_rate={head:.6g}")


def _other_rates(asked: str, present: str) -> StrategyError:
    return StrategyError(
        f"{asked} is not applied, because the optimizer's rates are those of {present}, which a resumed run keeps:"
        f" give {present}, or begin a new run"
    )
