"""The model card of an average, whose section names the sources."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hf_strategies.checkpoints.folder import WeightedMean
from hf_strategies.checkpoints.sources import Source, Watched
from hf_strategies.errors import visible

__all__ = ["CARD", "card", "source_lines"]

CARD = "README.md"

_KEPT = (
    "base_model",
    "datasets",
    "language",
    "library_name",
    "license",
    "license_name",
    "license_link",
    "pipeline_tag",
    "tags",
)
"""What of the sources' card holds for their average too; results do not."""


def card(mean: WeightedMean, *, name: str, how: str, watched: Watched | None, measured: float | None = None) -> str:
    """Return the text of the card.

    ``how`` says in a sentence how the sources were chosen and weighed. ``watched`` is the metric that is shown for
    each source; ``measured`` its value for the average, None where it was not evaluated.
    """
    metric = watched.metric.text if watched and any(_value(source, watched) for source in mean.sources) else ""
    if measured is not None and watched:
        value = f"{watched.metric.text} of the average: {measured:.6g}."
    else:
        value = "The average itself was not evaluated" + ("; the values are those of its sources." if metric else ".")
    lines = [
        *_front_matter(mean.sources),
        f"# {_in_a_cell(name)}",
        "",
        "## Averaged weights",
        "",
        f"{visible(how)} {value}",
        "",
        f"| source | step | {metric} | weight |",
        "|-|-|-|-|",
        *(f"| {' | '.join(map(_in_a_cell, row))} |" for row in _rows(mean, watched)),
        "",
        "Made by `hf-strategies average`: weights in float32, written in the type of the sources; all other files are"
        " those of the newest source.",
    ]
    return "\n".join(lines) + "\n"


def source_lines(mean: WeightedMean, watched: Watched | None) -> list[str]:
    """Return a line for each source, for the terminal.

    >>> sources = [Source(Path(f"run/checkpoint-{step}"), f"checkpoint-{step}", step) for step in (4, 8)]
    >>> source_lines(WeightedMean.of(sources), None)
    ['  checkpoint-4  weight 0.5', '  checkpoint-8  weight 0.5']
    """
    rows = _rows(mean, watched)
    width = max(len(row[0]) for row in rows)
    values = [f"  {watched.metric.text} {row[2]}" if watched and row[2] else "" for row in rows]
    return [f"  {row[0]:<{width}}{value}  weight {row[3]}" for row, value in zip(rows, values, strict=True)]


def _rows(mean: WeightedMean, watched: Watched | None) -> list[tuple[str, str, str, str]]:
    return [
        (
            visible(source.name),
            "" if source.step is None else str(source.step),
            _value(source, watched),
            f"{share:.4g}",
        )
        for source, share in zip(mean.sources, mean.shares, strict=True)
    ]


def _value(source: Source, watched: Watched | None) -> str:
    value = watched.value(source.evaluation) if watched else None
    return "" if value is None else f"{value:.6g}"


def _in_a_cell(text: str) -> str:
    return visible(text).replace("|", "\\|").replace("<", "&lt;")


def _front_matter(sources: Sequence[Source]) -> list[str]:
    """Return what holds of the metadata of the sources' card, or of that of their run."""
    newest = sources[-1].folder
    found: Mapping[str, Any] = {}
    for folder in (newest.parent, newest) if sources[-1].step is not None else (newest,):
        found = {**found, **_metadata(folder / CARD)}
    kept = {key: found[key] for key in _KEPT if key in found}
    if os.path.isabs(str(kept.get("base_model", ""))):
        del kept["base_model"]  # a folder of this machine
    return ["---", yaml.safe_dump(kept, allow_unicode=True).rstrip(), "---", ""] if kept else []


def _metadata(file: Path) -> dict[str, Any]:
    """Return the YAML at the beginning of a card; an empty dict where there is none that can be read."""
    try:
        text = file.read_text(encoding="utf-8")
        parts = text.split("---\n", 2)
        content = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return {key: value for key, value in content.items() if isinstance(key, str)} if isinstance(content, dict) else {}
