"""The checkpoints in a folder: which of them are whole, and the newest whole one of a run.

The Trainer writes the files of a checkpoint one after the other, `trainer_state.json` last. A process that is killed
leaves a checkpoint with some of them, and with one that is cut off. A recipe adds `CHECKPOINT_RECORD`, which lists
the files once all processes have written theirs.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hf_strategies.files import read_json, write_json
from hf_strategies.finetune.trainer_state import fault_of_state

__all__ = [
    "CHECKPOINT_RECORD",
    "Choice",
    "Losses",
    "damage",
    "losses_of",
    "missing_state",
    "newest_whole",
    "numbered_checkpoints",
    "record_checkpoint",
    "run_of",
    "step_of",
]

CHECKPOINT_RECORD = "_run.json"
"""The file of a checkpoint with the identity of its run and the sizes of its files."""
_SENTINEL = "checkpoint-is-incomplete.txt"
"""The file that the Trainer's own `enable_jit_checkpoint` keeps in a checkpoint while it is written."""

_NUMBERED = re.compile(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)")
_WEIGHTS = re.compile(r"(model|pytorch_model|adapter_model)[^/]*\.(safetensors|bin)")
_INDEX = re.compile(r"[^/]*\.(safetensors|bin)\.index\.json")
_OPTIMIZER = re.compile(r"(rank\d+-of-\d+-)?optimizer(_\d+)?(_rank\d+)?(\.pt|\.bin)?(_\d+)*")
_RNG = re.compile(r"rng_state(_\d+)?\.pth")
_TORCH_ENDINGS = {".pt", ".pth", ".bin"}
_NOT_NEEDED = {"scaler.pt", "training_args.bin"}


@dataclass(frozen=True)
class Choice:
    """The newest whole checkpoint, None if there is none, and the reasons why newer ones were passed over."""

    folder: Path | None
    skipped: dict[Path, str]


@dataclass(frozen=True)
class Losses:
    """The training losses up to a checkpoint, which the Trainer does not save.

    ``total`` is the sum over the steps up to ``last_log``, the step of the last log entry; ``since_log`` is the sum
    over the steps after it.
    """

    total: float
    since_log: float
    last_log: int


def numbered_checkpoints(folder: Path) -> list[Path]:
    """Return the folders named ``checkpoint-<step>`` in ``folder``, the newest step first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NUMBERED.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=step_of, reverse=True)


def newest_whole(folder: Path, run: str | None, *, processes: int = 1) -> Choice:
    """Return the newest whole checkpoint of the ``run`` in ``folder``, with what was passed over.

    A checkpoint that names no run, such as that of a plain Trainer, counts as a checkpoint of this run, unless an
    older one names this run: then its record is lost. Without a ``run`` all checkpoints count. Nothing is deleted.
    ``processes`` is the number of processes that will train.
    """
    skipped: dict[Path, str] = {}
    checkpoints = numbered_checkpoints(folder)
    for position, checkpoint in enumerate(checkpoints):
        reason = "it belongs to another run" if _is_of_another(checkpoint, run) else damage(checkpoint)
        if not reason and _has_lost_record(checkpoint, checkpoints[position + 1 :], run):
            reason = f"it has no {CHECKPOINT_RECORD}"
        reason = reason or missing_state(checkpoint, processes)
        if reason is None:
            return Choice(checkpoint, skipped)
        skipped[checkpoint] = reason
    return Choice(None, skipped)


def damage(checkpoint: Path) -> str | None:
    """Return why training cannot go on from a checkpoint, as a phrase; None if all of its files can be read.

    The state of the optimizer, of the schedule and of the random numbers may be absent: see `missing_state`.
    """
    try:
        return next(_damages(checkpoint), None)
    except OSError as mistake:
        return f"it cannot be read ({mistake.strerror or mistake})"


def missing_state(checkpoint: Path, processes: int = 1) -> str | None:
    """Return which state of the training a checkpoint lacks that was to be saved; None if it lacks none.

    With `save_only_model` the Trainer saves only the model and its own state. So a whole checkpoint that lacks all
    other state counts as one that was saved in this way.
    """
    if files := _recorded(checkpoint):
        lost = (name for name in files if _is_state(name) and not (checkpoint / name).is_file())
        return next((f"it has no {name}" for name in lost), None)
    names = {path.name for path in checkpoint.iterdir()}
    if "latest" in names:  # DeepSpeed's own folder has the state, and maybe that of the schedule
        return None
    rng = {name for name in names if _RNG.fullmatch(name)}
    found = {
        "optimizer": any(_OPTIMIZER.fullmatch(name) for name in names),
        "schedule": "scheduler.pt" in names,
        "random numbers": bool(rng),
    }
    if not any(found.values()):
        return None
    numbered = {f"rng_state_{index}.pth" for index in range(processes)}
    if processes > 1 and rng & numbered and not numbered <= rng:
        return f"it has no {min(numbered - rng)}"
    return next((f"it has no state of the {name}" for name, there in found.items() if not there), None)


def record_checkpoint(checkpoint: Path, run: str, losses: Losses, *, is_written: bool) -> None:
    """Write the record of a checkpoint: the run's identity, its losses and, once all is written, each file's size.

    For weights there is a checksum too: safetensors files have none of their own, and torch's have.
    """
    record: dict[str, Any] = {"run": run, "losses": asdict(losses)}
    if is_written:
        record["files"] = {
            str(path.relative_to(checkpoint)): [path.stat().st_size, _checksum(path)]
            for path in sorted(checkpoint.rglob("*"))
            if path.is_file() and path.name not in (CHECKPOINT_RECORD, _SENTINEL)
        }
    checkpoint.mkdir(parents=True, exist_ok=True)
    write_json(checkpoint / CHECKPOINT_RECORD, record)


def run_of(checkpoint: Path) -> str | None:
    """Return the identity of the run that wrote a checkpoint; None if the checkpoint does not name it."""
    run = _record(checkpoint).get("run")
    return run if isinstance(run, str) else None


def _is_of_another(checkpoint: Path, run: str | None) -> bool:
    owner = run_of(checkpoint)
    return run is not None and owner is not None and owner != run


def _record(checkpoint: Path) -> dict[str, Any]:
    """Return the record of a checkpoint; an empty dict if it has no record that can be read."""
    record = read_json(checkpoint / CHECKPOINT_RECORD)
    return record if isinstance(record, dict) else {}


def _has_lost_record(checkpoint: Path, older: list[Path], run: str | None) -> bool:
    """Whether a checkpoint has no record, although an ``older`` one of the same run has."""
    return not (checkpoint / CHECKPOINT_RECORD).exists() and run in map(run_of, older) and run is not None


def _recorded(checkpoint: Path) -> dict[str, list[int | None]]:
    """Return the size and the checksum of each file in the record of a checkpoint; an empty dict if it has none."""
    files: Any = _record(checkpoint).get("files")
    return cast(dict[str, list[int | None]], files) if _are_files(files) else {}


def _is_record(content: Any) -> bool:
    """Whether this is what `record_checkpoint` writes."""
    return isinstance(content, dict) and isinstance(content.get("run"), str) and _are_files(content.get("files", {}))


def _are_files(files: Any) -> bool:
    """Whether this is a dict with a size, and a checksum or None, for each file."""
    return isinstance(files, dict) and all(
        isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], int) for entry in files.values()
    )


def _is_state(name: str) -> bool:
    """Whether a file of a checkpoint holds state other than the weights and the Trainer's own state."""
    return name == "scheduler.pt" or any(kind.fullmatch(name) for kind in (_OPTIMIZER, _RNG))


def losses_of(checkpoint: Path) -> Losses | None:
    """Return the losses in the record of a checkpoint; None if there are none."""
    try:
        losses = _record(checkpoint)["losses"]
        return Losses(float(losses["total"]), float(losses["since_log"]), int(losses["last_log"]))
    except (TypeError, KeyError, ValueError):
        return None


def step_of(checkpoint: Path) -> int:
    """Return the step in the name of a checkpoint's folder; -1 if it has another name."""
    match = _NUMBERED.fullmatch(checkpoint.name)
    return int(match[1]) if match else -1


def _damages(checkpoint: Path) -> Iterator[str]:
    """Yield the faults of a checkpoint, those that are cheap to check first."""
    if not any(checkpoint.iterdir()):
        yield "it is empty"
    if (checkpoint / _SENTINEL).exists():
        yield f"it was not written to its end ({_SENTINEL})"
    yield from _state_damages(checkpoint)
    yield from _record_damages(checkpoint)
    yield from _json_damages(checkpoint)
    yield from _weight_damages(checkpoint)
    yield from _torch_damages(checkpoint)


def _state_damages(checkpoint: Path) -> Iterator[str]:
    if not (checkpoint / TRAINER_STATE_NAME).is_file():
        yield f"it has no {TRAINER_STATE_NAME}"
        return
    state = read_json(checkpoint / TRAINER_STATE_NAME)
    if (fault := fault_of_state(state)) is not None:
        yield f"its {TRAINER_STATE_NAME} {fault}"
    elif _NUMBERED.fullmatch(checkpoint.name) and state["global_step"] != step_of(checkpoint):
        yield f"its {TRAINER_STATE_NAME} is of step {state['global_step']}"


def _record_damages(checkpoint: Path) -> Iterator[str]:
    if (checkpoint / CHECKPOINT_RECORD).exists() and not _is_record(read_json(checkpoint / CHECKPOINT_RECORD)):
        yield f"its {CHECKPOINT_RECORD} is no record of a checkpoint"
    for name, (size, checksum) in _recorded(checkpoint).items():
        path = checkpoint / name
        if not path.is_file():
            if not _is_state(name) and name not in _NOT_NEEDED:
                yield f"it has no {name}"
        elif path.suffix != ".json" and path.stat().st_size != size:
            yield f"its {name} has {path.stat().st_size} bytes in place of {size}"
        elif checksum is not None and _checksum(path) != checksum:
            yield f"its {name} has changed since it was written"


def _json_damages(checkpoint: Path) -> Iterator[str]:
    for path in sorted(checkpoint.glob("*.json")):
        if path.name != CHECKPOINT_RECORD and read_json(path) is None:
            yield f"its {path.name} is no JSON"
        elif _INDEX.fullmatch(path.name):
            yield from _index_damages(path)


def _index_damages(index: Path) -> Iterator[str]:
    content = read_json(index)
    files = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        yield f"its {index.name} names no files of weights"
        return
    yield from (f"it has no {name}" for name in sorted(set(files.values())) if not (index.parent / name).is_file())


def _weight_damages(checkpoint: Path) -> Iterator[str]:
    files = [path for path in sorted(checkpoint.rglob("*")) if _WEIGHTS.fullmatch(path.name)]
    if not files and not _has_sharded_weights(checkpoint):
        yield "it has no weights of a model"
    for path in files:
        if path.is_dir():
            yield f"its {path.relative_to(checkpoint)} is a folder"
        elif path.suffix == ".safetensors":
            try:
                with safe_open(path, framework="np"):
                    pass
            except SafetensorError as mistake:
                yield f"its {path.relative_to(checkpoint)} is damaged ({mistake})"


def _has_sharded_weights(checkpoint: Path) -> bool:
    """Whether DeepSpeed, or FSDP with a file for each process, has saved the weights in folders of their own."""
    if (checkpoint / "latest").is_file():
        tag = (checkpoint / "latest").read_text(encoding="utf-8", errors="replace").strip()
        return any((checkpoint / tag).glob("*.pt"))
    return any((folder / ".metadata").is_file() for folder in checkpoint.glob("pytorch_model_fsdp*"))


def _torch_damages(checkpoint: Path) -> Iterator[str]:
    """Yield the files of `torch.save` that cannot be read: they are zip files with a checksum for each part."""
    for path in sorted(checkpoint.rglob("*")):
        if path.suffix not in _TORCH_ENDINGS:
            continue
        if path.is_dir():
            yield f"its {path.relative_to(checkpoint)} is a folder"
            continue
        try:
            with zipfile.ZipFile(path) as file:
                broken = file.testzip()
        except (zipfile.BadZipFile, EOFError, NotImplementedError, zlib.error, ValueError):
            broken = path.name
        if broken is not None:
            yield f"its {path.relative_to(checkpoint)} cannot be read"


def _checksum(file: Path) -> int | None:
    """Return the checksum of the content of a safetensors file; None for any other file."""
    if file.suffix != ".safetensors":
        return None
    value = 0
    with file.open("rb") as content:
        while block := content.read(1 << 24):
            value = zlib.crc32(block, value)
    return value
