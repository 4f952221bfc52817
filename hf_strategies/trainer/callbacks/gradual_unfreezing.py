"""Gradual unfreezing for the Trainer: the set of layers that train is a function of the step."""

import math
from collections.abc import Mapping
from typing import Any

from accelerate.state import AcceleratorState
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import has_length

from hf_strategies.errors import StrategyError
from hf_strategies.lengths import to_steps
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
    ``requires_grad=False`` and no gradient. The backward pass and the clipping leave it out, and the optimizer skips
    it, so that neither weight decay nor moments change it. The parameters are frozen at the first step and not when
    training begins, so that other callbacks see all trainable parameters in their `on_train_begin`. A resumed run
    continues as the uninterrupted run would, because the step determines the groups that train. At the end every
    parameter has its original ``requires_grad``. Parameters that you froze yourself stay frozen.

    On several processes (DDP) this needs ``ddp_find_unused_parameters=True``, which is the Trainer's default unless
    activations are checkpointed.

    Args:
        every: the length of an interval: optimizer steps as an int, epochs as ``"1ep"``, or a fraction of the
            training as a float in (0, 1).

    Raises `StrategyError` for a bad length; when training starts with a model whose parameters have no depth; and
    with sharded parameters (FSDP, DeepSpeed) or a DDP that waits for every gradient.

    Source: Howard & Ruder 2018, arXiv:1801.06146, section 3.3, which unfreezes one layer per epoch.

    >>> callbacks = [GradualUnfreezing(every="1ep")]  # Trainer(..., callbacks=callbacks)
    """

    def __init__(self, every: int | float | str = "1ep") -> None:
        self.every = every
        # A bad length raises now; the true number of steps is known when training begins.
        self._interval = _interval_steps(every, total_steps=_MANY_STEPS, steps_per_epoch=_MANY_STEPS)
        self._groups: list[list[nn.Parameter]] = []

    # --- events ---------------------------------------------------------------------------------------------

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check the settings and sort the parameters into groups."""
        self._unfreeze()  # an earlier training may have failed and left parameters frozen
        _check_settings(args)
        self._interval = _interval_steps(self.every, state.max_steps, _steps_per_epoch(args, kwargs))
        self._groups = _groups_by_depth(kwargs["model"])
        last = self._interval * (len(self._groups) - 1)
        if last >= state.max_steps:
            say(
                state,
                f"GradualUnfreezing(every={self.every!r}) would unfreeze the last of {len(self._groups)} groups after"
                f" step {last}, and training ends at step {state.max_steps}: lower layers stay as they are. Give a"
                f" smaller every, or train longer.",
            )

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Unfreeze the groups that train at this step, and freeze all others."""
        count = 1 + state.global_step // self._interval
        for index, group in enumerate(self._groups):
            for parameter in group:
                parameter.requires_grad_(index < count)
                if index >= count:
                    parameter.grad = None

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Restore the ``requires_grad`` of every parameter."""
        self._unfreeze()

    # --- parts ----------------------------------------------------------------------------------------------

    def _unfreeze(self) -> None:
        for group in self._groups:
            for parameter in group:
                parameter.requires_grad_(True)
        self._groups = []


def _interval_steps(every: object, total_steps: int, steps_per_epoch: float | None) -> int:
    steps = to_steps("every", every, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
    if steps < 1:
        raise StrategyError(f"every={every!r} is less than one step: give a number of steps from 1, or '1ep'")
    return steps


def _steps_per_epoch(args: TrainingArguments, event: Mapping[str, Any]) -> int | None:
    loader = event.get("train_dataloader")
    if not has_length(loader):
        return None
    return max(1, math.ceil(len(loader) / args.gradient_accumulation_steps))


def _groups_by_depth(model: nn.Module) -> list[list[nn.Parameter]]:
    """Return the trainable parameters of each depth, from the head to the embeddings."""
    depths = parameter_depths(model).by_name
    groups: dict[int, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(depths[name], []).append(parameter)
    return [groups[depth] for depth in sorted(groups, reverse=True)]


def _check_settings(args: TrainingArguments) -> None:
    """Raise `StrategyError` if single parameters cannot be frozen in this kind of distributed training."""
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
        finds_unused = not args.gradient_checkpointing  # the Trainer's default
    if not finds_unused or args.ddp_static_graph:
        raise StrategyError(
            f"GradualUnfreezing with ddp_find_unused_parameters={args.ddp_find_unused_parameters!r} and"
            f" ddp_static_graph={args.ddp_static_graph!r} would wait for the gradients of frozen parameters: set"
            " ddp_find_unused_parameters=True and ddp_static_graph=False"
        )
