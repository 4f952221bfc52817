"""Presets: named bundles of schedule, warmup, stopping, averaging and layer decay, each with its source."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hf_strategies.errors import StrategyError, did_you_mean

__all__ = ["PRESETS", "Preset", "preset"]


@dataclass(frozen=True)
class Preset:
    """One preset: what it is for, where its settings come from, and the settings.

    ``training`` are arguments of `TrainingArguments`, and ``strategy`` of `StrategyArguments`.
    """

    name: str
    summary: str
    source: str
    training: Mapping[str, Any]
    strategy: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by the names of their flags.

        >>> preset("large_set").settings["warmup_steps"]
        0.01
        """
        return {**self.training, **self.strategy}


def preset(name: str) -> Preset:
    """Return the preset of a name; `PRESETS` has all of them.

    Its settings go into the two dataclasses, where others may stand beside them or take their place::

        chosen = preset("no_epochs")
        args = TrainingArguments("out", **{**chosen.training, "num_train_epochs": 50})
        strategy = StrategyArguments(**chosen.strategy)
        trainer = Trainer(model, args, ..., **strategy.trainer_kwargs(args))

    Raises `StrategyError` for an unknown name, with near matches.

    >>> dict(preset("no_epochs").strategy)
    {'plateau_cooldown_monitor': 'loss'}
    """
    if name not in PRESETS:
        raise StrategyError(f"unknown preset {name!r}: {did_you_mean(str(name), PRESETS)}")
    return PRESETS[name]


_STUDY = "the study of landings, benchmarks/results/landing.md"

_ROWS = (
    Preset(
        "no_epochs",
        "no number of epochs to guess: hold the rate, cool it down when the loss stalls, and stop",
        f"{_STUDY}; the 20 epochs are the most it may take",
        {
            "lr_scheduler_type": "linear_warmup_plateau_cooldown",
            "warmup_steps": 0.05,
            "num_train_epochs": 20,
            "eval_strategy": "epoch",
        },
        {"plateau_cooldown_monitor": "loss"},
    ),
    Preset(
        "averaged",
        "hold the rate, judge and keep an average over about one epoch, and stop when that stalls",
        f"{_STUDY}: the row that was worse than linear decay in no setting",
        {
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": 0.02,
            "num_train_epochs": 20,
            "eval_strategy": "epoch",
        },
        {"average_weights": 'ema(over="1ep")', "early_stopping_patience": 4},
    ),
    Preset(
        "noisy_labels",
        "many labels are wrong: stop before they are learned, and keep an average of the held rate",
        f"Liu et al. 2020, arXiv:2007.00151, on memorization of wrong labels; the average: {_STUDY}. The patience is"
        " ours",
        {
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": 0.02,
            "num_train_epochs": 20,
            "eval_strategy": "epoch",
        },
        {"average_weights": 'ema(over="1ep")', "early_stopping_patience": 2},
    ),
    Preset(
        "few_examples",
        "some hundred to few thousand examples: many epochs, a warmup of 10 %, down to zero",
        "Mosbach et al. 2021, arXiv:2006.04884, section 6; Zhang et al. 2021, arXiv:2006.05987, on more updates",
        {"lr_scheduler_type": "linear", "warmup_steps": 0.1, "num_train_epochs": 20},
    ),
    Preset(
        "large_set",
        "a long training: a short warmup, a held rate, and a cooldown at the end, from which one may branch",
        "Hu et al. 2024, arXiv:2404.06395, section 4; Hägele et al. 2024, arXiv:2405.18392",
        {"lr_scheduler_type": "linear_warmup_stable_decay", "warmup_steps": 0.01, "num_train_epochs": 1},
    ),
    Preset(
        "ulmfit_2018",
        "each layer slower than the one above, one more layer unfrozen each epoch, a slanted triangle",
        "Howard & Ruder 2018, arXiv:1801.06146, section 3; there for an LSTM",
        {"lr_scheduler_type": "slanted_triangular", "num_train_epochs": 15},
        {"layer_decay": 0.3846, "unfreeze_every": "1ep"},
    ),
    Preset(
        "bert_2019",
        "BERT's own fine-tuning; the peak is to be chosen of 5e-5, 4e-5, 3e-5 and 2e-5",
        "Devlin et al. 2019, arXiv:1810.04805, section 4.1; warmup and decay as in its code",
        {
            "lr_scheduler_type": "linear",
            "warmup_steps": 0.1,
            "num_train_epochs": 3,
            "learning_rate": 5e-5,
            "per_device_train_batch_size": 32,
            "weight_decay": 0.01,
            "adam_epsilon": 1e-6,
        },
    ),
    Preset(
        "roberta_2019",
        "RoBERTa's fine-tuning: 10 epochs, stopped early",
        "Liu et al. 2019, arXiv:1907.11692, section 5.1 and table 10. The patience is ours",
        {
            "lr_scheduler_type": "linear",
            "warmup_steps": 0.06,
            "num_train_epochs": 10,
            "learning_rate": 2e-5,
            "per_device_train_batch_size": 16,
            "weight_decay": 0.1,
            "adam_beta2": 0.98,
            "adam_epsilon": 1e-6,
            "eval_strategy": "epoch",
        },
        {"early_stopping_patience": 3},
    ),
    Preset(
        "electra_2020",
        "ELECTRA's fine-tuning: a high peak at the top, 0.8 times as much for each layer below",
        "Clark et al. 2020, arXiv:2003.10555, table 7 (base)",
        {
            "lr_scheduler_type": "linear",
            "warmup_steps": 0.1,
            "num_train_epochs": 3,
            "learning_rate": 1e-4,
            "per_device_train_batch_size": 32,
            "weight_decay": 0.0,
            "adam_epsilon": 1e-6,
        },
        {"layer_decay": 0.8},
    ),
    Preset(
        "mosbach_2021",
        "stable fine-tuning on small sets: small steps, a warmup, and 20 epochs instead of 3",
        "Mosbach, Andriushchenko & Klakow 2021, arXiv:2006.04884",
        {
            "lr_scheduler_type": "linear",
            "warmup_steps": 0.1,
            "num_train_epochs": 20,
            "learning_rate": 2e-5,
            "per_device_train_batch_size": 16,
            "weight_decay": 0.01,
            "adam_epsilon": 1e-6,
        },
    ),
)

PRESETS: Mapping[str, Preset] = MappingProxyType({row.name: row for row in _ROWS})
"""The presets by their names."""
