"""The sizes of tiny models with random weights, and tokenizers for them."""

from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hf_strategies.finetune.small_bert import train_wordpiece

TEXTS = ["a calm lake and a loud storm", "the wind blew over the grey hills", "no rain fell in the long summer"]
ROBERTA_NAMES = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
SIZES = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 42,
}
"""The sizes of a tiny BERT, which many configurations name alike; texts are cut at 42 tokens."""


def wordpiece(**settings: Any) -> PreTrainedTokenizerFast:
    """A BERT tokenizer, without a limit of its own unless there is one among ``settings``."""
    trained = train_wordpiece(TEXTS)
    names = {name: trained.special_tokens_map[name] for name in trained.special_tokens_map}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    options = {**names, "model_input_names": inputs, **settings}
    return PreTrainedTokenizerFast(tokenizer_object=trained.backend_tokenizer, **options)


def byte_level(special: dict[str, str], **settings: Any) -> PreTrainedTokenizerFast:
    """A tokenizer of single bytes, as GPT-2 and RoBERTa have it, after the ``special`` tokens by their names."""
    tokens = [*dict.fromkeys(special.values()), *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({token: place for place, token in enumerate(tokens)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if "sep_token" in special:
        ends = (special[name] for name in ("sep_token", "cls_token"))
        tokenizer.post_processor = processors.RobertaProcessing(
            *((token, tokenizer.token_to_id(token)) for token in ends)
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special, **settings)
