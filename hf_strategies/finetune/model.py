"""The model: a pretrained one, or a small BERT that needs no network."""

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from transformers import AutoConfig, BertConfig, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from hf_strategies.errors import StrategyError, first_line
from hf_strategies.finetune.arguments import ModelArguments
from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.head import has_task, names_outputs, output_weights, renew
from hf_strategies.finetune.pretrained import (
    cannot_load,
    check_weights,
    few,
    modules_of,
    new_weights,
    source,
    without_report,
)
from hf_strategies.finetune.small_bert import SMALL_BERT
from hf_strategies.finetune.tokenizer import tokens_without_row

__all__ = ["label_names", "load_config", "load_model", "trained_labels"]


def load_config(args: ModelArguments) -> PreTrainedConfig | None:
    """Load the configuration of the model that is named, if one is; raises `StrategyError` where that fails."""
    if args.model_name_or_path is None:
        return None
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(args.model_name_or_path, **source(args))
    except Exception as mistake:  # an entry of a wrong type raises anything
        raise cannot_load("model_name_or_path", args.model_name_or_path, mistake, "a config.json") from mistake
    return config


def trained_labels(config: PreTrainedConfig | None) -> tuple[str, ...]:
    """Return the labels that a model was fine-tuned for, in the order of their ids; none for a new model."""
    names: dict[int, str] = getattr(config, "id2label", None) or {}
    return tuple(str(names[index]) for index in sorted(names))


def label_names(labels: Sequence[str]) -> dict[str, Any]:
    """Return the options of a configuration that give each label its id.

    >>> label_names(["no", "yes"])["label2id"]
    {'no': 0, 'yes': 1}
    """
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def load_model(
    auto_class: Any,
    args: ModelArguments,
    config: PreTrainedConfig | None,
    tokenizer: PreTrainedTokenizerBase,
    *,
    fixed: bool = False,
    **options: Any,
) -> PreTrainedModel:
    """Load the model that is named, or make a small BERT if ``config`` is None.

    ``auto_class`` is a class such as ``AutoModelForMaskedLM``, ``options`` are entries of the model's configuration.
    The head is new unless the model was trained for the same task with the same labels; this is reported in one
    line. Added tokens of the tokenizer get new embeddings. The attribute ``new_weights`` of a loaded model holds the
    names of the weights that are new. ``fixed`` is True if the model is not trained further.

    Raises `StrategyError` for weights that cannot be loaded or do not fit the configuration, and for new weights in
    a model that is ``fixed``.
    """
    if config is None:
        return _small_bert(auto_class, args, tokenizer, options)
    model, loading = _pretrained(auto_class, args, config, options)
    name = str(args.model_name_or_path)
    check_weights(model, loading, name)
    new, reason = new_weights(loading), _other_head(model, config, options)
    if reason and (loaded := output_weights(model).difference(loading["missing_keys"])):
        renew(model, loaded - new)
        new |= loaded
    else:
        reason = ""  # the files have no head at all
    if new:
        _report_new(model, new, name, reason, fixed=fixed)
    elif options.get("id2label", config.id2label) != config.id2label:
        notify(f"The outputs of {name} are kept, and named as in the data: {few(options['label2id'])}.")
    _add_rows(model, tokenizer, name, fixed=fixed)
    if model.dtype == torch.float16 and not fixed:
        model.float()  # updates would be lost in this precision, and gradients overflow
        notify(f"The weights of {name} are float16: they are trained as float32.")
    cast(Any, model).new_weights = new
    return model


def _pretrained(
    auto_class: Any, args: ModelArguments, config: PreTrainedConfig, options: dict[str, Any]
) -> tuple[PreTrainedModel, dict[str, Any]]:
    own = copy.deepcopy(config)
    for name, value in options.items():
        setattr(own, name, value)
    try:
        with without_report():
            model, loading = auto_class.from_pretrained(
                str(args.model_name_or_path),
                config=own,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **_attention(args),
                **source(args),
            )
    except Exception as mistake:  # a damaged file raises anything, even an error of its format's library
        raise cannot_load("model_name_or_path", args.model_name_or_path, mistake, "its weights") from mistake
    return model, loading


def _other_head(model: PreTrainedModel, config: PreTrainedConfig, options: dict[str, Any]) -> str:
    """Return the reason, for a message, why the head in the model's files cannot be kept; "" if it can."""
    if not has_task(model, config):
        return f"; {' and '.join(config.architectures or ())} has a head for another task"
    labels = list(options.get("id2label", {}).values())
    trained = trained_labels(config)
    if not labels or names_outputs(trained, labels):
        return ""
    return f"; it was trained for {few(trained) or 'no labels'}, not for {few(labels)}"


def _report_new(model: PreTrainedModel, new: set[str], name: str, reason: str, *, fixed: bool) -> None:
    modules = few(modules_of(new, model.base_model_prefix))
    if fixed:
        raise StrategyError(
            f"model_name_or_path={name!r} has no trained {modules} for this task{reason}: train it first, without"
            " --do_train false"
        )
    notify(f"New in the model, with random weights: {modules} (the rest is that of {name}{reason}).")


def _add_rows(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, *, fixed: bool) -> None:
    """Give the embedding a row for each added token of the tokenizer."""
    rows = getattr(model.config, "vocab_size", None)
    if not isinstance(rows, int) or not (without := sorted(tokens_without_row(tokenizer, rows))):
        return
    if fixed:
        raise StrategyError(
            f"model_name_or_path={name!r} has no embedding for {few(without)}, which its tokenizer has: train it"
            " first, without --do_train false"
        )
    model.resize_token_embeddings(max(tokenizer.get_vocab().values()) + 1, mean_resizing=False)
    if tokenizer.pad_token in without:
        model.config.pad_token_id = tokenizer.pad_token_id
    notify(f"New in the model, with random weights: the embeddings of {few(without)}, which its tokenizer has.")


def _small_bert(
    auto_class: Any, args: ModelArguments, tokenizer: PreTrainedTokenizerBase, options: dict[str, Any]
) -> PreTrainedModel:
    config = BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **SMALL_BERT, **options)
    try:
        return cast(PreTrainedModel, auto_class.from_config(config, **_attention(args)))
    except (ValueError, ImportError) as mistake:
        if args.attn_implementation is None:
            raise
        raise StrategyError(
            f"attn_implementation={args.attn_implementation!r} cannot be had: {first_line(mistake)}: give sdpa"
        ) from mistake


def _attention(args: ModelArguments) -> dict[str, str]:
    return {} if args.attn_implementation is None else {"attn_implementation": args.attn_implementation}
