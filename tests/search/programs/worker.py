"""A search whose trials have no model: python -m tests.search.programs.worker FOLDER TRIALS JOBS."""

import sys
from pathlib import Path

from hf_strategies.search.pruning import Pruning
from hf_strategies.search.run import run_workers
from hf_strategies.search.space import read_space
from hf_strategies.search.study import Plan
from hf_strategies.search.task import read_task
from hf_strategies.search.worker import Search


def search_in(folder: Path, trials: int) -> Search:
    """The search of the files task.yaml and space.yaml in a folder."""
    return Search(
        read_task(str(folder / "task.yaml"), None, "accuracy", None),
        read_space(str(folder / "space.yaml")),
        Plan(f"sqlite:///{folder / 'search.db'}", "study", trials, seed=0, sampler="random", heartbeat=1),
        "none",
        Pruning(),
        folder / "trials",
        program="tests.search.programs.quick_trial",
    )


def main() -> None:
    search = search_in(Path(sys.argv[1]), int(sys.argv[2]))
    search.open()
    run_workers(search, int(sys.argv[3]))


if __name__ == "__main__":
    main()
