"""Questions that need no network: what does this parameter mean?

The context is the description of a function's parameters in its docstring, in NumPy's or in Google's style; the
question names one of them, and the answer is the first sentence of its description.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hf_strategies.finetune.offline.docstrings import Docstring, stable_rank
from hf_strategies.finetune.offline.prose import indent_of, strip_markup
from hf_strategies.finetune.offline.task import OfflineTask

__all__ = ["PARAMETER_QUESTIONS", "parameters_of", "questions_about"]

QUESTIONS = (
    "What is {}?",
    "What does {} mean?",
    "What does the parameter {} do?",
    "What is the meaning of {}?",
    "What is {} for?",
)
_MIN_PARAMETERS, _MAX_PARAMETERS = 2, 4  # in a context; further ones are left out
_MIN_WORDS, _MAX_WORDS = 3, 15  # in an answer

_NUMPY_HEADING = re.compile(r"(?:Other |Keyword )?(?:Parameters|Arguments|Attributes|Args)", re.IGNORECASE)
_UNDERLINE = re.compile(r"-{3,}|={3,}")
_GOOGLE_HEADING = re.compile(r"(?:Args|Arguments|Parameters|Params|Attributes|Keyword Args|Kwargs):", re.IGNORECASE)
_NUMPY_ITEM = re.compile(r"\*{0,2}`*([A-Za-z_]\w*)`*\s*(?::.*)?")
_GOOGLE_ITEM = re.compile(r"\*{0,2}`*([A-Za-z_]\w*)`*\s*(?:\(.*?\))?\s*:(?:\s+(.*))?")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bcf\.)(?<!\bvs\.)\s+(?=[\"'(]*[A-Z])")
_NOT_ENGLISH = re.compile(r"[{}|\\<>^~$#@`*=\[\]]|://|\.\.|::|[^\x20-\x7e]")


def questions_about(docstring: Docstring) -> Iterator[dict[str, Any]]:
    """Yield a row for each of the first 4 parameters that a docstring describes, if it describes at least 2.

    >>> text = "Args:\\n    n_jobs: Number of jobs to run.\\n    verbose (bool): Whether to tell more."
    >>> row = next(questions_about(Docstring("x", "x.py", "f", text)))
    >>> row["context"]
    'n_jobs: Number of jobs to run. verbose: Whether to tell more.'
    >>> row["answers"]
    {'text': ['Number of jobs to run'], 'answer_start': [8]}
    """
    described = dict(list(parameters_of(docstring.text).items())[:_MAX_PARAMETERS])
    if len(described) < _MIN_PARAMETERS:
        return
    context = " ".join(f"{name}: {sentence}" for name, sentence in described.items())
    end = 0
    for name, sentence in described.items():
        start = end + len(f"{name}: ")
        end = start + len(f"{sentence} ")
        template = QUESTIONS[int(stable_rank(context, name), 16) % len(QUESTIONS)]
        answers = {"text": [sentence.rstrip(".!?")], "answer_start": [start]}
        yield {"question": template.format(name), "context": context, "answers": answers}


def parameters_of(docstring: str) -> dict[str, str]:
    """Return the parameters that a docstring describes in plain English, each with its description's first sentence.

    The docstring has to be dedented, as `ast.get_docstring` returns it. Left out are descriptions that begin with
    code, and sentences of fewer than 3 or more than 15 words.

    >>> parameters_of("Add.\\n\\nParameters\\n----------\\nx : int\\n    The first number. Or zero.\\n")
    {'x': 'The first number.'}
    """
    lines = docstring.expandtabs().splitlines()
    sentences: dict[str, str] = {}
    for name, description in (*_numpy_items(lines), *_google_items(lines)):
        sentence = _first_sentence(description)
        if sentence is not None:
            sentences.setdefault(name, sentence)
    return sentences


def _numpy_items(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield name and description of each parameter below a heading that is underlined."""
    headings = [place for place in range(len(lines) - 1) if _UNDERLINE.fullmatch(lines[place + 1].strip())]
    for place, end in pairwise([*headings, len(lines)]):
        if _NUMPY_HEADING.fullmatch(lines[place].strip()):
            yield from _items(lines[place + 2 : end], _NUMPY_ITEM, indent_of(lines[place]))


def _google_items(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield name and description of each parameter below a heading such as ``Args:``."""
    for place, line in enumerate(lines[:-1]):
        if _GOOGLE_HEADING.fullmatch(line.strip()):
            block = _indented(lines[place + 1 :], indent_of(line))
            first = next((indent_of(item) for item in block if item.strip()), 0)
            yield from _items(block, _GOOGLE_ITEM, first)


def _items(block: list[str], item: re.Pattern[str], indent: int) -> Iterator[tuple[str, list[str]]]:
    starts = [place for place, line in enumerate(block) if line.strip() and indent_of(line) == indent]
    for place, end in pairwise([*starts, len(block)]):
        if match := item.fullmatch(block[place].strip()):
            own = [text] if item is _GOOGLE_ITEM and (text := match.group(2)) else []
            yield match.group(1), own + block[place + 1 : end]


def _indented(lines: list[str], indent: int) -> list[str]:
    """Return the lines up to the first one that is not indented by more than ``indent``."""
    end = next((place for place, line in enumerate(lines) if line.strip() and indent_of(line) <= indent), len(lines))
    return lines[:end]


def _first_sentence(description: list[str]) -> str | None:
    """Return the first sentence of the first paragraph, without markup, if it is plain English."""
    paragraph: list[str] = []
    for line in map(str.strip, description):
        if not line and paragraph:
            break
        paragraph += [line] if line else []
    sentence = _SENTENCE_END.split(strip_markup(" ".join(paragraph)))[0].strip()
    is_english = sentence[:1].isalpha() and not _NOT_ENGLISH.search(sentence) and sentence.endswith((".", "!"))
    return sentence if is_english and _MIN_WORDS <= len(sentence.split()) <= _MAX_WORDS else None


PARAMETER_QUESTIONS = OfflineTask(
    name="parameter-questions",
    title="parameters in documentation (offline default)",
    version=2,
    rows=questions_about,
    per_library=1000,
)
"""Questions about the parameters of documented functions, in SQuAD's form: ``context``, ``question``, ``answers``."""
