"""Question-answering data: questions about contexts, with the spans of the contexts that answer them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Dataset, DatasetDict
from transformers import PreTrainedConfig

from hf_strategies.errors import StrategyError, did_you_mean
from hf_strategies.finetune.arguments import DataArguments
from hf_strategies.finetune.data import check_columns, limit, load_data, with_validation
from hf_strategies.finetune.question_answering.offline import PARAMETER_QUESTIONS
from hf_strategies.finetune.question_answering.squad import read_questions_file

__all__ = ["QuestionArguments", "QuestionData", "has_unanswerable", "load_questions"]

_ID = "id"


@dataclass
class QuestionArguments(DataArguments):
    """Where the questions come from, which columns hold what, and how answers are searched for."""

    question_column: str = field(default="question", metadata={"help": "Column of the question."})
    context_column: str = field(default="context", metadata={"help": "Column of the text that holds the answer."})
    answers_column: str = field(
        default="answers",
        metadata={"help": "Column of the answers, {text: [...], answer_start: [...]}; no text: no answer."},
    )
    id_column: str = field(default=_ID, metadata={"help": "Column of an id; without it, the number of the row."})
    doc_stride: int = field(
        default=128, metadata={"help": "Tokens that two neighbouring windows of a long context have in common."}
    )
    max_answer_length: int = field(default=30, metadata={"help": "Tokens that a predicted answer has at most."})
    n_best: int = field(default=1, metadata={"help": "Alternatives to write for each question, the best first."})
    unanswerable: bool | None = field(
        default=None,
        metadata={"help": "Predict 'no answer' too (unset: when the training set has questions without answers)."},
    )
    null_threshold: float | None = field(
        default=None,
        metadata={"help": "No answer, if its score exceeds the best answer's by more (unset: tuned in validation)."},
    )

    def __post_init__(self) -> None:
        """Refuse bad values, and arguments that contradict each other."""
        super().__post_init__()
        if self.null_threshold is not None and self.unanswerable is False:
            raise StrategyError(
                f"null_threshold={self.null_threshold} with unanswerable=False: leave out one of them"
            )


@dataclass(frozen=True)
class QuestionData:
    """Splits with the columns ``id``, ``question``, ``context`` and, where known, the answers.

    The answers of a row are two lists of equal length, ``answer_texts`` and ``answer_starts``, empty if the context
    does not answer the question. ``unanswered`` has the first row without answers of each split that has such rows.
    """

    splits: DatasetDict
    unanswered: dict[str, int]
    name: str

    @property
    def texts(self) -> list[str]:
        """The distinct contexts and questions of the training set, if there is one."""
        rows = self.splits.get("train", {"context": (), "question": ()})
        return list(dict.fromkeys([*rows["context"], *rows["question"]]))


def load_questions(args: QuestionArguments) -> QuestionData:
    """Load and check the questions that the arguments name, or the offline ones if they name none.

    The split does not depend on the run's seed, so that runs with different seeds can be compared; all questions
    about a context stay on one side.

    Raises `StrategyError` for a missing column or text, for an answer that is not at its ``answer_start``, and as
    `load_splits` does.
    """
    raw, name = load_data(args, PARAMETER_QUESTIONS, {".json": read_questions_file})
    # Checked before they are split and cut, so that an error names the row of the file.
    checked = DatasetDict({split: _normal_form(rows, split, args) for split, rows in raw.items()})
    splits = limit(with_validation(checked, args, seed=0, together="context"), args)
    return QuestionData(splits, _unanswered(checked), name)


def has_unanswerable(args: QuestionArguments, data: QuestionData, config: PreTrainedConfig | None) -> bool:
    """Return whether "no answer" is a possible answer; ``config`` is that of the named model.

    The flag decides; else whether the training set has questions without answers; else, without a training set,
    whether the model was trained with "no answer", or any split has questions without answers. Raises `StrategyError`
    for a question without an answer where "no answer" is not possible, and for a threshold that has no effect.
    """
    wanted = args.unanswerable
    if wanted is None and "train" in data.splits:
        wanted = "train" in data.unanswered
    if wanted is None:
        wanted = getattr(config, "null_threshold", None) is not None or bool(data.unanswered)
    if not wanted:
        for split, row in data.unanswered.items():
            raise StrategyError(
                f"row {row} of the {split} split has no answer: set unanswerable=True, or drop such rows"
            )
        if args.null_threshold is not None:
            raise StrategyError(
                f"null_threshold={args.null_threshold} has no effect, for each question of the training set has an"
                " answer: leave it out, or set unanswerable=True"
            )
    return wanted


def _unanswered(splits: DatasetDict) -> dict[str, int]:
    first_rows = {}
    for split, rows in splits.items():
        for row, texts in enumerate(rows["answer_texts"] if "answer_texts" in rows.column_names else ()):
            if not texts:
                first_rows[split] = row
                break
    return first_rows


def _normal_form(rows: Dataset, split: str, args: QuestionArguments) -> Dataset:
    check_columns(
        rows, split, {f"{role}_column": getattr(args, f"{role}_column") for role in ("question", "context")}
    )
    questions, contexts = _texts(rows, args.question_column, split), _texts(rows, args.context_column, split)
    columns: dict[str, list[Any]] = {"id": _ids(rows, split, args), "question": questions, "context": contexts}
    pairs = _answer_pairs(rows, split, args.answers_column)
    # Test sets with hidden answers have no such column, or an empty one.
    if split != "test" or any(texts for texts, _ in pairs):
        for row, ((texts, starts), context) in enumerate(zip(pairs, contexts, strict=True)):
            for mistake in _mistakes(texts, starts, context):
                raise StrategyError(f"row {row} of the {split} split: {mistake}")
        columns |= {"answer_texts": [texts for texts, _ in pairs], "answer_starts": [starts for _, starts in pairs]}
    return Dataset.from_dict(columns)


def _texts(rows: Dataset, column: str, split: str) -> list[str]:
    texts = [str(value) for value in rows[column]]
    for row, text in enumerate(texts):
        if not text.strip():
            raise StrategyError(f"row {row} of the {split} split has an empty {column!r}: fill it or drop the row")
    return texts


def _ids(rows: Dataset, split: str, args: QuestionArguments) -> list[str]:
    if args.id_column == _ID and _ID not in rows.column_names:
        return [str(row) for row in range(len(rows))]
    check_columns(rows, split, {"id_column": args.id_column})
    return [str(value) for value in rows[args.id_column]]


def _answer_pairs(rows: Dataset, split: str, column: str) -> list[tuple[list[Any], list[Any]]]:
    if column in rows.column_names:
        return [_answers(value, f"row {row} of the {split} split", column) for row, value in enumerate(rows[column])]
    if split == "test":
        return []
    known = did_you_mean(column, rows.column_names)
    raise StrategyError(f"answers_column={column!r} is no column of the {split} split: {known}")


def _answers(value: Any, where: str, column: str) -> tuple[list[Any], list[Any]]:
    """Return the texts and the starts of a row's answers, given as an object of lists or a list of objects."""
    if value is None:
        return [], []
    if isinstance(value, list) and all(isinstance(answer, dict) for answer in value):
        return [answer.get("text") for answer in value], [answer.get("answer_start") for answer in value]
    texts, starts = (value.get(name) if isinstance(value, dict) else None for name in ("text", "answer_start"))
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        raise StrategyError(
            f"{where}: {column!r} is {_short(value)}: give {{text: [...], answer_start: [...]}}, two lists of like"
            " length, in a json lines or parquet file"
        )
    return texts, starts


def _mistakes(texts: Sequence[Any], starts: Sequence[Any], context: str) -> Iterator[str]:
    for text, start in zip(texts, starts, strict=True):
        if not isinstance(text, str) or not text.strip():
            yield f"an answer is {text!r}: give text, or no answers for a question that has none"
        elif not isinstance(start, int):
            yield f"answer_start is {start!r}: give the number of the character at which {_short(text)} begins"
        elif start < 0 or context[start : start + len(text)] != text:
            place = context.find(text)
            remedy = "correct the text or drop the row" if place < 0 else "correct answer_start"
            stands = "is nowhere in the context" if place < 0 else f"stands at {place}, not at answer_start={start}"
            yield f"the answer {_short(text)} {stands}: {remedy}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
