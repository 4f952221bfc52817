"""A recipe in two tasks of one job of submitit on this machine: ``two_tasks FOLDER FLAGS ...``."""

import os
import sys

import submitit


def recipe(argv: list[str]) -> tuple[int, int]:
    """Train in each task of the job; return its rank, and how many there are."""
    submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False)

    from hf_strategies.recipes import text_classification

    trainer = text_classification.main(argv)
    return trainer.args.process_index, trainer.args.world_size


def main() -> None:
    folder, *argv = sys.argv[1:]
    os.environ.pop("MASTER_PORT", None)
    executor = submitit.AutoExecutor(folder=folder, cluster="local")
    executor.update_parameters(tasks_per_node=2, timeout_min=10)
    print(sorted(executor.submit(recipe, argv).results()))


if __name__ == "__main__":
    main()
