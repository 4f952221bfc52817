"""How the runs of a figure or a page look, so that they can be told apart in greyscale and by everyone's eyes."""

from dataclasses import dataclass

__all__ = ["COLORS", "Look", "look", "shortened"]

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#7f7f7f")
"""The colours of Okabe and Ito, which people with any colour vision can tell apart; a grey
is in the place of the yellow, which is too pale."""

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_MARKERS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "x", "cross", "pentagon", "hexagon")


@dataclass(frozen=True)
class Look:
    """The colour, the dashes and the markers of a run, by the names that plotly has for them."""

    color: str
    dash: str
    marker: str


def look(index: int) -> Look:
    """Return the look of a run by its number; 360 runs differ.

    >>> look(0) == look(360), len({look(index) for index in range(360)})
    (True, 360)
    """
    return Look(COLORS[index % len(COLORS)], _DASHES[index % len(_DASHES)], _MARKERS[index % len(_MARKERS)])


def shortened(name: str, most: int) -> str:
    """Return a name of at most ``most`` characters, its middle left out.

    >>> shortened("a_long_name_of_a_run", 11)
    'a_lon…a_run'
    """
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[len(name) - half :]}"
