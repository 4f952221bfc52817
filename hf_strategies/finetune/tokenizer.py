"""The tokenizer of a model, made to fit the model: its padding, token types and vocabulary, and the longest input."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.arguments import ModelArguments, RecipeArguments
from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.pretrained import cannot_load, source
from hf_strategies.finetune.small_bert import SMALL_BERT, train_wordpiece

__all__ = ["longest_input", "make_tokenizer", "tokens_without_row"]

_FEWEST_TOKENS = 10
_DEFAULT_LENGTH = 512  # where neither the model nor the tokenizer has a limit
_NO_LIMIT = 10**9  # transformers has 1e30 for a tokenizer without a limit


def make_tokenizer(
    args: ModelArguments,
    config: PreTrainedConfig | None,
    texts: Sequence[str],
    run: RecipeArguments,
    **options: Any,
) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer with these ``options``, or train a WordPiece one on ``texts`` when none is named.

    A tokenizer that is loaded is made to fit the model of ``config``: it gets a pad token if it has none, and no
    token types if the model has too few. The pad token is entered in ``config``. Raises `StrategyError` for a
    tokenizer that has ordinary tokens for which the model has no embedding.

    A resumed run loads the tokenizer in its checkpoint. Nothing is written: the same texts give each process the
    same tokenizer, and the Trainer saves it with the model.
    """
    if args.model_name_or_path is not None:
        tokenizer = _load("model_name_or_path", args.model_name_or_path, **options, **source(args))
        if config is not None:
            _fit_padding(tokenizer, config, args)
            _fit_token_types(tokenizer, config)
            _check_vocabulary(tokenizer, config, args)
        return tokenizer
    if run.resume_from_checkpoint and not run.find_lr:
        return _load("resume_from_checkpoint", run.resume_from_checkpoint)
    return train_wordpiece(texts)


def longest_input(args: ModelArguments, config: PreTrainedConfig | None, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the number of tokens to cut texts at; raises `StrategyError` for more than the model takes.

    It is ``max_length`` if that is given, else the limit of the model or of the tokenizer, whichever is lower. A
    model without a limit, such as XLNet, whose tokenizer has none either gets 512.
    """
    model_limit = SMALL_BERT["max_position_embeddings"] if config is None else _positions(args, config)
    tokenizer_limit = tokenizer.model_max_length if 0 < tokenizer.model_max_length < _NO_LIMIT else None
    most = min((int(limit) for limit in (model_limit, tokenizer_limit) if limit is not None), default=None)
    least = max(3, tokenizer.num_special_tokens_to_add(pair=True))
    if most is not None and most <= least:
        raise StrategyError(
            f"model_name_or_path={args.model_name_or_path!r} takes {most} tokens, which leaves no room for text:"
            " correct model_max_length in its tokenizer_config.json, or max_position_embeddings in its config.json"
        )
    if args.max_length is None:
        return most or _DEFAULT_LENGTH
    if args.max_length < least or (most is not None and args.max_length > most):
        takes = f"at least {least}" if most is None else f"{least} to {most}"
        raise StrategyError(f"max_length={args.max_length} is out of range: this model takes {takes} tokens")
    return args.max_length


def tokens_without_row(tokenizer: PreTrainedTokenizerBase, rows: int) -> set[str]:
    """Return the tokens that have no row in an embedding with this number of ``rows``."""
    return {token for token, place in tokenizer.get_vocab().items() if place >= rows}


def _load(flag: str, name: str, **options: Any) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name, **options)
        tokenizer("a", "b", verbose=False)  # some wrong settings show only here
    except Exception as mistake:  # a damaged file raises anything, even a bare Exception
        raise cannot_load(flag, name, mistake, "tokenizer files") from mistake
    # From a folder without tokenizer files transformers makes a tokenizer that has special tokens only.
    if len(tokenizer) - len(tokenizer.all_special_tokens) < _FEWEST_TOKENS:
        raise StrategyError(
            f"{flag}={name!r} has no tokenizer files, or empty ones: save the model's tokenizer to that folder too"
        )
    if not tokenizer.model_input_names:
        raise StrategyError(f"{flag}={name!r} has a tokenizer without model_input_names: give such as ['input_ids']")
    return tokenizer


def _fit_padding(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, args: ModelArguments) -> None:
    """Take another special token to pad with where there is none, and enter the pad token in the configuration."""
    if tokenizer.pad_token is None:
        spare = _spare_token(tokenizer, getattr(config, "pad_token_id", None))
        if spare is None:
            raise StrategyError(
                f"model_name_or_path={args.model_name_or_path!r} has a tokenizer without a pad token, and without an"
                " end or unknown token to pad with: give one a pad_token in its tokenizer_config.json"
            )
        tokenizer.pad_token = spare
        notify(f"The tokenizer has no pad token: its {spare!r} is taken, and saved as one.")
    known = getattr(config, "pad_token_id", None)
    if known not in (None, tokenizer.pad_token_id) and _padded_positions(args, config):
        raise StrategyError(
            f"model_name_or_path={args.model_name_or_path!r} counts positions from pad_token_id={known} of its"
            f" config.json, and its tokenizer pads with {tokenizer.pad_token_id}: give both the one that was used in"
            " pretraining"
        )
    rows = getattr(config, "vocab_size", None) or math.inf
    if tokenizer.pad_token_id < rows:  # otherwise `load_model` enters it, once the embedding has a row for it
        config.pad_token_id = tokenizer.pad_token_id


def _spare_token(tokenizer: PreTrainedTokenizerBase, place: int | None) -> str | None:
    """Return the special token with the id ``place`` of the model's pad token, else the end or unknown token."""
    special = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    names = (special.get(-1 if place is None else place), tokenizer.eos_token, tokenizer.unk_token)
    return next((str(name) for name in names if name is not None), None)


def _fit_token_types(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> None:
    """Leave out token types where the model has an embedding for fewer than the tokenizer gives."""
    kinds = getattr(config, "type_vocab_size", None)
    if not kinds or "token_type_ids" not in tokenizer.model_input_names:
        return
    highest = max(tokenizer("a", "b", verbose=False)["token_type_ids"])
    if highest >= kinds:
        names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
        tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = names  # the second is saved
        notify(
            f"The tokenizer gives token types up to {highest}, and the model has {kinds} of them: they are left out."
        )


def _check_vocabulary(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, args: ModelArguments) -> None:
    rows = getattr(config, "vocab_size", None)
    if not isinstance(rows, int):
        return
    without = tokens_without_row(tokenizer, rows)
    if without.difference(tokenizer.get_added_vocab()):
        raise StrategyError(
            f"model_name_or_path={args.model_name_or_path!r} has a tokenizer of {rows + len(without)} tokens, and its"
            f" config.json says vocab_size {rows}: give it the tokenizer that the model was trained with"
        )
    if without and args.lora_r is not None:
        raise StrategyError(
            f"lora_r={args.lora_r} does not train embeddings, which the model lacks for {len(without)} added tokens"
            f" of its tokenizer, such as {min(without)!r}: leave it out"
        )


def _positions(args: ModelArguments, config: PreTrainedConfig) -> int | None:
    """Return the number of positions that the model has; None if it has no limit."""
    limits = _padded_positions(args, config)
    declared = getattr(config, "max_position_embeddings", None)
    if declared and declared > 0:  # XLNet has -1
        limits.append(declared)
    return min(limits, default=None)


def _padded_positions(args: ModelArguments, config: PreTrainedConfig) -> list[int]:
    """Return the number of usable positions of each embedding of positions that has a row for padding.

    RoBERTa and its relatives count positions from the row after the row for padding, so that the earlier rows are no
    positions.
    """
    try:
        with torch.device("meta"):  # no weights, no memory
            model = AutoModel.from_config(copy.deepcopy(config), trust_remote_code=args.trust_remote_code)
    except Exception:  # the reason is reported when the model itself is loaded
        return []
    return [
        module.weight.shape[0] - module.padding_idx - 1
        for name, module in model.named_modules()
        if "position" in name.rpartition(".")[2] and isinstance(getattr(module, "padding_idx", None), int)
    ]
