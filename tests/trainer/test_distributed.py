"""How a program of several processes ends."""

import subprocess
import sys

PROGRAM = """
import atexit, sys, threading, time
from torch import distributed
from hf_strategies.trainer.distributed import exit_process

if sys.argv[1] == "group":
    distributed.init_process_group("gloo", init_method="tcp://127.0.0.1:0", rank=0, world_size=1)
atexit.register(print, "exit functions are called")
threading.Thread(target=lambda: (time.sleep(0.2), print("threads are waited for"))).start()
exit_process(3)
print("went on")
"""


def end(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, timeout=120)


def test_one_of_several_processes_ends_there_with_its_code() -> None:
    done = end("group")
    assert done.returncode == 3
    assert done.stdout.splitlines() == ["threads are waited for", "exit functions are called"]


def test_a_process_alone_goes_on() -> None:
    done = end("alone")
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == ["exit functions are called", "threads are waited for", "went on"]
