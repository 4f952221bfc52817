"""The runs of the comparison in a folder as jobs of submitit on this machine; the first job is preempted.

``submit_fakes FOLDER HOW``: HOW is ``preempt`` (the signal by which SLURM takes a machine away) or ``kill``.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from hf_strategies.experiments.plan import Plan, read_seeds
from hf_strategies.experiments.submission import Resources, submit
from tests.experiments.fakes import STRATEGIES
from tests.experiments.programs.compare_fakes import command


def interrupt_first(folder: Path, how: str) -> None:
    """Wait until a job trains, and take its process away."""
    while not (children := list(folder.glob("*/*.child"))):
        time.sleep(0.02)
    time.sleep(0.4)  # it trains by then
    child = int(children[0].read_text())
    parent = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
    if how == "preempt":
        os.kill(parent, signal.SIGUSR2)
    else:
        os.kill(child, signal.SIGKILL)
        os.kill(parent, signal.SIGKILL)
        run = children[0].name.partition(".")[0]
        time.sleep(0.2)
        (children[0].parent / run / "writer.lock").unlink()
    (folder / "interrupted").touch()


def main() -> None:
    folder = Path(sys.argv[1])
    slow = {name: {**flags, "takes": 1.5} for name, flags in STRATEGIES.items()}
    plan = Plan("fake", {}, slow, read_seeds("0..2"), folder)
    plan.write()
    threading.Thread(target=interrupt_first, args=(folder, sys.argv[2]), daemon=True).start()
    sys.exit(1 if submit(plan, Resources("local", minutes=5), command) else 0)


if __name__ == "__main__":
    main()
