"""The command ``average``: one model out of the checkpoints of a run, or out of the final models of several."""

import sys
from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_strategies.averaging import shape_weights
from hf_strategies.cli.command import Command, known_recipe, terminal_width
from hf_strategies.errors import StrategyError, did_you_mean, visible
from hf_strategies.files import write_text
from hf_strategies.report.lines import fit
from hf_strategies.schedules.cooldowns import COOLDOWNS
from hf_strategies.values import number

if TYPE_CHECKING:
    from hf_strategies.checkpoints.folder import WeightedMean
    from hf_strategies.checkpoints.sources import Source, Watched

__all__ = ["AverageCommand"]

_DESCRIPTION = """\
Average the weights of checkpoints of any run of the Trainer (safetensors, in shards too, and adapters of
PEFT), or the final models of several runs, and write a model that loads like any other. Nothing is trained;
a few tensors are in memory at a time."""
_EXAMPLES = """\
With several folders, the final models are averaged. They have to have begun with the same weights, those of
the head too, which a head that each run initialises by its own seed does not: fine-tune all from one saved model.

--shape imitates a decay of the learning rate (linear, cosine, sqrt, ...) from the checkpoints of a run at a held
rate. --greedy averages, from the best on, those of which none makes the average worse, as a recipe measures it on
the validation set; give the recipe's flags for the data and the texts as in training.

examples:
  hf-strategies average runs/demo --last 5
  hf-strategies average runs/demo --best 3 --metric accuracy --output runs/demo_best_3
  hf-strategies average runs/held --last 8 --shape sqrt
  hf-strategies average runs/demo --greedy --metric accuracy --recipe text_classification --validation_file dev.csv
  hf-strategies average runs/seed_1 runs/seed_2 runs/seed_3 --output runs/soup
"""


class AverageCommand(Command):
    """Choose sources, average their weights, and write them into a folder with a card."""

    name = "average"
    help = "average the weights of checkpoints"
    description = _DESCRIPTION
    examples = _EXAMPLES
    list_argument = "runs"

    def add_flags(self, parser: ArgumentParser) -> None:
        """Add the folders, what is chosen, how it is weighed, and where it is written."""
        parser.add_argument("runs", nargs="*", metavar="RUN_DIR", help="output_dir of a run, or of several")
        parser.add_argument("--last", metavar="N", help="the newest N checkpoints")
        parser.add_argument("--best", metavar="N", help="the N checkpoints with the best metric")
        parser.add_argument("--metric", metavar="NAME", help="for --best and --greedy (default: the run's, or loss)")
        parser.add_argument("--mode", metavar="min|max", help="whether lower or higher is better (default: known)")
        parser.add_argument("--shape", metavar="CURVE", help=f"imitate a decay: {', '.join(COOLDOWNS)}")
        parser.add_argument("--greedy", action="store_true", help="take in only what does not make it worse")
        parser.add_argument("--same_start", action="store_true", help="the runs did begin with the same weights")
        parser.add_argument("--output", metavar="DIR", help="new folder (default: RUN_DIR/average)")
        parser.add_argument(
            "--recipe", nargs=REMAINDER, metavar="NAME", help="for --greedy, as the last flag: a recipe and its flags"
        )

    def run(self, options: Namespace) -> str:
        """Check the flags before torch is loaded, average, and return which sources with which weights."""
        _check_flags(options)
        runs = [Path(run) for run in options.runs]
        output = Path(options.output) if options.output else runs[0] / "average"
        from hf_strategies.checkpoints.card import CARD, card, source_lines
        from hf_strategies.checkpoints.folder import new_folder, write_model

        choice = _Choice(options, runs)
        with new_folder(output) as folder:
            mean, how, measured = choice.mean(folder)
            write_model(mean, folder)
            text = card(mean, name=output.resolve().name, how=how, watched=choice.watched, measured=measured)
            write_text(folder / CARD, text)
        text = "\n".join([how, *source_lines(mean, choice.watched), f"written to {output}"])
        return fit(text, terminal_width())


class _Choice:
    """What the flags choose, and how it is weighed."""

    def __init__(self, options: Namespace, runs: Sequence[Path]) -> None:
        from hf_strategies.checkpoints.sources import checkpoints_of, final_models, last

        self._options, self._runs = options, runs
        several = len(runs) > 1
        self._sources = final_models(runs) if several else last(checkpoints_of(runs[0]), _count(options, "last"))
        self.watched = self._watched()

    def mean(self, place: Path) -> "tuple[WeightedMean, str, float | None]":
        """Return the mean, how it was made in a sentence, and its metric where that was measured.

        ``place`` is a folder in which models under evaluation may lie for a while.
        """
        from hf_strategies.checkpoints.folder import WeightedMean

        if self._options.greedy:
            return self._greedy(place)  # what does not fit is left out by its value
        if len(self._runs) > 1 and not self._options.same_start:
            self._check_same_start()
        if self._options.shape:
            curve = COOLDOWNS[self._options.shape]
            steps = [source.step or 0 for source in self._sources]
            shares = shape_weights(steps, curve=lambda step, length: curve(step, length, min_lr_ratio=0.0))
            how = f"The mean of {self._what('last')}, weighed to imitate a {self._options.shape} decay."
            return WeightedMean.of(self._sources, shares), how, None
        if self._options.best:
            return WeightedMean.of(self._best()), f"The plain mean of {self._what('best')}.", None
        return WeightedMean.of(self._sources), f"The plain mean of {self._what('last')}.", None

    def _watched(self) -> "Watched | None":
        from hf_strategies.checkpoints.sources import watched_metric

        try:
            return watched_metric(self._runs[0], self._options.metric, self._options.mode)
        except StrategyError:
            if self._options.best or self._options.greedy:
                raise
            return None  # it is not needed, only shown where it is known

    def _best(self) -> "list[Source]":
        from hf_strategies.checkpoints.sources import best

        assert self.watched is not None
        return best(self._sources, _count(self._options, "best") or 0, self.watched)

    def _greedy(self, place: Path) -> "tuple[WeightedMean, str, float | None]":
        from hf_strategies.checkpoints.folder import WeightedMean
        from hf_strategies.checkpoints.greedy import RecipeEvaluation, greedy_soup

        assert self.watched is not None
        recipe, *flags = self._options.recipe
        if any(weights.is_adapter for weights in WeightedMean.of(self._sources).weights()):
            raise StrategyError(
                f"{self._sources[-1].folder} has an adapter, and a recipe evaluates whole models: take --last or"
                " --best"
            )
        evaluate = RecipeEvaluation(recipe, flags, self.watched, place)
        soup = greedy_soup(self._sources, self.watched, evaluate, report=_report)
        metric = self.watched.metric.text
        count = f"{len(soup.mean.sources)} of {len(self._sources)}"
        how = f"A greedy soup, the plain mean of {count} {self._kind()}, by {metric} as the recipe {recipe} has it."
        return soup.mean, how, soup.value

    def _check_same_start(self) -> None:
        from hf_strategies.checkpoints.folder import WeightedMean
        from hf_strategies.checkpoints.same_start import check_same_start

        check_same_start(WeightedMean.of(self._sources).weights())

    def _what(self, which: str) -> str:
        if len(self._runs) > 1:
            return f"the final models of {len(self._runs)} runs"
        count = self._options.best if which == "best" else len(self._sources)
        by = f" by {self.watched.metric.text}" if which == "best" and self.watched else ""
        return f"the {which} {count} {self._kind()}{by}"

    def _kind(self) -> str:
        return "final models" if len(self._runs) > 1 else f"checkpoints of {self._runs[0].resolve().name}"


def _check_flags(options: Namespace) -> None:
    """Raise `StrategyError` for flags that do not fit together."""
    for mistake in (*_mistakes_of_choice(options), *_mistakes_without_effect(options)):
        raise StrategyError(mistake)
    for flag in ("last", "best"):
        _count(options, flag)
    if options.shape and options.shape not in COOLDOWNS:
        raise StrategyError(f"shape={options.shape!r} is no curve: {did_you_mean(options.shape, COOLDOWNS)}")
    if options.greedy:
        known_recipe(options.recipe[0])


def _mistakes_of_choice(options: Namespace) -> Iterator[str]:
    several = len(options.runs) > 1
    ways = [flag for flag in ("best", "greedy", "shape", "last") if getattr(options, flag)]
    if not options.runs or "" in options.runs:
        yield "RUN_DIR is missing: give the output_dir of a run of the Trainer"
    if several and not options.output:
        yield "--output is missing: give a new folder for the average of several runs"
    if not several and not ways:
        yield "nothing says what to average: give --last N, --best N, --shape CURVE or --greedy"
    if len(ways) > 1 and ("best" in ways or "last" not in ways):
        yield f"--{ways[0]} with --{ways[1]}: give one of the two"
    if options.greedy and not options.recipe:
        yield (
            "--greedy needs a recipe that evaluates: end with --recipe NAME and its flags, such as --recipe"
            " text_classification --validation_file dev.csv"
        )


def _mistakes_without_effect(options: Namespace) -> Iterator[str]:
    several = len(options.runs) > 1
    for flag in ("last", "best", "shape") if several else ("same_start",):
        if getattr(options, flag):
            kind = "the final models of several runs" if several else "the checkpoints of one run"
            yield f"--{flag} has no meaning for {kind}: leave it out"
    for flag in ("metric", "mode"):
        if getattr(options, flag) and not (options.best or options.greedy):
            yield f"--{flag} has no effect without --best or --greedy: leave it out"
    if options.recipe is not None and not options.greedy:
        yield "--recipe has no effect without --greedy: leave it out"


def _count(options: Namespace, flag: str) -> int | None:
    """Return a number of checkpoints; None where the flag is not given."""
    value = getattr(options, flag)
    if value is None:
        return None
    count = number(flag, value)
    if not isinstance(count, int) or count < 1:
        raise StrategyError(f"{flag}={value!r} is no number of checkpoints: give a whole number of at least 1")
    return count


def _report(line: str) -> None:
    print(visible(line), file=sys.stderr, flush=True)
