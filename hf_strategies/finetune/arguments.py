"""The arguments of every recipe: data, model, and `TrainingArguments` with other defaults."""

import io
import json
import os
from dataclasses import dataclass, field, fields
from encodings.aliases import aliases

from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy, SchedulerType

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.command import Command
from hf_strategies.finetune.devices import check_world, choose_precision, take_cpu
from hf_strategies.finetune.lora import LoraArguments
from hf_strategies.finetune.ranges import check_ranges
from hf_strategies.finetune.sampling import LENGTH_POOL
from hf_strategies.finetune.tables.file import ReadingRules
from hf_strategies.schedules import SCHEDULES
from hf_strategies.schedules.schedule import default_warmup_steps

__all__ = ["DataArguments", "ModelArguments", "RecipeArguments"]

# Schedules of transformers that would ignore a warmup.
_NO_WARMUP = {"constant", "reduce_lr_on_plateau", "greedy"}


@dataclass
class DataArguments:
    """Where the examples come from; with nothing named, from the offline data set of the recipe."""

    dataset_name: str | None = field(default=None, metadata={"help": "A data set on the Hugging Face Hub."})
    dataset_config_name: str | None = field(default=None, metadata={"help": "Its configuration, such as 'mrpc'."})
    train_split: str = field(default="train", metadata={"help": "Split of the Hub data set to train on."})
    validation_split: str = field(
        default="validation", metadata={"help": "Split of the Hub data set to validate on."}
    )
    test_split: str = field(default="test", metadata={"help": "Split of the Hub data set to predict."})
    train_file: list[str] | None = field(
        default=None,
        metadata={
            "help": "Local csv, tsv, json, jsonl, parquet, arrow or xlsx files, also as .gz, as patterns such as"
            " 'train-*.csv', or a folder of save_to_disk."
        },
    )
    validation_file: list[str] | None = field(default=None, metadata={"help": "Local files to validate on."})
    test_file: list[str] | None = field(
        default=None, metadata={"help": "Local files to predict; labels are optional."}
    )
    column_names: list[str] | None = field(
        default=None, metadata={"help": "Names of the columns of csv, tsv and xlsx files that have no header."}
    )
    separator: str | None = field(
        default=None,
        metadata={
            "help": "Character between two columns (unset: tab in a tsv; in a csv the one its first line has)."
        },
    )
    encoding: str | None = field(
        default=None, metadata={"help": "Encoding of text files, such as latin-1 (unset: UTF-8)."}
    )
    validation_fraction: float = field(
        default=0.1,
        metadata={"help": "Share of the training set to validate on when there is no validation set."},
    )
    folds: int | None = field(
        default=None, metadata={"help": "Cut the training set into so many parts, of which --fold is the test set."}
    )
    fold: int | None = field(default=None, metadata={"help": "Which part is the test set, from 0 on."})
    max_train_samples: int | None = field(
        default=None, metadata={"help": "Use only so many training examples, drawn by the seed."}
    )
    max_eval_samples: int | None = field(
        default=None, metadata={"help": "Use only so many validation examples, drawn alike for each seed."}
    )
    max_test_samples: int | None = field(
        default=None, metadata={"help": "Use only so many test examples, drawn alike for each seed."}
    )
    preprocessing_num_workers: int | None = field(
        default=None, metadata={"help": "Processes that tokenize (unset: one, which uses all cores)."}
    )

    def __post_init__(self) -> None:
        """Refuse values that contradict each other."""
        for name in ("train_file", "validation_file", "test_file"):
            if isinstance(value := getattr(self, name), str | os.PathLike):
                setattr(self, name, [os.fspath(value)])  # from Python, one file need not be a list
        files = [name for name in ("train_file", "validation_file", "test_file") if getattr(self, name)]
        if self.dataset_name and files:
            raise StrategyError(f"dataset_name={self.dataset_name!r} with {files[0]}: give one or the other")
        check_ranges(vars(self))
        self._check_folds()
        self._check_reading()

    @property
    def reading_rules(self) -> ReadingRules:
        """The rules for reading files that the flags give."""
        return ReadingRules(self.encoding, self.separator, self.column_names)

    def _check_folds(self) -> None:
        for name, other in (("folds", "fold"), ("fold", "folds")):
            if getattr(self, name) is not None and getattr(self, other) is None:
                raise StrategyError(f"{name}={getattr(self, name)} without {other}: give both")
        if self.fold is None or self.folds is None:
            return
        if self.fold >= self.folds:
            raise StrategyError(f"fold={self.fold} of folds={self.folds}: give a number from 0 to {self.folds - 1}")
        if self.test_file:
            raise StrategyError(
                f"folds={self.folds} with test_file: a fold is the test set, so give one or the other"
            )

    def _check_reading(self) -> None:
        if self.separator is not None:
            given, self.separator = self.separator, {"\\t": "\t", "tab": "\t"}.get(self.separator, self.separator)
            if len(self.separator) != 1 or self.separator in '"\r\n':
                raise StrategyError(f"separator={given!r} cannot separate columns: give one character, such as ';'")
        if self.column_names is not None and (
            "" in self.column_names or len(set(self.column_names)) < len(self.column_names)
        ):
            raise StrategyError(f"column_names={self.column_names}: give each column a name of its own")
        if self.encoding is not None:
            _check_encoding(self.encoding)


@dataclass
class ModelArguments(LoraArguments):
    """Which model to fine-tune; with nothing named, a small BERT with random weights."""

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
    attn_implementation: str | None = field(
        default=None,
        metadata={"help": "Attention: sdpa, eager, flash_attention_2 (unset: the fastest one built into torch)."},
    )


@dataclass
class RecipeArguments(TrainingArguments):
    """`TrainingArguments` with the defaults of the recipes."""

    output_dir: str | None = field(default="runs/recipe", metadata={"help": "Where everything is written."})
    overwrite_output_dir: bool = field(
        default=False,
        metadata={"help": "Write over what an earlier run left in output_dir."},
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
    warmup_steps: float | None = field(  # type: ignore[assignment]
        default=None,
        metadata={"help": "Steps, or a fraction of training in [0, 1) (unset: 0.1 where the schedule warms up)."},
    )
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
    length_pool: int | None = field(
        default=None,
        metadata={
            "help": f"Sort the rows of so many batches by length, to pad less (unset: {LENGTH_POOL}; 1: none)."
        },
    )
    bf16: bool | None = field(  # type: ignore[assignment]
        default=None,
        metadata={"help": "Mixed precision bf16 (unset: on a GPU that has it, unless Accelerate says otherwise)."},
    )
    find_lr: bool = field(
        default=False,
        metadata={"help": "Do not train: try growing learning rates, suggest one and, with figure, draw the curve."},
    )
    baselines: bool = field(
        default=False, metadata={"help": "Compare with the majority class and TF-IDF + logistic regression."}
    )
    check_flags: bool = field(default=False, metadata={"help": "Check the flags, and end before any data is read."})
    figure: bool = field(
        default=False,
        metadata={"help": "Draw the learning rate and the validation curve into output_dir (needs matplotlib)."},
    )
    enable_jit_checkpoint: bool = field(
        default=True,
        metadata={"help": "On SIGTERM, save a checkpoint after the running step and end with exit code 143."},
    )
    push_predictions: bool = field(
        default=False, metadata={"help": "With push_to_hub, upload predictions.jsonl too, which has the test texts."}
    )
    # BERT's classification heads ignore num_items_in_batch, so that with True the Trainer would double the loss on
    # two processes.
    average_tokens_across_devices: bool = field(
        default=False,
        metadata={"help": "Weight the loss by tokens over all devices; wrong for BERT's heads."},
    )

    def __post_init__(self) -> None:
        """Fill in the defaults that depend on other arguments, and refuse values out of range."""
        self.command: Command | None = None  # set by `read_flags`, which has all flags of the recipe
        self.resumes = ""  # "last" or "named" if a run is resumed; set by `prepare_run`
        self.warmup_is_default = self.warmup_steps is None
        if self.warmup_steps is None:
            self.warmup_steps = _default_warmup(str(SchedulerType(self.lr_scheduler_type).value))
        check_ranges(vars(self))
        self._check_pool()
        take_cpu(self)
        choose_precision(self, bf16_is_unset=self.bf16 is None)
        try:
            super().__post_init__()  # type: ignore[no-untyped-call]
        except json.JSONDecodeError as mistake:
            name = next((each.name for each in fields(self) if getattr(self, each.name) == mistake.doc), "a file")
            raise StrategyError(f"{name}={mistake.doc!r} is no JSON: {mistake}") from mistake
        check_world(self)
        if self.device.type == "cpu":
            self.dataloader_pin_memory = False

    def _check_pool(self) -> None:
        strategy = self.train_sampling_strategy
        if self.length_pool is not None and strategy != "group_by_length":
            raise StrategyError(
                f"length_pool={self.length_pool} has no effect with train_sampling_strategy={strategy!r}: leave"
                " one of them out"
            )

    def set_learning_rate(self, *, pretrained: bool) -> None:
        """Set the default of the peak learning rate, unless one was given."""
        if self.learning_rate is None:
            self.learning_rate = 5e-5 if pretrained else 1e-3


def _check_encoding(name: str) -> None:
    try:
        # It refuses encodings such as base64, which turn bytes into bytes and decode no text.
        io.TextIOWrapper(io.BytesIO(), encoding=name)
    except (LookupError, ValueError):
        known = {name.replace("_", "-") for name in aliases.values() if not name.endswith("_codec")}
        raise StrategyError(f"encoding={name!r} is unknown: {did_you_mean(name, known)}") from None


def _default_warmup(name: str) -> float:
    """Return the warmup of a schedule of ours, or of transformers, when the user gives none."""
    if name in SCHEDULES:
        return float(default_warmup_steps(SCHEDULES[name]))
    return 0.0 if name in _NO_WARMUP else 0.1
