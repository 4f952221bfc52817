"""Files in SQuAD's form: one JSON object that holds articles, paragraphs and questions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.question_answering.given_answers import is_impossible
from hf_strategies.finetune.tables.file import ReadingRules, TableFile
from hf_strategies.finetune.tables.read import ENDINGS

__all__ = ["read_questions_file", "squad_rows"]


def read_questions_file(flag: str, path: Path, encoding: str | None = None) -> Dataset:
    """Read a .json file in SQuAD's form, or one with a row per question; errors name ``flag``.

    Raises `StrategyError` for a file in neither form, an empty one, or one in SQuAD's form with a missing part.
    """
    file, rules = TableFile(flag, path), ReadingRules(encoding)
    data = _squad_data(file.read_text(encoding).strip())
    if data is None:
        return ENDINGS[".json"](file, rules)
    named = f"{flag}={str(path)!r}"
    rows = list(squad_rows(data, named, has_places=flag == "train_file", may_hide_answers=flag == "test_file"))
    if not rows:
        raise file.refuse("is empty: give at least one question")
    return Dataset.from_list(rows)


def squad_rows(
    data: list[Any], file: str, *, has_places: bool = True, may_hide_answers: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield a row for each question of the list ``data`` of SQuAD's form, versions 1.1 and 2.0.

    An article with a ``context`` and no ``paragraphs`` is itself taken for a row, as some files have it. A question
    that is marked as impossible has no answers. A missing id is None, and so are missing answers, which are an error
    unless ``may_hide_answers``. With ``has_places`` the first answer has to have an ``answer_start``. Raises
    `StrategyError`, which names ``file``, for a part that is missing or of another type.

    >>> question = {"id": "7", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 0}]}
    >>> next(squad_rows([{"paragraphs": [{"context": "Ann sang.", "qas": [question]}]}], "x.json"))["answers"]
    {'text': ['Ann'], 'answer_start': [0]}
    """
    for number, article in enumerate(data):
        where = f"{file}: data[{number}]"
        if isinstance(article, dict) and "paragraphs" not in article and "context" in article:
            yield article
            continue
        for index, paragraph in enumerate(_part(article, "paragraphs", list, where)):
            place = f"{where}.paragraphs[{index}]"
            context = _part(paragraph, "context", str, place)
            for asked, question in enumerate(_part(paragraph, "qas", list, place)):
                row = _question(question, f"{place}.qas[{asked}]", has_places, may_hide_answers)
                yield {"title": str(article.get("title", "")), "context": context, **row}


def _squad_data(text: str) -> list[Any] | None:
    """Return the ``data`` of a file that is one object with such a list; None for any other file."""
    try:
        # Of a file of JSON lines only the first is decoded: then `end` is not the end of the text.
        first, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None  # the reader of json files then raises an error with the cause
    is_squad = end == len(text) and isinstance(first, dict) and isinstance(first.get("data"), list)
    return first["data"] if is_squad else None


def _question(question: Any, place: str, has_places: bool, may_hide_answers: bool) -> dict[str, Any]:
    text = _part(question, "question", str, place)
    row = {"id": None if question.get("id") is None else str(question["id"]), "question": text}
    if is_impossible(question.get("is_impossible"), place):
        return row | {"answers": {"text": [], "answer_start": []}}
    if may_hide_answers and question.get("answers") is None:
        return row | {"answers": None}
    answers = _part(question, "answers", list, place)
    starts = [answer.get("answer_start") if isinstance(answer, dict) else None for answer in answers]
    if has_places and answers:
        _part(answers[0], "answer_start", int, f"{place}.answers")
    return row | {
        "answers": {
            "text": [_part(answer, "text", str, f"{place}.answers") for answer in answers],
            "answer_start": [start if isinstance(start, int) else None for start in starts],
        }
    }


def _part(record: Any, name: str, kind: type, where: str) -> Any:
    value = record.get(name) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        what = "no" if value is None else f"{type(value).__name__} for its"
        raise StrategyError(f"{where} has {what} {name!r}: SQuAD's form wants {_KINDS[kind]} there")
    return value


_KINDS = {list: "a list", str: "text", int: "a whole number"}
