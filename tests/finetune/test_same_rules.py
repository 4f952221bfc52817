"""All recipes read files by the same rules: encodings, compression, samples, unknown and misspelt labels."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hf_strategies import StrategyError
from hf_strategies.finetune.masked_lm.data import MaskedLMArguments, load_lines
from hf_strategies.finetune.multiple_choice.data import ChoiceArguments, load_choices
from hf_strategies.finetune.question_answering.data import QuestionArguments, load_questions
from hf_strategies.finetune.text_classification.data import ClassificationArguments, load_classification
from hf_strategies.finetune.token_classification.data import TokenArguments, choose_tags, load_tokens


class Case(NamedTuple):
    """A recipe: its arguments and loader, row number i of a file for it, and the column of its labels, with None."""

    arguments: Callable[..., Any]
    load: Callable[..., Any]
    row: Callable[[int], dict[str, Any]]
    label: str | None
    texts: str


CASES = {
    "text": Case(
        ClassificationArguments,
        load_classification,
        lambda i: {"text": f"é{i}", "label": "xy"[i % 2]},
        "label",
        "text",
    ),
    "tokens": Case(
        TokenArguments, load_tokens, lambda i: {"tokens": [f"é{i}"], "tags": ["xy"[i % 2]]}, "tags", "tokens"
    ),
    "questions": Case(
        QuestionArguments,
        load_questions,
        lambda i: {
            "id": str(i),
            "question": f"é{i}",
            "context": f"c{i} a",
            "answers": {"text": ["a"], "answer_start": [len(f"c{i} ")]},
        },
        "answers",
        "question",
    ),
    "choices": Case(
        ChoiceArguments,
        load_choices,
        lambda i: {"context": f"é{i}", "choices": ["a", "b"], "label": i % 2},
        "label",
        "context",
    ),
    "lines": Case(MaskedLMArguments, load_lines, lambda i: {"text": f"é{i}"}, None, "text"),
}
LABELLED = {name: case for name, case in CASES.items() if case.label}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, rows: list[dict[str, Any]], encoding: str = "utf-8") -> str:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(encoding)
    Path(name).write_bytes(gzip.compress(lines) if name.endswith(".gz") else lines)
    return name


def load(case: Case, file: Any, *, test: str | None = None, seed: int = 0, **flags: Any) -> Any:
    return case.load(case.arguments(train_file=file, validation_file=file, test_file=test, **flags), seed=seed)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.JSON"])
def test_encoding_and_compression(case: Case, name: str) -> None:
    write(name, [case.row(i) for i in range(4)], "latin-1")
    with pytest.raises(StrategyError, match=r"is not readable as UTF-8 .*: convert it, or give --encoding latin-1"):
        load(case, name)
    texts = load(case, name, encoding="latin-1").splits["train"][case.texts][:]
    assert [text if isinstance(text, str) else text[0] for text in texts] == [f"é{i}" for i in range(4)]


@pytest.mark.parametrize(("arguments", "load"), [(TokenArguments, load_tokens), (MaskedLMArguments, load_lines)])
def test_encoding_and_compression_of_the_recipes_own_files(
    arguments: Callable[..., Any], load: Callable[..., Any]
) -> None:
    Path("rows.txt.gz").write_bytes(gzip.compress("café x\r\n\r\nmaté y\r\n".encode("latin-1")))
    splits = load(arguments(train_file="rows.txt.gz", validation_file="rows.txt.gz", encoding="latin-1")).splits
    assert splits["train"][0] in ({"tokens": ["café"], "tags": ["x"]}, {"text": "café x"})
    assert len(splits["train"]) == 2


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_training_samples_are_drawn_by_the_seed(case: Case) -> None:
    file = write("rows.jsonl", [case.row(i) for i in range(60)])
    limits = {"max_train_samples": 20, "max_eval_samples": 10}
    first, same, other = (load(case, file, seed=seed, **limits).splits for seed in (1, 1, 2))
    assert [first[split].to_dict() for split in first] == [same[split].to_dict() for split in first]
    assert first["train"][case.texts][:] != other["train"][case.texts][:]
    assert first["validation"].to_dict() == other["validation"].to_dict()


@pytest.mark.parametrize("case", LABELLED.values(), ids=LABELLED)
def test_rows_without_a_label_are_left_out_of_every_split(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    label = str(case.label)
    file = write("rows.jsonl", [case.row(i) | ({label: None} if i in (1, 4) else {}) for i in range(8)])
    splits = load(case, file, test=file).splits
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 6, "validation": 6, "test": 6}
    for split in splits:
        words = f"2 of the 8 rows of the {split} split have no label in {label!r} and are left out: rows 1, 4."
        assert words in caplog.messages


@pytest.mark.parametrize("case", LABELLED.values(), ids=LABELLED)
def test_a_misspelt_column_of_labels_in_a_test_file_is_refused(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    rows, label = [case.row(i) for i in range(4)], str(case.label)
    misspelt = [{name if name != label else name[:-1]: value for name, value in row.items()} for row in rows]
    with pytest.raises(
        StrategyError, match=f"_column='{label}' is no column of the test split, which has '{label[:-1]}'"
    ):
        load(case, write("rows.jsonl", rows), test=write("test.jsonl", misspelt))
    absent = [{name: value for name, value in row.items() if name != label} for row in rows]
    assert len(load(case, "rows.jsonl", test=write("test.jsonl", absent)).splits["test"]) == 4
    assert f"The test split has no column {label!r}: it is predicted, and not measured." in caplog.messages


def test_lists_that_a_table_writes_are_words_tags_and_endings() -> None:
    Path("words.csv").write_text("tokens,tags\n\"['a', 'b']\",['x' 'y']\n", encoding="utf-8")
    assert load(CASES["tokens"], "words.csv").splits["train"].to_dict() == {
        "tokens": [["a", "b"]],
        "tags": [["x", "y"]],
    }
    Path("quiz.csv").write_text("context,choices,label\nq,\"['yes', 'no']\",1\n", encoding="utf-8")
    [row] = load(CASES["choices"], "quiz.csv").splits["train"].to_list()
    assert (row["endings"], row["label"]) == (["yes", "no"], 1)


def test_signs_that_look_like_digits_are_tags() -> None:
    Path("stars.conll").write_text("Ann ①\nsang ②\n\nBob ①\n", encoding="utf-8")
    assert choose_tags(load(CASES["tokens"], "stars.conll"), ()) == ("①", "②")


def test_an_unknown_tag_is_told_with_its_row_in_the_file() -> None:
    train = write("train.jsonl", [{"tokens": ["a", "b"], "tags": ["x", "y"]}] * 3)
    rows = [{"tokens": ["a"], "tags": None}, {"tokens": ["a"], "tags": ["x"]}, {"tokens": ["a"], "tags": ["z"]}]
    data = load(CASES["tokens"], train, test=write("test.jsonl", rows))
    with pytest.raises(StrategyError, match=r"tag 'z' \(row 2 of the test split\) is not in the training set"):
        choose_tags(data, ())
