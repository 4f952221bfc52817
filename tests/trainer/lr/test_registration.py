"""The names in transformers: everywhere a stock name works, with nothing else changed."""

import copy
import dataclasses
import json
import math
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from transformers import HfArgumentParser, Seq2SeqTrainingArguments, TrainingArguments, get_scheduler
from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION
from transformers.trainer_utils import SchedulerType

from hf_strategies import SCHEDULES, StrategyError, schedule
from hf_strategies.trainer.lr.registration import check_scheduler_arguments, register_schedules, registered_names
from tests.fresh_process import FreshProcesses

NAME = "exponential_warmup_cosine_decay"
THEIRS = [
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "reduce_lr_on_plateau",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
    "greedy",
]
PHASES = {"phases": [{"shape": "linear", "length": 0.5, "start": 0, "end": 1}, {"shape": "cosine"}]}
every_name = pytest.mark.parametrize("name", SCHEDULES)


def optimizer(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates or (1.0,)])


def multipliers(scheduler: Any, steps: int) -> list[float]:
    seen = []
    for _ in range(steps):
        seen.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    return seen


@every_name
def test_a_name_is_a_true_member_of_the_enum(name: str) -> None:
    member = SchedulerType(name)
    assert isinstance(member, SchedulerType)
    assert isinstance(member, str)
    assert member == name
    assert member is SchedulerType[name.upper()] is getattr(SchedulerType, name.upper())
    assert member in list(SchedulerType)
    assert member in TYPE_TO_SCHEDULER_FUNCTION
    assert {member: 1}[member] == 1
    assert (member.name, member.value, repr(member)) == (
        name.upper(),
        name,
        f"<SchedulerType.{name.upper()}: {name!r}>",
    )


@every_name
def test_get_scheduler_gives_the_schedule(name: str) -> None:
    warmup = 3 if SCHEDULES[name].has_warmup else 0
    options = PHASES if name == "phases" else {}
    scheduler = get_scheduler(name, optimizer(), warmup, 12, scheduler_specific_kwargs=options)
    expected = schedule(name, total_steps=12, warmup_steps=warmup, **options).learning_rates(1.0)
    assert multipliers(scheduler, 12) == expected


def test_get_scheduler_passes_the_parameters_on() -> None:
    options = {"gamma": "0.5", "step_size": 4, "warmup_start": "1e-1", "min_lr_ratio": 0.2}
    scheduler = get_scheduler(
        "exponential_warmup_step_decay",
        optimizer(),
        num_warmup_steps=2,
        num_training_steps=16,
        scheduler_specific_kwargs=options,
    )
    # 0.1, sqrt(0.1), then 4 steps each of 1, 0.5, 0.25 and the floor
    expected = [0.1, 0.1**0.5, *[1.0] * 4, *[0.5] * 4, *[0.25] * 4, 0.2, 0.2]
    assert multipliers(scheduler, 16) == pytest.approx(expected, abs=1e-15)


@every_name
def test_training_arguments_take_a_name_and_give_it_back_as_json(name: str, tmp_path: Path) -> None:
    args = TrainingArguments(str(tmp_path), lr_scheduler_type=name, use_cpu=True)
    assert args.lr_scheduler_type is SchedulerType(name)
    assert json.loads(args.to_json_string())["lr_scheduler_type"] == name
    assert args.to_dict()["lr_scheduler_type"] == name
    assert args.set_lr_scheduler(name=name, warmup_steps=3).lr_scheduler_type is SchedulerType(name)


def test_copies_hold_the_very_member(tmp_path: Path) -> None:
    args = TrainingArguments(str(tmp_path), lr_scheduler_type=NAME, use_cpu=True)
    member = SchedulerType(NAME)
    assert copy.deepcopy(args).lr_scheduler_type is member
    assert copy.copy(member) is member
    assert dataclasses.replace(args, seed=2).lr_scheduler_type is member
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(member, protocol)) is member


def test_the_pickle_in_training_args_bin_loads_in_a_process_that_has_not_imported_us(
    tmp_path: Path, fresh: FreshProcesses
) -> None:
    args = TrainingArguments(str(tmp_path), lr_scheduler_type=NAME, use_cpu=True)
    torch.save(args, tmp_path / "training_args.bin")
    code = (
        "import sys, torch; args = torch.load(sys.argv[1], weights_only=False);"
        "from transformers import TrainingArguments;"
        "print(args.lr_scheduler_type.value, TrainingArguments('x', lr_scheduler_type=args.lr_scheduler_type.value,"
        " use_cpu=True).lr_scheduler_type is args.lr_scheduler_type)"
    )
    done = fresh.run(code, tmp_path, [str(tmp_path / "training_args.bin")])
    assert done.stdout.split() == [NAME, "True"]


@pytest.mark.parametrize("kind", [TrainingArguments, Seq2SeqTrainingArguments])
def test_hf_argument_parser_takes_names_from_flags_yaml_json_and_dict(kind: Any, tmp_path: Path) -> None:
    parser = HfArgumentParser(kind)
    flags = ["--output_dir", "x", "--use_cpu", "--lr_scheduler_type", NAME, "--warmup_steps", "5"]
    flags += ["--lr_scheduler_kwargs", '{"min_lr_ratio": 0.1}']
    entries = {
        "output_dir": "x",
        "use_cpu": True,
        "lr_scheduler_type": NAME,
        "warmup_steps": 5,
        "lr_scheduler_kwargs": {"min_lr_ratio": 0.1},
    }
    (tmp_path / "a.json").write_text(json.dumps(entries))
    (tmp_path / "a.yaml").write_text(json.dumps(entries))  # JSON is YAML
    (of_flags,) = parser.parse_args_into_dataclasses(flags, look_for_args_file=False)
    (of_json,), (of_yaml,) = parser.parse_json_file(tmp_path / "a.json"), parser.parse_yaml_file(tmp_path / "a.yaml")
    (of_dict,) = parser.parse_dict(entries)
    for args in (of_flags, of_json, of_yaml, of_dict):
        assert args.lr_scheduler_type is SchedulerType(NAME)
        assert args.lr_scheduler_kwargs == {"min_lr_ratio": 0.1}


def test_transformers_own_names_keep_their_place_and_their_functions(tmp_path: Path, fresh: FreshProcesses) -> None:
    code = (
        "from transformers.trainer_utils import SchedulerType as S; import transformers.optimization as o;"
        "before = {m: o.TYPE_TO_SCHEDULER_FUNCTION[m] for m in S}; import hf_strategies.auto;"
        "assert list(S)[:len(before)] == list(before);"
        "assert all(o.TYPE_TO_SCHEDULER_FUNCTION[m] is f for m, f in before.items());"
        "assert [m.value for m in before] == " + repr(THEIRS) + "; print(len(list(S)) - len(before))"
    )
    done = fresh.run(code, tmp_path)
    assert int(done.stdout) == len(SCHEDULES)


def test_the_names_that_are_refused_without_loading_transformers_are_its_own(
    tmp_path: Path, fresh: FreshProcesses
) -> None:
    code = (
        "from transformers.trainer_utils import SchedulerType as S; from hf_strategies.schedules import registry;"
        "theirs = {m.value for m in S} | {name.lower() for name in S.__members__};"
        "assert set(registry.TRANSFORMERS_NAMES) == theirs, theirs"
    )
    done = fresh.run(code, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["EarlyStopping", "layer_decay_optimizer", "GradualUnfreezing", "find_lr"])
def test_importing_what_works_with_the_trainer_registers_the_names(
    name: str, tmp_path: Path, fresh: FreshProcesses
) -> None:
    code = f"from hf_strategies import {name}; from transformers import TrainingArguments as T;"
    code += f"T('x', lr_scheduler_type={NAME!r}, use_cpu=True)"
    done = fresh.run(code, tmp_path)
    assert done.returncode == 0, done.stderr


def made_by_arguments(name: Any) -> None:
    TrainingArguments("x", lr_scheduler_type=name, use_cpu=True)


def set_in_arguments(name: Any) -> None:
    TrainingArguments("x", use_cpu=True).set_lr_scheduler(name=name)


def made_by_get_scheduler(name: Any) -> None:
    get_scheduler(name, optimizer(), 2, 10)


def read_from_a_dict(name: Any) -> None:
    HfArgumentParser(TrainingArguments).parse_dict({"output_dir": "x", "use_cpu": True, "lr_scheduler_type": name})


def read_from_a_file(name: Any, ending: str) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"flags.{ending}"
        file.write_text(json.dumps({"output_dir": "x", "use_cpu": True, "lr_scheduler_type": name}))  # YAML as well
        getattr(HfArgumentParser(TrainingArguments), f"parse_{ending}_file")(str(file))


DOORS = [
    *(made_by_arguments, set_in_arguments, made_by_get_scheduler, read_from_a_dict),
    *(partial(read_from_a_file, ending=ending) for ending in ("yaml", "json")),
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cosine_decy", "did you mean 'cosine_decay'"),
        ("cosin", "did you mean 'cosine'"),
        ("linear_warmup_cosin_decay", "did you mean 'linear_warmup_cosine_decay'"),
        ("zzz", "known: 'constant', "),
        ("LINEAR", "did you mean 'linear'"),
        ("linear-warmup-step-decay", "did you mean 'linear_warmup_step_decay'"),
        ("wsdd", "did you mean 'wsd'"),
    ],
)
def test_an_unknown_name_is_a_short_error_with_near_matches(door: Any, name: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"lr_scheduler_type='{name}' is no schedule: {words}") as refused:
        door(name)
    assert len(str(refused.value)) < 500


def test_no_name_at_all_is_told_without_a_guess() -> None:
    with pytest.raises(StrategyError, match="lr_scheduler_type=None is no schedule: give a name, such as 'linear'"):
        made_by_arguments(None)


def test_wsd_is_short_for_the_warmup_stable_decay_of_this_package() -> None:
    created = [get_scheduler(name, optimizer(), 2, 10) for name in ("wsd", "linear_warmup_stable_decay")]
    short, long = ([each.lr_lambdas[0](step) for step in range(11)] for each in created)
    assert short == long
    assert short[:3] + short[8:] == [0.0, 0.5, 1.0, 1.0, 1 - math.sqrt(0.5), 0.0]
    assert TrainingArguments("x", lr_scheduler_type="wsd", use_cpu=True).lr_scheduler_type == "wsd"


@pytest.mark.parametrize("kind", [TrainingArguments, Seq2SeqTrainingArguments])
@pytest.mark.parametrize("flag", ["--lr_scheduler_type", "--lr-scheduler-type", "--lr_scheduler_t"])
def test_an_unknown_name_in_a_flag_is_one_line_with_near_matches(
    kind: Any, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        HfArgumentParser(kind, prog="train.py").parse_args_into_dataclasses(["--output_dir", "x", flag, "cosin"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "train.py: error: --lr_scheduler_type cosin: did you mean 'cosine'?\n"


def test_another_mistake_in_a_flag_is_reported_as_by_argparse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        HfArgumentParser(TrainingArguments).parse_args_into_dataclasses(
            ["--output_dir", "x", "--save_strategy", "no1"]
        )
    assert "invalid choice: 'no1' (choose from" in capsys.readouterr().err


def test_a_schedule_of_one_s_own_has_to_be_registered_before_its_pickle_is_loaded(
    tmp_path: Path, fresh: FreshProcesses
) -> None:
    register = (
        "from hf_strategies import register_decay; register_decay('own', lambda step, steps: 1 - step / steps);"
    )
    save = "import torch; from transformers import TrainingArguments as T;"
    save += "torch.save(T('x', lr_scheduler_type='linear_warmup_own_decay', use_cpu=True), 'args.bin')"
    load = "import torch; print(torch.load('args.bin', weights_only=False).lr_scheduler_type.value)"
    assert fresh.run(f"import hf_strategies.auto; {register}{save}", tmp_path).returncode == 0
    assert fresh.run(register + load, tmp_path).stdout == "linear_warmup_own_decay\n"
    refused = fresh.run(load, tmp_path).stderr.splitlines()[-1]
    assert "the schedule 'linear_warmup_own_decay' is not registered in this process: register it first" in refused
    assert len(refused) < 300


def test_registering_again_changes_nothing() -> None:
    before = list(SchedulerType), dict(TYPE_TO_SCHEDULER_FUNCTION)
    register_schedules()
    assert (list(SchedulerType), dict(TYPE_TO_SCHEDULER_FUNCTION)) == before
    assert set(registered_names()) == set(SCHEDULES)


@pytest.mark.parametrize("bad", ["no_such_schedule", "linear", "cosine"])
def test_nothing_is_registered_when_one_name_is_bad(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from hf_strategies.schedules import registry
    from hf_strategies.trainer.lr import registration

    for name in ("my_decay", "linear", "cosine"):
        monkeypatch.setitem(registry._plans, name, SCHEDULES["cosine_decay"])
    before = list(SchedulerType), dict(TYPE_TO_SCHEDULER_FUNCTION), registration.registered_names()
    with pytest.raises(StrategyError, match=bad):
        register_schedules(["my_decay", bad])
    assert (list(SchedulerType), dict(TYPE_TO_SCHEDULER_FUNCTION), registration.registered_names()) == before


def test_a_name_that_transformers_owns_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from hf_strategies.schedules import registry

    monkeypatch.setitem(registry._plans, "linear", SCHEDULES["linear_decay"])
    with pytest.raises(StrategyError, match="'linear' belongs to transformers: choose another name"):
        register_schedules(["linear"])


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ("min_lr_ratio=0.1", "lr_scheduler_kwargs='min_lr_ratio=0.1' is no mapping: give JSON"),
        ({"gama": 1}, "takes no parameter 'gama'"),
        ({"warmup_steps": 3}, r"has warmup_steps=3: give it as TrainingArguments\(warmup_steps=\.\.\.\), not here"),
        ({"num_training_steps": 3}, "give it as TrainingArguments"),
    ],
)
def test_arguments_can_be_checked_before_training(kwargs: Any, words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        check_scheduler_arguments(NAME, kwargs, total_steps=10, warmup_steps=1, learning_rate=0.1)


def test_a_warmup_name_without_warmup_steps_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        get_scheduler(NAME, optimizer(), num_warmup_steps=0, num_training_steps=10)
    assert "warmup_steps=0: there is no warmup" in caplog.text


def test_each_parameter_group_keeps_its_own_peak() -> None:
    scheduler = get_scheduler(
        "cosine_decay",
        optimizer(1.0, 0.5),
        num_warmup_steps=0,
        num_training_steps=2,
        scheduler_specific_kwargs={"min_lr_ratio": 0.2},
    )
    scheduler.optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.6, 0.3])
    scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.2, 0.1])


def test_the_state_of_the_scheduler_is_readable_as_weights_only_and_holds_no_schedule(tmp_path: Path) -> None:
    scheduler = get_scheduler(NAME, optimizer(), num_warmup_steps=2, num_training_steps=10)
    torch.save(scheduler.state_dict(), tmp_path / "scheduler.pt")
    state = torch.load(tmp_path / "scheduler.pt", weights_only=True)
    assert "schedule" not in state
    assert state["lr_lambdas"] == [None]


def test_importing_auto_is_enough() -> None:
    code = "import hf_strategies.auto; from transformers import TrainingArguments as T;"
    code += f"print(T('x', lr_scheduler_type={NAME!r}, use_cpu=True).lr_scheduler_type.value)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == NAME
