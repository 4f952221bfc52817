"""The sizes of a small BERT, and a tokenizer trained for it, which need no network."""

from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

__all__ = ["SMALL_BERT", "train_wordpiece"]

SMALL_BERT: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 512,
    "max_position_embeddings": 512,
}
"""BERT-Tiny's sizes (Turc et al. 2019, arXiv:1908.08962): trains from random weights in minutes on two CPU cores."""

VOCABULARY_SIZE = 8000

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_wordpiece(texts: Iterable[str], vocabulary: int = VOCABULARY_SIZE) -> PreTrainedTokenizerFast:
    """Train a lower-casing BERT tokenizer with at most ``vocabulary`` WordPieces on ``texts``.

    The same texts give the same vocabulary.
    """
    tokenizer = _bert_tokenizer(_word_pieces(list(texts), vocabulary))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=SMALL_BERT["max_position_embeddings"],
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def _bert_tokenizer(pieces: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _word_pieces(texts: Sequence[str], vocabulary: int) -> dict[str, int]:
    # The trainer gives ids to pieces of one inner letter in an order that changes from call to call, and breaks ties
    # by id, so that even the vocabulary would change. Special tokens get their ids in the order given.
    scratch = _bert_tokenizer({})
    cleaned = map(scratch.normalizer.normalize_str, texts)
    words = {word for text in cleaned for word, _ in scratch.pre_tokenizer.pre_tokenize_str(text)}
    inner = sorted({f"##{letter}" for word in words for letter in word[1:]})
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, min_frequency=2, special_tokens=[*_SPECIAL, *inner], show_progress=False
    )
    scratch.train_from_iterator(texts, trainer)
    return scratch.get_vocab()
