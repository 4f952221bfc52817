"""Files by their flags: several, patterns, compressed, in folders, in other encodings; each is read anew."""

import bz2
import gzip
import lzma
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from hf_strategies import StrategyError
from hf_strategies.finetune.arguments import DataArguments
from hf_strategies.finetune.command import command_of
from hf_strategies.finetune.command_line import parse
from hf_strategies.finetune.data import load_data, load_splits
from hf_strategies.finetune.tables import excel

TABLE = "text,label\na,x\nb,y\n"
ROWS = {"text": ["a", "b"], "label": ["x", "y"]}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, content: str | bytes = TABLE) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def train(files: Any, **arguments: Any) -> Dataset:
    splits = load_splits(DataArguments(train_file=files, **arguments))
    assert splits is not None
    return splits["train"]


def refusal(files: Any, **arguments: Any) -> str:
    with pytest.raises(StrategyError) as raised:
        train(files, **arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


class TestSeveralFiles:
    """Several files and patterns are one table."""

    @pytest.mark.parametrize(
        ("flags", "files"),
        [
            (["--train_file", "a.csv", "b.csv"], ["a.csv", "b.csv"]),
            (["--train_file=a.csv"], ["a.csv"]),
            (["--config", "one.yaml"], ["a.csv"]),
            (["--config", "two.yaml"], ["a.csv", "b.csv"]),
        ],
    )
    def test_flags_and_yaml_name_one_or_several(self, flags: list[str], files: list[str]) -> None:
        write("one.yaml", "train_file: a.csv\n")
        write("two.yaml", "train_file: [a.csv, b.csv]\n")
        [arguments] = parse((DataArguments,), flags)
        assert arguments.train_file == files

    def test_files_follow_each_other_and_those_of_a_pattern_are_sorted(self) -> None:
        for name, text in (("part-2.csv", "c"), ("part-1.csv", "b"), ("first.jsonl", "a")):
            write(name, f'{{"label": "x", "text": "{text}"}}' if name[0] == "f" else f"text,label\n{text},x\n")
        assert train(["first.jsonl", "part-*.csv"])["text"][:] == ["a", "b", "c"]
        assert train(["part-2.csv", "first.jsonl"])["text"][:] == ["c", "a"]

    def test_the_data_set_is_named_after_the_first(self) -> None:
        write("a.csv.gz", gzip.compress(TABLE.encode(), mtime=0))
        write("b.csv")
        assert load_data(DataArguments(train_file=["a.csv.gz"]))[1] == "a"
        assert load_data(DataArguments(train_file=["a.csv.gz", "b.csv"]))[1] == "a and 1 more"

    def test_numbers_of_one_file_may_be_whole_and_a_column_empty(self) -> None:
        write("a.jsonl", '{"label": 1, "note": null}\n')
        write("b.jsonl", '{"label": 2.5, "note": "n"}\n')
        assert train(["a.jsonl", "b.jsonl"]).to_dict() == {"label": [1.0, 2.5], "note": [None, "n"]}

    def test_what_does_not_fit_together_is_refused(self) -> None:
        write("a.csv")
        write("b.csv", "text,lable\nc,x\n")
        write("c.jsonl", '{"text": "d", "label": 1}\n')
        assert refusal(["a.csv", "b.csv"]) == (
            "train_file: 'b.csv' has the columns ['text', 'lable'] and 'a.csv' ['text', 'label']: give each file the"
            " same"
        )
        assert re.match(
            r"train_file: a column has different types in 'a.csv', 'c.jsonl'", refusal(["a.csv", "c.jsonl"])
        )
        assert refusal(["a.csv", "a.csv"]) == "train_file names 'a.csv' more than once: name each file once"
        assert refusal("x*.csv") == "train_file='x*.csv': no file has such a name"
        assert refusal("") == "train_file='': no such file"

    def test_named_classes_in_another_order_are_refused(self) -> None:
        for name, classes in (("a", ["x", "y"]), ("b", ["y", "x"])):
            features = Features({"label": ClassLabel(names=classes)})
            Dataset.from_dict({"label": [0]}, features=features).to_parquet(f"{name}.parquet")
        assert "'label' has named classes in one file and not the same in another" in refusal(
            ["a.parquet", "b.parquet"]
        )


def test_another_run_is_one_whose_pattern_has_other_files() -> None:
    args = DataArguments(train_file="part-*.csv")  # type: ignore[arg-type]
    write("part-1.csv")
    first = command_of([args])
    assert command_of([args]) == first
    write("part-2.csv")
    assert command_of([args]) != first


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.CSV", TABLE.encode()),
        ("a.csv.gz", gzip.compress(TABLE.encode(), mtime=0)),
        ("a.csv.BZ2", bz2.compress(TABLE.encode())),
        ("a.tsv.xz", lzma.compress(TABLE.replace(",", "\t").encode())),
        ("a.Jsonl.gz", gzip.compress(b'{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n', mtime=0)),
        ("bom.csv", TABLE.encode("utf-8-sig")),
        ("unicode.csv", TABLE.encode("utf-16")),
    ],
)
def test_endings_in_capitals_compression_and_byte_order_marks_are_read(name: str, content: bytes) -> None:
    assert train(write(name, content)).to_dict() == ROWS


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv.gz", TABLE.encode(), "cannot be read (Not a gzipped file"),
        ("a.csv.gz", gzip.compress(TABLE.encode() * 9, mtime=0)[:-9], "cannot be read (Compressed file ended before"),
        (
            "a.csv",
            TABLE.encode("utf-16-le"),
            "has NUL characters: give a text file, or its --encoding, such as utf-16",
        ),
        ("a.arrow", b"x", "is not readable as arrow"),
        ("a.parquet", b"PAR1" * 9, "is not readable as parquet"),
        ("a.gz", b"x", "ends in '': give one of .csv"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(name: str, content: bytes, words: str) -> None:
    assert refusal(write(name, content)).startswith(f"train_file='{name}' {words}")


class TestEncoding:
    """UTF-8 unless the flag names another encoding."""

    def test_latin_1_is_refused_with_the_flag_that_reads_it(self) -> None:
        write("a.csv", "text,label\ncafé,x\n".encode("latin-1"))
        assert refusal("a.csv").endswith("invalid continuation byte): convert it, or give --encoding latin-1")
        assert train("a.csv", encoding="latin-1")["text"][:] == ["café"]

    def test_what_only_windows_writes_is_told_apart(self) -> None:
        write("a.csv", "text,label\n“so”,x\n".encode("cp1252"))
        assert refusal("a.csv").endswith("give --encoding cp1252")
        assert train("a.csv", encoding="cp1252")["text"][:] == ["“so”"]

    def test_the_flag_holds_for_json_too(self) -> None:
        write("a.jsonl", '{"text": "café"}\n'.encode("latin-1"))
        assert train("a.jsonl", encoding="latin-1")["text"][:] == ["café"]

    def test_a_file_that_is_utf_8_all_the_same_is_reported(self, caplog: pytest.LogCaptureFixture) -> None:
        write("a.csv", "text,label\ncafé,x\n")
        assert train("a.csv", encoding="latin-1")["text"][:] == ["cafÃ©"]
        assert "train_file='a.csv' is valid UTF-8 and is read as latin-1" in caplog.text

    def test_the_wrong_one_is_refused(self) -> None:
        write("a.csv", "text,label\ncafé,x\n")
        assert "is not readable as ascii" in refusal("a.csv", encoding="ascii")

    @pytest.mark.parametrize(("name", "words"), [("latin-l", "did you mean 'latin-1'"), ("base64", "is unknown")])
    def test_one_that_decodes_no_text_is_refused(self, name: str, words: str) -> None:
        with pytest.raises(StrategyError, match=f"encoding='{name}'.*{words}"):
            DataArguments(encoding=name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"separator": "::"}, "separator='::' cannot separate columns: give one character"),
        ({"separator": '"'}, "separator='\"' cannot separate columns"),
        ({"column_names": ["a", "a"]}, r"column_names=\['a', 'a'\]: give each column a name of its own"),
        ({"column_names": ["a", ""]}, r"column_names=\['a', ''\]: give each column"),
    ],
)
def test_rules_that_cannot_be_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        DataArguments(**arguments)


@pytest.mark.parametrize("written", ["\\t", "tab", "\t"])
def test_a_tab_can_be_written_in_a_shell(written: str) -> None:
    assert train(write("a.csv", "text\tlabel\na;b;c\tx\n"), separator=written)["text"][:] == ["a;b;c"]


@pytest.mark.parametrize("rule", [{"separator": ";"}, {"column_names": ["a"]}, {"encoding": "latin-1"}])
def test_a_rule_without_effect_is_refused(rule: dict[str, Any]) -> None:
    Dataset.from_dict(ROWS).to_parquet("a.parquet")
    assert refusal("a.parquet", **rule).endswith(" has no effect on .parquet files: leave it out")
    with pytest.raises(StrategyError, match="has no effect on data that is not in files"):
        load_splits(DataArguments(**rule))


def test_a_file_that_was_replaced_at_the_same_time_is_read_anew() -> None:
    for content in (TABLE, TABLE.replace("a,x", "c,x")):
        write("a.csv", content)
        os.utime("a.csv", (1_000_000_000, 1_000_000_000))
        text = train("a.csv")["text"][:]
    assert text == ["c", "b"]


def test_a_file_is_read_where_no_cache_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", Path(os.devnull) / "cache")
    assert train(write("a.csv")).to_dict() == ROWS


def test_categories_of_pandas_are_texts() -> None:
    table = pa.table({"text": ["a", "b"], "label": pa.array(["x", "y"]).dictionary_encode()})
    pyarrow.parquet.write_table(table, "a.parquet")
    assert train("a.parquet").to_dict() == ROWS


class TestFolders:
    """Folders that datasets has saved, and folders of files."""

    def test_a_saved_data_set_is_read_as_a_file(self) -> None:
        Dataset.from_dict(ROWS).select([1, 0]).save_to_disk("saved")
        assert train("saved")["text"][:] == ["b", "a"]
        assert train(["saved", write("a.csv")])["text"][:] == ["b", "a", "a", "b"]

    def test_of_several_saved_splits_the_one_of_the_flag_is_read(self) -> None:
        rows = Dataset.from_dict(ROWS)
        DatasetDict({"train": rows, "dev": rows.select([1])}).save_to_disk("saved")
        splits = load_splits(
            DataArguments(train_file="saved", validation_file="saved", validation_split="dev")  # type: ignore[arg-type]
        )
        assert splits is not None
        assert [len(rows) for rows in splits.values()] == [2, 1]
        named = load_splits(DataArguments(dataset_name="saved", validation_split="dev"))
        assert named is not None
        assert [len(rows) for rows in named.values()] == [2, 1]
        assert refusal("saved", train_split="trian").endswith("has no split 'trian': did you mean 'train'?")

    def test_a_damaged_one_and_any_other_folder_are_refused(self) -> None:
        write("saved/state.json", "{}")
        assert refusal("saved").startswith("train_file='saved' is not readable as a saved data set")
        write("folder/a.csv")
        assert refusal("folder").startswith("train_file='folder' is a folder that save_to_disk has not written: give")

    def test_the_files_of_a_named_folder_are_read_by_the_same_rules(self) -> None:
        write("folder/train.csv", "text;label\n007;01\n")
        splits = load_splits(DataArguments(dataset_name="folder"))
        assert splits is not None
        assert splits["train"].to_dict() == {"text": ["007"], "label": ["01"]}

    def test_a_named_folder_that_declares_its_types_keeps_them(self) -> None:
        write("folder/train.csv", "text,label\n007,1\n")
        declared = "dataset_info:\n  features:\n  - {name: text, dtype: string}\n  - {name: label, dtype: int64}\n"
        write("folder/README.md", f"---\n{declared}---\n")
        splits = load_splits(DataArguments(dataset_name="folder"))
        assert splits is not None
        assert splits["train"].features["label"] == Value("int64")
        assert splits["train"].to_dict() == {"text": ["007"], "label": [1]}


class TestExcel:
    """Excel files need openpyxl."""

    def test_without_openpyxl_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(excel, "find_spec", lambda _: None)
        words = "is an Excel file, which needs openpyxl: pip install 'hf-strategies[excel]', or save as csv"
        assert refusal(write("a.xlsx", b"x")) == f"train_file='a.xlsx' {words}"

    def test_the_first_sheet_is_read_as_a_csv_is(self, caplog: pytest.LogCaptureFixture) -> None:
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        for row in (
            ["text", "label", None],
            ["007", 1, None],
            [None, None, None],
            [7, 2.5, None],
            [True, "NA", None],
        ):
            book.active.append(row)
        book.create_sheet("notes")
        book.save("a.xlsx")
        assert train("a.xlsx").to_dict() == {"text": ["007", "7", "TRUE"], "label": ["1", "2.5", "NA"]}
        assert "train_file='a.xlsx' has 2 sheets: only the first, 'Sheet', is read." in caplog.text

    def test_what_is_no_excel_file_is_refused(self) -> None:
        pytest.importorskip("openpyxl")
        assert refusal(write("a.xlsx", b"PK\3\4")).startswith("train_file='a.xlsx' is not readable as xlsx")
