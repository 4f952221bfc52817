"""The texts of ``hf-strategies list`` and ``show``: the tables of all curves, and a sheet about one schedule."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.report.schedules.flags import Usage, as_flags
from hf_strategies.schedules import DECAYS, SCHEDULES, WARMUPS, Plan, Schedule, WarmupDecayPlan
from hf_strategies.schedules.schedule import ON_EXTEND, build, default_warmup_steps
from hf_strategies.schedules.stock import ADAPTIVE, STOCK, StockPlan

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
_SYMBOLS_OF_STOCK = (
    *_SYMBOLS[:3],
    (r"\bfloor\b", "floor", "min_lr_rate, or min_lr / peak"),
    (r"\bfrac\(", "frac(x)", "x without its whole part"),
)
_SYMBOLS_OF_PHASES = (
    ("", "t", "fraction of the phase that is done, for a warmup's curve"),
    ("", "s", "optimizer steps since the phase began, for a decay's curve"),
    ("", "start", "ratio of the peak where the phase begins"),
    ("", "end", "ratio of the peak where the phase ends"),
)


def overview() -> str:
    """Return the tables of the warmups, the decays and the whole schedules, and how names are built from them."""
    pairs = [plan for plan in SCHEDULES.values() if isinstance(plan, WarmupDecayPlan) and plan.decay.name in DECAYS]
    pairs = [plan for plan in pairs if not plan.own_summary]
    held = [plan for plan in SCHEDULES.values() if plan.name.endswith("plateau_cooldown")]
    whole = [plan for plan in SCHEDULES.values() if plan not in pairs and plan not in held]
    warmups = [row for row in WARMUPS.values() if row.name != "none"]
    counts = (
        f"{len(SCHEDULES)} schedules: {len(warmups)} warmups x {len(DECAYS)} decays, {len(DECAYS)} decays without"
        f" warmup, {len(held)} with the cooldown of PlateauCooldown, {len(whole)} whole schedules"
    )
    sections = {
        f"Warmups: {{warmup}}_warmup_{{decay}}_decay ({len(pairs) - len(DECAYS)} pairs)": [
            (f"{row.name}_warmup_*", row.summary) for row in warmups
        ],
        f"Decays, after a warmup or without one ({len(DECAYS)})": [
            (f"{row.name}_decay", row.summary) for row in DECAYS.values()
        ],
        f"Ended by a plateau ({len(held)})": [(plan.name, _short_summary(plan)) for plan in held],
        f"Whole schedules ({len(whole)})": [(plan.name, plan.summary) for plan in whole],
        f"Names of transformers ({len(STOCK)}; {' and '.join(ADAPTIVE)} follow the training, not the step)": [
            (plan.name, plan.summary) for plan in STOCK.values()
        ],
    }
    parts = [counts]
    for title, rows in sections.items():
        parts += ["", title, *_columns(rows)]
    parts += [
        "",
        "hf-strategies list PATTERN: the full names that have PATTERN in them; --names: names alone",
        "hf-strategies show NAME: formula, parameters, values; plot NAME...: the curve; flags NAME: how to use it",
    ]
    return "\n".join(parts)


def _short_summary(plan: Plan) -> str:
    """Return the summary of a schedule with a cooldown; with a warmup, the warmup's part of it."""
    return plan.warmup.summary if isinstance(plan, WarmupDecayPlan) and plan.has_warmup else plan.summary


def names_and_summaries(names: Iterable[str]) -> str:
    """Return a line with name and summary for each schedule."""
    return "\n".join(_columns([(name, SCHEDULES[name].summary) for name in names], indent=""))


def sheet(plan: Plan, width: int | None = None) -> str:
    """Return the sheet of a schedule: summary, formula, parameters, values at some steps, source and flags.

    The flags are broken for lines of ``width``, in the way that a shell reads.
    """
    example = plan.example if isinstance(plan, StockPlan) else _EXAMPLES.get(plan.name, {})
    usage = Usage(plan, example, default_warmup_steps(plan) or None)
    rows = [(name, f"({row.shown})", row.help) for name, row in plan.parameters.items()]
    sections = {
        "Formula, as a ratio of the peak": list(_formula(plan)),
        "Parameters (default)": [
            *(_columns(rows) or ["  none"]),
            *([] if isinstance(plan, StockPlan) else [f"  {_scheduler_options(plan)}"]),
        ],
        **_edge_values(plan, example),
        **({"Source": [f"  {source}"]} if (source := _source(plan)) else {}),
        "Flags": [*_indented(as_flags(usage, width and width - 2)), *(f"  {note}" for note in usage.notes)],
    }
    lines = [plan.name, f"  {plan.summary}"]
    for title, content in sections.items():
        lines += ["", title, *content]
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


def _scheduler_options(plan: Plan) -> str:
    """Return the options of the torch scheduler that ``lr_scheduler_kwargs`` takes beside the curves' parameters."""
    floor = "min_lr (a learning rate, instead of min_lr_ratio), " if "min_lr_ratio" in plan.parameters else ""
    return f"also: {floor}on_extend (when resumed with another number of steps: {', '.join(ON_EXTEND)})"


def _source(plan: Plan) -> str:
    """Return the sources, each once: a warmup and a decay may have the same source."""
    return "; ".join(dict.fromkeys(plan.source.split("; ")))


def _formula(plan: Plan) -> Iterator[str]:
    if not plan.formula:
        yield "  not given"
        return
    yield from (f"  {part.strip()}" for part in plan.formula.split(";  "))
    if symbols := _symbols(plan):
        yield "  where"
        yield from _columns(symbols, indent="    ")


def _symbols(plan: Plan) -> list[tuple[str, str]]:
    """Return the symbols of a formula with their meanings; empty for a whole schedule that a user registered."""
    tables = {WarmupDecayPlan: _SYMBOLS, StockPlan: _SYMBOLS_OF_STOCK}
    table = tables.get(type(plan), _SYMBOLS_OF_PHASES if plan.name == "phases" else ())
    symbols = [(symbol, meaning) for pattern, symbol, meaning in table if re.search(pattern, plan.formula)]
    if isinstance(plan, WarmupDecayPlan):
        in_warmup = [key for key in plan.warmup.parameters if re.search(rf"\b{key}\b", plan.warmup.formula)]
        symbols += [(key, f"warmup_{key}, in the warmup") for key in in_warmup]
    return symbols


def _edge_values(plan: Plan, example: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the title and the lines of the table of values."""
    try:
        schedule = build(plan, example, total_steps=_TOTAL, warmup_steps=default_warmup_steps(plan, _WARMUP))
    except StrategyError as mistake:
        return {"Values": [f"  none without parameters: {mistake}"]}
    given = f"the {' and '.join(example)} of the flags below" if example else "the default parameters"
    warmup = f"warmup_steps={schedule.warmup_steps}{' (its default)' if plan.default_warmup else ''}, "
    title = f"Values with total_steps={_TOTAL}, {warmup if plan.has_warmup else ''}and {given}"
    rows = [(label, f"f({step})", f"{schedule(step):.6g}") for label, step in _edges(schedule)]
    return {title: _columns(rows)}


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


def _columns(rows: Sequence[Sequence[str]], *, indent: str = "  ") -> list[str]:
    """Align the cells in columns."""
    *sizes, _ = (max(map(len, column)) for column in zip(*rows, strict=True)) if rows else [0]
    return [
        indent + "".join(f"{cell:{size}}  " for cell, size in zip(cells, sizes, strict=True)) + last
        for *cells, last in rows
    ]
