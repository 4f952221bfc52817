"""Random models of a few thousand parameters with a tokenizer of words, and what the tests see of a run."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import (
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    TrainerCallback,
    set_seed,
)

from hf_strategies.cli.main import main

__all__ = ["Seen", "causal_lm", "encoder", "rates_of", "reported", "sentence_model", "tokenizer", "weights_of"]

_LINE = "good bad fine awful day night sun rain the a is was why not yes no who what"
WORDS = tuple(_LINE.split())


class Seen(TrainerCallback):
    """The weights of the trained module at each evaluation, by step."""

    def __init__(self) -> None:
        self.at: dict[int, Tensor] = {}
        self.trainer: Any = None

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.at[state.global_step] = weights_of(self.trainer.model)


def weights_of(model: Any) -> Tensor:
    """All parameters of a model that are trained, in one vector."""
    return torch.cat([each.detach().clone().flatten() for each in model.parameters() if each.requires_grad])


def rates_of(trainer: Any) -> list[float]:
    """The logged learning rates of a run that logs each step."""
    return [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of whole words."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: place for place, word in enumerate([*special, *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "[CLS]", "eos_token": "[SEP]"}
    made = PreTrainedTokenizerFast(tokenizer_object=words, cls_token="[CLS]", sep_token="[SEP]", **names)
    made.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    return made


def causal_lm(folder: Path) -> str:
    """Write a random Llama with two layers, and its tokenizer."""
    set_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    LlamaForCausalLM(
        LlamaConfig(vocab_size=22, num_key_value_heads=2, pad_token_id=0, bos_token_id=2, eos_token_id=3, **sizes)
    ).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)


def encoder(folder: Path) -> str:
    """Write a random BERT with two layers, and its tokenizer."""
    set_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=22, max_position_embeddings=32, **sizes)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)


def sentence_model(folder: Path) -> Any:
    """A random BERT of sentence-transformers, whose files are in ``folder``."""
    import sentence_transformers
    from sentence_transformers import models as parts

    transformer = parts.Transformer(encoder(folder), max_seq_length=16)
    return sentence_transformers.SentenceTransformer(modules=[transformer, parts.Pooling(32)], device="cpu")


def reported(trainer: Any) -> tuple[dict[str, Any], str]:
    """What `RunReport` has written for a run, and the page that `hf-strategies report` makes of it."""
    folder = Path(trainer.args.output_dir)
    trainer.save_state()
    page, figure = folder / "page.html", folder / "figure.png"
    assert main(["report", str(folder), "--html", str(page), "--figure", str(figure)]) == 0
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert (folder / "strategy_report.png").is_file()
    trainer.create_model_card()
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "](strategy_report.png)" in card.partition("## Training strategy")[2]
    return json.loads((folder / "strategy_report.json").read_text()), page.read_text(encoding="utf-8")
