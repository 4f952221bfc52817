"""Decisions on when training is done, as pure functions of the metric history; needs no torch."""

from hf_strategies.stopping.criteria.table import CRITERIA, Criterion
from hf_strategies.stopping.history import Evaluation, Series, evaluations
from hf_strategies.stopping.improvement import Improvement, standard_error
from hf_strategies.stopping.metric import Metric, direction
from hf_strategies.stopping.reduce_on_plateau import plateaus
from hf_strategies.stopping.register import register_criterion
from hf_strategies.stopping.rule import Judgement, StoppingRule, reason, record
from hf_strategies.stopping.verdict import Verdict, verdict

__all__ = [
    "CRITERIA",
    "Criterion",
    "Evaluation",
    "Improvement",
    "Judgement",
    "Metric",
    "Series",
    "StoppingRule",
    "Verdict",
    "direction",
    "evaluations",
    "plateaus",
    "reason",
    "record",
    "register_criterion",
    "standard_error",
    "verdict",
]
