r"""Fine-tune an encoder to find the answer to a question in a text.

    # nothing named: what parameters mean, out of documentation, and a small
    # BERT, no network
    accelerate launch recipes/question_answering.py --baselines

    # your files: SQuAD's own form, or json lines or parquet with question,
    # context and answers
    accelerate launch recipes/question_answering.py \
        --model_name_or_path bert-base-uncased --train_file train-v2.0.json \
        --validation_file dev-v2.0.json --test_file questions.jsonl \
        --num_train_epochs 3 --early_stopping_patience 2 \
        --early_stopping_monitor f1 --n_best 3

    # new questions, answered by a trained model: a row with question and
    # context each (jsonl, csv, SQuAD's form);
    # the answers are in runs/answers/predictions.jsonl
    python recipes/question_answering.py --do_train false \
        --model_name_or_path runs/recipe --test_file questions.jsonl \
        --output_dir runs/answers

    # a data set of the Hub; flags from a file
    accelerate launch recipes/question_answering.py \
        --config recipes/configs/bert_squad.yaml --dataset_name rajpurkar/squad

From the installed package: accelerate launch -m
hf_strategies.recipes.question_answering ... Long contexts are read in windows
that overlap. In training the first answer of a question has to stand at its
answer_start; answers to evaluate are compared as texts. When the training set
has questions without answers (SQuAD 2.0), "no answer" is predicted too, by a
threshold that is tuned on the validation set and kept in the model's
config.json. What is written to --output_dir: the model, all_results.json,
predictions.jsonl, trainer_state.json, the model card README.md and, with
--figure, training.png.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from datasets import Dataset, DatasetDict
from transformers import AutoModelForQuestionAnswering, DataCollatorWithPadding, Trainer

from hf_strategies.finetune.command_line import run_command
from hf_strategies.finetune.flags import read_flags
from hf_strategies.finetune.metrics import ComputeMetrics, metric_names
from hf_strategies.finetune.model import load_config, load_model
from hf_strategies.finetune.predictions import Results, compare_with_baselines, predict_in_order, write_predictions
from hf_strategies.finetune.preflight import check_schedule, prepare_run
from hf_strategies.finetune.question_answering.answers import AnswerFinder, Answers
from hf_strategies.finetune.question_answering.baselines import question_baselines
from hf_strategies.finetune.question_answering.data import (
    QuestionArguments,
    QuestionData,
    has_unanswerable,
    load_questions,
)
from hf_strategies.finetune.question_answering.metrics import QUESTION_METRICS
from hf_strategies.finetune.question_answering.threshold import check_question_flags, keep_threshold, make_finder
from hf_strategies.finetune.question_answering.trainer import QuestionTrainer
from hf_strategies.finetune.question_answering.windows import SEARCH_COLUMNS, encode_questions, window_length
from hf_strategies.finetune.run import run_trainer
from hf_strategies.finetune.tokenizer import longest_input, make_tokenizer
from hf_strategies.finetune.trainer import make_trainer, padding_multiple


def main(argv: Sequence[str] | None = None) -> Trainer:
    """Run the recipe with the flags in ``argv``; return its Trainer."""
    flags = read_flags(QuestionArguments, argv, __doc__ or "", metric_names(QUESTION_METRICS))
    config = load_config(flags.model)
    with flags.run.main_process_first():
        data = load_questions(flags.data, seed=flags.run.seed)
    unanswerable = has_unanswerable(flags.data, data, config)
    check_question_flags(flags, unanswerable=unanswerable)
    prepare_run(flags.run, data.splits, pretrained=config is not None)
    tokenizer = make_tokenizer(flags.model, config, data.texts, flags.run)
    length = window_length(longest_input(flags.model, config, tokenizer), flags.model.max_length)
    with flags.run.main_process_first():
        encoded = encode_questions(flags.data, data, tokenizer, length)
    check_schedule(flags.run, encoded)
    fixed = not flags.run.do_train
    model = load_model(AutoModelForQuestionAnswering, flags.model, config, tokenizer, fixed=fixed, num_labels=2)
    finder = make_finder(flags, data, encoded, model, unanswerable=unanswerable)
    trainer = make_trainer(
        flags,
        model,
        tokenizer,
        encoded,
        collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=padding_multiple(flags, length)),
        metrics=ComputeMetrics(QUESTION_METRICS, finder.decode),
        keep_columns=SEARCH_COLUMNS,
        trainer_class=QuestionTrainer,
        max_answer_length=flags.data.max_answer_length,
        n_best=flags.data.n_best,
    )
    run_trainer(
        trainer,
        encoded,
        predict=lambda: predict_test_set(trainer, data, encoded, finder),
        data=data.name,
        task="question-answering",
        after_evaluation=lambda: keep_threshold(trainer, finder),
    )
    return trainer


def predict_test_set(trainer: Trainer, data: QuestionData, encoded: DatasetDict, finder: AnswerFinder) -> Results:
    """Answer the test set; return the metrics of this model and, if asked for, of the baselines."""
    rows = data.splits["test"]
    outputs, metrics = predict_in_order(trainer, encoded["test"])
    write_predictions(trainer, data.given, answered(rows, finder.answers("test", outputs), finder))
    if "answer_texts" not in rows.column_names:
        return {}

    def baselines() -> Results:
        return question_baselines(data.splits["train"], rows, unanswerable=finder.unanswerable)

    return compare_with_baselines(trainer, metrics, QUESTION_METRICS, baselines)


def answered(rows: Dataset, answers: Answers, finder: AnswerFinder) -> Iterator[dict[str, Any]]:
    """Yield for each question its id, the right answers if known, the answer, its score, what the flags ask for."""
    known = rows["answer_texts"] if "answer_texts" in rows.column_names else [None] * len(rows)
    for place, text in enumerate(answers.chosen(finder.threshold)):
        spans = answers.alternatives[place]
        line: dict[str, Any] = {"id": rows[place]["id"]}
        if known[place] is not None:
            line["answers"] = known[place]
        line |= {"prediction": text, "score": spans[0][1] if spans else None}
        if finder.unanswerable:
            line["null_score"] = float(answers.null[place])
        if finder.n_best > 1:
            line["alternatives"] = [{"text": text, "score": score} for text, score in spans]
        yield line


if __name__ == "__main__":
    run_command(main)
