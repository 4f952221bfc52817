"""The Trainer of the recipes: training batches of like lengths, evaluation in order, and exact losses."""

import shutil
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, DatasetDict
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, EvalLoopOutput, TrainOutput

from hf_strategies.errors import StrategyError, first_line
from hf_strategies.files import replacing, write_json
from hf_strategies.finetune.checkpoints import (
    Losses,
    damage,
    losses_of,
    numbered_checkpoints,
    record_checkpoint,
    run_of,
    step_of,
)
from hf_strategies.finetune.console.progress import show_progress
from hf_strategies.finetune.fitting import check_moments, check_weights_of, loading_state
from hf_strategies.finetune.flags import Flags
from hf_strategies.finetune.lora import with_lora
from hf_strategies.finetune.model_card import CardFacts, complete_card
from hf_strategies.finetune.preemption import Preemption
from hf_strategies.finetune.results import card_folder, read_results
from hf_strategies.finetune.run_folder import RunFolder
from hf_strategies.finetune.sampling import LENGTH_POOL, SeededLengthGroupedSampler, longest_first, token_counts
from hf_strategies.finetune.uploads import uploading_without
from hf_strategies.trainer.callbacks.run_report import RunReport

__all__ = ["ExactLossTrainer", "RecipeTrainer", "make_trainer", "only_logits", "padding_multiple"]


class RecipeTrainer(Trainer):
    """Draws training batches by `SeededLengthGroupedSampler`, and evaluates rows in the order in which they lie.

    The stock Trainer, when it groups by length, shuffles what it evaluates too, and counts tokens by reading every
    row, because it has dropped the column with the lengths by then. It also takes the loss of a batch to be divided
    by all examples of an optimizer step already, because the heads of encoders take ``num_items_in_batch`` as an
    argument; but they ignore it, so that loss and gradient would grow with ``gradient_accumulation_steps``.

    It writes results as a whole, so that a killed run leaves no half of one, and it counts only whole checkpoints of
    its own run for ``save_total_limit`` (see `hf_strategies.finetune.checkpoints`).

    ``keep_columns`` are columns that the batches have beside the inputs of the model.
    """

    run_folder: RunFolder | None = None
    """The output folder as the run has taken it; None before it has."""

    card_facts: CardFacts | None = None
    """What the model card tells beside what the Trainer knows; None before training has ended."""

    has_report = False
    """Whether this run has written a report of the classes."""

    def __init__(
        self,
        *,
        args: TrainingArguments,
        keep_columns: Collection[str] = (),
        callbacks: Sequence[TrainerCallback] = (),
        **kwargs: Any,
    ) -> None:
        self._keep_columns = keep_columns
        self._losses: Losses | None = None
        self._has_all_losses = True
        self.preemption = Preemption()
        self.run_report = RunReport("training.png" if getattr(args, "figure", False) else None)
        wanted, args.enable_jit_checkpoint = args.enable_jit_checkpoint, False  # see `Preemption`
        # This comes first: it decides about the checkpoint for which the other callbacks prepare.
        first = [self.preemption] if wanted else []
        super().__init__(args=args, callbacks=[*first, *callbacks, self.run_report], **kwargs)
        args.enable_jit_checkpoint = wanted
        self.progress = show_progress(self)
        self.model_accepts_loss_kwargs = False

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> TrainOutput:
        """Train as the stock Trainer does; a run that has ended before makes no further step."""
        checkpoint = resume_from_checkpoint if isinstance(resume_from_checkpoint, str) else None
        self._losses = None if checkpoint is None else losses_of(Path(checkpoint))
        self._has_all_losses = checkpoint is None or self._losses is not None
        try:
            return super().train(resume_from_checkpoint, trial, ignore_keys_for_eval)
        finally:
            self.progress.close()

    def check_checkpoint(self, checkpoint: str | None) -> None:
        """Raise `StrategyError` if the weights in the checkpoint to resume from are not those of this model."""
        if checkpoint is not None and not self.is_fsdp_enabled and not self.is_deepspeed_enabled:
            check_weights_of(Path(checkpoint), self.model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with loading_state(checkpoint, "the optimizer or the schedule"):
            super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None and not self.is_fsdp_enabled and not self.is_deepspeed_enabled:
            optimizer: Any = self.optimizer  # Accelerate has wrapped it
            check_moments(Path(checkpoint), getattr(optimizer, "optimizer", optimizer))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with loading_state(checkpoint, "the random numbers"):
            super()._load_rng_state(checkpoint)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as the stock Trainer does; ``train_loss`` is the mean over all steps, those before a resume too."""
        if "train_loss" in logs and self._has_all_losses:
            logs["train_loss"] = self._total_loss_scalar / max(self.state.global_step, 1)
        super().log(logs, start_time)

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # The stock Trainer makes at least one step, even if the checkpoint is of the last one.
        self._add_earlier_losses()
        if self.state.global_step >= self.state.max_steps or self.control.should_training_stop:
            self.control.should_training_stop = True
        else:
            if self.run_folder is not None and self.is_world_process_zero():
                self.run_folder.forget_end()
            super()._run_epoch(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _finalize_training(self, *args: Any, **kwargs: Any) -> TrainOutput:
        self._add_earlier_losses()
        output: TrainOutput = super()._finalize_training(*args, **kwargs)  # type: ignore[no-untyped-call]
        return output._replace(training_loss=output.metrics["train_loss"])

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Evaluate as the stock Trainer does; the bar goes at the end, also where that is an error."""
        try:
            return super().evaluation_loop(*args, **kwargs)
        finally:
            self.progress.end_evaluation()

    def _add_earlier_losses(self) -> None:
        """Add the losses before the checkpoint to the sums that the stock Trainer begins anew when it resumes."""
        losses, self._losses = self._losses, None
        if losses is not None:
            self._total_loss_scalar += losses.total
            self._tr_loss += losses.since_log
            self._globalstep_last_logged = losses.last_log

    def _losses_so_far(self) -> Losses:
        since_log = self.accelerator.gather(self._tr_loss.reshape(1)).mean().item()
        return Losses(self._total_loss_scalar, since_log, self._globalstep_last_logged)

    def _set_signature_columns_if_needed(self) -> None:
        if self._signature_columns is None:
            super()._set_signature_columns_if_needed()
            columns: Any = self._signature_columns
            columns.extend(self._keep_columns)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int] | None:
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        if self.args.train_sampling_strategy == "sequential" and rows is not None:
            return SequentialSampler(rows)  # the first releases of transformers 5 do not know the option
        if self.args.train_sampling_strategy != "group_by_length" or not isinstance(rows, Dataset):
            return super()._get_train_sampler(train_dataset)
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        batch = self.args.train_batch_size * self.args.world_size
        pool = getattr(self.args, "length_pool", None) or LENGTH_POOL
        return SeededLengthGroupedSampler(token_counts(rows), batch, seed=seed, pool=pool)

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int]:
        return SequentialSampler(eval_dataset)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save a checkpoint with its record, and only then delete older ones.

        The stock Trainer deletes older ones by the time at which their folders changed, while other processes may
        still write. So a newer but damaged checkpoint could cost the whole one.
        """
        checkpoint = Path(str(self.args.output_dir), f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
        losses = self._losses_so_far()
        if self.args.should_save:
            if checkpoint.is_dir() and damage(checkpoint) is not None:
                shutil.rmtree(checkpoint)  # what a killed run has left
            self._record(checkpoint, losses, is_written=False)
        self.accelerator.wait_for_everyone()
        self._write_checkpoint(checkpoint, model, trial)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self._record(checkpoint, losses, is_written=True)
            _delete_oldest(checkpoint, self.args.save_total_limit, self.state.best_model_checkpoint)
        self.accelerator.wait_for_everyone()

    def _write_checkpoint(self, checkpoint: Path, model: Any, trial: Any) -> None:
        """Save as the stock Trainer does, but delete no older checkpoint; if that fails, delete the part written."""
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            super()._save_checkpoint(model, trial)
        except Exception:
            if damage(checkpoint) is not None:
                shutil.rmtree(checkpoint, ignore_errors=True)
            raise
        finally:
            self.args.save_total_limit = limit

    def _record(self, checkpoint: Path, losses: Losses, *, is_written: bool) -> None:
        if self.run_folder is not None and self.run_folder.run is not None:
            record_checkpoint(checkpoint, self.run_folder.run, losses, is_written=is_written)

    def init_hf_repo(self, token: str | None = None, private: bool | None = None) -> None:
        """Make the repository on the Hub, before training; raises `StrategyError` where that cannot be done."""
        try:
            super().init_hf_repo(token, private)
        except (OSError, ValueError) as mistake:  # no network, no login, no right, no such name
            raise StrategyError(
                f"push_to_hub=True, and the Hub refuses a repository for it: {first_line(mistake)}: log in with"
                " `hf auth login`, give another --hub_model_id, or leave --push_to_hub out"
            ) from mistake

    def push_to_hub(self, *args: Any, **kwargs: Any) -> Any:
        """Upload the output folder, without the arguments of the training and, unless asked for, the predictions."""
        with self._uploading():
            return super().push_to_hub(*args, **kwargs)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        with self._uploading():
            super()._push_from_checkpoint(checkpoint_folder)

    def _uploading(self) -> AbstractContextManager[None]:
        with_predictions = getattr(self.args, "push_predictions", False)
        return uploading_without(() if with_predictions else ("predictions.jsonl",))

    def save_metrics(self, split: str, metrics: dict[str, Any], combined: bool = True) -> None:
        """Write ``<split>_results.json``, and add the metrics to ``all_results.json``, each as a whole."""
        if not self.is_world_process_zero():
            return
        folder = Path(str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / f"{split}_results.json", metrics)
        if combined:
            write_json(folder / "all_results.json", read_results(folder) | metrics)

    def save_state(self) -> None:
        """Write ``trainer_state.json`` into the output folder as a whole."""
        if not self.is_world_process_zero():
            return
        with replacing(Path(str(self.args.output_dir), TRAINER_STATE_NAME)) as file:
            self.state.save_to_json(str(file))

    def create_model_card(self, *, model_name: str | None = None, **about: Any) -> None:  # type: ignore[override]
        """Write the model card as a whole; a card that cannot be read is written anew."""
        if self.is_world_process_zero():
            name = Path(str(self.args.output_dir)).name if model_name is None else model_name
            with card_folder(self.args):
                super().create_model_card(model_name=name, **about)
                if self.card_facts:
                    complete_card(Path(str(self.args.output_dir), "README.md"), self.card_facts)


class ExactLossTrainer(RecipeTrainer):
    """Takes the metric ``nll``, where there is one, for the loss in evaluation.

    The stock Trainer takes a mean of the losses of batches. On several processes the last batches hold rows a second
    time, to be as long as the others; and in masked language modelling a token weighs more in a batch with few.
    """

    def evaluation_loop(
        self,
        dataloader: DataLoader[Any],
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Evaluate as the stock Trainer does."""
        output = super().evaluation_loop(
            dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
        )
        metrics = output.metrics or {}
        if (exact := metrics.pop(f"{metric_key_prefix}_nll", None)) is not None:
            metrics[f"{metric_key_prefix}_loss"] = exact
        return output


def _delete_oldest(newest: Path, limit: int | None, best: str | None) -> None:
    """Delete the oldest checkpoints of the run of ``newest`` that go beyond the ``limit``, but never the best one."""
    if not limit or limit < 1:
        return
    run, step = run_of(newest), step_of(newest)
    same = [path for path in numbered_checkpoints(newest.parent) if run_of(path) == run and step_of(path) <= step]
    protected = {newest.name} | ({Path(best).name} if best else set())
    room = max(limit - len(protected), 0)
    others = [path for path in same if path.name not in protected]
    for path in others[room:]:
        shutil.rmtree(path, ignore_errors=True)


def make_trainer(
    flags: Flags,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    encoded: DatasetDict,
    *,
    collator: Any,
    metrics: Callable[[Any], dict[str, float]] | None = None,
    reduce: Callable[[Any, Any], Any] | None = None,
    loss: Callable[..., torch.Tensor] | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    keep_columns: Collection[str] = (),
    trainer_class: type[RecipeTrainer] = RecipeTrainer,
    **options: Any,
) -> RecipeTrainer:
    """Make the Trainer of a recipe, with what the flags ask for: LoRA, callbacks, layer-wise learning rates.

    ``metrics`` is a ``compute_metrics``, where ``trainer_class`` has none of its own. ``reduce`` turns logits of a
    batch into the smaller tensors that ``metrics`` needs, so that memory does not grow with logits. ``loss`` is a
    ``compute_loss_func``. ``callbacks`` are those of the recipe, beside those of the flags. ``keep_columns`` are
    columns that the batches have beside the model's inputs. ``options`` are further arguments of ``trainer_class``.
    The validation set is sorted by length, to be padded little.
    """
    validation = encoded.get("validation")
    return trainer_class(
        model=with_lora(model, flags.model),
        args=flags.run,
        data_collator=collator,
        train_dataset=encoded.get("train"),
        eval_dataset=None if validation is None else longest_first(validation)[0],
        processing_class=tokenizer,
        compute_metrics=metrics,
        preprocess_logits_for_metrics=reduce,
        compute_loss_func=loss,
        callbacks=[*flags.callbacks, *callbacks],
        optimizer_cls_and_kwargs=flags.strategy.optimizer_cls_and_kwargs(flags.run),
        keep_columns=keep_columns,
        **options,
    )


def only_logits(outputs: Any, _labels: torch.Tensor) -> torch.Tensor:
    """Return the logits of a batch; some models, such as BART and T5, return the states of their encoder too."""
    logits: torch.Tensor = outputs[0] if isinstance(outputs, tuple) else outputs
    return logits


def padding_multiple(flags: Flags, length: int) -> int | None:
    """Return the multiple of tokens to pad to: 8 for the matrix units of a GPU, else None.

    It is None too where rows of ``length`` tokens, the longest, would be padded: the model may not have as many
    positions.
    """
    return 8 if flags.run.device.type == "cuda" and length % 8 == 0 else None
