"""The tables that the benchmark prints."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median


def goal_table(title: str, times: Mapping[str, Sequence[float]], goal: float, bound: Callable[[str], bool]) -> str:
    """Return median, least and most of each row, and whether the medians of those bound by it meet the goal."""
    lines = [title, f"  {'':38}{'median':>9}{'min':>9}{'max':>9}  goal {goal:g}"]
    for name, each in times.items():
        verdict = ("met" if median(each) <= goal else "MISSED") if bound(name) else ""
        numbers = "".join(f"{value:9.3f}" for value in (median(each), min(each), max(each)))
        lines.append(f"  {name:38}{numbers}  {verdict}".rstrip())
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"|{'|'.join(row)}|" for row in (header, ["-"] * len(header), *rows))


def spread(values: Sequence[float]) -> str:
    """Return the median with three digits or more and, of several values, the least and the most."""
    middle = median(values)
    digits = 0 if middle >= 100 else 1 if middle >= 10 else 2
    between = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{middle:.{digits}f}{between}"


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Return the ratio of each round."""
    return [above / below for above, below in zip(numerators, denominators, strict=True)]
