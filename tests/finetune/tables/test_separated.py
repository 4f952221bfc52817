"""csv and tsv files: cells as they stand in the file, rows of one width, quotes and separators of the format."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset

from hf_strategies import StrategyError
from hf_strategies.finetune.tables.file import ReadingRules, TableFile
from hf_strategies.finetune.tables.separated import is_untyped, read_separated

Read = Callable[..., Dataset]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a text as a file of the given ending, with the given rules."""

    def read_text(text: str, ending: str = "csv", **rules: object) -> Dataset:
        (tmp_path / f"train.{ending}").write_bytes(text.encode())
        return read_separated(TableFile("train_file", tmp_path / f"train.{ending}"), ReadingRules(**rules))  # type: ignore[arg-type]

    return read_text


def test_cells_are_text_as_it_stands_in_the_file(read: Read) -> None:
    cells = ["007", "1.50", "1e3", "TRUE", "NA", "null", "nan", " 7", "2021-01-02", "①"]
    rows = read("\n".join(["text,label", *(f"{cell},01" for cell in cells)]))
    assert rows["text"][:] == cells
    assert set(rows["label"]) == {"01"}
    assert is_untyped(rows)


def test_a_text_after_ten_thousand_numbers_is_no_mistake(read: Read) -> None:
    rows = read("text,label\n" + "".join(f"{index},a\n" for index in range(10_050)) + "hello,b\n")
    assert (len(rows), rows[10_049]["text"], rows[10_050]["text"]) == (10_051, "10049", "hello")


def test_an_empty_cell_is_missing_and_an_empty_line_is_left_out(read: Read) -> None:
    assert read("text,label\na,\n\n,x\n\n").to_dict() == {"text": ["a", None], "label": [None, "x"]}


def test_an_empty_line_of_a_single_column_is_an_empty_cell_so_that_rows_keep_their_numbers(read: Read) -> None:
    assert read("text\na\n\nb\n\n")["text"][:] == ["a", None, "b"]


def test_long_documents_are_read(read: Read) -> None:
    assert len(read("text,label\n" + "x" * 200_000 + ",a\n")["text"][0]) == 200_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "text,label\na,x\nb and c,y,0.9\n",
            "has 3 fields in row 1 (line 3) and 2 in the header: give each row as many",
        ),
        ("text,label\nbright, warm,x\n", "has 3 fields in row 0 (line 2) and 2 in the header"),
        ('text,label\n"two\nlines",x\n\nb\n', "has 1 field in row 1 (line 5) and 2 in the header"),
        ("text\nHello, world\n", "has 2 fields in row 0 (line 2) and 1 in the header"),
        (
            'text,label\na,x\n"Too long, he wrote,y\nc,z\n',
            "the row that begins in line 3: unexpected end of data: close",
        ),
        (
            'text,label\n"He wrote "early,y\n',
            "the row that begins in line 2: ',' expected after '\"': close each quote",
        ),
        ("text,text\na,b\n", "has two columns 'text': rename one, or give --column_names if there is no header"),
        ("text,label\n", "is empty: give at least one example"),
        ("\n\n", "is empty: give at least one example"),
    ],
)
def test_a_table_that_is_none_is_refused_with_its_row(text: str, words: str, read: Read) -> None:
    with pytest.raises(StrategyError, match=re.escape(words)) as raised:
        read(text)
    assert re.match(r"train_file='.*train\.csv' ", str(raised.value))
    assert "\n" not in str(raised.value)


def test_a_quote_in_a_tsv_is_a_letter(read: Read) -> None:
    texts = ['"Too long, he wrote', 'I left "early', 'lovely" it ends', '"all"', "it's"]
    rows = read("text\tlabel\n" + "".join(f"{text}\tx\n" for text in texts), "tsv")
    assert rows["text"][:] == texts


def test_a_tsv_in_which_quotes_are_marks_is_reported(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    cell = '"a ""quoted"" word"'
    assert read(f"text\tlabel\n{cell}\tx\n", "tsv")["text"][:] == [cell]
    assert "1 cells are in quotes and have doubled quotes in them" in caplog.text
    with pytest.raises(StrategyError, match=r"has 1 field in row 0 .* or end the name in \.csv if its double quotes"):
        read('text\tlabel\n"two\nlines"\tx\n', "tsv")
    assert read(f'text\tlabel\n{cell}\tx\n"two\nlines"\ty\n')["text"][:] == ['a "quoted" word', "two\nlines"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_of_a_csv_is_the_one_of_its_header(separator: str, read: Read) -> None:
    others = " and ".join({",", ";", "\t", "|"} - {separator})
    rows = read(f"text{separator}label\r\nwith {others}{separator}x\r\nb{separator}y\r\n")
    assert rows.to_dict() == {"text": [f"with {others}", "b"], "label": ["x", "y"]}


def test_of_two_separators_in_a_header_the_one_that_all_rows_have_is_taken(read: Read) -> None:
    rows = read("text, original;label\na;x\nb, c, d;y\n")
    assert rows.to_dict() == {"text, original": ["a", "b, c, d"], "label": ["x", "y"]}


def test_the_line_in_which_excel_names_its_separator_is_no_header(read: Read) -> None:
    assert read("sep=;\r\ntext;label\r\na, b;x\r\n").to_dict() == {"text": ["a, b"], "label": ["x"]}
    with pytest.raises(StrategyError, match=r"in row 0 \(line 3\)"):
        read("sep=;\ntext;label\na;b;c\n")


def test_another_separator_is_named(read: Read) -> None:
    assert read("text^label\na;b,c^x\n", separator="^").to_dict() == {"text": ["a;b,c"], "label": ["x"]}


def test_column_names_are_for_a_file_without_a_header(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    rows = read("good, they say;x\nbad;y\n", column_names=["text", "label"])
    assert rows.to_dict() == {"text": ["good, they say", "bad"], "label": ["x", "y"]}
    assert (
        "is read without a header, because of column_names: its first row is ['good, they say', 'x']" in caplog.text
    )
    with pytest.raises(
        StrategyError, match=r"has the column_names \['text', 'label'\] in line 1: leave out --column_n"
    ):
        read("Text,label\na,x\n", column_names=["text", "label"])
    with pytest.raises(StrategyError, match=r"has 3 fields in row 0 \(line 1\) and 2 in column_names"):
        read("a,b,x\n", column_names=["text", "label"])


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_a_column_that_numbers_the_rows_is_left_out(name: str, read: Read) -> None:
    assert read(f"{name},text,label,\n0,a,x,\n7,b,y,\n").column_names == ["text", "label"]


def test_another_column_without_a_name_is_kept(read: Read) -> None:
    assert read(",text\na,x\nb,y\n").to_dict() == {"Unnamed: 0": ["a", "b"], "text": ["x", "y"]}
    assert read(",text\n1,x\n1,y\n").column_names == ["Unnamed: 0", "text"]
    assert read("Unnamed: 0\n1\n2\n")["Unnamed: 0"][:] == ["1", "2"]


def test_blanks_after_the_separators_of_the_header_are_no_part_of_the_cells(read: Read) -> None:
    rows = read('label, text\n"x", "one, two"\ny,  three\n')
    assert rows.to_dict() == {"label": ["x", "y"], "text": ["one, two", "three"]}
    assert read("label,text\nx, one\n")["text"][:] == [" one"]
