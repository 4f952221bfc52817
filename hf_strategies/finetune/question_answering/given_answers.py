"""The right answers of a question: the forms in which files give them, and the mistakes in them."""

from typing import Any, NamedTuple

from hf_strategies.errors import StrategyError

__all__ = ["GivenAnswers", "is_impossible", "read_answers"]

_UNKNOWN = -1
# A column of truth values with gaps becomes one of fractions in pandas.
_IMPOSSIBLE = {"true", "1", "1.0", "yes"}
_POSSIBLE = {"false", "0", "0.0", "no", "none", "nan", ""}


class GivenAnswers(NamedTuple):
    """The right answers of a question, and where they begin in the context, as the file has them: of any type."""

    texts: list[Any]
    starts: list[Any]

    @property
    def places(self) -> list[int]:
        """The characters at which the answers begin; -1 where the file does not have it."""
        return [start if isinstance(start, int) else _UNKNOWN for start in self.starts]

    def mistake(self, context: str, *, has_place: bool) -> str | None:
        """Return the mistake in the answers; with ``has_place`` the first answer has to stand at its start.

        Further answers, and all those of an evaluation, are only compared with predicted texts.
        """
        for text in self.texts:
            if not isinstance(text, str) or not text.strip():
                return f"an answer is {text!r}: give text, or no answers for a question that has none"
        return _mistaken_place(self.texts[0], self.starts[0], context) if has_place and self.texts else None


def read_answers(value: Any, where: str, column: str, *, may_be_text: bool = False) -> GivenAnswers | None:
    """Return the answers of a row, None if they are not known; errors name the row by ``where``.

    The forms are ``{text: [...], answer_start: [...]}``, a list of objects ``{text: ..., answer_start: ...}`` and, as
    ``answer_start`` may be missing, ``{text: [...]}``, a list of texts and, with ``may_be_text``, a single text.

    >>> read_answers([{"text": "York", "answer_start": 3}, {"text": "in York"}], "row 0", "answers")
    GivenAnswers(texts=['York', 'in York'], starts=[3, None])
    """
    if may_be_text and isinstance(value, str) and not value.lstrip().startswith(("{", "[")):
        value = [value]
    if isinstance(value, list):
        answers = [answer if isinstance(answer, dict) else {"text": answer} for answer in value]
        return GivenAnswers(*([answer.get(name) for answer in answers] for name in ("text", "answer_start")))
    if value is None or (isinstance(value, dict) and "text" in value and value["text"] is None):
        return None
    texts, starts = (value.get(name) if isinstance(value, dict) else None for name in ("text", "answer_start"))
    if isinstance(texts, str):
        texts, starts = [texts], [starts]
    if isinstance(texts, list) and starts is None:
        starts = [None] * len(texts)
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        raise StrategyError(
            f"{where}: {column!r} is {_short(value)}: give {{text: [...], answer_start: [...]}}, two lists of like"
            " length, in a json lines or parquet file"
        )
    return GivenAnswers(texts, starts)


def is_impossible(value: Any, where: str) -> bool:
    """Return whether a question is marked as a question without an answer; some files have the mark as text.

    >>> is_impossible("false", "row 0"), is_impossible(True, "row 0"), is_impossible(None, "row 0")
    (False, True, False)
    """
    text = str(value).strip().lower()
    if text not in _IMPOSSIBLE and text not in _POSSIBLE:
        raise StrategyError(f"{where} has is_impossible={value!r}: give true or false")
    return text in _IMPOSSIBLE


def _mistaken_place(text: str, start: Any, context: str) -> str | None:
    if not isinstance(start, int):
        return f"answer_start is {start!r}: give the number of the character at which {_short(text)} begins"
    if start >= 0 and context.startswith(text, start):
        return None
    place = context.find(text)
    remedy = "correct the text or drop the row" if place < 0 else "correct answer_start"
    stands = "is nowhere in the context" if place < 0 else f"stands at {place}, not at answer_start={start}"
    return f"the answer {_short(text)} {stands}: {remedy}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
