"""Examples: all formats give the same rows, what is wrong is told with its place, nothing is taken from the test."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from hf_strategies import StrategyError
from hf_strategies.finetune.arguments import DataArguments
from hf_strategies.finetune.data import load_data, load_splits
from hf_strategies.finetune.small_bert import train_wordpiece
from hf_strategies.finetune.text_classification.data import (
    ClassificationArguments,
    ClassificationData,
    choose_labels,
    encode,
    load_classification,
)

Write = Callable[[str, str], str]

# Commas, quotes, line ends, letters beyond ASCII, and words that readers of tables like to take for "missing".
TEXTS = ["plain", "with, comma", 'a "quoted" word', "two\nlines", "über straße", "NA", "null", "None", "nan", "1"]
LABELS = ["NA", "b", "NA", "b", "NA", "b", "NA", "b", "NA", "b"]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file and return its name."""

    def write_file(name: str, text: str) -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write_file


def csv_of(rows: Sequence[Sequence[object]], columns: str = "text,label") -> str:
    return "\n".join([columns, *(",".join(map(str, row)) for row in rows)]) + "\n"


def load(**arguments: Any) -> ClassificationData:
    return load_classification(ClassificationArguments(**arguments))


def told(**arguments: Any) -> str:
    """The words of the one mistake that loading raises, which must be one line."""
    with pytest.raises(StrategyError) as raised:
        choose_labels(load(**arguments), ())
    words = str(raised.value)
    assert "\n" not in words
    return words


GOOD = csv_of([(f"text {index}", "ab"[index % 2]) for index in range(20)])


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "ndjson", "parquet", "arrow"])
def test_every_format_gives_the_same_rows(ending: str, tmp_path: Path) -> None:
    rows = Dataset.from_dict({"text": TEXTS, "label": LABELS})
    file = tmp_path / f"train.{ending}"
    if ending == "csv":
        rows.to_csv(str(file))
    elif ending == "json":
        file.write_text(json.dumps(rows.to_list(), indent=1), encoding="utf-8")
    elif ending in ("jsonl", "ndjson"):
        rows.to_json(str(file))
    elif ending == "arrow":
        rows.save_to_disk(str(tmp_path / "saved"))
        next((tmp_path / "saved").glob("*.arrow")).rename(file)
    else:
        rows.to_parquet(str(file))
    data = load(train_file=str(file), validation_file=str(file))
    assert data.splits["train"]["text"][:] == TEXTS
    assert data.splits["train"]["label"][:] == LABELS
    assert (data.labels, data.name) == (("NA", "b"), "train")


def test_a_name_with_wildcards_is_the_one_file(write: Write) -> None:
    write("ab.csv", csv_of([("other", "a")]))
    for name in ("a*.csv", "a[b].csv", "a?.csv"):
        splits = load_splits(ClassificationArguments(train_file=write(name, GOOD)))
        assert splits is not None
        assert len(splits["train"]) == 20


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "train.md",
            "a",
            r"train_file='.*train.md' ends in '.md': give one of .csv, .tsv, .json, .jsonl, .ndjson, .parquet, .arr",
        ),
        ("train", "a", r"ends in ''"),
        ("train.csv", "", r"train_file='.*train.csv' is empty: give at least one example"),
        ("train.csv", "text,label\n", r"train.csv' is empty: give at least one example"),
        ("train.json", "[]", r"train.json' is empty: give at least one example"),
        ("train.jsonl", "\n", r"train.jsonl' is empty: give at least one example"),
        ("train.json", "{[}", r"train.json' is not readable as json: .*row 0"),
        ("train.jsonl", '{"text": "a", "label": "x"}\n{"text":\n', r"not readable as jsonl: .*row 1"),
        (
            "train.csv",
            "text,label\na,b\nc,d,e,f\n",
            r"train.csv' has 4 fields in row 1 \(line 3\) and 2 in the header: ",
        ),
        ("train.parquet", "text", r"not readable as parquet: "),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_flag(name: str, content: str, words: str, write: Write) -> None:
    assert re.search(words, told(train_file=write(name, content)))


def test_a_missing_file_is_told_with_its_flag(write: Write) -> None:
    missing = "nowhere/train.csv"
    assert told(train_file=missing) == "train_file='nowhere/train.csv': no such file"
    assert told(train_file=write("train.csv", GOOD), test_file=missing).startswith("test_file='nowhere/train.csv'")


def test_an_empty_split_of_any_format_is_told(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": Value("string")})
    Dataset.from_dict({"text": [], "label": []}, features=features).to_parquet(str(tmp_path / "none.parquet"))
    assert "empty: give at least one example" in told(train_file=str(tmp_path / "none.parquet"))


@pytest.mark.parametrize(
    ("columns", "arguments", "words"),
    [
        ("text,labl", {}, r"label_column='label' is no column of the train split: did you mean 'labl'\?"),
        ("txt,label", {"text_column": "text"}, r"text_column='text' is no column of the train split: .*'txt'\?"),
        ("txt,label", {}, r"text_column is not given and none of \['txt', 'label'\] is usual: name the column"),
        (
            "text,label",
            {"text_column": "text", "text_pair_column": "texts"},
            r"text_pair_column='texts' is no column of the train split: did you mean 'text'\?",
        ),
    ],
)
def test_a_missing_column_is_told_with_its_near_match(
    columns: str, arguments: dict[str, str], words: str, write: Write
) -> None:
    assert re.search(words, told(train_file=write("train.csv", GOOD.replace("text,label", columns)), **arguments))


def test_a_column_that_only_the_validation_split_lacks_is_told_with_the_split(write: Write) -> None:
    files = {
        "train_file": write("train.csv", GOOD),
        "validation_file": write("dev.csv", GOOD.replace("text,", "txt,")),
    }
    assert told(**files) == "text_column='text' is no column of the validation split: did you mean 'txt'?"


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_missing_text_is_told_with_its_row_and_split(split: str, write: Write) -> None:
    files = {f"{name}_file": write(f"{name}.csv", GOOD) for name in ("train", "validation", "test")}
    files[f"{split}_file"] = write("gap.csv", GOOD.replace("text 13,", ","))
    assert told(**files) == f"row 13 of the {split} split has no 'text': fill it or drop the row"


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_rows_without_a_label_are_left_out_and_counted(
    split: str, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    files = {f"{name}_file": write(f"{name}.csv", GOOD) for name in ("train", "validation", "test")}
    files[f"{split}_file"] = write("gap.csv", GOOD.replace("text 13,b", "text 13,").replace("text 4,a", "text 4, "))
    splits = load(**files).splits
    assert splits[split]["text"][:] == [f"text {index}" for index in range(20) if index not in (4, 13)]
    assert [len(rows) for name, rows in splits.items() if name != split] == [20, 20]
    assert caplog.messages == [
        f"2 of the 20 rows of the {split} split have no label in 'label' and are left out: rows 4, 13."
    ]


def test_a_missing_value_of_json_is_told_with_its_row(write: Write) -> None:
    lines = '{"text": "a", "label": "x"}\n{"text": null, "label": "y"}\n{"text": "c", "label": "y"}\n'
    assert told(train_file=write("train.jsonl", lines)).startswith("row 1 of the train split has no 'text'")


@pytest.mark.parametrize("arguments", [{}, {"max_train_samples": 2}])
def test_rows_are_counted_in_the_file_also_when_the_split_is_divided_or_cut(
    arguments: dict[str, int], write: Write
) -> None:
    gap = write("gap.csv", GOOD.replace("text 17,", ","))
    assert told(train_file=gap, **arguments).startswith("row 17 of the train split")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_label_that_training_lacks_is_told_with_row_split_and_remedy(split: str, write: Write) -> None:
    train = write("train.csv", csv_of([("x", "positive"), ("y", "negative")]))
    other = write("other.csv", csv_of([("x", "positive"), ("y", "negativ")]))
    arguments = {"train_file": train, "validation_file": train, f"{split}_file": other}
    assert told(**arguments) == (
        f"label 'negativ' (row 1 of the {split} split) is not in the training set: did you mean 'negative'?"
    )


def test_a_single_label_is_told(write: Write) -> None:
    words = told(train_file=write("train.csv", csv_of([("x", "a"), ("y", "a"), ("z", "a")])))
    assert words == "the only label of the training set is 'a': give at least two"


def test_no_label_at_all_is_told(write: Write) -> None:
    assert told(test_file=write("test.csv", GOOD)).startswith("train_file is missing")


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        ([10, 2, 1, 0], ("0", "1", "2", "10")),
        ([3, -1, 20], ("-1", "3", "20")),
        (["b", "a", "10", "9"], ("9", "10", "a", "b")),
        (["ten", "Two", "one"], ("Two", "one", "ten")),
    ],
)
def test_labels_are_ordered_numbers_first_and_by_value(
    labels: list[Any], order: tuple[str, ...], write: Write
) -> None:
    file = write("train.csv", csv_of([(f"t{index}", label) for index, label in enumerate(labels)]))
    assert load(train_file=file, validation_file=file).labels == order


def test_named_classes_keep_the_order_and_the_names_of_their_data_set(tmp_path: Path) -> None:
    features = Features({"sentence": Value("string"), "label": ClassLabel(names=["worse", "better", "unused"])})
    rows = Dataset.from_dict({"sentence": ["a", "b", "c"], "label": [1, 0, 1]}, features=features)
    rows.to_parquet(str(tmp_path / "train.parquet"))
    data = load(train_file=str(tmp_path / "train.parquet"), validation_file=str(tmp_path / "train.parquet"))
    assert data.labels == ("worse", "better", "unused")
    assert data.splits["train"]["label"][:] == ["better", "worse", "better"]


@pytest.mark.parametrize(("first", "second"), [("sentence1", "sentence2"), ("premise", "hypothesis")])
def test_pairs_are_found_by_their_usual_columns(first: str, second: str, write: Write) -> None:
    file = write("train.csv", csv_of([("a", "b", "x"), ("c", "d", "y")], f"{first},{second},label"))
    data = load(train_file=file, validation_file=file)
    assert data.splits["train"].to_dict() == {"text": ["a", "c"], "label": ["x", "y"], "text_pair": ["b", "d"]}
    assert data.texts == ["a", "c", "b", "d"]


def test_named_columns_win_over_the_usual_ones(write: Write) -> None:
    file = write("train.csv", csv_of([("a", "b", "x"), ("c", "d", "y")], "text,body,kind"))
    data = load(train_file=file, validation_file=file, text_column="body", label_column="kind")
    assert data.splits["train"].to_dict() == {"text": ["b", "d"], "label": ["x", "y"]}


@pytest.mark.parametrize(
    "test", ["text\na\nb\n", "text,label\na,\nb,\n", "text,label\na,-1\nb,-1\n"], ids=["absent", "empty", "hidden"]
)
def test_a_test_set_may_have_no_labels(test: str, write: Write) -> None:
    data = load(train_file=write("train.csv", GOOD), test_file=write("test.csv", test))
    assert data.splits["test"].to_dict() == {"text": ["a", "b"]}
    tokenizer = train_wordpiece(data.texts)
    encoded = encode(ClassificationArguments(), data, tokenizer, choose_labels(data, ()), max_length=8)
    assert "labels" in encoded["train"].column_names
    assert "labels" not in encoded["test"].column_names


class TestValidationSplit:
    """Without a validation set, a part of the training set takes its place."""

    @pytest.fixture
    def files(self, write: Write) -> dict[str, str]:
        test = csv_of([(f"test {index}", "ab"[index % 2]) for index in range(8)])
        return {"train_file": write("train.csv", GOOD), "test_file": write("test.csv", test)}

    def test_training_set_is_divided_and_the_test_set_left_alone(self, files: dict[str, str]) -> None:
        splits = load(**files, validation_fraction=0.25).splits
        train, validation = splits["train"]["text"][:], splits["validation"]["text"][:]
        assert (len(train), len(validation)) == (15, 5)
        assert sorted(train + validation) == sorted(f"text {index}" for index in range(20))
        assert splits["test"]["text"][:] == [f"test {index}" for index in range(8)]

    def test_the_division_is_the_same_each_time(self, files: dict[str, str]) -> None:
        one, other = load(**files).splits, load(**files).splits
        assert one["validation"]["text"][:] == other["validation"]["text"][:]

    def test_it_is_said(self, files: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
        load(**files)
        assert "no validation set: 2 of the 20 training examples are taken for it" in caplog.text

    def test_a_validation_file_is_taken_as_it_is(self, files: dict[str, str]) -> None:
        splits = load(**files, validation_file=files["train_file"]).splits
        assert len(splits["train"]) == len(splits["validation"]) == 20

    @pytest.mark.parametrize(("fraction", "size"), [(0.001, 1), (0.999, 19)])
    def test_both_parts_have_an_example_at_any_fraction(
        self, fraction: float, size: int, files: dict[str, str]
    ) -> None:
        splits = load(**files, validation_fraction=fraction).splits
        assert (len(splits["train"]), len(splits["validation"])) == (20 - size, size)

    def test_one_example_cannot_be_divided(self, write: Write) -> None:
        words = told(train_file=write("one.csv", csv_of([("x", "a")])))
        assert re.search("the train split has one example.*give validation_file", words)


def drawn(file: str, seed: int, **most: int) -> dict[str, list[int]]:
    """The numbers of the rows that are drawn of one file for each split."""
    args = ClassificationArguments(train_file=file, validation_file=file, test_file=file, **most)  # type: ignore
    splits = load_classification(args, seed=seed).splits
    return {split: [int(text.split()[1]) for text in rows["text"]] for split, rows in splits.items()}


def test_samples_of_a_sorted_file_are_drawn_by_the_seed_and_keep_their_order(write: Write) -> None:
    file = write("rows.csv", csv_of([(f"text {index}", "ab"[index >= 100]) for index in range(200)]))
    most = {"max_train_samples": 50, "max_eval_samples": 40, "max_test_samples": 300}
    one, again, other = drawn(file, 1, **most), drawn(file, 1, **most), drawn(file, 2, **most)
    assert one == again
    assert [len(numbers) for numbers in one.values()] == [50, 40, 200]
    for numbers in one.values():
        assert numbers == sorted(set(numbers))
    for split in ("train", "validation"):
        assert 10 < sum(number >= 100 for number in one[split]) < 40
    assert one["train"] != other["train"]
    assert one["validation"] == other["validation"], "runs with different seeds are measured on the same rows"


class TestDatasetName:
    """Data sets by name; a folder stands in for the Hub, which the tests cannot reach."""

    def test_one_that_cannot_be_loaded_offline_is_one_error(self) -> None:
        words = told(dataset_name="nyu-mll/glue", dataset_config_name="mrpc")
        assert re.search("dataset_name='nyu-mll/glue' cannot be loaded: .*nyu-mll/glue", words)

    def test_its_splits_are_taken_under_our_names(self, write: Write, tmp_path: Path) -> None:
        for name in ("train", "validation", "test"):
            write(f"{name}.csv", GOOD.replace("text ", f"{name} "))
        splits = load(dataset_name=str(tmp_path), test_split="validation").splits
        assert {name: rows["text"][0] for name, rows in splits.items()} == {
            "train": "train 0",
            "validation": "validation 0",
            "test": "validation 0",
        }

    def test_a_named_split_that_it_lacks_is_told(self, write: Write, tmp_path: Path) -> None:
        write("train.csv", GOOD)
        words = told(dataset_name=str(tmp_path), train_split="trian")
        assert re.search(r"train_split='trian': .* has no such split: did you mean 'train'\?", words)

    def test_one_without_the_usual_splits_is_told_and_nothing_else_taken_for_it(
        self, write: Write, tmp_path: Path
    ) -> None:
        write("rows.csv", GOOD)
        write(
            "README.md",
            "---\nconfigs:\n- config_name: default\n  data_files:\n  - {split: whole, path: rows.csv}\n---\n",
        )
        assert re.search(r"has only \['whole'\]: name one by --train_split", told(dataset_name=str(tmp_path)))


def test_a_recipe_without_an_offline_task_asks_for_data() -> None:
    with pytest.raises(StrategyError, match="train_file is missing, and there is no offline data"):
        load_data(DataArguments())
