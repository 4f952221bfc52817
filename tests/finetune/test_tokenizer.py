"""The tokenizer of a named model fits the model: padding, token types, vocabulary and the longest input."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from datasets import DatasetDict
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BartConfig,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    GPT2Config,
    LongformerConfig,
    MPNetConfig,
    PreTrainedConfig,
    RobertaConfig,
    T5Config,
    XLNetConfig,
)

from hf_strategies import StrategyError
from hf_strategies.finetune.arguments import ModelArguments, RecipeArguments
from hf_strategies.finetune.masked_lm.data import MaskedLMArguments, load_lines
from hf_strategies.finetune.masked_lm.data import encode as encode_lines
from hf_strategies.finetune.masked_lm.masking import Masker, MaskingCollator
from hf_strategies.finetune.model import load_config, load_model
from hf_strategies.finetune.multiple_choice.data import ChoiceArguments, ChoiceCollator, load_choices
from hf_strategies.finetune.multiple_choice.data import encode as encode_choices
from hf_strategies.finetune.question_answering.data import QuestionArguments, load_questions
from hf_strategies.finetune.question_answering.windows import encode_questions
from hf_strategies.finetune.small_bert import train_wordpiece
from hf_strategies.finetune.text_classification.data import ClassificationArguments, encode, load_classification
from hf_strategies.finetune.token_classification.data import TokenArguments, load_tokens
from hf_strategies.finetune.token_classification.windows import encode as encode_words
from hf_strategies.finetune.tokenizer import longest_input, make_tokenizer
from tests.finetune.models import ROBERTA_NAMES, SIZES, TEXTS, byte_level, wordpiece
from tests.finetune.runs import write_jsonl

ONE_TOKEN = {"bos_token": "<|end|>", "eos_token": "<|end|>", "unk_token": "<|end|>"}
RUN = RecipeArguments(use_cpu=True)
ROBERTA = RobertaConfig(vocab_size=300, type_vocab_size=1, pad_token_id=1, **SIZES)
XLNET = XLNetConfig(vocab_size=300, d_model=8, n_layer=1, n_head=2, d_inner=8, pad_token_id=1)
GPT2 = GPT2Config(vocab_size=300, n_positions=42, n_embd=8, n_layer=1, n_head=2)


def saved(folder: Path, config: PreTrainedConfig, tokenizer: Any) -> ModelArguments:
    """The arguments that name a model which was saved to ``folder``."""
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelArguments(model_name_or_path=str(folder))


def loaded(args: ModelArguments) -> tuple[Any, Any]:
    """The configuration and the tokenizer of the model that ``args`` name."""
    config = load_config(args)
    return config, make_tokenizer(args, config, [], RUN)


class TestLongestInput:
    """Where texts are cut."""

    @pytest.mark.parametrize(("max_length", "longest"), [(None, 512), (3, 3), (64, 64), (512, 512)])
    def test_it_is_what_is_asked_for_or_what_the_model_takes(self, max_length: int | None, longest: int) -> None:
        arguments = ModelArguments(max_length=max_length)
        assert longest_input(arguments, None, train_wordpiece(TEXTS)) == longest

    def test_the_shorter_of_model_and_tokenizer_counts(self) -> None:
        tokenizer = train_wordpiece(TEXTS)
        assert longest_input(ModelArguments(), BertConfig(max_position_embeddings=40), tokenizer) == 40
        tokenizer.model_max_length = 20
        assert longest_input(ModelArguments(), BertConfig(max_position_embeddings=40), tokenizer) == 20

    def test_a_tokenizer_that_knows_no_limit_sets_none(self, tmp_path: Path) -> None:
        train_wordpiece(TEXTS).save_pretrained(tmp_path)
        settings = json.loads((tmp_path / "tokenizer_config.json").read_text(encoding="utf-8"))
        del settings["model_max_length"]
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
        assert longest_input(ModelArguments(), None, AutoTokenizer.from_pretrained(tmp_path)) == 512

    @pytest.mark.parametrize("max_length", [-1, 0, 2, 513])
    def test_out_of_bounds_is_told(self, max_length: int) -> None:
        words = rf"max_length={max_length} is out of range: this model takes 3 to 512 tokens"
        with pytest.raises(StrategyError, match=words):
            longest_input(ModelArguments(max_length=max_length), None, train_wordpiece(TEXTS))

    @pytest.mark.parametrize(
        ("config", "longest"),
        [
            (ROBERTA, 40),  # 42 rows, and positions from 2 on
            (MPNetConfig(vocab_size=300, **SIZES), 40),
            (LongformerConfig(vocab_size=300, attention_window=4, pad_token_id=1, **SIZES), 40),
            (RobertaConfig(vocab_size=300, **SIZES, pad_token_id=4), 37),
            (BertConfig(vocab_size=300, **SIZES), 42),
            (DistilBertConfig(vocab_size=300, dim=8, n_layers=1, n_heads=2, max_position_embeddings=42), 42),
            (GPT2, 42),
            # BART has two more rows than positions.
            (BartConfig(vocab_size=300, d_model=8, max_position_embeddings=42, encoder_layers=1), 42),
            (DebertaV2Config(vocab_size=300, **SIZES, position_biased_input=False), 42),
            (XLNET, 512),
            (T5Config(vocab_size=300, d_model=8, num_layers=1), 512),
        ],
        ids=lambda value: getattr(value, "model_type", None),
    )
    def test_it_follows_from_the_models_own_positions(self, config: PreTrainedConfig, longest: int) -> None:
        assert longest_input(ModelArguments(), config, byte_level(ROBERTA_NAMES)) == longest

    def test_a_model_without_a_limit_takes_the_tokenizers_or_what_is_asked_for(self) -> None:
        tokenizer = byte_level(ROBERTA_NAMES)
        assert longest_input(ModelArguments(max_length=700), XLNET, tokenizer) == 700
        with pytest.raises(StrategyError, match=r"max_length=3 is out of range: this model takes at least 4 tokens"):
            longest_input(ModelArguments(max_length=3), XLNET, tokenizer)
        tokenizer.model_max_length = 30
        assert longest_input(ModelArguments(), XLNET, tokenizer) == 30


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model_max_length": "short"}, "cannot be loaded: .*tokenizer files$"),
        ({"model_input_names": []}, r"has a tokenizer without model_input_names: give such as \['input_ids'\]"),
        ({"truncation_side": "up"}, "cannot be loaded: Truncation side .*tokenizer files$"),
        ({"model_max_length": 3}, "takes 3 tokens, which leaves no room for text: correct model_max_length in"),
    ],
)
def test_a_tokenizer_with_impossible_settings_is_one_line(
    settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    args = saved(tmp_path, BertConfig(vocab_size=300, **SIZES), wordpiece())
    file = tmp_path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | settings), encoding="utf-8")
    with pytest.raises(StrategyError, match=f"^model_name_or_path='{tmp_path}' {words}") as raised:
        longest_input(args, *loaded(args))
    assert "\n" not in str(raised.value)


class TestPadding:
    """A token to pad with, in the tokenizer and in the model."""

    def test_the_end_token_pads_where_there_is_no_other(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        args = saved(tmp_path, GPT2, byte_level(ONE_TOKEN))
        config, tokenizer = loaded(args)
        assert caplog.messages == ["The tokenizer has no pad token: its '<|end|>' is taken, and saved as one."]
        assert tokenizer.pad_token == "<|end|>"
        model = load_model(AutoModelForSequenceClassification, args, config, tokenizer)
        assert model.config.pad_token_id == tokenizer.pad_token_id == 0
        inputs = tokenizer(["no", "no rain fell"], padding=True, return_tensors="pt")
        assert model(**inputs).logits.shape == (2, 2)
        tokenizer.save_pretrained(tmp_path / "again")
        assert AutoTokenizer.from_pretrained(tmp_path / "again").pad_token == "<|end|>"

    def test_the_special_token_that_the_model_pads_with_comes_first(self, tmp_path: Path) -> None:
        byte_level(ROBERTA_NAMES).save_pretrained(tmp_path)
        file = tmp_path / "tokenizer_config.json"
        saved_settings = json.loads(file.read_text(encoding="utf-8"))
        del saved_settings["pad_token"]
        file.write_text(json.dumps(saved_settings | {"extra_special_tokens": ["<pad>"]}), encoding="utf-8")
        AutoModel.from_config(ROBERTA).save_pretrained(tmp_path)
        config, again = loaded(ModelArguments(model_name_or_path=str(tmp_path)))
        assert (again.pad_token, again.pad_token_id, config.pad_token_id) == ("<pad>", 1, 1)

    def test_without_any_token_to_pad_with_the_tokenizer_is_refused(self, tmp_path: Path) -> None:
        args = saved(tmp_path, GPT2, byte_level({"bos_token": "<|begin|>"}))
        for name in ("tokenizer_config.json", "special_tokens_map.json"):
            if (file := tmp_path / name).exists():
                settings = json.loads(file.read_text(encoding="utf-8"))
                file.write_text(json.dumps({**settings, "eos_token": None, "unk_token": None}), encoding="utf-8")
        with pytest.raises(StrategyError, match=r"without a pad token, .*: give one a pad_token in its"):
            loaded(args)

    def test_another_pad_token_is_entered_in_the_model_unless_it_counts_positions_from_its_own(
        self, tmp_path: Path
    ) -> None:
        tokenizer = byte_level(ROBERTA_NAMES)  # pads with 1
        config, _ = loaded(saved(tmp_path / "bert", BertConfig(vocab_size=300, **SIZES, pad_token_id=0), tokenizer))
        assert config.pad_token_id == 1
        other = RobertaConfig(vocab_size=300, **SIZES, pad_token_id=3)
        with pytest.raises(StrategyError, match=r"counts positions from pad_token_id=3 .* pads with 1: give both"):
            loaded(saved(tmp_path / "roberta", other, tokenizer))


class TestVocabulary:
    """Each token has an embedding."""

    def bert(self, folder: Path, tokenizer: Any, rows: int) -> ModelArguments:
        return saved(folder, BertConfig(vocab_size=rows, **SIZES), tokenizer)

    def test_added_tokens_get_embeddings_and_the_others_keep_theirs(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        tokenizer = wordpiece()
        rows = len(tokenizer)
        tokenizer.add_tokens(["snowdrift", "thaw"])
        args = self.bert(tmp_path, tokenizer, rows)
        config, again = loaded(args)
        model = load_model(AutoModelForMaskedLM, args, config, again)
        assert caplog.messages[-1] == (
            "New in the model, with random weights: the embeddings of snowdrift, thaw, which its tokenizer has."
        )
        before = AutoModel.from_pretrained(tmp_path).get_input_embeddings().weight
        weight: Any = model.get_input_embeddings().weight
        assert torch.equal(weight[:rows], before)
        assert model(**again("a thaw", return_tensors="pt")).logits.shape[-1] == rows + 2 == model.config.vocab_size

    def test_a_new_pad_token_gets_one_and_becomes_that_of_the_model(self, tmp_path: Path) -> None:
        tokenizer = wordpiece(pad_token="[NEW]")
        rows = tokenizer.pad_token_id
        args = self.bert(tmp_path, tokenizer, rows)
        config, again = loaded(args)
        model = load_model(AutoModelForMaskedLM, args, config, again)
        assert model.config.pad_token_id == again.pad_token_id == rows
        assert model.config.vocab_size == rows + 1

    def test_a_model_that_is_not_trained_cannot_get_any(self, tmp_path: Path) -> None:
        tokenizer = wordpiece()
        args = self.bert(tmp_path, tokenizer, len(tokenizer))
        tokenizer.add_tokens(["thaw"])
        model = AutoModelForMaskedLM.from_pretrained(tmp_path)
        model.save_pretrained(tmp_path)
        with pytest.raises(StrategyError, match="has no embedding for thaw, which its tokenizer has: train it first"):
            load_model(AutoModelForMaskedLM, args, load_config(args), tokenizer, fixed=True)

    def test_adapters_would_not_train_them(self, tmp_path: Path) -> None:
        pytest.importorskip("peft")
        tokenizer = wordpiece()
        tokenizer.add_tokens(["thaw"])
        args = self.bert(tmp_path, tokenizer, len(tokenizer) - 1)
        args.lora_r = 4
        with pytest.raises(StrategyError, match=r"lora_r=4 does not train embeddings.* 1 added tokens .*'thaw'"):
            loaded(args)

    def test_a_tokenizer_of_another_model_is_refused(self, tmp_path: Path) -> None:
        tokenizer = wordpiece()
        args = self.bert(tmp_path, tokenizer, len(tokenizer) - 5)
        words = (
            rf"tokenizer of {len(tokenizer)} tokens, and its config.json says vocab_size {len(tokenizer) - 5}: give"
        )
        with pytest.raises(StrategyError, match=words):
            loaded(args)


@pytest.mark.parametrize("kinds", [1, 2])
def test_token_types_are_left_out_where_the_model_has_fewer(
    kinds: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = RobertaConfig(vocab_size=300, **SIZES, type_vocab_size=kinds, pad_token_id=0)
    args = saved(tmp_path / "model", config, wordpiece())
    config, tokenizer = loaded(args)
    inputs = tokenizer("a calm lake", "a storm", return_tensors="pt")
    assert ("token_type_ids" in inputs) == (kinds == 2)
    assert len(caplog.messages) == (kinds == 1)
    load_model(AutoModelForSequenceClassification, args, config, tokenizer)(**inputs)
    tokenizer.save_pretrained(tmp_path / "again")
    again = AutoTokenizer.from_pretrained(tmp_path / "again")
    assert ("token_type_ids" in again("a", "b")) == (kinds == 2)


class Task(NamedTuple):
    """The class of a task's model, and what makes its encoded training set of a tokenizer and a length."""

    auto_class: Any
    encode: Callable[[Any, int], DatasetDict]


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Task]:
    """All tasks, each with a row that is longer than the models take and a short one."""
    folder = tmp_path_factory.mktemp("data")
    texts = [" ".join(TEXTS * 4), "a calm lake"]
    names, tags = ("a", "b"), ("B", "O")

    def files(name: str, columns: dict[str, list[Any]]) -> dict[str, str]:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        file = write_jsonl(folder / f"{name}.jsonl", rows)
        return {"train_file": file, "validation_file": file}

    one = ClassificationArguments(**files("text", {"text": texts, "label": ["a", "b"]}))
    two = ClassificationArguments(**files("pair", {"premise": texts, "hypothesis": texts, "label": ["a", "b"]}))
    words = [text.split() for text in texts]
    tagged = {"tokens": words, "tags": [["B", *["O"] * (len(row) - 1)] for row in words]}
    tokens = TokenArguments(**files("words", tagged))
    answers = [{"text": ["calm"], "answer_start": [text.index("calm")]} for text in texts]
    question_rows = {"question": ["what lake"] * 2, "context": texts, "answers": answers}
    questions = QuestionArguments(**files("question", question_rows), doc_stride=8)
    endings = {"sent1": texts, "sent2": ["", ""], "ending0": texts, "ending1": texts[::-1], "label": [0, 1]}
    choices = ChoiceArguments(**files("choice", endings))
    lines = MaskedLMArguments(**files("lines", {"text": texts}))
    single, pairs, sentences = load_classification(one), load_classification(two), load_tokens(tokens)
    asked, choice_data, line_data = load_questions(questions), load_choices(choices), load_lines(lines)
    return {
        "text": Task(AutoModelForSequenceClassification, lambda t, n: encode(one, single, t, names, n)),
        "pair": Task(AutoModelForSequenceClassification, lambda t, n: encode(two, pairs, t, names, n)),
        "words": Task(AutoModelForTokenClassification, lambda t, n: encode_words(tokens, sentences, t, tags, n)),
        "question": Task(AutoModelForQuestionAnswering, lambda t, n: encode_questions(questions, asked, t, n)),
        "choice": Task(AutoModelForMultipleChoice, lambda t, n: encode_choices(choices, choice_data, t, n)),
        "lines": Task(
            AutoModelForMaskedLM, lambda t, n: encode_lines(lines, line_data, t, n, Masker.of(t, probability=0.15))
        ),
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("roberta", task) for task in ("text", "pair", "words", "question", "choice", "lines")),
        *(("xlnet", task) for task in ("text", "pair", "words", "question", "choice")),
        *(("gpt2", task) for task in ("text", "pair", "words", "question")),
    ],
)
def test_long_and_short_rows_of_each_task_fit_each_kind_of_model(
    kind: str, name: str, tasks: dict[str, Task], tmp_path: Path
) -> None:
    names = ONE_TOKEN if kind == "gpt2" else ROBERTA_NAMES
    args = saved(tmp_path, {"roberta": ROBERTA, "xlnet": XLNET, "gpt2": GPT2}[kind], byte_level(names))
    config, tokenizer = loaded(args)
    length, task = longest_input(args, config, tokenizer), tasks[name]
    rows = task.encode(tokenizer, length)["train"]
    model = load_model(task.auto_class, args, config, tokenizer).eval()
    inputs = [{column: row[column] for column in row if column in tokenizer.model_input_names} for row in rows]
    if name == "choice":
        batch: Any = ChoiceCollator(tokenizer)(inputs)
    elif name == "lines":
        batch = MaskingCollator(Masker.of(tokenizer, probability=0.15), tokenizer, seed=0)(list(rows))
    else:
        batch = tokenizer.pad(inputs, return_tensors="pt")
    counts = [len(ids) for row in rows["input_ids"] for ids in (row if name == "choice" else [row])]
    assert max(counts) == {"roberta": 40, "gpt2": 42}.get(kind, max(counts)) <= length
    with torch.no_grad():
        logits = next(part for key, part in model(**batch).items() if key.endswith("logits"))
    assert logits.isfinite().all()
