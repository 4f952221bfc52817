"""The text-classification data that needs no network: sentences, or pairs of a name and a summary.

The single texts are sentences of documentation, labelled with their library. A pair is the qualified name of a
function of an installed library and the first sentence of a docstring: its own one, or that of another function of
the same library. Its label says whether the two belong together.
"""

from collections import defaultdict
from collections.abc import Iterator

from hf_strategies.finetune.offline.cache import Row
from hf_strategies.finetune.offline.docstrings import Docstring
from hf_strategies.finetune.offline.prose import paragraphs_of, split_sentences, strip_markup
from hf_strategies.finetune.offline.sentences import SENTENCES
from hf_strategies.finetune.offline.task import OfflineTask

__all__ = ["OFFLINE_TASKS", "SUMMARY_PAIRS", "summary_of", "with_wrong_summaries"]

_MIN_WORDS, _MAX_WORDS = 3, 40


def summary_of(docstring: str) -> str:
    """Return the first sentence of a docstring, without markup; empty if it does not have 3 to 40 words.

    >>> summary_of("Return the `largest` item.  Of several, the first.")
    'Return the largest item.'
    """
    paragraph = next(iter(paragraphs_of(docstring)), "")
    sentence = split_sentences(strip_markup(paragraph))[0]
    words = sentence.split()
    is_sentence = _MIN_WORDS <= len(words) <= _MAX_WORDS and sentence[0].isupper() and sentence[-1] in ".!?"
    return sentence if is_sentence else ""


def with_wrong_summaries(rows: list[Row]) -> list[Row]:
    """Give every second row of each library the summary of another such row, and label all rows "yes" or "no".

    Of rows with the same summary in a library only the first is kept, because a wrong summary must not be right by
    chance. The rows that get a wrong summary are sorted by the last part of their names, and each takes the summary
    of the row half the list away: so each summary is used once, and no function gets that of one with the same last
    part (``fit``) unless more than half of them share it; such rows are left out. The order of the rows does not
    change.
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


def _named_summaries(docstring: Docstring) -> Iterator[Row]:
    last = docstring.name.rpartition(".")[2]
    # By convention, the name of a class begins with a capital letter; "<module>" is not a function either.
    if not last[0].islower():
        return
    if summary := summary_of(docstring.text):
        yield {
            "sentence1": docstring.name,
            "sentence2": summary,
            "library": docstring.library,
            "source": docstring.source,
        }


SUMMARY_PAIRS = OfflineTask(
    name="summary-pair",
    title="names and summaries of functions (offline)",
    version=1,
    rows=_named_summaries,
    per_library=2500,
    finish=with_wrong_summaries,
)
"""Rows of ``sentence1`` (the name of a function), ``sentence2`` (a summary), ``label``, ``library`` and ``source``.

Half of the rows are labelled "no": their summary is that of another function of the same split and library, whose own
name differs in its last part.
"""

OFFLINE_TASKS: dict[str, OfflineTask] = {"library": SENTENCES, "summary_pair": SUMMARY_PAIRS}
"""The values of ``--offline_task``; the first is the default."""
