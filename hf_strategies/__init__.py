"""Learning-rate schedules by name, validation-driven stopping and recipes for the Hugging Face Trainer.

Importing this package loads neither torch nor transformers. The import of a name that works with the Trainer,
such as ``from hf_strategies import EarlyStopping``, also makes every schedule's name valid in
``TrainingArguments(lr_scheduler_type=...)``; ``import hf_strategies.auto`` does only this.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hf_strategies.averaging import register_average
from hf_strategies.errors import StrategyError
from hf_strategies.presets import PRESETS, Preset, preset
from hf_strategies.schedules import (
    SCHEDULES,
    Schedule,
    register_decay,
    register_schedule,
    register_warmup,
    schedule,
)
from hf_strategies.stopping import Verdict, register_criterion, standard_error, verdict
from hf_strategies.stopping.results import AveragingResult, CooldownResult, ReductionResult, StoppingResult

if TYPE_CHECKING:
    from hf_strategies.pytorch.best_weights import BestWeights
    from hf_strategies.pytorch.lr_scheduler import ScheduleLR
    from hf_strategies.trainer.arguments import StrategyArguments
    from hf_strategies.trainer.callbacks.early_stopping import EarlyStopping
    from hf_strategies.trainer.callbacks.gradual_unfreezing import GradualUnfreezing
    from hf_strategies.trainer.callbacks.plateau_cooldown.callback import PlateauCooldown
    from hf_strategies.trainer.callbacks.reduce_on_plateau import ReduceOnPlateau
    from hf_strategies.trainer.callbacks.run_report import RunReport
    from hf_strategies.trainer.callbacks.weight_averaging.callback import WeightAveraging
    from hf_strategies.trainer.lr.finder import FoundLR, LRFinder, find_lr
    from hf_strategies.trainer.lr.layer_decay import LayerDecayArguments, layer_decay_optimizer
    from hf_strategies.trainer.lr.parameter_groups import parameter_groups

__all__ = [
    "PRESETS",
    "SCHEDULES",
    "AveragingResult",
    "BestWeights",
    "CooldownResult",
    "EarlyStopping",
    "FoundLR",
    "GradualUnfreezing",
    "LRFinder",
    "LayerDecayArguments",
    "PlateauCooldown",
    "Preset",
    "ReduceOnPlateau",
    "ReductionResult",
    "RunReport",
    "Schedule",
    "ScheduleLR",
    "StoppingResult",
    "StrategyArguments",
    "StrategyError",
    "Verdict",
    "WeightAveraging",
    "find_lr",
    "layer_decay_optimizer",
    "parameter_groups",
    "preset",
    "register_average",
    "register_criterion",
    "register_decay",
    "register_schedule",
    "register_warmup",
    "schedule",
    "standard_error",
    "verdict",
]

__version__ = "0.1.0"

# Modules that are imported at the first use of a name: all need torch, and all but the first two need transformers.
_LAZY = {
    "BestWeights": "hf_strategies.pytorch.best_weights",
    "ScheduleLR": "hf_strategies.pytorch.lr_scheduler",
    "EarlyStopping": "hf_strategies.trainer.callbacks.early_stopping",
    "FoundLR": "hf_strategies.trainer.lr.finder",
    "LRFinder": "hf_strategies.trainer.lr.finder",
    "find_lr": "hf_strategies.trainer.lr.finder",
    "GradualUnfreezing": "hf_strategies.trainer.callbacks.gradual_unfreezing",
    "LayerDecayArguments": "hf_strategies.trainer.lr.layer_decay",
    "PlateauCooldown": "hf_strategies.trainer.callbacks.plateau_cooldown.callback",
    "ReduceOnPlateau": "hf_strategies.trainer.callbacks.reduce_on_plateau",
    "RunReport": "hf_strategies.trainer.callbacks.run_report",
    "WeightAveraging": "hf_strategies.trainer.callbacks.weight_averaging.callback",
    "StrategyArguments": "hf_strategies.trainer.arguments",
    "layer_decay_optimizer": "hf_strategies.trainer.lr.layer_decay",
    "parameter_groups": "hf_strategies.trainer.lr.parameter_groups",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
