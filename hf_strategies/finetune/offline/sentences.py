"""Sentences of documentation, each with the library that it comes from.

The sentences are the English text in the docstrings of the standard library and of packages that are installed
wherever this package is. They are the offline data of text classification (which library documents this?) and of
masked language modelling.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial

from hf_strategies.finetune.offline.cache import Row
from hf_strategies.finetune.offline.docstrings import LIBRARIES, Docstring
from hf_strategies.finetune.offline.prose import CLEANING_VERSION, sentences_of
from hf_strategies.finetune.offline.splits import split_evenly
from hf_strategies.finetune.offline.task import OfflineTask

__all__ = ["SENTENCES", "library_sentences"]

# A sentence that contains one of these names the label (or points to a wrong one).
_LIBRARY_NAMES = {
    "python": r"python",
    "torch": r"torch",
    "transformers": r"transformers|hugging\W?face|\bhf\b|🤗",
    "numpy": r"numpy|\bnp\b",
    "pandas": r"pandas|\bpd\b",
    "sklearn": r"sklearn|scikit",
    "sympy": r"sympy",
    "networkx": r"networkx|\bnx\b",
}


def library_sentences(libraries: Sequence[str] = LIBRARIES, per_library: int = 2500) -> OfflineTask:
    """Return the task whose rows are ``text``, ``label`` (its library) and ``source``, as "numpy/lib/npyio.py:load".

    Left out are sentences that name any of the libraries, and those that two libraries share.
    """
    return OfflineTask(
        name="sentences",
        title="documentation sentences (offline default)",
        version=CLEANING_VERSION,
        rows=partial(_labelled_sentences, names=_names_of(libraries)),
        per_library=per_library,
        libraries=libraries,
        key=_without_case_and_numbers,
        order=lambda row: str(row["text"]),
        split=split_evenly,
    )


def _labelled_sentences(docstring: Docstring, names: re.Pattern[str]) -> Iterator[Row]:
    for text in sentences_of(docstring.text):
        if not names.search(text):
            yield {"text": text, "label": docstring.library, "source": docstring.source}


def _names_of(libraries: Sequence[str]) -> re.Pattern[str]:
    names = {library: rf"\b{re.escape(library)}\b" for library in libraries} | _LIBRARY_NAMES
    return re.compile("|".join(names.values()), re.IGNORECASE)


def _without_case_and_numbers(row: Row) -> str:
    """Return the words of a sentence in lower case, each number as "0": two copies have these in common.

    >>> _without_case_and_numbers({"text": "Seen 12 times, or never."})
    'seen 0 times or never'
    """
    text = re.sub(r"\d+", "0", row["text"].casefold())
    return " ".join(re.findall(r"[^\W\d_]+|0+", text))


SENTENCES = library_sentences()
"""The sentences of all `LIBRARIES`."""
