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
    """Read the configuration of the model that is named, if one is; StrategyError when it cannot be had."""
    if args.model_name_or_path is None:
        return None
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(args.model_name_or_path, **_where(args))
    except (OSError, ValueError) as mistake:
        raise _cannot_load("model_name_or_path", args.model_name_or_path, mistake, "a config.json") from mistake
    return config


def trained_labels(config: PreTrainedConfig | None) -> tuple[str, ...]:
    """Return the labels that a model was fine-tuned for, in the order of their ids; none for a new one."""
    names: dict[int, str] = getattr(config, "id2label", None) or {}
    return tuple(str(names[index]) for index in sorted(names))


def make_tokenizer(
    args: ModelArguments, texts: Sequence[str], run: RecipeArguments, **options: Any
) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer with these ``options``, or train a WordPiece one on ``texts`` when none is named.

    A resumed run takes the one in its checkpoint. Nothing is written: the same texts give each process the same
    tokenizer, and the Trainer saves it with the model.
    """
    if args.model_name_or_path is not None:
        return _load_tokenizer("model_name_or_path", args.model_name_or_path, **options, **_where(args))
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
    kind: Any,
    args: ModelArguments,
    config: PreTrainedConfig | None,
    tokenizer: PreTrainedTokenizerBase,
    **options: Any,
) -> PreTrainedModel:
    """Make the model of an Auto class ``kind`` with these ``options`` of its configuration.

    Its head is new unless the model was trained with one of that size; ``new_weights`` of the model are the names of
    all that the model that was named lacks. Without ``config``, that of a model that was named, it is a small BERT.
    """
    attention = {} if args.attn_implementation is None else {"attn_implementation": args.attn_implementation}
    if config is None:
        small = BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **SMALL_BERT, **options)
        try:
            return cast(PreTrainedModel, kind.from_config(small, **attention))
        except (ValueError, ImportError) as mistake:
            if not attention:
                raise
            reason = str(mistake).splitlines()[0].rstrip(".")
            raise StrategyError(
                f"attn_implementation={args.attn_implementation!r} cannot be had: {reason}: give sdpa"
            ) from mistake
    try:
        model, found = kind.from_pretrained(
            str(args.model_name_or_path),
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
            **attention,
            **_where(args),
        )
    except (OSError, ValueError, ImportError) as mistake:
        raise _cannot_load("model_name_or_path", args.model_name_or_path, mistake, "its weights") from mistake
    model.new_weights = {*found["missing_keys"], *(name for name, *_ in found["mismatched_keys"])}
    return cast(PreTrainedModel, model)


def longest_input(args: ModelArguments, config: PreTrainedConfig | None, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the number of tokens to cut texts at; StrategyError if ``max_length`` is more than the model takes."""
    positions = getattr(config, "max_position_embeddings", None) or SMALL_BERT["max_position_embeddings"]
    most = int(min(positions, tokenizer.model_max_length))
    if args.max_length is None:
        return most
    if not 3 <= args.max_length <= most:
        raise StrategyError(f"max_length={args.max_length} is out of range: this model takes 3 to {most} tokens")
    return args.max_length


def _load_tokenizer(flag: str, name: str, **where: Any) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, **where)
    except (OSError, ValueError) as mistake:
        raise _cannot_load(flag, name, mistake, "tokenizer files") from mistake
    # From a folder without its files transformers makes a tokenizer that knows special tokens only.
    if len(tokenizer) - len(tokenizer.all_special_tokens) < _FEWEST_TOKENS:
        raise StrategyError(
            f"{flag}={name!r} has no tokenizer files, or empty ones: save the model's tokenizer to that folder too"
        )
    return tokenizer


def _cannot_load(flag: str, name: str | None, mistake: Exception, needed: str) -> StrategyError:
    reason = (str(mistake).strip() or type(mistake).__name__).splitlines()[0]
    hub = "" if flag == "resume_from_checkpoint" else "the name of a model on the Hub, or "
    return StrategyError(f"{flag}={name!r} cannot be loaded: {reason} Give {hub}a folder with {needed}")


def _where(args: ModelArguments) -> dict[str, Any]:
    return {"revision": args.model_revision, "trust_remote_code": args.trust_remote_code}
