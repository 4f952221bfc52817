r"""Fine-tune an encoder to tag words: named entities, parts of speech.

    # nothing named: which words of documentation are code, and a small BERT;
    # no network
    accelerate launch recipes/token_classification.py --baselines

    # your files (json, jsonl, parquet or CoNLL), your model, a schedule by
    # name, the best weights by entity F1
    accelerate launch recipes/token_classification.py \
        --model_name_or_path bert-base-cased --train_file train.conll \
        --validation_file dev.conll --test_file test.conll \
        --lr_scheduler_type exponential_warmup_cosine_decay --warmup_steps 0.1 \
        --num_train_epochs 10 --early_stopping_patience 3 \
        --early_stopping_monitor f1

    # CoNLL-U, by one of its columns; columns of other CoNLL files by number,
    # here the third beside the words
    accelerate launch recipes/token_classification.py \
        --train_file en-train.conllu --tags_column xpos
    accelerate launch recipes/token_classification.py \
        --train_file train.tsv.conll --tokens_column 2 --tags_column 3

    # a data set of the Hub; its parts of speech
    accelerate launch recipes/token_classification.py \
        --dataset_name eriktks/conll2003 --tags_column pos_tags

From the installed package: accelerate launch -m
hf_strategies.recipes.token_classification ... What is written to --output_dir:
the model, all_results.json, predictions.jsonl, report.txt (and .json) with
precision, recall and F1 of each type, trainer_state.json, the model card
README.md and, with --figure, training.png. Metrics are precision, recall
and F1 of whole entities (seqeval) and the accuracy of words, where tags are
IOB, BIOES, BILOU or BMES; of other tags, accuracy and macro-F1. A sentence
longer than the model takes goes through it in several windows, and counts
whole.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from datasets import Dataset, DatasetDict
from transformers import AutoModelForTokenClassification, DataCollatorForTokenClassification, Trainer

from hf_strategies.finetune.class_weights import balanced_weights, weighted_loss
from hf_strategies.finetune.command_line import notify, run_command
from hf_strategies.finetune.flags import check_metrics, read_flags
from hf_strategies.finetune.metrics import metric_names
from hf_strategies.finetune.model import label_names, load_config, load_model, trained_labels
from hf_strategies.finetune.predictions import (
    Results,
    compare_with_baselines,
    predict_in_order,
    with_truth,
    write_predictions,
)
from hf_strategies.finetune.preflight import check_schedule, prepare_run
from hf_strategies.finetune.run import run_trainer
from hf_strategies.finetune.token_classification.class_report import token_report
from hf_strategies.finetune.token_classification.data import TokenArguments, TokenData, choose_tags, load_tokens
from hf_strategies.finetune.token_classification.metrics import (
    ENTITY_METRICS,
    TAG_METRICS,
    tag_baselines,
    tag_metrics,
)
from hf_strategies.finetune.token_classification.schemes import hint_at_scheme
from hf_strategies.finetune.token_classification.tokenizer import encode_words_like_text
from hf_strategies.finetune.token_classification.trainer import SentenceTrainer
from hf_strategies.finetune.token_classification.windows import (
    TagOutputs,
    encode,
    label_ids,
    likeliest,
    tags_of_sentences,
    values_of_sentences,
)
from hf_strategies.finetune.tokenizer import longest_input, make_tokenizer
from hf_strategies.finetune.trainer import make_trainer, padding_multiple


def main(argv: Sequence[str] | None = None) -> Trainer:
    """Run the recipe with the flags in ``argv``; return its Trainer."""
    flags = read_flags(TokenArguments, argv, __doc__ or "", metric_names(ENTITY_METRICS, TAG_METRICS))
    config = load_config(flags.model)
    with flags.run.main_process_first():
        data = load_tokens(flags.data, seed=flags.run.seed)
    fixed = not flags.run.do_train
    tags = choose_tags(data, trained_labels(config), fixed=fixed)
    if flags.run.do_train and (hint := hint_at_scheme(tags)):
        notify(hint)
    check_metrics(flags, metric_names(tag_metrics(tags)))
    prepare_run(flags.run, data.splits, pretrained=config is not None)
    # A tokenizer that knows words by the space before them, as RoBERTa's does, needs one before the first word too.
    tokenizer = make_tokenizer(flags.model, config, data.texts, flags.run, add_prefix_space=True)
    encode_words_like_text(tokenizer)
    length = longest_input(flags.model, config, tokenizer)
    with flags.run.main_process_first():
        encoded = encode(flags.data, data, tokenizer, tags, length)
    check_schedule(flags.run, encoded)
    options = label_names(tags)
    model = load_model(AutoModelForTokenClassification, flags.model, config, tokenizer, fixed=fixed, **options)
    weights = [1.0] * len(tags)
    if flags.data.class_weights == "balanced" and "train" in encoded:
        weights = balanced_weights(label_ids(encoded["train"]), len(tags))
    trainer = make_trainer(
        flags,
        model,
        tokenizer,
        encoded,
        collator=DataCollatorForTokenClassification(tokenizer, pad_to_multiple_of=padding_multiple(flags, length)),
        reduce=likeliest,
        # The mean over the words of a step; the model's own loss is the mean of the means of its batches.
        loss=weighted_loss(weights, flags.run.label_smoothing_factor),
        trainer_class=SentenceTrainer,
        tags=tags,
    )
    run_trainer(
        trainer,
        encoded,
        predict=lambda: predict_test_set(trainer, data, encoded, tags),
        data=data.name,
        task="token-classification",
        report=partial(token_report, tags=tags),
    )
    return trainer


def predict_test_set(trainer: Trainer, data: TokenData, encoded: DatasetDict, tags: tuple[str, ...]) -> Results:
    """Predict the test set; return the metrics of this model and, if asked for, of the baselines."""
    rows = data.splits["test"]
    outputs, metrics = predict_in_order(trainer, encoded["test"])
    write_predictions(trainer, data.given, with_truth(rows, "tags", tagged(encoded["test"], outputs, tags)))
    if "tags" not in rows.column_names:
        return {}

    def baselines() -> Results:
        return tag_baselines(data.splits["train"], rows, tags)

    return compare_with_baselines(trainer, metrics, tag_metrics(tags), baselines)


def tagged(encoded: Dataset, outputs: TagOutputs, tags: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield for each sentence the likeliest tag of each word, and its probability."""
    predicted = tags_of_sentences(encoded, outputs[0], tags)
    for prediction, probability in zip(predicted, values_of_sentences(encoded, outputs[1]), strict=True):
        yield {"prediction": prediction, "probability": probability}


if __name__ == "__main__":
    run_command(main)
