"""The learning-rate range test in the stock Trainer, which restores the Trainer afterwards."""

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.pytorch.lr_scheduler import ScheduleLR
from hf_strategies.report.figure_file import checked_path, save_figure
from hf_strategies.report.run.range_test_figure import range_test_figure
from hf_strategies.schedules.lr_range import Ramp, RangeTest, read_beta, read_range_test, stop_reason
from hf_strategies.trainer.distributed import SHARDED, say
from hf_strategies.trainer.lr.trainer_snapshot import TrainerSnapshot

__all__ = ["FoundLR", "LRFinder", "find_lr"]


@dataclass(frozen=True)
class FoundLR(RangeTest):
    """The result of `find_lr`: the suggested rates, and the losses that they were read from.

    ``suggestion`` is the rate at which the smoothed loss falls most steeply, for ``learning_rate``;
    ``minimum_over_ten``, a tenth of the rate at the minimum, is often the bolder choice. Both are None if the loss
    did not fall by more than its own noise. ``rates`` and ``losses`` are those of the steps, and ``smoothed`` the
    losses after smoothing. ``stopped_because`` says why the test ended, and ``str(result)`` all of this in one line.

    >>> rates, losses = (1e-4, 1e-3, 1e-2), (1.0, 0.5, 0.4)
    >>> result = FoundLR(rates, losses, losses, 1e-3, 1e-3, "run to the end of the ramp")
    >>> print(str(result).partition(". ")[0])
    Suggested learning rate 0.001 (steepest descent), or 0.001 (minimum / 10)
    """

    def plot(self, file: str | os.PathLike[str] | None = None, *, title: str = "") -> Any:
        """Return a figure of matplotlib with the losses by learning rate and the two suggestions.

        With ``file`` it is written there too; its ending, ``.png``, ``.svg`` or ``.pdf``, selects the format.

        Raises `StrategyError` if matplotlib is not installed, and for a file that cannot be written.
        """
        if find_spec("matplotlib") is None:
            raise StrategyError("plot() needs matplotlib, which is not installed: pip install 'hf-strategies[plots]'")
        path = None if file is None else checked_path(file)
        figure = range_test_figure(self, title=title)
        if path is not None:
            save_figure(figure, path)
        return figure


def find_lr(
    trainer: Trainer, *, start_lr: float = 1e-7, end_lr: float = 1.0, steps: int = 100, beta: float = 0.9
) -> FoundLR:
    """Train a Trainer for some steps at growing learning rates, suggest a rate, and restore the Trainer.

    The steps are the Trainer's own, on the batches with which training would begin: `training_step`, gradient
    accumulation, clipping, mixed precision and optimizer are those of its arguments. No other callback sees these
    steps. Afterwards the model, the optimizer, the random number generators and the Trainer itself are bit for bit
    as before, so that `train()` gives the same result as without the test. On several processes, each makes the same
    steps and returns the same result.

    The parameter groups keep the ratios between their rates. Each rate of the test takes the place of
    ``args.learning_rate``, or of the highest rate of the groups if the optimizer does not use that argument.

    Args:
        trainer: a Trainer, before `train()` or after it.
        start_lr: the rate of the first step.
        end_lr: the rate of the last step; the test stops earlier when the loss diverges.
        steps: the number of optimizer steps, at least 10.
        beta: the smoothing of the losses; see `read_range_test`.

    The result is a `FoundLR`: print it for one line, ``result.suggestion`` is the rate (or None), and
    ``result.plot("find_lr.png")`` draws it.

    Raises `StrategyError` for a bad number, for weights that FSDP or DeepSpeed shard, and when there is no data.

    Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186.
    """
    finder = LRFinder(trainer, start_lr=start_lr, end_lr=end_lr, steps=steps, beta=beta)
    snapshot = TrainerSnapshot(trainer)
    # This callback comes first and ends the training, so that no other callback sees any event of it.
    trainer.callback_handler.callbacks.insert(0, _RangeTestOnly(finder, snapshot))
    try:
        trainer.train()
    except _FinishedError as finished:
        return finished.result
    finally:
        snapshot.restore()
    raise AssertionError("the Trainer went past on_train_begin without calling it")


class LRFinder(TrainerCallback):
    """Run the range test of `find_lr` when training begins, print the result, and then train as without the test.

    The callback needs the Trainer, whose methods make the steps: ``trainer.add_callback(LRFinder(trainer))``. The
    attribute ``result`` holds the result, a `FoundLR`; it is None before the test. A resumed run is not tested and
    continues at its own rates.

    Args:
        trainer: the Trainer that has this callback.
        apply: train at the suggested rate, with every parameter group scaled by the same factor; if the test
            suggests no rate, the rates stay.
        start_lr, end_lr, steps, beta: as in `find_lr`.

    Raises `StrategyError` as `find_lr` does, and when a Trainer other than ``trainer`` begins to train with it.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        apply: bool = False,
        start_lr: float = 1e-7,
        end_lr: float = 1.0,
        steps: int = 100,
        beta: float = 0.9,
    ) -> None:
        _check_testable(trainer)
        self.trainer = trainer
        self.apply = apply
        self.ramp = Ramp(start_lr, end_lr, steps)
        self.beta = read_beta(beta)
        self.result: FoundLR | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Run the test, and set the suggested rate if ``apply`` is set."""
        if "trainer" not in vars(self) or state is not self.trainer.state:
            raise StrategyError("LRFinder(trainer) is a callback of another Trainer: make one for each")
        if state.global_step > 0:
            return
        snapshot = TrainerSnapshot(self.trainer)
        try:
            self.result = self.run(snapshot)
        finally:
            snapshot.restore()
        say(state, str(self.result))
        if self.apply and self.result.suggestion is not None:
            _set_learning_rate(self.trainer, self.result.suggestion)

    def run(self, snapshot: TrainerSnapshot) -> FoundLR:
        """Make the steps of the test and return its result; the caller restores ``snapshot`` afterwards."""
        ratios = _rate_ratios(self.trainer)
        updates = _batches_by_update(self.trainer, snapshot.new_loader())
        rates: list[float] = []
        losses: list[float] = []
        while len(rates) < self.ramp.steps and not stop_reason(losses, self.beta):
            rates.append(self.ramp.rate(len(rates)))
            losses.append(_accumulate(self.trainer, *next(updates)))
            _step(self.trainer, [rates[-1] * ratio for ratio in ratios])
        read = read_range_test(rates, losses, beta=self.beta, stopped_because=stop_reason(losses, self.beta))
        return FoundLR(**vars(read))

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings and the result: the Trainer and its model are no part of a copy or a pickle."""
        return {name: value for name, value in vars(self).items() if name != "trainer"}


class _FinishedError(Exception):
    """Raised to leave `Trainer.train` once the test has its result."""

    def __init__(self, result: FoundLR) -> None:
        self.result = result


class _RangeTestOnly(TrainerCallback):
    """Run the test when training begins, and end the training there."""

    def __init__(self, finder: LRFinder, snapshot: TrainerSnapshot) -> None:
        self.finder, self.snapshot = finder, snapshot

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Run the test, then leave `Trainer.train` before its first step."""
        raise _FinishedError(self.finder.run(self.snapshot))


# --- the steps ------------------------------------------------------------------------------------------------


def _check_testable(trainer: Trainer) -> None:
    """Raise `StrategyError` if the weights are sharded, or change already during the backward pass."""
    kind = trainer.accelerator.distributed_type
    if kind in SHARDED:
        raise StrategyError(
            f"the range test cannot put back weights that {kind.value} shards: run it on one device, without"
            f" {kind.value}, and give its suggestion as learning_rate"
        )
    optim = str(getattr(trainer.args.optim, "value", trainer.args.optim))
    if "lomo" in optim or "layerwise" in optim:
        raise StrategyError(
            f"optim={optim!r} updates the weights during backward, where the range test has no say in the rate:"
            " run it with optim='adamw_torch'"
        )


def _batches_by_update(trainer: Trainer, loader: Any) -> Iterator[tuple[list[Any], Any]]:
    """Yield the batches of each optimizer step and their number of items, epoch after epoch without end.

    The Trainer's own method takes the batches from ``loader``.
    """
    for epoch in itertools.count():
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(epoch)
        batches = iter(loader)
        for update in itertools.count():
            update_batches, item_count = trainer.get_batch_samples(
                batches, trainer.args.gradient_accumulation_steps, trainer.args.device
            )
            if not update_batches and update == 0:
                raise StrategyError("train_dataset has no batch for the range test: give it at least one example")
            if not update_batches:
                break
            yield update_batches, item_count


def _accumulate(trainer: Trainer, batches: Sequence[Any], item_count: Any) -> float:
    """Run the forward and backward passes of one update; return the mean loss over all processes."""
    model, accelerator = trainer.model_wrapped, trainer.accelerator
    trainer.current_gradient_accumulation_steps = len(batches)
    loss = torch.zeros((), device=trainer.args.device)
    for number, inputs in enumerate(batches, start=1):
        is_last = number == len(batches)
        accelerator.gradient_state.sync_gradients = is_last
        with nullcontext() if is_last else accelerator.no_sync(model):
            loss += trainer.training_step(model, inputs, item_count)
    return float(accelerator.gather(loss).mean())


def _step(trainer: Trainer, rates: Sequence[float]) -> None:
    """Clip the gradients and make one optimizer step, with one rate for each parameter group."""
    model, optimizer = trainer.model_wrapped, _optimizer(trainer)
    if trainer.args.max_grad_norm > 0:
        trainer.accelerator.clip_grad_norm_(model.parameters(), trainer.args.max_grad_norm)
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        _set_rate(group, rate)
    optimizer.step()
    model.zero_grad()


# --- the rates of the groups ------------------------------------------------------------------------------------


def _optimizer(trainer: Trainer) -> Optimizer:
    return cast(Optimizer, trainer.optimizer)


def _peak_rates(trainer: Trainer) -> list[float]:
    """Return each group's rate without the schedule."""
    return [float(group.get("initial_lr", group["lr"])) for group in _optimizer(trainer).param_groups]


def _rate_ratios(trainer: Trainer) -> list[float]:
    """Return the ratio of each group's rate to the learning rate, which the test replaces."""
    peaks = _peak_rates(trainer)
    # No group has the rate args.learning_rate in a user's own optimizer, or after the rates were scaled.
    reference = trainer.args.learning_rate if trainer.args.learning_rate in peaks else max(peaks)
    if reference <= 0:
        raise StrategyError(f"learning_rate={reference!r} cannot be scaled: give one above 0, such as 5e-5")
    return [peak / reference for peak in peaks]


def _set_rate(group: dict[str, Any], rate: float) -> None:
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def _set_learning_rate(trainer: Trainer, learning_rate: float) -> None:
    """Make ``learning_rate`` the peak rate of the run that begins; each group stays at its point of the schedule."""
    old_peaks = _peak_rates(trainer)
    new_peaks = [learning_rate * ratio for ratio in _rate_ratios(trainer)]
    scheduler: Any = trainer.lr_scheduler
    for group, old, new in zip(_optimizer(trainer).param_groups, old_peaks, new_peaks, strict=True):
        _set_rate(group, new * (float(group["lr"]) / old) if old else new)
        group["initial_lr"] = new
    scheduler.base_lrs = new_peaks
    if isinstance(scheduler, ScheduleLR):
        scheduler.refit()
    scheduler._last_lr = [float(group["lr"]) for group in _optimizer(trainer).param_groups]
