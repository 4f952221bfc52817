"""This checkout and another one side by side: import, command line and callbacks, measured in turns."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.schedules import callbacks
from benchmarks.schedules.processes import import_seconds, in_turns, list_seconds, modules
from benchmarks.schedules.table import markdown, ratios, spread

Samples = dict[str, list[float]]
"""The measured numbers of one checkout, one a round."""

TIMES: Mapping[str, Callable[[Path, Path], float]] = {
    "`import hf_strategies`, ms": lambda checkout, bytecode: 1e3 * import_seconds(checkout, bytecode),
    "`hf-strategies list`, ms": lambda checkout, bytecode: 1e3 * list_seconds(checkout, bytecode),
}
PROGRAMS: Mapping[str, Sequence[str]] = {
    "`import hf_strategies`, modules": ["-c", "import hf_strategies"],
    "`hf-strategies list`, modules": ["-m", "hf_strategies", "list"],
}
"""Programs of which the modules that they load are counted, beyond those of every Python."""


def measure(checkouts: Sequence[Path], runs: int, rounds: int, steps: int, every: int) -> list[Samples]:
    """Return the samples of each checkout."""
    samples = process_samples(checkouts, runs)
    for each, costs in zip(samples, callbacks.measure(checkouts, rounds, steps, every), strict=True):
        each.update(callback_samples(costs))
    return samples


def process_samples(checkouts: Sequence[Path], runs: int) -> list[Samples]:
    """Time the processes in turns, and count the modules once."""
    samples = time_processes(checkouts, runs)
    for checkout, each in zip(checkouts, samples, strict=True):
        each.update({name: [modules(checkout, words)] for name, words in PROGRAMS.items()})
    return samples


def time_processes(checkouts: Sequence[Path], runs: int) -> list[Samples]:
    """Time the processes ``runs`` times, after one round that compiles all that they import."""
    samples: list[Samples] = [{name: [] for name in TIMES} for _ in checkouts]
    with TemporaryDirectory(prefix="bytecode-") as bytecode:
        for number in range(runs + 1):
            for index in in_turns(len(checkouts), number):
                for name, time in TIMES.items():
                    samples[index][name].append(time(checkouts[index], Path(bytecode)))
    return [{name: times[1:] for name, times in each.items()} for each in samples]


def callback_samples(rounds: Sequence[callbacks.Costs]) -> Samples:
    """Return the samples of the callbacks: their events, the whole training, and the multiples of EarlyStopping's."""
    names = [name for name in rounds[0] if name != "no callback"]
    samples = {
        f"{name}: {measure}, µs": callbacks.values(rounds, name, measure)
        for measure in ("step events", "evaluation events")
        for name in names
    }
    samples |= {
        f"{name}: a step of the training, µs": callbacks.values(rounds, name, "training") for name in rounds[0]
    }
    for name in callbacks.COOLDOWNS:
        samples[f"{name} / EarlyStopping: step events"] = callbacks.times_early_stopping(rounds, name)
    return samples


def table(here: Samples, other: Samples) -> str:
    """Return both checkouts, and the ratio of this one to the other round by round."""
    rows = [[name, spread(other[name]), spread(here[name]), _ratio(here[name], other[name])] for name in here]
    return markdown(["median (least to most)", "the other checkout", "this checkout", "this / other"], rows)


def _ratio(here: Sequence[float], other: Sequence[float]) -> str:
    return spread(ratios(here, other)) if all(other) else "-"
