"""How often intervals over seeds call equal strategies different: `python -m benchmarks.comparison`.

Each comparison has two strategies of the same law over a few seeds, and each method its 95 % interval of the mean
difference. An interval that keeps its promise leaves zero out in 5 of 100 comparisons. With examples, every seed of
both strategies is measured on the same test examples, some of which are harder for one strategy than for the other.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks import RESULTS
from hf_strategies.comparison.paired import paired_difference

__all__ = ["METHODS", "excluded", "main"]

SEEDS = (2, 3, 5, 10)
LAWS: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda chance, size: chance.normal(size=size),
    "skewed": lambda chance, size: chance.exponential(size=size),
    "heavy tails": lambda chance, size: chance.standard_t(3, size=size),
}
EXAMPLES = 300
_RESAMPLES = 999


def _student(differences: np.ndarray, chance: np.random.Generator) -> tuple[float, float]:
    found = paired_difference(list(differences))
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def _percentile(differences: np.ndarray, chance: np.random.Generator) -> tuple[float, float]:
    drawn = chance.choice(differences, (_RESAMPLES, len(differences))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _bca(differences: np.ndarray, chance: np.random.Generator) -> tuple[float, float]:
    with np.errstate(all="ignore"):
        found = stats.bootstrap((differences,), np.mean, n_resamples=_RESAMPLES, method="BCa", rng=chance)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


METHODS: Mapping[str, Callable[[np.ndarray, np.random.Generator], tuple[float, float]]] = {
    "Student's t (ours)": _student,
    "percentile bootstrap": _percentile,
    "BCa bootstrap": _bca,
}


def excluded(method: str, law: str, seeds: int, rounds: int) -> float:
    """Return the share of comparisons of equal strategies in which zero is outside of the interval."""
    chance = np.random.default_rng([seeds, *law.encode()])
    first, other = (LAWS[law](chance, (rounds, seeds)) for _ in range(2))
    intervals = [METHODS[method](row, chance) for row in other - first]
    return float(np.mean([low > 0 or high < 0 for low, high in intervals]))


def excluded_with_examples(seeds: int, rounds: int) -> tuple[float, float]:
    """Return that share for the interval over seeds and examples, and for the one over seeds alone."""
    chance = np.random.default_rng(seeds)
    crossed = alone = 0
    for _ in range(rounds):
        scores = []
        for _strategy in range(2):
            level = 0.7 + chance.normal(0, 0.02, (seeds, 1)) + chance.normal(0, 0.2, (1, EXAMPLES))
            scores.append((chance.random((seeds, EXAMPLES)) < level).astype(float))
        rows = scores[1] - scores[0]
        means = list(rows.mean(axis=1))
        for examples in (rows.tolist(), None):
            found = paired_difference(means, examples)
            outside = found.low is not None and found.high is not None and (found.low > 0 or found.high < 0)
            crossed += outside and examples is not None
            alone += outside and examples is None
    return crossed / rounds, alone / rounds


def table(rounds: int) -> Iterator[str]:
    """Yield the lines of the table, in Markdown."""
    what = "Comparisons of equal strategies, of 100, whose 95 % interval leaves zero out"
    yield f"{what}; {rounds:,} simulated each (`python -m benchmarks.comparison --rounds {rounds}`).\n"
    yield "| seeds' law | interval | " + " | ".join(f"{seeds} seeds" for seeds in SEEDS) + " |"
    yield "|-|-|" + "-|" * len(SEEDS)
    for law in LAWS:
        for method in METHODS:
            shares = [f"{100 * excluded(method, law, seeds, rounds):.1f}" for seeds in SEEDS]
            yield f"| {law} | {method} | {' | '.join(shares)} |"
    both = [excluded_with_examples(seeds, max(100, rounds // 4)) for seeds in SEEDS]
    for name, place in (("seeds and examples (ours)", 0), ("seeds alone", 1)):
        yield f"| normal, {EXAMPLES} examples | {name} | {' | '.join(f'{100 * each[place]:.1f}' for each in both)} |"


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4000, help="comparisons for each number (4000)")
    parser.add_argument("--output", type=Path, default=RESULTS / "comparison.md", help="the table's file")
    args = parser.parse_args()
    lines = []
    for line in table(args.rounds):
        print(line, flush=True)
        lines.append(line)
    args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
