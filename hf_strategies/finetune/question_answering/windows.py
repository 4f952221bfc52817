"""Windows: a question with as much of its context as fits, and the places of their tokens in the text."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from transformers import PreTrainedTokenizerBase

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.encoding import IGNORED_LABEL, Batch, encode_splits, flatten_lists, tokenizer_state
from hf_strategies.finetune.question_answering.data import QuestionArguments, QuestionData
from hf_strategies.finetune.question_answering.metrics import exact_matches

__all__ = ["SEARCH_COLUMNS", "WindowTable", "encode_questions", "window_length"]

SEARCH_COLUMNS = ("context_start", "context_end", "window")
"""The columns of an evaluated window that the search for answers reads beside the model's inputs."""

# The least room for a question in a window; longer questions are cut to half of what the overlap leaves.
_MIN_QUESTION_TOKENS = 8
_DEFAULT_LENGTH = 384
_NOWHERE = (-1, -1)
# A line is printed if the tokens of more than this share of the answers stand for another text than the answer. A few
# answers always do, because they begin or end within a word that is one token.
_FEW = 0.05
_FOR_EVALUATION = ("context_start", "context_end", "opens", "token_starts", "token_ends")


def window_length(longest: int, max_length: int | None) -> int:
    """Return the length of windows: ``longest`` if ``max_length`` is set, else at most 384.

    ``longest`` is the most tokens that the model takes, or ``max_length`` if that is less.

    >>> window_length(512, None), window_length(512, 512), window_length(256, None)
    (384, 512, 256)
    """
    return longest if max_length is not None else min(longest, _DEFAULT_LENGTH)


def encode_questions(
    args: QuestionArguments, data: QuestionData, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> DatasetDict:
    """Cut each question's context into windows of ``max_length`` tokens that overlap by ``doc_stride``.

    The answer of a window (``start_positions``, ``end_positions``) is the first answer of its question that stands
    in the context; a window that does not contain all of it has token 0 for both. If no answer stands there, which
    only evaluation allows, they are -100. Windows that are evaluated also have the `SEARCH_COLUMNS`, of which
    ``window`` numbers them over all splits, and the columns that `WindowTable` reads. A line is printed where
    questions are too long and are cut, and where answers cannot be learnt or predicted.

    Raises `StrategyError` without a fast tokenizer, and if the overlap leaves no room for questions.
    """
    longest_question = _longest_question(tokenizer, max_length, args.doc_stride)
    tokenizer.padding_side = "right"  # padding on the left would move the answer
    tokenizer.truncation_side = "right"  # windows from the end of a context would come in another order

    def encode_batch(batch: Batch) -> Batch:
        questions = _truncated(tokenizer, batch["question"], longest_question)
        windows = tokenizer(
            questions,
            batch["context"],
            truncation="only_second",
            max_length=max_length,
            stride=args.doc_stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        cut = [question != whole for question, whole in zip(questions, batch["question"], strict=True)]
        return _window_columns(dict(windows), windows, batch, cut)

    key = ("question answering", tokenizer_state(tokenizer), max_length, args.doc_stride, longest_question)
    encoded = encode_splits(data.splits, encode_batch, key=key, workers=args.preprocessing_num_workers)
    _warn_of_cuts(encoded, longest_question, args.max_answer_length)
    _warn_of_answers(encoded, data)
    return _with_window_numbers(DatasetDict({split: rows.remove_columns("cut") for split, rows in encoded.items()}))


class WindowTable:
    """The question of each evaluated window of a split, and the places of its tokens in the context.

    ``first`` is the number of the first window; ``question`` is the row of each window's question in its split.
    """

    def __init__(self, windows: Dataset) -> None:
        self.first = int(windows[0]["window"])
        self.question = np.cumsum(np.asarray(windows.with_format("arrow")["opens"])) - 1
        self.has_answers = "start_positions" in windows.column_names
        self._starts, lengths = flatten_lists(windows, "token_starts")
        self._ends, _ = flatten_lists(windows, "token_ends")
        self._first_tokens = np.cumsum(lengths) - lengths

    def __len__(self) -> int:
        return len(self.question)

    def characters(self, window: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where spans, given by window and by first and last token, begin and end in their contexts."""
        first = self._first_tokens[window]
        return self._starts[first + start], self._ends[first + end]


def _longest_question(tokenizer: PreTrainedTokenizerBase, max_length: int, doc_stride: int) -> int:
    if not tokenizer.is_fast:
        raise StrategyError(
            f"model_name_or_path={tokenizer.name_or_path!r} has no fast tokenizer, which tells where tokens stand in"
            " the text: take a model that has one (a tokenizer.json)"
        )
    room = max_length - tokenizer.num_special_tokens_to_add(pair=True) - doc_stride
    if room < 2 * _MIN_QUESTION_TOKENS:
        most = doc_stride + room - 2 * _MIN_QUESTION_TOKENS
        remedy = f"lower it to {most} or less" if most >= 0 else "raise max_length"
        raise StrategyError(f"doc_stride={doc_stride} leaves no room in windows of max_length={max_length}: {remedy}")
    return room // 2


def _truncated(tokenizer: PreTrainedTokenizerBase, questions: Sequence[str], most: int) -> list[str]:
    """Cut each question that has more than ``most`` tokens after the last token that fits."""
    encoded = tokenizer(
        list(questions), add_special_tokens=False, truncation=True, max_length=most, return_offsets_mapping=True
    )
    # A question of exactly ``most`` tokens may still end in white space, which is not cut.
    ends = [offsets[-1][1] if len(offsets) == most else None for offsets in encoded["offset_mapping"]]
    return [
        question if end is None or not question[end:].strip() else question[:end]
        for question, end in zip(questions, ends, strict=True)
    ]


def _window_columns(inputs: Batch, windows: Any, batch: Batch, cut: Sequence[bool]) -> Batch:
    """Add to the model's inputs the places of tokens, the bounds of the context and the answer of each window."""
    owners, offsets = inputs.pop("overflow_to_sample_mapping"), inputs.pop("offset_mapping")
    opens = [place == 0 or owners[place - 1] != owner for place, owner in enumerate(owners)]
    bounds = [_context_tokens(windows.sequence_ids(place)) for place in range(len(owners))]
    inputs |= {
        "opens": opens,
        "cut": [is_first and cut[owner] for is_first, owner in zip(opens, owners, strict=True)],
        "context_start": [start for start, _ in bounds],
        "context_end": [end for _, end in bounds],
        "token_starts": [[start for start, _ in row] for row in offsets],
        "token_ends": [[end for _, end in row] for row in offsets],
    }
    if "answer_texts" in batch:
        closes = [*opens[1:], True]
        places = [_place_of_answer(batch, row) for row in range(len(batch["context"]))]
        spans = [
            _answer_tokens(row, bound, places[owner], opening, closing)
            for row, bound, owner, opening, closing in zip(offsets, bounds, owners, opens, closes, strict=True)
        ]
        inputs |= {"start_positions": [s for s, _ in spans], "end_positions": [e for _, e in spans]}
    return inputs


def _context_tokens(parts: list[int | None]) -> tuple[int, int]:
    """Return the first token of the context and the one after its last."""
    count = parts.count(1)
    start = parts.index(1) if count else 0
    return start, start + count


def _place_of_answer(batch: Batch, row: int) -> tuple[int, int] | None:
    """Return the characters at which an answer begins and ends, without white space around it; None without answers.

    It is the first answer that stands at its start; else the first that stands anywhere; else ``_NOWHERE``.
    """
    texts, context = batch["answer_texts"][row], batch["context"][row]
    if not texts:
        return None
    given = zip(texts, batch["answer_starts"][row], strict=True)
    places = [(text, start) for text, start in given if start >= 0 and context.startswith(text, start)]
    places += [(text, context.find(text)) for text in texts if text in context]
    if not places:
        return _NOWHERE
    text, start = places[0]
    start += len(text) - len(text.lstrip())
    return start, start + len(text.strip())


def _answer_tokens(
    offsets: Sequence[tuple[int, int]],
    bound: tuple[int, int],
    answer: tuple[int, int] | None,
    opens: bool,
    closes: bool,
) -> tuple[int, int]:
    """Return the first and the last token of the answer, or 0 and 0 if the window does not contain all of it."""
    if answer == _NOWHERE:
        return IGNORED_LABEL, IGNORED_LABEL
    first, end = bound
    if answer is None or first == end:
        return 0, 0
    starts, ends = np.array(offsets[first:end]).T
    # Characters without a token at the two ends of a context belong to its first and last window.
    if (answer[0] < starts[0] and not opens) or (answer[1] > ends[-1] and not closes):
        return 0, 0
    start_token = int(np.searchsorted(ends, answer[0], side="right"))
    end_token = int(np.searchsorted(starts, answer[1], side="left")) - 1
    return (first + start_token, first + end_token) if start_token <= end_token else (0, 0)


def _warn_of_cuts(encoded: DatasetDict, longest_question: int, longest_answer: int) -> None:
    for split, rows in encoded.items():
        if cut := int(np.sum(_numbers(rows, "cut"))):
            notify(
                f"{cut} questions of the {split} split have more than {longest_question} tokens and are cut to that:"
                " raise max_length or lower doc_stride to keep more of them."
            )
        if split == "train":
            long = _numbers(rows, "end_positions") - _numbers(rows, "start_positions") >= longest_answer
            if long.any():
                notify(
                    f"{long.mean():.1%} of the training windows have an answer of more than"
                    f" max_answer_length={longest_answer} tokens, which will never be predicted: raise it."
                )


def _numbers(rows: Dataset, column: str) -> np.ndarray:
    """Return a column of numbers. In the format of NumPy itself each row would be converted by itself, slowly."""
    return np.asarray(rows.with_format("arrow")[column])


def _warn_of_answers(encoded: DatasetDict, data: QuestionData) -> None:
    for split, windows in encoded.items():
        if "start_positions" not in windows.column_names:
            continue
        start, opens = (_numbers(windows, name) for name in ("start_positions", "opens"))
        if nowhere := int(np.sum(opens & (start == IGNORED_LABEL))):
            notify(
                f"{nowhere} questions of the {split} split have no answer that stands in their context: they count in"
                " exact_match and f1, and not in the loss."
            )
        if split == "train" or "train" not in encoded:
            _warn_of_lost_letters(windows, data.splits[split], split)


def _warn_of_lost_letters(windows: Dataset, rows: Dataset, split: str) -> None:
    """Print a line if the tokens of many answers, turned back into text, are not these answers."""
    question = np.cumsum(_numbers(windows, "opens")) - 1
    start, end = (_numbers(windows, name) for name in ("start_positions", "end_positions"))
    places, lengths = flatten_lists(windows, "token_starts")
    first = np.cumsum(lengths) - lengths
    labelled = np.flatnonzero(start > 0)
    begins = places[(first + start)[labelled]]
    stops = flatten_lists(windows, "token_ends")[0][(first + end)[labelled]]
    contexts, answers = rows["context"][:], rows["answer_texts"][:]
    texts = zip(question[labelled].tolist(), begins.tolist(), stops.tolist(), strict=True)
    pairs = [(contexts[asked][begin:stop].strip(), answers[asked]) for asked, begin, stop in texts]
    wrong = [
        (text, wanted[0]) for text, wanted in pairs if text not in wanted and not exact_matches([text], [wanted])[0]
    ]
    if len(wrong) > _FEW * len(pairs):
        text, wanted = wrong[0]
        notify(
            f"{len(wrong) / len(pairs):.1%} of the answers of the {split} split are other text when their tokens are"
            f" turned back into text, such as {text!r:.40} for {wanted!r:.40}: this tokenizer does not say rightly"
            " where tokens stand, and no such answer can be predicted right. Take a model with another tokenizer."
        )


def _with_window_numbers(encoded: DatasetDict) -> DatasetDict:
    """Number the windows that are evaluated; drop the columns that only evaluation reads from the training set."""
    numbered, first = {}, 0
    for split, rows in encoded.items():
        if split == "train":
            numbered[split] = rows.remove_columns(list(_FOR_EVALUATION))
            continue
        numbered[split] = rows.add_column("window", np.arange(first, first + len(rows)))
        first += len(rows)
    return DatasetDict(numbered)
