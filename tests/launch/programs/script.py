"""A script that knows nothing of this package: a linear model and the stock Trainer. It prints its state as JSON."""

import argparse
import json
import sys

import torch
from torch import nn
from transformers import HfArgumentParser, Trainer, TrainingArguments

PARSER = HfArgumentParser(TrainingArguments)  # made at import, as some scripts do


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Linear(2, 2)
        self.head = nn.Linear(2, 1)

    def forward(self, x, labels):
        out = self.head(self.body(x)).squeeze(-1)
        return {"loss": (out - labels).square().mean(), "logits": out}


def rows(count):
    generator = torch.Generator().manual_seed(1)
    return [{"x": torch.randn(2, generator=generator), "labels": torch.tensor(1.0)} for _ in range(count)]


class OwnTrainer(Trainer):
    """A subclass, as scripts have them."""


def main():
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--own_optimizer", action="store_true")
    own.add_argument("--own_scheduler", action="store_true")
    own.add_argument("--scores", type=float, nargs="*", default=[])
    options, words = own.parse_known_args()
    (args,) = PARSER.parse_args_into_dataclasses(words)
    scores = list(options.scores)
    model, optimizers = Line(), (None, None)
    if options.own_optimizer or options.own_scheduler:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer) if options.own_scheduler else None
        optimizers = (optimizer, scheduler)
    trainer = OwnTrainer(
        model,
        args,
        train_dataset=rows(16),
        eval_dataset=rows(8),
        compute_metrics=(lambda _: {"score": scores.pop(0)}) if scores else None,
        optimizers=optimizers,
    )
    trainer.train()
    state = trainer.state
    rates = [entry["learning_rate"] for entry in state.log_history if "learning_rate" in entry]
    found = {
        "steps": state.global_step,
        "rates": rates,
        "records": state.stateful_callbacks,
        "world": args.world_size,
    }
    found["callbacks"] = [type(each).__name__ for each in trainer.callback_handler.callbacks]
    if trainer.is_world_process_zero():
        print("STATE " + json.dumps(found))
    print("argv", sys.argv[1:3], file=sys.stderr)


if __name__ == "__main__":
    main()
