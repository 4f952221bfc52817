"""A recipe from flags to files: what is written is right, complete, and comes out the same a second time."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer

from hf_strategies import schedule, verdict
from hf_strategies.recipes import text_classification
from tests.finetune.runs import QUIET, logged, predictions, read, reviews, write_csv, write_csv_splits

EARLY = ["--early_stopping_patience", "2"]
STEPS = ["--max_steps", "6", "--eval_strategy", "steps", "--eval_steps", "2", "--logging_steps", "1"]
# Batches of 4 rows in evaluation: with only one batch, the order of the rows could not go wrong.
BATCHES = ["--per_device_train_batch_size", "8", "--per_device_eval_batch_size", "4"]
NUMBERS = [str(number) for number in range(12)]


def run(out: Path, *flags: str) -> Trainer:
    trainer: Trainer = text_classification.main([*BATCHES, *QUIET, *flags, "--output_dir", str(out)])
    return trainer


def alone(out: Path, rows: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """What the saved model says of each text when it is given nothing else: the label and its probability."""
    model = AutoModelForSequenceClassification.from_pretrained(out).eval()
    tokenizer = AutoTokenizer.from_pretrained(out)
    said = []
    for row in rows:
        with torch.inference_mode():
            likely = model(**tokenizer(row["text"], return_tensors="pt")).logits.softmax(-1)[0].max(-1)
        said.append((model.config.id2label[int(likely.indices)], float(likely.values)))
    return said


def share_right(rows: list[dict[str, Any]]) -> float:
    return sum(1 for row in rows if row["prediction"] == row["label"]) / len(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of this module lie, with the data of the first."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def files(folder: Path) -> list[str]:
    """The flags of three files of reviews."""
    return write_csv_splits(folder, reviews)


@pytest.fixture(scope="module")
def plain(folder: Path, files: list[str]) -> Path:
    """A run with the recipe's own schedule, a checkpoint each two steps."""
    run(folder / "plain", *files, *STEPS, "--save_strategy", "steps", "--save_steps", "2", "--save_total_limit", "3")
    return folder / "plain"


@pytest.fixture(scope="module")
def full(folder: Path, files: list[str]) -> Path:
    """A run with all there is: a schedule with parameters, early stopping, baselines, a figure."""
    pytest.importorskip("matplotlib")
    flags = ["--max_steps", "30", "--eval_strategy", "steps", "--eval_steps", "3", "--logging_steps", "1"]
    flags += [
        "--learning_rate",
        "3e-3",
        "--lr_scheduler_type",
        "exponential_warmup_step_decay",
        "--warmup_steps",
        "5",
    ]
    flags += ["--lr_scheduler_kwargs", '{"warmup_start": 0.1, "gamma": 0.5, "step_size": 4}']
    run(folder / "full", *files, *flags, *EARLY, "--baselines", "--figure")
    return folder / "full"


class TestResults:
    """The files that a run leaves."""

    def test_metrics_of_training_validation_and_test_are_in_all_results(self, plain: Path) -> None:
        results = read(plain / "all_results.json")
        assert {"train_loss", "eval_loss", "eval_accuracy", "eval_macro_f1"} <= set(results)
        assert {"test_loss", "test_accuracy", "test_macro_f1"} <= set(results)
        assert [results[f"{split}_samples"] for split in ("train", "eval", "test")] == [60, 20, 15]

    def test_the_model_comes_back_with_its_labels(self, plain: Path) -> None:
        model = AutoModelForSequenceClassification.from_pretrained(plain)
        assert model.config.id2label == {0: "bad", 1: "good"}

    def test_without_patience_nothing_is_watched(self, plain: Path) -> None:
        records = read(plain / "trainer_state.json")["stateful_callbacks"]
        assert set(records) == {"TrainerControl", "hf_strategies_schedule"}

    def test_the_card_tells_schedule_end_and_test_metrics(self, full: Path) -> None:
        section = (full / "README.md").read_text(encoding="utf-8").partition("## Training strategy\n")[2]
        accuracy = read(full / "all_results.json")["test_accuracy"]
        assert "exponential_warmup_step_decay, peak 0.003, warmup_steps=5, " in section
        assert "'gamma': 0.5" in section
        assert re.search(r"- end of training: (Stopped early|Trained to the end of the budget,) at step \d+", section)
        assert f"- test set, this model: accuracy {accuracy:.4f}, macro_f1" in section
        assert re.search(r"- test set, majority class: accuracy \d\.\d{4}", section)
        assert "- test set, TF-IDF + logistic regression: accuracy" in section

    def test_card_and_results_say_which_weights_are_saved(self, full: Path) -> None:
        losses = logged(full, "eval_loss")
        step, best = min(losses, key=lambda pair: pair[1])
        words = f"the best ones, of step {step} (eval_loss {best:.6g})"
        assert read(full / "all_results.json")["final_weights"] == words
        card = ModelCard.load(full / "README.md")
        assert f"- final weights: {words}\n" in card.text
        assert card.text.count("end of training:") == 1
        assert {each.dataset_split for each in card.data.eval_results} == {"validation", "test"}
        assert card.data.pipeline_tag == "text-classification"

    def test_the_figure_is_drawn_when_asked_for(self, full: Path, plain: Path) -> None:
        assert (full / "training.png").read_bytes().startswith(b"\x89PNG")
        assert not (plain / "training.png").exists()

    @pytest.mark.parametrize(
        "kwargs", [{}, {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": '{"min_lr": 1e-4}'}]
    )
    def test_the_figure_has_every_rate_of_a_schedule_of_transformers(
        self, kwargs: dict[str, str], files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn = []
        draw = "hf_strategies.trainer.callbacks.run_report.draw_runs"
        monkeypatch.setattr(draw, lambda runs, *_, **__: drawn.append(runs[0].recorded))
        flags = {"lr_scheduler_type": "linear", "learning_rate": "1e-3", "warmup_steps": "2"} | kwargs
        run(tmp_path / "out", *files, *STEPS, *(f"--{name}={value}" for name, value in flags.items()), "--figure")
        (curve,) = drawn[0].rate_curves
        assert curve.is_exact
        rates = dict(curve.points)
        logged_rates = {step - 1: rate for step, rate in drawn[0].learning_rates}
        assert {step: rates[step] for step in logged_rates} == pytest.approx(logged_rates)
        assert rates[6] == pytest.approx(1e-4 if kwargs else 0.0)

    def test_the_end_is_printed(self, files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        run(tmp_path / "out", *files, *STEPS)
        printed = capsys.readouterr().out
        assert "Evaluations on the validation set" in printed
        assert "Trained to the end of the budget, at step 6." in printed
        assert printed.index("Test set") < printed.index("this model")


def test_finding_a_learning_rate_changes_nothing_in_the_folder_of_a_run(
    plain: Path, files: list[str], tmp_path: Path
) -> None:
    def contents() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in out.rglob("*") if path.is_file()}

    out = tmp_path / "out"
    shutil.copytree(plain, out)
    before = contents()
    run(out, "--train_file", files[5], "--validation_file", files[3], *STEPS, "--max_steps", "20", "--find_lr")
    assert contents() == before


def test_a_baseline_that_cannot_be_fitted_costs_neither_report_nor_card(
    files: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = ([row for row in reviews(60, 7) if row["label"] == label] for label in ("bad", "good"))
    train = write_csv(tmp_path / "one_good.csv", [*bad, good[0]])  # which is none of the eight that are drawn
    run(tmp_path / "out", *files[2:], *STEPS, "--baselines", "--train_file", train, "--max_train_samples", "8")
    assert "no baseline 'TF-IDF + logistic regression': " in caplog.text
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "- test set, majority class: accuracy" in card
    assert "logistic regression" not in card


class TestPredictions:
    """``predictions.jsonl``, with a model that tells the labels apart."""

    def test_there_is_one_line_per_test_row_in_the_order_of_the_file(self, full: Path) -> None:
        assert [{key: row[key] for key in ("text", "label")} for row in predictions(full)] == reviews(15, 2)

    def test_they_reproduce_the_test_accuracy_exactly(self, full: Path) -> None:
        rows = predictions(full)
        assert {row["prediction"] for row in rows} == {"good", "bad"}
        assert share_right(rows) == read(full / "all_results.json")["test_accuracy"]

    def test_each_is_what_the_saved_model_says_of_its_text_alone(self, full: Path) -> None:
        rows = predictions(full)
        for row, (label, probability) in zip(rows, alone(full, rows), strict=True):
            assert row["prediction"] == label
            assert row["probability"] == pytest.approx(probability, abs=1e-5)

    def test_each_probability_is_that_of_its_own_text(self, plain: Path) -> None:
        # This model says nearly the same of all texts: what is in the wrong place shows in the probabilities only.
        rows = predictions(plain)
        probabilities = [probability for _, probability in alone(plain, rows)]
        assert [row["probability"] for row in rows] == pytest.approx(probabilities, abs=1e-5)
        assert [row["probability"] for row in rows[::-1]] != pytest.approx(probabilities, abs=1e-5)

    def test_a_test_set_without_labels_is_predicted_too(self, files: list[str], tmp_path: Path) -> None:
        bare = [{"text": row["text"]} for row in reviews(15, 2)]
        out = tmp_path / "out"
        run(out, *files, *STEPS, "--test_file", write_csv(tmp_path / "bare.csv", bare))
        assert [{"text": row["text"]} for row in predictions(out)] == bare
        assert all(set(row) == {"text", "prediction", "probability", "probabilities"} for row in predictions(out))
        assert "test_accuracy" not in read(out / "all_results.json")


class TestStrategy:
    """The schedule that was used and the decision that was taken."""

    def test_the_learning_rates_are_those_of_the_schedule(self, plain: Path) -> None:
        rates = schedule("linear_warmup_cosine_decay", total_steps=6, warmup_steps=0.1).learning_rates(1e-3)
        assert logged(plain, "learning_rate") == list(enumerate(rates, start=1))

    def test_the_learning_rates_are_those_of_a_schedule_with_parameters(self, full: Path) -> None:
        shape = {"warmup_start": 0.1, "gamma": 0.5, "step_size": 4}
        f = schedule("exponential_warmup_step_decay", total_steps=30, warmup_steps=5, **shape)
        rates = logged(full, "learning_rate")
        assert rates == list(enumerate(f.learning_rates(3e-3), start=1))[: len(rates)]
        assert len({rate for _, rate in rates}) >= 6

    def test_the_record_says_what_the_logged_losses_say(self, full: Path) -> None:
        records = read(full / "trainer_state.json")["stateful_callbacks"]
        record = records["early_stopping"]
        losses = logged(full, "eval_loss")
        judged = verdict([loss for _, loss in losses], "patience(2)")
        assert judged.best_index is not None
        assert (record["best_step"], record["best_value"]) == losses[judged.best_index]
        assert record["stopped"] is (judged.stop_index is not None)
        assert record["restored_best_weights"] is True

    def test_the_model_that_is_saved_and_measured_is_the_best_one(self, full: Path) -> None:
        best = min(loss for _, loss in logged(full, "eval_loss"))
        assert read(full / "all_results.json")["eval_loss"] == pytest.approx(best, rel=1e-6)

    def test_training_stops_where_the_metric_stops_improving(self, files: list[str], tmp_path: Path) -> None:
        # Nothing improves on the first evaluation by that much.
        flags = ["--early_stopping_patience", "1", "--early_stopping_min_delta", "10", "--max_steps", "20"]
        run(tmp_path / "out", *files, *STEPS, *flags)
        assert [step for step, _ in logged(tmp_path / "out", "eval_loss")] == [2, 4]
        card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
        assert card.count("- end of training: Stopped early at step 4 ") == card.count("end of training: ") == 1
        assert card.count("## Training strategy") == 1

    def test_the_same_seed_gives_the_same_run(self, plain: Path, files: list[str], tmp_path: Path) -> None:
        run(tmp_path / "again", *files, *STEPS)
        assert logged(tmp_path / "again", "loss") == logged(plain, "loss")
        assert predictions(tmp_path / "again") == predictions(plain)


def test_batches_hold_texts_of_similar_length(files: list[str], tmp_path: Path) -> None:
    trainer = run(tmp_path / "out", *files, *STEPS, "--per_device_train_batch_size", "2")

    def padding() -> int:
        return sum(int((batch["attention_mask"] == 0).sum()) for batch in trainer.get_train_dataloader())

    grouped = padding()
    trainer.args.train_sampling_strategy = "random"
    assert 0 < 2 * grouped < padding()


class TestEvaluationOnly:
    """A model of an earlier run, measured again."""

    def test_it_reproduces_the_test_metrics_and_predictions(
        self, full: Path, files: list[str], tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        trainer = run(out, "--do_train", "false", "--model_name_or_path", str(full), *files[-2:])
        before, after = read(full / "all_results.json"), read(out / "all_results.json")
        assert after["test_accuracy"] == before["test_accuracy"]
        assert after["test_loss"] == pytest.approx(before["test_loss"], rel=1e-5)
        assert [row["prediction"] for row in predictions(out)] == [row["prediction"] for row in predictions(full)]
        assert trainer.state.global_step == 0
        assert not [key for key in after if key.startswith(("train_", "eval_"))]
        assert not (out / "README.md").exists()

    def test_it_measures_the_validation_set_that_is_given(self, full: Path, files: list[str], tmp_path: Path) -> None:
        run(tmp_path / "out", "--do_train", "false", "--model_name_or_path", str(full), *files[2:4])
        before, after = read(full / "all_results.json"), read(tmp_path / "out" / "all_results.json")
        assert after["eval_loss"] == pytest.approx(before["eval_loss"], rel=1e-5)
        assert not (tmp_path / "out" / "predictions.jsonl").exists()

    def test_labels_keep_their_ids_when_they_are_numbers(self, tmp_path: Path) -> None:
        def numbered(count: int, seed: int) -> list[dict[str, str]]:
            return [row | {"label": NUMBERS[index % 12]} for index, row in enumerate(reviews(count, seed))]

        flags, first, second = write_csv_splits(tmp_path, numbered), tmp_path / "first", tmp_path / "second"
        run(first, *flags, *STEPS)
        run(second, "--do_train", "false", "--model_name_or_path", str(first), *flags[-2:])
        again, loss = read(second / "all_results.json"), read(first / "all_results.json")["test_loss"]
        assert again["test_loss"] == pytest.approx(loss, rel=1e-5)
        assert [row["prediction"] for row in predictions(second)] == [row["prediction"] for row in predictions(first)]


def test_pairs_are_read_told_apart_and_predicted(tmp_path: Path) -> None:
    def pairs(count: int, seed: int) -> list[dict[str, str]]:
        others = reviews(count, seed + 100)
        return [
            {"sentence1": row["text"], "sentence2": other["text"], "label": row["label"]}
            for row, other in zip(reviews(count, seed), others, strict=True)
        ]

    out = tmp_path / "out"
    trainer = run(out, *write_csv_splits(tmp_path, pairs), *STEPS, "--baselines")
    wanted = [(row["sentence1"], row["sentence2"], row["label"]) for row in pairs(15, 2)]
    assert [(row["sentence1"], row["sentence2"], row["label"]) for row in predictions(out)] == wanted
    assert share_right(predictions(out)) == read(out / "all_results.json")["test_accuracy"]
    types = trainer.train_dataset[0]["token_type_ids"]  # type: ignore[index]
    assert types == sorted(types)
    assert set(types) == {0, 1}


class TestResume:
    """A run that was broken off after two of six steps."""

    @pytest.fixture
    def broken(self, plain: Path, tmp_path: Path) -> Path:
        """What is left of the run after its first checkpoint."""
        out = tmp_path / "broken"
        shutil.copytree(plain / "checkpoint-2", out / "checkpoint-2")
        return out

    def test_it_goes_on_as_if_it_had_not_been(self, broken: Path, plain: Path, files: list[str]) -> None:
        trainer = run(broken, *files, *STEPS, "--resume_from_checkpoint", "last")
        assert trainer.state.global_step == 6
        for key in ("learning_rate", "loss", "eval_loss"):
            assert logged(broken, key) == logged(plain, key)
        assert predictions(broken) == predictions(plain)

    def test_a_checkpoint_can_be_named(self, plain: Path, files: list[str], tmp_path: Path) -> None:
        run(tmp_path / "out", *files, *STEPS, "--resume_from_checkpoint", str(plain / "checkpoint-4"))
        assert logged(tmp_path / "out", "learning_rate") == logged(plain, "learning_rate")
