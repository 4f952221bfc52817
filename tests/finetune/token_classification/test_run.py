"""The recipe of tags from flags to files: what is written is right, and counts whole sentences."""

from pathlib import Path
from typing import Any

import pytest
import seqeval.metrics
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer, Trainer

from hf_strategies import StrategyError
from hf_strategies.recipes import token_classification
from tests.finetune.runs import QUIET, predictions, read, write_jsonl
from tests.finetune.token_classification.sentences import sentences

UNSAVED = [*QUIET, "--save_strategy", "no"]
# Batches of 4 rows in evaluation: with only one batch, the order of the rows could not go wrong.
BATCHES = ["--per_device_train_batch_size", "8", "--per_device_eval_batch_size", "4"]
STEPS = ["--max_steps", "4", "--eval_strategy", "steps", "--eval_steps", "2", "--logging_steps", "1"]
SCORES = ("precision", "recall", "f1", "accuracy")


def run(out: Path, *flags: str) -> Trainer:
    trainer: Trainer = token_classification.main([*BATCHES, *UNSAVED, *flags, "--output_dir", str(out)])
    return trainer


def results(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = read(out / "all_results.json")
    return found


def scores_of(rows: list[dict[str, Any]]) -> dict[str, float]:
    """What seqeval says of written predictions."""
    true, predicted = [row["tags"] for row in rows], [row["prediction"] for row in rows]
    return {name: getattr(seqeval.metrics, f"{name}_score")(true, predicted) for name in SCORES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of this module lie."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def files(folder: Path) -> list[str]:
    """The flags of three files."""
    sizes = {"train": 64, "validation": 18, "test": 15}
    flags = []
    for seed, (split, size) in enumerate(sizes.items()):
        flags += [f"--{split}_file", write_jsonl(folder / f"{split}.jsonl", sentences(size, seed))]
    return flags


@pytest.fixture(scope="module")
def full(folder: Path, files: list[str]) -> Path:
    """A run that learns, watches the entity F1 and compares with the baselines."""
    flags = ["--max_steps", "40", "--eval_strategy", "steps", "--eval_steps", "10", "--logging_steps", "10"]
    flags += ["--learning_rate", "3e-3", "--early_stopping_patience", "3", "--early_stopping_monitor", "f1"]
    run(folder / "full", *files, *flags, "--baselines")
    return folder / "full"


@pytest.fixture(scope="module")
def short(folder: Path, full: Path, files: list[str]) -> Path:
    """The model of that run, which now takes 7 tokens at a time."""
    flags = ["--do_train", "false", "--model_name_or_path", str(full), "--max_length", "7"]
    run(folder / "short", *flags, *files[2:])
    return folder / "short"


class TestResults:
    """The files that a run leaves."""

    def test_metrics_of_entities_are_in_all_results(self, full: Path) -> None:
        found = results(full)
        assert {f"{split}_{name}" for split in ("eval", "test") for name in (*SCORES, "loss")} <= set(found)
        assert [found[f"{split}_samples"] for split in ("train", "eval", "test")] == [64, 18, 15]

    def test_there_is_one_prediction_per_row_in_order_with_one_tag_per_word(self, full: Path) -> None:
        rows = predictions(full)
        assert [{key: row[key] for key in ("tokens", "tags")} for row in rows] == sentences(15, 2)
        assert all(len(row["prediction"]) == len(row["tokens"]) for row in rows)

    def test_seqeval_says_the_same_of_the_predictions(self, full: Path) -> None:
        found = scores_of(predictions(full))
        assert found == {name: pytest.approx(results(full)[f"test_{name}"]) for name in SCORES}
        assert 0.5 < found["f1"] < 1

    def test_each_prediction_is_what_the_saved_model_says_of_its_sentence_alone(self, full: Path) -> None:
        model = AutoModelForTokenClassification.from_pretrained(full).eval()
        tokenizer = AutoTokenizer.from_pretrained(full)
        for row in predictions(full):
            inputs = tokenizer(row["tokens"], is_split_into_words=True, return_tensors="pt")
            with torch.inference_mode():
                ids = model(**inputs).logits[0].argmax(-1).tolist()
            words = inputs.word_ids(0)
            first = [words.index(word) for word in range(len(row["tokens"]))]
            assert row["prediction"] == [model.config.id2label[ids[place]] for place in first]

    def test_the_card_has_both_baselines(self, full: Path) -> None:
        card = (full / "README.md").read_text(encoding="utf-8")
        assert f"- test set, this model: precision {results(full)['test_precision']:.4f}, recall" in card
        assert "- test set, majority tag: precision 0.0000, recall 0.0000, f1 0.0000, accuracy" in card
        assert "- test set, most frequent tag of each word: precision" in card


class TestWindows:
    """Sentences longer than the model takes."""

    def test_all_words_are_predicted(self, short: Path) -> None:
        rows = predictions(short)
        assert [row["tokens"] for row in rows] == [row["tokens"] for row in sentences(15, 2)]
        assert all(len(row["prediction"]) == len(row["tokens"]) for row in rows)
        # This model tells words apart by themselves: its tags do not end with the first window.
        assert any(tag != "O" for row in rows for tag in row["prediction"][10:])

    def test_entities_over_two_windows_count_once(self, short: Path) -> None:
        assert scores_of(predictions(short)) == {
            name: pytest.approx(results(short)[f"test_{name}"]) for name in SCORES
        }

    def test_the_tail_counts_where_the_model_sees_no_entity_in_it(self, short: Path) -> None:
        rows = predictions(short)
        cut = [row | {"prediction": row["prediction"][:5] + ["O"] * len(row["prediction"][5:])} for row in rows]
        assert scores_of(cut)["recall"] < 0.7 * results(short)["test_recall"]

    def test_the_schedule_knows_how_many_windows_there_are(self, files: list[str], tmp_path: Path) -> None:
        trainer = run(tmp_path / "out", *files[:4], "--max_length", "7", "--num_train_epochs", "1")
        windows = len(trainer.train_dataset)
        assert windows > 2 * 64
        assert trainer.state.global_step == trainer.state.max_steps == -(-windows // 8)


def test_an_evaluation_alone_reproduces_the_metrics(full: Path, files: list[str], tmp_path: Path) -> None:
    run(tmp_path / "out", "--do_train", "false", "--model_name_or_path", str(full), *files[2:])
    before, after = results(full), results(tmp_path / "out")
    names = [f"{split}_{name}" for split in ("eval", "test") for name in SCORES]
    assert [after[name] for name in names] == [before[name] for name in names]
    assert after["test_loss"] == pytest.approx(before["test_loss"], rel=1e-5)
    assert predictions(tmp_path / "out") == predictions(full)


def test_a_test_set_without_tags_is_predicted_too(full: Path, tmp_path: Path) -> None:
    bare = write_jsonl(tmp_path / "bare.jsonl", [{"tokens": row["tokens"]} for row in sentences(15, 2)])
    run(tmp_path / "out", "--do_train", "false", "--model_name_or_path", str(full), "--test_file", bare)
    rows = predictions(tmp_path / "out")
    wanted = [{key: row[key] for key in ("tokens", "prediction")} for row in predictions(full)]
    assert [{key: row[key] for key in row if key != "probability"} for row in rows] == wanted
    assert not [name for name in results(tmp_path / "out") if name in {f"test_{score}" for score in SCORES}]


def test_conll_files_give_the_run_that_json_lines_give(folder: Path, files: list[str], tmp_path: Path) -> None:
    flags = []
    for seed, (split, count) in enumerate({"train": 64, "validation": 18, "test": 15}.items()):
        file = tmp_path / f"{split}.conll"
        blocks = [
            "".join(f"{token}\t{tag}\n" for token, tag in zip(row["tokens"], row["tags"], strict=True))
            for row in sentences(count, seed)
        ]
        file.write_text("-DOCSTART-\tO\n\n" + "\n".join(blocks), encoding="utf-8")
        flags += [f"--{split}_file", str(file)]
    run(tmp_path / "conll", *flags, *STEPS)
    run(tmp_path / "json", *files, *STEPS)
    assert predictions(tmp_path / "conll") == predictions(tmp_path / "json")
    assert results(tmp_path / "conll")["train_loss"] == results(tmp_path / "json")["train_loss"]


def parts_of_speech(count: int, seed: int) -> list[dict[str, list[str]]]:
    return [
        {"words": row["tokens"], "pos_tags": ["ADP" if tag == "O" else "NOUN" for tag in row["tags"]]}
        for row in sentences(count, seed)
    ]


class TestPartsOfSpeech:
    """Tags that are no entities."""

    @pytest.fixture
    def train(self, tmp_path: Path) -> list[str]:
        """The flags of a training and a test set."""
        return [
            "--train_file",
            write_jsonl(tmp_path / "train.jsonl", parts_of_speech(40, 0)),
            "--test_file",
            write_jsonl(tmp_path / "test.jsonl", parts_of_speech(9, 1)),
        ]

    def test_they_have_accuracy_and_macro_f1(self, train: list[str], tmp_path: Path) -> None:
        flags = ["--early_stopping_patience", "2", "--early_stopping_monitor", "macro_f1"]
        run(tmp_path / "out", *train, *STEPS, *flags, "--baselines")
        found, rows = results(tmp_path / "out"), predictions(tmp_path / "out")
        assert {"eval_accuracy", "eval_macro_f1", "test_accuracy", "test_macro_f1"} <= set(found)
        assert not [name for name in found if name.endswith(("_f1", "precision", "recall")) and "macro" not in name]
        pairs = [pair for row in rows for pair in zip(row["tags"], row["prediction"], strict=True)]
        assert found["test_accuracy"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
        card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
        # Each word has one tag only, so that looking it up is always right.
        assert "- test set, most frequent tag of each word: accuracy 1.0000, macro_f1 1.0000" in card

    def test_the_f1_of_entities_cannot_be_watched(
        self, train: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(token_classification, "load_model", None)
        flags = ["--early_stopping_patience", "2", "--early_stopping_monitor", "f1"]
        with pytest.raises(
            StrategyError, match="early_stopping_monitor='f1' is no metric here: known: 'accuracy', 'loss'"
        ):
            run(tmp_path / "out", *train, *STEPS, *flags)
        with pytest.raises(StrategyError, match="early_stopping_monitor='bleu' is no metric here: known: 'accuracy'"):
            run(tmp_path / "out", *train, *STEPS, *flags[:-1], "bleu")
        assert not (tmp_path / "out").exists()


class TestLoss:
    """What is minimised."""

    def test_rare_tags_weigh_more_when_asked_for(self, full: Path, files: list[str], tmp_path: Path) -> None:
        flags = ["--model_name_or_path", str(full), "--max_steps", "1", "--learning_rate", "1e-12"]
        flags += ["--per_device_eval_batch_size", "18", "--do_predict", "false"]
        losses = {}
        for choice in ("none", "balanced"):
            trainer = run(tmp_path / choice, *files, *flags, "--class_weights", choice)
            losses[choice] = results(tmp_path / choice)["eval_loss"]
        [batch] = trainer.get_eval_dataloader()
        labels, ids = batch["labels"], trainer.model.config.label2id
        train = [ids[tag] for row in sentences(64, 0) for tag in row["tags"]]
        weights = torch.tensor([len(train) / (len(ids) * train.count(index)) for index in range(len(ids))])
        with torch.inference_mode():
            chances = trainer.model.eval()(**batch).logits.log_softmax(-1)
        kept = labels >= 0
        costs = -chances[kept].gather(1, labels[kept, None])[:, 0]
        assert losses["none"] == pytest.approx(float(costs.mean()), rel=1e-4)
        assert losses["balanced"] == pytest.approx(float((costs * weights[labels[kept]]).mean()), rel=1e-4)
        assert losses["balanced"] != pytest.approx(losses["none"], rel=0.05)

    def test_batches_of_a_step_make_its_mean_and_not_its_sum(self, files: list[str], tmp_path: Path) -> None:
        found = {}
        for batches in (1, 2):
            flags = [
                "--per_device_train_batch_size",
                str(8 // batches),
                "--gradient_accumulation_steps",
                str(batches),
            ]
            flags += ["--train_sampling_strategy", "sequential", "--do_predict", "false"]
            trainer = run(tmp_path / str(batches), *files, *STEPS, *flags)
            found[batches] = [row["loss"] for row in trainer.state.log_history if "loss" in row]
        assert found[2] == pytest.approx(found[1], rel=0.05)


def test_outputs_are_reduced_to_the_likeliest_tags_batch_by_batch(
    full: Path, files: list[str], tmp_path: Path
) -> None:
    trainer = run(tmp_path / "out", "--do_train", "false", "--model_name_or_path", str(full), *files[2:4])
    output = trainer.predict(trainer.eval_dataset)
    longest = max(map(len, trainer.eval_dataset["input_ids"]))
    ids, probabilities = output.predictions
    assert (ids.dtype.kind, probabilities.dtype.kind) == ("i", "f")
    assert ids.shape == probabilities.shape == (18, longest)
