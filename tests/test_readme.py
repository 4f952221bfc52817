"""What the README shows runs."""

import re
from pathlib import Path

import pytest

from tests.fresh_process import FreshProcesses

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("index", range(len(BLOCKS)))
def test_each_python_block_runs_by_itself(index: int, tmp_path: Path, fresh: FreshProcesses) -> None:
    done = fresh.run(BLOCKS[index], tmp_path)
    assert done.returncode == 0, done.stderr
    if "print(" in BLOCKS[index]:
        (said,) = re.findall(r"print\(.*\)  # (.*)", BLOCKS[index])
        assert done.stdout.strip() == said


def test_its_table_names_every_curve() -> None:
    from hf_strategies.schedules import DECAYS, WARMUPS

    for name in [*WARMUPS, *DECAYS, "one_cycle", "slanted_triangular", "phases"]:
        assert name == "none" or f"`{name}`" in README, name


def test_its_counts_are_those_of_the_tables() -> None:
    from hf_strategies.schedules import DECAYS, WARMUPS
    from hf_strategies.stopping import CRITERIA

    words = {6: "six", 7: "seven", 11: "eleven", 12: "twelve", 13: "thirteen", 14: "fourteen", 15: "fifteen"}
    text = " ".join(README.split())
    assert f"{words[len(WARMUPS)].capitalize()} warmups crossed with {words[len(DECAYS)]} decays" in text
    assert f"{len(WARMUPS) * len(DECAYS)} pairs, {words[len(WARMUPS)]} with a cooldown that a plateau starts" in text
    assert f"{words[len(CRITERIA)]} criteria to combine" in text


def test_its_commands_of_the_command_line_work(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    import shlex

    from hf_strategies.cli.main import main

    lines = re.findall(r"^hf-strategies ((?:list|show|flags|plot|criteria) .*?)(?:  +#.*)?$", README, re.MULTILINE)
    assert len(lines) >= 5
    for line in lines:
        words = shlex.split(line, comments=True)
        if "--output" in words:
            pytest.importorskip("matplotlib")
            words[words.index("--output") + 1] = str(tmp_path / "curves.png")
        assert main(words) == 0, line
        assert capsys.readouterr().out
