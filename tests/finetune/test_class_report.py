"""``report.txt`` and ``report.json``: what a model does with each class, checked by hand."""

import json
from pathlib import Path

import pytest

from hf_strategies.finetune.class_report import ClassReport, label_report, multi_label_report, write_reports
from hf_strategies.finetune.token_classification.class_report import NO_ENTITY, entity_report, token_report
from hf_strategies.recipes import text_classification, token_classification
from tests.finetune.runs import QUIET, predictions, read, reviews, write_csv, write_csv_splits, write_jsonl

LABELS = ["bad", "fair", "good"]
# Of three bad rows two are right and one is taken for good; the fair one for bad; of two good ones one is right.
TRUE, PREDICTED = [0, 0, 0, 1, 2, 2], [0, 0, 2, 0, 2, 0]


class TestOneLabel:
    def test_precision_recall_f1_and_support_of_each_class(self) -> None:
        classes = label_report(PREDICTED, TRUE, LABELS).classes
        assert classes["bad"] == pytest.approx({"precision": 2 / 4, "recall": 2 / 3, "f1": 4 / 7, "support": 3})
        assert classes["fair"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
        assert classes["good"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}

    def test_macro_weighs_each_class_the_same_and_weighted_by_support(self) -> None:
        averages = label_report(PREDICTED, TRUE, LABELS).averages
        assert averages["macro"]["f1"] == pytest.approx((4 / 7 + 0 + 0.5) / 3)
        assert averages["weighted"]["f1"] == pytest.approx((3 * 4 / 7 + 2 * 0.5) / 6)
        assert averages["macro"]["support"] == 6

    def test_the_confusion_has_what_happened_and_nothing_else(self) -> None:
        assert label_report(PREDICTED, TRUE, LABELS).confusion == {
            "bad": {"bad": 2, "good": 1},
            "fair": {"bad": 1},
            "good": {"bad": 1, "good": 1},
        }

    def test_a_class_that_is_only_predicted_has_a_row(self) -> None:
        report = label_report([1], [0], LABELS)
        assert report.classes["fair"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}


class TestText:
    def test_scores_matrix_and_most_frequent_mistakes(self) -> None:
        text = label_report(PREDICTED, TRUE, LABELS).text("Test set")
        lines = [" ".join(line.split()) for line in text.splitlines()]
        assert lines[:2] == ["Test set", "========"]
        assert "bad 0.500 0.667 0.571 3" in lines
        assert "macro mean 0.333 0.389 0.357 6" in lines
        assert lines[lines.index("true, down; predicted, across 1 2 3") + 1 :][:3] == [
            "1 bad 2 0 1",
            "2 fair 1 0 0",
            "3 good 1 0 1",
        ]
        assert "bad good 1" in lines

    def test_no_line_is_wider_than_80_columns_whatever_the_names_are(self) -> None:
        names = [f"{'long name ' * 12}{place}" for place in range(11)]
        report = label_report([*range(10), 3], [*range(10), 2], names)
        assert max(map(len, report.text("Test set").splitlines())) <= 80

    def test_a_matrix_of_many_classes_is_left_out_and_the_mistakes_stay(self) -> None:
        names = [f"intent {place:02}" for place in range(77)]
        text = label_report([*range(77), 5], [*range(77), 4], names).text("Test set")
        assert "true, down" not in text
        assert "intent 04" in text.partition("most frequent mistakes")[2]

    def test_escape_sequences_in_names_are_shown_and_not_obeyed(self) -> None:
        text = label_report([0], [1], ["\x1b[31mred", "[bold]b[/bold]"]).text("Test set")
        assert "\x1b" not in text
        assert "[bold]b[/bold]" in text


def test_of_several_labels_each_has_scores_and_there_is_no_confusion() -> None:
    true, predicted = [[1, 0], [1, 1], [0, 0]], [[1, 1], [0, 1], [0, 0]]
    report = multi_label_report(predicted, true, ["new", "rude"])
    assert report.classes["new"] == pytest.approx({"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2})
    assert report.classes["rude"] == pytest.approx({"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "support": 1})
    assert report.averages["micro"]["precision"] == pytest.approx(2 / 3)
    assert report.confusion == {}


class TestEntities:
    def test_right_missed_spurious_and_mistyped_entities(self) -> None:
        true = [["B-PER", "I-PER", "O", "B-LOC"], ["B-ORG", "O", "B-LOC", "O"]]
        predicted = [["B-PER", "I-PER", "O", "B-ORG"], ["O", "B-PER", "B-LOC", "O"]]
        report = entity_report(predicted, true)
        assert report.confusion == {
            "LOC": {"LOC": 1, "ORG": 1},
            "ORG": {NO_ENTITY: 1},
            "PER": {"PER": 1},
            NO_ENTITY: {"PER": 1},
        }
        assert report.classes["LOC"] == pytest.approx({"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2})
        assert report.classes["PER"] == pytest.approx({"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "support": 1})
        assert report.averages["micro"] == pytest.approx({"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 4})

    def test_the_same_words_of_two_sentences_are_two_entities(self) -> None:
        report = entity_report([["B-a"], ["O"]], [["B-a"], ["B-a"]])
        assert report.confusion == {"a": {"a": 1, NO_ENTITY: 1}}

    def test_a_type_with_hyphens_keeps_its_name(self) -> None:
        assert list(entity_report([["B-geo-city"]], [["B-geo-city"]]).classes) == ["geo-city"]

    def test_words_of_chinese_have_one_class(self) -> None:
        report = token_report([["B", "E", "S"]], [["B", "E", "S"]], ["B", "M", "E", "S"])
        assert (report.unit, report.confusion) == ("entities", {"entity": {"entity": 2}})

    def test_no_entity_on_either_side_is_a_report_without_classes(self) -> None:
        report = token_report([["O", "O"]], [["O", "O"]], ["O", "B-PER"])
        assert report.classes == {}
        assert "macro mean" in report.text("Test set")

    def test_parts_of_speech_are_words(self) -> None:
        report = token_report([["NOUN", "VERB"]], [["NOUN", "NOUN"]], ["NOUN", "VERB"])
        assert (report.unit, report.classes["NOUN"]["recall"]) == ("words", 0.5)


def test_the_part_of_another_split_stays(tmp_path: Path) -> None:
    one, other = label_report([0], [0], ["a", "b"]), label_report([1], [0], ["a", "b"])
    write_reports(tmp_path, {"validation": one})
    write_reports(tmp_path, {"test": other})
    parts = json.loads((tmp_path / "report.json").read_text())
    assert {split: ClassReport(**part) for split, part in parts.items()} == {"validation": one, "test": other}
    text = (tmp_path / "report.txt").read_text()
    assert text.index("Validation set") < text.index("Test set")


class TestRecipes:
    def test_classes_of_the_test_set_are_counted_from_the_predictions(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        text_classification.main(
            [*QUIET, *write_csv_splits(tmp_path, reviews), "--max_steps", "4", "--output_dir", str(out)]
        )
        rows, report = predictions(out), read(out / "report.json")
        assert list(report) == ["validation", "test"]
        for true in ("bad", "good"):
            for name in ("bad", "good"):
                count = sum(row["label"] == true and row["prediction"] == name for row in rows)
                assert report["test"]["confusion"].get(true, {}).get(name, 0) == count
        assert report["test"]["averages"]["macro"]["f1"] == pytest.approx(
            read(out / "all_results.json")["test_macro_f1"]
        )
        assert report["validation"]["averages"]["macro"]["support"] == 20

    def test_a_test_set_without_labels_has_no_part(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        files = write_csv_splits(tmp_path, reviews)
        bare = write_csv(tmp_path / "bare.csv", [{"text": row["text"]} for row in reviews(5, 9)])
        out = tmp_path / "out"
        text_classification.main(
            [*QUIET, *files[:4], "--test_file", bare, "--max_steps", "1", "--output_dir", str(out)]
        )
        assert list(read(out / "report.json")) == ["validation"]
        again = tmp_path / "again"
        capsys.readouterr()
        named = ["--do_train", "false", "--model_name_or_path", str(out), "--test_file", bare]
        text_classification.main([*QUIET, *named, "--output_dir", str(again)])
        assert not (again / "report.json").exists()
        assert "report" not in capsys.readouterr().out

    def test_entities_agree_with_the_metrics(self, tmp_path: Path) -> None:
        rows = [{"tokens": ["Anna", "sees", "Berlin"], "tags": ["B-PER", "O", "B-LOC"]}] * 12
        out, file = tmp_path / "out", write_jsonl(tmp_path / "rows.jsonl", rows)
        flags = ["--train_file", file, "--validation_file", file, "--test_file", file, "--max_steps", "3"]
        token_classification.main([*QUIET, *flags, "--output_dir", str(out)])
        report, scores = read(out / "report.json")["test"], read(out / "all_results.json")
        assert report["unit"] == "entities"
        for name in ("precision", "recall", "f1"):
            assert report["averages"]["micro"][name] == pytest.approx(scores[f"test_{name}"])
