"""Metric histories: which way a metric gets better, and its evaluations out of a Trainer's log."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from hf_strategies.errors import StrategyError, did_you_mean

__all__ = ["Direction", "Evaluation", "direction", "evaluations", "log_key"]

Direction = Literal["min", "max"]

_LOWER_IS_BETTER = (
    "loss nll perplexity ppl bits_per_byte bits_per_character bpb bpc wer cer ter error error_rate"
    " mse rmse mae mape smape msle mean_squared_error mean_absolute_error root_mean_squared_error"
    " brier_score calibration_error ece hamming_loss log_loss cross_entropy hinge_loss kl_divergence fid eer"
)
_HIGHER_IS_BETTER = (
    "accuracy acc balanced_accuracy f1 precision recall specificity sensitivity roc_auc auc auroc auprc"
    " average_precision map mrr ndcg matthews_correlation mcc cohen_kappa kappa jaccard iou mean_iou"
    " pearson pearsonr spearman spearmanr r2 explained_variance bleu sacrebleu chrf meteor rouge rouge1"
    " rouge2 rougel rougelsum bertscore exact_match em pass_at_1 hit_rate"
)
_AVERAGED = "f1 precision recall roc_auc jaccard average_precision"


def _known_directions() -> dict[str, Direction]:
    known: dict[str, Direction] = dict.fromkeys(_LOWER_IS_BETTER.split(), "min")
    known |= dict.fromkeys(_HIGHER_IS_BETTER.split(), "max")
    for metric in _AVERAGED.split():
        for average in ("macro", "micro", "weighted", "samples", "overall"):
            known[f"{average}_{metric}"] = known[f"{metric}_{average}"] = known[metric]
    return known


_DIRECTIONS = _known_directions()


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of the monitored metric: the optimizer step and epoch it was made at, and its value."""

    step: int
    epoch: float
    value: float


def log_key(monitor: str) -> str:
    """Return the metric's name in the Trainer's log, which begins with ``eval_``.

    >>> log_key("accuracy"), log_key("eval_loss")
    ('eval_accuracy', 'eval_loss')
    """
    if not isinstance(monitor, str) or not monitor:
        raise StrategyError(f"monitor={monitor!r} is no metric's name: give one of evaluate()'s, such as 'loss'")
    return monitor if monitor.startswith("eval_") else f"eval_{monitor}"


def direction(monitor: str, mode: str | None = None) -> Direction:
    """Tell whether a metric gets better as it falls (``"min"``) or as it rises (``"max"``).

    ``mode`` decides if given. Otherwise the whole name, without a leading ``eval_``, must be that of a known
    metric: nothing is inferred from a part of it. Raises `StrategyError` for an unknown name and an unknown mode.

    >>> direction("eval_loss"), direction("macro_f1"), direction("my_score", "max")
    ('min', 'max', 'max')
    """
    if mode in ("min", "max"):
        return cast(Direction, mode)
    if mode is not None:
        raise StrategyError(f"mode={mode!r} is no direction: give 'min' (lower is better) or 'max'")
    name = monitor.removeprefix("eval_").lower()
    if name not in _DIRECTIONS:
        near = did_you_mean(name, _DIRECTIONS)
        hint = f" ({near})" if near.startswith("did") else ""
        raise StrategyError(
            f"monitor={monitor!r}: no telling whether lower or higher is better{hint}: give mode='min' or mode='max'"
        )
    return _DIRECTIONS[name]


def evaluations(log_history: Iterable[Mapping[str, Any]], monitor: str) -> list[Evaluation]:
    """Read the evaluations of a metric out of ``log_history`` as `trainer_state.json` keeps it.

    Two evaluations at one step count once (the Trainer makes two when the end of an epoch falls on an
    evaluation step): the first stands.

    >>> evaluations([{"loss": 2.0, "step": 5}, {"eval_loss": 1.5, "epoch": 1.0, "step": 10}], "loss")
    [Evaluation(step=10, epoch=1.0, value=1.5)]
    """
    key = log_key(monitor)
    found: dict[int, Evaluation] = {}
    for entry in log_history:
        if key in entry:
            step = int(entry.get("step", 0))
            found.setdefault(step, Evaluation(step, float(entry.get("epoch") or 0.0), float(entry[key])))
    return list(found.values())
