"""The runs of the comparison in a folder, made by stand-ins for recipes: ``compare_fakes FOLDER JOBS SEEDS``."""

import sys
from pathlib import Path

from hf_strategies.experiments.plan import Plan, Run, read_seeds
from hf_strategies.experiments.runner import Runner
from tests.experiments.fakes import STRATEGIES


def command(plan: Plan, run: Run) -> list[str]:
    flags = ["--config", str(plan.flags_of(run.strategy)), "--seed", str(run.seed), "--output_dir", str(run.folder)]
    return [sys.executable, "-m", "tests.experiments.programs.fake_recipe", *flags]


def main() -> None:
    folder, jobs, seeds = sys.argv[1:]
    plan = Plan("fake", {}, STRATEGIES, read_seeds(seeds), Path(folder))
    plan.write()
    sys.exit(1 if Runner(plan, int(jobs), command).run() else 0)


if __name__ == "__main__":
    main()
