"""The average of the weights in one training: when it is updated, evaluated, saved, read again, and left in place."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelerate.state import PartialState
from accelerate.utils import DistributedType
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from hf_strategies.averaging import Average
from hf_strategies.errors import StrategyError
from hf_strategies.lengths import Span, read_span, to_steps
from hf_strategies.pytorch.averaged_weights import AveragedWeights
from hf_strategies.pytorch.lambda_lr import inner_scheduler
from hf_strategies.stopping.results import WEIGHT_AVERAGING, AveragingResult
from hf_strategies.trainer.best_weights.checkpoint_files import CheckpointFiles
from hf_strategies.trainer.callbacks.checks import refuse_epochs, steps_per_epoch, warmup_end
from hf_strategies.trainer.callbacks.context import records
from hf_strategies.trainer.callbacks.weight_averaging.evaluations import AveragedEvaluations
from hf_strategies.trainer.distributed import say

__all__ = ["NAME", "AveragingRun", "refuse_arguments"]

NAME = "WeightAveraging"
_FILES = "weight_average"  # the beginning of their names


class AveragingRun:
    """The average in one training; create it on every process in `on_train_begin`.

    The number of averaged updates and the step of the last one are in the callback's record in the Trainer's state,
    and so in each checkpoint; the average is in files beside it.

    Args:
        average: the average.
        start_from: the step after which it begins, as a length; None for the end of the warmup.
        trainer: the Trainer.
        event: the keywords of `on_train_begin`.
        in_cpu_memory: see `AveragedWeights`.
        is_held: returns whether the weights after a step are still averaged, and evaluated as the average; None for
            all steps.

    Raises `StrategyError` for lengths in epochs that are not known, if no update would be averaged, and for a
    checkpoint with the average of another run or of other settings.
    """

    def __init__(
        self,
        average: Average,
        start_from: int | float | str | None,
        trainer: Trainer,
        event: Mapping[str, Any],
        in_cpu_memory: bool,
        is_held: Callable[[int], bool] | None = None,
    ) -> None:
        args, state = trainer.args, trainer.state
        if PartialState().distributed_type == DistributedType.MEGATRON_LM:
            raise StrategyError(f"weights cannot be averaged under Megatron-LM: leave {NAME} out")
        loader = event.get("train_dataloader")
        self.state, self._args, self._trainer = state, args, trainer
        self._average, self._start_from = average, start_from
        self._is_held = is_held or (lambda step: True)
        for name, value in average.parameters.items():
            if isinstance(value, Span):
                refuse_epochs(f"average={str(average)!r}: {name}", value, loader)
        self._plan = average.plan(total_steps=state.max_steps, steps_per_epoch=steps_per_epoch(args, loader))
        self._start = self._first_step(event)
        self._weights = AveragedWeights(event["model"], self._plan.slots, in_cpu_memory)
        self._files = CheckpointFiles(self._weights, args, _FILES)
        self._updates, self._step = 0, state.global_step
        self._loss_scale = self._read_loss_scale()
        self._is_final = False  # whether the average is in the model for good
        before = self._take_record()
        if state.global_step:
            self._resume(before)
        self._record()
        self._evaluations = AveragedEvaluations(trainer, self._swap_in, self._weights.swap_out)
        if is_held is None and self._start < state.max_steps and not self._updates:
            say(state, f"{NAME}: from step {self._start + 1} on, evaluations and the final model are {self.words}.")

    # --- events ---------------------------------------------------------------------------------------------

    def stepped(self, step: int) -> None:
        """Take in the weights after an optimizer step, once, unless mixed precision has skipped it."""
        if step == self._step:
            return
        self._step = step
        skipped = self._was_skipped()
        if step > self._start and self._is_held(step) and not skipped:
            self._updates += 1
            self._weights.update(self._plan.coefficients(self._updates))
        self._record()

    def before_save(self) -> None:
        """Write the average for the checkpoint of this step, before the Trainer writes it."""
        if self._updates:
            self._files.write(self.state)

    def saved(self) -> None:
        """Move the average into the checkpoint that was written."""
        if self._updates:
            self._files.move(self.state)

    def finish(self, raw_folder: Path | None) -> None:
        """Leave the average in the model; before that, write the raw weights into ``raw_folder``, if one is given."""
        state = self.state
        if not self._updates:
            say(
                state,
                f"{NAME}: training has ended at step {state.global_step}, before the average began at step"
                f" {self._start + 1}: the weights are the raw ones.",
            )
            return
        if raw_folder is not None:
            self._trainer.save_model(str(raw_folder), _internal_call=True)  # without an upload to the Hub
        self._weights.write(self._plan.read(self._updates))
        self._is_final = True
        self._record()
        raw = f"; the raw weights are in {str(raw_folder)!r}" if raw_folder is not None else ""
        say(state, f"{NAME}: the last weights are now {self.words} ({self._updates} updates){raw}.")

    def close(self) -> None:
        """Give the Trainer its own methods back."""
        self._evaluations.remove()

    def result(self, has_ended: bool = False) -> AveragingResult:
        """Return the average so far, and when training ``has_ended`` what was left in the model."""
        return AveragingResult.of(records(self.state)[WEIGHT_AVERAGING], has_ended)

    @property
    def words(self) -> str:
        """What is averaged, in words."""
        return f"the average {self._average} of the weights after step {self._start}"

    # --- parts ----------------------------------------------------------------------------------------------

    def _first_step(self, event: Mapping[str, Any]) -> int:
        """Return the step after which the average begins."""
        args, steps, loader = self._args, self.state.max_steps, event.get("train_dataloader")
        if self._start_from is None:
            return warmup_end(inner_scheduler(event["lr_scheduler"]), args, steps)
        refuse_epochs("start_from", read_span("start_from", self._start_from), loader)
        start = to_steps(
            "start_from", self._start_from, total_steps=steps, steps_per_epoch=steps_per_epoch(args, loader)
        )
        if start >= steps:
            raise StrategyError(
                f"start_from={self._start_from!r} is step {start} of {steps}, so that no update would be averaged:"
                " give a smaller one, or train longer"
            )
        return start

    def _was_skipped(self) -> bool:
        """Return whether mixed precision has skipped the last step; call it once after each step."""
        # accelerate looks whether the optimizer's `step` was called, but a fused optimizer, the Trainer's default, is
        # called and skips the step in its kernel. GradScaler lowers its scale after each skipped step, and only then.
        before, self._loss_scale = self._loss_scale, self._read_loss_scale()
        return self._loss_scale < before or self._trainer.accelerator.optimizer_step_was_skipped

    def _read_loss_scale(self) -> float:
        """Return the factor by which fp16 scales the loss; 1 without a GradScaler."""
        scaler = self._trainer.accelerator.scaler
        return 1.0 if scaler is None else float(scaler.get_scale())

    def _swap_in(self) -> bool:
        if not self._updates or self._is_final or not self._is_held(self.state.global_step):
            return False
        self._weights.swap_in(self._plan.read(self._updates))
        return True

    def _resume(self, before: Mapping[str, Any] | None) -> None:
        """Read the average of the checkpoint, or begin one if the run has none so far; ``before`` is its record."""
        step = self.state.global_step
        if before is None or before["step"] != step:  # the callback is new, or the run has trained on without it
            self._start = max(self._start, step)
            say(self.state, f"{NAME}: the run has no average up to step {step}.")
            return
        if not before["updates"]:
            self._start = max(self._start, step)
            return
        now = self._settings()
        for name in ("average", "lengths", "start_from"):
            if before[name] != now[name]:
                raise StrategyError(
                    f"{NAME}: the checkpoint of step {step} has an average with {name} {before[name]!r}, not"
                    f" {now[name]!r}: resume with the settings it was begun with, or without {NAME}"
                )
        if not self._files.read(self.state):
            raise StrategyError(
                f"{NAME}: the average of {before['updates']} updates up to step {step} is lost:"
                f" {self._files.describe_missing(self.state)}: resume from another checkpoint, or without {NAME}"
            )
        self._start, self._updates = before["start"], before["updates"]

    def _take_record(self) -> dict[str, Any] | None:
        """Remove the record of the run so far from the state and return it; None if there is none."""
        before: dict[str, Any] | None = records(self.state).pop(WEIGHT_AVERAGING, None)
        return before

    def _settings(self) -> dict[str, Any]:
        """Return what has to stay the same when a run is resumed, as JSON has it."""
        start = None if self._start_from is None else str(read_span("start_from", self._start_from))
        lengths = {name: value for name, value in self._plan.values.items() if value is not None}
        return {"average": str(self._average), "lengths": lengths, "start_from": start}

    def _record(self) -> None:
        more = {"start": self._start, "updates": self._updates, "step": self._step}
        records(self.state)[WEIGHT_AVERAGING] = self._settings() | more | {"is_final": self._is_final}


def refuse_arguments(args: TrainingArguments, *, keep_raw: bool = False, name: str = NAME) -> None:
    """Raise `StrategyError` for the Trainer's arguments that make no sense with the averaged weights of ``name``."""
    if args.load_best_model_at_end:
        raise StrategyError(
            f"load_best_model_at_end=True beside {name} would load the raw weights of the best average: leave it out,"
            " and take EarlyStopping, which keeps the average"
        )
    if args.save_strategy == SaveStrategy.BEST:
        raise StrategyError(
            f"save_strategy='best' beside {name} would save the raw weights of the best average: set 'steps', 'epoch'"
            " or 'no', and take EarlyStopping, which keeps the average"
        )
    optimizer = str(getattr(args.optim, "value", args.optim))
    if optimizer.startswith("schedule_free"):
        raise StrategyError(f"optim={optimizer!r} beside {name} is an average already: leave one of them out")
    plugin = getattr(args, "fsdp_plugin_args", None) or {}
    kind = plugin.get("state_dict_type", "FULL_STATE_DICT") if args.fsdp else "FULL_STATE_DICT"
    if keep_raw and "FULL" not in str(kind):
        raise StrategyError(
            f"keep_raw=True with state_dict_type={kind!r} writes no model: set fsdp_config={{'state_dict_type':"
            " 'FULL_STATE_DICT'}"
        )
