r"""Adapt an encoder to the language of a domain by masked language modelling.

    # nothing named: documentation sentences and a small BERT, no network
    accelerate launch recipes/masked_lm.py --early_stopping_patience 3 \
        --early_stopping_monitor perplexity

    # your texts (a .txt file has one on each line), your model, a schedule by
    # name
    accelerate launch recipes/masked_lm.py \
        --model_name_or_path bert-base-uncased --train_file notes.txt \
        --validation_file dev.txt --whole_word_mask true --block_size 256 \
        --lr_scheduler_type exponential_warmup_cosine_decay --warmup_steps 0.1 \
        --num_train_epochs 10 --early_stopping_patience 2 \
        --output_dir runs/adapted

    # then the task, from the adapted model
    accelerate launch recipes/text_classification.py \
        --model_name_or_path runs/adapted --train_file train.csv

From the installed package: accelerate launch -m
hf_strategies.recipes.masked_lm ... What is written to --output_dir: the model,
all_results.json, trainer_state.json, the model card README.md and, with
--figure, training.png. There is no predictions.jsonl, because predictions of
masked tokens are of no use.

A model without a head for masked tokens gets a new one. A pooler is not saved:
a task that needs one begins with a new one.

The lines of a set are packed into blocks, one after the other, and attend to
each other there; --pack false gives each line its own row. The masks of
training are drawn anew in each epoch; those of validation and test set are
always the same, so that perplexities can be compared. Perplexity is exp of the
mean negative log-likelihood over all masked tokens, and eval_loss is its
logarithm.
"""

from collections.abc import Sequence

from datasets import DatasetDict
from transformers import AutoModelForMaskedLM, Trainer

from hf_strategies.finetune.command_line import run_command
from hf_strategies.finetune.flags import read_flags
from hf_strategies.finetune.masked_lm.data import MaskedLMArguments, encode, load_lines
from hf_strategies.finetune.masked_lm.masking import MASKING_COLUMNS, Masker, MaskingCollator
from hf_strategies.finetune.masked_lm.metrics import LM_METRICS, decode_sums, row_sums, unigram_baseline
from hf_strategies.finetune.metrics import ComputeMetrics, metric_names
from hf_strategies.finetune.model import load_config, load_model
from hf_strategies.finetune.predictions import Results, compare_with_baselines, predict_in_order
from hf_strategies.finetune.preflight import check_schedule, prepare_run
from hf_strategies.finetune.run import run_trainer
from hf_strategies.finetune.tokenizer import longest_input, make_tokenizer
from hf_strategies.finetune.trainer import ExactLossTrainer, make_trainer, padding_multiple


def main(argv: Sequence[str] | None = None) -> Trainer:
    """Run the recipe with the flags in ``argv``; return its Trainer."""
    flags = read_flags(MaskedLMArguments, argv, __doc__ or "", metric_names(LM_METRICS))
    config = load_config(flags.model)
    with flags.run.main_process_first():
        data = load_lines(flags.data, seed=flags.run.seed)
    prepare_run(flags.run, data.splits, pretrained=config is not None)
    tokenizer = make_tokenizer(flags.model, config, data.texts, flags.run)
    length = longest_input(flags.model, config, tokenizer)
    masker = Masker.of(tokenizer, flags.data.mlm_probability, whole_words=flags.data.whole_word_mask)
    with flags.run.main_process_first():
        encoded = encode(flags.data, data, tokenizer, length, masker)
    check_schedule(flags.run, encoded)
    model = load_model(AutoModelForMaskedLM, flags.model, config, tokenizer, fixed=not flags.run.do_train)
    seed = flags.run.seed if flags.run.data_seed is None else flags.run.data_seed
    collator = MaskingCollator(masker, tokenizer, seed, padding_multiple(flags, length))
    trainer = make_trainer(
        flags,
        model,
        tokenizer,
        encoded,
        collator=collator,
        metrics=ComputeMetrics(LM_METRICS, decode_sums),
        reduce=row_sums,
        callbacks=[collator],
        keep_columns=MASKING_COLUMNS,
        trainer_class=ExactLossTrainer,
    )
    run_trainer(
        trainer,
        encoded,
        predict=lambda: predict_test_set(trainer, encoded, masker),
        data=data.name,
        task="fill-mask",
    )
    return trainer


def predict_test_set(trainer: Trainer, encoded: DatasetDict, masker: Masker) -> Results:
    """Predict the test set; return the metrics of this model and, if asked for, of the baseline."""

    def baselines() -> Results:
        return {"token frequencies": unigram_baseline(encoded["train"], encoded["test"], masker)}

    _, metrics = predict_in_order(trainer, encoded["test"])
    return compare_with_baselines(trainer, metrics, LM_METRICS, baselines)


if __name__ == "__main__":
    run_command(main)
