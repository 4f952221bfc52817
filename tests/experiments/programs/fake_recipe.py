"""A stand-in for a recipe that takes a moment: writes what a recipe writes, and a line for each training that ends.

It takes the flags of a run, and goes on from what an interrupted run has left, as a recipe does.
"""

import json
import random
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    flags = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    folder, seed = Path(flags["--output_dir"]), int(flags["--seed"])
    settings = json.loads(Path(flags["--config"]).read_text())
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "writer.lock").open("x"):  # two processes at once would be a mistake
        pass
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if settings.get("fails"):
            sys.exit("error: this strategy fails")
        time.sleep(float(settings.get("takes", 0.15)))
        value = settings["mean"] + random.Random(f"{folder.name} {settings['mean']}").gauss(0, 0.01)
        report = {"schema_version": 1, "steps": 10, "seconds": 1.5, "flops": 1e9, "end": {"reason": "All steps."}}
        (folder / "strategy_report.json").write_text(json.dumps(report))
        (folder / "all_results.json").write_text(json.dumps({"test_accuracy": value, "test_runtime": 1.0}))
        with (folder / "trainings.txt").open("a") as lines:
            lines.write(f"seed {seed}\n")
        (folder / "_run.json").write_text(json.dumps({"finished": "yes"}))
    finally:
        (folder / "writer.lock").unlink()


if __name__ == "__main__":
    main()
