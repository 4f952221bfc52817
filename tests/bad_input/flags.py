"""The flags of the recipes with values that they cannot have: a kind for each flag, and bad values for each kind."""

from collections.abc import Iterator, Mapping, Sequence

NOT_NUMBERS = ("fast", "", "1,5", "\U0001f600")
NOT_FINITE = ("nan", "inf", "-inf")
HUGE = "99999999999999999999999"

# An int cannot be read from NaN: argparse refuses it as it refuses a word.
_WHOLE = (*NOT_NUMBERS, "nan", "inf", "1.5", HUGE)
_REAL = (*NOT_NUMBERS, *NOT_FINITE, "1e300")
KINDS: Mapping[str, Sequence[str]] = {
    "count": (*_WHOLE, "0", "-1", "-2147483649"),
    "count or zero": (*_WHOLE, "-1", "-2"),
    "two or more": (*_WHOLE, "0", "1", "-1"),
    "steps or -1": (*_WHOLE, "0", "-2", "-100"),
    "seed": (*_WHOLE, "-1", "4294967296"),
    "rank": (*_WHOLE, "-2"),
    "rate": (*_REAL, "0", "-1", "-1e-5"),
    "share": (*_REAL, "0", "1", "-0.1", "5"),
    "share or zero": (*_REAL, "1", "-0.1", "5"),
    "above zero": (*_REAL, "0", "-1"),
    "zero or above": (*_REAL, "-1", "-1e-9"),
    "interval": (*_REAL, "0", "-1", "1.5", "2.25"),
    "warmup": (*_REAL, "-1", "1.5"),
    "finite": _REAL,
}
"""Values that a flag of each kind refuses."""

NUMBERS: Mapping[str, str] = {
    "validation_fraction": "share",
    "folds": "two or more",
    "fold": "count or zero",
    "max_train_samples": "count",
    "max_eval_samples": "count",
    "max_test_samples": "count",
    "preprocessing_num_workers": "count",
    "max_length": "count",
    "lora_r": "count",
    "lora_alpha": "above zero",
    "lora_dropout": "share or zero",
    "neftune_noise_alpha": "above zero",
    "learning_rate": "rate",
    "head_learning_rate": "rate",
    "per_device_train_batch_size": "count",
    "per_device_eval_batch_size": "count",
    "gradient_accumulation_steps": "count",
    "length_pool": "count",
    "num_train_epochs": "above zero",
    "max_steps": "steps or -1",
    "warmup_steps": "warmup",
    "weight_decay": "zero or above",
    "adam_beta1": "share or zero",
    "adam_beta2": "share or zero",
    "adam_epsilon": "above zero",
    "max_grad_norm": "zero or above",
    "label_smoothing_factor": "share or zero",
    "logging_steps": "interval",
    "eval_steps": "interval",
    "save_steps": "interval",
    "eval_delay": "zero or above",
    "eval_accumulation_steps": "count",
    "torch_empty_cache_steps": "count",
    "save_total_limit": "count or zero",
    "seed": "seed",
    "data_seed": "seed",
    "dataloader_num_workers": "count or zero",
    "dataloader_prefetch_factor": "count",
    "ddp_bucket_cap_mb": "count",
    "ddp_timeout": "count",
    "local_rank": "rank",
}
"""The kind of each flag that takes a number, in every recipe."""

NUMBERS_OF: Mapping[str, Mapping[str, str]] = {
    "question_answering": {
        "doc_stride": "count or zero",
        "max_answer_length": "count",
        "n_best": "count",
        "null_threshold": "finite",
    },
    "masked_lm": {"mlm_probability": "share", "block_size": "count"},
}
"""The kinds of the numbers that one recipe has."""

_STOP = ("--early_stopping_patience", "2")
_COOL = ("--plateau_cooldown_patience", "2")
CALLBACKS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "early_stopping_patience": ((), ("0", "-1", "nan", "inf", "1.5", "two", "2 weeks", "1e400", "2 ep och")),
    "early_stopping_when": ((), ("", "patience(", "patience(0)", "pateince(3)", "target('x')", "1 + 1", "a.b(3)")),
    "early_stopping_monitor": (_STOP, ("", "acuracy", "loss +", "loss ** 2", "'", "max()")),
    "early_stopping_mode": (_STOP, ("up", "", "MIN")),
    "early_stopping_min_delta": (_STOP, ("nan", "inf", "-0.1", "small")),
    "early_stopping_relative_delta": (_STOP, ("nan", "-1", "1.5")),
    "early_stopping_z": (_STOP, ("nan", "-1", "inf")),
    "early_stopping_samples": (_STOP, ("0", "-5", "1.5")),
    "early_stopping_baseline": (_STOP, ("nan", "inf", "high")),
    "early_stopping_smoothing": (_STOP, ("ema", "ema(0)", "ema(2)", "median(0)", "mode(3)", "ema(nan)")),
    "early_stopping_start_from": (_STOP, ("-1", "1.5", "soon", "nan")),
    "plateau_cooldown_patience": ((), ("0", "-1", "nan", "two")),
    "plateau_cooldown_min_delta": (_COOL, ("nan", "inf", "-0.1")),
    "plateau_cooldown_relative_delta": (_COOL, ("nan", "-1")),
    "plateau_cooldown_z": (_COOL, ("nan", "-1")),
    "plateau_cooldown_samples": (_COOL, ("0", "1.5")),
    "plateau_cooldown_length": (_COOL, ("0", "-1", "nan", "1.5", "long")),
    "plateau_cooldown_shape": (_COOL, ("squrt", "", "5")),
    "plateau_cooldown_min_lr_ratio": (_COOL, ("nan", "-1", "2")),
    "plateau_cooldown_rewind": (_COOL, ("everything", "")),
    "plateau_cooldown_stages": (_COOL, ("-1", "1.5")),
    "plateau_cooldown_factor": (_COOL, ("nan", "2", "-1")),
    "reduce_on_plateau_patience": ((), ("0", "-1", "1.5", "two")),
    "reduce_on_plateau_factor": (("--reduce_on_plateau_patience", "2"), ("0", "1", "nan", "-1")),
    "unfreeze_every": ((), ("-1", "nan", "1.5", "often", "")),
    "layer_decay": ((), ("0", "nan", "2", "-1", "inf")),
    "best_weights_in": (_STOP, ("moon", "")),
    "unfreeze_warmup": (("--unfreeze_every", "10", "--layer_decay", "1"), ("-1", "nan", "0", "often", "")),
    "parameter_groups": ((), ("", "{", "[1]", "{}", '{"(": "freeze"}', '{"a": "thaw"}', '{"a": {"lr": 1}}')),
}
"""The flags of the callbacks, with the flags that they need and values that they refuse."""

TEXTS: Mapping[str, Sequence[str]] = {
    "dataset_name": ("", " "),
    "train_file": ("", "nowhere.csv", "a\x00b", "x" * 5000, "\x1b[2J.csv", "good", "."),
    "model_name_or_path": ("", "nowhere", "a\x00b", "x" * 5000, "./no\x1b[31mthing"),
    "output_dir": ("", "a\x00b", "x" * 5000, "good.csv", "good.csv/sub", "/dev/null/x", "a\ud800b", "a\x1bb"),
    "resume_from_checkpoint": ("", "nowhere", "good.csv", "x" * 5000),
    "lr_scheduler_type": ("cosine_decy", "", "\U0001f600", "x" * 5000, "cosine\x00"),
    "lr_scheduler_kwargs": ("{", "[1]", "gamma=1", '{"a": 1}', '{"gamma": NaN}', '{"a":' * 100_000, "nowhere.json"),
    "optim": ("adam", "", "adamw_bnb_8bit_x"),
    "optim_args": ("x", "a=b=c", "=", "beta=1", "\U0001f600"),
    "optim_target_modules": ("query",),
    "accelerator_config": ("{", "[1]", "nowhere.json", '{"even": 1}', '{"split_batches": 5}', "good.csv", "."),
    "gradient_checkpointing_kwargs": ("{", "x", '{"reentrant": true}', '{"use_reentrant": "perhaps"}'),
    "fsdp": ("full_shard", "rubbish"),
    "fsdp_config": ("{}", "nowhere.json"),
    "debug": ("rubbish",),
    "ddp_backend": ("rubbish",),
    "torch_compile_backend": ("inductr",),
    "torch_compile_mode": ("fast",),
    "eval_strategy": ("sometimes", ""),
    "save_strategy": ("epochs",),
    "logging_strategy": ("epochs",),
    "hub_strategy": ("often",),
    "hub_model_id": ("a b", "a/b/c", "x" * 200),
    "hub_token": ("a\x1bb",),
    "train_sampling_strategy": ("length",),
    "include_for_metrics": ("input",),
    "include_num_input_tokens_seen": ("some",),
    "label_names": ("label",),
    "dataloader_multiprocessing_context": ("thread",),
    "report_to": ("wandbb",),
    "metric_for_best_model": ("acuracy", "eval_"),
    "attn_implementation": ("sdp", "eagre"),
    "log_level": ("loud",),
    "text_column": ("txt", "te\x1bxt"),
    "label_column": ("labl", "la\u202ebel"),
    "problem_type": ("binary",),
    "class_weights": ("equal",),
    "offline_task": ("libary",),
    "strategy": ("", "no_epoch", "NO", "x" * 5000),
    "config": ("nowhere.yaml", ".", "good.csv"),
}
"""Flags that take a text, with texts that they refuse."""

SWITCHES = ("do_train", "do_eval", "fp16", "figure", "load_best_model_at_end", "restore_best_weights", "bf16")
NOT_SWITCHES = ("maybe", "2", "", "\U0001f600")

TOGETHER: Sequence[Sequence[str]] = (
    ("--fp16", "--bf16", "true"),
    ("--fp16_full_eval", "--bf16_full_eval"),
    ("--load_best_model_at_end", "--save_strategy", "steps"),
    ("--load_best_model_at_end", "--save_strategy", "no"),
    ("--load_best_model_at_end", "--eval_strategy", "no"),
    (
        *("--load_best_model_at_end", "--eval_strategy", "steps", "--save_strategy", "steps"),
        *("--eval_steps", "2", "--save_steps", "3"),
    ),
    ("--load_best_model_at_end", "--metric_for_best_model", "nope"),
    ("--save_strategy", "best"),
    ("--lr_scheduler_type", "reduce_lr_on_plateau", "--eval_strategy", "no"),
    ("--lr_scheduler_type", "greedy", "--eval_strategy", "no"),
    ("--early_stopping_patience", "2", "--eval_strategy", "no"),
    ("--dataloader_prefetch_factor", "2"),
    ("--dataloader_persistent_workers",),
    ("--dataloader_multiprocessing_context", "fork"),
    ("--batch_eval_metrics",),
    ("--eval_do_concat_batches", "false"),
    ("--prediction_loss_only",),
    ("--use_liger_kernel",),
    ("--do_train", "false"),
    ("--do_train", "false", "--find_lr"),
    ("--optim", "galore_adamw"),
    ("--optim", "lion_8bit"),
    ("--optim", "sgd", "--optim_args", "momentum=x"),
    ("--optim", "sgd", "--optim_args", "momentum=-1"),
    ("--optim", "sgd", "--optim_args", "moment=1"),
    ("--dataset_config_name", "mrpc"),
    ("--train_split", "first"),
    ("--model_revision", "v2"),
    ("--validation_file", "nowhere.csv"),
    ("--dataset_name", "a/b"),
    ("--lora_alpha", "4"),
    ("--early_stopping_min_delta", "0.1"),
    ("--restore_best_weights", "false"),
    ("--reduce_on_plateau_factor", "0.5"),
    ("--plateau_cooldown_length", "5"),
    ("--baselines",),
    ("--lr_scheduler_type", "cosine_decay", "--warmup_steps", "0.5"),
    ("--max_steps", "4", "--warmup_steps", "4"),
    ("--lerning_rate", "1"),
    ("--learning-rte", "1"),
    ("--", "x"),
    ("rubbish",),
    ("-x", "1"),
    ("--seed",),
    ("--label_names",),
    ("--output_dir",),
)
"""Flags that do not go together, and what is no flag."""


def flag_rows() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield a recipe with flags that it refuses, for each row of the tables."""
    for flag, kind in NUMBERS.items():
        more = _companions(flag)
        yield from (("text_classification", (*more, f"--{flag}={value}")) for value in KINDS[kind])
    for recipe, numbers in NUMBERS_OF.items():
        for flag, kind in numbers.items():
            yield from ((recipe, (f"--{flag}={value}",)) for value in KINDS[kind])
    for flag, (needed, values) in CALLBACKS.items():
        yield from (("text_classification", (*needed, f"--{flag}={value}")) for value in values)
    for flag, values in TEXTS.items():
        yield from (("text_classification", (f"--{flag}={value}",)) for value in values)
    for flag in SWITCHES:
        yield from (("text_classification", (f"--{flag}={value}",)) for value in NOT_SWITCHES)
    yield from (("text_classification", tuple(flags)) for flags in TOGETHER)


def _companions(flag: str) -> tuple[str, ...]:
    """Return the flags without which the flag has no effect, so that its value is what is refused."""
    if flag in ("lora_alpha", "lora_dropout"):
        return ("--lora_r=4",)
    return ("--layer_decay=0.9",) if flag == "head_learning_rate" else ()
