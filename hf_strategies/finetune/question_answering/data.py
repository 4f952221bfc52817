"""Question-answering data: questions about contexts, with the spans of the contexts that answer them."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from datasets import Dataset, DatasetDict
from transformers import PreTrainedConfig

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.arguments import DataArguments
from hf_strategies.finetune.data import (
    check_columns,
    check_test_labels,
    labelled_rows,
    limit,
    load_data,
    texts_of,
    with_validation,
)
from hf_strategies.finetune.given_columns import ROW, GivenRows
from hf_strategies.finetune.question_answering.given_answers import GivenAnswers, is_impossible, read_answers
from hf_strategies.finetune.question_answering.offline import PARAMETER_QUESTIONS
from hf_strategies.finetune.question_answering.squad import read_questions_file

__all__ = ["QuestionArguments", "QuestionData", "has_unanswerable", "load_questions"]

_ID = "id"
_IMPOSSIBLE = "is_impossible"  # SQuAD's mark of questions without an answer


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
    does not answer the question. A start is where the text begins in the context, -1 where that is not known; only
    that of the first answer of a training question is sure to be right. ``unanswered`` has the first row without
    answers of each split that has such rows. ``given`` are the rows of the test set as they stand in the file; None
    without a test set.
    """

    splits: DatasetDict
    unanswered: dict[str, int]
    name: str
    given: GivenRows | None = None

    @property
    def texts(self) -> list[str]:
        """The distinct contexts and questions of the training set, if there is one."""
        rows = self.splits.get("train", {"context": (), "question": ()})
        return list(dict.fromkeys([*rows["context"], *rows["question"]]))


def load_questions(args: QuestionArguments, *, seed: int = 0) -> QuestionData:
    """Load and check the questions that the arguments name, or the offline ones if they name none.

    Which questions are taken for validation does not depend on ``seed``, that of the run, so that runs with different
    seeds can be compared; all questions about a context stay on one side. Which ones ``max_train_samples`` leaves
    depends on it.

    Raises `StrategyError` for a missing column or text, for a first answer of the training set that is not at its
    ``answer_start``, and as `load_splits` does.
    """
    raw, name = load_data(args, PARAMETER_QUESTIONS, {".json": partial(read_questions_file, encoding=args.encoding)})
    check_test_labels(raw, "answers_column", args.answers_column)
    # Checked before they are split and cut, so that an error names the row of the file.
    checked = DatasetDict({split: _normal_form(rows, split, args) for split, rows in raw.items()})
    splits = limit(with_validation(checked, args, seed=0, together="context"), args, seed)
    unanswered = {split: _first_unanswered(rows) for split, rows in checked.items()}
    firsts = {split: row for split, row in unanswered.items() if row is not None}
    given = GivenRows.of(raw, splits, [args.id_column, args.answers_column])
    return QuestionData(splits.remove_columns(ROW), firsts, name, given)


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


def _first_unanswered(rows: Dataset) -> int | None:
    """Return the number in the file of the first question without an answer."""
    answers = rows["answer_texts"] if "answer_texts" in rows.column_names else ()
    return next((row for row, texts in zip(rows[ROW], answers, strict=False) if not texts), None)


def _normal_form(rows: Dataset, split: str, args: QuestionArguments) -> Dataset:
    """Return the rows with the columns of `QuestionData` and, in `ROW`, the number of each in the file.

    Rows whose answers are not known are left out. A test set in which no answers are known keeps all its rows, and
    has no columns of answers.
    """
    check_columns(
        rows, split, {f"{role}_column": getattr(args, f"{role}_column") for role in ("question", "context")}
    )
    questions, contexts = _texts(rows, args.question_column, split), _texts(rows, args.context_column, split)
    columns: dict[str, list[Any]] = {"id": _ids(rows, split, args), "question": questions, "context": contexts}
    answers = _all_answers(rows, split, args.answers_column)
    # Test sets with hidden answers have no such column, or an empty one.
    if split == "test" and not any(each and each.texts for each in answers):
        return Dataset.from_dict({**columns, ROW: range(len(rows))})
    missing = [row for row, each in enumerate(answers) if each is None]
    kept = labelled_rows(split, args.answers_column, missing, len(answers))
    columns = {name: [values[row] for row in kept] for name, values in columns.items()}
    known = [cast(GivenAnswers, answers[row]) for row in kept]
    mistakes = {
        row: mistake
        for row, each, context in zip(kept, known, columns["context"], strict=True)
        if (mistake := each.mistake(context, has_place=split == "train"))
    }
    for row, mistake in mistakes.items():
        more = f"; {len(mistakes) - 1} more rows have such a mistake" if len(mistakes) > 1 else ""
        raise StrategyError(f"row {row} of the {split} split: {mistake}{more}")
    columns |= {"answer_texts": [each.texts for each in known], "answer_starts": [each.places for each in known]}
    return Dataset.from_dict({**columns, ROW: kept})


def _texts(rows: Dataset, column: str, split: str) -> list[str]:
    texts = texts_of(rows, split, column)
    for row, text in enumerate(texts):
        if not text.strip():
            raise StrategyError(f"row {row} of the {split} split has an empty {column!r}: fill it or drop the row")
    return texts


def _ids(rows: Dataset, split: str, args: QuestionArguments) -> list[str]:
    """Return the ids; where the default column is not there, or has no value, the number of the row."""
    if args.id_column != _ID:
        check_columns(rows, split, {"id_column": args.id_column})
    values = rows[args.id_column] if args.id_column in rows.column_names else [None] * len(rows)
    return [str(row) if value in (None, "") else str(value) for row, value in enumerate(values)]


def _all_answers(rows: Dataset, split: str, column: str) -> list[GivenAnswers | None]:
    if split == "test" and column not in rows.column_names:
        return []
    check_columns(rows, split, {"answers_column": column}, gaps=["answers_column"])
    marks = rows[_IMPOSSIBLE] if _IMPOSSIBLE in rows.column_names else [None] * len(rows)
    return [
        _answers(value, mark, split, row, column)
        for row, (value, mark) in enumerate(zip(rows[column], marks, strict=True))
    ]


def _answers(value: Any, mark: Any, split: str, row: int, column: str) -> GivenAnswers | None:
    where = f"row {row} of the {split} split"
    if is_impossible(mark, where):
        return GivenAnswers([], [])
    # A single text, as a table has it, is enough to be compared with what is predicted.
    return read_answers(value, where, column, may_be_text=split != "train")
