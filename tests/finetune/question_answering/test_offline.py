"""The offline questions: parameters in both styles of docstrings, and answers that stand where they are said to."""

from dataclasses import replace
from pathlib import Path

import pytest

from hf_strategies.finetune.offline.docstrings import Docstring
from hf_strategies.finetune.offline.task import load_offline
from hf_strategies.finetune.question_answering.offline import PARAMETER_QUESTIONS, parameters_of, questions_about

NUMPY = """
Count sheep.

Parameters
----------
fence : Fence, default=None
    The fence that the sheep jump over. It has to
    be low.

limit : int
    Stop after so many
    sheep have jumped.
x, y : float
    Both are left out for their names.
code : callable
    ``f(x) = x ** 2`` is what it does to sheep.

Returns
-------
count : int
    How many sheep have jumped over it.

Other Parameters
----------------
**kwargs
    Handed on to the fence. See there.
"""

GOOGLE = """
Count sheep.

Args:
    fence (:class:`Fence`, *optional*, defaults to `None`):
        The **fence** that the `sheep` jump over.
    limit: Stop after so many
        sheep have jumped. Or not.
    short (int): Too short.
    long (`List[int]`): This sentence goes on and on and on, for it has more words than any answer should have here.

Returns:
    count (int): How many sheep have jumped over it.
"""


def docstring(text: str) -> Docstring:
    return Docstring("farm", "farm.py", "count", text)


@pytest.mark.parametrize("style", [NUMPY, GOOGLE])
def test_both_styles_are_read(style: str) -> None:
    found = parameters_of(style)
    assert found.pop("kwargs", None) in (None, "Handed on to the fence.")
    assert found == {"fence": "The fence that the sheep jump over.", "limit": "Stop after so many sheep have jumped."}


def test_attributes_and_returns_are_no_parameters_of_one_another() -> None:
    assert parameters_of("Returns\n-------\ncount : int\n    How many sheep have jumped over it.\n") == {}
    assert parameters_of("Just a line.") == {}
    assert parameters_of("Args:") == {}
    assert parameters_of("Parameters\n----------") == {}


def test_each_parameter_is_asked_for_and_its_answer_stands_in_the_context() -> None:
    rows = list(questions_about(docstring(NUMPY)))
    assert [row["answers"]["text"] for row in rows] == [
        ["The fence that the sheep jump over"],
        ["Stop after so many sheep have jumped"],
        ["Handed on to the fence"],
    ]
    for name, row in zip(["fence", "limit", "kwargs"], rows, strict=True):
        [text], [start] = row["answers"]["text"], row["answers"]["answer_start"]
        assert row["context"][start : start + len(text)] == text
        assert row["context"][:start].endswith(f"{name}: ")
        assert name in row["question"].rstrip("?").split()


@pytest.mark.parametrize(("count", "asked"), [(1, 0), (2, 2), (4, 4), (11, 4)])
def test_a_context_has_2_to_4_parameters(count: int, asked: int) -> None:
    lines = [f"    p{number}: The number of sheep in field {number}." for number in range(count)]
    assert len(list(questions_about(docstring("\n".join(["Args:", *lines]))))) == asked


def test_the_data_set_is_the_same_each_time_and_no_context_is_in_two_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "farm").mkdir()
    for number in range(60):
        text = "\n".join(
            ["Count.", "", "Args:", *(f"    p{row}: Sheep {row} is in field {number}." for row in range(3))]
        )
        (tmp_path / "farm" / f"field{number}.py").write_text(f'"""{text}"""\nraise RuntimeError("imported")\n')
    monkeypatch.syspath_prepend(tmp_path)
    task = replace(PARAMETER_QUESTIONS, libraries=["farm"])
    first = load_offline(task, cache_dir=tmp_path / "one")
    again = load_offline(task, cache_dir=tmp_path / "two")
    assert first == again
    assert sum(map(len, first.values())) == 180
    contexts = [{row["context"] for row in rows} for rows in first.values()]
    assert all(contexts)
    assert sum(map(len, contexts)) == len(set.union(*contexts)) == 60
