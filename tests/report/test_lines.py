"""Broken lines keep their words and, for a shell, for JSON and for Python, their meaning."""

import json
import os
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_strategies.report.lines import broken_literal, fill, fit, shell_command

WORDS = st.text(st.characters(codec="ascii", exclude_characters="\n", categories=("L", "N", "P", "S")), min_size=1)
TEXTS = st.lists(st.lists(WORDS, max_size=12).map(" ".join), max_size=5).map("\n".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(st.characters(codec="ascii"), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc, ", max_size=5), inner, max_size=4),
    max_leaves=15,
)


@given(text=TEXTS, width=st.integers(20, 90))
def test_fit_keeps_every_word_and_breaks_all_lines_with_a_space_to_break_at(text: str, width: int) -> None:
    fitted = fit(text, width)
    assert fitted.split() == text.split()
    for line in fitted.split("\n"):
        assert len(line) <= width or len(line.split()) == 1


def test_fit_indents_to_the_last_column() -> None:
    assert fit("  name    (default)  what it is for", 32) == "  name    (default)  what it is\n    for"
    assert fit("  name  what it is for", 15) == "  name  what it\n        is for"
    assert fit("unchanged  as it is", 19) == "unchanged  as it is"
    assert fit("any line " * 50, None) == "any line " * 50


def words(command: str) -> list[str]:
    """The words that a shell reads; unlike a shell, shlex does not join lines."""
    return shlex.split(command.replace(" \\\n", " "))


PLAIN = st.text(st.characters(codec="ascii", exclude_categories=("C",))).filter(
    lambda text: text[:1] not in ("{", "[")
)


@given(flags=st.dictionaries(st.text("abc_", min_size=1), PLAIN), width=st.integers(20, 60))
def test_a_shell_reads_a_broken_command_as_the_whole_one(flags: dict[str, str], width: int) -> None:
    text = " ".join(f"--{name} {shlex.quote(value)}" for name, value in flags.items())
    assert words(shell_command(text, width)) == shlex.split(text)


@pytest.mark.skipif(os.name != "posix", reason="needs sh")
def test_a_real_shell_does_too() -> None:
    values = {
        "one": "it's",
        "two": 'a "b", c',
        "three": "x" * 40,
        "four": '{"a": [1, 2], "b": "it\'s, d"}',
        "five": "",
    }
    text = " ".join(f"--{name} {shlex.quote(value)}" for name, value in values.items())
    broken = shell_command(text, 24)
    assert broken.count("\n") > 4
    done = subprocess.run(["sh", "-c", f"printf '%s\\0' {broken}"], capture_output=True, text=True, check=True)
    read = done.stdout.split("\0")[:-1]
    assert read[0::2] == [f"--{name}" for name in values]
    assert json.loads(read[7]) == json.loads(values["four"])
    assert [*read[1:7:2], read[9]] == ["it's", 'a "b", c', "x" * 40, ""]


@given(value=VALUES, width=st.integers(10, 60))
def test_a_broken_literal_means_the_same(value: object, width: int) -> None:
    text = json.dumps({"key": value})
    broken = broken_literal(text, width, "    ")
    assert json.loads(broken) == json.loads(text)
    quoted = shell_command(f"--lr_scheduler_kwargs {shlex.quote(text)}", width)
    assert json.loads(words(quoted)[1]) == json.loads(text)


@pytest.mark.parametrize("width", [30, 50])
def test_fill_leaves_indented_lines_alone(width: int) -> None:
    text = "A paragraph in\ntwo lines of the source, and more of it.\n\n    f(x) = 1\n\nexamples:\n  run --a 1 --b 2"
    filled = fill(text, width)
    assert filled.split() == text.split()
    assert "\n\n    f(x) = 1\n\nexamples:\n  run --a 1 --b 2" in filled
    assert max(map(len, filled.split("\n"))) <= width
