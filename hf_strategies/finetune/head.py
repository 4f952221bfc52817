"""The head of a fine-tuned model: the label of each of its outputs, and whether the head has to be new."""

import copy
import re
from collections.abc import Collection, Sequence
from typing import Any, cast

import torch
from transformers import PreTrainedConfig, PreTrainedModel

__all__ = ["by_number", "has_task", "match_labels", "names_outputs", "output_weights", "renew"]

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


def by_number(label: str) -> tuple[bool, int, str]:
    """Return the key by which labels are sorted: whole numbers first, by their value, and then the other texts.

    >>> sorted(["10", "9", "b", "-1", "a"], key=by_number)
    ['-1', '9', '10', 'a', 'b']
    """
    digits = label.removeprefix("-")
    # str.isdigit() is true of signs such as ①, which int() refuses; so does int() a text of 5,000 digits.
    is_number = digits.isdecimal() and len(digits) < 1000
    return (not is_number, int(label) if is_number else 0, label)


def has_task(model: PreTrainedModel, config: PreTrainedConfig) -> bool:
    """Return whether the model that ``config`` was saved with had a head for the same task, or names no task."""
    saved = {_task(name) for name in getattr(config, "architectures", None) or ()} - {None}
    own = _task(type(model).__name__)
    return own is None or not saved or own in saved


def output_weights(model: PreTrainedModel) -> set[str]:
    """Return the names of the weights with a size that depends on the number of labels, or of the whole head."""
    config: Any = copy.deepcopy(model.config)
    config.num_labels += 1
    with torch.device("meta"):
        larger = dict(type(model)(config).named_parameters())
    own = dict(model.named_parameters())
    changed = {name for name, weight in own.items() if larger[name].shape != weight.shape}
    body = {id(weight) for weight in model.base_model.parameters()}
    return changed or {name for name, weight in own.items() if id(weight) not in body}


def renew(model: PreTrainedModel, names: Collection[str]) -> None:
    """Give the weights with these ``names`` new random values, as the model's own class initialises them."""
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
