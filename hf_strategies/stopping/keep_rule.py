"""Which weights are kept at the end of training: those that were measured best, or others that measured a bit worse.

The best of several evaluations was lucky as a rule. `keep` compares it with each other candidate after taking off the
luck that is expected of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from statistics import NormalDist, median

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.stopping.history import Evaluation

__all__ = ["KEEP", "Candidate", "Decision", "SelectionNoise", "expected_maximum", "keep", "plateau_of", "read_keep"]

KEEP = ("noise_aware", "best", "end")
"""The values of ``restore_best_weights``: by the rule of `keep`, always the best weights, or always the last ones."""

# The median of the absolute difference of two standard normal numbers.
_MEDIAN_DIFFERENCE = math.sqrt(2.0) * NormalDist().inv_cdf(0.75)


@dataclass(frozen=True)
class Candidate:
    """Weights that may be kept: ``kind`` says which, such as ``"best"``, ``"end"`` or ``"average"``."""

    kind: str
    evaluation: Evaluation

    @property
    def text(self) -> str:
        """The candidate in a message.

        >>> Candidate("best", Evaluation(42, 3.0, 0.742)).text
        'the best, 0.742 at step 42'
        """
        return f"the {self.kind}, {self.evaluation.value:.6g} at step {self.evaluation.step}"


@dataclass(frozen=True)
class SelectionNoise:
    """How much too good the best of several evaluations is expected to be, because it was the luckiest of them.

    Let v_1, ..., v_k be the evaluations of a plateau on the same rows: v_i = m + e + e_i, with m the true value. The
    error e of the choice of rows is common to all evaluations, also to that at the end of training, and cancels in
    every comparison. The rest e_i has the standard deviation sigma. The best of the v_i exceeds m + e on average by

        excess = c_k * sigma

    where c_k is the expected maximum of k standard normal numbers (`expected_maximum`). ``count`` is k. ``sigma`` is
    the standard error of the metric where it is known (it contains the common error e, so that it is an upper bound),
    and otherwise the scatter of the plateau. That is taken from the differences of successive evaluations, in which e
    cancels and a trend hardly counts: median(|v_{i+1} - v_i|) / 0.954, which is sigma for normal numbers. It contains
    real differences between the weights, so that it is an upper bound, too. ``is_standard_error`` says which of both
    it is. With k = 1 nothing was selected, and the excess is 0.

    Source: the expected maximum is that of order statistics (Harter 1961, Biometrika 48); that the best of several
    estimates disappoints is the optimizer's curse (Smith & Winkler 2006, Management Science 52).

    >>> noise = SelectionNoise(count=4, sigma=0.04, is_standard_error=True)
    >>> round(noise.excess, 4)
    0.0412
    """

    count: int
    sigma: float
    is_standard_error: bool = False

    @classmethod
    def of(cls, plateau: Sequence[Evaluation], sigma: float | None = None) -> "SelectionNoise":
        """Return the noise of a plateau; ``sigma`` is the standard error of the metric, None where it is not known.

        Evaluations that are not finite are left out. With fewer than two, the scatter is 0.
        """
        values = [each.value for each in plateau if math.isfinite(each.value)]
        if sigma is not None:
            return cls(len(values), sigma, True)
        steps = [abs(after - before) for before, after in pairwise(values)]
        return cls(len(values), median(steps) / _MEDIAN_DIFFERENCE if steps else 0.0)

    @property
    def excess(self) -> float:
        """How much too good the best is expected to be, in the metric's unit."""
        return expected_maximum(self.count) * self.sigma

    @property
    def text(self) -> str:
        """Where the number comes from, for messages."""
        source = "standard error" if self.is_standard_error else "scatter"
        return f"best of {self.count}, {source} {self.sigma:.3g}"


@dataclass(frozen=True)
class Decision:
    """The candidate whose weights are kept, all candidates, and the reason as a sentence without its full stop."""

    kept: Candidate
    candidates: tuple[Candidate, ...]
    why: str


def keep(best: Candidate, others: Sequence[Candidate], noise: SelectionNoise, sign: float) -> Decision:
    """Return which of the candidates is kept: ``best``, which was measured best of several, or one of ``others``.

    The best of ``others``, each of which was measured once, is kept if it is worse than ``best`` by no more than
    ``noise.excess``. ``sign`` is 1.0 where lower values are better, and -1.0 where higher values are. A candidate
    that is not finite is never kept, unless ``best`` is not finite either.

    >>> best, end = Candidate("best", Evaluation(20, 2.0, 0.742)), Candidate("end", Evaluation(60, 6.0, 0.688))
    >>> keep(best, [end], SelectionNoise(4, 0.0387, True), sign=-1.0).why
    'kept the best, 0.742 at step 20: the end, 0.688 at step 60, is 0.054 worse, more than the 0.0398 of selection noise (best of 4, standard error 0.0387)'
    """  # noqa: E501
    finite = [each for each in others if math.isfinite(each.evaluation.value)]
    candidates = (best, *others)
    if not finite:
        return Decision(best, candidates, f"kept {best.text}")
    other = min(finite, key=lambda each: sign * each.evaluation.value)
    worse = sign * (other.evaluation.value - best.evaluation.value)
    if not worse > 0.0:
        return Decision(other, candidates, f"kept {other.text}: no worse than {best.text}")
    if not noise.excess:
        return Decision(best, candidates, f"kept {best.text}: {other.text}, is {worse:.3g} worse")
    luck = f"the {noise.excess:.3g} of selection noise ({noise.text})"
    if worse <= noise.excess:
        return Decision(other, candidates, f"kept {other.text}: {best.text}, is {worse:.3g} better, within {luck}")
    return Decision(best, candidates, f"kept {best.text}: {other.text}, is {worse:.3g} worse, more than {luck}")


def plateau_of(evaluations: Sequence[Evaluation], best: int, sign: float) -> list[Evaluation]:
    """Return the evaluations from which the one with the index ``best`` was selected.

    These are the best one, those after it, and those before it that are no worse than the worst one after it. The
    climb before the plateau had no chance to be selected and is left out. ``sign`` is as in `keep`.

    >>> values = [0.3, 0.5, 0.7, 0.742, 0.71, 0.69]
    >>> rows = [Evaluation(step, float(step), value) for step, value in enumerate(values)]
    >>> [row.value for row in plateau_of(rows, 3, sign=-1.0)]
    [0.7, 0.742, 0.71, 0.69]
    """
    after = [row for row in evaluations[best + 1 :] if math.isfinite(row.value)]
    if not after:
        return [evaluations[best]]
    worst = max(sign * row.value for row in after)
    before = [row for row in evaluations[:best] if math.isfinite(row.value) and sign * row.value <= worst]
    return [*before, evaluations[best], *after]


@lru_cache(maxsize=1024)
def expected_maximum(count: int) -> float:
    """Return the expected maximum of ``count`` standard normal numbers, to 1e-6; 0 for one of them.

    It is the integral of x * k * phi(x) * Phi(x) ** (k - 1), with the density phi and the distribution Phi.

    >>> [round(expected_maximum(k), 4) for k in (1, 2, 3, 10)]
    [0.0, 0.5642, 0.8463, 1.5388]
    """
    if count <= 1:
        return 0.0
    normal, width = NormalDist(), 0.01
    points = (index * width - 9.0 for index in range(1801))
    return width * math.fsum(x * count * normal.pdf(x) * normal.cdf(x) ** (count - 1) for x in points)


def read_keep(value: object) -> str:
    """Return ``restore_best_weights`` as one of `KEEP`: True is ``"noise_aware"`` and False is ``"end"``.

    >>> read_keep(True), read_keep(False), read_keep("best")
    ('noise_aware', 'end', 'best')
    """
    if isinstance(value, bool):
        return KEEP[0] if value else "end"
    if value not in KEEP:
        raise StrategyError(
            f"restore_best_weights={value!r} is neither True, False nor one of {', '.join(map(repr, KEEP))}:"
            f" {did_you_mean(str(value), KEEP)}"
        )
    return str(value)
