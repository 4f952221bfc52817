"""How a program of several processes ends."""

from pathlib import Path

from tests.fresh_process import FreshProcesses

PROGRAM = """
import atexit, os, sys, threading, time
from torch import distributed
from hf_strategies.trainer.distributed import exit_process

if sys.argv[1] == "group":
    distributed.init_process_group("gloo", init_method="file://" + os.path.abspath("meeting"), rank=0, world_size=1)
atexit.register(print, "exit functions are called")
threading.Thread(target=lambda: (time.sleep(0.2), print("threads are waited for"))).start()
exit_process(3)
print("went on")
"""


def test_one_of_several_processes_ends_there_with_its_code(tmp_path: Path, fresh: FreshProcesses) -> None:
    done = fresh.run(PROGRAM, tmp_path, ["group"])
    assert done.returncode == 3
    assert done.stdout.splitlines() == ["threads are waited for", "exit functions are called"]


def test_a_process_alone_goes_on(tmp_path: Path, fresh: FreshProcesses) -> None:
    done = fresh.run(PROGRAM, tmp_path, ["alone"])
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == ["exit functions are called", "threads are waited for", "went on"]
