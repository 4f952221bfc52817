"""The built wheel with several versions of transformers, accelerate, torch and Python: `make matrix`.

    python -m tests.matrix [--only 5.16] [--workers 2] [--output docs/versions.md]

Each row gets a fresh environment outside the checkout, in which the tests run from a copy of theirs, so that
hf_strategies can only come from the wheel. It is removed before the next one: older releases of torch bring CUDA.
"""

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
TESTS = (
    "tests/trainer",
    "tests/launch",
    "tests/pytorch",
    "tests/finetune/test_same_rules.py",
    "tests/finetune/test_metrics.py",
)
TOOLS = ("hypothesis", "matplotlib", "openpyxl", "optuna", "pandas", "pytest>=8.3", "pytest-timeout", "pytest-xdist")
ONE_PROCESS = "not two_ranks and not two_processes and not both_ranks and not under_fsdp and not under_ddp"
LOWER_BOUNDS = ("datasets", "evaluate", "numpy", "pyyaml", "rich", "safetensors", "scikit-learn", "scipy")
BEGIN, END = "<!-- the table of make matrix -->", "<!-- its end -->"


@dataclass(frozen=True)
class Row:
    """One environment; a version of "" is the newest that the others admit, and ``oldest`` takes our lower bounds."""

    transformers: str
    python: str = "3.11"
    accelerate: str = ""
    torch: str = ""
    peft: str = ""
    oldest: bool = False
    whole: bool = False

    def requirements(self) -> list[str]:
        """What pip is asked for beside the wheel."""
        names = ("torch", "transformers", "accelerate", "peft")
        found = [f"{name}=={getattr(self, name)}" if getattr(self, name) else name for name in names]
        return [*found, *(lower_bounds() if self.oldest else ()), *TOOLS]


# accelerate 1.10 and torch 2.6 are the oldest that pyproject.toml admits, and torch 2.6 the oldest of 5.24.
ROWS = (
    Row("5.6.0", accelerate="1.10.0", torch="2.6.0", peft="0.18.0", oldest=True, whole=True),
    Row("5.6.0", accelerate="1.11.0", torch="2.13.0", peft="0.18.1"),
    Row("5.15.1", torch="2.13.0"),
    Row("5.16.1", accelerate="1.13.0", torch="2.13.0", peft="0.20.0"),
    Row("5.24.0", accelerate="1.10.0", torch="2.6.0", peft="0.18.0"),
    Row("5.24.0", torch="2.13.0", whole=True),
    Row("5.24.0", python="3.12"),
    Row("5.24.0", python="3.13"),
    Row("5.24.0", python="3.14"),
)


def lower_bounds() -> list[str]:
    """The lower bounds of pyproject.toml for what the row does not name, each as an exact version."""
    text = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    return [re.sub(">=", "==", found) + ".*" for found in re.findall(r'^    "([\w-]+>=[\d.]+)"', text, re.MULTILINE)
            if found.split(">=")[0] in LOWER_BOUNDS]  # fmt: skip


def interpreter(version: str) -> str | None:
    """A Python of this version that starts: of pyenv, on the PATH, or known to uv."""
    name = f"python{version}"
    found = [
        *map(str, sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/{name}"))),
        shutil.which(name),
    ]
    if shutil.which("uv"):
        found.append(subprocess.run(["uv", "python", "find", version], capture_output=True, text=True).stdout.strip())
    return next(
        (each for each in found if each and subprocess.run([each, "-c", ""], capture_output=True).returncode == 0),
        None,
    )


def build(folder: Path) -> Path:
    """Build the wheel of this checkout."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(CHECKOUT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def copied(folder: Path) -> Path:
    """The tests with what they read, and without the package."""
    for name in ("tests", "recipes", "docs"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    shutil.copy(CHECKOUT / "pyproject.toml", folder)
    return folder


def tried(row: Row, wheel: Path, tests: Path, folder: Path, workers: int) -> tuple[str, str]:
    """Install a row, and run its tests; return the versions that it got, and what came of it."""
    python = interpreter(row.python)
    if python is None:
        return "", f"skipped: no Python {row.python} here"
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    bin_ = folder / "bin"
    pip = [str(bin_ / "python"), "-m", "pip", "install", "--quiet", str(wheel), *row.requirements()]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        return "", "not installed: " + next((line for line in done.stderr.splitlines() if "ERROR" in line), "see pip")
    code = (
        "import hf_strategies as h, torch, accelerate; print(h.__file__, accelerate.__version__, torch.__version__)"
    )
    file, accelerate, torch = subprocess.run(
        [str(bin_ / "python"), "-W", "ignore", "-c", code], cwd=tests, capture_output=True, text=True, check=True
    ).stdout.split()
    assert Path(file).is_relative_to(folder), file
    chosen = "not slow and not docs and not trainers"
    words = ["-q", "-p", "no:cacheprovider", "-n", str(workers), "-m", chosen, *TESTS]
    words += [] if row.whole else ["-k", ONE_PROCESS]
    ended = subprocess.run([str(bin_ / "python"), "-m", "pytest", *words], cwd=tests, capture_output=True, text=True)
    print(*(line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))), sep="\n")
    return f"{accelerate} | {torch}", re.sub(r" in .*|=+ ?|\d+ deselected,? ?", "", last_line(ended)).strip(" ,")


def last_line(ended: "subprocess.CompletedProcess[str]") -> str:
    """The line with pytest's counts, or how it broke off."""
    counts = [line for line in ended.stdout.splitlines() if re.search(r"\d+ (passed|failed|error)", line)]
    return counts[-1] if counts else f"broke off with {ended.returncode}: {ended.stderr.strip()[-200:]}"


def table(lines: Sequence[str]) -> str:
    """The rows as Markdown."""
    return "\n".join(["| transformers | Python | accelerate | torch | tests | result |", "|-|-|-|-|-|-|", *lines])


def write(file: Path, text: str) -> None:
    """Put the table between its two marks in a page."""
    page = file.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    file.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> int:
    """Try the rows, print their table and write it; the exit code is 1 where a test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose 'transformers python' contains this text")
    parser.add_argument("--workers", type=int, default=2, help="processes of pytest (default: 2)")
    parser.add_argument("--output", type=Path, help="a page with the two marks, whose table is replaced")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it would be ignored, by tests too
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="hf_strategies_matrix_") as name:
        wheel, tests = build(Path(name) / "wheel"), copied(Path(name) / "work")
        for row in (row for row in ROWS if args.only in f"{row.transformers} {row.python}"):
            versions, result = tried(row, wheel, tests, Path(name) / "venv", args.workers)
            shutil.rmtree(Path(name) / "venv", ignore_errors=True)
            scope = "all" if row.whole else "one process"
            lines.append(f"| {row.transformers} | {row.python} | {versions or ' | '} | {scope} | {result} |")
            print(lines[-1], flush=True)
    print(table(lines))
    if args.output:
        write(args.output, table(lines))
    return int(any(re.search(r"failed|error|broke|not installed", line) for line in lines))


if __name__ == "__main__":
    sys.exit(main())
