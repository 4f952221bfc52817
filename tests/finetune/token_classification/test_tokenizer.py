"""Words in a list have the tokens that they have in a text, whatever the tokenizer makes of blanks."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from hf_strategies.finetune.small_bert import train_wordpiece
from hf_strategies.finetune.token_classification.tokenizer import encode_words_like_text

SENTENCES = ["Ann went to the old town near York", "the town is near", "Bob saw old U.S. towns, in 1999."]
WORDS = ["Ann", "saw", "the", "old", "town,", "in", "U.S.", "12", "the"]
SPLIT = Regex(r" ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+")


def byte_level(pre_tokenizer: Any, normalizer: Any = None) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["[UNK]", "[PAD]"]
    backend.train_from_iterator(
        SENTENCES * 5, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    backend.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        backend.normalizer = normalizer
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]")


def spaces_to_blocks() -> PreTrainedTokenizerFast:
    """As in sentencepiece without a space before the first word: the normalizer turns each space into a block."""
    backend = Tokenizer(models.BPE(unk_token="[UNK]"))
    backend.normalizer = normalizers.Replace(" ", "\u2581")
    backend.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    backend.train_from_iterator(SENTENCES * 5, trainers.BpeTrainer(vocab_size=400, special_tokens=["[UNK]", "[PAD]"]))
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]")


MAKE = {
    "ModernBERT's": lambda: byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "Qwen's": lambda: byte_level(
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(SPLIT, "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
        normalizers.NFC(),
    ),
    "Gemma's": spaces_to_blocks,
    "BERT's": lambda: train_wordpiece(SENTENCES),
}


@pytest.mark.parametrize("kind", MAKE)
def test_words_and_text_have_the_same_tokens_also_when_saved(kind: str, tmp_path: Path) -> None:
    tokenizer = MAKE[kind]()
    before = tokenizer(WORDS, is_split_into_words=True)["input_ids"] == tokenizer(" ".join(WORDS))["input_ids"]
    assert before is (kind == "BERT's")
    encode_words_like_text(tokenizer)
    tokenizer.save_pretrained(tmp_path)
    for made in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        split, text = made(WORDS, is_split_into_words=True), made(" ".join(WORDS), return_offsets_mapping=True)
        assert split["input_ids"] == text["input_ids"]
        assert split.word_ids()[-1] is None or split.word_ids()[-1] == len(WORDS) - 1
        assert " ".join(WORDS)[slice(*text["offset_mapping"][-1])].strip() in WORDS[-1]


def test_a_tokenizer_that_stays_different_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.Strip())
    backend: Any = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex("^ "), "removed"), backend.pre_tokenizer]
    )
    encode_words_like_text(tokenizer)
    assert "encodes words in a list in another way than in a text" in caplog.text
