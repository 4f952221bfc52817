"""CoNLL files: what is a token, a sentence, a comment; and mistakes told with the number of their line."""

from pathlib import Path

import pytest

from hf_strategies import StrategyError
from hf_strategies.finetune.data import load_splits
from hf_strategies.finetune.token_classification.conll import conll_readers, read_conll
from hf_strategies.finetune.token_classification.data import TokenArguments


def read(folder: Path, text: str) -> dict[str, list[list[str]]]:
    file = folder / "file.conll"
    file.write_bytes(text.encode())
    found: dict[str, list[list[str]]] = read_conll("train_file", file).to_dict()
    return found


@pytest.mark.parametrize(
    ("text", "tokens", "tags"),
    [
        ("EU B-ORG\nrejects O\n\nPeter B-PER\n", [["EU", "rejects"], ["Peter"]], [["B-ORG", "O"], ["B-PER"]]),
        ("EU\tB-ORG\nrejects\tO\n\t\nPeter\tB-PER", [["EU", "rejects"], ["Peter"]], [["B-ORG", "O"], ["B-PER"]]),
        ("EU B-ORG\r\n\r\n\r\n \r\nPeter B-PER\r\n\r\n", [["EU"], ["Peter"]], [["B-ORG"], ["B-PER"]]),
        ("\ufeffEU  NNP   B-NP B-ORG \n", [["EU"]], [["B-ORG"]]),
        (
            "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\n-DOCSTART- -X- -X- O\nA DT B-NP O\n",
            [["EU"], ["A"]],
            [["B-ORG"], ["O"]],
        ),
        ("-DOCSTART- O\nEU B-ORG\n", [["EU"]], [["B-ORG"]]),
        ("New York\tB-LOC\n\u00a0\tO\n", [["New York", "\u00a0"]], [["B-LOC", "O"]]),
        ("a\u2028b O\nc\u0085 O\n", [["a\u2028b", "c\u0085"]], [["O", "O"]]),
        ("EU\nrejects\n\nPeter\n", [["EU", "rejects"], ["Peter"]], None),
        ("\n\n", [], []),
    ],
)
def test_tokens_are_in_the_first_column_and_tags_in_the_last(
    text: str, tokens: list[list[str]], tags: list[list[str]] | None, tmp_path: Path
) -> None:
    assert read(tmp_path, text) == {"tokens": tokens} | ({} if tags is None else {"tags": tags})


def test_comments_are_left_out_and_hashtags_are_not(tmp_path: Path) -> None:
    text = "# id 7 domain=train\n# another one here\n#ff O\n# O\nEU B-ORG\n\n# O\nyes O\n"
    assert read(tmp_path, text)["tokens"] == [["#ff", "#", "EU"], ["#", "yes"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("EU B-ORG\n\nPeter\n", "line 3: 1 columns where the first line has 2"),
        ("EU NNP B-ORG\nNew York NNP B-LOC\n", "line 2: 4 columns where the first line has 3"),
        ("EU\tB-ORG\n# no token\n", "line 2: 3 columns where the first line has 2"),
        ("EU\tB-ORG\n\tO\n", "line 2: there is no token before the tab"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(StrategyError) as raised:
        read(tmp_path, text)
    assert str(raised.value).startswith(f"train_file='{tmp_path / 'file.conll'}', {words}")


def test_bytes_that_are_no_utf8_are_told(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("caf\xe9 O\n".encode("latin-1"))
    with pytest.raises(StrategyError, match=r"dev_file='.*latin.txt' is not readable as UTF-8 \(.*\): convert it"):
        read_conll("dev_file", tmp_path / "latin.txt")


@pytest.mark.parametrize("ending", [".conll", ".txt", ".bio", ".iob2"])
def test_the_endings_are_read_where_a_recipe_asks_for_them_alone(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"train{ending}"
    file.write_text("EU B-ORG\n", encoding="utf-8")
    args = TokenArguments(train_file=str(file))
    splits = load_splits(args, conll_readers())
    assert splits is not None
    assert splits["train"].to_dict() == {"tokens": [["EU"]], "tags": [["B-ORG"]]}
    with pytest.raises(StrategyError, match=rf"ends in '{ending}': give one of .csv, .tsv, .json, .jsonl, .parquet$"):
        load_splits(args)
    (tmp_path / "train.md").touch()
    with pytest.raises(StrategyError, match=r"ends in '.md': give one of .*, .conll, .conllu, .txt, .bio, "):
        load_splits(TokenArguments(train_file=str(tmp_path / "train.md")), conll_readers())
