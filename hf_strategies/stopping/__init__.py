"""Decisions on when training is done, as pure functions of the metric history; needs no torch."""

from hf_strategies.stopping.criteria import Verdict, patience
from hf_strategies.stopping.history import Evaluation, direction, evaluations
from hf_strategies.stopping.plateau import plateaus
from hf_strategies.stopping.rule import Judgement, PatienceRule

__all__ = ["Evaluation", "Judgement", "PatienceRule", "Verdict", "direction", "evaluations", "patience", "plateaus"]
