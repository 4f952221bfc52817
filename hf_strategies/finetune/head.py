"""The head of a fine-tuned model: which label each of its outputs stands for, and when it has to be a new one."""

import copy
import re
from collections.abc import Collection, Sequence
from typing import Any, cast

import torch
from transformers import PreTrainedConfig, PreTrainedModel

__all__ = ["has_task", "match_labels", "names_outputs", "output_weights", "renew"]

_PLACEHOLDER = re.compile(r"LABEL_(\d+)")
_TASKS = ("SequenceClassification", "TokenClassification", "MultipleChoice", "QuestionAnswering")


def match_labels(trained: Sequence[str], labels: Sequence[str], *, fixed: bool = False) -> tuple[str, ...] | None:
    """Return a label for each output of a model that was trained for all ``labels``; None if it was not.

    ``trained`` are the labels of the model. Labels are matched by name, without regard to case, and are spelt as
    in ``labels``. A model whose outputs have no names but LABEL_0, LABEL_1, ... matches the labels 0, 1, ...: all of
    them, or some if it is ``fixed``, which means that it is not trained further.

    >>> match_labels(["NO", "YES"], ["yes", "no"])
    ('no', 'yes')
    >>> match_labels(["LABEL_0", "LABEL_1"], ["0", "1"])
    ('0', '1')
    >>> match_labels(["NO", "YES"], ["no", "yes", "maybe"]) is None
    True
    """
    if set(labels) <= set(trained) and (fixed or len(set(trained)) == len(trained)):
        return tuple(trained)
    spelling = {_key(label): label for label in labels}
    outputs = [_key(label) for label in trained]
    is_ambiguous = len(spelling) < len(set(labels)) or len(set(outputs)) < len(outputs)
    if is_ambiguous or not spelling.keys() <= set(outputs):
        return None
    if not fixed and len(spelling) < len(outputs) and any(map(_PLACEHOLDER.fullmatch, trained)):
        return None
    return tuple(spelling.get(key, label) for key, label in zip(outputs, trained, strict=True))


def names_outputs(trained: Sequence[str], labels: Sequence[str]) -> bool:
    """Return whether ``labels`` are those that the model was trained for, in the same order.

    >>> names_outputs(["NO", "YES"], ["no", "yes"]), names_outputs(["NO", "YES"], ["yes", "no"])
    (True, False)
    """
    return [_key(label) for label in trained] == [_key(label) for label in labels]


def has_task(model: PreTrainedModel, config: PreTrainedConfig) -> bool:
    """Return whether the model that ``config`` was saved with had a head for the same task, as far as it says so."""
    saved = {_task(name) for name in getattr(config, "architectures", None) or ()} - {None}
    own = _task(type(model).__name__)
    return own is None or not saved or own in saved


def output_weights(model: PreTrainedModel) -> set[str]:
    """Return the names of the weights whose size depends on the number of labels; without any, all of the head."""
    config: Any = copy.deepcopy(model.config)
    config.num_labels += 1
    with torch.device("meta"):
        larger = dict(type(model)(config).named_parameters())
    own = dict(model.named_parameters())
    changed = {name for name, weight in own.items() if larger[name].shape != weight.shape}
    body = {id(weight) for weight in model.base_model.parameters()}
    return changed or {name for name, weight in own.items() if id(weight) not in body}


def renew(model: PreTrainedModel, names: Collection[str]) -> None:
    """Give these weights of a model new random values, in the way of the model's own class."""
    weights = dict(model.named_parameters())
    for name in names:
        cast(Any, weights[name])._is_hf_initialized = False  # transformers leaves all others as they are
    # A module comes after those in it, because a model's class may give its head values of its own.
    for path, module in reversed(list(model.named_modules())):
        if any(f".{name}".startswith(f".{path}.") or not path for name in names):
            with torch.no_grad():
                model._init_weights(module)


def _key(label: str) -> str:
    placeholder = _PLACEHOLDER.fullmatch(label)
    return placeholder[1] if placeholder else label.strip().casefold()


def _task(name: str) -> str | None:
    return next((task for task in _TASKS if f"For{task}" in name), None)
