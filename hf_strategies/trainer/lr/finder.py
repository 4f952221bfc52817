"""The learning-rate range test in the stock Trainer; it leaves everything as it was."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_strategies.errors import StrategyError
from hf_strategies.pytorch.lr_scheduler import ScheduleLR
from hf_strategies.schedules.lr_range import Ramp, RangeTest, read_beta, read_range_test, stop_reason
from hf_strategies.trainer.console import say
from hf_strategies.trainer.distributed import SHARDED
from hf_strategies.trainer.lr.trainer_snapshot import Kept

__all__ = ["LRFinder", "find_lr"]


def find_lr(
    trainer: Trainer, *, start_lr: float = 1e-7, end_lr: float = 1.0, steps: int = 100, beta: float = 0.9
) -> RangeTest:
    """Suggest a learning rate for a Trainer by training it at growing rates, and leave it as it was.

    The steps are the Trainer's own, on the batches with which training would begin: `training_step`, accumulation,
    clipping, mixed precision and optimizer are those of its arguments. Callbacks other than the test see none of
    them. Afterwards model, optimizer, random numbers and the trainer itself are bit for bit as before; `train()`
    does what it would have done. On several processes each makes the same steps and has the same result.

    Groups of parameters keep the ratios of their rates; the rates of the test stand in the place of
    ``args.learning_rate`` (of the highest rate, where the optimizer came from elsewhere).

    Args:
        trainer: a Trainer, before `train()` or after.
        start_lr: rate of the first step.
        end_lr: rate of the last step; the test stops earlier when the loss diverges.
        steps: optimizer steps, at least 10.
        beta: smoothing of the losses, see `read_range_test`.

    Raises `StrategyError` for bad numbers, for weights that FSDP or DeepSpeed shard, and when there is no data.

    Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186.
    """
    finder = LRFinder(trainer, start_lr=start_lr, end_lr=end_lr, steps=steps, beta=beta)
    kept = Kept(trainer)
    # First, and training ends with it: no other callback gets to know of this training.
    trainer.callback_handler.callbacks.insert(0, _Only(finder, kept))
    try:
        trainer.train()
    except _FinishedError as finished:
        return finished.result
    finally:
        kept.put_back()
    raise AssertionError("the Trainer went past on_train_begin without calling it")


class LRFinder(TrainerCallback):
    """Run the range test of `find_lr` when training begins, say its result, and train on as if it had not been.

    It needs the Trainer, as only that knows how a step is made: ``trainer.add_callback(LRFinder(trainer))``. The
    result is kept as ``result``. A resumed run is not tested, and goes on at the rate that it had.

    Args:
        trainer: the Trainer that has this callback.
        apply: train at the suggestion, each parameter group scaled by the same factor; without a suggestion the
            rates stay.
        start_lr, end_lr, steps, beta: as in `find_lr`.

    Raises `StrategyError` as `find_lr` does, and when another Trainer begins to train with it.
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
        _refuse_unfit(trainer)
        self.trainer = trainer
        self.apply = apply
        self.ramp = Ramp(start_lr, end_lr, steps)
        self.beta = read_beta(beta)
        self.result: RangeTest | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Run the test, and set the rates when asked to."""
        if state is not self.trainer.state:
            raise StrategyError("LRFinder(trainer) is a callback of another Trainer: make one for each")
        if state.global_step > 0:
            return
        kept = Kept(self.trainer)
        try:
            self.result = self.run(kept)
        finally:
            kept.put_back()
        say(state, str(self.result))
        if self.apply and self.result.suggestion is not None:
            _apply(self.trainer, self.result.suggestion)

    def run(self, kept: Kept) -> RangeTest:
        """Make the steps, which what was kept is to undo."""
        ratios = _ratios(self.trainer)
        updates = _updates(self.trainer, kept.new_loader())
        rates: list[float] = []
        losses: list[float] = []
        while len(rates) < self.ramp.steps and not stop_reason(losses, self.beta):
            rates.append(self.ramp.rate(len(rates)))
            losses.append(_accumulate(self.trainer, *next(updates)))
            _step(self.trainer, [rates[-1] * ratio for ratio in ratios])
        return read_range_test(rates, losses, beta=self.beta, stopped_because=stop_reason(losses, self.beta))


class _FinishedError(Exception):
    def __init__(self, result: RangeTest) -> None:
        self.result = result


class _Only(TrainerCallback):
    """Run the test, and nothing of the training that it is the beginning of."""

    def __init__(self, finder: LRFinder, kept: Kept) -> None:
        self.finder, self.kept = finder, kept

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the Trainer's loop before its first step."""
        raise _FinishedError(self.finder.run(self.kept))


# --- the steps ------------------------------------------------------------------------------------------------


def _refuse_unfit(trainer: Trainer) -> None:
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


def _updates(trainer: Trainer, loader: Any) -> Iterator[tuple[list[Any], Any]]:
    """The batches of each optimizer step, as the Trainer takes them, for as many epochs as it needs."""
    for epoch in itertools.count():
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(epoch)
        batches = iter(loader)
        for update in itertools.count():
            taken, items = trainer.get_batch_samples(
                batches, trainer.args.gradient_accumulation_steps, trainer.args.device
            )
            if not taken and update == 0:
                raise StrategyError("train_dataset has no batch for the range test: give it at least one example")
            if not taken:
                break
            yield taken, items


def _accumulate(trainer: Trainer, batches: Sequence[Any], items: Any) -> float:
    """Forward and backward of one update; returns the loss over all processes, which is the same on each."""
    model, accelerator = trainer.model_wrapped, trainer.accelerator
    trainer.current_gradient_accumulation_steps = len(batches)
    loss = torch.zeros((), device=trainer.args.device)
    for at, inputs in enumerate(batches, start=1):
        last = at == len(batches)
        accelerator.gradient_state.sync_gradients = last
        with nullcontext() if last else accelerator.no_sync(model):
            loss += trainer.training_step(model, inputs, items)
    return float(accelerator.gather(loss).mean())


def _step(trainer: Trainer, rates: Sequence[float]) -> None:
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


def _bases(trainer: Trainer) -> list[float]:
    return [float(group.get("initial_lr", group["lr"])) for group in _optimizer(trainer).param_groups]


def _ratios(trainer: Trainer) -> list[float]:
    bases = _bases(trainer)
    # A user's own optimizer need not have args.learning_rate anywhere; nor has one that was scaled already.
    reference = trainer.args.learning_rate if trainer.args.learning_rate in bases else max(bases)
    if reference <= 0:
        raise StrategyError(f"learning_rate={reference!r} cannot be scaled: give one above 0, such as 5e-5")
    return [base / reference for base in bases]


def _set_rate(group: dict[str, Any], rate: float) -> None:
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def _apply(trainer: Trainer, rate: float) -> None:
    """Make ``rate`` the learning rate of the run that begins, at whatever point of its schedule it is."""
    old, new = _bases(trainer), [rate * ratio for ratio in _ratios(trainer)]
    scheduler: Any = trainer.lr_scheduler
    for group, before, after in zip(_optimizer(trainer).param_groups, old, new, strict=True):
        _set_rate(group, after * (float(group["lr"]) / before) if before else after)
        group["initial_lr"] = after
    scheduler.base_lrs = new
    if isinstance(scheduler, ScheduleLR):
        scheduler.refit()
    scheduler._last_lr = [float(group["lr"]) for group in _optimizer(trainer).param_groups]
