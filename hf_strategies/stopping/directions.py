"""Which way a metric gets better."""

from typing import Literal

from hf_strategies.errors import StrategyError, did_you_mean

__all__ = ["Direction", "known_direction", "log_key", "read_mode"]

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


def log_key(monitor: str) -> str:
    """Return the metric's name in the Trainer's log, which begins with ``eval_``.

    >>> log_key("accuracy"), log_key("eval_loss")
    ('eval_accuracy', 'eval_loss')
    """
    if not isinstance(monitor, str) or not monitor:
        raise StrategyError(f"monitor={monitor!r} is no metric's name: give one of evaluate()'s, such as 'loss'")
    return monitor if monitor.startswith("eval_") else f"eval_{monitor}"


def read_mode(mode: object) -> Direction:
    """Check a direction that the user gives."""
    if mode in ("min", "max"):
        return mode
    raise StrategyError(f"mode={mode!r} is no direction: give 'min' (lower is better) or 'max'")


def known_direction(monitor: str) -> Direction:
    """Tell whether a metric gets better as it falls (``"min"``) or as it rises (``"max"``).

    The whole name, without a leading ``eval_``, must be that of a known metric: nothing is inferred from a part
    of it. Raises `StrategyError` for an unknown name.

    >>> known_direction("eval_loss"), known_direction("macro_f1")
    ('min', 'max')
    """
    name = monitor.removeprefix("eval_").lower()
    if name not in _DIRECTIONS:
        near = did_you_mean(name, _DIRECTIONS)
        hint = f" ({near})" if near.startswith("did") else ""
        given = monitor.removeprefix("eval_")
        raise StrategyError(
            f"monitor={given!r}: no telling whether lower or higher is better{hint}: give mode='min' or mode='max'"
        )
    return _DIRECTIONS[name]
