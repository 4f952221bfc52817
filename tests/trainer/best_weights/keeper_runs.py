"""Trainings of a small BERT in which a callback keeps the best weights, in one process or several."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from hf_strategies.trainer.best_weights.keeper import BestKeeper
from tests.trainer.bert_runs import bert, examples
from tests.trainer.placements import digest, whole_weights

SCORES = [0.5, 0.6, 0.8, 0.7, 0.75, 0.7, 0.6]  # best at step 3


class KeepBest(TrainerCallback):
    """Keep the best weights by ``eval_score``, restore them at the end and, if told to, after an evaluation too."""

    def __init__(self, where: str = "memory", *, optimizer: bool = False, rewind_at: int | None = None) -> None:
        self.where, self.optimizer, self.rewind_at = where, optimizer, rewind_at
        self.restored: bool | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        optimizer = kwargs["optimizer"] if self.optimizer else None
        self.keeper = BestKeeper(kwargs["model"], args, "best", self.where, optimizer)
        self.best, self.restored = -1.0, None
        for entry in state.log_history:
            if entry.get("eval_score", -1.0) > self.best:
                self.best, step = entry["eval_score"], entry["step"]
        if self.best > -1.0:
            self.keeper.resume(state, step, "score")

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        score = kwargs["metrics"]["eval_score"]
        self.keeper.evaluated(state, control, score > self.best)
        self.best = max(score, self.best)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.keeper.on_save(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.rewind_at:
            self.restored = self.keeper.restore()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.rewind_at is None:
            self.restored = self.keeper.restore()


class Record(TrainerCallback):
    """Remember the whole weights after each step; given after what it watches, whose state it must not touch."""

    def __init__(self, at_evaluation: bool = True) -> None:
        self.at: dict[int, str] = {}
        event = "on_evaluate" if at_evaluation else "on_step_begin"
        setattr(self, event, self._remember)

    def _remember(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.at[state.global_step] = digest(whole_weights(kwargs["model"]))


def trainer_of(
    folder: Path, callbacks: Sequence[TrainerCallback], scores: Sequence[float] = SCORES, **options: Any
) -> Trainer:
    """A Trainer over four examples, all four in every step, so that a step depends on the state alone."""
    settings: dict[str, Any] = {
        "per_device_train_batch_size": 4,
        "learning_rate": 0.01,
        "lr_scheduler_type": "constant",
        "max_steps": 5,
        "eval_strategy": "steps",
        "eval_steps": 1,
        "save_strategy": "no",
        "average_tokens_across_devices": False,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "use_cpu": True,
    }
    model = options.pop("model", None)
    given = list(scores)
    trainer_class: type[Trainer] = options.pop("trainer_class", Trainer)
    trainer = trainer_class(
        model=bert() if model is None else model,
        args=TrainingArguments(output_dir=str(folder), **(settings | options)),
        train_dataset=examples(4) * 8,
        eval_dataset=examples(4),
        callbacks=list(callbacks),
        compute_metrics=lambda _: {"score": given.pop(0)},
    )
    # In order: the first releases of transformers 5 have no train_sampling_strategy.
    trainer._get_train_sampler = lambda *_: SequentialSampler(trainer.train_dataset)  # type: ignore
    return trainer
