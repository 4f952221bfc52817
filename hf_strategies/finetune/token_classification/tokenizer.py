"""A tokenizer that encodes words given in a list as it encodes them in a text, where blanks stand between them."""

from collections.abc import Callable
from typing import Any, cast

from tokenizers import normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase

from hf_strategies.finetune.command_line import notify

__all__ = ["encode_words_like_text"]

_WORDS = ["the", "old", "town", "is", "near"]


def encode_words_like_text(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make a fast tokenizer put a space before each word, in place, if its tokens depend on that space.

    Byte-level tokenizers have one token for a word at the beginning of a text and another for a word after a space.
    Each word of a list is encoded as if it began a text, so that a model would be trained on words that are glued
    together, and see other tokens in ``pipeline("token-classification")``, which gets a text. ``add_prefix_space``,
    the option for this, has an effect only in the tokenizer classes of some models, such as RoBERTa's. The change is
    saved with the tokenizer.

    A line is printed where no change makes the tokens equal.
    """
    if not tokenizer.is_fast or _is_like_text(tokenizer):
        return
    backend = cast(Any, tokenizer).backend_tokenizer
    normalizer, pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    changes: tuple[Callable[[Any], None], ...] = (_prefix_space, _prepend_last, _prepend_first)
    for change in changes:
        change(backend)
        if _is_like_text(tokenizer):
            return
        backend.normalizer, backend.pre_tokenizer = normalizer, pre_tokenizer
    notify(
        f"The tokenizer {type(tokenizer).__name__} encodes words in a list in another way than in a text: the model"
        " is trained on tokens that pipeline() does not give it. Give a model with another tokenizer."
    )


def _is_like_text(tokenizer: PreTrainedTokenizerBase) -> bool:
    words = tokenizer(_WORDS, is_split_into_words=True, add_special_tokens=False)["input_ids"]
    return bool(words == tokenizer(" ".join(_WORDS), add_special_tokens=False)["input_ids"])


def _prefix_space(backend: Any) -> None:
    pre_tokenizer = backend.pre_tokenizer
    if isinstance(pre_tokenizer, pre_tokenizers.ByteLevel):
        pre_tokenizer.add_prefix_space = True
        backend.pre_tokenizer = pre_tokenizer


def _prepend_last(backend: Any) -> None:
    """Add the space where a pre-tokenizer has several parts; each part of a word would get one from ByteLevel."""
    before = [backend.normalizer] if backend.normalizer else []
    backend.normalizer = normalizers.Sequence([*before, normalizers.Prepend(" ")])


def _prepend_first(backend: Any) -> None:
    after = [backend.normalizer] if backend.normalizer else []
    backend.normalizer = normalizers.Sequence([normalizers.Prepend(" "), *after])
