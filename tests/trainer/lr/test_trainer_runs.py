"""Each registered name in real runs of the stock Trainer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hf_strategies.auto  # noqa: F401
from hf_strategies import SCHEDULES, schedule
from tests.fresh_process import FreshProcesses
from tests.tiny import learning_rates

every_name = pytest.mark.parametrize("name", SCHEDULES)


PHASES = {"phases": [{"shape": "linear", "length": 0.5, "start": 0, "end": 1}, {"shape": "cosine"}]}


def plan(name: str) -> dict[str, Any]:
    """The warmup steps and the parameters that a name is run with."""
    return {
        "warmup_steps": 3 if SCHEDULES[name].has_warmup else 0,
        "lr_scheduler_kwargs": dict(PHASES) if name == "phases" else {},
    }


def settings(name: str, **options: Any) -> dict[str, Any]:
    return {"lr_scheduler_type": name, "max_steps": 10} | plan(name) | options


def expected(name: str) -> list[float]:
    parts = plan(name)
    return schedule(
        name, total_steps=10, warmup_steps=parts["warmup_steps"], **parts["lr_scheduler_kwargs"]
    ).learning_rates(0.05)


@every_name
def test_the_trainer_logs_exactly_the_schedule(make_trainer: Callable[..., Any], name: str) -> None:
    trainer = make_trainer(**settings(name))
    trainer.train()
    assert learning_rates(trainer) == expected(name)


@every_name
def test_gradient_accumulation_counts_optimizer_steps(make_trainer: Callable[..., Any], name: str) -> None:
    trainer = make_trainer(**settings(name, gradient_accumulation_steps=4, per_device_train_batch_size=1))
    trainer.train()
    assert learning_rates(trainer) == expected(name)


@every_name
def test_a_resumed_run_has_the_same_rates_to_the_bit(make_trainer: Callable[..., Any], name: str) -> None:
    options = settings(name, save_strategy="steps", save_steps=5)
    make_trainer(**options).train()
    resumed = make_trainer(**options)
    resumed.train(resume_from_checkpoint=str(Path(resumed.args.output_dir) / "checkpoint-5"))
    assert learning_rates(resumed) == expected(name)


def test_parameters_come_through_lr_scheduler_kwargs(make_trainer: Callable[..., Any]) -> None:
    options = settings("linear_warmup_step_decay", lr_scheduler_kwargs={"gamma": 0.5, "step_size": 2})
    trainer = make_trainer(**options)
    trainer.train()
    ratios = [0, 1 / 3, 2 / 3, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert learning_rates(trainer) == pytest.approx([0.05 * ratio for ratio in ratios], abs=1e-15)


def test_a_second_train_has_the_schedule_from_the_start(make_trainer: Callable[..., Any]) -> None:
    trainer = make_trainer(**settings("linear_warmup_cosine_decay"))
    trainer.train()
    trainer.train()
    assert learning_rates(trainer) == expected("linear_warmup_cosine_decay")


def test_every_subclass_of_the_trainer_takes_the_names(make_trainer: Callable[..., Any]) -> None:
    from dataclasses import dataclass

    from transformers import Trainer, TrainingArguments

    class TheirTrainer(Trainer):
        """As TRL, sentence-transformers and SetFit subclass it."""

    @dataclass
    class TheirArguments(TrainingArguments):
        """As their configs subclass it."""

        max_length: int = 8

    options = settings("exponential_warmup_step_decay", trainer_class=TheirTrainer, arguments_class=TheirArguments)
    trainer = make_trainer(**options)
    trainer.train()
    assert learning_rates(trainer) == expected("exponential_warmup_step_decay")


SCRIPT = """
import torch
from transformers import HfArgumentParser, Trainer, TrainingArguments
from hf_strategies import EarlyStopping  # the one line

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)
    def forward(self, x, labels):
        y = self.linear(x).squeeze(-1)
        return {"loss": (y - labels).square().mean(), "logits": y}

(args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses()
data = [{"x": torch.tensor([float(i)]), "labels": torch.tensor(float(i))} for i in range(8)]
trainer = Trainer(Model(), args, train_dataset=data, eval_dataset=data, callbacks=[EarlyStopping(patience=2)])
trainer.train()
print("rates", [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry])
"""


def test_one_line_in_a_script_that_people_have_is_enough(tmp_path: Path, fresh: FreshProcesses) -> None:
    flags = "--output_dir out --use_cpu --report_to none --disable_tqdm true --max_steps 6 --logging_steps 1"
    flags += " --eval_strategy steps --eval_steps 3 --save_strategy no --learning_rate 1.0"
    flags += " --lr_scheduler_type exponential_warmup_cosine_decay --warmup_steps 2"
    done = fresh.run(SCRIPT, tmp_path, [*flags.split(), "--lr_scheduler_kwargs", '{"warmup_start": 0.25}'])
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("rates"))
    # warmup from 1/4 over 1/2; then half a cosine over 4 steps: 1, (1 + cos 45)/2, 1/2, (1 - cos 45)/2
    assert eval(line.removeprefix("rates ")) == pytest.approx([0.25, 0.5, 1.0, 0.8535533906, 0.5, 0.1464466094])
