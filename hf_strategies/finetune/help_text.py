"""The help of the recipes: the flags that most runs need, in groups on one page; with ``--help all`` all of them."""

import re
import textwrap
from argparse import Action, ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["help_page", "wanted_help"]

_WIDTH, _COLUMN = 79, 30

_MAIN: Mapping[str, str] = {
    "Data": "train_file validation_file test_file dataset_name dataset_config_name column_names validation_fraction"
    " max_train_samples",
    "Model": "model_name_or_path max_length lora_r layer_decay head_learning_rate parameter_groups unfreeze_every",
    "Strategy": "strategy lr_scheduler_type lr_scheduler_kwargs warmup_steps early_stopping_patience"
    " early_stopping_when early_stopping_monitor plateau_cooldown_monitor plateau_cooldown_patience average_weights",
    "Training": "output_dir overwrite_output_dir do_train num_train_epochs max_steps learning_rate weight_decay"
    " per_device_train_batch_size gradient_accumulation_steps length_pool eval_strategy eval_steps seed config"
    " resume_from_checkpoint find_lr baselines figure push_to_hub report_to",
    "Placement": "bf16 fp16 use_cpu activation_checkpointing torch_compile",
}
"""The flags of the short page by group; the first group has the recipe's own flags, too."""

_TEXTS: Mapping[str, str] = {
    "lr_scheduler_kwargs": "The schedule's parameters as JSON, such as '{\"gamma\": 0.5}'",
    "train_file": "Local files or patterns: csv, tsv, json, parquet, xlsx, or a folder of save_to_disk",
    "strategy": "Preset of settings; hf-strategies presets lists them",
    "parameter_groups": 'JSON of name patterns: \'{"embeddings": "freeze"}\'',
    "do_train": "Train; false: evaluate and predict alone",
    "num_train_epochs": "Epochs; with a stop, the most that it may take",
    "max_steps": "Steps, in place of the epochs",
    "weight_decay": "Weight decay of the optimizer",
    "gradient_accumulation_steps": "Batches for each step",
    "eval_steps": "With eval_strategy steps: how many, or a fraction",
    "length_pool": "Batches sorted by length together (unset: 8)",
    "seed": "Seed of all random numbers",
    "resume_from_checkpoint": "'last', or a checkpoint's folder: go on with that run",
    "push_to_hub": "Upload the model at the end",
    "report_to": "Trackers, such as tensorboard or wandb",
    "fp16": "Mixed precision fp16",
    "use_cpu": "Leave GPUs alone",
    "activation_checkpointing": "Compute activations twice, to save memory",
    "torch_compile": "Compile the model",
    "plateau_cooldown_monitor": "Cool down and stop where this metric and the loss stall",
    "plateau_cooldown_patience": "... where it alone has not improved for so long",
    "early_stopping_monitor": "The metric that is watched, or an expression",
    "early_stopping_when": "Criteria in place of it, such as 'patience(5) or target(0.95)'",
}
"""Shorter texts for the short page."""

_MORE = (
    "accelerate launch places: --config_file recipes/accelerate/FILE, --num_processes N, --mixed_precision KIND."
    " A flag is also a line of the --config file: key: value. --help all lists all {count} flags."
)


def wanted_help(argv: Sequence[str]) -> str | None:
    """Return which help the flags ask for: ``"main"``, ``"all"``, or None for none.

    >>> wanted_help(["--help"]), wanted_help(["-h", "all"]), wanted_help(["--seed", "1"])
    ('main', 'all', None)
    """
    asked = next((place for place, word in enumerate(argv) if word in ("-h", "--help")), None)
    if asked is None:
        return None
    return "all" if list(argv[asked + 1 : asked + 2]) == ["all"] else "main"


def help_page(parser: ArgumentParser, kinds: Sequence[Any], wanted: str) -> str:
    """Return the help as a text of at most 79 columns, each flag once.

    ``kinds`` are the dataclasses of the flags, the recipe's own first. ``wanted`` is ``"main"`` or ``"all"``.
    """
    actions = {action.dest: action for action in parser._actions if action.dest != "help"}
    groups = _all_groups(kinds, actions) if wanted == "all" else _main_groups(kinds, actions)
    usage = f"usage: {parser.prog} [--config FILE] [--FLAG VALUE ...] [--help [all]]"
    parts = [usage, (parser.description or "").strip("\n")]
    for name, flags in groups.items():
        lines = [line for flag in flags for line in _flag(actions[flag], whole=wanted == "all")]
        parts.append("\n".join([name, *lines]))
    if wanted != "all":
        parts.append(textwrap.fill(_MORE.format(count=len(actions)), _WIDTH))
    return "\n\n".join(parts)


def _main_groups(kinds: Sequence[Any], actions: Mapping[str, Action]) -> dict[str, list[str]]:
    groups = {name: [flag for flag in flags.split() if flag in actions] for name, flags in _MAIN.items()}
    own = [name for name in vars(kinds[0]).get("__annotations__", {}) if name in actions]
    groups["Data"] += [name for name in own if name not in groups["Data"]]
    return groups


def _all_groups(kinds: Sequence[Any], actions: Mapping[str, Action]) -> dict[str, list[str]]:
    """Return all flags: those of the short page in its groups, then the others by their dataclass."""
    groups = _main_groups(kinds, actions)
    seen = {flag for flags in groups.values() for flag in flags}
    for kind, name in zip(kinds, ("Data", "Model", "Strategy", "Training"), strict=True):
        more = [flag for flag in getattr(kind, "__dataclass_fields__", {}) if flag in actions and flag not in seen]
        seen.update(more)
        groups[name] += more
    return groups


def _flag(action: Action, whole: bool) -> Iterator[str]:
    """Yield the lines of a flag: its name and the kind of its value on the left, its text on the right."""
    left = f"  --{action.dest} {_kind(action)}".rstrip()
    text = _text(action, whole)
    lines = textwrap.wrap(text, _WIDTH - _COLUMN) or [""]
    if len(left) > _COLUMN - 2:
        yield left
    else:
        yield f"{left:<{_COLUMN}}{lines.pop(0)}".rstrip()
    yield from (f"{'':<{_COLUMN}}{line}" for line in lines)


def _kind(action: Action) -> str:
    many = "..." if action.nargs == "+" else ""
    if action.choices:
        listed = ",".join(map(str, action.choices))
        return f"{{{listed}}}{many}" if len(listed) <= 24 else f"NAME{many}"
    if isinstance(action.default, bool) or action.nargs == "?":
        return ""
    return {int: "N", float: "X"}.get(action.type, "") + many  # type: ignore[call-overload,no-any-return]


def _text(action: Action, whole: bool) -> str:
    text = re.sub(r"\s+", " ", (action.help or "").replace("%%", "%")).strip()
    if not whole:
        text = _TEXTS.get(action.dest, text)
        text = re.split(r"(?<=[^.])\. (?=[A-Z])", text)[0]
    text = text.rstrip(".")
    default = getattr(action.default, "value", action.default)
    default = " ".join(default) if isinstance(default, list) else default
    is_plain = default is None or default is False or default in ("", -1)
    return text if is_plain or "(unset" in text or "default" in text.lower() else f"{text} ({default})"
