"""What the recipes' flags take that are texts: names of a list, JSON, paths; checked before anything is loaded."""

import json
import multiprocessing
import os
import re
from collections.abc import Callable, Collection, Mapping
from importlib.util import find_spec
from typing import Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils._validators import validate_repo_id

from hf_strategies.errors import StrategyError, did_you_mean, short

__all__ = ["check_texts", "known_texts"]

# Control characters but tab and line end, and the halves of a character that is no UTF-8: no file could hold them.
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_PATHS = ("_file", "_name_or_path", "resume_from_checkpoint")
_LONGEST_NAME = 255  # bytes of a file's name, on the common file systems
_LARGEST_FILE = 1_000_000  # bytes of a file of settings


def _backends() -> list[str]:
    from accelerate.utils import DynamoBackend

    return [each.value.lower() for each in DynamoBackend]


def _compile_modes() -> list[str]:
    from torch._inductor import list_mode_options

    return list(list_mode_options())


def _process_groups() -> list[str]:
    from torch.distributed import Backend

    return [*(each for each in Backend.backend_list if each != "undefined"), "ccl", "hccl", "cncl", "mccl", "tccl"]


_CHOICES: Mapping[str, Callable[[], Collection[str]]] = {
    "dataloader_multiprocessing_context": multiprocessing.get_all_start_methods,
    "ddp_backend": _process_groups,
    "debug": lambda: ("underflow_overflow", "tpu_metrics_debug"),
    "include_for_metrics": lambda: ("inputs", "loss"),
    "include_num_input_tokens_seen": lambda: ("all", "no", "non_padding", "true"),
    "torch_compile_backend": _backends,
    "torch_compile_mode": _compile_modes,
}
"""The values of a flag whose own parser takes any text."""

_ACCELERATOR = {
    "split_batches": bool,
    "dispatch_batches": bool,
    "even_batches": bool,
    "use_seedable_sampler": bool,
    "non_blocking": bool,
    "gradient_accumulation_kwargs": dict,
    "use_configured_state": bool,
}
_CHECKPOINTING = {
    "use_reentrant": bool,
    "preserve_rng_state": bool,
    "determinism_check": str,
    "debug": bool,
    "early_stop": bool,
}
_MAPPINGS: Mapping[str, Mapping[str, type]] = {
    "accelerator_config": _ACCELERATOR,
    "activation_checkpointing_kwargs": _CHECKPOINTING,
    "deepspeed": {},
    "fsdp_config": {},
    "gradient_checkpointing_kwargs": _CHECKPOINTING,
    "lr_scheduler_kwargs": {},
}
"""The flags that take a JSON object, with the types of its values by their keys; empty where others check them."""
_TYPES = {bool: "true or false", dict: "a JSON object", str: "a text"}

_MAPPING_FILES = ("accelerator_config", "deepspeed", "fsdp_config")
_NOT_AS_FLAGS = ("liger_kernel_config", "parallelism_config")


def known_texts(name: str) -> Collection[str]:
    """Return the texts that a flag takes; empty where it takes any."""
    return _CHOICES[name]() if name in _CHOICES else ()


def check_texts(name: str, value: object) -> None:
    """Raise `StrategyError` if a flag's ``value``, a text or a list of texts, cannot be that of the flag ``name``."""
    if name in _NOT_AS_FLAGS:
        raise StrategyError(f"{name}={value!r} cannot be given as a flag: give it in a script of your own")
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            _check_characters(name, text)
            _check_choice(name, text)
            _check_mapping(name, text)
            if name.endswith(_PATHS):
                _check_path(name, text)
            if name == "hub_model_id":
                _check_repository(name, text)
    if name == "optim_args" and isinstance(value, str):
        _check_assignments(name, value)


def _check_characters(name: str, text: str) -> None:
    """Refuse a text that is empty, as of a shell variable that is not set, or that holds control characters."""
    if not text.strip() and name != "label_separator":
        raise StrategyError(f"{name}={text!r} is empty: give a value, or leave the flag out")
    if hidden := _UNREADABLE.search(text):
        shown = "..." if "token" in name else repr(text)  # a token is a secret
        raise StrategyError(f"{name}={shown} holds the character {hidden[0]!r}: give it without")


def _check_choice(name: str, text: str) -> None:
    known = known_texts(name)
    if not known:
        return
    for word in text.split() if name == "debug" else [text]:
        if word not in known:
            raise StrategyError(f"{name}={word!r} is unknown: {did_you_mean(word, known)}")


def _check_mapping(name: str, text: str) -> None:
    if name not in _MAPPINGS:
        return
    if name == "deepspeed" and find_spec("deepspeed") is None:
        raise StrategyError(
            "The 'deepspeed' package is required by deepspeed: install it, or leave out the flag that needs it"
        )
    if text.startswith("{"):
        _check_keys(name, _read_json(name, text, text))
    elif name in _MAPPING_FILES:
        _check_keys(name, _read_json(name, text, _content(name, text)))
    elif name != "lr_scheduler_kwargs":
        raise StrategyError(f"{name}={short(text)!r} is no mapping: give JSON such as '{{\"use_reentrant\": false}}'")


def _content(name: str, file: str) -> str:
    if not os.path.isfile(file):
        raise StrategyError(f"{name}={short(file)!r}: no such file: give a file of JSON, or JSON such as '{{...}}'")
    try:
        with open(file, encoding="utf-8") as opened:
            content = opened.read(_LARGEST_FILE + 1)
    except (OSError, UnicodeDecodeError) as mistake:
        raise StrategyError(f"{name}={file!r} cannot be read: {mistake}: give a file of JSON") from mistake
    if len(content) > _LARGEST_FILE:
        raise StrategyError(f"{name}={file!r} has more than {_LARGEST_FILE} characters: give a file of JSON")
    return content


def _read_json(name: str, given: str, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as mistake:
        raise StrategyError(f"{name}={short(given)!r} is no JSON: {mistake}") from mistake
    except RecursionError as mistake:
        raise StrategyError(f"{name}={short(given)!r} is nested too deeply: give a plain JSON object") from mistake
    if not isinstance(content, dict):
        raise StrategyError(f"{name}={short(given)!r} holds no JSON object: give such as '{{...}}'")
    return content


def _check_keys(name: str, content: Mapping[str, Any]) -> None:
    types = _MAPPINGS[name]
    for key, value in content.items() if types else ():
        if key not in types:
            raise StrategyError(f"{name} has the unknown key {short(key)!r}: {did_you_mean(key, types)}")
        # transformers takes "true" for true.
        is_switch = types[key] is bool and str(value).lower() in ("true", "false")
        if value is not None and not is_switch and not isinstance(value, types[key]):
            raise StrategyError(f"{name} has {key}={short(repr(value))}: give {_TYPES[types[key]]}")


def _check_path(name: str, text: str) -> None:
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in text.split(os.sep)):
        raise StrategyError(f"{name}={short(text)!r} is too long for a file's name: give another one")


def _check_repository(name: str, text: str) -> None:
    try:
        validate_repo_id(text)
    except HFValidationError as mistake:
        raise StrategyError(
            f"{name}={short(text)!r} cannot be the name of a model: give such as you/model"
        ) from mistake


def _check_assignments(name: str, text: str) -> None:
    parts = [part.split("=") for part in text.replace(" ", "").split(",")]
    if not all(len(part) == 2 and all(part) for part in parts):
        raise StrategyError(f"{name}={short(text)!r} cannot be read: give key=value,key=value")
