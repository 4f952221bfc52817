"""The model and its tokenizer: a pretrained one, or a small BERT that needs no network."""

from collections.abc import Sequence
from typing import Any, cast

from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.arguments import ModelArguments, RecipeArguments
from hf_strategies.finetune.small_bert import SMALL_BERT, train_wordpiece

__all__ = ["label_names", "load_config", "load_model", "longest_input", "make_tokenizer", "trained_labels"]

_FEWEST_TOKENS = 10


def load_config(args: ModelArguments) -> PreTrainedConfig | None:
    """Load the configuration of the model that is named, if one is; raises `StrategyError` where that fails."""
    if args.model_name_or_path is None:
        return None
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(args.model_name_or_path, **_source(args))
    except (OSError, ValueError) as mistake:
        raise _cannot_load("model_name_or_path", args.model_name_or_path, mistake, "a config.json") from mistake
    return config


def trained_labels(config: PreTrainedConfig | None) -> tuple[str, ...]:
    """Return the labels that a model was fine-tuned for, in the order of their ids; none for a new model."""
    names: dict[int, str] = getattr(config, "id2label", None) or {}
    return tuple(str(names[index]) for index in sorted(names))


def make_tokenizer(
    args: ModelArguments, texts: Sequence[str], run: RecipeArguments, **options: Any
) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer with these ``options``, or train a WordPiece one on ``texts`` when none is named.

    A resumed run loads the tokenizer in its checkpoint. Nothing is written: the same texts give each process the
    same tokenizer, and the Trainer saves it with the model.
    """
    if args.model_name_or_path is not None:
        return _load_tokenizer("model_name_or_path", args.model_name_or_path, **options, **_source(args))
    if run.resume_from_checkpoint and not run.find_lr:
        return _load_tokenizer("resume_from_checkpoint", run.resume_from_checkpoint)
    return train_wordpiece(texts)


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
    **options: Any,
) -> PreTrainedModel:
    """Load the model that is named, or make a small BERT if ``config`` is None.

    ``auto_class`` is a class such as ``AutoModelForMaskedLM``, ``options`` are entries of the model's configuration.
    The head is new unless the model was trained with one of that size. The attribute ``new_weights`` of a loaded
    model holds the names of the weights that are new.
    """
    if config is None:
        return _small_bert(auto_class, args, tokenizer, options)
    try:
        model, loading = auto_class.from_pretrained(
            str(args.model_name_or_path),
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
            **_attention(args),
            **_source(args),
        )
    except (OSError, ValueError, ImportError) as mistake:
        raise _cannot_load("model_name_or_path", args.model_name_or_path, mistake, "its weights") from mistake
    model.new_weights = {*loading["missing_keys"], *(name for name, *_ in loading["mismatched_keys"])}
    return cast(PreTrainedModel, model)


def longest_input(args: ModelArguments, config: PreTrainedConfig | None, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the number of tokens to cut texts at; raises `StrategyError` for more than the model takes."""
    positions = getattr(config, "max_position_embeddings", None) or SMALL_BERT["max_position_embeddings"]
    most = int(min(positions, tokenizer.model_max_length))
    if args.max_length is None:
        return most
    if not 3 <= args.max_length <= most:
        raise StrategyError(f"max_length={args.max_length} is out of range: this model takes 3 to {most} tokens")
    return args.max_length


def _small_bert(
    auto_class: Any, args: ModelArguments, tokenizer: PreTrainedTokenizerBase, options: dict[str, Any]
) -> PreTrainedModel:
    config = BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **SMALL_BERT, **options)
    try:
        return cast(PreTrainedModel, auto_class.from_config(config, **_attention(args)))
    except (ValueError, ImportError) as mistake:
        if args.attn_implementation is None:
            raise
        reason = str(mistake).splitlines()[0].rstrip(".")
        raise StrategyError(
            f"attn_implementation={args.attn_implementation!r} cannot be had: {reason}: give sdpa"
        ) from mistake


def _load_tokenizer(flag: str, name: str, **options: Any) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, **options)
    except (OSError, ValueError) as mistake:
        raise _cannot_load(flag, name, mistake, "tokenizer files") from mistake
    # From a folder without tokenizer files transformers makes a tokenizer that has special tokens only.
    if len(tokenizer) - len(tokenizer.all_special_tokens) < _FEWEST_TOKENS:
        raise StrategyError(
            f"{flag}={name!r} has no tokenizer files, or empty ones: save the model's tokenizer to that folder too"
        )
    return tokenizer


def _cannot_load(flag: str, name: str | None, mistake: Exception, needed: str) -> StrategyError:
    reason = (str(mistake).strip() or type(mistake).__name__).splitlines()[0]
    hub = "" if flag == "resume_from_checkpoint" else "the name of a model on the Hub, or "
    return StrategyError(f"{flag}={name!r} cannot be loaded: {reason} Give {hub}a folder with {needed}")


def _source(args: ModelArguments) -> dict[str, Any]:
    return {"revision": args.model_revision, "trust_remote_code": args.trust_remote_code}


def _attention(args: ModelArguments) -> dict[str, str]:
    return {} if args.attn_implementation is None else {"attn_implementation": args.attn_implementation}
