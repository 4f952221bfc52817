"""The learning-rate range test in the stock Trainer; it leaves everything as it was."""

import itertools
import logging
import random
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from copy import copy
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import GradientState
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import CallbackHandler

import hf_strategies.auto  # noqa: F401  importing the callback is the one line that registers the schedules
from hf_strategies.errors import StrategyError
from hf_strategies.schedules.range_test import Ramp, RangeTest, read_beta, read_range_test, stop_reason

__all__ = ["LRFinder", "find_lr"]

# Its lines go out at warning level: that is what a script shows which configures no logging.
logger = logging.getLogger(__name__)

_SHARDED = {DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM}


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
    kept = _Kept(trainer)
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
        kept = _Kept(self.trainer)
        try:
            self.result = self.run(kept)
        finally:
            kept.put_back()
        if state.is_world_process_zero:
            logger.warning(str(self.result))
        if self.apply and self.result.suggestion is not None:
            _apply(self.trainer, self.result.suggestion)

    def run(self, kept: "_Kept") -> RangeTest:
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

    def __init__(self, finder: LRFinder, kept: "_Kept") -> None:
        self.finder, self.kept = finder, kept

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the Trainer's loop before its first step."""
        raise _FinishedError(self.finder.run(self.kept))


# --- the steps ------------------------------------------------------------------------------------------------


def _refuse_unfit(trainer: Trainer) -> None:
    kind = trainer.accelerator.distributed_type
    if kind in _SHARDED:
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
    scheduler._last_lr = [float(group["lr"]) for group in _optimizer(trainer).param_groups]


# --- putting back -----------------------------------------------------------------------------------------------

# What is followed into its attributes. DDP is not: its reducer, in C++, must not disagree with them.
_FOLLOWED: tuple[type, ...] = (Trainer, CallbackHandler, TrainerState, TrainerControl, Accelerator, GradientState)
_FOLLOWED += (nn.Module, Optimizer, GradScaler)
_CONTAINERS = {dict, OrderedDict, defaultdict, list, deque, set}
_LOADER_PARTS = ("base_dataloader", "batch_sampler", "sampler", "dataset", "collate_fn", "data_collator")


class _Kept:
    """All that training steps change, found from the Trainer, with how to put it back in place.

    Tensors are copied to CPU memory, containers and attributes by reference to what they hold: what steps replace,
    add or remove comes back too, such as optimizer state, hooks, a patched `forward` or a collected metric.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._seen: dict[int, object] = {}
        self._undo: list[Callable[[], object]] = []
        self._undo += _random_states()
        # Data as plain lists are not copied.
        self._seen |= {id(data): data for data in (trainer.train_dataset, trainer.eval_dataset)}
        self._keep(trainer)

    def put_back(self) -> None:
        """Make everything what it was."""
        for undo in self._undo:
            undo()

    def new_loader(self) -> Any:
        """Make a loader of the same batches as the one that training will use, which stays untouched."""
        states = _random_states()
        loader = self._trainer.get_train_dataloader()
        for undo in states:
            undo()
        # Its sampler, data set and collator may be shared.
        parts: dict[int, object] = {}
        waiting: list[Any] = [loader]
        while waiting:
            part = waiting.pop()
            if part is not None and id(part) not in parts:
                parts[id(part)] = part
                self._keep_part(part)
                waiting += [getattr(part, name, None) for name in _LOADER_PARTS]
        return loader

    def _keep_part(self, part: Any) -> None:
        attributes = getattr(part, "__dict__", None)
        if isinstance(attributes, dict):
            self._undo.append(partial(_refill, attributes, copy(attributes)))
            for value in attributes.values():
                # A data set's epoch may be a tensor; its large ones are data.
                if not isinstance(value, Tensor) or value.ndim == 0:
                    self._keep_leaf(value)

    def _keep(self, value: Any) -> None:
        if id(value) in self._seen or isinstance(value, DistributedDataParallel):
            return
        self._seen[id(value)] = value
        if isinstance(value, _FOLLOWED):
            self._keep(vars(value))
        elif type(value) in _CONTAINERS:
            self._undo.append(partial(_refill, value, copy(value)))
            for item in list(value.values() if isinstance(value, dict) else value):
                self._keep(item)
        else:
            self._keep_leaf(value)

    def _keep_leaf(self, value: Any) -> None:
        if isinstance(value, Tensor):
            self._undo.append(partial(_refill_tensor, value, value.data.to("cpu", copy=True), _gradient(value)))
        elif isinstance(value, torch.Generator):
            self._undo.append(partial(value.set_state, value.get_state()))
        elif isinstance(value, random.Random):
            self._undo.append(partial(value.setstate, value.getstate()))
        elif isinstance(value, np.random.RandomState):
            self._undo.append(partial(value.set_state, value.get_state()))
        elif isinstance(value, np.random.Generator):
            self._undo.append(partial(setattr, value.bit_generator, "state", value.bit_generator.state))


def _random_states() -> list[Callable[[], object]]:
    undo: list[Callable[[], object]] = [
        partial(random.setstate, random.getstate()),
        partial(np.random.set_state, np.random.get_state()),
        partial(torch.set_rng_state, torch.get_rng_state()),
    ]
    if torch.cuda.is_available():
        undo.append(partial(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
    return undo


def _refill(container: Any, contents: Any) -> None:
    container.clear()
    (container.update if hasattr(container, "update") else container.extend)(contents)


def _gradient(tensor: Tensor) -> Tensor | None:
    return tensor.grad if tensor.is_leaf else None


def _refill_tensor(tensor: Tensor, contents: Tensor, gradient: Tensor | None) -> None:
    # An expanded tensor cannot be written to, by the steps no more than here.
    if not any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True)):
        tensor.data.copy_(contents)
    if tensor.is_leaf:
        tensor.grad = gradient
