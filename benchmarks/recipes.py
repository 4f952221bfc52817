"""How fast is the recipe, beside the stock Trainer set up as transformers' example scripts set it up?

    python -m benchmarks.recipes                       # banking77 and MiniLM: speed, peak memory
    python -m benchmarks.recipes --quality             # in place of speed, the accuracy after the same steps, 3 seeds
    python -m benchmarks.recipes --rounds 5 --steps 60

Each measurement is a process of its own; the ways take turns, so that whatever else the machine does meets all of
them, and each round gives its own ratio. Printed: medians, and the lowest and highest ratio of all rounds.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from benchmarks import CHECKOUT, RESULTS
from benchmarks.strategies.results import machine
from benchmarks.strategies.tasks import DATA, minilm
from hf_strategies.errors import StrategyError

BATCH, LENGTH, RATE = 32, 128, 3e-4
Figures = dict[str, float]

WAYS = {
    "stock, padded to 128": "transformers' run_glue.py as it is: pad_to_max_length, evaluation batches of 8",
    "stock, dynamic padding": "the same with --pad_to_max_length False and evaluation batches of 64",
    "ours": "recipes/text_classification.py as it is: batches of like length, sorted evaluation",
}
OURS, DEFAULT, BEST = "ours", "stock, padded to 128", "stock, dynamic padding"


def files() -> dict[str, str]:
    """Return the three files of banking77; StrategyError when they are not beside the checkout."""
    paths = {split: DATA / "banking77" / f"{split}.json" for split in ("train", "validation", "test")}
    if missing := [str(file.name) for file in paths.values() if not file.is_file()]:
        raise StrategyError(f"banking77 is not in ../shared/data ({', '.join(missing)}): put it there")
    return {split: str(file) for split, file in paths.items()}


def stock(args: Namespace, folder: str) -> tuple[Figures, Figures]:
    """Train and evaluate with the stock Trainer, as run_glue.py does it."""
    import numpy as np
    from datasets import load_dataset
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        default_data_collator,
        set_seed,
    )

    padded = args.way == DEFAULT
    tokenizer = AutoTokenizer.from_pretrained(minilm())
    raw = load_dataset("json", data_files=files())
    labels = sorted(set(raw["train"]["label"]))

    def encode(batch: dict[str, list[Any]]) -> dict[str, Any]:
        padding = "max_length" if padded else False
        encoded = tokenizer(batch["text"], padding=padding, max_length=LENGTH, truncation=True)
        return {**encoded, "label": [labels.index(label) for label in batch["label"]]}

    set_seed(args.seed)
    rows = raw.map(encode, batched=True)
    trainer = Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(minilm(), num_labels=len(labels)),
        args=TrainingArguments(
            folder,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=8 if padded else 64,
            learning_rate=RATE,
            max_steps=args.steps,
            warmup_steps=0.1,
            lr_scheduler_type="linear",
            logging_strategy="no",
            save_strategy="no",
            seed=args.seed,
            disable_tqdm=True,
            report_to="none",
            dataloader_pin_memory=False,
        ),
        train_dataset=rows["train"],
        eval_dataset=rows["test"],
        processing_class=tokenizer,
        data_collator=default_data_collator if padded else DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda prediction: {
            "accuracy": float(np.mean(prediction.predictions.argmax(-1) == prediction.label_ids))
        },
    )
    return trainer.train().metrics, trainer.evaluate(metric_key_prefix="test")


def ours(args: Namespace, folder: str) -> tuple[Figures, Figures]:
    """Train and predict the test set with the recipe."""
    from hf_strategies.recipes.text_classification import main as recipe

    flags: dict[str, Any] = {
        "output_dir": folder,
        "model_name_or_path": minilm(),
        "train_file": files()["train"],
        "validation_file": files()["validation"],
        "test_file": files()["test"],
        "per_device_train_batch_size": BATCH,
        "max_length": LENGTH,
        "learning_rate": RATE,
        "max_steps": args.steps,
        "warmup_steps": 0.1,
        "lr_scheduler_type": "linear",
        "logging_strategy": "no",
        "eval_strategy": "no",
        "save_strategy": "no",
        "seed": args.seed,
        "do_eval": "false",
        "disable_tqdm": "true",
        "report_to": "none",
    }
    recipe([word for name, value in flags.items() for word in (f"--{name}", str(value))])
    results = json.loads(Path(folder, "all_results.json").read_text(encoding="utf-8"))
    return results, results


def measure(args: Namespace) -> Figures:
    """Run one way in this process and return its figures."""
    with tempfile.TemporaryDirectory(prefix="recipes-") as folder:
        train, test = (ours if args.way == OURS else stock)(args, folder)
    return {
        "training samples/s": train["train_samples_per_second"],
        "evaluation samples/s": test["test_samples_per_second"],
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "accuracy": 100 * test["test_accuracy"],
    }


def measured(way: str, steps: int, seed: int) -> Figures:
    """Measure one way in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.recipes", "--way", way, "--steps", str(steps), "--seed", str(seed)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{way}: {done.stderr[-2000:]}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def speed_table(rounds: Sequence[dict[str, Figures]]) -> str:
    """Tabulate the medians of all rounds, and the ratios of ours to each other way round by round."""
    names = ["training samples/s", "evaluation samples/s", "peak MiB"]
    lines = [f"|way|{'|'.join(names)}|", "|-|" + "-|" * len(names)]
    for way in WAYS:
        lines.append(f"|{way}|" + "|".join(f"{median(r[way][name] for r in rounds):.0f}" for name in names) + "|")
    for other in (DEFAULT, BEST):
        ratios = [[r[OURS][name] / r[other][name] for r in rounds] for name in names]
        cells = "|".join(f"**{median(each):.2f}** ({min(each):.2f} to {max(each):.2f})" for each in ratios)
        lines.append(f"|ours / {other}|{cells}|")
    return "\n".join(lines)


def quality_table(accuracies: dict[str, list[float]]) -> str:
    """Tabulate the test accuracy of each way: mean and standard deviation over the seeds."""
    lines = ["|way|test accuracy, each seed|mean ± standard deviation|", "|-|-|-|"]
    for way, values in accuracies.items():
        each = ", ".join(f"{value:.1f}" for value in values)
        lines.append(f"|{way}|{each}|{mean(values):.1f} ± {stdev(values) if len(values) > 1 else 0.0:.1f}|")
    return "\n".join(lines)


def compare_speed(args: Namespace) -> str:
    """Measure all rounds and return the report."""
    rounds = []
    for number in range(args.rounds):
        rounds.append({way: measured(way, args.steps, number) for way in WAYS})
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr, flush=True)
    about = f"{args.steps} steps of {BATCH}, the test set of 3,080; {args.rounds} rounds."
    return f"# The recipe beside the example script: speed\n\n{_where()} {about}\n\n{speed_table(rounds)}\n"


def compare_quality(args: Namespace) -> str:
    """Train both ways with three seeds and return the report."""
    values: dict[str, list[float]] = {BEST: [], OURS: []}
    for seed in range(3):
        for way, accuracies in values.items():
            accuracies.append(measured(way, args.quality, seed)["accuracy"])
            print(f"seed {seed}, {way}: {accuracies[-1]:.2f}", file=sys.stderr, flush=True)
    about = f"{args.quality} steps of {BATCH}, peak {RATE:g}, linear; three seeds."
    return f"# The recipe beside the example script: quality\n\n{_where()} {about}\n\n{quality_table(values)}\n"


def _where() -> str:
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    return f"{machine(f'{threads} threads')}\n\nbanking77, all-MiniLM-L6-v2, fp32,"


def main() -> int:
    """Measure, print and write; a user's mistake is one line and exit code 2."""
    parser = ArgumentParser(
        prog="python -m benchmarks.recipes", description="Time the recipe beside the stock Trainer."
    )
    parser.add_argument("--rounds", type=int, default=3, help="times that each way is measured (3)")
    parser.add_argument("--steps", type=int, default=40, help="training steps of a measurement (40)")
    parser.add_argument(
        "--quality", type=int, nargs="?", const=280, default=0, help="compare the accuracy after so many steps (280)"
    )
    parser.add_argument("--way", choices=WAYS, help="measure this one here, and print its figures as JSON")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        if args.way:
            print(json.dumps(measure(args)))
            return 0
        files(), minilm()
        text = compare_quality(args) if args.quality else compare_speed(args)
    except StrategyError as mistake:
        print(f"benchmarks.recipes: error: {mistake}", file=sys.stderr)
        return 2
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / ("recipes_quality.md" if args.quality else "recipes.md")).write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
