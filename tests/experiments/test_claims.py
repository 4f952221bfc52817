"""Who may take a run: by the state of its newest claim."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from hf_strategies.experiments.claims import LAPSE, Claim, take
from hf_strategies.experiments.plan import Run
from hf_strategies.processes import Process


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run("a", 0, tmp_path / "a" / "seed_0")


def taken(run: Run) -> Claim:
    claim = take(run)
    assert claim is not None
    return claim


def ended_process() -> dict[str, object]:
    done = subprocess.Popen(["true"])
    done.wait()
    return Process.this().as_json() | {"pid": done.pid}


def write(claim: Claim, content: dict[str, object], age: float = 0.0) -> None:
    claim.file.write_text(json.dumps(content))
    os.utime(claim.file, (time.time() - age,) * 2)


def test_a_run_is_taken_once_and_again_after_its_release(run: Run) -> None:
    first = taken(run)
    assert take(run) is None
    first.release()
    assert taken(run).number == 1
    assert take(run) is None


def test_the_claim_of_a_process_that_has_ended_is_abandoned_once_its_child_has(run: Run) -> None:
    first = taken(run)
    write(first, ended_process())
    assert take(run) is None  # its child may be starting
    write(first, ended_process(), age=60)
    child = subprocess.Popen(["sh", "-c", "sleep 30; true", str(run.folder)])
    try:
        first.child_file.write_text(str(child.pid))
        assert take(run) is None
        first.child_file.write_text(str(os.getpid()))  # the number of a process that is another by now
        assert taken(run).number == 1
    finally:
        child.kill()
        child.wait()


def test_the_claim_of_another_host_lapses_without_a_renewal(run: Run) -> None:
    first = taken(run)
    elsewhere = Process.this().as_json() | {"host": "another-host"}
    write(first, elsewhere, age=LAPSE - 30)
    assert take(run) is None
    write(first, elsewhere, age=LAPSE + 30)
    assert taken(run).number == 1


def test_an_owner_renews_its_claim(run: Run) -> None:
    claim = taken(run)
    os.utime(claim.file, (0, 0))
    with claim.kept_alive(every=0.05):
        time.sleep(0.4)
        assert time.time() - claim.file.stat().st_mtime < 60
    assert json.loads(claim.file.read_text()) == {"released": True}


def test_of_many_processes_that_find_it_abandoned_one_takes_it(run: Run) -> None:
    taken(run).release()
    code = (
        "import sys; from pathlib import Path; from hf_strategies.experiments.claims import take;"
        "from hf_strategies.experiments.plan import Run; sys.stdin.readline();"
        f"print(take(Run('a', 0, Path({str(run.folder)!r}))) is not None)"
    )
    words = ["python3", "-c", code]
    words[0] = os.sys.executable  # type: ignore[attr-defined]
    processes = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    time.sleep(1.0)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert sorted(process.communicate()[0].strip() for process in processes) == ["False", "False", "False", "True"]
