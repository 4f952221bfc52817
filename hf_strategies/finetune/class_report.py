"""``report.txt`` and ``report.json``: precision, recall and F1 of each class, and which are taken for which."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sklearn.metrics import precision_recall_fscore_support

from hf_strategies.errors import visible
from hf_strategies.files import read_json, write_text

__all__ = [
    "ClassReport",
    "Scores",
    "confusion_of",
    "label_report",
    "multi_label_report",
    "scores_of",
    "write_reports",
]

Scores = Mapping[str, float]
"""``precision``, ``recall``, ``f1``, and ``support``, the number of true examples."""

_SHARES = ("precision", "recall", "f1")
_WIDTH = 80  # columns of report.txt
_MOST_COLUMNS = 12  # of a confusion matrix that fits into them
_MOST_CONFUSIONS = 20


@dataclass(frozen=True)
class ClassReport:
    """What a model does with each class of a set.

    ``unit`` is what is counted: rows, words or entities. ``classes`` has the scores of each class, in the order of
    the model's outputs, and ``averages`` those over all classes: ``macro``, where each class weighs the same,
    ``weighted`` by support, and ``micro``, over all pairs of an example and a class, where these differ from the
    accuracy. ``confusion[true][predicted]`` is how often the one was taken for the other, or was right, where it
    happened at all; it is empty where an example may have several classes.
    """

    unit: str
    classes: Mapping[str, Scores]
    averages: Mapping[str, Scores]
    confusion: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def text(self, title: str) -> str:
        """Return the report as text of at most 80 columns.

        >>> print(label_report([0, 1, 1], [0, 1, 0], ["bad", "good"]).text("Test set").splitlines()[4])
        bad                  1.000     0.500    0.667       2
        """
        means = {f"{name} mean": row for name, row in self.averages.items()}
        parts = [f"{title}\n{'=' * len(title)}", _printed(_score_table(self.classes, means, self.unit))]
        names = list(dict.fromkeys([*self.confusion, *(name for row in self.confusion.values() for name in row)]))
        if 1 < len(names) <= _MOST_COLUMNS:
            parts.append(_printed(_matrix(names, self.confusion)))
        if wrong := _confusions(self.confusion):
            parts.append(_printed(_confusion_table(wrong, self.unit)))
        return "\n\n".join(parts)


def label_report(predictions: ArrayLike, references: ArrayLike, labels: Sequence[str]) -> ClassReport:
    """Return the report of examples that have one label each; both are ids, places in ``labels``.

    A label that is never predicted has precision 0, and one that no example has recall 0.

    >>> report = label_report([0, 1, 1], [0, 1, 0], ["bad", "good"])
    >>> report.classes["good"]
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666, 'support': 1}
    >>> report.confusion
    {'bad': {'bad': 1, 'good': 1}, 'good': {'good': 1}}
    """
    predicted, true = np.asarray(predictions).tolist(), np.asarray(references).tolist()
    places = range(len(labels))

    def measure(average: str | None) -> Any:
        return _sklearn_scores(true, predicted, average, places)

    pairs = ((labels[one], labels[other]) for one, other in zip(true, predicted, strict=True))
    return ClassReport("rows", *scores_of(measure, labels, ("macro", "weighted")), confusion_of(pairs, labels))


def multi_label_report(predictions: ArrayLike, references: ArrayLike, labels: Sequence[str]) -> ClassReport:
    """Return the report of examples that have any number of labels; both are rows of zeros and ones.

    >>> multi_label_report([[1, 1], [0, 0]], [[1, 0], [0, 1]], ["new", "rude"]).averages["micro"]
    {'precision': 0.5, 'recall': 0.5, 'f1': 0.5, 'support': 2}
    """
    predicted, true = np.asarray(predictions).astype(int), np.asarray(references).astype(int)

    def measure(average: str | None) -> Any:
        return _sklearn_scores(true, predicted, average, None)

    return ClassReport("rows", *scores_of(measure, labels, ("micro", "macro", "weighted")))


def scores_of(
    measure: Callable[[str | None], Any], names: Sequence[str], averages: Iterable[str]
) -> tuple[dict[str, Scores], dict[str, Scores]]:
    """Return the scores of each class, and of each average.

    ``measure(average)`` returns precision, recall, F1 and support as scikit-learn does: arrays with an entry for each
    of ``names`` where ``average`` is None, else numbers.
    """
    if not names:
        return {}, {name: _scores([0.0, 0.0, 0.0, 0]) for name in averages}
    columns = [np.asarray(column).tolist() for column in measure(None)]
    classes = {name: _scores([column[place] for column in columns]) for place, name in enumerate(names)}
    return classes, {name: _scores([*measure(name)[:3], sum(columns[3])]) for name in averages}


def confusion_of(pairs: Iterable[tuple[str, str]], names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count the pairs of a true and a predicted class, in the order of ``names``."""
    counts = Counter(pairs)
    rows = {true: {name: counts[true, name] for name in names if counts[true, name]} for true in names}
    return {true: row for true, row in rows.items() if row}


def write_reports(folder: Path, reports: Mapping[str, ClassReport]) -> None:
    """Write ``report.json`` and ``report.txt``, with a part for each of ``reports``, by the name of its split.

    Parts of other splits that are there already stay, as in ``all_results.json``.
    """
    file = folder / "report.json"
    before = read_json(file)
    parts = {**(before if isinstance(before, dict) else {}), **{name: asdict(each) for name, each in reports.items()}}
    write_text(file, json.dumps(parts, indent=2, ensure_ascii=False) + "\n")  # in the order of splits and classes
    texts = [ClassReport(**part).text(f"{name.capitalize()} set") for name, part in parts.items()]
    write_text(folder / "report.txt", "\n\n".join(texts) + "\n")


def _sklearn_scores(true: Any, predicted: Any, average: str | None, labels: Any) -> Any:
    return precision_recall_fscore_support(true, predicted, labels=labels, average=average, zero_division=0)


def _scores(values: Sequence[float]) -> Scores:
    return {**dict(zip(_SHARES, map(float, values), strict=False)), "support": int(values[3])}


def _confusions(confusion: Mapping[str, Mapping[str, int]]) -> list[tuple[str, str, int]]:
    """Return the most frequent mistakes: the true class, the predicted one, and how often."""
    wrong = [(true, name, count) for true, row in confusion.items() for name, count in row.items() if name != true]
    return sorted(wrong, key=lambda each: -each[2])[:_MOST_CONFUSIONS]


def _score_table(classes: Mapping[str, Scores], means: Mapping[str, Scores], unit: str) -> Table:
    table = _table("class", *_SHARES, unit)
    for rows in (classes, means):
        for name, scores in rows.items():
            shares = (f"{scores[key]:.3f}" for key in _SHARES)
            table.add_row(Text(visible(name)), *shares, f"{scores['support']:,}")
        if rows is classes:
            table.add_row()
    return table


def _matrix(names: Sequence[str], confusion: Mapping[str, Mapping[str, int]]) -> Table:
    table = _table("true, down; predicted, across", *map(str, range(1, len(names) + 1)))
    for number, true in enumerate(names, start=1):
        counts = (str(confusion.get(true, {}).get(name, 0)) for name in names)
        table.add_row(Text(visible(f"{number} {true}")), *counts)
    return table


def _confusion_table(wrong: Sequence[tuple[str, str, int]], unit: str) -> Table:
    table = _table("most frequent mistakes: true", "predicted", unit)
    for true, name, count in wrong:
        table.add_row(Text(visible(true)), Text(visible(name)), f"{count:,}")
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _printed(table: Table) -> str:
    console = Console(file=StringIO(), width=_WIDTH, color_system=None)
    console.print(table)
    return "\n".join(line.rstrip() for line in console.file.getvalue().rstrip().splitlines())  # type: ignore[attr-defined]
