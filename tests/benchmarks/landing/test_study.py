"""The trainings of the landing study: triggers, decays, averages, metrics, records, and the committed results."""

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from benchmarks import RESULTS
from benchmarks.landing.data import Data, _parts, _share
from benchmarks.landing.study import AVERAGES, Averages, Curve, Study, decay
from benchmarks.landing.workers import run
from hf_strategies import StrategyError
from hf_strategies.schedules.plateau_cooldown import Cooldown
from hf_strategies.stopping import verdict

TRAIN, VALIDATION, TEST, WORDS, LENGTH = 96, 24, 30, 20, 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A prepared task of two seeds, whose label is in its first word; it is learned from nothing in few epochs."""
    generator = np.random.default_rng(0)
    count = TRAIN + VALIDATION + TEST
    ids = generator.integers(1, WORDS, (2, count, LENGTH))
    meta = {
        "task": "toy", "data": "toy", "metric": "accuracy", "kind": "labels", "rates": [1e-3, 5e-3], "epochs": 2,
        "small_bert": True, "seeds": [0, 1], "counts": [TRAIN, VALIDATION, TEST], "outputs": 3,
    }  # fmt: skip
    arrays: dict[str, Any] = {
        "ids": ids, "types": 0 * ids, "lengths": generator.integers(3, LENGTH + 1, (2, count)),
        "labels": ids[:, :, 0] % 3, "kept": np.zeros((2, WORDS)), "meta": json.dumps(meta),
    }  # fmt: skip
    np.savez(tmp_path / "toy.npz", **arrays)
    return tmp_path


@pytest.mark.parametrize("count", [2, 3, 4])
def test_triggers_hold_where_early_stopping_stops(count: int) -> None:
    generator = np.random.default_rng(count)
    for _ in range(50):
        metrics, losses = generator.integers(0, 8, 12).tolist(), generator.random(12).tolist()
        curve, held = Curve(), {}
        for index, pair in enumerate(zip(metrics, losses, strict=True)):
            held |= dict.fromkeys(curve.add(*pair), index)
        assert held.get((count, None)) == verdict(metrics, f"patience({count})", mode="max").stop_index
        assert held.get((None, count)) == verdict(losses, f"patience({count})").stop_index


def test_both_patiences_have_to_hold_at_the_same_evaluation() -> None:
    curve = Curve()
    # The metric waits for 2 at the fourth evaluation, where the loss is the best so far; both do at the sixth.
    found = [curve.add(*pair) for pair in zip((5, 6, 4, 4, 5, 5), (0.9, 0.8, 0.7, 0.6, 0.7, 0.8), strict=True)]
    assert (2, None) in found[3]
    assert [index for index, pairs in enumerate(found) if (2, 2) in pairs] == [5]


@pytest.mark.parametrize(
    ("name", "theirs"), [("linear", get_linear_schedule_with_warmup), ("cosine", get_cosine_schedule_with_warmup)]
)
def test_decays_equal_those_of_transformers(name: str, theirs: Any) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = theirs(optimizer, 4, 40)
    for step in range(40):
        assert decay(name, step, 4, 40) == pytest.approx(scheduler.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        scheduler.step()


def test_averages_are_the_weighted_means_of_the_weights_since_warmup() -> None:
    warmup, epoch, steps = 2, 4, 14
    walk = torch.randn(steps, 2, 3).cumsum(0)  # weights of 2 models after each step
    averages = Averages(walk[0], steps, warmup, epoch)
    for step in range(1, steps + 1):
        averages.update(walk[step - 1], step)
    found = dict(zip(AVERAGES, averages.read(steps), strict=True))
    seen = walk[warmup:]
    torch.testing.assert_close(found["tail(over='1ep')"], seen[-epoch:].mean(0))  # 12 is a multiple of 4
    torch.testing.assert_close(found["tail(over=0.5)"], seen[4:].mean(0))  # the window began after update 4
    weights = torch.arange(1.0, len(seen) + 1).view(-1, 1, 1)
    torch.testing.assert_close(found["polynomial(power=1)"], (weights * seen).sum(0) / weights.sum())


def test_metrics_of_labels_and_of_words_are_those_counted_by_hand() -> None:
    many = _parts("many", torch.tensor([[[1.0, -1.0, 2.0]]]), torch.tensor([[[1.0, 1.0, 0.0]]]))
    assert {name: int(value) for name, value in many.items()} == {"tp": 1, "fp": 1, "fn": 1}
    assert _share({name: value[0].numpy() for name, value in many.items()}) == 0.5
    # Words: right name, O taken for a name, a name taken for O, another name, right O, and one that does not count.
    labels = torch.tensor([[[1, 0, 2, 1, 0, -100]]])
    predicted = torch.nn.functional.one_hot(torch.tensor([[[1, 1, 0, 2, 0, 1]]])).float()
    words = _parts("tokens", predicted, labels)
    assert {name: int(value) for name, value in words.items()} == {"tp": 1, "fp": 2, "fn": 2}


def test_a_cooldown_is_the_same_alone_and_beside_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Data.shape.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(Data, "shape", property(lambda data: replace(shape(data), dropout=0.0)))
    together, alone = (
        {record["lr"]: record for record, _ in Study(Data.read(folder, "toy", [0], "cpu"), size, lambda: None).run()}
        for size in (16, 1)
    )
    for rate, record in together.items():
        cooled = {(c["start"], c["length"]): c["evaluations"] for c in record["cooled"]}
        others = {(c["start"], c["length"]): c["evaluations"] for c in alone[rate]["cooled"]}
        assert cooled.keys() == others.keys()
        for key, evaluations in cooled.items():
            for one, other in zip(evaluations, others[key], strict=True):
                assert one["step"] == other["step"]
                assert one["raw"][1] == pytest.approx(other["raw"][1], abs=2e-3)  # validation loss


def test_a_run_writes_a_line_for_each_cell_once(folder: Path) -> None:
    args = Namespace(
        folder=folder, out=folder / "out", tasks=None, seeds=[(1,)], device="cpu", workers=1, branches=8, seconds=60
    )
    run(args)
    text = (args.out / "landing.jsonl").read_text()
    records = [json.loads(line) for line in text.splitlines()]
    assert [(record["seed"], record["lr"]) for record in records] == [(1, 1e-3), (1, 5e-3)]
    check(records, args.out / "landing_rows.npz")
    run(args)  # nothing is left to do
    assert (args.out / "landing.jsonl").read_text() == text
    with pytest.raises(StrategyError, match=r"'tof' is not in .*: did you mean 'toy'"):
        run(Namespace(**{**vars(args), "tasks": ["tof"]}))


@pytest.mark.slow
def test_a_unit_that_fails_leaves_its_traceback_and_the_others_go_on(folder: Path) -> None:
    (folder / "broken.npz").write_bytes(b"no archive")
    args = Namespace(
        folder=folder, out=folder / "out", tasks=["broken", "toy"], seeds=[(0,)], device="cpu", workers=1, branches=8,
        seconds=60,
    )  # fmt: skip
    run(args)
    log = (args.out / "log.txt").read_text()
    assert "broken 0: failed\nTraceback" in log
    assert "toy 0: done" in log


def test_committed_results_agree_with_their_rows() -> None:
    records = [json.loads(line) for line in (RESULTS / "landing.jsonl").read_text().splitlines()]
    assert len({(record["task"], record["seed"], record["lr"]) for record in records}) == len(records) == 78
    check(records, RESULTS / "landing_rows.npz")


def check(records: list[dict[str, Any]], rows: Path) -> None:
    """Assert what holds for every record: its steps, and that each test metric follows from its row."""
    with np.load(rows) as file:
        arrays = dict(file)
    for record in records:
        every, key = record["every"], f"{record['task']}/{record['seed']}/{record['lr']:g}"
        for name in ("hold", "linear", "cosine"):
            steps = [evaluation["step"] for evaluation in record[name]]
            assert steps == [every * number for number in range(1, len(steps) + 1)]
        scores = [evaluation["raw"] for name in ("hold", "linear", "cosine") for evaluation in record[name]]
        scores += [evaluation[name] for evaluation in record["hold"] for name in record["averages"]]
        for cooled in record["cooled"]:
            steps, start = [evaluation["step"] for evaluation in cooled["evaluations"]], cooled["start"]
            end = start + Cooldown(cooled["length"]).steps(start)
            assert steps == [*range(start + every, end, every), end]
            scores += [evaluation["raw"] for evaluation in cooled["evaluations"]]
        assert sorted(score[3] for score in scores) == list(range(len(scores)))
        tested = np.array([score[2] for score in sorted(scores, key=lambda score: score[3])])
        if record["metric"] == "accuracy":
            right = np.unpackbits(arrays[key], axis=-1)[:, : record["test"]]
            np.testing.assert_allclose(100 * right.mean(axis=1), tested, atol=6e-4)
        elif record["metric"] == "micro_f1":
            tp, fp, fn = (arrays[f"{key}/{name}"].sum(axis=1, dtype=int) for name in ("tp", "fp", "fn"))
            np.testing.assert_allclose(200 * tp / np.maximum(1, 2 * tp + fp + fn), tested, atol=6e-4)
        else:
            assert arrays[key].shape == (len(scores), len(arrays[f"{record['task']}/{record['seed']}/labels"]))
