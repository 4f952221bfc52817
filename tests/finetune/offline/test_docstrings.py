"""Which docstrings of a library are read, and that none of its code runs."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_strategies.finetune.offline.cache import Rows
from hf_strategies.finetune.offline.docstrings import LIBRARIES, docstrings_of, walk_docstrings
from tests.finetune.offline.packages import write_package


def test_names_count_from_the_module_wherever_the_definition_stands() -> None:
    source = """
'M.'
try:
    class A:
        'A.'
        async def f(self):
            'F.'
            def g(): 'G.'
except E:
    def h(): 'H.'
"""
    assert list(docstrings_of(source)) == [
        ("<module>", "M."),
        ("A", "A."),
        ("A.f", "F."),
        ("A.f.g", "G."),
        ("h", "H."),
    ]


def test_reading_a_library_runs_none_of_it(fakes: list[str], build: Callable[..., Rows]) -> None:
    assert len(list(walk_docstrings(fakes[0]))) == 11  # __init__ and one per animal; each raises if imported
    build(fakes, per_library=100)
    assert not set(fakes) & set(sys.modules)


def test_a_dotted_name_does_not_import_its_parent(fakes: list[str]) -> None:
    with pytest.raises(ValueError, match=r"'fake_burrows\.otter' is not installed"):
        next(walk_docstrings("fake_burrows.otter"))


def test_tests_vendored_copies_and_broken_files_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped = ("tests/a.py", "_vendor/b.py", "site-packages/c.py", "test_d.py", "conftest.py")
    write_package(tmp_path, "fake_farm", {"sub/kept.py": "Kept.", **dict.fromkeys(skipped, "Not read.")})
    (tmp_path / "fake_farm" / "python2.py").write_text('"""Not read."""\nprint "hello"\n')
    (tmp_path / "fake_farm" / "null.py").write_bytes(b'"""Not read."""\n\0')
    (tmp_path / "fake_farm" / "latin.py").write_bytes(b'"""Not read: \xe9."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    sources = {docstring.source for docstring in walk_docstrings("fake_farm")}
    assert sources == {"fake_farm/__init__.py:<module>", "fake_farm/sub/kept.py:<module>"}


def test_a_module_of_one_file_is_a_library_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fake_module.py").write_text('def f():\n    "Do it."\n')
    monkeypatch.syspath_prepend(tmp_path)
    (docstring,) = walk_docstrings("fake_module")
    assert docstring.source == "fake_module/fake_module.py:f"


def test_every_default_library_is_found_and_has_docstrings() -> None:
    assert {next(walk_docstrings(library)).library for library in LIBRARIES} == set(LIBRARIES)
