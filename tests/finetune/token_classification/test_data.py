"""Lists of words and tags: what is read, which tags there are, and what is told before a model is loaded."""

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from hf_strategies import StrategyError
from hf_strategies.finetune.token_classification.data import TokenArguments, choose_tags, load_tokens

GOOD = {"tokens": ["Ann", "saw", "Paris"], "ner_tags": ["B-PER", "O", "B-LOC"]}
Rows = list[dict[str, Any]]


def flags(folder: Path, **splits: Rows) -> dict[str, Any]:
    """Write JSON lines; return the arguments that name them."""
    found = {}
    for split, rows in splits.items():
        file = folder / f"{split}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        found[f"{split}_file"] = str(file)
    return found


def told(folder: Path, options: dict[str, Any] | None = None, **splits: Rows) -> str:
    """The words of the one mistake in these rows."""
    with pytest.raises(StrategyError) as raised:
        choose_tags(load_tokens(TokenArguments(**flags(folder, **splits), **(options or {}))), ())
    return str(raised.value)


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        (("tokens", "ner_tags"), {}),
        (("tokens", "pos_tags"), {}),
        (("words", "tags"), {}),
        (("words", "labels"), {}),
        (("w", "t"), {"tokens_column": "w", "tags_column": "t"}),
    ],
)
def test_columns_are_found_by_their_usual_names_or_by_flag(
    columns: tuple[str, str], options: dict[str, Any], tmp_path: Path
) -> None:
    rows = [dict(zip(columns, GOOD.values(), strict=True))] * 3
    data = load_tokens(TokenArguments(**flags(tmp_path, train=rows, validation=rows), **options))
    assert data.splits["train"][0] == {"tokens": GOOD["tokens"], "tags": GOOD["ner_tags"]}
    assert data.tags == ("B-LOC", "B-PER", "O")
    assert data.texts == ["Ann saw Paris"] * 3


def test_integers_have_the_names_of_their_feature(tmp_path: Path) -> None:
    features = Features({"tokens": List(Value("string")), "ner_tags": List(ClassLabel(names=["O", "B-X", "I-X"]))})
    rows = Dataset.from_dict({"tokens": [["a", "b"]] * 2, "ner_tags": [[1, 0]] * 2}, features=features)
    rows.to_parquet(tmp_path / "train.parquet")
    data = load_tokens(TokenArguments(train_file=str(tmp_path / "train.parquet")))
    assert data.splits["train"]["tags"] == [["B-X", "O"]]
    assert data.tags == ("O", "B-X", "I-X")


def test_integers_without_names_are_their_own_in_the_order_of_numbers(tmp_path: Path) -> None:
    rows = [{"tokens": ["a", "b", "c"], "tags": [10, 9, 0]}] * 2
    assert load_tokens(TokenArguments(**flags(tmp_path, train=rows))).tags == ("0", "9", "10")


@pytest.mark.parametrize(
    "rows",
    [
        [{"tokens": ["a", "b"]}],
        [{"tokens": ["a", "b"], "ner_tags": None}],
        [{"tokens": ["a", "b"], "ner_tags": []}],
        [{"tokens": ["a", "b"], "ner_tags": [-1, -1]}],
        [{"tokens": ["a", "b"], "ner_tags": [-100, -100]}],
    ],
)
def test_tags_of_the_test_set_may_be_unknown(rows: Rows, tmp_path: Path) -> None:
    data = load_tokens(TokenArguments(**flags(tmp_path, train=[GOOD] * 3, test=rows)))
    assert data.splits["test"].to_dict() == {"tokens": [["a", "b"]]}


@pytest.mark.parametrize("column", ["tags", "labels"])
def test_a_test_set_alone_may_have_tags_or_not(column: str, tmp_path: Path) -> None:
    known = load_tokens(TokenArguments(**flags(tmp_path, test=[{"tokens": ["a"], column: ["O"]}])))
    assert known.splits["test"].to_dict() == {"tokens": [["a"]], "tags": [["O"]]}
    unknown = load_tokens(TokenArguments(**flags(tmp_path, test=[{"tokens": ["a"]}])))
    assert unknown.splits["test"].column_names == ["tokens"]


def test_each_file_may_have_its_own_usual_names(tmp_path: Path) -> None:
    files = flags(tmp_path, train=[GOOD] * 3, test=[{"words": ["Ann"], "labels": ["O"]}])
    (tmp_path / "dev.conll").write_text("Ann B-PER\nsaw O\n", encoding="utf-8")
    data = load_tokens(TokenArguments(**files, validation_file=str(tmp_path / "dev.conll")))
    assert data.splits["validation"].to_dict() == {"tokens": [["Ann", "saw"]], "tags": [["B-PER", "O"]]}
    assert data.splits["test"].to_dict() == {"tokens": [["Ann"]], "tags": [["O"]]}


def test_rows_without_tags_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hidden = [GOOD | {"ner_tags": tags} for tags in (None, [], [None] * 3)]
    data = load_tokens(TokenArguments(**flags(tmp_path, train=[GOOD, *hidden, GOOD], validation=[GOOD])))
    assert len(data.splits["train"]) == 2
    assert (
        "3 of the 5 rows of the train split have no label in 'ner_tags' and are left out: rows 1, 2, 3" in caplog.text
    )
    assert told(tmp_path, train=hidden).startswith("no row of the train split has a label in 'ner_tags'")
    numbers = GOOD | {"ner_tags": [1, -1, 0]}
    assert told(tmp_path, train=[numbers] * 2).startswith("row 0 of the train split has [1, -1, 0] in 'ner_tags'")


class TestTags:
    """The tags and their order."""

    def test_another_set_may_go_on_with_an_entity_of_a_known_type(self, tmp_path: Path) -> None:
        longer = {"tokens": ["New", "York"], "ner_tags": ["B-LOC", "I-LOC"]}
        data = load_tokens(TokenArguments(**flags(tmp_path, train=[GOOD] * 3, test=[longer])))
        assert choose_tags(data, ()) == ("B-LOC", "B-PER", "O", "I-LOC")

    def test_to_label_all_subwords_each_b_has_its_i(self, tmp_path: Path) -> None:
        data = load_tokens(TokenArguments(**flags(tmp_path, train=[GOOD] * 3), label_all_subwords=True))
        assert data.tags == ("B-LOC", "B-PER", "O", "I-LOC", "I-PER")

    def test_in_bmes_that_is_its_m(self, tmp_path: Path) -> None:
        rows = [{"tokens": list("abcd"), "tags": ["B-PER", "M-PER", "E-PER", "O"]}] * 3
        rows += [{"tokens": ["a", "b"], "tags": ["B-LOC", "E-LOC"]}]
        other = {"tokens": list("abc"), "tags": ["B-LOC", "M-LOC", "S-PER"]}
        data = load_tokens(TokenArguments(**flags(tmp_path, train=rows, validation=[other]), label_all_subwords=True))
        assert data.tags[-2:] == ("M-LOC", "S-PER")
        assert choose_tags(data, ()) == data.tags

    def test_a_model_that_knows_them_keeps_its_order(self, tmp_path: Path) -> None:
        data = load_tokens(TokenArguments(**flags(tmp_path, train=[GOOD] * 3)))
        assert choose_tags(data, ("O", "B-PER", "B-LOC", "B-ORG")) == ("O", "B-PER", "B-LOC", "B-ORG")
        assert choose_tags(data, ("o", "b-per", "b-loc")) == ("O", "B-PER", "B-LOC")
        assert choose_tags(data, ("LABEL_0", "LABEL_1")) == data.tags

    def test_without_a_training_set_they_are_those_of_the_model(self, tmp_path: Path) -> None:
        data = load_tokens(TokenArguments(**flags(tmp_path, test=[GOOD])))
        assert choose_tags(data, ("O", "B-PER", "B-LOC")) == ("O", "B-PER", "B-LOC")
        with pytest.raises(StrategyError, match="train_file is missing: without it only a model that is fine-tuned"):
            choose_tags(data, ())

    def test_a_model_that_is_not_trained_has_no_others(self, tmp_path: Path) -> None:
        data = load_tokens(TokenArguments(**flags(tmp_path, train=[GOOD] * 3, test=[GOOD])))
        assert choose_tags(data, ("O", "B-LOC", "B-PER", "B-ORG"), fixed=True) == ("O", "B-LOC", "B-PER", "B-ORG")
        with pytest.raises(
            StrategyError, match=r"tag 'B-LOC' .row \d of the \w+ split. is not one of the model's: known"
        ):
            choose_tags(data, ("O", "B-PER"), fixed=True)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            GOOD | {"ner_tags": ["O", "O"]},
            "row 1 of the train split has 3 words and 2 tags: give one tag for each word",
        ),
        (
            GOOD | {"ner_tags": ["O", None, "O"]},
            "row 1 of the train split has ['O', None, 'O'] in 'ner_tags': give a",
        ),
        (
            GOOD | {"tokens": ["Ann", None, "a"]},
            "row 1 of the train split has ['Ann', None, 'a'] in 'tokens': give a",
        ),
        ({"tokens": [], "ner_tags": []}, "row 1 of the train split has [] in 'tokens': give a list with an entry"),
        ({"tokens": None, "ner_tags": ["O"]}, "row 1 of the train split has None in 'tokens': give a list"),
    ],
)
def test_a_row_that_cannot_be_is_told(row: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert told(tmp_path, train=[GOOD, row]).startswith(words)


def test_texts_are_no_lists(tmp_path: Path) -> None:
    rows = [{"tokens": "Ann saw Paris", "tags": "O O O"}] * 2
    assert told(tmp_path, train=rows).startswith("row 0 of the train split has 'Ann saw Paris' in 'tokens': give a")


def test_a_column_that_is_missing_is_told(tmp_path: Path) -> None:
    rows = [GOOD] * 2
    assert told(tmp_path, {"tags_column": "ner_tag"}, train=rows) == (
        "tags_column='ner_tag' is no column of the train split: did you mean 'ner_tags'?"
    )
    assert told(tmp_path, {"tokens_column": "token"}, train=rows).startswith("tokens_column='token' is no column")
    assert told(tmp_path, train=[{"text": "a", "tags": ["O"]}] * 2) == (
        "tokens_column is not given and none of ['text', 'tags'] is usual: name the column"
    )
    assert told(tmp_path, train=[{"tokens": ["a"]}] * 2).startswith("tags_column is not given and none of")
    assert told(tmp_path, train=rows, validation=[{"tokens": ["a"]}]).startswith(
        "tags_column='ner_tags' is no column of the validation split"
    )


def test_tags_that_training_never_saw_are_told(tmp_path: Path) -> None:
    other = GOOD | {"ner_tags": ["B-PERS", "O", "O"]}
    assert told(tmp_path, train=[GOOD] * 2, test=[GOOD, other]) == (
        "tag 'B-PERS' (row 1 of the test split) is not in the training set: did you mean 'B-PER'?"
    )
    assert told(tmp_path, train=[GOOD | {"ner_tags": ["O"] * 3}] * 2) == (
        "the only tag of the training set is 'O': give at least two"
    )
