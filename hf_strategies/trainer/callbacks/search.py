"""Hyperparameter search: a trial is ranked by the weights that it keeps, and pruned on every process.

transformers ranks a trial by its last evaluation, also where the best weights were restored, and prunes by an error
that it raises in the first process only, while the others wait for it in their next collective.
"""

import sys
from types import FrameType
from typing import Any

from transformers import Trainer, TrainerControl, TrainerState
from transformers.trainer_utils import HPSearchBackend

from hf_strategies.trainer.distributed import from_rank_zero

__all__ = ["Pruning", "settle_objective"]


def settle_objective(trainer: Trainer | None, state: TrainerState, kept_step: int | None) -> None:
    """Set the objective of a trial to that of the evaluation of step ``kept_step``, whose weights it has kept.

    Where those were not evaluated, as at the end of a training whose last evaluation is of an earlier step, there is
    no objective, and transformers evaluates the model for it.
    """
    if trainer is None or getattr(trainer, "hp_search_backend", None) is None or kept_step is None:
        return
    metrics = _evaluation_at(state, kept_step)
    vars(trainer)["objective"] = trainer.compute_objective(metrics) if metrics else None  # the Trainer declares none


class Pruning:
    """Prunes a trial of a search by Optuna on several processes: each of them ends its training, then the trial.

    The first process asks the trial in place of transformers, whose own question is answered by no.
    """

    def __init__(self) -> None:
        self._is_pruned = False

    def evaluated(self, trainer: Trainer | None, state: TrainerState, control: TrainerControl) -> None:
        """Report this evaluation to the trial, and stop training on every process if the trial is to be pruned."""
        if trainer is None or trainer.args.world_size == 1 or not _searches_by_optuna(trainer):
            return
        trial = _trial_of(trainer)
        self._is_pruned = self._is_pruned or from_rank_zero(_is_to_be_pruned(trainer, trial, state))
        control.should_training_stop = control.should_training_stop or self._is_pruned

    def finish(self, trainer: Trainer | None) -> None:
        """Raise Optuna's error for a pruned trial in the first process; for the end of training."""
        if self._is_pruned and trainer is not None and trainer.is_world_process_zero():
            from optuna import TrialPruned

            raise TrialPruned


def _searches_by_optuna(trainer: Trainer) -> bool:
    return getattr(trainer, "hp_search_backend", None) == HPSearchBackend.OPTUNA


def _is_to_be_pruned(trainer: Trainer, trial: Any, state: TrainerState) -> bool:
    # The other processes have a copy of the parameters, which belongs to no study.
    if not hasattr(trial, "study") or trial.study._is_multi_objective():
        return False
    kind = type(trial)
    trial.report = lambda *_: None
    trial.should_prune = lambda: False
    objective = trainer.compute_objective(_evaluation_at(state, state.global_step))
    kind.report(trial, objective, state.global_step)
    return bool(kind.should_prune(trial))


def _evaluation_at(state: TrainerState, step: int) -> dict[str, float]:
    """Return the metrics of the evaluations at a step, which has several where there are several sets."""
    entries = [entry for entry in state.log_history if entry.get("step") == step]
    evaluations = [entry for entry in entries if any(name.startswith("eval_") for name in entry)]
    return {name: value for entry in evaluations for name, value in entry.items() if name != "step"}


def _trial_of(trainer: Trainer) -> Any:
    """Return the trial that ``trainer`` trains for, which it passes from method to method; None if there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_locals.get("self") is trainer and frame.f_locals.get("trial") is not None:
            return frame.f_locals["trial"]
        frame = frame.f_back
    return None
