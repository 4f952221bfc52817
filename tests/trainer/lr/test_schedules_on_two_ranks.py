"""Every registered name in two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

from hf_strategies import SCHEDULES, schedule
from tests.trainer.programs.schedules_on_ranks import PHASES


def test_every_schedule_steps_once_per_update_on_both_ranks(tmp_path: Path, checkout: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m"]
    command += ["tests.trainer.programs.schedules_on_ranks", str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in (0, 1):
        found = json.loads((tmp_path / f"rank{rank}.json").read_text())
        assert found["world_size"] == 2
        assert set(found["rates"]) == set(SCHEDULES)
        for name, rates in found["rates"].items():
            warmup, options = 2 if SCHEDULES[name].has_warmup else 0, PHASES if name == "phases" else {}
            assert rates == schedule(name, total_steps=6, warmup_steps=warmup, **options).learning_rates(0.05), name
