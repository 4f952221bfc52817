"""The model and its tokenizer: a pretrained one, or a small BERT that needs no network."""

from collections.abc import Iterable, Sequence
from typing import Any, cast

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from hf_strategies.errors import StrategyError
from hf_strategies.recipe.arguments import ModelArguments, RecipeArguments

__all__ = [
    "classifier",
    "load_config",
    "longest_input",
    "make_tokenizer",
    "train_wordpiece",
    "trained_labels",
]

SMALL_BERT: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 512,
    "max_position_embeddings": 512,
}
"""BERT-Tiny's sizes (Turc et al. 2019, arXiv:1908.08962): learns from nothing in minutes on two CPU cores."""

VOCABULARY = 8000

_FEWEST_TOKENS = 10

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


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


def make_tokenizer(args: ModelArguments, texts: Sequence[str], run: RecipeArguments) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer, or train a WordPiece one on ``texts`` when no model is named.

    A resumed run takes the one in its checkpoint. Nothing is written: the same texts give each process the same
    tokenizer, and the Trainer saves it with the model.
    """
    if args.model_name_or_path is not None:
        return _load_tokenizer("model_name_or_path", args.model_name_or_path, **_where(args))
    if run.resume_from_checkpoint and not run.find_lr:
        return _load_tokenizer("resume_from_checkpoint", run.resume_from_checkpoint)
    return train_wordpiece(texts)


def train_wordpiece(texts: Iterable[str], vocabulary: int = VOCABULARY) -> PreTrainedTokenizerFast:
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


def classifier(
    args: ModelArguments,
    config: PreTrainedConfig | None,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[str],
) -> PreTrainedModel:
    """Make the model with one output per label; its head is new unless it was fine-tuned for that many."""
    names: dict[str, Any] = {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    if config is None:
        small = BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **SMALL_BERT, **names)
        return cast(PreTrainedModel, AutoModelForSequenceClassification.from_config(small))
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            str(args.model_name_or_path), ignore_mismatched_sizes=True, **names, **_where(args)
        )
    except (OSError, ValueError) as mistake:
        raise _cannot_load("model_name_or_path", args.model_name_or_path, mistake, "its weights") from mistake
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


def _bert_tokenizer(pieces: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _word_pieces(texts: Sequence[str], vocabulary: int) -> dict[str, int]:
    # The trainer numbers the pieces of one inner letter in an order that changes with every call, and breaks ties
    # by number, so that even the vocabulary changes. What is named as special it numbers in the order given.
    scratch = _bert_tokenizer({})
    cleaned = map(scratch.normalizer.normalize_str, texts)
    words = {word for text in cleaned for word, _ in scratch.pre_tokenizer.pre_tokenize_str(text)}
    inner = sorted({f"##{letter}" for word in words for letter in word[1:]})
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, min_frequency=2, special_tokens=[*_SPECIAL, *inner], show_progress=False
    )
    scratch.train_from_iterator(texts, trainer)
    return scratch.get_vocab()


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
