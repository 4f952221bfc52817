"""Labels in the forms that files have: as they stand, numbers, lists, zeros and ones; and rows without a label."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from hf_strategies import StrategyError
from hf_strategies.finetune.text_classification.data import (
    ClassificationArguments,
    ClassificationData,
    choose_labels,
    load_classification,
)
from hf_strategies.finetune.text_classification.labels import LABEL_KINDS

SINGLE, MULTI = "single_label_classification", "multi_label_classification"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def csv(*labels: str, columns: str = "label", name: str = "rows.csv") -> str:
    lines = [f"text,{columns}", *(f"t{row},{label}" for row, label in enumerate(labels))]
    Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return name


def jsonl(*labels: Any, name: str = "rows.jsonl") -> str:
    rows = [json.dumps({"text": f"t{row}", "label": label}) + "\n" for row, label in enumerate(labels)]
    Path(name).write_text("".join(rows), encoding="utf-8")
    return name


def parquet(feature: Any, *labels: Any, name: str = "rows.parquet") -> str:
    features = Features({"text": Value("string"), "label": feature})
    texts = [f"t{row}" for row in range(len(labels))]
    Dataset.from_dict({"text": texts, "label": list(labels)}, features=features).to_parquet(name)
    return name


def load(file: str, *, test: str | None = None, **flags: Any) -> ClassificationData:
    args: dict[str, Any] = {"train_file": file, "validation_file": file, "test_file": test, **flags}
    return load_classification(ClassificationArguments(**args))


def labels_of(file: str, **flags: Any) -> list[Any]:
    labels: list[Any] = load(file, **flags).splits["train"]["label"][:]
    return labels


def refusal(file: str, **flags: Any) -> str:
    with pytest.raises(StrategyError) as raised:
        choose_labels(load(file, **flags), ())
    assert "\n" not in str(raised.value)
    return str(raised.value)


class TestLabelsOfATable:
    """A cell is a name unless all cells are numbers of which one is a fraction."""

    @pytest.mark.parametrize(
        "labels", [["01", "2", "10"], ["TRUE", "NA"], ["1", "2"], ["①", "②"], ["1e3", "x"], ["01", "1.5"]]
    )
    def test_names_stay_as_they_stand(self, labels: list[str]) -> None:
        loaded = load(csv(*labels))
        assert (loaded.kind.name, loaded.splits["train"]["label"][:]) == (SINGLE, labels)
        assert sorted(choose_labels(loaded, ())) == sorted(labels)

    def test_fractions_are_numbers(self) -> None:
        loaded = load(csv("-0.5", " 2", "1e1", ".25"), problem_type=None)
        assert (loaded.kind.name, loaded.splits["train"]["label"][:]) == ("regression", [-0.5, 2.0, 10.0, 0.25])

    def test_whole_numbers_are_numbers_when_the_flag_says_so_and_minus_one_is_one_of_them(self) -> None:
        assert labels_of(csv("-1", "007", "3"), problem_type="regression") == [-1.0, 7.0, 3.0]

    def test_a_comma_for_the_decimal_point_is_refused_with_its_row(self) -> None:
        words = refusal(csv("1.5", '"2,5"'), problem_type="regression")
        assert words == (
            "row 1 of the train split has 'label' = '2,5': regression needs numbers; give them, or another"
            " --problem_type"
        )


@pytest.mark.parametrize(
    ("one", "other"), [("Pos", "pos"), ("pos", "pos "), ("a b", "a  b"), ("STRASSE", "straße"), ("é", "e\u0301")]
)
def test_labels_that_differ_only_by_blanks_or_case_are_refused(one: str, other: str) -> None:
    words = refusal(csv(one, "x", other))
    pair = " and ".join(repr(each).replace("  ", " \\x20") for each in sorted([one, other]))
    assert words == (
        f"the labels {pair} of the train split differ only by blanks or case: write them alike if"
        " they are the same label, else rename one"
    )


def test_names_that_a_data_set_declares_may_differ_by_case() -> None:
    assert choose_labels(load(parquet(ClassLabel(names=["A", "a"]), 0, 1)), ()) == ("A", "a")


class TestRowsWithoutALabel:
    """They are left out of every split, with a count; a test set without any label is predicted."""

    @pytest.mark.parametrize(
        ("file", "kept"),
        [
            (lambda: jsonl("x", None, "y", "", " "), ["x", "y"]),
            (lambda: jsonl(0, 1, 2, -1), ["0", "1", "2"]),
            (lambda: csv("0", "-1", "2", "1"), ["0", "2", "1"]),
            (lambda: csv("x", "-1", "y", ""), ["x", "y"]),
            (lambda: parquet(ClassLabel(names=["x", "y"]), 0, -1, 1, None), ["x", "y"]),
            (lambda: parquet(Value("float64"), 1.0, None, 2.0), [1.0, 2.0]),
            (lambda: jsonl(["a"], None, []), [["a"], []]),
            (lambda: parquet(List(ClassLabel(names=["x", "y"])), [0], [-1, -1], []), [["x"], []]),
            (lambda: jsonl([1, 0], [-1, -1], [0, 1]), [["0"], ["1"]]),
        ],
        ids=["empty", "minus-one", "text", "words", "classes", "numbers", "lists", "hidden-lists", "hidden-hot"],
    )
    def test_are_left_out(self, file: Any, kept: list[Any], caplog: pytest.LogCaptureFixture) -> None:
        assert labels_of(file()) == kept
        assert re.search(r"\d of the \d rows of the train split ha(s|ve) no label in 'label' and ", caplog.text)

    @pytest.mark.parametrize("labels", [["-1", "1"], ["-1", "0"], ["3", "-1", "20"], ["-2", "-1", "0", "1", "2"]])
    def test_minus_one_is_a_class_among_numbers_that_do_not_count_from_zero(self, labels: list[str]) -> None:
        assert labels_of(csv(*labels)) == labels

    def test_minus_one_beside_zero_and_one_is_asked_about(self) -> None:
        file = csv("-1", "0", "1")
        assert refusal(file).startswith(
            "label_column='label' has -1 beside 0 and 1, as a class or for no label: give"
        )
        assert labels_of(file, problem_type=SINGLE) == ["-1", "0", "1"]

    def test_minus_one_in_another_split_is_no_label(self) -> None:
        loaded = load(csv("0", "1"), test=csv("1", "-1", name="test.csv"))
        assert loaded.splits["test"]["text"][:] == ["t0"]

    def test_later_mistakes_name_the_row_of_the_file(self) -> None:
        words = refusal(csv("x", "y"), test=csv("x", "", "y", "z", name="test.csv"))
        assert words.startswith("label 'z' (row 3 of the test split) is not in the training set")
        assert refusal(jsonl(None, 1.5, "many"), problem_type="regression").startswith("row 2 of the train split")


class TestSeveralLabels:
    """Lists, lists written as text, zeros and ones in lists or in columns."""

    @pytest.mark.parametrize(
        "cells",
        [
            ["\"['b', 'a']\"", "[]", "['c']"],
            ['"[""b"", ""a""]"', "[]", '"[""c""]"'],
            ["['b' 'a']", "[]", "['c']"],
            ["\"[np.str_('b'), np.str_('a')]\"", "[]", "[np.str_('c')]"],
        ],
        ids=["python", "json", "numpy", "numpy-2"],
    )
    @pytest.mark.parametrize("flags", [{}, {"problem_type": MULTI, "label_separator": ","}])
    def test_lists_written_as_text_are_lists(self, cells: list[str], flags: dict[str, str]) -> None:
        loaded = load(csv(*cells), **flags)
        assert (loaded.kind.name, loaded.labels) == (MULTI, ("a", "b", "c"))
        assert loaded.splits["train"]["label"][:] == [["b", "a"], [], ["c"]]

    @pytest.mark.parametrize(
        ("cells", "flags", "words"),
        [
            (
                ["['a']", "b"],
                {},
                "row 1 of the train split has 'label' = 'b': the other labels are lists: write it as",
            ),
            (
                ["[a]", "[]"],
                {"problem_type": MULTI},
                "row 0 of the train split has 'label' = '[a]': write it as ['a', ",
            ),
        ],
    )
    def test_half_a_list_is_refused(self, cells: list[str], flags: dict[str, str], words: str) -> None:
        assert refusal(csv(*cells), **flags).startswith(words)

    @pytest.mark.parametrize("kind", [int, float, bool])
    def test_lists_of_zeros_and_ones_are_the_places_of_the_ones(self, kind: type) -> None:
        hot = [[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
        loaded = load(jsonl(*[[kind(entry) for entry in row] for row in hot]))
        assert (loaded.kind.name, loaded.labels) == (MULTI, ("0", "1", "2", "3"))
        assert loaded.splits["train"]["label"][:] == [["0"], ["1", "2"], []]

    def test_so_are_lists_of_zeros_and_ones_that_a_table_writes(self) -> None:
        assert labels_of(csv('"[1, 0]"', "[0. 1.]", '"[True, True]"')) == [["0"], ["1"], ["0", "1"]]

    def test_lists_of_another_length_are_refused_with_their_row(self) -> None:
        words = refusal(jsonl([1, 0], [0, 1]), test=jsonl([0, 1], [0, 1, 1], name="test.jsonl"))
        assert words.startswith(
            "row 1 of the test split has 'label' = [0, 1, 1]: the other labels are lists of 2 zeros"
        )

    def test_lists_of_the_numbers_of_labels_stay_what_they_are(self) -> None:
        assert labels_of(jsonl([0, 2], [1], [])) == [["0", "2"], ["1"], []]
        assert labels_of(jsonl([0], [1], [1])) == [["0"], ["1"], ["1"]]
        assert labels_of(parquet(List(ClassLabel(names=["x", "y"])), [0, 1], [1, 0])) == [["x", "y"], ["y", "x"]]

    def test_several_columns_are_a_label_each(self, caplog: pytest.LogCaptureFixture) -> None:
        file = csv("1,0,0", "0,0,0", "1.0,true,0", "-1,-1,-1", "1,,0", columns="funny,sad,rude")
        loaded = load(file, label_column=["sad", "rude", "funny"])
        assert (loaded.kind.name, loaded.labels) == (MULTI, ("sad", "rude", "funny"))
        assert loaded.splits["train"]["label"][:] == [["funny"], [], ["sad", "funny"]]
        assert "2 of the 5 rows of the train split have no label in 'sad, rude, funny'" in caplog.text

    @pytest.mark.parametrize(
        ("names", "flags", "words"),
        [
            (["funny", "sda"], {}, "label_column='sda' is no column of the train split: did you mean 'sad'?"),
            (
                ["funny", "many"],
                {},
                "row 0 of the train split has 'many' = '7': of several label columns each holds 0",
            ),
            (["sad", "sad"], {}, "label_column=['sad', 'sad'] names a column twice: name each once"),
            (["funny", "sad"], {"problem_type": SINGLE}, "with problem_type='single_label_classification': name one"),
        ],
    )
    def test_columns_that_are_no_labels_are_refused(
        self, names: list[str], flags: dict[str, Any], words: str
    ) -> None:
        assert words in refusal(csv("1,0,7", columns="funny,sad,many"), label_column=names, **flags)


class TestTestFile:
    """A test file may lack labels, which is reported; a misspelt column is refused."""

    def test_without_labels_it_is_reported(self, caplog: pytest.LogCaptureFixture) -> None:
        Path("test.csv").write_text("text,source\na,web\n", encoding="utf-8")
        assert load(csv("x", "y"), test="test.csv").splits["test"].to_dict() == {"text": ["a"]}
        assert "The test split has no column 'label': it is predicted, and not measured." in caplog.text

    @pytest.mark.parametrize("name", ["lable", "labels", "Label", " LABEL "])
    def test_a_misspelt_column_is_refused(self, name: str) -> None:
        Path("test.csv").write_text(f"text,{name}\na,x\n", encoding="utf-8")
        words = f"label_column='label' is no column of the test split, which has {name.strip()!r}: give both the same"
        assert refusal(csv("x", "y"), test="test.csv").startswith(words)

    def test_a_column_that_the_training_set_has_too_is_none(self) -> None:
        Path("test.csv").write_text("text,label_text\na,x\n", encoding="utf-8")
        loaded = load(csv("x,0", "y,1", columns="label,label_text"), test="test.csv")
        assert loaded.splits["test"].to_dict() == {"text": ["a"]}

    def test_lines_of_a_text_file_are_predicted(self) -> None:
        Path("test.txt").write_bytes(b"first\r\n\r\nlast\r\n")
        Path("train.csv").write_text("sentence,label\na,x\nb,y\n", encoding="utf-8")
        assert load("train.csv", test="test.txt").splits["test"].to_dict() == {"text": ["first", "", "last"]}


@pytest.mark.parametrize(
    ("text", "kind"), [(["a", "b"], "a list"), ({"en": "a"}, "an object"), ([["a"]], "a list")], ids=str
)
def test_a_text_that_is_none_is_refused(text: Any, kind: str) -> None:
    Path("rows.jsonl").write_text(json.dumps({"text": text, "label": "x"}) + "\n", encoding="utf-8")
    assert refusal("rows.jsonl").startswith(f"row 0 of the train split has {kind} in 'text', {text!r}: give one text")


def test_a_text_in_bytes_is_refused() -> None:
    features = Features({"text": Value("binary"), "label": Value("string")})
    Dataset.from_dict({"text": [b"a"], "label": ["x"]}, features=features).to_parquet("rows.parquet")
    assert refusal("rows.parquet").startswith("row 0 of the train split has bytes in 'text'")


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ({"a": 1}, "a label is a text or a number: give one"),
        (7, "the data set names 2 classes, from 0 on: correct it"),
    ],
)
def test_a_label_that_is_none_is_refused_with_its_row(label: Any, words: str) -> None:
    if isinstance(label, int):
        Dataset.from_dict({"text": ["a", "b"], "label": [0, label]}).to_parquet("plain.parquet")
        features = Features({"text": Value("string"), "label": ClassLabel(names=["x", "y"])})
        rows = Dataset.from_parquet("plain.parquet")
        Dataset(
            rows.data.table, info=Dataset.from_dict({"text": [], "label": []}, features=features).info
        ).to_parquet("rows.parquet")
        assert refusal("rows.parquet").endswith(words)
    else:
        assert refusal(jsonl({"a": 1}, {"a": 2})).endswith(words)


class TestLabelsThatMayMeanSeveralThings:
    """What a user cannot have meant is refused with the ways out; what is no label in public files is none."""

    def test_a_dash_beside_words_is_no_label_as_in_files_of_snli(self) -> None:
        assert labels_of(jsonl("neutral", "-", "entailment")) == ["neutral", "entailment"]
        test = jsonl("-", "-", name="test.jsonl")
        assert "label" not in load(jsonl("neutral", "entailment"), test=test).splits["test"].column_names

    @pytest.mark.parametrize("labels", [["+", "-", "0"], ["-", "."], ["-", "yes"]])
    def test_a_dash_beside_other_signs_or_one_word_is_a_class(self, labels: list[str]) -> None:
        assert labels_of(csv(*labels)) == labels

    def test_the_text_of_nan_is_no_label_and_other_words_for_nothing_are_names(self) -> None:
        assert labels_of(csv("NA", "nan", "None", "NaN")) == ["NA", "None"]

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            (['"1,5"', "2", '"0,25"'], r"row 0 .* = '1,5': write a decimal point if it is a number, or give"),
            (["27", '"2,3"'], r"row 1 .* --problem_type multi_label_classification --label_separator , if it is sev"),
            (["1.5", "2.0", "n/a"], r"row 2 .* = 'n/a': most labels are numbers: correct it, empty it for no label"),
        ],
    )
    def test_numbers_with_commas_and_texts_among_fractions_are_asked_about(
        self, labels: list[str], words: str
    ) -> None:
        file = csv(*labels)
        assert re.search(words, refusal(file))
        assert labels_of(file, problem_type=SINGLE) == [label.strip('"') for label in labels]

    def test_a_separator_that_no_label_has_is_asked_about(self) -> None:
        file = csv("warm;sad", "sad")
        assert "no label has '|', which separates several labels: give --label_separator ';'" in refusal(
            file, problem_type=MULTI
        )
        assert labels_of(file, problem_type=MULTI, label_separator=";") == [["warm", "sad"], ["sad"]]
        assert labels_of(file, problem_type=MULTI, label_separator="|") == [["warm;sad"], ["sad"]]
        assert labels_of(csv('"a,b"', "c|d"), problem_type=MULTI) == [["a,b"], ["c", "d"]]

    @pytest.mark.parametrize(
        ("labels", "sign"),
        [
            (["joy", "joy|love", "love"], "|"),
            (["joy,love", "anger,joy", "joy"], ","),
            (["joy; love", "love; anger", "anger; joy", "joy; love; anger"], ";"),
        ],
    )
    def test_names_that_are_combinations_of_each_other_are_asked_about(self, labels: list[str], sign: str) -> None:
        file = csv(*(f'"{label}"' for label in labels))
        error = refusal(file)
        assert f"with {sign!r} between: give --problem_type multi_label_classification" in error
        assert ("--label_separator" in error) == (sign != "|")
        assert labels_of(file, problem_type=SINGLE) == labels
        separator = {} if sign == "|" else {"label_separator": sign}
        parts = [[part.strip() for part in label.split(sign)] for label in labels]
        assert labels_of(file, problem_type=MULTI, **separator) == parts

    def test_many_combinations_of_few_parts_are_counted_in_the_message(self) -> None:
        # 12 parts in 66 pairs, of which a set of rows as small as this has most once only.
        pairs = [f"p{one}|p{other}" for one in range(12) for other in range(one)]
        assert "66 different labels are made of 12 parts with '|' between" in refusal(csv(*pairs))

    @pytest.mark.parametrize(
        "labels",
        [
            ["Arts, Crafts", "Sport", "Law"],
            ["Business, Finance", "Business, Law", "Sport"],
            ["a | b", "c | d"],
            ["I, robot"],
            ["no", "yes", "yes, mostly"],
        ],
    )
    def test_names_with_a_comma_of_their_own_are_names(self, labels: list[str]) -> None:
        assert labels_of(csv(*(f'"{label}"' for label in labels))) == labels

    def test_a_model_that_knows_such_names_is_not_asked_about(self) -> None:
        file = csv("joy", "joy|love", "love")
        args = ClassificationArguments(test_file=file, validation_file=file)
        data = load_classification(args, LABEL_KINDS[SINGLE])
        assert data.splits["test"]["label"][:] == ["joy", "joy|love", "love"]

    def test_one_number_in_two_spellings_is_asked_about(self) -> None:
        assert "the labels '1' and '1.0' of the train split are the same number" in refusal(jsonl(1, "2", 1.0))

    def test_tuples_and_sets_of_texts_are_lists(self) -> None:
        assert labels_of(csv("\"('warm', 'sad')\"", "\"('sad',)\"")) == [["warm", "sad"], ["sad"]]
        assert labels_of(csv("{'warm'}", "{'sad'}")) == [["warm"], ["sad"]]

    def test_lists_that_cannot_be_read_and_lists_with_nan_are_refused(self) -> None:
        assert "row 0 of the train split has 'label' = '[warm]'" in refusal(csv("[warm]", "[sad]"))
        assert labels_of(csv("[warm]", "[sad]"), problem_type=SINGLE) == ["[warm]", "[sad]"]
        assert "a label is missing" in refusal(csv("['warm']", "\"['sad', nan]\""))

    def test_the_text_of_nan_makes_no_names_of_numbers(self) -> None:
        assert "'label' = 'nan': regression needs finite numbers" in refusal(csv("1.5", "nan", "2.5"))
