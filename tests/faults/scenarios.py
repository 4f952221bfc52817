"""What is broken, and how: each scenario is a few runs of one command, and whether they end as the whole run does."""

import os
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.operations import FAULTS, Operation, kill_at
from tests.faults.runs import Run, Sandbox, differences, finished, results

__all__ = ["Outcome", "Reference", "Scenario", "files_of_a_killed_run", "scenarios"]


@dataclass(frozen=True)
class Outcome:
    """Whether a run went on after the fault, whether it ended as the whole run did, and what went wrong if not."""

    survived: bool
    identical: bool
    detail: str = ""


@dataclass(frozen=True)
class Reference:
    """A whole run of a strategy: its results, the operations on files that it made, and the files of a killed one.

    ``files`` are those that are left when the run is killed after its third checkpoint, but for the older two.
    """

    results: dict[str, Any]
    operations: tuple[Operation, ...]
    files: tuple[str, ...] = ()

    def first(self, kind: str, path: str) -> int:
        """Return the number of the first operation of this kind on a path that ends so."""
        return next(each.number for each in self.operations if each.kind == kind and each.path.endswith(path))


@dataclass(frozen=True)
class Scenario:
    """One scenario: the row of the table that it counts in, what is broken, the strategy, and its runs."""

    fault: str
    name: str
    strategy: str
    play: Callable[[Sandbox, Reference], Outcome]


def scenarios(references: dict[str, Reference]) -> Iterator[Scenario]:
    """Yield all scenarios; ``references`` are the whole runs by their strategies."""
    for strategy, reference in references.items():
        yield from _at_operations(strategy, reference)
        yield from _in_the_folder(strategy)
    yield from _damages(references)


# How many operations of each strategy each fault is tried at, evenly over the run.
_TIMES_EACH = {
    "kill -9 before an operation": 20,
    "kill -9 with a file half written": 16,
    "disk full": 8,
    "Ctrl-C": 4,
    "SIGTERM": 4,
}


def _at_operations(strategy: str, reference: Reference) -> Iterator[Scenario]:
    for fault, count in _TIMES_EACH.items():
        possible = list(_candidates(reference.operations, files_only="half written" in fault))
        for operation in _spread(possible, count):
            name = f"{operation.number} {operation.kind} {operation.path}"
            yield Scenario(fault, name, strategy, partial(_break_at, fault, operation.number))
    second = _spread([each.number for each in reference.operations], 3)
    for number in second:
        yield Scenario("kill -9 twice", f"{number}, and again", strategy, partial(_kill_twice, number))


def _in_the_folder(strategy: str) -> Iterator[Scenario]:
    yield Scenario("finished run resumed", "whole", strategy, _resume_finished)
    yield Scenario("two runs in one folder", "the first one waits", strategy, _two_at_once)
    yield Scenario("an older run's folder, overwritten", "killed before its first checkpoint", strategy, _overwrite)
    for name, plant in _PLANTS.items():
        yield Scenario("something else in the folder", name, strategy, partial(_with_plant, plant))


def _damages(references: dict[str, Reference]) -> Iterator[Scenario]:
    for number, strategy in enumerate(references):
        for index, file in enumerate(references[strategy].files):
            for damage in _DAMAGES if number == 0 else [list(_DAMAGES)[(index + number) % len(_DAMAGES)]]:
                row = "damaged best weights" if "best_weights" in file else "damaged checkpoint"
                yield Scenario(row, f"{file} {damage}", strategy, partial(_damage_checkpoint, file, damage))
    first = next(iter(references))
    for damage in _DAMAGES:
        yield Scenario("damaged caches", f"all files {damage}", first, partial(_damage_cache, damage))


def _break_at(fault: str, number: int, sandbox: Sandbox, reference: Reference) -> Outcome:
    broken = sandbox.run(fault=FAULTS[fault](sandbox.root, number))
    if problem := _bad_end(fault, broken):
        return Outcome(False, False, problem)
    return _goes_on(sandbox, reference)


def _kill_twice(number: int, sandbox: Sandbox, reference: Reference) -> Outcome:
    sandbox.run(fault=FAULTS["kill -9 before an operation"](sandbox.root, number))
    resumed = sandbox.run(
        "--resume_from_checkpoint", "last", fault=FAULTS["kill -9 before an operation"](sandbox.root, number // 2)
    )
    return Outcome(False, False, _tail(resumed)) if resumed.traceback else _goes_on(sandbox, reference)


def _resume_finished(sandbox: Sandbox, reference: Reference) -> Outcome:
    sandbox.run()
    before = {file: file.read_bytes() for file in sandbox.out.rglob("*") if file.is_file()}
    outcome = _goes_on(sandbox, reference)
    changed = [file.name for file, content in before.items() if not file.exists() or file.read_bytes() != content]
    added = [file.name for file in sandbox.out.rglob("*") if file.is_file() and file not in before]
    return outcome if not changed + added else Outcome(outcome.survived, False, f"changed {changed}, added {added}")


def _two_at_once(sandbox: Sandbox, reference: Reference) -> Outcome:
    number = reference.first("mkdir", "checkpoint-4")
    with sandbox.stopped_at(number) as first:
        second = sandbox.run("--resume_from_checkpoint", "last")
        os.kill(first, signal.SIGKILL)
    if second.code != 2 or second.traceback:
        return Outcome(False, False, f"the second ended with {second.code}: {_tail(second)}")
    return _goes_on(sandbox, reference)


def _overwrite(sandbox: Sandbox, reference: Reference) -> Outcome:
    sandbox.run("--seed", "4")
    sandbox.run("--overwrite_output_dir", fault=kill_at(sandbox.root, "out/checkpoint-2"))
    return _goes_on(sandbox, reference)


def _with_plant(plant: Callable[[Path], None], sandbox: Sandbox, reference: Reference) -> Outcome:
    _kill_at_checkpoint(sandbox)
    plant(sandbox.out)
    return _goes_on(sandbox, reference)


def _damage_checkpoint(file: str, damage: str, sandbox: Sandbox, reference: Reference) -> Outcome:
    _kill_at_checkpoint(sandbox)
    if not (sandbox.root / file).exists():
        return Outcome(False, False, f"{file} is not there to be damaged")
    _DAMAGES[damage](sandbox.root / file)
    ignored = ("model.safetensors", "predictions.jsonl", "all_results.json", "test_results.json")
    return _goes_on(sandbox, reference, ignored if "best_weights" in file else ())


def _damage_cache(damage: str, sandbox: Sandbox, reference: Reference) -> Outcome:
    sandbox.run()
    for file in [file for file in sandbox.cache.rglob("*") if file.is_file()]:
        _DAMAGES[damage](file)
    again = sandbox.run("--overwrite_output_dir")
    return _judge(sandbox, again, reference)


def files_of_a_killed_run(sandbox: Sandbox) -> tuple[str, ...]:
    """Return the files below the sandbox's root after a kill, but those of the caches and of older checkpoints."""
    _kill_at_checkpoint(sandbox)
    files = sorted(str(file.relative_to(sandbox.root)) for file in sandbox.out.rglob("*") if file.is_file())
    return tuple(file for file in files if not file.startswith(("out/checkpoint-2/", "out/checkpoint-4/")))


def _kill_at_checkpoint(sandbox: Sandbox) -> None:
    """Run until there are three checkpoints, and kill the run when it begins the fourth."""
    sandbox.run(fault=kill_at(sandbox.root, "out/checkpoint-8"))


def _goes_on(sandbox: Sandbox, reference: Reference, ignored: Iterable[str] = ()) -> Outcome:
    return _judge(sandbox, sandbox.resume(), reference, ignored)


def _judge(sandbox: Sandbox, run: Run, reference: Reference, ignored: Iterable[str] = ()) -> Outcome:
    if run.code != 0 or run.traceback or not finished(sandbox.out):
        return Outcome(False, False, f"ended with {run.code}: {_tail(run)}")
    different = [name for name in differences(results(sandbox.out), reference.results) if name not in ignored]
    return Outcome(True, not different, f"{', '.join(different)} differ" if different else "")


def _bad_end(fault: str, run: Run) -> str:
    """Return what is wrong with the end of the broken run itself, or an empty text."""
    if fault.startswith("kill"):
        return "" if run.code == -signal.SIGKILL else f"not killed but ended with {run.code}: {_tail(run)}"
    if run.traceback:
        return f"a traceback: {_tail(run)}"
    if fault == "disk full" and run.code and os.strerror(28) not in run.output:
        return f"ended with {run.code} and does not name the full disk: {_tail(run)}"
    return ""


def _tail(run: Run) -> str:
    lines = [line for line in run.output.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no output"


def _candidates(operations: Iterable[Operation], *, files_only: bool) -> Iterator[Operation]:
    """Yield the operations but those that repeat an earlier one, such as the creation of a folder that exists."""
    seen: set[tuple[str, str]] = set()
    for each in operations:
        if (each.kind, each.path) in seen or (files_only and each.kind not in ("open", "write")):
            continue
        seen.add((each.kind, each.path))
        yield each


def _spread(possible: list[Any], count: int) -> list[Any]:
    """Return ``count`` items of a list, evenly over it, but neither the first nor the last."""
    step = (len(possible) - 1) / (count + 1)
    return [possible[round(step * (index + 1))] for index in range(min(count, len(possible)))]


def _garbage(file: Path) -> None:
    file.write_bytes(bytes(range(256)) * 4)


def _halve(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


_DAMAGES: dict[str, Callable[[Path], None]] = {
    "gone": Path.unlink,
    "empty": lambda file: os.truncate(file, 0),
    "cut to its half": _halve,
    "filled with garbage": _garbage,
}


def _empty_checkpoint(out: Path) -> None:
    (out / "checkpoint-99999").mkdir()


def _file_named_checkpoint(out: Path) -> None:
    (out / "checkpoint-77777").write_text("no folder")


def _torn_results(out: Path) -> None:
    (out / "all_results.json").write_text('{"eval_loss": 0.')


def _temporary_files(out: Path) -> None:
    for name in ("tmp-checkpoint-8", "checkpoint-8.tmp", ".checkpoint-8"):
        shutil.copytree(out / "checkpoint-6", out / name)


_PLANTS: dict[str, Callable[[Path], None]] = {
    "an empty checkpoint-99999": _empty_checkpoint,
    "a file checkpoint-77777": _file_named_checkpoint,
    "a torn all_results.json": _torn_results,
    "folders of another program": _temporary_files,
}
