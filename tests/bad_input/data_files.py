"""Files of examples that cannot be used, by what is wrong with them, for each recipe."""

import gzip
import json
from collections.abc import Iterator, Mapping

Content = str | bytes
Files = Mapping[str, tuple[str, Content]]

_ROWS = "".join(f"words {index},{'ab'[index % 2]}\n" for index in range(12))


def _lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _examples(count: int = 6, **changes: object) -> list[dict[str, object]]:
    """Return rows with a text and a label, the last of them changed."""
    rows: list[dict[str, object]] = [{"text": f"words {index}", "label": "ab"[index % 2]} for index in range(count)]
    return [*rows[:-1], {**rows[-1], **changes}]


TEXTS: Files = {
    "nothing": ("bad.csv", ""),
    "a header alone": ("bad.csv", "text,label\n"),
    "blank lines": ("bad.csv", "\n\n\n"),
    "one line": ("bad.csv", "words"),
    "an image": ("bad.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256))),
    "null bytes": ("bad.csv", b"\x00" * 4000),
    "Latin-1": ("bad.csv", ("text,label\n" + _ROWS).replace("words", "cafés").encode("latin-1")),
    "a folder": ("bad.csv/inside.csv", "text,label\n" + _ROWS),
    "an unknown ending": ("bad.xyz", "text,label\n" + _ROWS),
    "no ending": ("bad", "text,label\n" + _ROWS),
    "no label": ("bad.csv", "text,labl\n" + _ROWS),
    "no text": ("bad.csv", "number,label\n" + "".join(f"{index},a\n" for index in range(9))),
    "a column that clears the screen": ("bad.csv", "text,la\x1b[2Jbel\n" + _ROWS),
    "a column that turns the text around": ("bad.csv", "text,la\u202ebel\n" + _ROWS),
    "a column twice": ("bad.csv", "text,label,label\n" + "".join(f"words {index},a,b\n" for index in range(9))),
    "one label": ("bad.csv", "text,label\n" + "".join(f"words {index},a\n" for index in range(9))),
    "a row that is too long": ("bad.csv", "text,label\n" + _ROWS + "words,a,b,c\n"),
    "a quote without end": ("bad.csv", 'text,label\n"words,a\n' + _ROWS),
    "one row": ("bad.csv", "text,label\nwords,a\n"),
    "no JSON": ("bad.json", "{"),
    "a number as JSON": ("bad.json", "5"),
    "a text as JSON": ("bad.json", '"text"'),
    "null as JSON": ("bad.json", "null"),
    "an empty list": ("bad.json", "[]"),
    "an empty object": ("bad.json", "{}"),
    "numbers as rows": ("bad.json", "[1, 2, 3]"),
    "null as a row": ("bad.json", json.dumps([*_examples(), None])),
    "lists as rows": ("bad.json", "[[1], [2]]"),
    "brackets": ("bad.json", "[" * 100_000),
    "braces": ("bad.json", '{"text":' * 100_000),
    "rows of other types": ("bad.json", json.dumps(_examples(text={"a": 1}))),
    "a list for a text": ("bad.json", json.dumps(_examples(text=["a", "b"]))),
    "null for a text": ("bad.json", json.dumps(_examples(text=None))),
    "a mapping for a label": ("bad.json", json.dumps(_examples(label={"a": 1}))),
    "a broken line": ("bad.jsonl", _lines(*_examples()) + '{"text": "words", "la'),
    "blank lines of JSON": ("bad.jsonl", "\n\n"),
    "words as lines of JSON": ("bad.jsonl", "words\nwords\n"),
    "null as a line of JSON": ("bad.jsonl", _lines(*_examples()) + "null\n"),
    "a table named parquet": ("bad.parquet", "text,label\n" + _ROWS),
    "half a parquet file": ("bad.parquet", b"PAR1" + bytes(400) + b"PAR1"),
    "an empty parquet file": ("bad.parquet", b""),
    "a table named gz": ("bad.csv.gz", "text,label\n" + _ROWS),
    "half a gz file": ("bad.csv.gz", gzip.compress(("text,label\n" + _ROWS).encode())[:40]),
}

WORDS: Files = {
    "nothing": ("bad.conll", ""),
    "blank lines": ("bad.conll", "\n\n\n\n"),
    "one column": ("bad.conll", "one\ntwo\n\nthree\n"),
    "null bytes": ("bad.conll", b"\x00" * 500),
    "Latin-1": ("bad.conll", "café O\nau O\n\n".encode("latin-1")),
    "UTF-16": ("bad.conll", "cafe O\nau B-X\n\n".encode("utf-16")),
    "more tags than words": ("bad.json", json.dumps([{"tokens": ["a"], "ner_tags": ["O", "B-X"]}] * 4)),
    "texts as words": ("bad.json", json.dumps([{"tokens": "a b", "ner_tags": "O B-X"}] * 4)),
    "no tags": ("bad.json", json.dumps([{"tokens": ["a", "b"]}] * 4)),
    "no words": ("bad.json", json.dumps([{"tokens": [], "ner_tags": []}] * 4)),
    "null for a word": ("bad.json", json.dumps([{"tokens": ["a", None], "ner_tags": ["O", "B-X"]}] * 4)),
    "null for a tag": ("bad.json", json.dumps([{"tokens": ["a", "b"], "ner_tags": ["O", None]}] * 4)),
    "one tag": ("bad.json", json.dumps([{"tokens": ["a", "b"], "ner_tags": ["O", "O"]}] * 4)),
    "null": ("bad.json", "null"),
}

_QUESTION = {
    "id": "1",
    "question": "Who?",
    "context": "It was Ada.",
    "answers": {"text": ["Ada"], "answer_start": [7]},
}

QUESTIONS: Files = {
    "nothing": ("bad.jsonl", ""),
    "null": ("bad.json", "null"),
    "no context": ("bad.jsonl", _lines(*[{"question": "Who?", "answers": _QUESTION["answers"]}] * 4)),
    "answers as texts": ("bad.jsonl", _lines(*[{**_QUESTION, "answers": "Ada"}] * 4)),
    "answers as numbers": ("bad.jsonl", _lines(*[{**_QUESTION, "answers": 5}] * 4)),
    "no place": ("bad.jsonl", _lines(*[{**_QUESTION, "answers": {"text": ["Ada"]}}] * 4)),
    "a place too far": (
        "bad.jsonl",
        _lines(*[{**_QUESTION, "answers": {"text": ["Ada"], "answer_start": [700]}}] * 4),
    ),
    "a negative place": (
        "bad.jsonl",
        _lines(*[{**_QUESTION, "answers": {"text": ["Ada"], "answer_start": [-4]}}] * 4),
    ),
    "places as texts": (
        "bad.jsonl",
        _lines(*[{**_QUESTION, "answers": {"text": ["Ada"], "answer_start": ["far"]}}] * 4),
    ),
    "null for a question": ("bad.jsonl", _lines(_QUESTION, {**_QUESTION, "question": None})),
    "SQuAD without paragraphs": ("bad.json", json.dumps({"version": "1", "data": [{"title": "a"}]})),
    "SQuAD of numbers": ("bad.json", json.dumps({"data": [1, 2]})),
    "SQuAD of null": ("bad.json", json.dumps({"data": None})),
}

_CHOICE = {"sent1": "It rained,", "sent2": "so", "ending0": "we ran", "ending1": "we sat", "label": 0}

CHOICES: Files = {
    "nothing": ("bad.csv", ""),
    "no endings": ("bad.jsonl", _lines(*[{"sent1": "a", "sent2": "b", "label": 0}] * 4)),
    "no label": ("bad.jsonl", _lines(*[{key: _CHOICE[key] for key in _CHOICE if key != "label"}] * 4)),
    "a label beyond the endings": ("bad.jsonl", _lines(*[{**_CHOICE, "label": 7}] * 4)),
    "a label of words": ("bad.jsonl", _lines(*[{**_CHOICE, "label": "the first"}] * 4)),
    "one ending": ("bad.jsonl", _lines(*[{key: _CHOICE[key] for key in _CHOICE if key != "ending1"}] * 4)),
    "a fraction as a label": ("bad.jsonl", _lines(*[{**_CHOICE, "label": 0.5}] * 4)),
    "null": ("bad.json", "null"),
}

LINES: Files = {
    "nothing": ("bad.txt", ""),
    "blank lines": ("bad.txt", "\n  \n\t\n"),
    "Latin-1": ("bad.txt", "un café\nsix cafés\n".encode("latin-1")),
    "an image": ("bad.txt", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256))),
    "no text": ("bad.jsonl", _lines({"number": 1}, {"number": 2})),
}

OF_RECIPE: Mapping[str, Files] = {
    "text_classification": TEXTS,
    "token_classification": WORDS,
    "question_answering": QUESTIONS,
    "multiple_choice": CHOICES,
    "masked_lm": LINES,
}


def data_rows() -> Iterator[tuple[str, str]]:
    """Yield a recipe and the name of one of its files, for each row of the tables."""
    for recipe, files in OF_RECIPE.items():
        yield from ((recipe, name) for name in files)
