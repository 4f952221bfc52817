"""The texts of ``hf-strategies list`` and ``show``: the tables of all curves, and a sheet about one schedule."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.report.schedules.flags import as_flags
from hf_strategies.schedules import DECAYS, SCHEDULES, WARMUPS, Plan, Schedule, WarmupDecayPlan
from hf_strategies.schedules.schedule import ON_EXTEND, build, default_warmup_steps

__all__ = ["names_and_summaries", "overview", "sheet"]

# Values for parameters that have no default, so that values can be computed for the sheet.
_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "phases": {
        "phases": [
            {"shape": "linear", "length": 0.1, "start": 0, "end": 1},
            {"shape": "constant", "length": 0.6},
            {"shape": "cosine", "end": 0.1},
        ]
    }
}
_TOTAL, _WARMUP = 1000, 100
# Regular expression, symbol, meaning.
_SYMBOLS = (
    (r"\bt\b", "t", "fraction of the warmup that is done: 0 at the first update, 1 at the warmup's end"),
    (r"\bs\b", "s", "optimizer steps since the warmup ended"),
    (r"\bS\b", "S", "length of the decay: total_steps - warmup_steps"),
    (r"\bfloor\b(?!\()", "floor", "min_lr_ratio"),
    (r"\bfloor\(", "floor(x)", "x rounded down"),
)
_SYMBOLS_OF_PHASES = (
    ("", "t", "fraction of the phase that is done, for a warmup's curve"),
    ("", "s", "optimizer steps since the phase began, for a decay's curve"),
    ("", "start", "ratio of the peak where the phase begins"),
    ("", "end", "ratio of the peak where the phase ends"),
)


def overview(width: int | None = None) -> str:
    """Return the tables of the warmups, the decays and the whole schedules, and how names are built from them."""
    pairs = [plan for plan in SCHEDULES.values() if isinstance(plan, WarmupDecayPlan) and plan.decay.name in DECAYS]
    pairs = [plan for plan in pairs if not plan.own_summary]
    held = [plan for plan in SCHEDULES.values() if plan.name.endswith("plateau_cooldown")]
    whole = [plan for plan in SCHEDULES.values() if plan not in pairs and plan not in held]
    warmups = [row for row in WARMUPS.values() if row.name != "none"]
    parts = [
        f"{len(SCHEDULES)} schedules: {len(warmups)} warmups x {len(DECAYS)} decays, {len(DECAYS)} decays without"
        f" warmup, {len(held)} with the cooldown of PlateauCooldown, {len(whole)} whole schedules",
        "",
        f"Warmups: {{warmup}}_warmup_{{decay}}_decay ({len(pairs) - len(DECAYS)} pairs)",
        *_columns([(row.name, row.summary) for row in warmups], width),
        "",
        f"Decays: as above, or {{decay}}_decay without warmup ({len(DECAYS)})",
        *_columns([(row.name, row.summary) for row in DECAYS.values()], width),
        "",
        f"Ended by a plateau: {{warmup}}_warmup_plateau_cooldown, or plateau_cooldown ({len(held)})",
        *_columns([(plan.name, plan.summary) for plan in held if not plan.has_warmup], width),
        "",
        f"Whole schedules ({len(whole)})",
        *_columns([(plan.name, plan.summary) for plan in whole], width),
        "",
        "hf-strategies list PATTERN: the names that have PATTERN in them; --names: names alone",
        "hf-strategies show NAME: formula, parameters, values; plot NAME...: the curve; flags NAME: how to use it",
    ]
    return "\n".join(parts)


def names_and_summaries(names: Iterable[str], width: int | None = None) -> str:
    """Return a line with name and summary for each schedule."""
    return "\n".join(_columns([(name, SCHEDULES[name].summary) for name in names], width, indent=""))


def sheet(plan: Plan, width: int | None = None) -> str:
    """Return the sheet of a schedule: summary, formula, parameters, values at some steps, source and flags."""
    example = _EXAMPLES.get(plan.name, {})
    rows = [(name, f"({row.shown})", row.help) for name, row in plan.parameters.items()]
    sections = {
        "Formula, as a ratio of the peak": list(_formula(plan, width)),
        "Parameters (default)": [
            *(_columns(rows, width) or ["  none"]),
            *_columns([[_scheduler_options(plan)]], width),
        ],
        **_edge_values(plan, example, width),
        **({"Source": [f"  {source}"]} if (source := _source(plan)) else {}),
        "Flags": [f"  {as_flags(plan.name, example, warmup_steps=default_warmup_steps(plan) or None)}"],
    }
    lines = [plan.name, f"  {plan.summary}"]
    for title, content in sections.items():
        lines += ["", title, *content]
    return "\n".join(lines)


def _scheduler_options(plan: Plan) -> str:
    """Return the options of the torch scheduler that ``lr_scheduler_kwargs`` takes beside the curves' parameters."""
    floor = "min_lr (a learning rate, instead of min_lr_ratio), " if "min_lr_ratio" in plan.parameters else ""
    return f"also: {floor}on_extend (when resumed with another number of steps: {', '.join(ON_EXTEND)})"


def _source(plan: Plan) -> str:
    """Return the sources, each once: a warmup and a decay may have the same source."""
    return "; ".join(dict.fromkeys(plan.source.split("; ")))


def _formula(plan: Plan, width: int | None) -> Iterator[str]:
    if not plan.formula:
        yield "  not given"
        return
    yield from (f"  {part.strip()}" for part in plan.formula.split(";  "))
    if symbols := _symbols(plan):
        yield "  where"
        yield from _columns(symbols, width, indent="    ")


def _symbols(plan: Plan) -> list[tuple[str, str]]:
    """Return the symbols of a formula with their meanings; empty for a whole schedule that a user registered."""
    table = _SYMBOLS if isinstance(plan, WarmupDecayPlan) else _SYMBOLS_OF_PHASES if plan.name == "phases" else ()
    symbols = [(symbol, meaning) for pattern, symbol, meaning in table if re.search(pattern, plan.formula)]
    if isinstance(plan, WarmupDecayPlan):
        in_warmup = [key for key in plan.warmup.parameters if re.search(rf"\b{key}\b", plan.warmup.formula)]
        symbols += [(key, f"warmup_{key}, in the warmup") for key in in_warmup]
    return symbols


def _edge_values(plan: Plan, example: Mapping[str, Any], width: int | None) -> dict[str, list[str]]:
    """Return the title and the lines of the table of values."""
    try:
        schedule = build(plan, example, total_steps=_TOTAL, warmup_steps=default_warmup_steps(plan, _WARMUP))
    except StrategyError as mistake:
        return {"Values": [f"  none without parameters: {mistake}"]}
    given = "the phases of the flags below" if example else "the default parameters"
    warmup = f"warmup_steps={schedule.warmup_steps}{' (its default)' if plan.default_warmup else ''}, "
    title = f"Values with total_steps={_TOTAL}, {warmup if plan.has_warmup else ''}and {given}"
    rows = [(label, f"f({step})", f"{schedule(step):.6g}") for label, step in _edges(schedule)]
    return {title: _columns(rows, width)}


def _edges(schedule: Schedule) -> list[tuple[str, int]]:
    """Return the steps whose values the sheet shows, each after its label."""
    total, warmup = schedule.total_steps, schedule.warmup_steps
    in_warmup = [("half of the warmup", warmup // 2), ("end of the warmup", warmup)] if warmup else []
    return [
        ("first update", 0),
        *in_warmup,
        ("half of the training", total // 2),
        ("last update", total - 1),
        ("at the end and after", total),
    ]


def _columns(rows: Sequence[Sequence[str]], width: int | None, *, indent: str = "  ") -> list[str]:
    """Align the cells in columns, and wrap the last column at ``width`` if that is given."""
    *sizes, _ = (max(map(len, column)) for column in zip(*rows, strict=True)) if rows else [0]
    lines = []
    for *cells, last in rows:
        start = indent + "".join(f"{cell:{size}}  " for cell, size in zip(cells, sizes, strict=True))
        room = max(width - len(start), 20) if width else len(last) + 1
        lines += [
            (" " * len(start) if index else start) + part
            for index, part in enumerate(textwrap.wrap(last, room, break_on_hyphens=False) or [""])
        ]
    return [line.rstrip() for line in lines]
