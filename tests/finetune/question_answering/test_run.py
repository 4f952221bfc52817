"""The question-answering recipe from flags to files, in one process and in two."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer, Trainer

from hf_strategies import StrategyError
from hf_strategies.finetune.question_answering.metrics import exact_matches, squad_2_answers, token_f1s
from hf_strategies.recipes import question_answering
from tests.finetune.runs import QUIET, predictions, read, write_jsonl
from tests.finetune.two_processes import run_recipe

NAMES = ["ann", "bob", "cid", "dora", "emil", "fay"]
PLACES = ["york", "oslo", "new rome", "old kent road", "paris", "bath"]
FILLERS = ["it", "rained", "all", "day", "and", "nobody", "came", "to", "see", "the", "old", "sea"]
# Windows of 32 tokens; batches in evaluation that the number of windows is no multiple of.
SIZES = ["--max_length", "32", "--doc_stride", "6", "--max_answer_length", "4", "--per_device_eval_batch_size", "4"]
TRAIN = ["--max_steps", "12", "--eval_strategy", "steps", "--eval_steps", "6", "--logging_steps", "3"]
TRAIN += ["--learning_rate", "3e-3", "--per_device_train_batch_size", "16", "--save_strategy", "no"]
N = 3


def residents(count: int, seed: int, unanswerable: float = 0.0) -> list[dict[str, Any]]:
    """Who lives where, in texts of 12 to 70 words; the answer may be in any window, or in none."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        names, places = chance.sample(NAMES, 3), chance.sample(PLACES, 3)
        context, starts = "", {}
        for name, place in zip(names, places, strict=True):
            context += " ".join([*chance.choices(FILLERS, k=chance.randint(0, 20)), f"{name} lives in "])
            starts[name] = len(context)
            context += f"{place} . "
        asked = chance.choice(
            [name for name in NAMES if name not in names] if chance.random() < unanswerable else names
        )
        known = asked in starts
        answers = {
            "text": [places[names.index(asked)]] if known else [],
            "answer_start": [starts[asked]] if known else [],
        }
        row = {"id": f"r{number}", "context": context, "question": f"where does {asked} live ?", "answers": answers}
        rows.append(row)
    return rows


def write_splits(folder: Path, unanswerable: float = 0.0) -> list[str]:
    folder.mkdir()
    flags = []
    for seed, (split, count) in enumerate({"train": 96, "validation": 21, "test": 17}.items()):
        flags += [f"--{split}_file", write_jsonl(folder / f"{split}.jsonl", residents(count, seed, unanswerable))]
    return flags


def run(out: Path, *flags: str) -> Trainer:
    return question_answering.main([*QUIET, *SIZES, *flags, "--output_dir", str(out)])


def logits_of_windows(out: Path, row: dict[str, Any]) -> Iterator[tuple[int, int, list[tuple[int, int]], Any, Any]]:
    """The saved model over a row's windows, made anew by hand: bounds and places of the context, and the logits."""
    model = AutoModelForQuestionAnswering.from_pretrained(out).eval()
    tokenizer = AutoTokenizer.from_pretrained(out)
    question = tokenizer(row["question"], add_special_tokens=False)["input_ids"]
    context = tokenizer(row["context"], add_special_tokens=False, return_offsets_mapping=True)
    ids, places = context["input_ids"], context["offset_mapping"]
    room, begin = 32 - 3 - len(question), 0
    while True:
        part = ids[begin : begin + room]
        inputs = [tokenizer.cls_token_id, *question, tokenizer.sep_token_id, *part, tokenizer.sep_token_id]
        types = [0] * (len(question) + 2) + [1] * (len(part) + 1)
        with torch.inference_mode():
            output = model(torch.tensor([inputs]), token_type_ids=torch.tensor([types]))
        first = len(question) + 2
        yield first, first + len(part), places[begin:], output.start_logits[0], output.end_logits[0]
        if begin + room >= len(ids):
            return
        begin += room - 6


def alone(out: Path, row: dict[str, Any]) -> tuple[list[tuple[str, float]], float, int]:
    """What the saved model answers, by a loop over all spans: the three best, no answer's score, the windows."""
    best: dict[tuple[int, int], float] = {}
    null, windows = float("inf"), 0
    for first, stop, places, start, end in logits_of_windows(out, row):
        windows += 1
        null = min(null, float(start[0] + end[0]))
        for i in range(first, stop):
            for j in range(i, min(i + 4, stop)):
                span = places[i - first][0], places[j - first][1]
                best[span] = max(best.get(span, -float("inf")), float(start[i] + end[j]))
    ranked = sorted(best.items(), key=lambda item: -item[1])[:N]
    return [(row["context"][begin:stop], score) for (begin, stop), score in ranked], null, windows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of this module lie."""
    return tmp_path_factory.mktemp("questions")


@pytest.fixture(scope="module")
def files(folder: Path) -> list[str]:
    """The flags of three files whose questions all have answers."""
    return write_splits(folder / "answered")


@pytest.fixture(scope="module")
def plain(folder: Path, files: list[str]) -> Path:
    """A run on them, with baselines and three alternatives."""
    run(folder / "plain", *files, *TRAIN, "--n_best", str(N), "--baselines", "--early_stopping_patience", "9")
    return folder / "plain"


@pytest.fixture(scope="module")
def unanswered_files(folder: Path) -> list[str]:
    """The flags of three files where half of the questions have no answer."""
    return write_splits(folder / "unanswered", unanswerable=0.5)


@pytest.fixture(scope="module")
def unanswered(folder: Path, unanswered_files: list[str]) -> Path:
    """A run on them."""
    run(folder / "squad2", *unanswered_files, *TRAIN)
    return folder / "squad2"


class TestResults:
    """The files that a run leaves when all questions have answers."""

    def test_metrics_of_validation_and_test_are_in_all_results(self, plain: Path) -> None:
        results = read(plain / "all_results.json")
        for split in ("eval", "test"):
            assert {f"{split}_{name}" for name in ("loss", "exact_match", "f1")} <= set(results)
        assert "eval_null_threshold" not in results
        assert (results["train_samples"] > 96, results["eval_samples"] > 21) == (True, True)  # windows

    def test_there_is_one_line_per_question_in_the_order_of_the_file(self, plain: Path) -> None:
        wanted = [(row["id"], row["question"], row["answers"]["text"]) for row in residents(17, 2)]
        assert [(row["id"], row["question"], row["answers"]) for row in predictions(plain)] == wanted

    def test_each_answer_is_that_of_a_slow_loop_over_all_spans_of_the_saved_model(self, plain: Path) -> None:
        windows = []
        for line, row in zip(predictions(plain), residents(17, 2), strict=True):
            found, _, count = alone(plain, row)
            windows.append(count)
            assert line["score"] == pytest.approx(found[0][1], abs=1e-4)
            assert [one["score"] for one in line["alternatives"]] == pytest.approx([s for _, s in found], abs=1e-4)
            assert line["prediction"] == line["alternatives"][0]["text"] == found[0][0]
            assert [one["text"] for one in line["alternatives"]] == [text for text, _ in found]
        assert sum(windows) > 2 * len(windows)

    def test_they_reproduce_the_test_metrics(self, plain: Path) -> None:
        said, right = ([row[key] for row in predictions(plain)] for key in ("prediction", "answers"))
        results = read(plain / "all_results.json")
        assert exact_matches(said, right).mean() == pytest.approx(results["test_exact_match"])
        assert token_f1s(said, right).mean() == pytest.approx(results["test_f1"])

    def test_the_loss_is_the_mean_over_the_windows_each_taken_alone(self, plain: Path) -> None:
        losses = []
        for row in residents(21, 1):
            [begin], [text] = row["answers"]["answer_start"], row["answers"]["text"]
            for first, stop, places, start, end in logits_of_windows(plain, row):
                inside = places[: stop - first]
                begins, ends = [place[0] for place in inside], [place[1] for place in inside]
                holds = begin in begins and begin + len(text) in ends
                wanted = (first + begins.index(begin), first + ends.index(begin + len(text))) if holds else (0, 0)
                logs = start.log_softmax(-1)[wanted[0]] + end.log_softmax(-1)[wanted[1]]
                losses.append(-float(logs) / 2)
        results = read(plain / "all_results.json")
        assert len(losses) == results["eval_samples"]
        assert results["eval_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)

    def test_answers_beyond_the_first_window_are_found(self, plain: Path) -> None:
        late = 0
        for line, row in zip(predictions(plain), residents(17, 2), strict=True):
            first_stop, places = next(
                (stop - first, places) for first, stop, places, *_ in logits_of_windows(plain, row)
            )
            ends_at = places[first_stop - 1][1]
            late += all(row["context"].find(one["text"]) >= ends_at for one in line["alternatives"][:1])
        assert late > 0

    def test_the_card_tells_of_the_baselines(self, plain: Path) -> None:
        card = (plain / "README.md").read_text(encoding="utf-8")
        assert "- test set, this model: exact_match" in card
        assert "- test set, likeliest sentence: exact_match" in card

    def test_a_test_set_without_answers_is_predicted_too(
        self, plain: Path, files: list[str], folder: Path, tmp_path: Path
    ) -> None:
        bare = [{key: row[key] for key in ("id", "context", "question")} for row in residents(17, 2)]
        test = write_jsonl(tmp_path / "bare.jsonl", bare)
        run(tmp_path / "out", "--do_train", "false", "--model_name_or_path", str(plain), "--test_file", test)
        lines = predictions(tmp_path / "out")
        assert all(set(line) == {"id", "context", "question", "prediction", "score"} for line in lines)
        assert [line["prediction"] for line in lines] == [line["prediction"] for line in predictions(plain)]
        assert not {"test_loss", "test_f1"} & set(read(tmp_path / "out" / "all_results.json"))

    def test_a_question_whose_answer_is_nowhere_has_metrics_and_no_loss(self, plain: Path, tmp_path: Path) -> None:
        rows = residents(2, 3)
        rows[0]["answers"] = {"text": ["no such place"]}
        results = {}
        for name, some in (("both", rows), ("second", rows[1:])):
            file = write_jsonl(tmp_path / f"{name}.jsonl", some)
            run(tmp_path / name, "--do_train", "false", "--model_name_or_path", str(plain), "--validation_file", file)
            results[name] = read(tmp_path / name / "all_results.json")
        assert results["both"]["eval_loss"] == pytest.approx(results["second"]["eval_loss"], rel=1e-5)
        assert results["both"]["eval_f1"] == pytest.approx(results["second"]["eval_f1"] / 2)


class TestUnanswerable:
    """Questions without answers."""

    def test_the_tuned_threshold_is_in_the_results_and_in_the_saved_model(self, unanswered: Path) -> None:
        threshold = read(unanswered / "all_results.json")["eval_null_threshold"]
        assert read(unanswered / "config.json")["null_threshold"] == threshold
        assert AutoModelForQuestionAnswering.from_pretrained(unanswered).config.null_threshold == threshold

    def test_no_answer_is_said_exactly_where_the_saved_model_prefers_it(self, unanswered: Path) -> None:
        threshold = read(unanswered / "config.json")["null_threshold"]
        lines = predictions(unanswered)
        for line, row in zip(lines, residents(17, 2, 0.5), strict=True):
            found, null, _ = alone(unanswered, row)
            assert line["null_score"] == pytest.approx(null, abs=1e-4)
            assert line["score"] == pytest.approx(found[0][1], abs=1e-4)
            assert line["prediction"] == ("" if null - found[0][1] > threshold else found[0][0])

    def test_they_reproduce_the_test_metrics_by_the_rules_of_squad_2(self, unanswered: Path) -> None:
        said, right = ([row[key] for row in predictions(unanswered)] for key in ("prediction", "answers"))
        assert 0 < right.count([]) < 17
        results = read(unanswered / "all_results.json")
        assert exact_matches(said, squad_2_answers(right)).mean() == pytest.approx(results["test_exact_match"])
        assert token_f1s(said, squad_2_answers(right)).mean() == pytest.approx(results["test_f1"])

    def test_an_evaluation_takes_the_threshold_of_the_model_or_the_one_given(
        self, unanswered: Path, unanswered_files: list[str], tmp_path: Path
    ) -> None:
        flags = ["--do_train", "false", "--model_name_or_path", str(unanswered), *unanswered_files[2:]]
        run(tmp_path / "again", *flags)
        before, after = read(unanswered / "all_results.json"), read(tmp_path / "again" / "all_results.json")
        assert [row["prediction"] for row in predictions(tmp_path / "again")] == [
            row["prediction"] for row in predictions(unanswered)
        ]
        for name in ("eval_loss", "eval_f1", "eval_exact_match", "test_f1", "test_loss"):
            assert after[name] == pytest.approx(before[name], rel=1e-5)
        run(tmp_path / "never", *flags, "--null_threshold", "1000")
        assert all(row["prediction"] for row in predictions(tmp_path / "never"))
        run(tmp_path / "always", *flags, "--null_threshold", "-1000")
        assert not any(row["prediction"] for row in predictions(tmp_path / "always"))


def test_two_processes_measure_the_same_weights_as_one_does(
    unanswered: Path, unanswered_files: list[str], tmp_path: Path
) -> None:
    flags = [*QUIET, *SIZES, "--do_train", "false", "--model_name_or_path", str(unanswered), *unanswered_files[2:]]
    one = run(tmp_path / "one", *flags)
    assert len(one.eval_dataset) % 8 not in (0, 4)  # type: ignore[arg-type]
    reports = run_recipe("question_answering", tmp_path, [*flags, "--output_dir", "two"])
    assert [report["world_size"] for report in reports] == [2, 2]
    wanted = read(tmp_path / "one" / "all_results.json")
    for report in reports:
        metrics = report["metrics"]
        assert {"eval_loss", "eval_exact_match", "eval_f1"} <= set(metrics)
        assert metrics == {name: pytest.approx(wanted[name], rel=1e-5) for name in metrics}
    alone, together = predictions(tmp_path / "one"), predictions(tmp_path / "two")
    assert [row["prediction"] for row in together] == [row["prediction"] for row in alone]
    assert [row["score"] for row in together] == pytest.approx([row["score"] for row in alone], abs=1e-5)


class _LoadedError(Exception):
    """A model was loaded."""


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], None),
        (["--doc_stride", "20"], r"doc_stride=20 leaves no room in windows of max_length=32: lower it to 13 or less"),
        (["--label_smoothing_factor", "0.1"], r"label_smoothing_factor=0.1 has no effect on the loss of spans"),
        (["--null_threshold", "1"], r"null_threshold=1.0 has no effect"),
        (
            ["--unanswerable", "true", "--eval_strategy", "no", "--do_eval", "false"],
            r"do_eval=False leaves the threshold .* null_threshold",
        ),
        (["--early_stopping_patience", "2", "--early_stopping_monitor", "accuracy"], r"'accuracy' is no metric here"),
        (["--max_length", "1000"], r"max_length=1000 is out of range: this model takes 3 to 512 tokens"),
        (
            ["--max_steps", "-1", "--num_train_epochs", "0"],
            r"num_train_epochs=0.0 is out of range: give a number above 0",
        ),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(
    flags: list[str], words: str | None, files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_args: Any, **_kwargs: Any) -> NoReturn:
        raise _LoadedError

    monkeypatch.setattr(question_answering, "load_model", load)
    with pytest.raises(StrategyError if words else _LoadedError, match=words):
        run(tmp_path / "out", *files, *TRAIN, *flags)
    assert not (tmp_path / "out").exists()


def test_lengths_in_epochs_count_windows_instead_of_rows(files: list[str], tmp_path: Path) -> None:
    kwargs = json.dumps({"gamma": 0.5, "step_size": "1ep"})
    flags = [
        "--lr_scheduler_type",
        "step_decay",
        "--lr_scheduler_kwargs",
        kwargs,
        "--per_device_train_batch_size",
        "64",
    ]
    trainer = run(tmp_path / "out", *files, *TRAIN, *flags, "--max_steps", "2")
    windows = len(trainer.train_dataset)  # type: ignore[arg-type]
    assert trainer.args.lr_scheduler_kwargs["steps_per_epoch"] == -(-windows // 64) > -(-96 // 64)  # type: ignore[index]
