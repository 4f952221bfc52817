"""The docstrings of installed libraries, read from their source files without importing them."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hf_strategies.errors import StrategyError

__all__ = [
    "DISTRIBUTIONS",
    "LIBRARIES",
    "STANDARD_LIBRARY",
    "Docstring",
    "docstrings_of",
    "library_version",
    "stable_rank",
    "walk_docstrings",
]

STANDARD_LIBRARY = "python"
"""The name that stands for Python's standard library, which is not a package."""

LIBRARIES: tuple[str, ...] = (
    STANDARD_LIBRARY,
    "torch",
    "transformers",
    "numpy",
    "pandas",
    "sklearn",
    "sympy",
    "networkx",
)
"""The libraries that offline data sets are made of: the standard library and packages that this one depends on."""

DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""The name to pip install, where it differs from the name to import."""

# Tests, tools that are not part of the documented library, and copies of other projects' code.
_SKIPPED_FOLDER = re.compile(
    r"site-packages|dist-packages|__pycache__|tests?|testing|idlelib|lib2to3|ensurepip|turtledemo|"
    r"_?vendor(ed)?|_bundled|_?externals?|third_party"
)

_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Docstring:
    """One docstring and its place, ``library/path:name``, which is the same on every machine.

    ``path`` is relative to the library, with forward slashes; ``name`` is the qualified name in that file;
    ``text`` is dedented, otherwise as written.
    """

    library: str
    path: str
    name: str
    text: str

    @property
    def source(self) -> str:
        """The place of the docstring as text: ``"numpy/lib/_npyio_impl.py:load"``."""
        return f"{self.library}/{self.path}:{self.name}"


def walk_docstrings(library: str, *, seed: int = 0) -> Iterator[Docstring]:
    """Yield the docstrings of an installed library, file by file in a random order that depends only on ``seed``.

    ``library`` is a top-level package or module, or ``"python"`` for the standard library. The files are sorted by a
    hash of seed and relative path: a caller that stops early has a random sample, the same one each time. Files that
    cannot be read or parsed are skipped. Raises StrategyError if the library is not installed.

    >>> next(walk_docstrings("python")).library
    'python'
    """
    files = dict(_python_files(_root_of(library)))
    for path in sorted(files, key=lambda path: stable_rank(seed, library, path)):
        try:
            source_code = importlib.util.decode_source(files[path].read_bytes())
            docstrings = list(docstrings_of(source_code))
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # Python 2, a template or an unknown encoding
        yield from (Docstring(library, path, name, text) for name, text in docstrings)


def docstrings_of(source_code: str) -> Iterator[tuple[str, str]]:
    """Yield (qualified name, docstring) of a module and of each class and function in it, in file order.

    The name is qualified within the module: ``"Class.method"``, and ``"<module>"`` for the module itself. The code is
    parsed, never run. Raises SyntaxError, ValueError or RecursionError if it cannot be parsed.

    >>> list(docstrings_of('"Top."\\nclass A:\\n  def f(self):\\n    "Do it."'))
    [('<module>', 'Top.'), ('A.f', 'Do it.')]
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about invalid escapes in another project's file
        tree = ast.parse(source_code)
    yield from _documented(tree, "")


def stable_rank(*parts: object) -> str:
    """Return a hash of ``parts`` to sort by; unlike ``hash()`` it is the same in every process.

    >>> stable_rank(0, "a") == stable_rank(0, "a") != stable_rank(1, "a")
    True
    """
    text = "\0".join(map(str, parts))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def library_version(library: str) -> str:
    """Return the version of an installed library, by its name in imports; Python's for the standard library.

    >>> library_version("python") == platform.python_version()
    True
    """
    if library == STANDARD_LIBRARY:
        return platform.python_version()
    try:
        return importlib.metadata.version(DISTRIBUTIONS.get(library, library))
    except importlib.metadata.PackageNotFoundError:
        return "unknown"  # a package on sys.path only; if it is missing altogether, `walk_docstrings` raises


def _documented(node: ast.AST, prefix: str) -> Iterator[tuple[str, str]]:
    docstring = ast.get_docstring(node) if isinstance(node, ast.Module | _Definition) else None
    if docstring:
        yield prefix or "<module>", docstring
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            yield from _documented(child, f"{prefix}.{child.name}".lstrip("."))
        elif isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _documented(child, prefix)  # a definition under an ``if`` or ``try``


def _root_of(library: str) -> Path:
    if library == STANDARD_LIBRARY:
        return Path(sysconfig.get_path("stdlib"))
    # With a dotted name find_spec would import the parent package.
    spec = importlib.util.find_spec(library) if library.isidentifier() else None
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    if spec is not None and spec.origin is not None:
        return Path(spec.origin)
    raise StrategyError(
        f"libraries: {library!r} is not installed here; "
        f"run `pip install {DISTRIBUTIONS.get(library, library)}` or leave it out"
    )


def _python_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path relative to the library, file) of each source file; ``root`` is a folder or a single module."""
    if root.is_file():
        yield root.name, root
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if not _SKIPPED_FOLDER.fullmatch(name)]
        for file in (Path(folder, name) for name in files if name.endswith(".py")):
            if not file.name.startswith(("test_", "conftest")):
                yield file.relative_to(root).as_posix(), file
