"""The command ``criteria``."""

from argparse import Namespace

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.report.criteria_text import criteria_overview, criterion_sheet
from hf_strategies.stopping import CRITERIA

__all__ = ["criteria_command"]


def criteria_command(options: Namespace) -> str:
    """Tell the stop criteria that there are, or all about one."""
    if options.name is None:
        return criteria_overview()
    if options.name not in CRITERIA:
        raise StrategyError(f"unknown criterion {options.name!r}: {did_you_mean(options.name, CRITERIA)}")
    return criterion_sheet(CRITERIA[options.name])
