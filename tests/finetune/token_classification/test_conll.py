"""CoNLL files: what is a token, a sentence, a comment; and mistakes told with the number of their line."""

import gzip
import re
from pathlib import Path

import pytest

from hf_strategies import StrategyError
from hf_strategies.finetune.data import load_splits
from hf_strategies.finetune.token_classification.conll import conll_readers, read_conll
from hf_strategies.finetune.token_classification.data import TokenArguments, load_tokens


def read(folder: Path, text: str, name: str = "file.conll", **columns: str) -> dict[str, list[list[str]]]:
    file = folder / name
    file.write_bytes(text.encode())
    found: dict[str, list[list[str]]] = read_conll("train_file", file, **columns).to_dict()
    return found


def refused(folder: Path, text: str, name: str = "file.conll", **columns: str) -> str:
    """The message of the mistake in a file or in the flags."""
    with pytest.raises(StrategyError) as raised:
        read(folder, text, name, **columns)
    return str(raised.value)


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
    ("text", "tokens"),
    [
        ("# 1\nAnn B-PER\nsat O\n\n# 2\nYork B-LOC\n", [["Ann", "sat"], ["York"]]),
        ("# start\nAnn B-PER\nsat O\n", [["Ann", "sat"]]),
        ("#\tdoc-3\nAnn\tB-PER\nsat\tO\n", [["Ann", "sat"]]),
        ("#id 3\nAnn B-PER\nsat O\n", [["Ann", "sat"]]),
        ("Ann B-PER\n# 2019-03-01\nsat O\n", [["Ann", "sat"]]),
        ("#york B-LOC\nsat O\n", [["#york", "sat"]]),  # a hashtag, though no other word has its tag
        ("# O\nAnn O\n", [["#", "Ann"]]),
        ("# #\n5 CD\n", [["#", "5"]]),  # the pound sign of the Penn Treebank
    ],
)
def test_a_comment_with_as_many_columns_as_a_word_is_no_word(
    text: str, tokens: list[list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert read(tmp_path, text)["tokens"] == tokens
    left_out = sum(map(len, tokens)) < len([line for line in text.split("\n") if line])
    assert ("are taken for comments, because no other line has their tag" in caplog.text) is left_out


TREE = """# sent_id = 7
# text = I can't go
1\tI\tI\tPRON\tPRP\t_\t4\tnsubj\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
2\tca\tcan\tAUX\tMD\t_\t4\taux\t_\t_
3\tn't\tnot\tPART\tRB\t_\t4\tadvmod\t_\t_
4\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_
4.1\thome\thome\tNOUN\tNN\t_\t_\t_\t4:obl\t_

# sent_id = 8
1\t#\t#\tSYM\tNN\t_\t0\troot\t_\t_
"""
UPOS = [["PRON", "AUX", "PART", "VERB"], ["SYM"]]


class TestNumberedWords:
    """CoNLL-U, and other files whose first column numbers the words."""

    def test_conllu_gives_the_words_of_the_text_and_their_part_of_speech(self, tmp_path: Path) -> None:
        assert read(tmp_path, TREE, "t.conllu") == {"tokens": [["I", "ca", "n't", "go"], ["#"]], "tags": UPOS}

    @pytest.mark.parametrize("column", ["xpos", "XPOS", "5"])
    def test_another_column_is_named_or_numbered(self, column: str, tmp_path: Path) -> None:
        found = read(tmp_path, TREE, "t.conllu", tags_column=column)
        assert found == {"tokens": [["I", "ca", "n't", "go"], ["#"]], column: [["PRP", "MD", "RB", "VB"], ["NN"]]}

    def test_a_header_names_the_columns(self, tmp_path: Path) -> None:
        text = "# global.columns = ID FORM NE\n# text = Go!\n1\tGo\tO\n2\t!\tO\n"
        assert read(tmp_path, text, tags_column="ne") == {"tokens": [["Go", "!"]], "ne": [["O", "O"]]}
        assert read(tmp_path, text.replace("FORM", "WORD"), tags_column="NE")["tokens"] == [["Go", "!"]]
        text = "# global.columns = NE FORM\nO\tGo\nB-PER\tAnn\n"
        assert read(tmp_path, text, tags_column="NE") == {"tokens": [["Go", "Ann"]], "NE": [["O", "B-PER"]]}

    def test_the_same_file_under_another_name_is_refused_or_read_by_numbers(self, tmp_path: Path) -> None:
        words = refused(tmp_path, TREE)
        assert "its first column counts the words of each sentence (1, 2, 3), and so holds no words" in words
        assert "give --tokens_column" in words
        assert words.endswith("a file in CoNLL-U's form has to end in .conllu")
        found = read(tmp_path, TREE, tokens_column="2", tags_column="4")
        assert list(found.values()) == [[["I", "ca", "n't", "go"], ["#"]], UPOS]

    def test_tags_that_a_test_file_hides_are_left_out(self, tmp_path: Path) -> None:
        file = tmp_path / "t.conllu"
        file.write_text("1\tGo\t_\t_\t_\t_\t_\t_\t_\t_\n2\t!\t_\t_\t_\t_\t_\t_\t_\t_\n", encoding="utf-8")
        assert read_conll("test_file", file).to_dict() == {"tokens": [["Go", "!"]]}

    def test_a_test_file_may_have_no_column_of_tags(self, tmp_path: Path) -> None:
        file = tmp_path / "t.conll"
        file.write_text("1 Go\n2 !\n", encoding="utf-8")
        found = read_conll("test_file", file, tokens_column="2", tags_column="3")
        assert found.to_dict() == {"2": [["Go", "!"]]}
        assert "tags_column='3' is no column" in refused(tmp_path, "1 Go\n", tokens_column="2", tags_column="3")

    @pytest.mark.parametrize("first", [0, 1, 3])
    def test_two_levels_of_entities_are_read_by_numbers(self, first: int, tmp_path: Path) -> None:
        """The second sentence is numbered from 0, from 1, or on from the first."""
        rows = zip(range(first, first + 3), ["Bank", "of", "Oslo"], ["B", "I", "I"], ["O", "O", "B"], strict=True)
        text = "1 Ann B O\n2 sat O O\n\n" + "".join(f"{' '.join(map(str, row))}\n" for row in rows)
        assert "counts the words" in refused(tmp_path, text)
        found = read(tmp_path, text, tokens_column="2", tags_column="3")
        assert found == {"2": [["Ann", "sat"], ["Bank", "of", "Oslo"]], "3": [["B", "O"], ["B", "I", "I"]]}

    def test_a_first_column_that_is_the_same_in_each_sentence_is_refused(self, tmp_path: Path) -> None:
        text = "\n".join(f"doc{number} a O\ndoc{number} b O\n" for number in range(3))
        assert "its first column is the same in all lines of a sentence ('doc0')" in refused(tmp_path, text)

    def test_numbers_that_are_words_can_be_read(self, tmp_path: Path) -> None:
        assert read(tmp_path, "1 CD\n2 CD\n", tokens_column="1") == {"1": [["1", "2"]], "tags": [["CD", "CD"]]}
        assert read(tmp_path, "3 CD\n5 CD\n")["tokens"] == [["3", "5"]]

    @pytest.mark.parametrize(
        ("columns", "words"),
        [
            ({"tags_column": "11"}, "tags_column='11' is no column of train_file='.*', which has 10: give 1 to 10"),
            ({"tokens_column": "0"}, "tokens_column='0' is no column"),
            ({"tags_column": "UPO"}, "tags_column='UPO' is no column of .*: did you mean .*'UPOS'.* number, 1 to 10"),
            ({"tokens_column": "2", "tags_column": "FORM"}, "are both column 2: give two columns"),
        ],
    )
    def test_a_column_that_is_not_there_is_refused(self, columns: dict[str, str], words: str, tmp_path: Path) -> None:
        assert re.search(words, refused(tmp_path, TREE, "t.conllu", **columns))

    def test_columns_of_a_plain_file_have_numbers_only(self, tmp_path: Path) -> None:
        words = refused(tmp_path, "EU NNP B-ORG\n", tags_column="ner_tags")
        assert words.startswith("tags_column='ner_tags' is no column of train_file=")
        assert words.endswith("it has no names; or give its number, 1 to 3")
        assert read(tmp_path, "EU NNP B-ORG\n", tags_column="2") == {"tokens": [["EU"]], "2": [["NNP"]]}

    def test_a_conllu_file_without_numbers_is_refused(self, tmp_path: Path) -> None:
        text = TREE.replace("1\tI", "x\tI")
        assert "'x' in the column ID is no number of a word" in refused(tmp_path, text, "t.conllu")
        assert "a line has 2 columns where ID FORM" in refused(tmp_path, "EU B-ORG\n", "t.conllu")


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


def test_compressed_files_and_other_encodings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "train.CONLLU.gz"
    file.write_bytes(gzip.compress(TREE.replace("home", "caf\xe9").encode("latin-1")))
    args = TokenArguments(train_file=str(file), encoding="latin-1")
    splits = load_splits(args, conll_readers(encoding=args.encoding))
    assert splits is not None
    assert splits["train"]["tags"] == UPOS
    with pytest.raises(StrategyError, match=r"is not readable as UTF-8 .*: convert it, or give --encoding latin-1"):
        load_splits(TokenArguments(train_file=str(file)), conll_readers())


@pytest.mark.parametrize("ending", [".conll", ".txt", ".bio", ".iob2"])
def test_the_endings_are_read_where_a_recipe_asks_for_them_alone(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"train{ending}"
    file.write_text("EU B-ORG\n", encoding="utf-8")
    args = TokenArguments(train_file=str(file))
    splits = load_splits(args, conll_readers())
    assert splits is not None
    assert splits["train"].to_dict() == {"tokens": [["EU"]], "tags": [["B-ORG"]]}
    with pytest.raises(
        StrategyError, match=rf"ends in '{ending}': give one of .csv, .tsv, .json, .jsonl, .ndjson, .parquet, .*xlsx$"
    ):
        load_splits(args)
    (tmp_path / "train.md").touch()
    with pytest.raises(StrategyError, match=r"ends in '.md': give one of .*, .conll, .conllu, .txt, .bio, "):
        load_splits(TokenArguments(train_file=str(tmp_path / "train.md")), conll_readers())


def test_the_language_before_each_word_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read(tmp_path, "en:Ann B-PER\nen:: O\n\nen:x O\n")["tokens"] == [["Ann", ":"], ["x"]]
    assert "each word begins with 'en:', which is taken for its language and is left out" in caplog.text
    assert read(tmp_path, "en:Ann B-PER\nde:x O\n")["tokens"] == [["en:Ann", "de:x"]]


def test_tags_in_the_first_column_are_no_words(tmp_path: Path) -> None:
    assert "its first column holds the tags of entities ('B-PER')" in refused(tmp_path, "B-PER Ann\nO sang\n")
    swapped = read(tmp_path, "B-PER Ann\nO sang\n", tokens_column="2", tags_column="1")
    assert swapped == {"2": [["Ann", "sang"]], "1": [["B-PER", "O"]]}


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ('Ann\tB-PER\n"\tO\n\nx\tO\n', {}),
        ('#\ta source\n1\tAnn\tB-PER\n2\t"\tO\n\n#\tanother\n1\tx\tO\n', {"tokens_column": "2", "tags_column": "3"}),
        ("tokens\tner_tags\n['Ann', '\"']\t['B-PER', 'O']\n\n['x']\t['O']\n", {}),
    ],
)
def test_a_tsv_file_is_a_word_on_each_line_or_a_table_of_lists(
    text: str, columns: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "rows.tsv").write_text(text, encoding="utf-8")
    names = [str(tmp_path / "rows.tsv")]
    data = load_tokens(TokenArguments(train_file=names, validation_file=names, **columns))  # type: ignore[arg-type]
    assert data.splits["train"].to_dict() == {"tokens": [["Ann", '"'], ["x"]], "tags": [["B-PER", "O"], ["O"]]}


def test_a_line_of_names_of_columns_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read(tmp_path, "Word Tag\nAnn B-PER\nword O\n") == {"tokens": [["Ann", "word"]], "tags": [["B-PER", "O"]]}
    assert "line 1, 'Word Tag', is taken for a header and is left out" in caplog.text
    assert read(tmp_path, "Word O\nAnn B-PER\n")["tokens"] == [["Word", "Ann"]]
