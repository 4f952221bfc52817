"""Gradual unfreezing for the Trainer: which layers train is a function of the step."""

import math
from collections.abc import Mapping
from typing import Any

from accelerate.state import AcceleratorState
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import has_length

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import to_steps
from hf_strategies.trainer.console import say
from hf_strategies.trainer.distributed import SHARDED
from hf_strategies.trainer.lr.layer_depth import parameter_depths

__all__ = ["GradualUnfreezing"]

_MANY = 1_000_000


class GradualUnfreezing(TrainerCallback):
    """Train the head first, then one more layer from the top after each ``every``, the embeddings last.

    At step s of the training, 1 + floor(s / ``every``) groups train, of: the head, the top layer, ..., the first
    layer, the embeddings (see `parameter_depths`; a group that is frozen altogether has no turn).

    All these parameters are in the optimizer and the schedule from the start. One whose turn has not come has
    ``requires_grad=False`` and no gradient: the backward pass leaves it out, clipping does not count it, and the
    optimizer passes it over, so that neither weight decay nor moments touch it. Freezing begins at the first step
    and not with the training, so that what other callbacks set up then sees all that will train. Which groups
    train is derived from the step: a resumed run goes on where it was. At the end every parameter has the
    ``requires_grad`` that it had. Parameters that you froze yourself stay frozen.

    On several processes (DDP) it needs ``ddp_find_unused_parameters=True``, which is the Trainer's default
    unless activations are checkpointed.

    Args:
        every: optimizer steps as an int, epochs as ``"1ep"``, or a share of the training as a float in (0, 1).

    Raises `StrategyError` for a bad length, and when training starts with a model whose parameters have no depth,
    with parameters that are sharded (FSDP, DeepSpeed) and with DDP that waits for every gradient.

    Source: Howard & Ruder 2018, arXiv:1801.06146, section 3.3, which unfreezes one layer an epoch.

    >>> callbacks = [GradualUnfreezing(every="1ep")]  # Trainer(..., callbacks=callbacks)
    """

    def __init__(self, every: int | float | str = "1ep") -> None:
        self.every = every
        # So that a bad length is told now; how long it is, is known when training starts.
        self._length = _length(every, total_steps=_MANY, steps_per_epoch=_MANY)
        self._turns: list[list[nn.Parameter]] = []

    # --- events ---------------------------------------------------------------------------------------------

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check the settings and line the parameters up for their turns."""
        self._thaw()  # what a training that was broken off left frozen
        _check_settings(args)
        self._length = _length(self.every, state.max_steps, _steps_per_epoch(args, kwargs))
        self._turns = _turns(kwargs["model"])
        last = self._length * (len(self._turns) - 1)
        if last >= state.max_steps:
            say(
                state,
                f"GradualUnfreezing(every={self.every!r}) would unfreeze the last of {len(self._turns)} groups after"
                f" step {last}, and training ends at step {state.max_steps}: lower layers stay as they are. Give a"
                f" smaller every, or train longer.",
            )

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Freeze all whose turn has not come."""
        count = 1 + state.global_step // self._length
        for index, turn in enumerate(self._turns):
            for parameter in turn:
                parameter.requires_grad_(index < count)
                if index >= count:
                    parameter.grad = None

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Give every parameter its ``requires_grad`` back."""
        self._thaw()

    # --- parts ----------------------------------------------------------------------------------------------

    def _thaw(self) -> None:
        for turn in self._turns:
            for parameter in turn:
                parameter.requires_grad_(True)
        self._turns = []


def _length(every: object, total_steps: int, steps_per_epoch: float | None) -> int:
    length = to_steps("every", every, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
    if length < 1:
        raise StrategyError(f"every={every!r} is less than one step: give a number of steps from 1, or '1ep'")
    return length


def _steps_per_epoch(args: TrainingArguments, given: Mapping[str, Any]) -> int | None:
    loader = given.get("train_dataloader")
    if not has_length(loader):
        return None
    return max(1, math.ceil(len(loader) / args.gradient_accumulation_steps))


def _turns(model: nn.Module) -> list[list[nn.Parameter]]:
    """Line up the parameters that train, by depth from the top."""
    depths = parameter_depths(model).by_name
    turns: dict[int, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            turns.setdefault(depths[name], []).append(parameter)
    return [turns[depth] for depth in sorted(turns, reverse=True)]


def _check_settings(args: TrainingArguments) -> None:
    kind = AcceleratorState().distributed_type
    if kind in SHARDED:
        raise StrategyError(
            f"GradualUnfreezing cannot keep single weights still that {kind.value} shards: leave it out, or train"
            " with DDP"
        )
    if args.world_size > 1:
        _check_ddp(args)


def _check_ddp(args: TrainingArguments) -> None:
    finds_unused = args.ddp_find_unused_parameters
    if finds_unused is None:
        finds_unused = not args.gradient_checkpointing  # as the Trainer chooses
    if not finds_unused or args.ddp_static_graph:
        raise StrategyError(
            f"GradualUnfreezing with ddp_find_unused_parameters={args.ddp_find_unused_parameters!r} and"
            f" ddp_static_graph={args.ddp_static_graph!r} would wait for the gradients of frozen parameters: set"
            " ddp_find_unused_parameters=True and ddp_static_graph=False"
        )
