"""Which trials are ended early: by a stop criterion of this package, or by a pruner of Optuna.

A criterion such as ``patience(3)`` judges a trial by its own evaluations, and ends it only where another trial has
completed with a better value; so it does not cut off the best one. A pruner of Optuna compares the trials with each
other at the same step. That is the sharper knife, and unfair where the space has schedules: one that falls late looks
worse in the middle than one that falls early, and may be better at the end.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hf_strategies.errors import StrategyError
from hf_strategies.stopping import StoppingRule
from hf_strategies.syntax import syntax_tree, written_call

__all__ = ["PRUNERS", "Pruning", "read_pruning"]

PRUNERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "median": ("MedianPruner", ("n_startup_trials", "n_warmup_steps", "interval_steps")),
    "percentile": ("PercentilePruner", ("percentile", "n_startup_trials", "n_warmup_steps", "interval_steps")),
    "successive_halving": ("SuccessiveHalvingPruner", ("min_resource", "reduction_factor")),
    "hyperband": ("HyperbandPruner", ("min_resource", "max_resource", "reduction_factor")),
}
"""The pruners of Optuna by the names of `--prune`: the class, and the arguments that are taken, in their order."""


@dataclass(frozen=True)
class Pruning:
    """How trials are pruned: by a ``criterion``, as in ``early_stopping_when``, or by a ``pruner`` of Optuna."""

    criterion: str | None = None
    pruner: str | None = None
    arguments: tuple[tuple[str, Any], ...] = ()

    def make_pruner(self) -> Any:
        """Return the pruner of Optuna; one that never prunes where there is none, or where a criterion does it."""
        import optuna

        if self.pruner is None:
            return optuna.pruners.NopPruner()
        make: Callable[..., Any] = getattr(optuna.pruners, PRUNERS[self.pruner][0])
        try:
            return make(**dict(self.arguments))
        except (TypeError, ValueError) as mistake:
            raise StrategyError(f"--prune {self.pruner}: {mistake}") from mistake


def read_pruning(text: str, objective: str, mode: str) -> Pruning:
    """Read the value of ``--prune``; ``objective`` and ``mode`` are what a criterion judges.

    Raises `StrategyError` for what is neither a pruner nor a condition.

    >>> read_pruning("median(n_startup_trials=3)", "accuracy", "max").arguments
    (('n_startup_trials', 3),)
    >>> read_pruning("patience(3)", "accuracy", "max").criterion
    'patience(3)'
    """
    if text == "none":
        return Pruning()
    tree = syntax_tree(text)
    call = None if tree is None else written_call("--prune", tree)
    if call is not None and call.name in PRUNERS:
        names = PRUNERS[call.name][1]
        arguments = call.bound(names, f"{call.name}({', '.join(names)})")
        return Pruning(pruner=call.name, arguments=tuple(arguments.items()))
    try:
        StoppingRule.read(objective, text, mode)
    except StrategyError as mistake:
        pruners = ", ".join(PRUNERS)
        raise StrategyError(f"--prune {text}: neither a pruner ({pruners}) nor a criterion: {mistake}") from mistake
    return Pruning(criterion=text)
