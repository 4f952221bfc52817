"""Every registered name in two processes."""

from pathlib import Path

from hf_strategies import SCHEDULES, schedule
from tests.trainer.programs.schedules_on_ranks import PHASES
from tests.two_processes import run_in_processes


def test_every_schedule_steps_once_per_update_on_both_ranks(tmp_path: Path) -> None:
    for found in run_in_processes("tests.trainer.programs.schedules_on_ranks", tmp_path):
        assert found["world_size"] == 2
        assert set(found["rates"]) == set(SCHEDULES)
        for name, rates in found["rates"].items():
            warmup, options = 2 if SCHEDULES[name].has_warmup else 0, PHASES if name == "phases" else {}
            assert rates == schedule(name, total_steps=6, warmup_steps=warmup, **options).learning_rates(0.05), name
