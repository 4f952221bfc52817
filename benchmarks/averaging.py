"""What an average of the weights costs at each optimizer step, beside the step itself.

    python -m benchmarks.averaging                                   # weights as large as BERT-base's
    python -m benchmarks.averaging --layers 2 --hidden 128 --rounds 2 --output -

A BERT of random weights trains on random tokens in a plain loop: forward, backward and AdamW. After each step, each
average of the table is updated, and put into the model and taken out as for an evaluation; so all rows are timed in
turns, in one process. Times are processor times, summed over the threads, which other processes disturb less. Memory
is that of the average's tensors and, in an evaluation, of the raw weights that are set aside.
"""

import statistics
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks import RESULTS

VOCABULARY = 30522
AVERAGES = ("ema(over=100)", "tail(over=100)")
Row = dict[str, str]


def timed(work: Callable[[], Any]) -> float:
    """Return the processor time of ``work``, in milliseconds."""
    start = time.process_time()
    work()
    return 1e3 * (time.process_time() - start)


def mebibytes(tensors: Iterable[Any]) -> str:
    """Return the size of tensors, in MiB."""
    return f"{sum(tensor.nbytes for tensor in tensors) / 2**20:.0f}"


def spread(times: list[float]) -> str:
    """Write the median and, in brackets, the least and the most."""
    return f"{statistics.median(times):.1f} [{min(times):.1f}, {max(times):.1f}]"


def training_step(args: Namespace, dtype: Any) -> tuple[Any, Callable[[], None]]:
    """Return a model with weights of a type, and a function that makes an optimizer step."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=args.hidden,
        num_hidden_layers=args.layers,
        num_attention_heads=args.hidden // 64,
        intermediate_size=4 * args.hidden,
    )
    model = BertForSequenceClassification(config).to(dtype)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    tokens = torch.randint(1000, VOCABULARY, (args.batch, args.length))
    labels = torch.randint(0, 2, (args.batch,))

    def step() -> None:
        model(input_ids=tokens, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return model, step


def measured(args: Namespace, dtype: Any) -> list[Row]:
    """Return the rows of weights of a type: one for each average."""
    from hf_strategies.averaging import Average
    from hf_strategies.pytorch.averaged_weights import AveragedWeights

    model, step = training_step(args, dtype)
    step()
    plans = {text: Average.read(text).plan(total_steps=1000) for text in AVERAGES}
    kept = {text: AveragedWeights(model, plan.slots) for text, plan in plans.items()}
    for text, average in kept.items():
        average.update([1.0] * plans[text].slots)
    steps: list[float] = []
    updates: dict[str, list[float]] = {text: [] for text in kept}
    swaps: dict[str, list[float]] = {text: [] for text in kept}
    for n in range(2, args.rounds + 3):  # the first is not counted
        steps.append(timed(step))
        for text, average in kept.items():
            coefficients = [c if 0 < c < 1 else 0.01 for c in plans[text].coefficients(n + 100)]
            updates[text].append(timed(lambda of=average, by=coefficients: of.update(by)))
            swaps[text].append(timed(lambda of=average: (of.swap_in(0), of.swap_out())))
    weights = sum(parameter.numel() for parameter in model.parameters())
    return [
        {
            "weights": f"{weights / 1e6:.0f}M {str(dtype).removeprefix('torch.')}",
            "average": f"`{text}`",
            "optimizer step, ms": spread(steps[1:]),
            "update, ms": spread(updates[text][1:]),
            "share of the step": f"{statistics.median(updates[text][1:]) / statistics.median(steps[1:]):.1%}",
            "swap in and out, ms": spread(swaps[text][1:]),
            "memory, MiB": mebibytes(
                t for slot in range(plans[text].slots) for t in kept[text].tensors(slot).values()
            ),
            "more in an evaluation, MiB": mebibytes(model.parameters()),
        }
        for text in kept
    ]


def table(rows: list[Row]) -> str:
    """Return the rows as a table in Markdown."""
    names = list(rows[0])
    lines = [names, ["-"] * len(names), *([row[name] for name in names] for row in rows)]
    return "\n".join(f"|{'|'.join(line)}|" for line in lines)


def machine() -> str:
    """Return the processor and the number of threads."""
    import torch

    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else "an unnamed CPU"
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def main() -> None:
    """Measure, print the table and write it."""
    parser = ArgumentParser(prog="python -m benchmarks.averaging", description="Cost of an average of the weights.")
    parser.add_argument("--layers", type=int, default=12, help="of the model (12)")
    parser.add_argument("--hidden", type=int, default=768, help="its width, a multiple of 64 (768)")
    parser.add_argument("--batch", type=int, default=8, help="examples of a step (8)")
    parser.add_argument("--length", type=int, default=128, help="tokens of an example (128)")
    parser.add_argument("--rounds", type=int, default=7, help="steps that are timed (7)")
    parser.add_argument("--threads", type=int, default=0, help="of torch (all)")
    parser.add_argument("--output", default=str(RESULTS / "averaging.md"), help="file of the table, or - for none")
    args = parser.parse_args()
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    rows = [row for dtype in (torch.float32, torch.bfloat16) for row in measured(args, dtype)]
    size = f"{args.layers} layers of {args.hidden}, batches of {args.batch} x {args.length} tokens"
    text = (
        f"# Cost of an average of the weights\n\n{machine()}; {size}. Processor times: medians over {args.rounds}"
        f" steps, with the least and the most.\n\n{table(rows)}\n"
    )
    if args.output != "-":
        Path(args.output).parent.mkdir(exist_ok=True)
        Path(args.output).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
