"""Windows of long contexts: nothing is lost, each token knows its place, and answers stand where they should."""

import logging
import random
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BertTokenizerLegacy, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hf_strategies import StrategyError
from hf_strategies.finetune.question_answering.data import QuestionArguments, QuestionData
from hf_strategies.finetune.question_answering.windows import WindowTable, encode_questions
from hf_strategies.finetune.small_bert import train_wordpiece

WORDS = ["ann", "bob", "lives", "in", "york", "oslo", "with", "seven", "unbelievable", "cats", "and", "dogs", "café"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return train_wordpiece([" ".join(WORDS)] * 3 + ["where does who live with whom . ? ,"] * 3)


def random_rows(count: int, seed: int, longest: int = 90) -> dict[str, list[Any]]:
    """Questions about contexts of up to ``longest`` words; each answer is a run of one to four of them."""
    chance = random.Random(seed)
    rows: dict[str, list[Any]] = {name: [] for name in ("id", "question", "context", "answer_texts", "answer_starts")}
    for number in range(count):
        words = chance.choices(WORDS, k=chance.randint(4, longest))
        first = chance.randrange(len(words))
        text = " ".join(words[first : first + chance.randint(1, 4)])
        rows["id"].append(str(number))
        rows["question"].append(f"where does {chance.choice(WORDS)} live?")
        rows["context"].append(" ".join(words))
        rows["answer_texts"].append([text])
        rows["answer_starts"].append([len(" ".join([*words[:first], ""]))])
    return rows


def encode(
    tokenizer: PreTrainedTokenizerBase, max_length: int = 40, stride: int = 12, **splits: dict[str, list[Any]]
) -> DatasetDict:
    data = QuestionData(DatasetDict({name: Dataset.from_dict(rows) for name, rows in splits.items()}), {}, "test")
    return encode_questions(QuestionArguments(doc_stride=stride), data, tokenizer, max_length)


def test_windows_hold_all_of_the_context_and_overlap_by_the_stride(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = random_rows(30, seed=0)
    windows = encode(tokenizer, validation=rows)["validation"]
    table = WindowTable(windows)
    assert len(table) == len(windows) > 50
    for number, context in enumerate(rows["context"]):
        ids = tokenizer(context, add_special_tokens=False)["input_ids"]
        joined: list[int] = []
        for place in np.flatnonzero(table.question == number).tolist():
            window = windows[place]
            assert len(window["input_ids"]) <= 40
            part = window["input_ids"][window["context_start"] : window["context_end"]]
            assert joined == [] or joined[-12:] == part[:12]
            joined += part[12:] if joined else part
            assert window["input_ids"][window["context_end"]] == tokenizer.sep_token_id
        assert joined == ids


def test_spans_of_tokens_stand_where_the_table_says(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = random_rows(30, seed=1)
    windows = encode(tokenizer, validation=rows)["validation"]
    table, chance = WindowTable(windows), random.Random(0)
    chosen = [chance.randrange(len(windows)) for _ in range(200)]
    first = [chance.randrange(windows[w]["context_start"], windows[w]["context_end"]) for w in chosen]
    last = [chance.randrange(f, windows[w]["context_end"]) for w, f in zip(chosen, first, strict=True)]
    begins, ends = table.characters(*(np.array(part) for part in (chosen, first, last)))
    for window, start, end, begin, stop in zip(chosen, first, last, begins.tolist(), ends.tolist(), strict=True):
        text = rows["context"][table.question[window]][begin:stop]
        wanted = windows[window]["input_ids"][start : end + 1]
        assert tokenizer.decode(wanted).replace("##", "") == tokenizer.decode(
            tokenizer(text).input_ids[1:-1]
        ).replace("##", "")


def test_an_answer_is_labelled_in_each_window_that_holds_it_and_in_no_other(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    rows = random_rows(60, seed=2)
    windows = encode(tokenizer, validation=rows)["validation"]
    table = WindowTable(windows)
    found = set()
    for place, window in enumerate(windows):
        number = int(table.question[place])
        start, end = window["start_positions"], window["end_positions"]
        begins, stops = window["token_starts"], window["token_ends"]
        [text], [begin] = rows["answer_texts"][number], rows["answer_starts"][number]
        inside = range(window["context_start"], window["context_end"])
        holds = begins[inside[0]] <= begin and begin + len(text) <= stops[inside[-1]]
        if holds:
            assert rows["context"][number][begins[start] : stops[end]] == text
            found.add(number)
        else:
            assert (start, end) == (0, 0)
    assert found == set(range(60))
    assert any(table.question[place] == table.question[place - 1] for place in range(1, len(table)))


def test_a_question_without_answers_is_labelled_with_token_0(tokenizer: PreTrainedTokenizerBase) -> None:
    rows = random_rows(2, seed=3) | {"answer_texts": [[], []], "answer_starts": [[], []]}
    windows = encode(tokenizer, validation=rows)["validation"]
    assert set(windows["start_positions"]) == set(windows["end_positions"]) == {0}


def one(question: str, context: str, text: str, start: int) -> dict[str, list[Any]]:
    return {
        "id": ["1"],
        "question": [question],
        "context": [context],
        "answer_texts": [[text]],
        "answer_starts": [[start]],
    }


@pytest.mark.parametrize(
    ("context", "text", "wanted"),
    [
        ("  ann lives", "  ann", "ann"),  # white space that no token covers, at the beginning
        ("ann lives\u200b\u200b", "lives\u200b\u200b", "lives"),  # characters that the tokenizer drops, at the end
        ("unbelievable cats", "believ", "unbelievable"),  # in the middle of a word: the pieces around it
        ("ann\n\nlives", "ann\n\nlives", "ann\n\nlives"),
    ],
)
def test_an_answer_at_the_edge_of_tokens_is_found(
    context: str, text: str, wanted: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    [window] = encode(tokenizer, validation=one("where?", context, text, context.index(text)))["validation"]
    start, end = window["start_positions"], window["end_positions"]
    assert start > 0
    assert context[window["token_starts"][start] : window["token_ends"][end]] in (wanted, text)


def test_the_training_set_has_the_models_columns_alone_and_the_others_are_numbered_through(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    splits = {name: random_rows(10, seed) for seed, name in enumerate(["train", "validation", "test"])}
    del splits["test"]["answer_texts"], splits["test"]["answer_starts"]
    encoded = encode(tokenizer, **splits)
    model = {"input_ids", "token_type_ids", "attention_mask", "start_positions", "end_positions"}
    assert set(encoded["train"].column_names) == model
    assert "start_positions" not in encoded["test"].column_names
    numbers = [*encoded["validation"]["window"], *encoded["test"]["window"]]
    assert numbers == list(range(len(numbers)))


def test_a_question_that_is_too_long_is_cut_and_that_is_told(
    tokenizer: PreTrainedTokenizerBase, caplog: pytest.LogCaptureFixture
) -> None:
    # 40 tokens less 3 special ones less 12 of overlap: half of that are 12 tokens of a question.
    questions = ["who " * 11 + "?", "who " * 12 + " ", "who " * 13, "who " * 500]
    rows = {"id": list("abcd"), "question": questions, "context": ["ann lives in york " * 9] * 4}
    rows |= {"answer_texts": [["york"]] * 4, "answer_starts": [[13]] * 4}
    with caplog.at_level(logging.WARNING):
        windows = encode(tokenizer, validation=rows)["validation"]
    assert "2 questions of the validation split have more than 12 tokens and are cut to that" in caplog.text
    assert windows["context_start"] == [14] * len(windows)
    assert set(WindowTable(windows).question.tolist()) == {0, 1, 2, 3}


def test_answers_that_can_never_be_predicted_are_told(
    tokenizer: PreTrainedTokenizerBase, caplog: pytest.LogCaptureFixture
) -> None:
    context = "ann lives in york " * 10
    rows = one("where?", context, context[:-1], 0)
    with caplog.at_level(logging.WARNING):
        encode(tokenizer, max_length=128, train=rows)
    assert "100.0% of the training windows have an answer of more than max_answer_length=30 tokens" in caplog.text


def test_an_answer_to_evaluate_is_labelled_where_it_stands_or_nowhere(
    tokenizer: PreTrainedTokenizerBase, caplog: pytest.LogCaptureFixture
) -> None:
    context = "ann lives in york"
    rows: dict[str, list[Any]] = {
        "id": list("abcd"),
        "question": ["where?"] * 4,
        "context": [context] * 4,
        "answer_texts": [["in  york", "york"], ["york"], ["oslo"], ["lives", "york"]],
        "answer_starts": [[10, 13], [-1], [3], [0, 13]],
    }
    windows = encode(tokenizer, validation=rows)["validation"]
    texts = []
    for window in windows:
        start, end = window["start_positions"], window["end_positions"]
        texts.append(None if start < 0 else context[window["token_starts"][start] : window["token_ends"][end]])
    # The fourth question's second answer stands at its start, the first one elsewhere.
    assert texts == ["york", "york", None, "york"]
    assert windows["start_positions"][2] == windows["end_positions"][2] == -100
    assert (
        "1 questions of the validation split have no answer that stands in their context: they count in"
        in caplog.text
    )


def test_labels_that_are_not_the_answers_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    """A tokenizer whose words begin one letter late: the answers lose their first letter."""
    backend = Tokenizer(models.BPE())
    late = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), late, pre_tokenizers.Punctuation()])
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "<pad>", "</s>"], initial_alphabet=alphabet)
    backend.train_from_iterator(WORDS, trainer)
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    special = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>"}
    rows = one("where?", "ann lives in york", "york", 13)
    encode(PreTrainedTokenizerFast(tokenizer_object=backend, **special), train=rows)
    assert "100.0% of the answers of the train split are other text when their tokens are turned back" in caplog.text
    assert "such as 'ork' for 'york'" in caplog.text


def test_labels_that_are_the_answers_are_not_reported(
    tokenizer: PreTrainedTokenizerBase, caplog: pytest.LogCaptureFixture
) -> None:
    rows = random_rows(100, seed=4)
    for row in range(4):  # a few within a word: the tokens around them are taken
        text = rows["answer_texts"][row][0]
        rows["answer_texts"][row], rows["answer_starts"][row] = [text[1:]], [rows["answer_starts"][row][0] + 1]
    encode(tokenizer, train=rows)
    assert "turned back into text" not in caplog.text


@pytest.mark.parametrize(
    ("max_length", "stride", "words"),
    [
        (40, 22, r"doc_stride=22 leaves no room in windows of max_length=40: lower it to 21 or less"),
        (64, 128, r"doc_stride=128 leaves no room in windows of max_length=64: lower it to 45 or less"),
        (10, 0, r"doc_stride=0 leaves no room in windows of max_length=10: raise max_length"),
    ],
)
def test_an_overlap_that_leaves_no_room_is_told(
    max_length: int, stride: int, words: str, tokenizer: PreTrainedTokenizerBase
) -> None:
    with pytest.raises(StrategyError, match=words):
        encode(tokenizer, max_length, stride, train=random_rows(1, 0))


def test_a_context_of_which_no_token_is_left_has_no_span(tokenizer: PreTrainedTokenizerBase) -> None:
    [window] = encode(tokenizer, validation=one("where?", "\u200b", "\u200b", 0))["validation"]
    assert window["context_start"] == window["context_end"]
    assert window["start_positions"] == 0


def test_a_tokenizer_that_cannot_tell_places_is_told(tmp_path: Any) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    slow = BertTokenizerLegacy(str(tmp_path / "vocab.txt"))
    with pytest.raises(StrategyError, match=r"has no fast tokenizer, which tells where tokens stand in the text: "):
        encode(slow, train=random_rows(1, 0))
