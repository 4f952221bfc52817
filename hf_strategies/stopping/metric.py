"""The metric that is watched, by its name or as an expression of several, and its direction (lower or higher)."""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.syntax import shown, syntax_tree
from hf_strategies.values import number

__all__ = ["Direction", "Metric", "direction", "known_direction", "log_key", "read_mode"]

Direction = Literal["min", "max"]
"""``"min"`` where lower is better, ``"max"`` where higher is better."""

_LOWER_IS_BETTER = (
    "loss nll perplexity ppl bits_per_byte bits_per_character bpb bpc wer cer ter error error_rate"
    " mse rmse mae mape smape msle mean_squared_error mean_absolute_error root_mean_squared_error"
    " brier_score calibration_error ece hamming_loss log_loss cross_entropy hinge_loss kl_divergence fid eer"
    " max_error median_absolute_error mean_absolute_percentage_error mean_squared_log_error zero_one_loss"
    " mean_squared_logarithmic_error binary_crossentropy categorical_crossentropy sparse_categorical_crossentropy"
)
_HIGHER_IS_BETTER = (
    "accuracy acc balanced_accuracy f1 precision recall specificity sensitivity roc_auc auc auroc auprc"
    " average_precision map mrr ndcg matthews_correlation mcc cohen_kappa kappa jaccard iou mean_iou"
    " pearson pearsonr spearman spearmanr r2 explained_variance bleu sacrebleu chrf meteor rouge rouge1"
    " rouge2 rougel rougelsum bertscore exact_match em pass_at_1 hit_rate matthews_corrcoef top_k_accuracy"
    " binary_accuracy categorical_accuracy sparse_categorical_accuracy top_k_categorical_accuracy roc_auc_ovr"
    " roc_auc_ovo adjusted_rand_score v_measure_score cosine_similarity"
)
# The set of an evaluation, as Keras and others write it in front of a name.
_SETS = ("val_", "valid_", "validation_", "dev_", "test_")
_AVERAGED_OVER_CLASSES = "f1 precision recall roc_auc jaccard average_precision"
_AVERAGES = "macro micro weighted samples overall"


def _known_directions() -> dict[str, Direction]:
    known: dict[str, Direction] = dict.fromkeys(_LOWER_IS_BETTER.split(), "min")
    known |= dict.fromkeys(_HIGHER_IS_BETTER.split(), "max")
    for metric in _AVERAGED_OVER_CLASSES.split():
        for average in _AVERAGES.split():
            known[f"{average}_{metric}"] = known[f"{metric}_{average}"] = known[metric]
    return known


_DIRECTIONS = _known_directions()
_OPPOSITE: dict[Direction, Direction] = {"min": "max", "max": "min"}

# Names of metrics and of evaluation sets may hold these characters, which is why operators need spaces around them.
_NAME = re.compile(r"[^\W\d][\w.:@/-]*")
_NAME_WITH_SPACES = re.compile(r"[^\W\d][\w.:@/-]*( \w[\w.:@/-]*)+")
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": lambda values: sum(values) / len(values),
    "min": lambda values: math.nan if any(map(math.isnan, values)) else min(values),
    "max": lambda values: math.nan if any(map(math.isnan, values)) else max(values),
}


@dataclass(frozen=True)
class Metric:
    """A metric by its name, or a value that is computed from several metrics of one evaluation.

    ``text`` is the name or the expression, for messages; ``names`` are the keys in the Trainer's log that it needs.
    An expression consists of names, numbers, ``+ - * /`` with spaces around them, and ``mean``, ``min``, ``max`` of
    expressions: with several evaluation sets, ``"mean(books_loss, web_loss)"`` watches the mean of their losses. In
    an expression, a name that is no Python identifier needs quotes.

    >>> metric = Metric.read("mean(books_loss, web_loss)")
    >>> metric.names
    ('eval_books_loss', 'eval_web_loss')
    >>> metric.value({"eval_books_loss": 1.0, "eval_web_loss": 2.0})
    1.5
    """

    text: str
    names: tuple[str, ...]
    tree: ast.expr | None = field(default=None, compare=False)  # follows from the text; None for a single name

    @classmethod
    def read(cls, monitor: object) -> "Metric":
        """Read a name or an expression; raise `StrategyError` for anything else."""
        if not isinstance(monitor, str) or not monitor.strip():
            raise StrategyError(f"monitor={monitor!r} is no metric's name: give one of evaluate()'s, such as 'loss'")
        text = monitor.strip()
        if _NAME.fullmatch(text):
            return cls(log_key(text), (log_key(text),))
        tree = _parse(text)
        names = tuple(dict.fromkeys(log_key(name) for name in _names(tree, text)))
        if not names:
            raise StrategyError(f"monitor={text!r} names no metric: give one of evaluate()'s, such as 'loss'")
        return cls(text, names, tree)

    def value(self, metrics: Mapping[str, float]) -> float:
        """Return the value at one evaluation, whose metrics are given; NaN where it is undefined, such as 0 / 0."""
        if self.tree is None:
            return float(metrics[self.names[0]])
        try:
            return float(_compute(self.tree, metrics))
        except (ZeroDivisionError, OverflowError):
            return math.nan

    def direction(self, mode: str | None = None) -> Direction:
        """Return the direction: ``mode`` if it is given, else what is known of the metrics in the expression.

        An expression has a direction if all its parts have the same: a sum or a mean of two losses, or an accuracy
        minus a loss. Raises `StrategyError` for any other expression, and for a metric of unknown direction.

        >>> Metric.read("f1 - 0.1 * loss").direction()
        'max'
        """
        if mode is not None:
            return read_mode(mode)
        if self.tree is None:
            return known_direction(self.text)
        common = _direction(self.tree)
        if common is None:
            raise StrategyError(
                f"monitor={self.text!r}: no telling whether lower or higher is better: give mode='min' or mode='max'"
            )
        return common


def direction(monitor: str, mode: str | None = None) -> Direction:
    """Return whether lower (``"min"``) or higher (``"max"``) values of a metric, or of an expression, are better.

    ``mode`` decides if it is given. Raises `StrategyError` if the direction is not known: it is never guessed.

    >>> direction("eval_loss"), direction("macro_f1"), direction("my_score", "max")
    ('min', 'max', 'max')
    """
    return Metric.read(monitor).direction(mode)


def known_direction(monitor: str) -> Direction:
    """Return the direction of a metric by its name.

    The whole name must be that of a known metric: nothing is inferred from a part of it. Only what no metric's name
    begins or ends with is left out: a leading ``eval_``, a set such as ``val_``, as Keras writes it, and a final
    ``_score``, as in scikit-learn's ``f1_score``. Its ``neg_``, as in ``neg_log_loss``, turns the direction around.
    Raises `StrategyError` for an unknown name.

    >>> known_direction("eval_loss"), known_direction("macro_f1"), known_direction("val_loss")
    ('min', 'max', 'min')
    """
    given = monitor.removeprefix("eval_")
    name = given.lower()
    known = _DIRECTIONS.get(name) or _variant(name)
    if known is None:
        near = did_you_mean(name, _DIRECTIONS)
        hint = f" ({near})" if near.startswith("did") else ""
        raise StrategyError(
            f"monitor={given!r}: no telling whether lower or higher is better{hint}: give mode='min' or mode='max'"
        )
    return known


def _variant(name: str) -> Direction | None:
    """Return the direction of a metric whose name another library writes in a longer way; None if it is not known."""
    base = next((name.removeprefix(each) for each in _SETS if name.startswith(each)), name)
    turned = base.startswith("neg_")
    base = base.removeprefix("neg_")
    known = _DIRECTIONS.get(base) or _DIRECTIONS.get(base.removesuffix("_score"))
    return _opposite(known) if turned else known


def read_mode(mode: object) -> Direction:
    """Check a direction that a user gives."""
    if mode in ("min", "max"):
        return mode
    raise StrategyError(f"mode={mode!r} is no direction: give 'min' (lower is better) or 'max'")


def log_key(monitor: str) -> str:
    """Return the metric's name in the Trainer's log, which begins with ``eval_``.

    >>> log_key("accuracy"), log_key("eval_loss")
    ('eval_accuracy', 'eval_loss')
    """
    if not isinstance(monitor, str) or not monitor:
        raise StrategyError(f"monitor={monitor!r} is no metric's name: give one of evaluate()'s, such as 'loss'")
    return monitor if monitor.startswith("eval_") else f"eval_{monitor}"


def _parse(text: str) -> ast.expr:
    tree = syntax_tree(text)
    if tree is None:
        remedy = "write one such as 'mean(books_loss, web_loss)' or 'f1 - 0.1 * loss', names with spaces in quotes"
        if _NAME_WITH_SPACES.fullmatch(text):
            remedy = f"if it is one metric's name, put it in quotes of its own: monitor={repr(text)!r}"
        raise StrategyError(f"monitor={text!r} is no expression of metrics: {remedy}")
    return tree


def _names(node: ast.expr, text: str) -> list[str]:
    """Return the names in an expression; raise `StrategyError` for a part that has no place in one."""
    match node:
        case ast.Name(id=name) | ast.Constant(value=str(name)):
            return [name]
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            number("monitor: a number in the expression", value)
            return []
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return _names(inner, text)
        case ast.BinOp(left=left, right=right, op=op) if type(op) in _OPERATORS:
            return _names(left, text) + _names(right, text)
        case ast.Call(func=ast.Name(id=function), args=[_, *_] as parts, keywords=[]) if function in _FUNCTIONS:
            return [name for part in parts for name in _names(part, text)]
    raise StrategyError(
        f"monitor={text!r}: {shown(node)!r} has no place in an expression of metrics: take names (in quotes if they"
        " hold other signs than letters, digits and _), numbers, + - * / with spaces around them, and mean(...),"
        " min(...), max(...)"
    )


def _compute(node: ast.expr, metrics: Mapping[str, float]) -> float:
    match node:
        case ast.Name(id=name) | ast.Constant(value=str(name)):
            return metrics[log_key(name)]
        case ast.UnaryOp(operand=inner):
            return -_compute(inner, metrics)
        case ast.BinOp(left=left, right=right, op=op):
            return _OPERATORS[type(op)](_compute(left, metrics), _compute(right, metrics))
        case ast.Call(func=ast.Name(id=function), args=parts):
            return _FUNCTIONS[function]([_compute(part, metrics) for part in parts])
    return float(ast.literal_eval(node))


def _direction(node: ast.expr) -> Direction | None:
    """Return the direction of an expression; None for a bare number, or if its parts have different directions."""
    match node:
        case ast.Name(id=name) | ast.Constant(value=str(name)):
            return known_direction(name)
        case ast.UnaryOp(operand=inner):
            return _opposite(_direction(inner))
        case ast.BinOp(left=left, right=right, op=ast.Add()):
            return _common_direction([left, right])
        case ast.BinOp(left=left, right=right, op=ast.Sub()):
            return _common_direction([left, ast.UnaryOp(ast.USub(), right)])
        case ast.BinOp(left=ast.Constant(value=factor), right=part, op=ast.Mult()) if isinstance(factor, int | float):
            return _direction(part) if factor > 0 else None
        case ast.BinOp(left=part, right=ast.Constant(value=factor)) if isinstance(factor, int | float):
            return _direction(part) if factor > 0 else None
        case ast.Call(args=parts):
            return _common_direction(parts)
    return None


def _common_direction(parts: Sequence[ast.expr]) -> Direction | None:
    directions = {_direction(part) for part in parts if not _is_number(part)}
    return directions.pop() if len(directions) == 1 else None


def _is_number(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inner, ast.Constant) and not isinstance(inner.value, str)


def _opposite(known: Direction | None) -> Direction | None:
    return None if known is None else _OPPOSITE[known]
