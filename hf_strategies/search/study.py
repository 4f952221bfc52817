"""The study of a search in a storage of Optuna, which any number of workers share."""

import json
import random
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_strategies.errors import StrategyError, first_line, short
from hf_strategies.search.pruning import Pruning
from hf_strategies.search.slots import Attempt, Standing, State

__all__ = [
    "ATTEMPT",
    "ERROR",
    "PRUNED",
    "SETTINGS",
    "SURPLUS",
    "Plan",
    "attempts_of",
    "engine_of",
    "open_study",
    "require_optuna",
    "retry",
    "sampler_of",
]

ERROR, SURPLUS, PRUNED, SETTINGS, ATTEMPT = "error", "surplus", "pruned", "settings", "attempt"
"""The attributes of a trial: its own error, that it was never run, where it was pruned, its flags, its own number.

Those that a retry inherits from the attempt before hold for it only with its own number.
"""

_DESCRIPTION = "hf_strategies"
_TRIES = 8  # to open a storage, a second or less apart


@dataclass(frozen=True)
class Plan:
    """What all workers of a search agree on, and how this worker samples.

    ``heartbeat`` is the time in seconds between two signs of life of a worker; after twice that time without one it
    is taken for dead. ``seed`` is that of the sampler.
    """

    storage: str
    name: str
    trials: int
    sampler: str = "tpe"
    seed: int | None = None
    heartbeat: int = 60


def require_optuna() -> Any:
    """Return the module; raises `StrategyError` where it is not installed."""
    try:
        import optuna
    except ImportError as mistake:
        raise StrategyError("search needs optuna: pip install 'hf-strategies[search]'") from mistake
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # the heartbeat, since Optuna 2.9
    return optuna


def open_study(plan: Plan, mode: str, pruning: Pruning, description: Mapping[str, Any]) -> Any:
    """Return the study, which is made where there is none.

    Raises `StrategyError` for a storage that cannot be opened, and where the study is of another task or space than
    that of ``description``, with what differs.
    """
    require_optuna()
    from sqlalchemy.exc import DBAPIError

    for tries_left in reversed(range(_TRIES)):
        try:
            study = _create(plan, mode, pruning)
            break
        except DBAPIError as mistake:  # another worker may be making the tables
            if not tries_left:
                raise _unopened(plan, mistake) from mistake
            time.sleep(random.uniform(0.2, 1.0))
        except Exception as mistake:  # of SQLAlchemy for a bad URL, and of the driver of any data base
            raise _unopened(plan, mistake) from mistake
    _settle(study, description)
    return study


def _create(plan: Plan, mode: str, pruning: Pruning) -> Any:
    optuna = require_optuna()
    return optuna.create_study(
        storage=_storage(optuna, plan),
        study_name=plan.name,
        direction={"min": "minimize", "max": "maximize"}[mode],
        load_if_exists=True,
        pruner=pruning.make_pruner(),
        sampler=sampler_of(plan),
    )


def _unopened(plan: Plan, mistake: Exception) -> StrategyError:
    kind = short(plan.storage.partition(":")[0])  # not all of it, because it may hold a password
    reason = first_line(getattr(mistake, "orig", None) or mistake).replace(plan.storage, "...")
    return StrategyError(f"--storage {kind}:... cannot be opened: {reason}: give such as sqlite:///search.db")


def engine_of(storage: str) -> dict[str, Any]:
    """Return the options of SQLAlchemy: SQLite waits for the lock of another worker for up to a minute."""
    return {"connect_args": {"timeout": 60}} if storage.startswith("sqlite") else {"pool_pre_ping": True}


def _storage(optuna: Any, plan: Plan) -> Any:
    return optuna.storages.RDBStorage(
        plan.storage,
        engine_kwargs=engine_of(plan.storage),
        heartbeat_interval=plan.heartbeat,
        grace_period=2 * plan.heartbeat,
    )


def sampler_of(plan: Plan, trial: int = 0) -> Any:
    """Return the sampler of a trial: its random numbers depend on the seed and on the trial, not on the worker."""
    samplers, seed = require_optuna().samplers, None if plan.seed is None else plan.seed + trial
    if plan.sampler == "random":
        return samplers.RandomSampler(seed=seed)
    # Trials that others are running count as bad ones, so that the workers do not try the same place at once.
    return samplers.TPESampler(seed=seed, constant_liar=True)


def _settle(study: Any, description: Mapping[str, Any]) -> None:
    """Note what is searched in a new study; refuse to go on with a study of something else."""
    if _DESCRIPTION not in study.user_attrs:
        study.set_user_attr(_DESCRIPTION, json.dumps(description, sort_keys=True))
    before = json.loads(study.user_attrs[_DESCRIPTION])
    difference = _difference(before, json.loads(json.dumps(description)))
    if difference is not None:
        raise StrategyError(
            f"the study {study.study_name!r} is of another search: {difference}: give the same files and flags, or"
            " another --study"
        )


def _difference(before: Any, now: Any, place: str = "") -> str | None:
    """Return the first difference of two descriptions in words; None where they are the same."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = sorted(before.keys() | now.keys())
        found = (_difference(before.get(name), now.get(name), f"{place}.{name}".strip(".")) for name in names)
        return next((each for each in found if each is not None), None)
    same = before == now and type(before) is type(now)
    return None if same else f"{place} was {short(json.dumps(before))} and is {short(json.dumps(now))}"


def attempts_of(study: Any) -> list[Attempt]:
    """Return all attempts of a study."""
    found = study.get_trials(deepcopy=False)
    return [
        Attempt(each.number, _state(each), int(each.system_attrs.get("failed_trial", each.number))) for each in found
    ]


def _state(trial: Any) -> State:
    name: str = trial.state.name
    if name == "FAIL":
        return "surplus" if SURPLUS in trial.user_attrs else "failed" if ERROR in trial.user_attrs else "lost"
    states: dict[str, State] = {
        "COMPLETE": "completed", "PRUNED": "pruned", "RUNNING": "running", "WAITING": "waiting",
    }  # fmt: skip
    return states[name]


def retry(study: Any, standing: Standing) -> None:
    """Put each trial whose worker died or was interrupted into the queue again, with the same parameters."""
    storages = require_optuna().storages
    kind = getattr(storages, "RetryHeartbeatStaleTrialCallback", None) or storages.RetryFailedTrialCallback
    for number in standing.to_retry:
        lost = next(each for each in study.get_trials(deepcopy=True) if each.number == number)
        kind()(study, lost)
