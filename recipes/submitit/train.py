r"""Train a recipe on several processes, as one job of submitit: on SLURM, or here.

    # two machines of a SLURM cluster, eight GPUs each
    python recipes/submitit/train.py --nodes 2 --tasks 8 --gpus 8 --cpus 8 \
        --partition gpu text_classification --train_file train.csv \
        --output_dir runs/mine --save_strategy epoch

    # two processes of this machine, without a GPU
    python recipes/submitit/train.py --cluster local --tasks 2 \
        text_classification --use_cpu true --output_dir runs/mine

Each task is a process of the training, as those of `accelerate launch` are. Where SLURM takes the machines away, or
the time is over, the job goes back into the queue, and goes on from the last checkpoint that was saved. This script
waits for the job; the logs lie in --log_dir.
"""

import argparse
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import submitit


@dataclass
class Training:
    """A call of a recipe's ``main`` with flags, on each task of a job."""

    recipe: str
    flags: list[str]

    def __call__(self) -> None:
        """Tell torch which process this is, as torchrun does, and train."""
        # A process takes the GPU of its rank among all of the machine's, so that it must see all of them.
        submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        import_module(f"hf_strategies.recipes.{self.recipe}").main([*self.flags, "--resume_from_checkpoint", "last"])

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Go back into the queue; submitit calls this before the machines go."""
        return submitit.helpers.DelayedSubmission(self)


def main() -> None:
    """Submit a job, and wait for its end."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--cluster", help="slurm, or local (slurm where there is one)")
    parser.add_argument("--partition", help="partition of SLURM")
    parser.add_argument("--log_dir", default="runs/jobs", help="where the job and its logs lie")
    for name, default, text in (
        ("nodes", 1, "machines"),
        ("tasks", 1, "processes on each machine: one for each GPU"),
        ("gpus", 0, "GPUs of each machine"),
        ("cpus", 1, "cores of each process"),
        ("minutes", 240, "the longest time"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} ({default})")
    parser.add_argument("recipe", help="such as text_classification")
    parser.add_argument("flags", nargs=argparse.REMAINDER, help="flags of the recipe")
    given = parser.parse_args()
    asked: dict[str, Any] = {
        "nodes": given.nodes,
        "tasks_per_node": given.tasks,
        "gpus_per_node": given.gpus,
        "cpus_per_task": given.cpus,
        "timeout_min": given.minutes,
    }
    executor = submitit.AutoExecutor(folder=given.log_dir, cluster=given.cluster)
    executor.update_parameters(name=given.recipe, **asked)
    if given.partition is not None:
        executor.update_parameters(slurm_partition=given.partition)
    job = executor.submit(Training(given.recipe, given.flags))
    print(f"job {job.job_id}: logs {given.log_dir}/{job.job_id}_*_log.out", file=sys.stderr)
    job.results()


if __name__ == "__main__":
    main()
