"""Average weights on one GPU: a line for each check, and exit code 1 if one fails.

``PYTHONPATH=. python tests/trainer/programs/averaging_on_gpu.py [--cpu] [--inductor]``. It needs torch, transformers
and accelerate alone. On a CPU the checks of fp16 are left out, because a GradScaler needs a GPU.
"""

import argparse
import hashlib
import os
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # so that two runs on a GPU have the same bits
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from hf_strategies import EarlyStopping, WeightAveraging
from hf_strategies.pytorch.averaged_weights import AveragedWeights

STEPS = 16
Weights = dict[str, Tensor]


class Model(BertForSequenceClassification):
    """A small BERT whose loss can be multiplied, so that fp16 overflows in the first steps."""

    loss_factor = 1.0

    def forward(self, input_ids: Tensor, labels: Tensor) -> Any:
        output = super().forward(input_ids=input_ids, labels=labels)
        output.loss = output.loss * self.loss_factor
        return output


class Recorder(TrainerCallback):
    """The weights after each step, and those that each evaluation sees, in CPU memory."""

    def __init__(self) -> None:
        self.after: dict[int, Weights] = {}
        self.evaluated: dict[int, Weights] = {}
        self.skipped: list[int] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.after[state.global_step] = copied(kwargs["model"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step = state.global_step
        self.after[step] = copied(kwargs["model"])
        if bits(self.after[step]) == bits(self.after[step - 1]):  # accelerate misses those of fused optimizers
            self.skipped.append(step)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.evaluated[state.global_step] = copied(kwargs["model"])


def copied(model: nn.Module) -> Weights:
    return {name: each.detach().cpu().clone() for name, each in model.named_parameters()}


def bits(weights: Weights) -> str:
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(weights[name].contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def all_bits(recorded: dict[int, Weights]) -> dict[int, str]:
    return {step: bits(weights) for step, weights in recorded.items()}


def ema_4(recorded: Sequence[Weights]) -> Weights:
    """``ema(over=4)`` as an explicit sum in float64."""
    shares = [1.0]
    for n in range(2, len(recorded) + 1):
        c = 2 / (min(4, n) + 1)
        shares = [share * (1 - c) for share in shares] + [c]
    pairs = list(zip(shares, recorded, strict=True))
    return {name: sum((s * each[name].double() for s, each in pairs), torch.zeros(())) for name in recorded[0]}


def difference(found: Weights, reference: Weights) -> float:
    """The largest difference, in units of the largest weight of its tensor."""
    return max(
        ((found[name].double() - value).abs().max() / value.abs().max().clamp(min=1e-30)).item()
        for name, value in reference.items()
    )


class Run:
    """One training of `STEPS` steps, evaluated at each."""

    def __init__(self, folder: Path, on_cpu: bool, average: bool = True, **options: Any) -> None:
        set_seed(3)
        config = BertConfig(
            vocab_size=500,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=128,
            attn_implementation="eager",  # the backward pass of others may not be deterministic
        )
        model = Model(config).to(options.pop("dtype", torch.float32))
        model.loss_factor = options.pop("loss_factor", 1.0)
        where = options.pop("weights_in", "device")
        callbacks = list(options.pop("callbacks", ()))
        if average:
            callbacks.append(WeightAveraging("ema(over=4)", weights_in=where, keep_raw=True))
        self.recorder = Recorder()
        settings: dict[str, Any] = {
            "per_device_train_batch_size": 8,
            "learning_rate": 1e-3,
            "lr_scheduler_type": "constant",
            "max_steps": STEPS,
            "eval_strategy": "steps",
            "eval_steps": 1,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": on_cpu,
        }
        left = list(options.pop("scores", [0.5] * 100))
        self.resume = options.pop("resume", None)
        self.trainer = Trainer(
            model=model,
            args=TrainingArguments(output_dir=str(folder), **(settings | options)),
            train_dataset=examples(256),
            eval_dataset=examples(16),
            callbacks=[*callbacks, self.recorder],
            compute_metrics=lambda _: {"score": left.pop(0)},
        )

    def train(self) -> "Run":
        self.trainer.train(resume_from_checkpoint=self.resume)
        return self

    def check_reference(self, tolerance: float) -> str:
        """Assert that each evaluation saw the average of the steps that were not skipped; return the difference."""
        recorder, worst = self.recorder, 0.0
        for step, seen in recorder.evaluated.items():
            counted = [recorder.after[n] for n in range(1, step + 1) if n not in recorder.skipped]
            if counted:
                worst = max(worst, difference(seen, ema_4(counted)))
            else:
                assert bits(seen) == bits(recorder.after[step])
        assert 0 < worst <= tolerance, worst
        last = max(recorder.evaluated)
        assert bits(copied(self.trainer.model)) == bits(recorder.evaluated[last])
        return f"largest difference from float64 {worst:.1e}"


def examples(count: int) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 500, (count, 12), generator=generator)
    return [{"input_ids": row, "labels": torch.tensor(index % 2)} for index, row in enumerate(tokens)]


def checks(folder: Path, on_cpu: bool, inductor: bool) -> dict[str, Callable[[], str]]:
    """The checks by their names; each returns what it found, and raises if that is wrong."""

    def alike(name: str, tolerance: float, **options: Any) -> str:
        run = Run(folder / name, on_cpu, **options).train()
        alone = Run(folder / f"{name}_alone", on_cpu, average=False, **options).train()
        assert all_bits(run.recorder.after) == all_bits(alone.recorder.after), "the raw weights differ"
        return f"{run.check_reference(tolerance)}, raw weights bit for bit"

    def fp16(optimizer: str) -> str:
        options = {"fp16": True, "loss_factor": 512.0, "max_grad_norm": 1.0, "optim": optimizer}
        run = Run(folder / f"fp16_{optimizer}", on_cpu, **options).train()
        skipped = run.recorder.skipped
        assert 0 < len(skipped) < STEPS - 4, skipped
        record = run.trainer.state.stateful_callbacks["weight_averaging"]
        assert record["updates"] == STEPS - len(skipped), record
        return f"{run.check_reference(5e-6)}, skipped steps {skipped} are not averaged"

    def resumed(name: str, **options: Any) -> str:
        saving = {"save_strategy": "steps", "save_steps": 2} | options
        whole = Run(folder / name, on_cpu, **saving).train().recorder
        for step in (2, 10):
            run = Run(folder / name, on_cpu, resume=str(folder / name / f"checkpoint-{step}"), **saving).train()
            later = {n: value for n, value in all_bits(whole.after).items() if n >= step}
            assert all_bits(run.recorder.after) == later, f"raw weights differ from step {step}"
            later = {n: value for n, value in all_bits(whole.evaluated).items() if n > step}
            assert all_bits(run.recorder.evaluated) == later, f"averages differ from step {step}"
        return "from steps 2 and 10, raw and averaged weights bit for bit"

    def best() -> str:
        scores = [0.1, 0.2, 0.9, 0.3, 0.4, 0.5]
        run = Run(folder / "best", on_cpu, callbacks=[EarlyStopping("score", 3, mode="max")], scores=scores).train()
        assert run.trainer.state.global_step == 6
        assert bits(copied(run.trainer.model)) == bits(run.recorder.evaluated[3])
        raw = BertForSequenceClassification.from_pretrained(folder / "best" / "raw")
        assert bits(copied(raw)) == bits(run.recorder.after[6])
        return "the average of step 3 is restored after step 6, raw/ has the raw weights of step 6"

    backend = "inductor" if inductor else "aot_eager"
    found: dict[str, Callable[[], str]] = {
        "fp32": lambda: alike("fp32", 5e-6),
        "bf16 autocast": lambda: alike("autocast", 5e-6, bf16=True),
        "bf16 weights": lambda: alike("bf16", 1 / 128, dtype=torch.bfloat16),
        "average in CPU memory": lambda: alike("cpu", 5e-6, weights_in="cpu"),
        f"compiled ({backend})": lambda: alike("compiled", 5e-6, torch_compile=True, torch_compile_backend=backend),
        "resume": lambda: resumed("resume"),
        "best weights and raw/": best,
        "cost per update of 110M weights": lambda: cost("cpu" if on_cpu else "cuda"),
    }
    if not on_cpu:
        found |= {"fp16 with skipped steps": lambda: fp16("adamw_torch")}
        found |= {"fp16 with steps that a fused optimizer skips": lambda: fp16("adamw_torch_fused")}
        found |= {"resume in fp16": lambda: resumed("resume_fp16", fp16=True, loss_factor=512.0)}
    return found


def cost(device: str) -> str:
    """Milliseconds of an update for weights as large as BERT-base's; median of 5."""
    lines = []
    for dtype, where in ((torch.float32, False), (torch.bfloat16, False), (torch.float32, True)):
        layers = [nn.Linear(768, 3072) for _ in range(47)]
        model = nn.Sequential(*layers).to(device=device, dtype=dtype)
        average, times = AveragedWeights(model, in_cpu_memory=where), []
        for _ in range(6):
            if device == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            average.update([0.1])
            if device == "cuda":
                torch.cuda.synchronize()
            times.append(1e3 * (time.perf_counter() - start))
        place = "CPU memory" if where else device
        lines.append(f"{str(dtype).removeprefix('torch.')} in {place} {statistics.median(times[1:]):.1f} ms")
    return ", ".join(lines)


def main() -> int:
    """Run the checks; return the number of those that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--inductor", action="store_true", help="compile by inductor, which takes a minute")
    given = parser.parse_args()
    torch.use_deterministic_algorithms(True, warn_only=True)
    name = "CPU" if given.cpu else torch.cuda.get_device_name(0)
    print(f"{name}, torch {torch.__version__}, transformers {transformers.__version__}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for title, check in checks(Path(folder), given.cpu, given.inductor).items():
            start = time.perf_counter()
            try:
                line = f"ok    {title}: {check()}"
            except Exception:
                failed += 1
                line = f"FAIL  {title}: {traceback.format_exc()}"
            print(f"{line} [{time.perf_counter() - start:.1f} s]", flush=True)
    print(f"{failed} failed", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(min(1, main()))
