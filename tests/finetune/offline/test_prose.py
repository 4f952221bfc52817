"""Which sentences of a docstring are taken for running text."""

import pytest

from hf_strategies.finetune.offline.prose import sentences_of

NUMPYDOC = """
Count the sheep that ``fence`` lets through.

Parameters
----------
fence : Fence
    The fence must be closed at all times.

Returns
-------
int
    The number of sheep that came through.

Notes
-----
Counting sheep is a way to fall asleep [1]_.

>>> count(Fence())
The output looks like a sentence here.

Examples
--------
The next example needs a very long fence::

    The literal block is not a sentence.

Done by :func:`~farm.count` and `a friend <http://x.org>`_ of mine.
"""


GOOGLE = """Opens the **gate** of the [`Farm`] for one day.

    Args:
        key (`str`):
            The key that opens the gate of the farm.
        name: The name of the farmer with the key.

    - A bullet point is not a running text.

    ```python
    The fenced code is not a sentence either.
    ```

    .. note::
        The farmer must be awake at that time.

    Raises:
        KeyError: If there is no key for the gate.
    """


SPHINX = """Feed all the hens in the yard, e.g. Bertha and her sisters.

:param corn: The corn that is given to them.
    It goes on in the following line here.
:returns: How many of the hens came along.

See https://hens.example for more about the hens.
The result is x = {1: 2} for all the hens.
Smith, J. and Miller, K. Hens And Their Food, Springer.

all sentences start with a capital letter here.

This one does not end as it should
"""


WRAPPED = ["Both sheep sleep in the old barn.", "Nobody knows why they do so."]


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (
            NUMPYDOC,
            [
                "Count the sheep that fence lets through.",
                "Counting sheep is a way to fall asleep.",
                "Done by count and a friend of mine.",
            ],
        ),
        (GOOGLE, ["Opens the gate of the Farm for one day.", "The farmer must be awake at that time."]),
        (SPHINX, ["Feed all the hens in the yard, e.g. Bertha and her sisters."]),
        ("Both sheep sleep in\nthe old barn. Nobody knows why they do so.", WRAPPED),
        ("", []),
    ],
    ids=["numpydoc", "google", "sphinx", "wrapped", "empty"],
)
def test_only_the_running_text_of_a_docstring_is_left(docstring: str, expected: list[str]) -> None:
    assert sentences_of(docstring) == expected


@pytest.mark.parametrize(("words", "kept"), [(5, False), (6, True), (40, True), (41, False)])
def test_a_sentence_has_6_to_40_words(words: int, kept: bool) -> None:
    text = " ".join(["Sheep"] + ["graze"] * (words - 1)) + "."
    assert sentences_of(text) == ([text] if kept else [])
