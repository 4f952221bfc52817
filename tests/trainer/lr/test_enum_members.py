"""The canary of the private parts of `enum`: on this Python and on every other one that is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

import hf_strategies

# As transformers' ExplicitEnum and SchedulerType; run by other Pythons, which have neither torch nor us.
CANARY = """
import copy, importlib.util, pickle, sys
from enum import Enum
spec = importlib.util.spec_from_file_location("enum_members", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

class Kind(str, Enum):
    ONE = "one"

def resolve(value):
    return Kind(value)

members = module.add_members(Kind, ["two", "three"], resolve)
two = members["two"]
assert list(members) == ["two", "three"]
assert [m.value for m in Kind] == ["one", "two", "three"] and len(Kind) == 3
assert Kind("two") is Kind["TWO"] is Kind.TWO is two and isinstance(two, Kind) and two == "two"
assert two in Kind and "two" in Kind.__members__.values() and {two: 1}[Kind("two")] == 1
assert two.name == "TWO" and repr(two) == "<Kind.TWO: 'two'>" and Kind("one") is Kind.ONE
assert pickle.loads(pickle.dumps(two)) is two and copy.copy(two) is two and copy.deepcopy([two])[0] is two
for taken in (["one"], ["four", "two"], ["ONE"]):
    try:
        module.add_members(Kind, taken, resolve)
    except ValueError as error:
        assert "already" in str(error)
    else:
        raise AssertionError(taken)
assert len(Kind) == 3, "a refused call must add nothing"
try:
    Kind("four")
except ValueError:
    print("canary alive")
"""

PYTHONS = ["python3.11", "python3.12", "python3.13", "python3.14"]


def find(python: str) -> str | None:
    """An interpreter that starts, on the PATH or under pyenv."""
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"*/bin/{python}"))
    for found in [shutil.which(python), *map(str, pyenv)]:
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    return None


@pytest.mark.parametrize("python", PYTHONS)
def test_members_can_be_added_to_an_enum(python: str, tmp_path: Path) -> None:
    found = find(python)
    if found is None:
        pytest.skip(f"{python} is not installed")
    (tmp_path / "canary.py").write_text(CANARY)
    file = Path(hf_strategies.__file__).parent / "trainer" / "lr" / "enum_members.py"
    done = subprocess.run([found, "canary.py", str(file)], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "canary alive", done.stderr
