"""The arguments that every recipe has, and what follows from them before anything is loaded."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy, SchedulerType, get_last_checkpoint

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.trainer.arguments import StrategyArguments
from hf_strategies.trainer.registration import check_scheduler_arguments

__all__ = ["DataArguments", "ModelArguments", "RecipeArguments", "check_strategy", "planned_steps", "prepare_run"]


logger = logging.getLogger(__name__)


@dataclass
class DataArguments:
    """Where the examples come from; with nothing named, the offline default."""

    dataset_name: str | None = field(default=None, metadata={"help": "A data set on the Hugging Face Hub."})
    dataset_config_name: str | None = field(default=None, metadata={"help": "Its configuration, such as 'mrpc'."})
    train_split: str = field(default="train", metadata={"help": "Split of the Hub data set to train on."})
    validation_split: str = field(
        default="validation", metadata={"help": "Split of the Hub data set to validate on."}
    )
    test_split: str = field(default="test", metadata={"help": "Split of the Hub data set to predict."})
    train_file: str | None = field(default=None, metadata={"help": "Local csv, tsv, json, jsonl or parquet file."})
    validation_file: str | None = field(default=None, metadata={"help": "Local file to validate on."})
    test_file: str | None = field(default=None, metadata={"help": "Local file to predict; labels are optional."})
    validation_fraction: float = field(
        default=0.1,
        metadata={"help": "Share of the training set to validate on when there is no validation set."},
    )
    max_train_samples: int | None = field(default=None, metadata={"help": "Use only so many training examples."})
    max_eval_samples: int | None = field(default=None, metadata={"help": "Use only so many validation examples."})
    max_test_samples: int | None = field(default=None, metadata={"help": "Use only so many test examples."})

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        files = [name for name in ("train_file", "validation_file", "test_file") if getattr(self, name)]
        if self.dataset_name and files:
            raise StrategyError(f"dataset_name={self.dataset_name!r} with {files[0]}: give one or the other")
        if not 0 < self.validation_fraction < 1:
            raise StrategyError(f"validation_fraction={self.validation_fraction} is not in (0, 1): give such as 0.1")
        for name in ("max_train_samples", "max_eval_samples", "max_test_samples"):
            if (limit := getattr(self, name)) is not None and limit < 1:
                raise StrategyError(f"{name}={limit} leaves nothing: give at least 1")


@dataclass
class ModelArguments:
    """Which model to fine-tune; with nothing named, a small BERT that learns from nothing."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "A model on the Hub or in a folder (unset: a small BERT with a tokenizer of its own)."},
    )
    model_revision: str = field(default="main", metadata={"help": "Branch, tag or commit of the Hub model."})
    trust_remote_code: bool = field(default=False, metadata={"help": "Run the model's own code from the Hub."})
    max_length: int | None = field(
        default=None,
        metadata={"help": "Cut texts after so many tokens (unset: the longest that the model takes)."},
    )


@dataclass
class RecipeArguments(TrainingArguments):
    """`TrainingArguments` with the defaults of the recipes."""

    output_dir: str | None = field(default="runs/recipe", metadata={"help": "Where everything is written."})
    overwrite_output_dir: bool = field(
        default=False,
        metadata={"help": "Train anew in an output_dir that holds checkpoints of an earlier run."},
    )
    do_train: bool = field(default=True, metadata={"help": "Train."})
    do_eval: bool = field(default=True, metadata={"help": "Evaluate on the validation set at the end."})
    do_predict: bool = field(default=True, metadata={"help": "Predict the test set at the end."})
    learning_rate: float | None = field(  # type: ignore[assignment]
        default=None,
        metadata={"help": "Peak learning rate (unset: 5e-5 for a named model, 1e-3 for the small BERT)."},
    )
    per_device_train_batch_size: int = field(default=32, metadata={"help": "Examples per device and batch."})
    per_device_eval_batch_size: int = field(default=64, metadata={"help": "The same in evaluation."})
    lr_scheduler_type: SchedulerType | str = field(
        default="linear_warmup_cosine_decay",
        metadata={"help": "Name of the schedule: one of hf_strategies' or of transformers'."},
    )
    warmup_steps: float = field(default=0.1, metadata={"help": "Steps, or a fraction of training in [0, 1)."})
    eval_strategy: IntervalStrategy | str = field(
        default="epoch", metadata={"help": "When to evaluate: no, steps or epoch."}
    )
    save_strategy: SaveStrategy | str = field(
        default="epoch", metadata={"help": "When to save: no, steps, epoch or best."}
    )
    save_total_limit: int | None = field(default=1, metadata={"help": "Keep so many checkpoints."})
    logging_steps: float = field(default=0.02, metadata={"help": "Log each so many steps, or each fraction."})
    train_sampling_strategy: str = field(
        default="group_by_length",
        metadata={
            "help": "How batches are drawn.",
            "choices": ["group_by_length", "random", "sequential", "batch_rebalance"],
        },
    )
    baselines: bool = field(
        default=False, metadata={"help": "Compare with the majority class and TF-IDF + logistic regression."}
    )
    figure: bool = field(
        default=False,
        metadata={"help": "Draw the learning rate and the validation curve into output_dir (needs matplotlib)."},
    )
    # BERT's classification heads ignore num_items_in_batch, with which the Trainer would double the loss on two
    # processes.
    average_tokens_across_devices: bool = field(
        default=False,
        metadata={"help": "Weight the loss by tokens over all devices; wrong for BERT's heads."},
    )

    def __post_init__(self) -> None:
        """Fill in what depends on other arguments."""
        if not math.isfinite(self.warmup_steps) or 1 <= self.warmup_steps != int(self.warmup_steps):
            raise StrategyError(f"warmup_steps={self.warmup_steps}: give whole steps, or a fraction in [0, 1)")
        try:
            super().__post_init__()  # type: ignore[no-untyped-call]
        except json.JSONDecodeError as mistake:
            name = next((row.name for row in fields(self) if getattr(self, row.name) == mistake.doc), "a file")
            raise StrategyError(f"{name}={mistake.doc!r} is no JSON: {mistake}") from mistake
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False

    @property
    def evaluates(self) -> bool:
        """Whether there are evaluations during training."""
        return self.eval_strategy != IntervalStrategy.NO

    def set_learning_rate(self, *, pretrained: bool) -> None:
        """Choose the peak learning rate, unless one was given."""
        if self.learning_rate is None:
            self.learning_rate = 5e-5 if pretrained else 1e-3
        if not self.learning_rate > 0:
            raise StrategyError(f"learning_rate={self.learning_rate} does not learn: give a number above 0")


def planned_steps(args: TrainingArguments, examples: int) -> int:
    """Return the optimizer steps that the Trainer will plan for so many training examples."""
    if args.max_steps > 0:
        return args.max_steps
    per_step = args.train_batch_size * args.world_size
    batches = max(1, examples // per_step) if args.dataloader_drop_last else math.ceil(examples / per_step)
    updates = math.ceil(batches / args.gradient_accumulation_steps)
    planned: int = math.ceil(args.num_train_epochs * updates)
    return planned


def check_strategy(args: RecipeArguments, strategy: StrategyArguments, metrics: Sequence[str]) -> None:
    """Raise `StrategyError` when early stopping would find nothing to watch, or no such metric."""
    monitor = strategy.early_stopping_monitor.removeprefix("eval_")
    if strategy.early_stopping_patience is None:
        return
    if monitor not in metrics:
        raise StrategyError(f"early_stopping_monitor={monitor!r} is no metric here: {did_you_mean(monitor, metrics)}")
    if not args.evaluates:
        raise StrategyError(
            f"early_stopping_patience={strategy.early_stopping_patience} with eval_strategy='no' has nothing to"
            " watch: set eval_strategy='epoch', or 'steps' with eval_steps"
        )


def prepare_run(args: RecipeArguments, splits: Mapping[str, Sequence[object]]) -> None:
    """Check everything that can be known before a model is loaded, and find the checkpoint to resume from."""
    if not args.do_train:
        args.eval_strategy = IntervalStrategy.NO  # the Trainer wants a validation set for any other
        return
    if "train" not in splits:
        raise StrategyError("train_file is missing: give it, or --do_train false to evaluate a trained model")
    if args.figure and find_spec("matplotlib") is None:
        raise StrategyError("figure=True needs matplotlib: pip install 'hf-strategies[plots]'")
    steps = planned_steps(args, len(splits["train"]))
    if steps < 1:
        raise StrategyError(f"num_train_epochs={args.num_train_epochs} gives no step: give more")
    check_scheduler_arguments(
        args.lr_scheduler_type,
        args.lr_scheduler_kwargs,
        total_steps=steps,
        warmup_steps=args.get_warmup_steps(steps),
        learning_rate=args.learning_rate or 0.0,
    )
    if args.get_warmup_steps(steps) >= steps:
        raise StrategyError(
            f"warmup_steps={args.warmup_steps:g} leaves nothing of the {steps} training steps: lower it"
        )
    _choose_checkpoint(args)
    _warn_of_slow_bf16(args)


def _choose_checkpoint(args: RecipeArguments) -> None:
    folder = Path(args.output_dir or ".")
    if folder.is_file():
        raise StrategyError(f"output_dir={str(folder)!r} is a file: give a folder")
    last = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    wanted = args.resume_from_checkpoint
    if wanted in ("last", "true", "True"):
        if last is None:
            raise StrategyError(f"resume_from_checkpoint={wanted!r}: there is no checkpoint in {str(folder)!r}")
        args.resume_from_checkpoint = last
    elif wanted and not Path(wanted, "trainer_state.json").is_file():
        raise StrategyError(f"resume_from_checkpoint={wanted!r} is no checkpoint: give its folder, or 'last'")
    elif not wanted and last and not args.overwrite_output_dir:
        raise StrategyError(
            f"output_dir={str(folder)!r} holds a checkpoint of an earlier run: give another folder, or"
            " --resume_from_checkpoint last, or --overwrite_output_dir to train anew"
        )


def _warn_of_slow_bf16(args: RecipeArguments) -> None:
    on_cpu = args.device.type == "cpu"
    has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if on_cpu and args.mixed_precision == "bf16" and not has_bf16 and args.process_index == 0:
        logger.warning("bf16 works on this CPU, but about 10 times slower than fp32: it has no bf16 instructions")
