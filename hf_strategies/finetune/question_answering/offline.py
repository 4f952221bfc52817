"""Questions that need no network: what does this parameter mean?

The context is what a docstring says of a function's parameters, in NumPy's or in Google's style; the question names
one of them; the answer is the first sentence of its description.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hf_strategies.finetune.offline.docstrings import Docstring, stable_rank
from hf_strategies.finetune.offline.prose import strip_markup
from hf_strategies.finetune.offline.task import OfflineTask

__all__ = ["PARAMETER_QUESTIONS", "parameters_of", "questions_about"]

QUESTIONS = (
    "What is {}?",
    "What does {} mean?",
    "What does the parameter {} do?",
    "What is the meaning of {}?",
    "What is {} for?",
)
_FEWEST, _MOST = 2, 4  # parameters in a context; further ones are left out
_MIN_WORDS, _MAX_WORDS = 3, 15  # in an answer

_NUMPY_HEADING = re.compile(r"(?:Other |Keyword )?(?:Parameters|Arguments|Attributes|Args)", re.IGNORECASE)
_UNDERLINE = re.compile(r"-{3,}|={3,}")
_GOOGLE_HEADING = re.compile(r"(?:Args|Arguments|Parameters|Params|Attributes|Keyword Args|Kwargs):", re.IGNORECASE)
_NUMPY_ITEM = re.compile(r"\*{0,2}`*([A-Za-z_]\w*)`*\s*(?::.*)?")
_GOOGLE_ITEM = re.compile(r"\*{0,2}`*([A-Za-z_]\w*)`*\s*(?:\(.*?\))?\s*:(?:\s+(.*))?")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bcf\.)(?<!\bvs\.)\s+(?=[\"'(]*[A-Z])")
_NOT_PROSE = re.compile(r"[{}|\\<>^~$#@`*=\[\]]|://|\.\.|::|[^\x20-\x7e]")


def questions_about(docstring: Docstring) -> Iterator[dict[str, Any]]:
    """Yield a row for each of the first 4 parameters that a docstring describes in words, if there are at least 2.

    >>> text = "Args:\\n    n_jobs: Number of jobs to run.\\n    verbose (bool): Whether to tell more."
    >>> row = next(questions_about(Docstring("x", "x.py", "f", text)))
    >>> row["context"]
    'n_jobs: Number of jobs to run. verbose: Whether to tell more.'
    >>> row["answers"]
    {'text': ['Number of jobs to run'], 'answer_start': [8]}
    """
    described = dict(list(parameters_of(docstring.text).items())[:_MOST])
    if len(described) < _FEWEST:
        return
    context = " ".join(f"{name}: {sentence}" for name, sentence in described.items())
    place = 0
    for name, sentence in described.items():
        start = place + len(name) + 2
        place = start + len(sentence) + 1
        template = QUESTIONS[int(stable_rank(context, name), 16) % len(QUESTIONS)]
        answers = {"text": [sentence.rstrip(".!?")], "answer_start": [start]}
        yield {"question": template.format(name), "context": context, "answers": answers}


def parameters_of(docstring: str) -> dict[str, str]:
    """Return the parameters that a docstring describes in plain words, each with its description's first sentence.

    The docstring is dedented, as `ast.get_docstring` returns it.
    Left out are descriptions that begin with code, and sentences of fewer than 3 or more than 15 words.

    >>> parameters_of("Add.\\n\\nParameters\\n----------\\nx : int\\n    The first number. Or zero.\\n")
    {'x': 'The first number.'}
    """
    lines = docstring.expandtabs().splitlines()
    found: dict[str, str] = {}
    for name, description in (*_numpy_items(lines), *_google_items(lines)):
        sentence = _first_sentence(description)
        if sentence is not None:
            found.setdefault(name, sentence)
    return found


def _numpy_items(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield name and description of the parameters below underlined headings."""
    headings = [place for place in range(len(lines) - 1) if _UNDERLINE.fullmatch(lines[place + 1].strip())]
    for place, end in pairwise([*headings, len(lines)]):
        if _NUMPY_HEADING.fullmatch(lines[place].strip()):
            yield from _items(lines[place + 2 : end], _NUMPY_ITEM, _indent(lines[place]))


def _google_items(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield name and description of the parameters below ``Args:`` and the like."""
    for place, line in enumerate(lines[:-1]):
        if _GOOGLE_HEADING.fullmatch(line.strip()):
            block = _indented(lines[place + 1 :], _indent(line))
            first = next((_indent(item) for item in block if item.strip()), 0)
            yield from _items(block, _GOOGLE_ITEM, first)


def _items(block: list[str], item: re.Pattern[str], indent: int) -> Iterator[tuple[str, list[str]]]:
    starts = [place for place, line in enumerate(block) if line.strip() and _indent(line) == indent]
    for place, end in pairwise([*starts, len(block)]):
        if match := item.fullmatch(block[place].strip()):
            own = [text] if item is _GOOGLE_ITEM and (text := match.group(2)) else []
            yield match.group(1), own + block[place + 1 : end]


def _indented(lines: list[str], indent: int) -> list[str]:
    """Return the lines up to the first one that is not indented by more than ``indent``."""
    end = next((place for place, line in enumerate(lines) if line.strip() and _indent(line) <= indent), len(lines))
    return lines[:end]


def _first_sentence(description: list[str]) -> str | None:
    """Return the first sentence of the first paragraph, without markup, if it is plain English."""
    paragraph: list[str] = []
    for line in map(str.strip, description):
        if not line and paragraph:
            break
        paragraph += [line] if line else []
    sentence = _SENTENCE_END.split(strip_markup(" ".join(paragraph)))[0].strip()
    is_prose = sentence[:1].isalpha() and not _NOT_PROSE.search(sentence) and sentence.endswith((".", "!"))
    return sentence if is_prose and _MIN_WORDS <= len(sentence.split()) <= _MAX_WORDS else None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


PARAMETER_QUESTIONS = OfflineTask(
    name="parameter-questions",
    title="parameters in documentation (offline default)",
    version=2,
    rows=questions_about,
    per_library=1000,
)
"""Questions about the parameters of documented functions, in SQuAD's form: ``context``, ``question``, ``answers``."""
