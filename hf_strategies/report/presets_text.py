"""The text of ``hf-strategies presets``: the table of the presets, and a sheet about one preset."""

import json
import shlex

from hf_strategies.presets import PRESETS, Preset
from hf_strategies.report.lines import fill, shell_command

__all__ = ["preset_flags", "preset_sheet", "presets_overview"]

_USE = """
In a recipe: --strategy NAME; flags and --config win over it. In Python: hf_strategies.preset(NAME).
`hf-strategies presets NAME` tells the flags that a preset stands for, and its source.
"""


def presets_overview() -> str:
    """Return the table of the presets, and how to use them.

    >>> print(presets_overview().splitlines()[1].split()[0])
    no_epochs
    """
    width = max(map(len, PRESETS)) + 2
    lines = [f"  {name:<{width}}{row.summary}" for name, row in PRESETS.items()]
    return "\n".join([f"Presets ({len(PRESETS)})", *lines, _USE.rstrip()])


def preset_sheet(row: Preset, width: int | None = None) -> str:
    """Return what a preset is for, the flags that it stands for, and its source, within ``width`` columns."""
    command = shell_command(shlex.join(preset_flags(row)), width or 80, "  ")
    summary, source = (fill(text, width or 80) for text in (f"  {row.summary}", f"Source: {row.source}."))
    return "\n".join([row.name, summary, "", "Flags", command, "", source])


def preset_flags(row: Preset) -> list[str]:
    """Return the settings of a preset as words of a command line.

    >>> preset_flags(PRESETS["few_examples"])
    ['--lr_scheduler_type', 'linear', '--warmup_steps', '0.1', '--num_train_epochs', '20']
    """
    words: list[str] = []
    for name, value in row.settings.items():
        words += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    return words
