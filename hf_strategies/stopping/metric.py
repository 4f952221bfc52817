"""What is watched: a metric of evaluate(), or an expression of several."""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.stopping.syntax import shown, syntax_tree
from hf_strategies.values import number

__all__ = ["Direction", "Metric", "direction", "known_direction", "log_key", "read_mode"]


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


# A name may hold what stands in names of metrics and of evaluation sets; operators in expressions have spaces.
_NAME = re.compile(r"[^\W\d][\w.:@/-]*")
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
_OPPOSITE: dict[Direction, Direction] = {"min": "max", "max": "min"}


@dataclass(frozen=True)
class Metric:
    """A metric by its name, or a value computed from several that one evaluation has.

    ``text`` is how it is called in messages, ``names`` are the keys in the Trainer's log that it needs. In an
    expression stand names, numbers, ``+ - * /`` with spaces around them, and ``mean``, ``min``, ``max`` of names:
    with several evaluation sets, ``"mean(books_loss, web_loss)"`` watches their mean. A name that is no Python
    identifier goes into quotes there.

    >>> metric = Metric.read("mean(books_loss, web_loss)")
    >>> metric.names
    ('eval_books_loss', 'eval_web_loss')
    >>> metric.value({"eval_books_loss": 1.0, "eval_web_loss": 2.0})
    1.5
    """

    text: str
    names: tuple[str, ...]
    tree: ast.expr | None = field(default=None, compare=False)  # follows from the text

    @classmethod
    def read(cls, monitor: object) -> "Metric":
        """Read a name or an expression; raises `StrategyError` for what is neither."""
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
        """Compute it from the metrics of one evaluation; what has no value (0 / 0) is NaN."""
        if self.tree is None:
            return float(metrics[self.names[0]])
        try:
            return float(_compute(self.tree, metrics))
        except (ZeroDivisionError, OverflowError):
            return math.nan

    def direction(self, mode: str | None = None) -> Direction:
        """Tell which way it gets better: ``mode`` if given, else from the known metrics it is made of.

        An expression has a direction when all that it is made of pulls the same way: a sum or a mean of two
        losses, an accuracy minus a loss. Anything else raises `StrategyError`.

        >>> Metric.read("f1 - 0.1 * loss").direction()
        'max'
        """
        if mode is not None:
            return read_mode(mode)
        if self.tree is None:
            return known_direction(self.text)
        found = _direction(self.tree)
        if found is None:
            raise StrategyError(
                f"monitor={self.text!r}: no telling whether lower or higher is better: give mode='min' or mode='max'"
            )
        return found


def direction(monitor: str, mode: str | None = None) -> Direction:
    """Tell whether a metric, or an expression of metrics, gets better as it falls or as it rises.

    ``mode`` decides if given. Raises `StrategyError` where it is not known: it is never guessed.

    >>> direction("eval_loss"), direction("macro_f1"), direction("my_score", "max")
    ('min', 'max', 'max')
    """
    return Metric.read(monitor).direction(mode)


def _parse(text: str) -> ast.expr:
    tree = syntax_tree(text)
    if tree is None:
        raise StrategyError(
            f"monitor={text!r} is no expression of metrics: write one such as 'mean(books_loss, web_loss)' or"
            " 'f1 - 0.1 * loss'"
        )
    return tree


def _names(node: ast.expr, text: str) -> list[str]:
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
    """The direction of a whole expression, None where its parts disagree; a bare number has none either."""
    match node:
        case ast.Name(id=name) | ast.Constant(value=str(name)):
            return known_direction(name)
        case ast.UnaryOp(operand=inner):
            return _opposite(_direction(inner))
        case ast.BinOp(left=left, right=right, op=ast.Add()):
            return _common([left, right])
        case ast.BinOp(left=left, right=right, op=ast.Sub()):
            return _common([left, ast.UnaryOp(ast.USub(), right)])
        case ast.BinOp(left=ast.Constant(value=factor), right=part, op=ast.Mult()) if isinstance(factor, int | float):
            return _direction(part) if factor > 0 else None
        case ast.BinOp(left=part, right=ast.Constant(value=factor)) if isinstance(factor, int | float):
            return _direction(part) if factor > 0 else None
        case ast.Call(args=parts):
            return _common(parts)
    return None


def _common(parts: Sequence[ast.expr]) -> Direction | None:
    found = {_direction(part) for part in parts if not _is_number(part)}
    return found.pop() if len(found) == 1 else None


def _is_number(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inner, ast.Constant) and not isinstance(inner.value, str)


def _opposite(found: Direction | None) -> Direction | None:
    return None if found is None else _OPPOSITE[found]
