"""Schedules on one axis: what the plot in the terminal and the figure both show."""

from collections.abc import Mapping
from dataclasses import dataclass

from hf_strategies.report.schedules.text_plot import Axes, Point, curve_marks, text_plot
from hf_strategies.schedules import Schedule

__all__ = ["ScheduleCurves", "draw_in_text"]

# A floor below this ratio of the peak cannot be told from 0 on the axis.
_INVISIBLE = 0.005


@dataclass(frozen=True)
class ScheduleCurves:
    """Schedules of the same length by label, in ratios of the peak or, with ``peak``, as learning rates."""

    schedules: Mapping[str, Schedule]
    peak: float | None = None
    steps_per_epoch: float | None = None

    @property
    def total_steps(self) -> int:
        """The length of the longest one."""
        return max(one.total_steps for one in self.schedules.values())

    @property
    def top(self) -> float:
        """The value at the peak."""
        return 1.0 if self.peak is None else self.peak

    @property
    def y_label(self) -> str:
        """What the y axis shows."""
        return "learning rate" if self.peak is not None else "learning rate / peak"

    @property
    def units(self) -> dict[str, float]:
        """The units of the x axis, each with its steps."""
        return {"step": 1.0} | ({"epoch": self.steps_per_epoch} if self.steps_per_epoch else {})

    def points(self, label: str, most: int) -> list[Point]:
        """Return steps and values from step 0 to the end: all of them, or about ``most`` when there are more.

        >>> from hf_strategies import schedule
        >>> curves = ScheduleCurves({"up": schedule("linear_warmup_constant_decay", total_steps=2, warmup_steps=1)})
        >>> curves.points("up", 10)
        [(0, 0.0), (1, 1.0), (2, 1.0)]
        """
        one = self.schedules[label]
        pieces = min(most, one.total_steps)
        # The end of the warmup is always among them, so that the peak is seen.
        steps = {round(piece * one.total_steps / pieces) for piece in range(pieces + 1)} | {one.warmup_steps}
        return [(step, self.top * one(step)) for step in sorted(steps)]

    @property
    def warmups(self) -> dict[int, list[str]]:
        """The steps at which a warmup ends, each with the labels that it is for."""
        found: dict[int, list[str]] = {}
        for label, one in self.schedules.items():
            if one.warmup_steps:
                found.setdefault(one.warmup_steps, []).append(label)
        return dict(sorted(found.items()))

    @property
    def floors(self) -> dict[float, list[str]]:
        """The floors that stand out from 0, each with the labels that it is for."""
        found: dict[float, list[str]] = {}
        for label, one in self.schedules.items():
            floor = one.parameters.get("min_lr_ratio", 0.0)
            if floor > _INVISIBLE:
                found.setdefault(self.top * floor, []).append(label)
        return dict(sorted(found.items()))


def draw_in_text(curves: ScheduleCurves, *, width: int = 80, height: int = 17, plain: bool = False) -> str:
    """Draw the schedules as text of ``width`` columns, with the ends of warmups and the floors as guides."""
    # Several samples per dot, so that a jump is upright and a short peak is seen.
    points = {label: curves.points(label, 8 * width) for label in curves.schedules}
    axes = Axes(curves.total_steps, curves.top, curves.units, curves.warmups, curves.floors)
    plot = text_plot(points, axes, width=width, height=height, plain=plain)
    return "\n".join([curves.y_label, plot, *_notes(curves, plain)])


def _notes(curves: ScheduleCurves, plain: bool) -> list[str]:
    marks = dict(zip(curves.schedules, curve_marks(len(curves.schedules), plain=plain), strict=True))

    def of(labels: list[str]) -> str:
        return f" ({', '.join(marks[label] for label in labels)})" if len(marks) > 1 else ""

    warmups = [f"step {step}{of(labels)}" for step, labels in curves.warmups.items()]
    floors = [f"{value:.3g}{of(labels)}" for value, labels in curves.floors.items()]
    return [
        *([f"{':' if plain else '┊'} the warmup ends at {', '.join(warmups)}"] if warmups else []),
        *([f"{'.' if plain else '┈'} floor {', '.join(floors)}"] if floors else []),
    ]
