"""What the tests of the recipes share: flags, small data sets in files, and how to read what a run wrote."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

QUIET = ["--use_cpu", "--report_to", "none", "--disable_tqdm", "true"]
WORDS = {"good": ["fine", "lovely", "great", "sunny"], "bad": ["awful", "dreary", "grim", "cold"]}
FILLERS = ["the", "a", "day", "was"]


def reviews(count: int, seed: int) -> list[dict[str, str]]:
    """Texts of 2 to 30 words, of which some tell the label; no two are the same."""
    chance = random.Random(seed)
    labels = [("good", "bad")[index % 2] for index in range(count)]
    chance.shuffle(labels)
    rows = []
    for index, label in enumerate(labels):
        words = [chance.choice(WORDS[label] + FILLERS) for _ in range(chance.randint(1, 29))]
        rows.append({"text": " ".join([f"no{index}", *words]), "label": label})
    return rows


def write_csv(file: Path, rows: list[dict[str, str]]) -> str:
    """Write a header and a line for each row; return the file's name."""
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(file)


def write_csv_splits(folder: Path, make: Callable[[int, int], list[dict[str, str]]]) -> list[str]:
    """Write the rows of make(count, seed) for each split; return the flags that name the three files."""
    flags = []
    for seed, (name, count) in enumerate({"train": 60, "validation": 20, "test": 15}.items()):
        flags += [f"--{name}_file", write_csv(folder / f"{name}.csv", make(count, seed))]
    return flags


def write_jsonl(file: Path, rows: list[dict[str, Any]]) -> str:
    """Write a line of JSON for each row; return the file's name."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(file)


def read(file: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(file.read_text(encoding="utf-8"))


def predictions(out: Path) -> list[dict[str, Any]]:
    """The rows of a run's predictions."""
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]


def logged(out: Path, key: str) -> list[tuple[int, float]]:
    """The step and the value of each entry of a run's log that has the key."""
    return [(entry["step"], entry[key]) for entry in read(out / "trainer_state.json")["log_history"] if key in entry]
