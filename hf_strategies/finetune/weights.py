"""Whether pretrained weights fit the model of their config.json; only a head, and a pooler, may be new."""

import logging
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from transformers import PreTrainedModel

from hf_strategies.errors import StrategyError

__all__ = ["check_weights", "few", "modules_of", "new_weights", "without_report"]

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


@contextmanager
def without_report() -> Iterator[None]:
    """Keep transformers from printing its table of weights that are new or not used, which takes many lines.

    It also takes files without a head of which two weights are the same for damaged. `check_weights` and
    `new_weights` report both cases.
    """
    logger = logging.getLogger("transformers.modeling_utils")

    def is_other(record: logging.LogRecord) -> bool:
        return not any(words in record.getMessage() for words in ("LOAD REPORT", "checkpoint seem corrupted"))

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def new_weights(loading: dict[str, Any]) -> set[str]:
    """Return the names of the weights that are random because the files lack them, or have them in another size.

    ``loading`` is the ``output_loading_info`` of ``from_pretrained``.
    """
    return {*loading["missing_keys"], *(name for name, *_ in loading["mismatched_keys"])}


def check_weights(model: PreTrainedModel, loading: dict[str, Any], name: str) -> None:
    """Raise `StrategyError` if weights of the body are missing, of another size, or of layers that it does not have.

    The body is everything but the head. A pooler may be missing: it is part of the head of a classifier, though
    transformers counts it to the body, and many files lack it. Weights of other heads are not used, and so is what
    the body can do without. ``name`` is that of the model in the message.
    """
    fault = _wrong_size(model, loading) or _missing(model, loading) or _too_many_layers(model, loading)
    if fault:
        raise StrategyError(
            f"model_name_or_path={name!r} has weights that do not fit its config.json: {fault}: give the config.json"
            " that was saved with them"
        )


def modules_of(names: Iterable[str], body: str = "") -> list[str]:
    """Return the modules that weights belong to, in few names: layers by number, the head's by their first name.

    ``body`` is the name of the body, whose modules have two names.

    >>> modules_of(["classifier.out_proj.bias", "bert.pooler.dense.bias", "bert.encoder.layer.3.a.bias"], "bert")
    ['bert.encoder.layer.3', 'bert.pooler', 'classifier']
    """
    return sorted({_module_of(name, body) for name in names}, key=_by_numbers)


def _module_of(name: str, body: str) -> str:
    if number := _NUMBER.search(name):
        return name[: number.end()]
    parts = name.split(".")
    return ".".join(parts[: min(2 if parts[0] == body else 1, max(1, len(parts) - 1))])


def _by_numbers(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def few(names: Collection[str], most: int = 3) -> str:
    """Return the first names, and how many there are beside them.

    >>> few(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    shown = ", ".join(list(names)[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _is_body(model: PreTrainedModel, name: str) -> bool:
    return model.base_model is model or name.startswith(f"{model.base_model_prefix}.")


def _wrong_size(model: PreTrainedModel, loading: dict[str, Any]) -> str:
    wrong = sorted(each for each in loading["mismatched_keys"] if _is_body(model, each[0]))
    if not wrong:
        return ""
    name, *sizes = wrong[0]
    saved, wanted = (" x ".join(map(str, size)) for size in sizes)
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    return f"{name} has the size {saved}, and {wanted} by config.json{more}"


def _missing(model: PreTrainedModel, loading: dict[str, Any]) -> str:
    missing = [name for name in loading["missing_keys"] if _is_body(model, name) and "pooler" not in name.split(".")]
    if not missing or model.base_model is model:
        return ""
    return f"they lack {few(modules_of(missing, model.base_model_prefix))}"


def _too_many_layers(model: PreTrainedModel, loading: dict[str, Any]) -> str:
    """Name the layers of the files that the model does not have; other weights that are not used are no layers."""
    prefix = f"{model.base_model_prefix}."
    modules = {name.removeprefix(prefix) for name, _ in model.named_modules()}
    forms = {_NUMBER.sub("*", name.removeprefix(prefix)) for name in model.state_dict() if _is_body(model, name)}
    extra = [
        name
        for name, bare in ((name, name.removeprefix(prefix)) for name in loading["unexpected_keys"])
        if _NUMBER.sub("*", bare) in forms and bare.rpartition(".")[0] not in modules
    ]
    return f"it has no {few(modules_of(extra, model.base_model_prefix))}" if extra else ""
