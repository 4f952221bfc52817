"""Plateau-triggered cooldown for the Trainer: hold the learning rate until validation stalls, then cool down."""

from collections.abc import Iterable
from typing import Any

from transformers import EarlyStoppingCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments

from hf_strategies.averaging import Average
from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.schedules.plateau_cooldown import Cooldown
from hf_strategies.stopping import Metric, StoppingRule
from hf_strategies.stopping.keep_rule import KEEP, read_keep
from hf_strategies.stopping.parameters import Count
from hf_strategies.stopping.results import CooldownResult
from hf_strategies.trainer.best_weights.keeper import read_where
from hf_strategies.trainer.callbacks.base import MetricCallback, MetricRun, best_weights_name
from hf_strategies.trainer.callbacks.checks import check_needs, refuse_idle, refuse_other_restorer
from hf_strategies.trainer.callbacks.context import TrainerContext
from hf_strategies.trainer.callbacks.early_stopping import EarlyStopping
from hf_strategies.trainer.callbacks.plateau_cooldown.rates import HOLDS
from hf_strategies.trainer.callbacks.plateau_cooldown.run import CooldownOptions, CooldownRun
from hf_strategies.trainer.callbacks.plateau_cooldown.settings import DEFAULTS
from hf_strategies.trainer.callbacks.reduce_on_plateau import ReduceOnPlateau
from hf_strategies.trainer.callbacks.weight_averaging.run import refuse_arguments
from hf_strategies.values import within

__all__ = ["PLATEAU", "REWINDS", "PlateauCooldown", "refuse_beside_cooldown"]


PLATEAU = "patience(2) and patience(2, monitor='loss')"
"""The default criterion of a plateau; benchmarks/README.md reports that either half of it alone is worse."""

PATIENCE_ALONE = 3
"""The default patience if the metric is watched alone, because it is the loss or because there is no loss."""

REWINDS = ("none", "weights", "optimizer")
"""The values of ``rewind``: what is restored at a plateau."""


class PlateauCooldown(MetricCallback):
    """Hold the learning rate until a validation metric stalls, then cool down, stop and restore the best weights.

    The number of epochs is only an upper limit. The rate of the update after t steps, as a ratio of the peak, is

        base(t)                                              t < s, the hold
        floor + (base(s) - floor) * (1 - sqrt((t - s) / K))  s <= t < s + K, the cooldown (``cooldown_shape="sqrt"``)

    where base is the schedule in use and floor is ``min_lr_ratio``. Take
    ``lr_scheduler_type="linear_warmup_plateau_cooldown"``, or another schedule that stays at its peak, such as
    ``constant_with_warmup``. A schedule that lowers the rate by itself before the cooldown, such as ``linear`` or
    ``cosine``, is refused unless ``hold="schedule"``. The cooldown starts at s, the step of the
    first evaluation at which ``stop_when`` holds, or of the ``patience``-th evaluation in a row without an
    improvement. Evaluations in the warmup do not count. The length is K = ceil(``cooldown`` * s) steps. If there is
    no plateau in time, s is the last step with s + K <= N, where N is the number of training steps, so that the
    cooldown ends with the training.

    At the end of the cooldown training stops, with an evaluation. The best evaluation of hold and cooldown was the
    luckiest of k on the plateau, and is expected to be too good by the excess c_k * sigma. Here c_k is the expected
    maximum of k standard normal numbers (1.03 for k = 4), and sigma the standard error of the metric (``samples``, or
    ``<metric>_stderr`` among the metrics), or else the scatter of these evaluations; `SelectionNoise` derives it. The
    last weights stay if their metric is worse than the best by no more than the excess. Otherwise the best weights
    are restored. Before its end, the cooldown stops only if the metric is NaN or infinite.

    All of this is a pure function of the Trainer's `log_history`, the step and the number of training steps. So a
    resumed run has bit for bit the learning rates of the uninterrupted run. On several processes, all follow the
    decisions of rank 0. The steps are printed on the console and recorded in `trainer_state.json` under
    ``plateau_cooldown`` in `stateful_callbacks`. In Python they are ``result``, a `CooldownResult`, which also has
    the best evaluation and the weights that were kept: None before training, and as things stand while training.

    Args:
        monitor: a metric of `evaluate()`, with or without the prefix ``eval_``, or an expression; see `Metric`.
        patience: how long the rate is held without an improvement: 3 (evaluations), ``"500 steps"``, ``"2ep"``, or
            0.1 (of the training steps). If neither this nor ``stop_when`` is given, a plateau is where neither the
            metric nor the loss (``eval_loss``) has improved for 2 evaluations; if the loss is the metric, for 3.
            If the evaluations have no loss, the metric is watched alone, with a patience of 3.
        cooldown: the length of the cooldown: a fraction, in (0, 1), of the steps done when it starts; a number of
            steps as an int; or ``"2ep"``. None takes the value in `lr_scheduler_kwargs`, or 0.5. With ``average``, 0
            ends training at the plateau: the average is the result, and no step is spent on a cooldown.
        min_delta: the smallest change that is an improvement, in the metric's unit. `EarlyStopping` describes this
            and ``relative_delta``, ``z``, ``samples``, ``smoothing``, ``start_from`` and ``weights_in``.
        mode: ``"min"`` or ``"max"``; None if ``monitor`` is a metric whose direction is known.
        restore_best_weights: which weights are the result: ``"noise_aware"`` (or True) decides as above; ``"best"``
            restores the best weights if the end of the cooldown is worse at all; ``"end"`` (or False) leaves the last
            weights in any case.
        cooldown_shape: the curve of the cooldown: ``"sqrt"`` (1-sqrt), ``"linear"``, ``"cosine"``,
            ``"polynomial"``, ``"exponential"`` (with a floor). None takes the value in `lr_scheduler_kwargs`, or
            ``"sqrt"``.
        min_lr_ratio: the floor of the cooldown and of ``stages``, as a ratio of each group's peak; if the schedule's
            own floor is higher (transformers' ``min_lr`` and ``min_lr_rate`` too), or with None, that holds.
        hold: ``"peak"`` refuses a schedule that falls by itself before the cooldown; ``"schedule"`` follows any
            `LambdaLR` until the cooldown, such as ``inverse_sqrt``.
        average: an average of the weights of the hold, such as ``"ema(over='1ep')"`` or ``"tail(over=0.5)"``, from
            the end of the warmup on. While the rate is held, evaluations are of the average, so that it decides when
            there is a plateau, and it may be the best weights that are restored. In the cooldown evaluations are of
            the weights themselves. See `WeightAveraging`, which averages through the whole training instead.
        stop_when: criteria in place of ``patience``, such as ``"patience(3) or time_budget('2h')"``.
        rewind: what is restored at each plateau: ``"weights"`` for the best weights, with fresh moments of the
            optimizer; ``"optimizer"`` for the best weights and the optimizer's state of that time, which is saved
            with them; ``"none"`` to go on from the current weights. Nothing is restored where the cooldown starts
            because training is about to end.
        stages: the number of plateaus at which the rate is lowered, before the plateau that starts the cooldown.
        factor: the factor of the rate at each of these plateaus, in (0, 1].

    Raises `StrategyError` for a bad argument; when training starts with a scheduler that is no `LambdaLR` or falls by
    itself, without `eval_strategy`, beside `EarlyStopping` or `ReduceOnPlateau`, or with several evaluation sets if
    the default criterion watches the loss too; and when the rate would jump on resume.

    >>> from transformers import Trainer, TrainingArguments
    >>> args = TrainingArguments("out", eval_strategy="epoch", lr_scheduler_type="linear_warmup_plateau_cooldown",
    ...     warmup_steps=0.05, num_train_epochs=20)
    >>> cooldown = PlateauCooldown("accuracy", patience=3)  # Trainer(..., callbacks=[cooldown])
    >>> cooldown.result is None  # after train(): cooldown.result.best_step, .kept, .kept_value, .cooldown_start
    True
    """

    changes_rates = True

    def __init__(
        self,
        monitor: str = "loss",
        patience: int | float | str | None = None,
        cooldown: int | float | str | None = None,
        min_delta: float = 0.0,
        mode: str | None = None,
        restore_best_weights: bool | str = "noise_aware",
        *,
        cooldown_shape: str | None = None,
        min_lr_ratio: float | None = None,
        hold: str = "peak",
        average: str | Average | None = None,
        stop_when: str | None = None,
        rewind: str = "none",
        stages: int = 0,
        factor: float = 0.1,
        relative_delta: float = 0.0,
        z: float = 0.0,
        samples: float | None = None,
        smoothing: str | None = None,
        start_from: int | float | str = 0,
        weights_in: str = "memory",
    ) -> None:
        has_default_criterion = patience is None and stop_when is None
        self._adds_loss = has_default_criterion and Metric.read(monitor).names != ("eval_loss",)
        settings: dict[str, Any] = {
            "smoothing": smoothing,
            "start_from": start_from,
            "min_delta": min_delta,
            "relative_delta": relative_delta,
            "z": z,
            "samples": samples,
        }
        alone = PATIENCE_ALONE if has_default_criterion else patience
        without_loss = StoppingRule.read(monitor, stop_when, mode, patience=alone, **settings)
        self.rule = StoppingRule.read(monitor, PLATEAU, mode, **settings) if self._adds_loss else without_loss
        self.names = self.rule.names
        self.optional_names = ("eval_loss",) if self._adds_loss and "eval_loss" not in without_loss.names else ()
        self.asks_for_evaluations = bool(self.rule.budgets)
        cools_down = cooldown not in (0, "0")
        if not cools_down and average is None:
            raise StrategyError(
                f"cooldown={cooldown!r} ends training at the plateau at the full rate: give average=, such as"
                " \"ema(over='1ep')\", whose weights are then the result, or take EarlyStopping"
            )
        if average is not None and rewind != "none":
            raise StrategyError(
                f"rewind={rewind!r} with average={str(average)!r} would train on from the average, with the"
                " optimizer's state of the raw weights: leave one of them out"
            )
        cooldown = cooldown if cools_down else None
        given = {"cooldown": cooldown, "cooldown_shape": cooldown_shape, "min_lr_ratio": min_lr_ratio}
        given = {name: value for name, value in given.items() if value is not None}
        Cooldown.read(**{**DEFAULTS, **given})
        for name, choice, choices in (("rewind", rewind, REWINDS), ("hold", hold, HOLDS)):
            if choice not in choices:
                raise StrategyError(f"{name}={choice!r} is no choice: {did_you_mean(str(choice), choices)}")
        self._options = CooldownOptions(
            rule=self.rule,
            rule_without_loss=without_loss if self.optional_names else None,
            cooldown=given,
            rewind=rewind,
            stages=Count(0, "", low=0).read("stages", stages),
            factor=within("factor", factor, 0, 1, above_low=True),
            restores=f"{best_weights_name(self.rule)}-cooldown",
            keeping=read_keep(restore_best_weights),
            hold=hold,
            weights_in=read_where("weights_in", weights_in),
            average=None if average is None else Average.read(average),
            cools_down=cools_down,
        )
        if self._options.stages and self.rule.budgets:
            raise StrategyError(
                f"stages={stages!r} with a budget in stop_when, which stays spent, would lower the rate at every"
                " evaluation from there on: leave stages or the budget out"
            )
        self._refuse_idle(cooldown_shape, min_lr_ratio, samples)
        self.restores = None if self._options.keeping == "end" else self._options.restores
        self.rewind, self.weights_in, self.average = rewind, weights_in, self._options.average

    @property
    def result(self) -> CooldownResult | None:
        """What happened in the training that is going on, or in the last one; None before the first."""
        result: CooldownResult | None = super().result
        return result

    def _refuse_idle(self, cooldown_shape: str | None, min_lr_ratio: float | None, samples: float | None) -> None:
        """Raise `StrategyError` for settings that would have no effect beside the others."""
        options = self._options
        if not options.stages:
            refuse_idle("factor", options.factor, 0.1, "without stages: set that too, or leave it out")
        if not options.cools_down:
            why = "with cooldown=0: leave one of them out"
            refuse_idle("cooldown_shape", cooldown_shape, None, why)
            refuse_idle("min_lr_ratio", None if options.stages else min_lr_ratio, None, why)
        if options.keeping == "end" and options.rewind == "none":
            why = "with restore_best_weights='end', which keeps no other weights: leave one of them out"
            refuse_idle("weights_in", options.weights_in, "memory", why)
        if options.keeping != KEEP[0] and not self.rule.watched.improvement.z:
            why = f"with restore_best_weights={options.keeping!r} and without z: leave it out"
            refuse_idle("samples", samples, None, why)

    def start(
        self, context: TrainerContext, args: TrainingArguments, state: TrainerState, event: dict[str, Any]
    ) -> MetricRun:
        """Check the settings, apply the cooldown to the schedule, and return the run, which may be a resumed one."""
        check_needs(self.rule, args, state, event, context.trainer)
        if self._adds_loss:
            _refuse_several_sets(context.trainer, self.rule.monitor)
        refuse_beside_cooldown(context.trainer.callback_handler.callbacks if context.trainer else (), self)
        if self._options.average is not None:
            refuse_arguments(args, name="PlateauCooldown(average=...)")
        refuse_other_restorer(context.trainer, self, EarlyStopping)
        return CooldownRun(self._options, context, args, state, event)


def refuse_beside_cooldown(callbacks: Iterable[TrainerCallback], callback: PlateauCooldown) -> None:
    """Raise `StrategyError` if another of the ``callbacks`` would lower the rate, or end training, at a plateau."""
    for other in callbacks:
        if other is not callback and type(other) is type(callback):
            raise StrategyError("there are two PlateauCooldown callbacks: leave one out")
        if isinstance(other, ReduceOnPlateau):
            raise StrategyError(
                "ReduceOnPlateau beside PlateauCooldown would lower the rate at the same plateaus: leave it out, and"
                " take PlateauCooldown(stages=..., factor=...) to lower it before the cooldown"
            )
        if isinstance(other, EarlyStoppingCallback) or (
            isinstance(other, EarlyStopping) and not other.rule.only_for_safety
        ):
            raise StrategyError(
                f"{type(other).__name__} beside PlateauCooldown would end training where the cooldown starts, or in"
                " it: leave it out, PlateauCooldown stops by itself"
            )


def _refuse_several_sets(trainer: Trainer | None, monitor: str) -> None:
    """Raise `StrategyError` if there are several evaluation sets, because then no loss is named ``eval_loss``."""
    if trainer is not None and isinstance(trainer.eval_dataset, dict):
        raise StrategyError(
            f"PlateauCooldown({monitor!r}) watches 'eval_loss' too, which several evaluation sets do not have: say"
            " when it stalls, by patience=2, or by stop_when with a loss of one of them, such as"
            f" \"patience(2) and patience(2, monitor='{next(iter(trainer.eval_dataset), 'set')}_loss')\""
        )
