"""How fast does the Trainer of the recipes train, and how much of the hardware does it use?

    python -m benchmarks.throughput                                   # BERT-base, 128 and 512 tokens, the GPU's best
    python -m benchmarks.throughput --lengths 128 --batches 64 256 --compile off on
    python -m benchmarks.throughput --layers 2 --hidden 128 --steps 8 --lengths 64 --batches 8      # on a CPU

A model of random weights trains on random tokens, in the precision that the recipes choose on this device. Every
line is a process of its own. The first steps, in which torch.compile compiles, are not timed. Model FLOP utilisation
counts 6 operations per weight and token and 12 * layers * hidden * length per token for attention (Chowdhery et al.
2022, appendix B), over the peak of the device.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from typing import Any

from benchmarks import CHECKOUT, RESULTS

os.environ.setdefault("HF_HUB_OFFLINE", "1")

PEAK_TFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0}
"""bf16 with dense matrices, from NVIDIA's data sheets; for another device give --peak_tflops."""
VOCABULARY = 30522
Figures = dict[str, Any]


def flops(args: Namespace, weights: int) -> float:
    """Return the operations of a training step for one example of ``length`` tokens.

    ``weights`` are those of the matrix products: without the embeddings, which are looked up.
    """
    return float(args.length * (6 * weights + 12 * args.layers * args.hidden * args.length))


def measure(args: Namespace) -> Figures:
    """Train once in this process and return what was measured."""
    import torch
    from datasets import Dataset
    from transformers import BertConfig, BertForSequenceClassification, TrainerCallback, default_data_collator

    from hf_strategies.finetune.arguments import RecipeArguments
    from hf_strategies.finetune.trainer import RecipeTrainer

    class Clock(TrainerCallback):
        """Stop the time from step ``skip`` on."""

        started = seconds = 0.0

        def on_step_end(self, run: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step in (args.skip, args.steps):
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                self.seconds = time.perf_counter() - self.started
                self.started = time.perf_counter()

    torch.manual_seed(0)
    rows = {
        "input_ids": torch.randint(1000, VOCABULARY, (args.batch * 16, args.length)).tolist(),
        "labels": torch.randint(0, 2, (args.batch * 16,)).tolist(),
    }
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=args.hidden,
        num_hidden_layers=args.layers,
        num_attention_heads=args.hidden // 64,
        intermediate_size=4 * args.hidden,
    )
    model, clock = BertForSequenceClassification(config), Clock()
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        run = RecipeArguments(
            output_dir=folder,
            max_steps=args.steps,
            per_device_train_batch_size=args.batch,
            learning_rate=1e-4,
            eval_strategy="no",
            save_strategy="no",
            logging_strategy="no",
            train_sampling_strategy="random",
            torch_compile=args.compiled == "on",
            disable_tqdm=True,
            report_to="none",
        )
        data = Dataset.from_dict(rows)
        trainer = RecipeTrainer(
            model=model, args=run, train_dataset=data, data_collator=default_data_collator, callbacks=[clock]
        )
        trainer.train()
    weights = sum(p.numel() for name, p in model.named_parameters() if "embeddings" not in name)
    return figures(args, args.batch * (args.steps - args.skip) / clock.seconds, weights, run.mixed_precision)


def figures(args: Namespace, speed: float, weights: int, precision: str) -> Figures:
    """Return a line of the table."""
    import torch

    on_gpu = torch.cuda.is_available()
    device = torch.cuda.get_device_name() if on_gpu else f"{torch.get_num_threads()} CPU threads"
    peak = args.peak_tflops or next((value for name, value in PEAK_TFLOPS.items() if name in device), None)
    memory = (
        torch.cuda.max_memory_allocated() if on_gpu else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    )
    return {
        "device": device,
        "precision": precision,
        "tokens": args.length,
        "batch": args.batch,
        "compile": args.compiled,
        "samples/s": f"{speed:.1f}",
        "TFLOP/s": f"{speed * flops(args, weights) / 1e12:.3g}",
        "utilisation": f"{speed * flops(args, weights) / peak / 1e12:.1%}" if peak else "-",
        "peak MiB": f"{memory / 2**20:.0f}",
    }


def table(lines: list[Figures]) -> str:
    """Return the lines as a table in Markdown."""
    names = list(lines[0])
    rows = [names, ["-"] * len(names), *([str(line[name]) for name in names] for line in lines)]
    return "\n".join(f"|{'|'.join(row)}|" for row in rows)


def measured(args: Namespace, **varied: Any) -> Figures:
    """Measure one line in a process of its own."""
    shared = {name: getattr(args, name) for name in ("layers", "hidden", "steps", "skip", "peak_tflops")}
    words = [word for name, value in {**shared, **varied}.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "benchmarks.throughput", *words]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"benchmarks.throughput: {varied}:\n{done.stderr[-2000:]}")
    line: Figures = json.loads(done.stdout.splitlines()[-1])
    print(line, file=sys.stderr, flush=True)
    return line


def main() -> None:
    """Measure every combination, print the table and write it."""
    parser = ArgumentParser(prog="python -m benchmarks.throughput", description="Measure the speed of training.")
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512], help="tokens of an example (128 512)")
    parser.add_argument("--batches", type=int, nargs="+", default=[64], help="examples of a step (64)")
    parser.add_argument("--compile", nargs="+", default=["off", "on"], choices=["off", "on"], help="(off on)")
    parser.add_argument("--layers", type=int, default=12, help="of the model (12)")
    parser.add_argument("--hidden", type=int, default=768, help="its width, a multiple of 64 (768)")
    parser.add_argument("--steps", type=int, default=120, help="steps in all (120)")
    parser.add_argument("--skip", type=int, default=0, help="steps before the timing (a quarter)")
    parser.add_argument("--peak_tflops", type=float, default=0.0, help="of the device, for the utilisation")
    for name, kind in (("length", int), ("batch", int), ("compiled", str)):
        parser.add_argument(f"--{name}", type=kind, help="measure this one here, and print it as JSON")
    args = parser.parse_args()
    args.skip = args.skip or max(1, args.steps // 4)
    if not 0 < args.skip < args.steps or args.hidden % 64:
        parser.error(
            f"skip={args.skip}, steps={args.steps}, hidden={args.hidden}: give 0 < skip < steps, 64 | hidden"
        )
    if args.length:
        print(json.dumps(measure(args)))
        return
    lines = [
        measured(args, length=length, batch=batch, compiled=compiled)
        for length in args.lengths
        for batch in args.batches
        for compiled in args.compile
    ]
    text = f"# Speed of training\n\n{args.layers} layers of {args.hidden}, random weights.\n\n{table(lines)}\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "throughput.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
