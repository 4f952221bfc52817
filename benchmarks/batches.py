"""What batches of rows of like length cost in quality and save in padding, by the size of the pools that are sorted.

    python -m benchmarks.batches prepare FOLDER         # encode the rows; needs ../shared/data and MiniLM
    python -m benchmarks.batches run FOLDER --device cuda --workers 8     # appends to results/batches.jsonl
    python -m benchmarks.batches table                                    # writes results/batches.md

all-MiniLM-L6-v2 is trained for 1 and for 3 epochs on three tasks, with the batches of the recipes' own sampler: rows
in a random order are sorted by length in pools of so many batches, and the batches are shuffled. A pool of 1 is
random batches. All pools of a seed have the same first weights. The schedule is a linear warmup over 0.1 of the
training and a linear decay. ``prepare`` writes all that a machine with nothing but torch and transformers needs.
"""

import itertools
import json
import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import RESULTS

RUNS = RESULTS / "batches.jsonl"
POOLS = (1, 4, 8, 16, 50)
EPOCHS = (1, 3)
SEEDS = tuple(range(10))


@dataclass(frozen=True)
class Setting:
    """A task: its rows per step, the peak rate, the number of tokens at which texts are cut, and its metric."""

    batch: int
    rate: float
    length: int
    metric: str


SETTINGS = {
    "banking77": Setting(32, 3e-4, 64, "accuracy"),
    "wnut17": Setting(16, 4e-4, 64, "micro F1 of words"),
    "xquad": Setting(16, 1e-4, 96, "accuracy"),
}


# --- prepare ----------------------------------------------------------------------------------------------


def prepare(args: Namespace) -> None:
    """Write the encoded rows of the tasks with the order of the rows in each epoch, and MiniLM's weights."""
    from transformers import AutoModel, AutoTokenizer

    from benchmarks.landing.prepare import encode_row
    from benchmarks.landing.tasks import TASKS
    from benchmarks.strategies.tasks import minilm

    args.folder.mkdir(parents=True, exist_ok=True)
    tokenizer, seen = AutoTokenizer.from_pretrained(minilm()), [np.array([0])]
    encoded = {}
    for name, setting in SETTINGS.items():
        task = TASKS[name]
        task = type(task)(**{**vars(task), "max_length": setting.length})
        rows = task.rows()
        encoded[name] = {
            split: [encode_row(task, tokenizer, row) for row in rows[split]] for split in ("train", "test")
        }
        seen += [np.array(row["ids"]) for part in encoded[name].values() for row in part]
    kept = np.unique(np.concatenate(seen))
    for name, splits in encoded.items():
        arrays: dict[str, Any] = {"orders": _orders(name, [len(row["ids"]) for row in splits["train"]])}
        for split, rows in splits.items():
            arrays |= {f"{split}_{key}": array for key, array in _arrays(rows, kept).items()}
        np.savez_compressed(args.folder / f"{name}.npz", **arrays)
        print(name, {key: array.shape for key, array in arrays.items()})
    model = AutoModel.from_pretrained(minilm(), add_pooling_layer=False)
    weights = {key: value.numpy() for key, value in model.state_dict().items() if "position_ids" not in key}
    words = "embeddings.word_embeddings.weight"
    weights[words] = weights[words][kept]
    (args.folder / "config.json").write_text(json.dumps(model.config.to_diff_dict() | {"vocab_size": len(kept)}))
    np.savez_compressed(args.folder / "encoder.npz", **{k: v.astype(np.float16) for k, v in weights.items()})


def _arrays(rows: Sequence[Mapping[str, Any]], kept: np.ndarray) -> dict[str, np.ndarray]:
    longest = max(len(row["ids"]) for row in rows)
    ids = np.zeros((len(rows), longest), np.uint16)
    types, lengths = np.zeros((len(rows), longest), np.uint8), np.array([len(row["ids"]) for row in rows], np.uint8)
    by_word = isinstance(rows[0]["labels"], list)
    labels = np.full((len(rows), longest) if by_word else len(rows), -100, np.int16)
    for place, row in enumerate(rows):
        ids[place, : lengths[place]] = np.searchsorted(kept, row["ids"])
        types[place, : lengths[place]] = row["types"]
        if by_word:
            labels[place, : lengths[place]] = row["labels"]
        else:
            labels[place] = row["labels"]
    return {"ids": ids, "types": types, "lengths": lengths, "labels": labels}


def _orders(name: str, lengths: Sequence[int]) -> np.ndarray:
    """Return the order of the rows by pool, seed and epoch."""
    from hf_strategies.finetune.sampling import SeededLengthGroupedSampler

    orders = np.zeros((len(POOLS), len(SEEDS), max(EPOCHS), len(lengths)), np.uint16)
    for (p, pool), (s, seed) in itertools.product(enumerate(POOLS), enumerate(SEEDS)):
        sampler = SeededLengthGroupedSampler(lengths, SETTINGS[name].batch, seed=seed, pool=pool)
        for epoch in range(max(EPOCHS)):
            sampler.set_epoch(epoch)
            orders[p, s, epoch] = list(sampler)
    return orders


# --- run --------------------------------------------------------------------------------------------------


def train(folder: Path, device: str, cell: tuple[str, int, int, int], fraction: float = 1.0) -> dict[str, Any]:
    """Train one cell: a task, a pool, a number of epochs, a seed; return its row."""
    import torch

    name, pool, epochs, seed = cell
    setting = SETTINGS[name]
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    with np.load(folder / f"{name}.npz") as file:
        stored = dict(file)
    data = {key: torch.from_numpy(stored[key].astype(np.int64)).to(device) for key in stored if key != "orders"}
    orders = stored["orders"][POOLS.index(pool), SEEDS.index(seed)].astype(np.int64)
    model = _model(folder, stored["train_labels"], seed).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=setting.rate, weight_decay=0.0)
    per_epoch = int(fraction * -(-orders.shape[1] // setting.batch))
    total, padded, start = per_epoch * epochs, 0, time.perf_counter()
    warmup = 0.1 * total
    torch.manual_seed(seed)
    for step in range(total):
        first = step % per_epoch * setting.batch
        rows = orders[step // per_epoch, first : first + setting.batch]
        factor = min(step / warmup, (total - step) / (total - warmup))
        for group in optimizer.param_groups:
            group["lr"] = setting.rate * factor
        batch = _batch(data, "train", torch.from_numpy(rows).to(device))
        padded += batch["input_ids"].numel()
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    if device == "cuda":
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    row = {"task": name, "pool": pool, "epochs": epochs, "seed": seed, "padded": padded, "seconds": seconds}
    return row | {"score": _score(model, data)}


def _model(folder: Path, labels: np.ndarray, seed: int) -> Any:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification

    torch.manual_seed(seed)
    config = BertConfig(**json.loads((folder / "config.json").read_text()))
    config.num_labels = int(labels.max()) + 1
    model = (BertForTokenClassification if labels.ndim == 2 else BertForSequenceClassification)(config)
    with np.load(folder / "encoder.npz") as file:
        weights = {key: torch.from_numpy(file[key].astype(np.float32)) for key in file}
    missing, unexpected = model.bert.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all("pooler" in key or "position_ids" in key for key in missing), missing
    return model


def _batch(data: Mapping[str, Any], split: str, rows: Any) -> dict[str, Any]:
    import torch

    lengths = data[f"{split}_lengths"][rows]
    longest = int(lengths.max())
    labels = data[f"{split}_labels"][rows]
    return {
        "input_ids": data[f"{split}_ids"][rows, :longest],
        "token_type_ids": data[f"{split}_types"][rows, :longest],
        "attention_mask": (torch.arange(longest, device=lengths.device) < lengths[:, None]).long(),
        "labels": labels[:, :longest].contiguous() if labels.ndim == 2 else labels,
    }


def _score(model: Any, data: Mapping[str, Any]) -> float:
    """Return the test metric in points: accuracy, or F1 over the words that have a label other than O."""
    import torch

    model.eval()
    counts = np.zeros(3)  # right, predicted, true; or right, all, all
    with torch.no_grad():
        for rows in torch.argsort(data["test_lengths"]).split(128):
            batch = _batch(data, "test", rows)
            labels = batch.pop("labels")
            best = model(**batch).logits.argmax(-1)
            known = labels != -100
            right = (best == labels) & known
            if labels.ndim == 2:
                here = [right & (labels > 0), known & (best > 0), known & (labels > 0)]
            else:
                here = [right, known, known]
            counts += [int(each.sum()) for each in here]
    return float(200 * counts[0] / max(counts[1] + counts[2], 1))


def run(args: Namespace) -> None:
    """Train all cells, several at once, and append a line for each."""
    from multiprocessing import get_context

    cells = list(itertools.product(args.tasks, POOLS, EPOCHS, args.seeds))
    cells.sort(key=lambda cell: (cell[3], -cell[2] * (cell[0] == "banking77")))  # seed after seed, long ones first
    args.out.parent.mkdir(parents=True, exist_ok=True)
    work = partial(train, args.folder, args.device, fraction=args.fraction)
    with get_context("spawn").Pool(args.workers) as pool, args.out.open("a", encoding="utf-8") as out:
        for row in pool.imap_unordered(work, cells):
            print(json.dumps(row), file=out, flush=True)


# --- table ------------------------------------------------------------------------------------------------


def differences(rows: Iterable[Mapping[str, Any]], task: str, epochs: int, pool: int) -> dict[str, list[float]]:
    """Return, seed by seed, what a pool differs from random batches: points, and ratios of padded tokens and time."""
    by = {(row["pool"], row["seed"]): row for row in rows if (row["task"], row["epochs"]) == (task, epochs)}
    seeds = sorted(seed for each, seed in by if each == 1 and (pool, seed) in by)
    pairs = [(by[pool, seed], by[1, seed]) for seed in seeds]
    return {
        "score": [mine["score"] - random["score"] for mine, random in pairs],
        "padded": [mine["padded"] / random["padded"] for mine, random in pairs],
        "seconds": [mine["seconds"] / random["seconds"] for mine, random in pairs],
    }


def mean_text(values: Sequence[float]) -> str:
    """Write the mean of differences with its 95 % interval by Student's t."""
    from scipy.stats import t

    error = np.std(values, ddof=1) / len(values) ** 0.5 * t.ppf(0.975, len(values) - 1)
    return f"{np.mean(values):+.2f} ± {error:.2f}"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table: a line for each task and number of epochs, a column for each pool."""
    names = ["task", "epochs", "random batches", *(f"pools of {pool}" for pool in POOLS[1:])]
    lines = [names, ["-"] * len(names)]
    every: dict[int, list[float]] = {pool: [] for pool in POOLS[1:]}
    for task, epochs in itertools.product(SETTINGS, EPOCHS):
        scores = [row["score"] for row in rows if (row["task"], row["epochs"], row["pool"]) == (task, epochs, 1)]
        cells = []
        for pool in POOLS[1:]:
            found = differences(rows, task, epochs, pool)
            every[pool] += found["score"]
            padded, seconds = np.median(found["padded"]), np.median(found["seconds"])
            cells.append(f"{mean_text(found['score'])}; {padded:.2f}; {seconds:.2f}")
        lines.append([f"{task}, {SETTINGS[task].metric}", str(epochs), f"{np.mean(scores):.1f}", *cells])
    lines.append(["**all**", "", "", *(f"**{mean_text(every[pool])}**" for pool in POOLS[1:])])
    return "\n".join(f"|{'|'.join(line)}|" for line in lines)


def report(args: Namespace) -> None:
    """Print the page and write it."""
    rows = [json.loads(line) for line in args.runs.read_text(encoding="utf-8").splitlines()]
    counts = Counter((row["task"], row["epochs"], row["pool"]) for row in rows)
    seeds = f"{min(counts.values())} to {max(counts.values())}"
    text = (
        "# Batches of rows of like length\n\n`python -m benchmarks.batches`: all-MiniLM-L6-v2, linear warmup and"
        f" decay, {seeds} seeds; {args.machine}. A cell has the difference from random batches in test points with"
        " its 95 % interval, paired by seed; padded tokens; and seconds, both as ratios to random batches.\n\n"
        f"{table(rows)}\n"
    )
    if args.output != "-":
        Path(args.output).write_text(text, encoding="utf-8")
    print(text)


def main() -> None:
    """Read the command and do its work."""
    parser = ArgumentParser(prog="python -m benchmarks.batches", description="Batches of rows of like length.")
    commands = parser.add_subparsers(required=True)
    for name, work in (("prepare", prepare), ("run", run)):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        command.set_defaults(work=work)
    command.add_argument("--device", default="cpu")
    command.add_argument("--workers", type=int, default=1, help="processes at once (1)")
    command.add_argument("--tasks", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    command.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    command.add_argument("--fraction", type=float, default=1.0, help="of an epoch, to try it (1)")
    command.add_argument("--out", type=Path, default=RUNS, help="a line is appended for each run")
    command = commands.add_parser("table")
    command.add_argument("runs", type=Path, nargs="?", default=RUNS)
    command.add_argument("--machine", default="one NVIDIA H100, TF32, several trainings at once")
    command.add_argument("--output", default=str(RESULTS / "batches.md"), help="file of the table, or - for none")
    command.set_defaults(work=report)
    args = parser.parse_args()
    args.work(args)


if __name__ == "__main__":
    main()
