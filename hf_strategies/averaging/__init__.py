"""Averages of the weights over the updates of a training, as coefficients: pure, without torch and transformers."""

from hf_strategies.averaging.average import Average, AveragePlan
from hf_strategies.averaging.averages import AVERAGES, AverageRow, shape_weights
from hf_strategies.averaging.parameters import Length, Number, Word
from hf_strategies.averaging.register import register_average

__all__ = [
    "AVERAGES",
    "Average",
    "AveragePlan",
    "AverageRow",
    "Length",
    "Number",
    "Word",
    "register_average",
    "shape_weights",
]
