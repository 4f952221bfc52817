"""Curves and schedules that users add, in a fresh process each, because a name is added for good."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fresh_process import FreshProcesses

Run = Callable[[str, Path], str]

HEADER = """
import math
from hf_strategies import StrategyError, register_decay, register_schedule, register_warmup, schedule, SCHEDULES
from hf_strategies.schedules import DECAYS, WARMUPS, Real

def refused(call, words):
    before = dict(SCHEDULES), dict(DECAYS), dict(WARMUPS)
    try:
        call()
    except StrategyError as error:
        assert words in str(error), str(error)
        assert "\\n" not in str(error)
    else:
        raise AssertionError("not refused: " + words)
    assert before == (dict(SCHEDULES), dict(DECAYS), dict(WARMUPS)), "a refused one must add nothing"
"""


@pytest.fixture
def run(fresh: FreshProcesses) -> Run:
    """Run code after the header in a folder; return its output."""

    def run(code: str, folder: Path) -> str:
        done = fresh.run(HEADER + code, folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_decay_gets_a_name_with_every_warmup(tmp_path: Path, run: Run) -> None:
    run(
        """
before = len(SCHEDULES)
def quarter(step, steps, depth):
    return 1 - depth * (step / steps) ** 0.25
register_decay("quarter", quarter, {"depth": Real(1.0, 0, 1, "")})
assert len(SCHEDULES) == before + len(WARMUPS)
f = schedule("exponential_warmup_quarter_decay", total_steps=26, warmup_steps=10, warmup_start=0.01)
assert [f(5), f(10), f(11), f(26), f(99)] == [0.1, 1.0, 0.5, 0.0, 0.0]
assert schedule("quarter_decay", total_steps=16, depth="0.5")(1) == 0.75
refused(lambda: schedule("quarter_decay", total_steps=16, depth=2), "depth=2 is out of range")
refused(lambda: schedule("quarter_decay", total_steps=16, dept=1), "did you mean 'depth'")
""",
        tmp_path,
    )


def test_a_warmup_gets_a_name_with_every_decay(tmp_path: Path, run: Run) -> None:
    run(
        """
register_warmup("late", lambda t, start: start + (1 - start) * t**4, {"start": 0.0})
f = schedule("late_warmup_linear_decay", total_steps=6, warmup_steps=2, warmup_start=0.5)
assert [f(0), f(1), f(2), f(4)] == [0.5, 0.53125, 1.0, 0.5]
assert "late_warmup_one_cycle" not in SCHEDULES
""",
        tmp_path,
    )


def test_a_whole_schedule_gets_its_own_name(tmp_path: Path, run: Run) -> None:
    run(
        """
def late(step, *, total_steps, warmup_steps, share):
    return 1.0 if step < share * total_steps else 0.5
register_schedule("late", late, {"share": 0.9})
assert [schedule("late", total_steps=10)(s) for s in (8, 9, 99)] == [1.0, 0.5, 0.5]
assert schedule("late", total_steps=10, share=0.5)(5) == 0.5
""",
        tmp_path,
    )


def test_what_breaks_a_law_is_refused_and_adds_nothing(tmp_path: Path, run: Run) -> None:
    run(
        """
refused(lambda: register_decay("a", lambda step, steps: 2.0), "2.0 at step 0 of 1 (warmup 0) is not in [0, 1]")
refused(lambda: register_decay("a", lambda step, steps: math.nan), "is not in [0, 1]")
refused(lambda: register_decay("a", lambda step, steps: 0.5), "(decay at step 0) is not exactly 1")
refused(lambda: register_decay("a", lambda step, steps: 1), "is no Python float: return float(...)")
refused(lambda: register_decay("a", lambda step: 1.0), "'a_decay' fails when it is computed: TypeError")
import random
refused(lambda: register_decay("a", lambda step, steps: random.random()), "breaks a law")
refused(lambda: register_warmup("a", lambda t: 0.5), "(warmup at t = 1) is not exactly 1")
refused(lambda: register_warmup("a", lambda t: abs(1 - 2 * t)), "comes before a lower one: let a warmup never fall")
refused(lambda: register_schedule("a", lambda step, **rest: -0.1), "-0.1 at step 0")
""",
        tmp_path,
    )


def test_a_bad_or_taken_name_or_default_is_refused(tmp_path: Path, run: Run) -> None:
    run(
        """
one = lambda step, steps: 1.0
for name in ("My Decay", "UPPER", "", 3):
    refused(lambda: register_decay(name, one), f"name={name!r} is no name for a schedule")
refused(lambda: register_decay("cosine", one), "schedule name 'cosine_decay' is taken: choose another name")
refused(lambda: register_schedule("one_cycle", lambda step, **rest: 1.0), "'one_cycle' is taken")
refused(lambda: register_decay("a", one, {"power": "two"}), "parameters['power']='two' is no default")
for name in ("cosine", "reduce_on_plateau", "reduce_lr_on_plateau"):
    refused(lambda: register_schedule(name, lambda step, **rest: 1.0), f"{name!r} belongs to transformers")
from hf_strategies import EarlyStopping
""",
        tmp_path,
    )


def test_a_parameter_s_name_that_could_not_be_given_is_refused(tmp_path: Path, run: Run) -> None:
    run(
        """
one = lambda *given, **rest: 1.0
for key in ("my power", "class", "", 3):
    refused(lambda: register_decay("a", one, {key: 1.0}), f"parameters[{key!r}] is no name for a parameter")
reserved = ["total_steps", "warmup_steps", "steps_per_epoch", "min_lr", "on_extend", "last_epoch", "name"]
for register in (register_decay, register_schedule, register_warmup):
    for key in reserved:
        refused(lambda: register("a", one, {key: 1.0}), f"parameters[{key!r}] has the name of another argument")
refused(lambda: register_decay("a", one, {"warmup_start": 1.0}), "parameters['warmup_start'] of a decay begins as")
refused(lambda: register_warmup("a", one, {"steps": 1.0}), "would be given as warmup_steps: choose another name")
""",
        tmp_path,
    )


@pytest.mark.parametrize("early", [True, False])
def test_a_new_name_is_valid_in_training_arguments_at_once(tmp_path: Path, run: Run, early: bool) -> None:
    register = 'register_decay("flat", lambda step, steps: 1.0)\n'
    use = "import hf_strategies.auto\nfrom transformers import HfArgumentParser, TrainingArguments\n"
    check = """
flags = ["--output_dir", "x", "--use_cpu", "--lr_scheduler_type", "linear_warmup_flat_decay"]
args = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses(flags)[0]
print(args.lr_scheduler_type.value)
"""
    code = register + use + check if early else use + register + check
    assert run(code, tmp_path).strip() == "linear_warmup_flat_decay"


PACKAGE = """
from hf_strategies import register_decay

def contribute():
    register_decay("contributed", lambda step, steps: 1.0 - 0.5 * step / steps)
"""


def install(folder: Path, target: str, package: str = "their_package", code: str = PACKAGE) -> None:
    """Lay a package with an entry point where Python finds it, as an installer would."""
    (folder / f"{package}.py").write_text(code)
    information = folder / f"{package}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[hf_strategies.schedules]\ntheirs = {package}:{target}\n")


def test_an_installed_package_contributes_by_an_entry_point(tmp_path: Path, run: Run) -> None:
    install(tmp_path, "contribute")
    run("assert schedule('contributed_decay', total_steps=4)(2) == 0.75", tmp_path)
    use = "import hf_strategies.auto; from transformers import TrainingArguments as T;"
    use += "print(T('x', use_cpu=True, lr_scheduler_type='cosine_warmup_contributed_decay').lr_scheduler_type.value)"
    assert run(use, tmp_path).strip() == "cosine_warmup_contributed_decay"


def test_a_broken_entry_point_is_told_and_keeps_nobody_from_training(tmp_path: Path, run: Run) -> None:
    install(tmp_path, "no_such_function")
    code = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import hf_strategies.auto
assert "entry point 'theirs'" in str(caught[0].message) and "Mend or uninstall" in str(caught[0].message)
assert schedule("cosine_decay", total_steps=2)(1) == 0.5
"""
    run(code, tmp_path)


def test_two_packages_may_give_their_entry_points_the_same_name(tmp_path: Path, run: Run) -> None:
    install(tmp_path, "contribute")
    install(tmp_path, "contribute", "other_package", PACKAGE.replace('"contributed"', '"other"'))
    code = "print([schedule(f'{name}_decay', total_steps=4)(2) for name in ('contributed', 'other')])"
    assert run(code, tmp_path).strip() == "[0.75, 0.75]"


@pytest.mark.parametrize("room", ["schedules", "trainer"])
def test_an_entry_point_that_fails_half_way_adds_nothing(tmp_path: Path, run: Run, room: str) -> None:
    """Whether or not transformers listens already when the package comes onto the path."""
    (late := tmp_path / "late").mkdir()
    install(late, "contribute", code=PACKAGE + "    raise RuntimeError('half way')\n")
    code = """
import warnings
from hf_strategies.schedules import load_entry_points
before = dict(SCHEDULES), dict(DECAYS)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    load_entry_points()
assert len(caught) == 1 and "fails and adds no schedule" in str(caught[0].message)
import hf_strategies.auto
from transformers.trainer_utils import SchedulerType
assert (dict(SCHEDULES), dict(DECAYS)) == before
assert "contributed_decay" not in list(SchedulerType)
register_decay("contributed", lambda step, steps: 1.0)
assert "contributed_decay" in list(SchedulerType)
"""
    run(f"import sys, hf_strategies.{room}\nsys.path.insert(0, 'late')\n" + code, tmp_path)


def test_pickled_arguments_with_a_contributed_name_load_in_a_fresh_process(
    tmp_path: Path, fresh: FreshProcesses
) -> None:
    install(tmp_path, "contribute")
    save = "import hf_strategies.auto, torch; from transformers import TrainingArguments as T;"
    save += "torch.save(T('x', use_cpu=True, lr_scheduler_type='contributed_decay'), 'training_args.bin')"
    load = "import torch; print(torch.load('training_args.bin', weights_only=False).lr_scheduler_type.value)"
    for code in (save, load):
        done = fresh.run(code, tmp_path)
        assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "contributed_decay"
