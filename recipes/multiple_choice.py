r"""Fine-tune an encoder to choose, of several endings, the one that fits (SWAG).

    # nothing named: how docstrings of functions begin, and a small BERT, no
    # network
    accelerate launch recipes/multiple_choice.py --early_stopping_patience 3

    # your files (sent1, sent2, ending0 ... endingN, label), your model, a
    # schedule by name
    accelerate launch recipes/multiple_choice.py \
        --model_name_or_path bert-base-uncased --train_file train.csv \
        --validation_file dev.csv --test_file test.csv \
        --lr_scheduler_type exponential_warmup_cosine_decay --warmup_steps 0.1 \
        --num_train_epochs 10 --early_stopping_patience 3 \
        --early_stopping_monitor accuracy

    # a data set of the Hub; questions with a column of lists of answers, of
    # which rows may have different numbers
    accelerate launch recipes/multiple_choice.py --dataset_name allenai/swag \
        --dataset_config_name regular
    accelerate launch recipes/multiple_choice.py --train_file quiz.json \
        --context_column question --choices_column answers --label_column right

A label is the letter of the right ending (A, B, ...), its index, its text, or,
where the choices have labels as in ARC and CommonsenseQA, one of these; it
means the same in all rows of all files. From the installed package: accelerate
launch -m hf_strategies.recipes.multiple_choice ... What is written to
--output_dir: the model, all_results.json, predictions.jsonl,
trainer_state.json, the model card README.md and, with --figure, training.png.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import AutoModelForMultipleChoice, Trainer

from hf_strategies.finetune.command_line import run_command
from hf_strategies.finetune.flags import read_flags
from hf_strategies.finetune.metrics import ComputeMetrics, metric_names
from hf_strategies.finetune.model import load_config, load_model
from hf_strategies.finetune.multiple_choice.data import (
    ChoiceArguments,
    ChoiceCollator,
    ChoiceData,
    encode,
    load_choices,
    most_endings,
)
from hf_strategies.finetune.multiple_choice.metrics import (
    CHOICE_METRICS,
    choice_baselines,
    decode_choices,
    likeliest_endings,
)
from hf_strategies.finetune.multiple_choice.trainer import ChoiceTrainer, choice_loss
from hf_strategies.finetune.predictions import (
    Results,
    compare_with_baselines,
    predict_in_order,
    with_truth,
    write_predictions,
)
from hf_strategies.finetune.preflight import check_schedule, prepare_run
from hf_strategies.finetune.run import run_trainer
from hf_strategies.finetune.tokenizer import longest_input, make_tokenizer
from hf_strategies.finetune.trainer import make_trainer, padding_multiple


def main(argv: Sequence[str] | None = None) -> Trainer:
    """Run the recipe with the flags in ``argv``; return its Trainer."""
    flags = read_flags(ChoiceArguments, argv, __doc__ or "", metric_names(CHOICE_METRICS))
    config = load_config(flags.model)
    with flags.run.main_process_first():
        data = load_choices(flags.data, seed=flags.run.seed)
    prepare_run(flags.run, data.splits, pretrained=config is not None)
    check_schedule(flags.run, data.splits)
    tokenizer = make_tokenizer(flags.model, config, data.texts, flags.run)
    length = longest_input(flags.model, config, tokenizer)
    with flags.run.main_process_first():
        encoded = encode(flags.data, data, tokenizer, length)
    model = load_model(AutoModelForMultipleChoice, flags.model, config, tokenizer, fixed=not flags.run.do_train)
    trainer = make_trainer(
        flags,
        model,
        tokenizer,
        encoded,
        collator=ChoiceCollator(tokenizer, pad_to_multiple_of=padding_multiple(flags, length)),
        metrics=ComputeMetrics(CHOICE_METRICS, decode_choices),
        loss=choice_loss(flags.run.label_smoothing_factor),
        trainer_class=ChoiceTrainer,
        endings=most_endings(encoded),
    )
    run_trainer(
        trainer,
        encoded,
        predict=lambda: predict_test_set(trainer, data, encoded),
        data=data.name,
        task="multiple-choice",
    )
    return trainer


def predict_test_set(trainer: Trainer, data: ChoiceData, encoded: DatasetDict) -> Results:
    """Predict the test set; return the metrics of this model and, if asked for, of the baselines."""
    rows = data.splits["test"]
    outputs, metrics = predict_in_order(trainer, encoded["test"])
    write_predictions(trainer, data.given, with_truth(rows, "label", chosen(rows, outputs)))
    if "label" not in rows.column_names:
        return {}

    def baselines() -> Results:
        return choice_baselines(data.splits["train"], rows)

    return compare_with_baselines(trainer, metrics, CHOICE_METRICS, baselines)


def chosen(rows: Dataset, logits: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield for each row the index, the text and the probability of its likeliest ending, and all probabilities."""
    likeliest, endings = likeliest_endings(logits).tolist(), rows["endings"]
    for texts, best, every in zip(endings, likeliest, torch.from_numpy(logits).softmax(dim=-1).tolist(), strict=True):
        line = {"prediction": best, "prediction_text": texts[best], "probability": every[best]}
        yield {**line, "probabilities": every[: len(texts)]}


if __name__ == "__main__":
    run_command(main)
