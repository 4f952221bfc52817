"""Model cards of recipes: their metadata as the Hub reads it, and programs that run as they stand."""

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    PreTrainedConfig,
)
from transformers.modelcard import TrainingSummary

from hf_strategies.finetune.model_card import CardFacts, complete_card, scores_of
from hf_strategies.finetune.usage import usage
from tests.finetune.models import SIZES, wordpiece
from tests.fresh_process import FreshProcesses

SEVERAL = "multi_label_classification"
TRAINERS_CARD = """---
library_name: transformers
tags:
- hf-strategies
model-index:
- name: mood
  results: []
---

# mood

This model was trained from scratch on the reviews dataset.

## Model description

More information needed

## Intended uses & limitations

More information needed

## Training and evaluation data

More information needed

## Training procedure

kept
"""


def card_of(folder: Path, **facts: Any) -> ModelCard:
    file = folder / "README.md"
    file.write_text(TRAINERS_CARD, encoding="utf-8")
    config = facts.pop("config", PreTrainedConfig(id2label={0: "bad", 1: "good"}))
    known = {"task": "text-classification", "data": "reviews 2.csv", "base": "", "model": "runs/mood"}
    complete_card(file, CardFacts(config=config, **(known | facts)))
    return ModelCard.load(file)


def test_the_results_are_read_by_the_client_of_the_hub(tmp_path: Path) -> None:
    scores = {"eval": {"accuracy": 0.75}, "test": {"accuracy": 0.5, "macro_f1": 0.25}}
    card = card_of(tmp_path, scores=scores, base="bert-base-uncased")
    found = [(each.dataset_split, each.metric_type, each.metric_value) for each in card.data.eval_results]
    assert found == [("validation", "accuracy", 0.75), ("test", "accuracy", 0.5), ("test", "macro_f1", 0.25)]
    assert {(each.dataset_name, each.dataset_type) for each in card.data.eval_results} == {
        ("reviews 2.csv", "reviews-2.csv")
    }
    assert (card.data.pipeline_tag, card.data.base_model) == ("text-classification", "bert-base-uncased")
    assert card.data.model_name == "mood"


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("", "This model was trained from scratch on the reviews dataset."),
        ("/home/me/secret/mini", "is a fine-tuned version of the model in a folder `mini` on the reviews dataset."),
        ("me/mini", "is a fine-tuned version of [me/mini](https://huggingface.co/me/mini) on the reviews dataset."),
    ],
)
def test_the_card_names_the_base_model_but_no_folder_above_it(base: str, words: str, tmp_path: Path) -> None:
    card = card_of(tmp_path, base=base)
    assert words in card.text
    assert "secret" not in card.content
    assert card.data.base_model == (base if base == "me/mini" else None)


def test_nothing_is_left_open_and_the_rest_stays(tmp_path: Path) -> None:
    text = card_of(tmp_path, examples={"train": 24, "test": 6}).text
    assert "More information needed" not in text
    assert "`bad`, `good`." in text
    assert "reviews 2.csv: 24 for train, 6 for test examples." in text
    assert "## Training procedure\n\nkept" in text


def test_a_threshold_that_was_tuned_is_named(tmp_path: Path) -> None:
    several = PreTrainedConfig(id2label={0: "a", 1: "b"}, problem_type="multi_label_classification")
    several.threshold = 0.315
    assert (
        "The threshold for a label, tuned on the validation set, is 0.315." in card_of(tmp_path, config=several).text
    )


def test_metrics_without_a_number_are_no_results() -> None:
    results = {"eval_f1": float("nan"), "eval_note": "text", "test_f1": 0.5, "test_samples": 6, "test_runtime": 1.0}
    assert scores_of(results) == {"test": {"f1": 0.5}}


@pytest.mark.parametrize(
    ("task", "kind", "options", "printed"),
    [
        ("text-classification", BertForSequenceClassification, {}, "label"),
        ("text-classification", BertForSequenceClassification, {"pairs": True}, "label"),
        ("text-classification", BertForSequenceClassification, {"problem_type": "regression"}, "score"),
        (
            "text-classification",
            BertForSequenceClassification,
            {"problem_type": "multi_label_classification"},
            "score",
        ),
        ("token-classification", BertForTokenClassification, {}, "["),
        ("fill-mask", BertForMaskedLM, {}, "token_str"),
        ("question-answering", BertForQuestionAnswering, {}, ""),
        ("multiple-choice", BertForMultipleChoice, {}, "s."),
    ],
)
def test_the_program_on_the_card_runs(
    task: str, kind: Any, options: dict[str, Any], printed: str, tmp_path: Path, fresh: FreshProcesses
) -> None:
    tokenizer, folder = wordpiece(mask_token="[MASK]"), tmp_path / "runs" / "mood"
    labels = 1 if options.get("problem_type") == "regression" else 2
    kind(BertConfig(vocab_size=len(tokenizer), num_labels=labels, **SIZES)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    done = fresh.run(usage(task, "runs/mood", **options), tmp_path)
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


def test_the_trainers_own_card_has_what_is_filled_in() -> None:
    summary = TrainingSummary("mood", dataset="reviews", eval_results={}, hyperparameters={})
    text = summary.to_model_card()
    assert text.count("More information needed\n") == 3
    assert "This model was trained from scratch on the reviews dataset." in text
    based = TrainingSummary("mood", dataset="reviews", finetuned_from="me/mini", eval_results={}, hyperparameters={})
    assert (
        "This model is a fine-tuned version of [me/mini](https://huggingface.co/me/mini) on" in based.to_model_card()
    )
