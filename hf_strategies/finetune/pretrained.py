"""Pretrained models: where their files come from, and whether the weights fit the config.json beside them."""

import logging
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from transformers import PreTrainedModel

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.arguments import ModelArguments

__all__ = ["cannot_load", "check_weights", "few", "modules_of", "new_weights", "source", "without_report"]

_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def source(args: ModelArguments) -> dict[str, Any]:
    """Return the options of ``from_pretrained`` that each part of a model is loaded with."""
    return {"revision": args.model_revision, "trust_remote_code": args.trust_remote_code}


def cannot_load(flag: str, name: str | None, mistake: Exception, needed: str) -> StrategyError:
    """Return the error, in one line, for a model whose ``needed`` files cannot be loaded because of ``mistake``."""
    reason = (str(mistake).strip() or type(mistake).__name__).splitlines()[0]
    hub = "" if flag == "resume_from_checkpoint" else "the name of a model on the Hub, or "
    return StrategyError(f"{flag}={name!r} cannot be loaded: {reason} Give {hub}a folder with {needed}")


@contextmanager
def without_report() -> Iterator[None]:
    """Hide the table of new and unused weights that transformers prints, which has many lines.

    Its warning of a damaged file is hidden too, because transformers also prints it for a whole file without a head
    in which two weights are tied. `check_weights` and `new_weights` report both cases.
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
    transformers counts it as part of the body, and many files lack it. Weights of other heads are ignored. ``name``
    is the name of the model, for the message.
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
    """Return a phrase with the layers of the files that the model does not have; "" if it has all of them."""
    prefix = f"{model.base_model_prefix}."
    modules = {name.removeprefix(prefix) for name, _ in model.named_modules()}
    forms = {_NUMBER.sub("*", name.removeprefix(prefix)) for name in model.state_dict() if _is_body(model, name)}
    extra = [
        name
        for name, bare in ((name, name.removeprefix(prefix)) for name in loading["unexpected_keys"])
        if _NUMBER.sub("*", bare) in forms and bare.rpartition(".")[0] not in modules
    ]
    return f"it has no {few(modules_of(extra, model.base_model_prefix))}" if extra else ""
