"""The model card of a recipe: what the Trainer's own card leaves open, filled in from the run."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard

from hf_strategies.errors import visible
from hf_strategies.finetune.usage import usage
from hf_strategies.values import is_number

__all__ = ["CardFacts", "complete_card", "scores_of"]

_OPEN = "More information needed"
_LABELS_SHOWN = 50
_BASE = re.compile(r"This model (?:was trained from scratch|is a fine-tuned version of \[.*?\]\(.*?\)) on ")
_SPLITS = {"eval": "validation", "test": "test"}
_NOT_SCORES = ("_threshold", "_runtime", "_per_second", "_preparation_time", "_samples")


@dataclass(frozen=True)
class CardFacts:
    """What is known of a training run and its model.

    ``task`` is the tag of the task on the Hub, ``data`` the name of the data and ``examples`` the number of examples
    of each split. ``base`` is the model that was fine-tuned: a name on the Hub, a folder, or empty for a model that
    begins from nothing. ``model`` is where the trained model is found, and ``config`` its configuration. ``scores``
    has the metrics of the splits ``eval`` and ``test``, and ``pairs`` tells whether the inputs are pairs of texts.
    """

    task: str
    data: str
    base: str
    model: str
    config: Any
    examples: Mapping[str, int] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    pairs: bool = False


def scores_of(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the metrics of each split among those of ``all_results.json``, without times, counts and NaN.

    >>> scores_of({"eval_f1": 0.5, "eval_runtime": 2.0, "train_loss": 0.1, "epoch": 3.0})
    {'eval': {'f1': 0.5}}
    """
    scores: dict[str, dict[str, float]] = {}
    for name, value in results.items():
        split, _, metric = name.partition("_")
        if split in _SPLITS and not name.endswith(_NOT_SCORES) and is_number(value) and math.isfinite(value):
            scores.setdefault(split, {})[metric] = float(value)
    return scores


def complete_card(file: Path, facts: CardFacts) -> None:
    """Fill in the model card in ``file``, which the Trainer has written."""
    card = ModelCard.load(file)
    card.data.pipeline_tag = facts.task
    card.data.base_model = facts.base if facts.base and not _is_folder(facts.base) else None
    card.data.model_name = card.data.model_name or Path(facts.model).name
    card.data.eval_results = _eval_results(facts) or None
    text = _BASE.sub(lambda _: f"This model {_origin(facts.base)} on ", card.text, count=1)
    for heading, section in _sections(facts).items():
        old = f"## {heading}\n\n{_OPEN}\n"
        text = text.replace(old, section and f"{section}\n")
    card.text = text
    card.save(file)


def _sections(facts: CardFacts) -> dict[str, str]:
    """Return what takes the place of the open sections; an empty text leaves a section out."""
    rows = ", ".join(f"{count} for {split}" for split, count in facts.examples.items())
    return {
        "Model description": f"## Labels\n\n{_labels(facts)}\n" if _labels(facts) else "",
        "Intended uses & limitations": f"## How to use\n\n```python\n{_usage(facts)}```\n",
        "Training and evaluation data": f"## Data\n\n{visible(facts.data)}: {rows} examples.\n" if rows else "",
    }


def _usage(facts: CardFacts) -> str:
    kind = getattr(facts.config, "problem_type", None)
    return usage(facts.task, facts.model, problem_type=kind, pairs=facts.pairs)


def _labels(facts: CardFacts) -> str:
    """Return the labels of a classifier as a line, and the threshold that was tuned; empty for other models."""
    if facts.task not in ("text-classification", "token-classification"):
        return _threshold(getattr(facts.config, "null_threshold", None), "no answer")
    if getattr(facts.config, "problem_type", None) == "regression":
        return "A number."
    names = [f"`{visible(str(name))}`" for name in facts.config.id2label.values()]
    more = f" and {len(names) - _LABELS_SHOWN} more" if len(names) > _LABELS_SHOWN else ""
    threshold = _threshold(getattr(facts.config, "threshold", None), "a label")
    return f"{', '.join(names[:_LABELS_SHOWN])}{more}.{' ' + threshold if threshold else ''}"


def _threshold(value: float | None, what: str) -> str:
    if value is None:
        return ""
    return f"The threshold for {what}, tuned on the validation set, is {value:.4g}."


def _origin(base: str) -> str:
    if not base:
        return "was trained from scratch"
    if _is_folder(base):
        return f"is a fine-tuned version of the model in a folder `{visible(Path(base).name)}`"
    return f"is a fine-tuned version of [{base}](https://huggingface.co/{base})"


def _is_folder(base: str) -> bool:
    return Path(base).is_dir() or Path(base).is_absolute() or base.startswith((".", "~")) or base.count("/") > 1


def _eval_results(facts: CardFacts) -> list[EvalResult]:
    """Return the metrics as the entries of ``model-index``."""
    slug = re.sub(r"[^\w.-]+", "-", visible(facts.data)).strip("-") or "data"
    return [
        EvalResult(
            task_type=facts.task,
            dataset_type=slug,
            dataset_name=visible(facts.data),
            dataset_split=_SPLITS[split],
            metric_type=name,
            metric_name=name,
            metric_value=value,
        )
        for split, metrics in facts.scores.items()
        for name, value in metrics.items()
    ]
