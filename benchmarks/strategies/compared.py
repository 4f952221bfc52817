"""Strategies of the recipes side by side on small real tasks, by `hf-strategies compare`.

    python -m benchmarks.strategies.compared                     # what is missing in runs/compared is run
    python -m benchmarks.strategies.compared --tasks sts16 --seeds 0..9 --jobs 2
    python -m benchmarks.strategies.compared --table             # results/compared.md, of what is done

The benchmark writes the rows of each task as files and each strategy as a file of flags. Runs, ledger, statistics and
sentences are those of the command; this module only sets the tasks beside each other. The sweeps of
``python -m benchmarks.strategies`` choose one of ten runs by its validation metric, which no comparison of two
strategies does, and stay there.
"""

import json
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import CHECKOUT, RESULTS
from benchmarks.strategies.results import machine
from benchmarks.strategies.tasks import TASKS, Row, minilm
from hf_strategies.errors import StrategyError, did_you_mean

__all__ = ["COMPARED", "STRATEGIES", "document", "main", "write_inputs"]

COMPARED: Mapping[str, tuple[int, str]] = {
    "banking77": (2, "accuracy"),
    "banking77_flipped": (2, "accuracy"),
    "sts16": (2, "spearman"),
    "docstrings": (1, "accuracy"),
}
"""The tasks, with how many times their rows are drawn and the recipe's name of their metric."""

_STOPPED = {"eval_strategy": "epoch", "num_train_epochs": 20}
STRATEGIES: Mapping[str, Mapping[str, Any] | None] = {
    "linear_10": {"lr_scheduler_type": "linear", "num_train_epochs": 10},
    "linear_3": {"lr_scheduler_type": "linear", "num_train_epochs": 3},
    "linear_stop": {"lr_scheduler_type": "linear", "early_stopping_patience": 4, **_STOPPED},
    "few_examples": None,
    "no_epochs": None,
    "averaged": None,
}
"""Flags by name, or None for a preset; the first one is what the others are compared with."""

_RATES = {False: 3e-4, True: 1e-3}  # of MiniLM, and of the small BERT from nothing; none was chosen on these tasks


def write_inputs(task: str, folder: Path) -> list[str]:
    """Write the files of a task and of the strategies, and return the arguments of `hf-strategies compare`."""
    scale, metric = COMPARED[task]
    source, inputs = TASKS[task], folder / f"{task}_inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    for split, rows in source.draw(0, scale).items():
        lines = [json.dumps(_named(row, source.kind)) for row in rows]
        (inputs / f"{split}.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = {
        "recipe": "text_classification",
        **{f"{split}_file": str(inputs / f"{split}.json") for split in ("train", "validation", "test")},
        **({} if source.small_bert else {"model_name_or_path": minilm()}),
        "max_length": source.max_length,
        "per_device_train_batch_size": 16,
        "learning_rate": _RATES[source.small_bert],
        "report_to": "none",
        "save_strategy": "no",
    }
    (inputs / "task.yaml").write_text(json.dumps(flags, indent=2) + "\n", encoding="utf-8")  # JSON is YAML
    for name, settings in STRATEGIES.items():
        if settings is not None:
            (inputs / f"{name}.yaml").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    strategies = [name if flags is None else str(inputs / f"{name}.yaml") for name, flags in STRATEGIES.items()]
    words = [str(inputs / "task.yaml"), "--strategies", *strategies, "--metric", metric]
    return [*words, "--output_dir", str(folder / task)]


def _named(row: Row, kind: str) -> dict[str, Any]:
    texts, label = row
    names = ("text",) if len(texts) == 1 else ("sentence1", "sentence2")
    return dict(zip(names, texts, strict=True)) | {"label": label if kind == "regression" else str(label)}


def compare(words: Sequence[str]) -> str:
    """Run the command, and return what it prints; StrategyError with its last line where it fails."""
    command = [sys.executable, "-m", "hf_strategies", "compare", *words]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "HF_HUB_OFFLINE": "1", "COLUMNS": "118"}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise StrategyError(f"hf-strategies compare ended with exit code {done.returncode}; the same command goes on")
    return done.stdout.partition("\nwrote ")[0].rstrip()


def document(found: Mapping[str, tuple[Mapping[str, Any], str]]) -> str:
    """Return the page: over all tasks, and below it what the command prints for each.

    ``found`` has for each task the content of its ``comparison_results.json``, and the printed text.
    """
    first, *others = STRATEGIES
    lines = [
        f"|strategy|tasks|better than {first}|worse|neither is shown|mean difference, points|steps, of {first}'s|",
        "|-|-|-|-|-|-|-|",
        *(_line(name, [data for data, _ in found.values()], first) for name in others),
    ]
    tables = [f"### {task}\n\n```text\n{text}\n```" for task, (_, text) in found.items()]
    return "\n".join(["## All tasks", "", *lines, "", "## Each task", "", "\n\n".join(tables), ""])


def _line(name: str, comparisons: Sequence[Mapping[str, Any]], first: str) -> str:
    verdicts, gains, shares = [], [], []
    for data in comparisons:
        steps = {each["name"]: each["steps"] for each in data["strategies"]}
        for each in (each for each in data["challengers"] if each["name"] == name):
            low, high = each["difference"]["low"], each["difference"]["high"]
            verdicts.append(0 if low is None or high is None else (low > 0) - (high < 0))
            gains.append(data["scale"] * each["difference"]["mean"])
            shares.append(steps[name] / steps[first])
    if not verdicts:
        return f"|{name}|0|-|-|-|-|-|"
    counts = "|".join(str(verdicts.count(verdict)) for verdict in (1, -1, 0))
    return f"|{name}|{len(verdicts)}|{counts}|{fmean(gains):+.1f}|{fmean(shares):.2f}|"


def report(folder: Path, tasks: Sequence[str], seeds: str) -> str:
    """Return the whole page, of the runs that are done."""
    found = {}
    for task in tasks:
        if (folder / task).is_dir():
            text = compare([*write_inputs(task, folder), "--seeds", seeds, "--table"])
            found[task] = (json.loads((folder / task / "comparison_results.json").read_text(encoding="utf-8")), text)
    if not found:
        raise StrategyError(f"folder={str(folder)!r} has no comparison: run some before --table")
    command = f"python -m benchmarks.strategies.compared --tasks {' '.join(found)} --seeds {seeds}"
    head = f"# Strategies of the recipes\n\n`{command}`"
    return f"{head}\n\n{machine('the cores are shared by the runs')}\n\n{document(found)}"


def read_arguments(given: Sequence[str] | None = None) -> Namespace:
    """Read the command line; raises `StrategyError` for a task that there is not."""
    parser = ArgumentParser(
        prog="python -m benchmarks.strategies.compared", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--tasks", nargs="+", default=list(COMPARED), help=f"of {', '.join(COMPARED)}")
    parser.add_argument("--seeds", default="0..4", help="0..4 or 0,1,7 (0..4)")
    parser.add_argument("--jobs", default="1", help="runs side by side (1)")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "runs" / "compared", help="where the runs lie")
    parser.add_argument("--table", action="store_true", help="write results/compared.md of what is done, run nothing")
    args = parser.parse_args(given)
    for task in args.tasks:
        if task not in COMPARED:
            raise StrategyError(f"tasks={task!r} is unknown: {did_you_mean(task, COMPARED)}")
    return args


def main(given: Sequence[str] | None = None) -> int:
    """Run or tabulate; a user's mistake is one line and exit code 2."""
    try:
        args = read_arguments(given)
        if args.table:
            text = report(args.folder, args.tasks, args.seeds)
            (RESULTS / "compared.md").write_text(text, encoding="utf-8")
            print(text)
        else:
            for task in args.tasks:
                TASKS[task].check()
                words = [*write_inputs(task, args.folder), "--seeds", args.seeds, "--jobs", args.jobs]
                print(f"\n{task}\n{compare(words)}")
    except StrategyError as mistake:
        print(f"benchmarks.strategies.compared: error: {mistake}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
