"""The multiple-choice data that needs no network: which sentence opens the docstring of this function?

The wrong endings are later sentences of the docstrings of other functions and classes in the same split. If they
were opening sentences too, the text of an ending alone would not show whether it is right, and a small BERT that
starts from random weights would be no better than chance after minutes.
"""

from collections.abc import Iterator
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.offline.docstrings import Docstring, stable_rank
from hf_strategies.finetune.offline.prose import CLEANING_VERSION, paragraphs_of, sentences_of, strip_markup
from hf_strategies.finetune.offline.task import OfflineTask

__all__ = ["CHOICES", "OPENINGS", "choose_endings", "opening_rows"]

CHOICES = 4


def opening_rows(docstring: Docstring) -> Iterator[dict[str, Any]]:
    """Yield the name of a public function or class, the first sentence of its docstring, and a later one.

    A docstring that does not begin with an English sentence, or has only one, gives no row.

    >>> text = "Return the cat that `key` names.\\n\\nIt is a copy of the cat. Mind its claws."
    >>> list(opening_rows(Docstring("pets", "zoo/_cats.py", "get_cat", text)))
    [{'sent1': 'pets.get_cat', 'opening': 'Return the cat that key names.', 'later': 'It is a copy of the cat.'}]
    """
    if docstring.name == "<module>" or docstring.name.rpartition(".")[2].startswith("_"):
        return
    opening, *later = sentences_of(docstring.text) or [""]
    # `sentences_of` leaves out what is not English, so that its first sentence need not open the docstring.
    if later and strip_markup(paragraphs_of(docstring.text)[0]).startswith(opening):
        any_later = min(later, key=lambda sentence: stable_rank("later", sentence))
        yield {"sent1": f"{docstring.library}.{docstring.name}", "opening": opening, "later": any_later}


def choose_endings(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each row four endings: its own opening sentence and later sentences of the next rows.

    The right one is at each of the four places equally often. No two endings of a row are equal. Raises
    `StrategyError` if there are too few rows for that.

    >>> rows = [{"sent1": name, "opening": f"Return {name}.", "later": f"Mind {name}."} for name in "abcde"]
    >>> choose_endings(rows)[1]  # doctest: +NORMALIZE_WHITESPACE
    {'sent1': 'b', 'ending0': 'Mind c.', 'ending1': 'Return b.', 'ending2': 'Mind d.', 'ending3': 'Mind e.',
     'label': 1}
    """
    rows_with_endings = []
    for index, row in enumerate(rows):
        label = index % CHOICES
        endings = _others(rows, index)
        if len(endings) < CHOICES - 1:
            raise StrategyError(
                f"a split of the offline data set has only {len(rows)} docstrings: name more libraries"
            )
        endings.insert(label, row["opening"])
        named = {f"ending{place}": ending for place, ending in enumerate(endings)}
        rows_with_endings.append({"sent1": row["sent1"], **named, "label": label})
    return rows_with_endings


def _others(rows: list[dict[str, Any]], index: int) -> list[str]:
    """Return later sentences of the next rows, as many as there are wrong endings, none twice."""
    endings: list[str] = []
    for step in range(1, len(rows)):
        later = rows[(index + step) % len(rows)]["later"]
        if later not in (rows[index]["opening"], rows[index]["later"], *endings):
            endings.append(later)
        if len(endings) == CHOICES - 1:
            break
    return endings


OPENINGS = OfflineTask(
    name="openings",
    title="openings of docstrings (offline default)",
    version=CLEANING_VERSION,
    rows=opening_rows,
    per_library=900,
    finish=choose_endings,
    key=lambda row: row["opening"].casefold(),
)
"""Functions and classes with the sentences that open their docstrings; no opening sentence occurs twice."""
