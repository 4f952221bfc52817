"""Questions from files of each form; what is wrong with one is told with its place and a remedy."""

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from hf_strategies import StrategyError
from hf_strategies.finetune.question_answering.data import (
    QuestionArguments,
    QuestionData,
    has_unanswerable,
    load_questions,
)

CONTEXT = "Ann lives in York. Bob lives in Oslo."
ASKED: list[dict[str, Any]] = [
    {
        "id": "q1",
        "context": CONTEXT,
        "question": "Where does Ann live?",
        "answers": {"text": ["York", "in York"], "answer_start": [13, 10]},
    },
    {
        "id": "q2",
        "context": CONTEXT,
        "question": "Who lives in Oslo?",
        "answers": {"text": ["Bob"], "answer_start": [19]},
    },
    {
        "id": "q3",
        "context": "Nobody lives there.",
        "question": "Where?",
        "answers": {"text": [], "answer_start": []},
    },
]
WANTED = [
    ("q1", "Where does Ann live?", CONTEXT, ["York", "in York"], [13, 10]),
    ("q2", "Who lives in Oslo?", CONTEXT, ["Bob"], [19]),
    ("q3", "Where?", "Nobody lives there.", [], []),
]


def json_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def nested(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """SQuAD 2.0's own form: articles, paragraphs, questions."""
    articles = []
    for row in rows:
        texts, starts = row["answers"]["text"], row["answers"]["answer_start"]
        answers = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
        question = {"id": row["id"], "question": row["question"], "answers": answers, "is_impossible": not answers}
        if not answers:
            question["plausible_answers"] = [{"text": "lives", "answer_start": 7}]
        articles.append({"title": "People", "paragraphs": [{"context": row["context"], "qas": [question]}]})
    return {"version": "v2.0", "data": articles}


def objects(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answers as a list of objects, as some files have them."""
    found = []
    for row in rows:
        pairs = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        found.append(row | {"answers": [{"text": text, "answer_start": start} for text, start in pairs]})
    return found


def load(file: Path, **options: Any) -> QuestionData:
    options = {"train_file": str(file), "validation_file": str(file)} | options
    return load_questions(QuestionArguments(**options))


def contents(rows: Dataset) -> list[tuple[Any, ...]]:
    names = ("id", "question", "context", "answer_texts", "answer_starts")
    return [tuple(row[name] for name in names) for row in rows]


@pytest.mark.parametrize("form", ["lines", "list", "nested", "flat data", "objects", "parquet"])
def test_all_forms_give_the_same_rows(form: str, tmp_path: Path) -> None:
    file = tmp_path / ("rows.parquet" if form == "parquet" else "rows.json")
    if form == "parquet":
        Dataset.from_list(ASKED).to_parquet(file)
    else:
        texts = {
            "lines": json_lines(ASKED),
            "list": json.dumps(ASKED),
            "nested": json.dumps(nested(ASKED), indent=1),
            "flat data": json.dumps({"version": "x", "data": ASKED}),
            "objects": json_lines(objects(ASKED)),
        }
        file.write_text(texts[form], encoding="utf-8")
    data = load(file)
    assert contents(data.splits["train"]) == contents(data.splits["validation"]) == WANTED
    assert data.unanswered == {"train": 2, "validation": 2}
    assert data.texts == [CONTEXT, "Nobody lives there.", *(row["question"] for row in ASKED)]


def about(contexts: int, questions: int) -> list[dict[str, Any]]:
    """Make rows: ``questions`` about each of so many contexts, those of a context far apart."""
    return [
        {"question": f"{number}?", "context": f"Text {text}.", "answers": {"text": ["Text"], "answer_start": [0]}}
        for number in range(questions)
        for text in range(contexts)
    ]


def test_no_context_is_both_trained_on_and_validated_on(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json_lines(about(contexts=20, questions=7)), encoding="utf-8")
    splits = load(file, validation_file=None, validation_fraction=0.1).splits
    trained, validated = set(splits["train"]["context"]), set(splits["validation"]["context"])
    assert not trained & validated
    assert (len(validated), len(splits["validation"])) == (2, 14)  # a tenth of the 20 contexts, whole
    assert (len(trained), len(splits["train"])) == (18, 126)


def test_questions_about_one_context_cannot_be_split(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text(json_lines(about(contexts=1, questions=7)), encoding="utf-8")
    with pytest.raises(StrategyError, match="has one context, and there is no validation set: give validation_file"):
        load(file, validation_file=None)


def test_other_columns_and_rows_without_ids_can_be_read(tmp_path: Path) -> None:
    rows = [{"q": row["question"], "text": row["context"], "a": row["answers"]} for row in ASKED]
    (tmp_path / "rows.jsonl").write_text(json_lines(rows), encoding="utf-8")
    names = {"question_column": "q", "context_column": "text", "answers_column": "a"}
    data = load(tmp_path / "rows.jsonl", **names)
    assert contents(data.splits["train"]) == [(str(n), *row[1:]) for n, row in enumerate(WANTED)]


@pytest.mark.parametrize("hidden", ["none", "empty"])
def test_a_test_set_may_hide_its_answers(hidden: str, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json_lines(ASKED), encoding="utf-8")
    rows = [{key: row[key] for key in ("id", "question", "context")} for row in ASKED]
    if hidden == "empty":
        rows = [row | {"answers": {"text": [], "answer_start": []}} for row in rows]
    (tmp_path / "test.json").write_text(json_lines(rows), encoding="utf-8")
    data = load(tmp_path / "rows.json", test_file=str(tmp_path / "test.json"))
    assert data.splits["test"].column_names == ["id", "question", "context"]
    assert list(data.unanswered) == ["train", "validation"]


def answers(texts: list[Any], starts: list[Any]) -> dict[str, Any]:
    return ASKED[0] | {"answers": {"text": texts, "answer_start": starts}}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            answers(["York"], [12]),
            r"row 1 of the train split: the answer 'York' stands at 13, not at answer_start=12",
        ),
        (answers(["York"], [-24]), r"stands at 13, not at answer_start=-24: correct answer_start"),
        (answers(["Rome"], [3]), r"'Rome' is nowhere in the context: correct the text or drop the row"),
        (answers([" "], [3]), r"an answer is ' ': give text, or no answers"),
        (answers(["York"], [None]), r"answer_start is None: give the number of the character at which 'York' begins"),
        (answers(["York"], [13, 14]), r"row 1 of the train split: 'answers' is .*two lists of like length"),
        (ASKED[0] | {"context": " "}, r"row 1 of the train split has an empty 'context': fill it or drop the row"),
        (ASKED[0] | {"question": None}, r"row 1 of the train split has no 'question'"),
    ],
)
def test_a_bad_row_is_told_with_its_number(row: dict[str, Any], words: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json_lines([ASKED[0], row]), encoding="utf-8")
    with pytest.raises(StrategyError, match=words):
        load(tmp_path / "rows.jsonl")


def test_only_the_first_answer_of_a_training_question_needs_a_place(tmp_path: Path) -> None:
    row = answers(["York", "in  York", "Yorkshire"], [13, 10, None])
    (tmp_path / "train.jsonl").write_text(json_lines([row]), encoding="utf-8")
    wrong = answers(["in  York", "York"], [10, 12])
    (tmp_path / "dev.jsonl").write_text(json_lines([wrong]), encoding="utf-8")
    data = load(tmp_path / "train.jsonl", validation_file=str(tmp_path / "dev.jsonl"))
    assert data.splits["train"][0]["answer_starts"] == [13, 10, -1]
    assert data.splits["validation"][0]["answer_texts"] == ["in  York", "York"]
    (tmp_path / "train.jsonl").write_text(json_lines([ASKED[0], wrong, wrong]), encoding="utf-8")
    with pytest.raises(
        StrategyError, match=r"row 1 of .* nowhere in the context: .*; 1 more rows have such a mistake"
    ):
        load(tmp_path / "train.jsonl")


@pytest.mark.parametrize(
    "given",
    [
        {"text": ["York", "in York"]},
        [{"text": "York"}, {"text": "in York"}],
        ["York", "in York"],
        {"text": ["York", "in York"], "answer_start": [None, None]},
    ],
)
def test_answers_to_compare_with_need_no_starts(given: Any, tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json_lines(ASKED), encoding="utf-8")
    (tmp_path / "dev.jsonl").write_text(json_lines([ASKED[0] | {"answers": given}]), encoding="utf-8")
    data = load(tmp_path / "train.json", validation_file=str(tmp_path / "dev.jsonl"))
    assert contents(data.splits["validation"]) == [
        ("q1", ASKED[0]["question"], CONTEXT, ["York", "in York"], [-1, -1])
    ]
    with pytest.raises(StrategyError, match="row 0 of the train split: answer_start is None: give the number"):
        load(tmp_path / "dev.jsonl")


def test_a_table_may_have_the_text_of_an_answer_to_compare_with(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json_lines(ASKED), encoding="utf-8")
    (tmp_path / "test.csv").write_text("question,context,answers\nWhere?,In York.,York\nWho?,I.,\n", encoding="utf-8")
    data = load(tmp_path / "train.json", test_file=str(tmp_path / "test.csv"))
    # The answer to the second question is not known.
    assert contents(data.splits["test"]) == [("0", "Where?", "In York.", ["York"], [-1])]


def test_rows_whose_answers_are_not_known_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [ASKED[0], ASKED[1] | {"answers": None}, ASKED[2]]
    (tmp_path / "rows.jsonl").write_text(json_lines(rows), encoding="utf-8")
    data = load(tmp_path / "rows.jsonl")
    assert data.splits["train"]["id"] == ["q1", "q3"]
    assert data.unanswered["train"] == 2  # the row in the file
    assert "1 of the 3 rows of the train split has no label in 'answers' and is left out: row 1." in caplog.text


class TestSquadFiles:
    """Files in SQuAD's form that lack a part."""

    def squad(self, folder: Path, *questions: dict[str, Any]) -> Path:
        file = folder / "squad.json"
        content = {"data": [{"paragraphs": [{"context": CONTEXT, "qas": list(questions)}]}]}
        file.write_text(json.dumps(content), encoding="utf-8")
        return file

    def test_without_ids_they_are_the_numbers_of_the_rows(self, tmp_path: Path) -> None:
        given = {"question": "Where?", "answers": [{"text": "York", "answer_start": 13}]}
        data = load(self.squad(tmp_path, given, given | {"id": 7}, given))
        assert data.splits["train"]["id"] == ["0", "7", "2"]

    def test_a_test_file_may_hide_its_answers(self, tmp_path: Path) -> None:
        (tmp_path / "train.json").write_text(json_lines(ASKED), encoding="utf-8")
        file = self.squad(
            tmp_path, {"id": "1", "question": "Where?"}, {"id": "2", "question": "Who?", "answers": None}
        )
        data = load(tmp_path / "train.json", test_file=str(file))
        assert data.splits["test"].column_names == ["id", "question", "context"]
        assert data.splits["test"]["id"] == ["1", "2"]
        with pytest.raises(StrategyError, match=r"validation_file=.*qas\[0\] has no 'answers'"):
            load(tmp_path / "train.json", validation_file=str(file))

    @pytest.mark.parametrize(
        ("value", "count"),
        [(True, 0), ("true", 0), ("True", 0), (1, 0), (1.0, 0), (0.0, 1), (False, 1), ("false", 1), (None, 1)],
    )
    def test_whether_a_question_is_impossible_may_be_text(self, value: Any, count: int, tmp_path: Path) -> None:
        given = {"question": "Where?", "answers": [{"text": "York", "answer_start": 13}], "is_impossible": value}
        data = load(self.squad(tmp_path, given))
        assert len(data.splits["train"][0]["answer_texts"]) == count

    @pytest.mark.parametrize(("value", "count"), [("true", 0), ("false", 1), (None, 1)])
    def test_a_row_may_have_that_mark_as_well(self, value: Any, count: int, tmp_path: Path) -> None:
        (tmp_path / "rows.jsonl").write_text(json_lines([ASKED[1] | {"is_impossible": value}]), encoding="utf-8")
        data = load(tmp_path / "rows.jsonl")
        assert len(data.splits["train"][0]["answer_texts"]) == count

    def test_any_other_text_is_refused(self, tmp_path: Path) -> None:
        given = {"question": "Where?", "answers": [], "is_impossible": "perhaps"}
        with pytest.raises(StrategyError, match=r"qas\[0\] has is_impossible='perhaps': give true or false"):
            load(self.squad(tmp_path, given))

    def test_further_answers_need_no_start(self, tmp_path: Path) -> None:
        given = {"question": "Where?", "answers": [{"text": "York", "answer_start": 13}, {"text": "in  York"}]}
        assert load(self.squad(tmp_path, given)).splits["train"]["answer_starts"] == [[13, -1]]


def test_answers_that_are_text_are_told(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("question,context,answers\nWhere?,In York.,York\n", encoding="utf-8")
    with pytest.raises(
        StrategyError, match=r"row 0 of the train split: 'answers' is 'York': give \{text: \[\.\.\.\]"
    ):
        load(tmp_path / "rows.csv")


def paragraph(**parts: Any) -> dict[str, Any]:
    return {"data": [{"title": "x", "paragraphs": [{"context": CONTEXT, "qas": []} | parts]}]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"data": []}, r"rows.json' is empty: give at least one question"),
        ({"data": [{"paragraphs": []}]}, r"rows.json' is empty"),
        ({"data": [{"title": "x"}]}, r"data\[0\] has no 'paragraphs': SQuAD's form wants a list there"),
        ({"data": ["x"]}, r"data\[0\] has no 'paragraphs'"),
        ({"data": [{"paragraphs": "x"}]}, r"data\[0\] has str for its 'paragraphs'"),
        (paragraph(context=3), r"data\[0\].paragraphs\[0\] has int for its 'context': SQuAD's form wants text"),
        (paragraph(qas=[{"id": "1", "answers": []}]), r"paragraphs\[0\].qas\[0\] has no 'question'"),
        (paragraph(qas=[{"question": "x"}]), r"qas\[0\] has no 'answers': SQuAD's form wants a list there"),
        (
            paragraph(qas=[{"question": "x", "answers": [{"text": "Ann"}]}]),
            r"qas\[0\].answers has no 'answer_start': SQuAD's form wants a whole number",
        ),
    ],
)
def test_a_malformed_squad_file_is_told_with_the_place(content: dict[str, Any], words: str, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(StrategyError, match=words) as raised:
        load(tmp_path / "rows.json")
    assert str(raised.value).startswith("train_file=")


def test_a_squad_file_that_was_cut_off_is_told(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(nested(ASKED))[:-40], encoding="utf-8")
    with pytest.raises(StrategyError, match=r"train_file='.*rows.json' is not readable as json"):
        load(tmp_path / "rows.json")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"answers_column": "answer"}, r"answers_column='answer' is no column of the train split: did you mean"),
        ({"question_column": "questio"}, r"question_column='questio' is no column .*did you mean 'question'"),
        ({"id_column": "key"}, r"id_column='key' is no column"),
        ({"doc_stride": -1}, r"doc_stride=-1 is out of range: give a whole number of at least 0"),
        ({"n_best": 0}, r"n_best=0 is out of range: give a whole number from 1 to 1000"),
        ({"max_answer_length": 0}, r"max_answer_length=0 is out of range"),
        ({"null_threshold": float("nan")}, r"null_threshold=nan is not finite"),
        ({"null_threshold": 1.0, "unanswerable": False}, r"null_threshold=1.0 with unanswerable=False"),
    ],
)
def test_bad_flags_are_told(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json_lines(ASKED), encoding="utf-8")
    with pytest.raises(StrategyError, match=words):
        load(tmp_path / "rows.json", **options)


class TestUnanswerable:
    """Whether "no answer" is predicted follows from the training set, unless it is said."""

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "all.json").write_text(json_lines(ASKED), encoding="utf-8")
        (tmp_path / "answered.json").write_text(json_lines(ASKED[:2]), encoding="utf-8")
        monkeypatch.chdir(tmp_path)

    def decide(self, **options: Any) -> bool:
        args = QuestionArguments(**options)
        return has_unanswerable(args, load_questions(args), None)

    @pytest.mark.parametrize(
        ("options", "wanted"),
        [
            ({"train_file": "all.json"}, True),
            ({"train_file": "answered.json", "validation_file": "answered.json"}, False),
            ({"train_file": "answered.json", "validation_file": "all.json", "unanswerable": True}, True),
            ({"test_file": "all.json"}, True),
            ({"test_file": "answered.json"}, False),
            # The first rows that a trial run is cut to may all have answers.
            ({"train_file": "all.json", "validation_file": "all.json", "max_train_samples": 1}, True),
        ],
    )
    def test_it_is_decided_by_the_training_set_or_the_flag(self, options: dict[str, Any], wanted: bool) -> None:
        assert self.decide(**options) is wanted

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (
                {"train_file": "all.json", "unanswerable": False},
                r"row 2 of the train split has no answer: set unansw",
            ),
            (
                {"train_file": "answered.json", "validation_file": "all.json"},
                r"row 2 of the validation split has no answer: set unanswerable=True, or drop such rows",
            ),
            (
                {"train_file": "answered.json", "validation_file": "answered.json", "null_threshold": 1.0},
                r"null_threshold=1.0 has no effect",
            ),
        ],
    )
    def test_what_contradicts_the_data_is_told(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(StrategyError, match=words):
            self.decide(**options)


@pytest.mark.real_data
def test_xquad_is_the_same_in_both_of_its_forms(real_data: Path) -> None:
    for split, count in (("train", 839), ("validation", 351)):
        forms = [load(real_data / "xquad_en" / f"{split}{form}.json") for form in ("", "_squad")]
        assert contents(forms[0].splits["train"]) == contents(forms[1].splits["train"])
        assert len(forms[0].splits["train"]) == count
        assert forms[0].unanswered == {}
