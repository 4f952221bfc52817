"""The pair-classification data that needs no network: does this summary belong to this name?

A pair is the qualified name of a function, in one of the installed libraries, and the first sentence of a docstring:
its own one, or that of another function of the same library.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hf_strategies.finetune.offline.cache import Rows
from hf_strategies.finetune.offline.docstrings import Docstring
from hf_strategies.finetune.offline.prose import paragraphs_of, split_sentences, strip_markup
from hf_strategies.finetune.offline.sentences import LIBRARIES
from hf_strategies.finetune.offline.task import OfflineTask, load_offline

__all__ = ["SUMMARY_PAIRS", "load_summary_pairs", "summary_of", "with_wrong_summaries"]

Row = dict[str, Any]

_FEWEST_WORDS, _MOST_WORDS = 3, 40


def load_summary_pairs(*, seed: int = 0, cache_dir: Path | None = None, libraries: Sequence[str] = LIBRARIES) -> Rows:
    """Return rows of ``sentence1`` (a name), ``sentence2`` (a summary), ``label``, ``library`` and ``source``.

    Half of the rows are labelled "no": their summary is that of another function of the same split and library,
    whose own name differs in its last part. Built once per machine, as all that `load_offline` returns.
    """
    return load_offline(SUMMARY_PAIRS, seed=seed, cache_dir=cache_dir, libraries=libraries)


def summary_of(docstring: str) -> str:
    """Return the first sentence of a docstring, without markup; empty where it is none of 3 to 40 words.

    >>> summary_of("Return the `largest` item.  Of several, the first.")
    'Return the largest item.'
    """
    paragraph = next(iter(paragraphs_of(docstring)), "")
    sentence = split_sentences(strip_markup(paragraph))[0]
    words = sentence.split()
    is_prose = _FEWEST_WORDS <= len(words) <= _MOST_WORDS and sentence[0].isupper() and sentence[-1] in ".!?"
    return sentence if is_prose else ""


def with_wrong_summaries(rows: list[Row]) -> list[Row]:
    """Give every second row of each library the summary of another one of these rows, and label all of them.

    Of rows with the same summary in a library only the first is kept, so that no wrong summary is right after all.
    The summaries are moved along among the rows in the order of their names' last parts, half way round: so each is
    used once, and none goes to a function of the same last part (``fit``), unless more than half are called so;
    those are left out. The order of the rows stays.
    """
    by_library: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        by_library[row["library"]].setdefault(row["sentence2"], row)
    labelled: dict[int, Row] = {}
    for distinct in by_library.values():
        kept = list(distinct.values())
        labelled |= {id(row): row | {"label": "yes"} for row in kept[::2]}
        labelled |= _swapped(kept[1::2])
    return [labelled[id(row)] for row in rows if id(row) in labelled]


def _swapped(rows: list[Row]) -> dict[int, Row]:
    ordered = sorted(rows, key=lambda row: (_last_part(row), row["source"]))
    half = len(ordered) // 2
    swapped = {}
    for row, other in zip(ordered, [*ordered[half:], *ordered[:half]], strict=True):
        if _last_part(row) != _last_part(other):
            swapped[id(row)] = row | {"sentence2": other["sentence2"], "label": "no"}
    return swapped


def _last_part(row: Row) -> str:
    return str(row["sentence1"]).rpartition(".")[2].lower()


def _examples(docstring: Docstring) -> Iterator[Row]:
    last = docstring.name.rpartition(".")[2]
    # By convention, the name of a class begins with a capital letter; "<module>" is no function either.
    if not last[0].islower():
        return
    if summary := summary_of(docstring.text):
        yield {
            "sentence1": docstring.name,
            "sentence2": summary,
            "library": docstring.library,
            "source": docstring.source,
        }


SUMMARY_PAIRS = OfflineTask("summary-pair", 1, _examples, per_library=2500, finish=with_wrong_summaries)
"""Names and summaries of functions; see `load_summary_pairs`."""
