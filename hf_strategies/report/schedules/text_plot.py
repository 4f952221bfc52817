"""Curves as text: braille dots with a letter for each curve, or ASCII with a sign for each; no colour is needed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import or_

__all__ = ["MOST_CURVES", "Axes", "Point", "curve_marks", "text_plot"]

Point = tuple[float, float]
Cell = tuple[int, int]

_LETTERS = "ABCDEFGHIJKL"
_SIGNS = "*o+x#@%&=$~^"
MOST_CURVES = len(_LETTERS)
"""The largest number of curves that one plot can distinguish."""

# The bits of the dots of a braille character, by column and by height from below. U+2800 plus the bits of the dots
# that are set is the code point of the character.
_BITS = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))


@dataclass(frozen=True)
class Axes:
    """The axes of a plot: x in [0, ``x_max``], y in [0, ``y_max``].

    ``units`` has the name of each row of numbers below the x axis, with the length of its unit on the axis, such as
    ``{"step": 1, "epoch": 50}``. ``verticals`` and ``horizontals`` are the positions of guide lines.
    """

    x_max: float
    y_max: float
    units: Mapping[str, float]
    verticals: Iterable[float] = ()
    horizontals: Iterable[float] = ()


@dataclass(frozen=True)
class _Style:
    """The dots of a character across and up, and the characters of guides and axes."""

    across: int
    up: int
    vertical: str
    horizontal: str
    side: str
    side_tick: str
    corner: str
    bottom: str
    bottom_tick: str


_BRAILLE = _Style(2, 4, "┊", "┈", "│", "┤", "└", "─", "┴")
_PLAIN = _Style(1, 1, ":", ".", "|", "+", "+", "-", "+")


def curve_marks(count: int, *, plain: bool = False) -> Sequence[str]:
    """Return the mark of each of ``count`` curves in the plot and in its legend.

    >>> curve_marks(3)
    'ABC'
    """
    if plain:
        return _SIGNS[:count]
    return _LETTERS[:count] if count > 1 else "⠒"


def text_plot(
    curves: Mapping[str, Sequence[Point]], axes: Axes, *, width: int = 80, height: int = 17, plain: bool = False
) -> str:
    """Draw ``curves``, points by label, as text of ``width`` columns, with the legend below.

    The area within the axes is ``height`` lines high. ``plain`` uses only ASCII.

    >>> print(text_plot({"up": [(0, 0), (10, 1)]}, Axes(10, 1, {"step": 1}), width=17, height=3, plain=True))
       1 +        ***
     0.5 +   *****
       0 +***
         +-----+----+
    step  0    5   10
    * up
    """
    style = _PLAIN if plain else _BRAILLE
    labels = _side_labels(axes.y_max, height)
    margin = max(map(len, [*labels.values(), *axes.units]))
    marks = curve_marks(len(curves), plain=plain)
    area = _area(list(curves.values()), axes, width - margin - 2, height, marks, style)
    lines = [
        f"{labels.get(row, ''):>{margin}} {style.side_tick if row in labels else style.side}{area[row]}"
        for row in reversed(range(height))
    ]
    lines += _bottom(axes, width - margin - 2, margin, style)
    lines += [f"{mark} {label}" for mark, label in zip(marks, curves, strict=True)]
    return "\n".join(line.rstrip() for line in lines)


def _area(
    curves: Sequence[Sequence[Point]], axes: Axes, columns: int, rows: int, marks: Sequence[str], style: _Style
) -> list[str]:
    """Return the lines within the axes, from below."""
    grid = [[" "] * columns for _ in range(rows)]
    _draw_guides(grid, [x / axes.x_max for x in axes.verticals], [y / axes.y_max for y in axes.horizontals], style)
    scaled = [[(x / axes.x_max, y / axes.y_max) for x, y in points] for points in curves]
    _draw_curves(grid, [_cells(points, columns, rows, style) for points in scaled], marks, style)
    return ["".join(row) for row in grid]


def _side_labels(y_max: float, height: int) -> dict[int, str]:
    """Return the labels of the y axis by line, counted from below."""
    parts = 4 if height >= 9 else 2
    return {round(part / parts * (height - 1)): f"{part / parts * y_max:.3g}" for part in range(parts + 1)}


def _draw_guides(grid: list[list[str]], verticals: list[float], horizontals: list[float], style: _Style) -> None:
    for height in horizontals:
        row = grid[_nearest(height, len(grid))]
        row[:] = [style.horizontal] * len(row)
    for across in verticals:
        for row in grid:
            row[_nearest(across, len(row))] = style.vertical


def _cells(points: Sequence[Point], columns: int, rows: int, style: _Style) -> dict[Cell, int]:
    """Return the characters (column, line from below) that a curve passes, each with the bits of its dots."""
    cells: dict[Cell, int] = {}
    for x, y in _dots(points, columns * style.across, rows * style.up):
        cell = (x // style.across, y // style.up)
        cells[cell] = cells.get(cell, 0) | _BITS[x % style.across][y % style.up]
    return cells


def _dots(points: Sequence[Point], columns: int, rows: int) -> set[Cell]:
    """Return the dots of the line through ``points``, which lie in the unit square."""
    scaled = [(x * (columns - 1), y * (rows - 1)) for x, y in points]
    dots = set()
    for (x0, y0), (x1, y1) in pairwise(scaled):
        pieces = max(1, math.ceil(max(abs(x1 - x0), abs(y1 - y0))))
        for piece in range(pieces + 1):
            part = piece / pieces
            dots.add((round(x0 + (x1 - x0) * part), round(y0 + (y1 - y0) * part)))
    return dots


def _draw_curves(grid: list[list[str]], layers: list[dict[Cell, int]], marks: Sequence[str], style: _Style) -> None:
    shared: dict[Cell, list[int]] = {}
    for index, layer in enumerate(layers):
        for cell in layer:
            shared.setdefault(cell, []).append(index)
    for (column, row), owners in shared.items():
        if style is _PLAIN:
            # Where curves coincide, their signs alternate.
            grid[row][column] = marks[owners[column % len(owners)]]
        else:
            dots = reduce(or_, (layers[index][column, row] for index in owners))
            grid[row][column] = chr(0x2800 + dots)
    if style is _BRAILLE and len(layers) > 1:
        _draw_letters(grid, layers, marks)


def _draw_letters(grid: list[list[str]], layers: list[dict[Cell, int]], marks: Sequence[str]) -> None:
    for index, layer in enumerate(layers):
        for column, row in _marked(layer, index, len(layers)):
            grid[row][column] = marks[index]


def _marked(layer: dict[Cell, int], index: int, count: int) -> list[Cell]:
    """Return where the letters of a curve are: in columns of its own, so that coinciding curves alternate."""
    distance = max(4, 12 // count)
    by_column: dict[int, list[int]] = {}
    for column, row in layer:
        if column % (distance * count) == distance * index + 2:
            by_column.setdefault(column, []).append(row)
    return [(column, sorted(rows)[len(rows) // 2]) for column, rows in by_column.items()]


def _bottom(axes: Axes, columns: int, margin: int, style: _Style) -> list[str]:
    """Return the x axis and, below it, a line of numbers for each unit."""
    ticks = _ticks(axes.x_max, max(2, columns // 10))
    places = [_nearest(tick / axes.x_max, columns) for tick in ticks]
    axis = "".join(style.bottom_tick if column in places[1:] else style.bottom for column in range(columns))
    lines = [f"{'':{margin}} {style.corner}{axis}"]
    for unit, size in axes.units.items():
        texts = [f"{round(tick / size, 2):.10g}" for tick in ticks]
        lines.append(f"{unit:>{margin}} {_placed(places, texts, columns + 1)}")
    return lines


def _ticks(x_max: float, most: int) -> list[float]:
    """Return 0 and the multiples of 1, 2 or 5 times a power of ten up to ``x_max``, about ``most`` of them."""
    rough = x_max / most
    power = 10.0 ** math.floor(math.log10(rough))
    distance = max(1.0, next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough))
    return [index * distance for index in range(int(x_max / distance) + 1)]


def _placed(places: Sequence[int], texts: Sequence[str], width: int) -> str:
    """Write each text centred below its place; a text that would touch the previous one is left out."""
    line = ""
    for place, text in zip(places, texts, strict=True):
        start = min(max(0, place + 1 - len(text) // 2), width - len(text))
        if start > len(line) or not line:
            line = line.ljust(start) + text
    return line


def _nearest(part: float, count: int) -> int:
    return round(part * (count - 1))
