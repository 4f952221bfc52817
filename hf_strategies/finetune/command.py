"""The fingerprints of a command, by which a resumed run recognises what it has done already."""

import dataclasses
import glob
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["Command", "command_of"]

# Flags that decide where a run writes and how it reports, but not what it computes.
_ELSEWHERE = {
    "output_dir", "resume_from_checkpoint", "overwrite_output_dir", "local_rank", "run_name", "report_to",
    "disable_tqdm", "log_level", "log_level_replica", "trackio_space_id", "enable_jit_checkpoint", "logging_dir",
}  # fmt: skip
# Flags that decide only what is done after training.
_LATER = {
    "do_eval", "do_predict", "baselines", "figure", "test_file", "test_split", "max_test_samples", "push_to_hub",
    "push_predictions", "hub_model_id", "hub_strategy", "hub_token", "hub_private_repo", "hub_always_push",
    "hub_revision", "per_device_eval_batch_size", "save_total_limit",
}  # fmt: skip
# They may change where a run goes on, are compared with the checkpoint itself, or do not change the training.
_NOT_COMPARED = (
    "max_steps", "num_train_epochs", "lr_scheduler", "warmup", "early_stopping", "plateau", "reduce_on_plateau",
    "save_", "eval_", "logging_", "log_", "do_", "dataloader_", "preprocessing_", "best_weights", "max_eval",
    "report", "load_best", "metric_for", "greater_is",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Command:
    """The fingerprints of a command: of its training, and of the whole run.

    Two commands with equal fingerprints ask for the same work. ``flags`` has a fingerprint of each flag that changes
    a training, except for its length, its schedule and its strategies.
    """

    training: str
    whole: str
    flags: dict[str, str] = dataclasses.field(default_factory=dict)


def command_of(flags: Iterable[Any]) -> Command:
    """Return the fingerprints of the dataclasses of flags, and of the size and time of each file that they name."""
    values = {name: value for part in flags for name, value in _values(part).items() if name not in _ELSEWHERE}
    training = {name: value for name, value in values.items() if name not in _LATER}
    flags = {
        name: _hash({name: value})[:16] for name, value in training.items() if not name.startswith(_NOT_COMPARED)
    }
    return Command(_hash(training), _hash(values), flags)


def _values(flags: Any) -> dict[str, Any]:
    values = {field.name: getattr(flags, field.name) for field in dataclasses.fields(flags)}
    return {name: [value, *_stamps(value)] if name.endswith("_file") else value for name, value in values.items()}


def _stamps(names: Any) -> list[list[int]]:
    """Return the size and the time of the last change of each file in ``names``.

    ``names`` is a name or a list of names, each of which may be a pattern of files.
    """
    texts = [str(name) for name in (names if isinstance(names, list) else [names])]
    files = [Path(file) for text in texts for file in [text, *sorted(glob.glob(text, recursive=True))]]
    status = [file.stat() for file in dict.fromkeys(files) if file.is_file()]
    return [[each.st_size, each.st_mtime_ns] for each in status]


def _hash(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    return vars(value) if hasattr(value, "__dict__") else str(value)
