"""Schedules on one axis: what the plot in the terminal and the figure both show."""

from collections.abc import Mapping
from dataclasses import dataclass

from hf_strategies.report.schedules.text_plot import Axes, Point, curve_marks, text_plot
from hf_strategies.schedules import Schedule

__all__ = ["ScheduleCurves", "draw_in_text"]

# A floor below this ratio of the peak looks like 0 on the axis.
_INVISIBLE = 0.005


@dataclass(frozen=True)
class ScheduleCurves:
    """Schedules by label, as ratios of the peak or, with ``peak``, as learning rates."""

    schedules: Mapping[str, Schedule]
    peak: float | None = None
    steps_per_epoch: float | None = None

    @property
    def total_steps(self) -> int:
        """The length of the longest schedule."""
        return max(each.total_steps for each in self.schedules.values())

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
        """The units of the x axis, each with its length in steps."""
        return {"step": 1.0} | ({"epoch": self.steps_per_epoch} if self.steps_per_epoch else {})

    def points(self, label: str, most: int) -> list[Point]:
        """Return steps and values from step 0 to the end: all of them, or about ``most`` when there are more.

        >>> from hf_strategies import schedule
        >>> curves = ScheduleCurves({"up": schedule("linear_warmup_constant_decay", total_steps=2, warmup_steps=1)})
        >>> curves.points("up", 10)
        [(0, 0.0), (1, 1.0), (2, 1.0)]
        """
        schedule = self.schedules[label]
        total, pieces = schedule.total_steps, min(most, schedule.total_steps)
        # The end of the warmup is always among the steps, because the peak may be there alone.
        steps = {round(piece * total / pieces) for piece in range(pieces + 1)} | {schedule.warmup_steps}
        return [(step, self.top * schedule(step)) for step in sorted(steps)]

    @property
    def warmups(self) -> dict[int, list[str]]:
        """The steps at which a warmup ends, each with the labels of its schedules."""
        by_step: dict[int, list[str]] = {}
        for label, schedule in self.schedules.items():
            if schedule.warmup_steps:
                by_step.setdefault(schedule.warmup_steps, []).append(label)
        return dict(sorted(by_step.items()))

    @property
    def floors(self) -> dict[float, list[str]]:
        """The floors that can be distinguished from 0, each with the labels of its schedules."""
        by_floor: dict[float, list[str]] = {}
        for label, schedule in self.schedules.items():
            floor = self._floor(schedule)
            if floor > _INVISIBLE:
                by_floor.setdefault(self.top * floor, []).append(label)
        return dict(sorted(by_floor.items()))

    def _floor(self, schedule: Schedule) -> float:
        """Return the floor as a ratio of the peak; transformers' schedules have other names for it."""
        given, in_rates = schedule.parameters, 0.0
        if self.peak:
            in_rates = (given.get("min_lr") or given.get("lr_end") or 0.0) / self.peak
        return float(given.get("min_lr_ratio") or given.get("min_lr_rate") or in_rates)


def draw_in_text(curves: ScheduleCurves, *, width: int = 80, height: int = 17, plain: bool = False) -> str:
    """Draw the schedules as text of ``width`` columns, with the ends of warmups and the floors as guides."""
    # Several samples per dot, so that a jump is a vertical line and a short peak is not missed.
    points = {label: curves.points(label, 8 * width) for label in curves.schedules}
    axes = Axes(curves.total_steps, curves.top, curves.units, curves.warmups, curves.floors)
    plot = text_plot(points, axes, width=width, height=height, plain=plain)
    return "\n".join([curves.y_label, plot, *_notes(curves, plain)])


def _notes(curves: ScheduleCurves, plain: bool) -> list[str]:
    """Return the legend of the guides: the ends of warmups and the floors, with the marks of their curves."""
    marks = dict(zip(curves.schedules, curve_marks(len(curves.schedules), plain=plain), strict=True))

    def marks_of(labels: list[str]) -> str:
        return f" ({', '.join(marks[label] for label in labels)})" if len(marks) > 1 else ""

    warmups = [f"step {step}{marks_of(labels)}" for step, labels in curves.warmups.items()]
    floors = [f"{value:.3g}{marks_of(labels)}" for value, labels in curves.floors.items()]
    return [
        *([f"{':' if plain else '┊'} the warmup ends at {', '.join(warmups)}"] if warmups else []),
        *([f"{'.' if plain else '┈'} floor {', '.join(floors)}"] if floors else []),
    ]
