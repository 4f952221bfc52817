"""Gradual unfreezing for the Trainer: the set of layers that train is a function of the step."""

from collections.abc import Callable
from typing import Any
from weakref import ref

from accelerate.state import AcceleratorState
from torch import nn
from transformers import (
    PreTrainedModel,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import read_span, to_steps
from hf_strategies.trainer.callbacks.checks import refuse_epochs, steps_per_epoch
from hf_strategies.trainer.callbacks.context import TrainerContext, find_trainer
from hf_strategies.trainer.callbacks.unfrozen_warmup import UnfrozenWarmup
from hf_strategies.trainer.distributed import SHARDED, say
from hf_strategies.trainer.lr.layer_depth import parameter_depths

__all__ = ["GradualUnfreezing"]

_MANY_STEPS = 1_000_000


class GradualUnfreezing(TrainerCallback):
    """Train the head first; after each interval of length ``every``, unfreeze the next layer from the top.

    The groups of parameters are, in order: the head, the top layer, ..., the first layer, the embeddings (see
    `parameter_depths`). A group with frozen parameters only is left out. At step s of the training the first
    1 + floor(s / ``every``) groups train.

    All groups are in the optimizer and the schedule from the start. A parameter whose group does not train yet has
    ``requires_grad=False`` in the forward and backward pass, and so no gradient. The clipping leaves it out, and the
    optimizer skips it, so that neither weight decay nor moments change it. A resumed run continues as the
    uninterrupted run would, because the step determines the groups that train. Outside the Trainer's `training_step`
    every parameter has its original ``requires_grad``, so that a training that is interrupted leaves none frozen.
    Parameters that you froze yourself stay frozen. In a loop that calls the events by itself, the parameters are
    frozen from `on_step_begin` to `on_train_end`.

    On several processes (DDP) this needs ``ddp_find_unused_parameters=True``, which is the Trainer's default unless
    activations are checkpointed, by the Trainer's arguments or at the model.

    What trains is printed when training begins and at each unfreezing.

    Args:
        every: the length of an interval: optimizer steps as an int, epochs as ``"1ep"``, or a fraction of the
            training as a float in (0, 1).
        warmup: the length of a warmup of each group that is unfrozen later than the head, in the same units; None
            for none. With a warmup of W steps, the i-th update of the group (from 1) has
            ``min(1, i / (W + 1))`` of the rate that the schedule gives it. This needs an optimizer whose groups are
            by depth: `layer_decay_optimizer`, with ``layer_decay=1`` for equal rates.

    Raises `StrategyError` for a bad length; with ``warmup`` and an optimizer whose groups mix depths; when training
    starts with a model that is no module or whose parameters have no depth, or with epochs of data without a length;
    and with sharded parameters (FSDP, DeepSpeed) or a DDP that waits for every gradient.

    Source: Howard & Ruder 2018, arXiv:1801.06146, section 3.3, which unfreezes one layer per epoch.

    >>> callbacks = [GradualUnfreezing(every="1ep")]  # Trainer(..., callbacks=callbacks)
    """

    def __init__(self, every: int | float | str = "1ep", warmup: int | float | str | None = None) -> None:
        self.every, self.warmup = every, warmup
        # A bad length raises now; the true number of steps is known when training begins.
        for name, length in self._lengths:
            _interval_steps(name, length, total_steps=_MANY_STEPS, steps_per_epoch=_MANY_STEPS)

    _layers: "_FrozenLayers | None" = None  # while training
    _warmups: UnfrozenWarmup | None = None  # while training
    _said_at: int | None = None  # the step at which it was printed last what trains
    _step: "_FreezingStep | None" = None  # while training in a Trainer

    # --- events ---------------------------------------------------------------------------------------------

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check the settings, sort the parameters into groups, and wrap the Trainer's `training_step`."""
        self._forget()  # an earlier training may have failed
        kwargs = TrainerContext(self).event_of(kwargs)
        _check_settings(args, kwargs["model"])
        loader = kwargs.get("train_dataloader")
        lengths = {}
        for name, length in self._lengths:
            refuse_epochs(name, read_span(name, length), loader)
            lengths[name] = _interval_steps(name, length, state.max_steps, steps_per_epoch(args, loader))
        interval, groups = lengths["every"], _groups_by_depth(kwargs["model"])
        self._layers = _FrozenLayers(groups, interval)
        if self.warmup is not None:
            self._warmups = UnfrozenWarmup(
                kwargs.get("optimizer"), list(groups.values()), interval, lengths["warmup"]
            )
        trainer = find_trainer(self)
        if trainer:
            self._step = _FreezingStep(trainer, self._layers)
        last = interval * (len(groups) - 1)
        if last >= state.max_steps:
            say(
                state,
                f"GradualUnfreezing(every={self.every!r}) would unfreeze the last of {len(groups)} groups after"
                f" step {last}, and training ends at step {state.max_steps}: lower layers stay as they are. Give a"
                f" smaller every, or train longer.",
            )
        self._say_what_trains(state)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Unfreeze the groups that train at this step, and freeze all others, in a loop without a Trainer."""
        if self._layers and self._layers.begins_at(state.global_step):
            self._say_what_trains(state)
        if self._layers and self._step is None:
            self._layers.freeze(state.global_step)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Lower the rates of the groups that warm up, for this update."""
        if self._warmups:
            self._warmups.lower(state.global_step)

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Put the rates of the schedule back."""
        if self._warmups:
            self._warmups.restore()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Raise `StrategyError` if the Trainer has made the step without its `training_step`."""
        if self._step and not self._step.was_called:
            raise StrategyError(
                "GradualUnfreezing freezes layers in training_step(), which this Trainer does not call: leave it out"
            )

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Restore the ``requires_grad`` of every parameter."""
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings alone: a training's model and Trainer are no part of a copy or a pickle."""
        return {"every": self.every, "warmup": self.warmup}

    # --- parts ----------------------------------------------------------------------------------------------

    @property
    def _lengths(self) -> list[tuple[str, int | float | str]]:
        """The names and values of the lengths that are given."""
        return [("every", self.every), *([] if self.warmup is None else [("warmup", self.warmup)])]

    def _say_what_trains(self, state: TrainerState) -> None:
        if self._layers and self._said_at != state.global_step:
            self._said_at = state.global_step
            say(state, f"GradualUnfreezing: {self._layers.describe(state.global_step)}")

    def _forget(self) -> None:
        if self._warmups:
            self._warmups.restore()
        self._warmups = self._said_at = None
        if self._layers:
            self._layers.unfreeze()
        if self._step:
            self._step.remove()
        self._layers = self._step = None


class _FrozenLayers:
    """The ``groups`` of parameters of one training, from the head down, and when each of them begins to train."""

    def __init__(self, groups: dict[str, list[nn.Parameter]], interval: int) -> None:
        self._names, self._groups, self._interval = list(groups), list(groups.values()), interval

    def begins_at(self, step: int) -> bool:
        """Whether a group begins to train at ``step``, other than the first."""
        return step > 0 and step % self._interval == 0 and step // self._interval < len(self._groups)

    def describe(self, step: int) -> str:
        """Return a sentence on what trains from ``step`` on."""
        count = min(1 + step // self._interval, len(self._groups))
        weights = sum(parameter.numel() for group in self._groups[:count] for parameter in group)
        every = sum(parameter.numel() for group in self._groups for parameter in group)
        names = self._names[0] if count == 1 else f"{self._names[0]} to {self._names[count - 1]}"
        left = len(self._groups) - count
        more = f"; next, from step {count * self._interval} on: {self._names[count]}" if left else ""
        return f"from step {step} on, {weights:,} of {every:,} weights train ({names}){more}."

    def freeze(self, step: int) -> None:
        """Freeze the groups that do not train yet at ``step``, and no others."""
        count = 1 + step // self._interval
        for index, group in enumerate(self._groups):
            for parameter in group:
                parameter.requires_grad_(index < count)
                if index >= count:
                    parameter.grad = None

    def unfreeze(self) -> None:
        """Unfreeze all groups."""
        for group in self._groups:
            for parameter in group:
                parameter.requires_grad_(True)


class _FreezingStep:
    """Takes the place of one Trainer's `training_step`, and freezes ``layers`` while that runs.

    A Trainer calls no event when a training fails or is interrupted. So parameters are never left frozen between two
    calls. A later training of the same Trainer without the callback has another state, and calls the step as it was.
    """

    def __init__(self, trainer: Trainer, layers: _FrozenLayers) -> None:
        self._trainer, self._layers, self._state = ref(trainer), layers, trainer.state
        self._own = vars(trainer).get("training_step")  # a function that the user has set on this Trainer
        self._step: Callable[..., Any] = trainer.training_step
        self.was_called = False
        trainer.training_step = self  # type: ignore[method-assign]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the step, with the groups frozen that do not train yet."""
        trainer = self._trainer()
        if trainer is None or trainer.state is not self._state:
            return self._step(*args, **kwargs)
        self.was_called = True
        try:
            self._layers.freeze(trainer.state.global_step)
            return self._step(*args, **kwargs)
        finally:
            self._layers.unfreeze()

    def remove(self) -> None:
        """Give the Trainer its own `training_step` back."""
        trainer = self._trainer()
        if trainer is None or vars(trainer).get("training_step") is not self:
            return
        if self._own is None:
            del trainer.training_step
        else:
            trainer.training_step = self._own  # type: ignore[method-assign]


def _interval_steps(name: str, length: object, total_steps: int, steps_per_epoch: float | None) -> int:
    steps = to_steps(name, length, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
    if steps < 1:
        raise StrategyError(f"{name}={length!r} is less than one step: give a number of steps from 1, or '1ep'")
    return steps


def _groups_by_depth(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """Return the trainable parameters of each depth by its name, from the head to the embeddings."""
    depths = parameter_depths(model)
    groups: dict[int, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(depths.by_name[name], []).append(parameter)
    return {depths.name(depth): groups[depth] for depth in sorted(groups, reverse=True)}


def _check_settings(args: TrainingArguments, model: nn.Module) -> None:
    """Raise `StrategyError` if single parameters cannot be frozen in this kind of distributed training."""
    kind = AcceleratorState().distributed_type
    if kind in SHARDED:
        raise StrategyError(
            f"GradualUnfreezing cannot keep single weights still that {kind.value} shards: leave it out, or train"
            " with DDP"
        )
    if args.world_size > 1:
        _check_ddp(args, model)


def _check_ddp(args: TrainingArguments, model: nn.Module) -> None:
    finds_unused = args.ddp_find_unused_parameters
    if finds_unused is None:
        finds_unused = not (args.gradient_checkpointing or _is_checkpointing(model))  # the Trainer's default
    if not finds_unused or args.ddp_static_graph:
        raise StrategyError(
            f"GradualUnfreezing with ddp_find_unused_parameters={args.ddp_find_unused_parameters!r} and"
            f" ddp_static_graph={args.ddp_static_graph!r}{_because(model)} would wait for the gradients of frozen"
            " parameters: set ddp_find_unused_parameters=True and ddp_static_graph=False"
        )


def _is_checkpointing(model: nn.Module) -> bool:
    """Whether the model checkpoints activations, by the same test as the Trainer's."""
    is_own = isinstance(model, PreTrainedModel)
    return is_own and any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def _because(model: nn.Module) -> str:
    """Return the part of a message that names checkpointing of activations as the cause; "" if the model has none."""
    return ", with checkpointing of activations at the model," if _is_checkpointing(model) else ""
