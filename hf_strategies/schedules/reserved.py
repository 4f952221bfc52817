"""Names that are taken by others: by transformers, and by the arguments that go with a curve's parameters."""

__all__ = ["RESERVED_PARAMETERS", "TRANSFORMERS_NAMES"]

TRANSFORMERS_NAMES = (
    "constant",
    "constant_with_warmup",
    "cosine",
    "cosine_warmup_with_min_lr",
    "cosine_with_min_lr",
    "cosine_with_restarts",
    "greedy",
    "inverse_sqrt",
    "linear",
    "polynomial",
    "reduce_lr_on_plateau",
    "reduce_on_plateau",
    "warmup_stable_decay",
)
"""Values, and members' names in lower case, of transformers' own `SchedulerType`, which need not be loaded for it."""

RESERVED_PARAMETERS = (
    "last_epoch",
    "min_lr",
    "name",
    "num_training_steps",
    "num_warmup_steps",
    "on_extend",
    "optimizer",
    "steps_per_epoch",
    "total_steps",
    "warmup_steps",
)
"""Arguments of `schedule`, of `ScheduleLR` and of transformers, which take such a value first."""
