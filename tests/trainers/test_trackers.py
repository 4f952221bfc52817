"""The stores of four experiment trackers, read back: the learning rates, the events and their reasons."""

import json
import logging
import sqlite3
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hf_strategies import StrategyArguments, schedule
from tests.trainer.bert_runs import arguments, bert_trainer

# Warnings of these packages are not ours.
pytestmark = [pytest.mark.trainers, pytest.mark.filterwarnings("default")]
LOSSES = (0.5, 0.7, 0.6, 0.6, 0.6, 0.6)  # better is higher: the best is at step 4, the stop at step 8
GROUPS = {"embeddings": 0.5**3, "layer 1": 0.25, "layer 2": 0.5, "layer 3": 1.0, "head": 1.0}


def train(folder: Path, tracker: str) -> Any:
    """Train with a warmup of 3 steps, rates by depth, and a stop after two evaluations without improvement."""
    strategy = StrategyArguments(
        layer_decay=0.5, early_stopping_patience=2, early_stopping_monitor="score", early_stopping_mode="max"
    )
    args = arguments(
        folder,
        report_to=[tracker],
        run_name="a_run",
        lr_scheduler_type="exponential_warmup_step_decay",
        warmup_steps=3,
        eval_strategy="steps",
        eval_steps=2,
    )
    trainer, _ = bert_trainer(args, scores=LOSSES, **strategy.trainer_kwargs(args))
    trainer.train()
    return trainer


def planned() -> list[float]:
    """The rate of each update up to the stop, by the pure schedule."""
    curve = schedule("exponential_warmup_step_decay", total_steps=12, warmup_steps=3)
    return [0.01 * curve(step) for step in range(8)]


def check(numbers: dict[str, list[tuple[int, float]]]) -> None:
    """Assert that the series of a store, by their names, are the curve, its groups and the events."""
    rates = planned()
    assert [value for _, value in numbers["train/learning_rate"]] == pytest.approx(rates, rel=1e-6)
    for name, ratio in GROUPS.items():
        found = numbers[f"train/learning_rate/{name}"]
        assert [value for _, value in found] == pytest.approx([rate * ratio for rate in rates], rel=1e-6)
    assert [(step, pytest.approx(value)) for step, value in numbers["train/strategy_best"]] == [(2, 0.5), (4, 0.7)]
    assert numbers["train/strategy_warmup_end"] == [(3, 3.0)]
    assert numbers["train/strategy_stop"] == [(8, 8.0)]


def is_reason(text: str) -> bool:
    return text.startswith("Stopped early at step 8") and "best 0.7 at step 4" in text


def test_tensorboard_s_event_file_has_the_rates_the_events_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    train(tmp_path, "tensorboard")
    (file,) = (tmp_path / "logs").rglob("events.out.tfevents.*")
    store = accumulator.EventAccumulator(str(file), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    check({tag: [(each.step, each.value) for each in store.Scalars(tag)] for tag in store.Tags()["scalars"]})
    (text,) = store.Tensors("train/strategy_stop_reason/text_summary")
    assert is_reason(text.tensor_proto.string_val[0].decode())


def test_wandb_s_offline_folder_has_the_rates_the_events_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    train(tmp_path, "wandb")
    wandb.finish()
    (file,) = tmp_path.rglob("*.wandb")
    rows = wandb_rows(file)
    numbers: dict[str, list[tuple[int, float]]] = {}
    reasons = []
    for row in rows:
        reasons += [row["train/strategy_stop_reason"]] if "train/strategy_stop_reason" in row else []
        for name, value in row.items():
            if isinstance(value, int | float):
                numbers.setdefault(name, []).append((int(row["train/global_step"]), value))
    check(numbers)
    assert [is_reason(each) for each in reasons] == [True]


def wandb_rows(file: Path) -> list[dict[str, Any]]:
    """The logged rows of W&B's file of records."""
    from wandb.proto import wandb_internal_pb2

    rows = []
    for data in leveldb_records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
    return rows


def leveldb_records(data: bytes, block: int = 32768, header: int = 7) -> Iterator[bytes]:
    """The records of a LevelDB log, as W&B writes it after seven bytes of its own.

    Each piece of a record begins with its checksum (4 bytes), its length (2) and its kind (1): whole, first, middle
    or last. A block that has no room for that is padded.
    """
    at, record = header, b""
    while at + header <= len(data):
        left = block - at % block
        if left < header:
            at += left
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + header])
        record += data[at + header : at + header + length]
        at += header + length
        if kind in (1, 4):
            yield record
            record = b""


def test_mlflow_s_store_has_the_rates_the_events_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    place = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "tried")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(place)
    train(tmp_path, "mlflow")
    client = mlflow.MlflowClient(tracking_uri=place)
    experiment = client.get_experiment_by_name("tried")
    (run,) = client.search_runs([experiment.experiment_id])
    histories = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    series = {
        f"train/{name}": sorted((each.step, each.value) for each in history) for name, history in histories.items()
    }
    check(series)
    assert is_reason(run.data.tags["strategy_stop_reason"])


def test_trackio_s_store_has_the_rates_the_events_and_an_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    trackio = pytest.importorskip("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("TRACKIO_PROJECT", "tried")
    caplog.set_level(logging.WARNING)
    use_folder(trackio, tmp_path / "trackio", monkeypatch)
    train(tmp_path, "trackio")
    (file,) = (tmp_path / "trackio").rglob("*.db")
    with sqlite3.connect(file) as store:
        rows = [(json.loads(metrics)) for (metrics,) in store.execute("select metrics from metrics order by id")]
        alerts = store.execute("select title, text from alerts").fetchall()
    numbers: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, int | float):
                numbers.setdefault(name, []).append((int(row["train/global_step"]), value))
    check(numbers)
    assert [title for title, _ in alerts] == ["warmup end", "stop"]
    assert is_reason(alerts[1][1])


def use_folder(trackio: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trackio, which reads its folder when it is imported, write below ``folder``."""
    import importlib
    import sys

    folder.mkdir()
    for module in [each for name, each in sys.modules.items() if name.startswith("trackio") and each is not None]:
        if hasattr(module, "TRACKIO_DIR"):
            monkeypatch.setattr(module, "TRACKIO_DIR", folder)
    find: Callable[[str], Any] = importlib.import_module
    assert folder == find("trackio.utils").TRACKIO_DIR
