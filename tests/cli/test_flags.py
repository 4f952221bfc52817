"""The command ``flags``: what it prints selects the same schedule in transformers."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from hf_strategies import SCHEDULES, schedule
from hf_strategies.cli.main import main
from hf_strategies.schedules.schedule import ON_EXTEND
from tests.cli.commands import PHASES, Run, check_mistake

NEEDS = "# a script of your own needs: import hf_strategies.auto\n"


def test_flags_are_quoted_for_a_shell(run: Run) -> None:
    printed = run("flags", "exponential_warmup_step_decay", "--set", "gamma=0.5", "step_size=100")
    assert printed == (
        "--lr_scheduler_type exponential_warmup_step_decay --warmup_steps 0.1"
        """ --lr_scheduler_kwargs '{"gamma": 0.5, "step_size": 100}'\n""" + NEEDS
    )


def test_flags_tell_what_was_given(run: Run) -> None:
    assert run("flags", "cosine_decay") == f"--lr_scheduler_type cosine_decay\n{NEEDS}"
    assert run("flags", "one_cycle") == f"--lr_scheduler_type one_cycle\n{NEEDS}"
    assert run("flags", "one_cycle", "--warmup-steps", "50", "--learning_rate", "2e-5") == (
        f"--learning_rate 2e-05 --lr_scheduler_type one_cycle --warmup_steps 50\n{NEEDS}"
    )


def test_flags_are_checked_against_the_length_of_the_training(run: Run) -> None:
    options = ("stable_decay", "--set", "cooldown=5000")
    assert "5000" in run("flags", *options)
    assert main(["flags", *options, "--total_steps", "1000"]) == 2


def test_flags_take_the_schedulers_own_options(run: Run) -> None:
    options = ("cosine_decay", "--set", "min_lr=1e-6", "on_extend=replan")
    kwargs = """--lr_scheduler_kwargs '{"min_lr": 1e-06, "on_extend": "replan"}'\n""" + NEEDS
    assert run("flags", *options) == f"--lr_scheduler_type cosine_decay {kwargs}"
    assert run("flags", *options, "--learning_rate", "1e-6") == (
        f"--learning_rate 1e-06 --lr_scheduler_type cosine_decay {kwargs}"
    )


@pytest.mark.parametrize("choice", ON_EXTEND)
def test_flags_take_every_choice_of_on_extend_for_every_kind_of_schedule(run: Run, choice: str) -> None:
    for name in ("constant_decay", "one_cycle", "linear_warmup_step_decay"):
        assert f'"on_extend": "{choice}"' in run("flags", name, "--set", f"on_extend={choice}")


def test_flags_take_lengths_in_epochs_when_they_know_one(run: Run) -> None:
    printed = run("flags", "linear_warmup_step_decay", "--set", "step_size=2ep", "--steps_per_epoch", "50")
    assert printed.endswith("""--lr_scheduler_kwargs '{"step_size": "2ep", "steps_per_epoch": 50}'\n""" + NEEDS)
    assert "--warmup_steps 75 " in run("flags", "one_cycle", "--warmup_steps", "1.5ep", "--steps-per-epoch", "50")
    assert '"steps_per_epoch": 12.5' in run("flags", "one_cycle", "--steps_per_epoch", "12.5")


CASES: list[tuple[str, dict[str, Any], float | str | None]] = [
    ("exponential_warmup_step_decay", {"gamma": 0.5, "step_size": 100}, None),
    ("linear_warmup_multi_step_decay", {"milestones": [0.5, 300], "min_lr_ratio": 1e-05}, 20),
    ("polynomial_warmup_stable_decay", {"cooldown_shape": "linear", "cooldown": 0.3, "warmup_power": 3}, 0.25),
    ("exponential_decay", {"gamma": None}, None),
    ("phases", {"phases": json.loads(PHASES)}, None),
    ("linear_warmup_cosine_decay", {"min_lr": 3e-05, "on_extend": "keep"}, None),
    ("linear_warmup_step_decay", {"step_size": "2ep"}, "1ep"),
    *((name, {}, None) for name in SCHEDULES if name != "phases"),
]


def test_flags_of_a_cooldown_have_its_trigger(run: Run) -> None:
    flags, *notes = run("flags", "linear_warmup_plateau_cooldown").splitlines()
    assert flags.endswith(" --warmup_steps 0.1 --eval_strategy epoch --plateau_cooldown_monitor loss")
    assert notes[0] + "\n" == NEEDS
    assert all(note.startswith("# ") for note in notes)
    other = run("flags", "plateau_cooldown", "--monitor", "mean(books_loss, web_loss)")
    assert shlex.split(other.splitlines()[0])[-1] == "mean(books_loss, web_loss)"
    assert "plateau_cooldown_monitor: f1\n" in run("flags", "plateau_cooldown", "--monitor", "f1", "--yaml")


def test_flags_of_a_cooldown_make_its_callback(run: Run) -> None:
    from transformers import HfArgumentParser, TrainingArguments

    import hf_strategies.auto  # noqa: F401
    from hf_strategies import PlateauCooldown, StrategyArguments

    name = "linear_warmup_plateau_cooldown"
    parser = HfArgumentParser((TrainingArguments, StrategyArguments))
    words = shlex.split(run("flags", name, "--monitor", "f1"), comments=True)
    args, strategy = parser.parse_args_into_dataclasses(words)
    (callback,) = strategy.trainer_kwargs(args)["callbacks"]
    assert isinstance(callback, PlateauCooldown)
    names: dict[str, Any] = {}
    exec(run("flags", name, "--monitor", "f1", "--python"), names)
    assert [callback.rule] == [each.rule for each in names["callbacks"]]
    assert (args.lr_scheduler_type, args.eval_strategy) == (
        names["args"].lr_scheduler_type,
        names["args"].eval_strategy,
    )


STOCK_CASES: list[list[str]] = [
    ["linear"],
    ["cosine", "--set", "num_cycles=1.5"],
    ["polynomial", "--set", "lr_end=1e-5", "power=2", "--learning_rate", "1e-4"],
    ["cosine_with_min_lr", "--set", "min_lr=1e-6", "--learning_rate", "1e-4"],
    ["warmup_stable_decay", "--set", "num_decay_steps=50", "--warmup_steps", "2ep", "--steps_per_epoch", "10"],
]


@pytest.mark.parametrize("argv", STOCK_CASES, ids=" ".join)
def test_flags_of_a_schedule_of_transformers_are_all_that_it_needs(run: Run, argv: list[str]) -> None:
    import torch
    from transformers import HfArgumentParser, TrainingArguments, get_scheduler

    printed = run("flags", *argv)
    assert "#" not in printed
    assert "hf_strategies" not in run("flags", *argv, "--python")
    (args,) = HfArgumentParser(TrainingArguments).parse_args_into_dataclasses(shlex.split(printed))
    assert args.lr_scheduler_type == argv[0]
    assert args.warmup_steps == (20 if "2ep" in argv else 0.1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=args.learning_rate)
    get_scheduler(args.lr_scheduler_type, optimizer, args.get_warmup_steps(100), 100, args.lr_scheduler_kwargs)


@pytest.mark.parametrize("form", ["flags", "yaml", "python"])
def test_what_flags_prints_gives_the_same_schedule_in_transformers(run: Run, form: str, tmp_path: Path) -> None:
    import torch
    from transformers import HfArgumentParser, TrainingArguments, get_scheduler

    import hf_strategies.auto  # noqa: F401
    from hf_strategies import StrategyArguments

    parser = HfArgumentParser((TrainingArguments, StrategyArguments))

    def parsed(text: str) -> TrainingArguments:
        if form == "flags":
            return parser.parse_args_into_dataclasses(shlex.split(text, comments=True))[0]
        if form == "yaml":
            (tmp_path / "arguments.yaml").write_text(text, encoding="utf-8")
            return parser.parse_yaml_file(tmp_path / "arguments.yaml")[0]
        names: dict[str, Any] = {}
        exec(text, names)
        return names["args"]

    for name, parameters, warmup in CASES:
        given = [f"--set={key}={json.dumps(value)}" for key, value in parameters.items()]
        options = [*given, *(["--warmup_steps", str(warmup)] if warmup else []), "--learning_rate", "3e-4"]
        epoch = {"steps_per_epoch": 30} if str(warmup).endswith("ep") else {}
        options += [f"--{key}={value}" for key, value in epoch.items()]
        args = parsed(
            run("flags", name, *options, *([] if form == "flags" else [f"--{form}"]), "--total_steps", "400")
        )
        assert args.learning_rate == 3e-4
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=args.learning_rate)
        made = get_scheduler(
            args.lr_scheduler_type,
            optimizer,
            num_warmup_steps=args.get_warmup_steps(400),
            num_training_steps=400,
            scheduler_specific_kwargs=args.lr_scheduler_kwargs,
        )
        usual = 0.1 if "_warmup_" in name or name == "wsd" else 0
        in_ratios = {key: value for key, value in parameters.items() if key not in ("min_lr", "on_extend")}
        in_ratios |= {"min_lr_ratio": parameters["min_lr"] / 3e-4} if "min_lr" in parameters else {}
        same = schedule(name, total_steps=400, warmup_steps=warmup or usual, **epoch, **in_ratios)
        steps = range(0, 401, 10)
        assert [made.lr_lambdas[0](step) for step in steps] == [same(step) for step in steps], name


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("flags", "NAME is missing: see hf-strategies flags --help"),
        ("flags step_decay --yaml --python", "--python: not allowed with argument --yaml: see hf-strategies flags"),
        ("flags step_decay --set gama=1", "'step_decay' takes no parameter 'gama': did you mean 'gamma'?"),
        ("flags step_decay --set gamma=2", "gamma=2 is out of range: give a number in (0, 1]"),
        ("flags step_decay --set learning_rate=1", "learning_rate is no parameter of a curve: give --learning_rate"),
        ("flags one_cycle --learning_rate x", "--learning_rate='x' is not a number"),
        ("flags one_cycle --set on_extnd=keep", "takes no parameter 'on_extnd': did you mean 'on_extend'?"),
        ("flags one_cycle --set on_extend=kep", "on_extend='kep' is no choice: did you mean 'keep'?"),
        (
            "flags one_cycle --set on_extend=[1]",
            "on_extend=[1] is no choice: known: 'error', 'jump', 'keep', 'replan'",
        ),
        ("flags one_cycle --set min_lr=-1", "min_lr=-1 is out of range: give a learning rate of at least 0"),
        ("flags one_cycle --set min_lr=low", "min_lr='low' is not a number"),
        (
            "flags one_cycle --set min_lr=1e-3 --learning_rate 1e-4",
            "min_lr=0.001 is out of range: give a learning rate from 0 to the peak, 0.0001",
        ),
        ("flags one_cycle --set min_lr=1e-6 min_lr_ratio=0", "min_lr=1e-06 with min_lr_ratio=0: give one of the two"),
        ("flags constant_decay --set min_lr=1e-6", "with 'constant_decay', which has no floor: leave min_lr out"),
        ("flags step_decay --set step_size=2ep", "not known here: give steps_per_epoch, or the length in steps or"),
        ("flags step_decay --set step_size=2ep", "(--steps_per_epoch N; the recipes count it themselves)"),
        ("flags step_decay --set steps_per_epoch=5", "is no parameter of a curve: give --steps_per_epoch"),
        ("flags step_decay --steps_per_epoch 0", "--steps_per_epoch='0' is out of range: give a number above 0"),
        ("flags one_cycle --monitor f1", "--monitor f1 with 'one_cycle', which follows no metric: leave it out"),
        ("flags cosin", "unknown schedule 'cosin': did you mean 'cosine'"),
        ("flags reduce_lr_on_plateau", "is no function of the step: the rate follows a metric, and is known only"),
        ("flags greedy", "is no function of the step: the rate follows the training loss"),
        ("flags cosine --set on_extend=keep", "'cosine' takes no parameter 'on_extend': known: 'num_cycles'"),
        ("flags cosine_with_min_lr", "min_lr_rate is missing: give a ratio of the peak such as min_lr_rate=0.1"),
        ("flags cosine_with_min_lr --set min_lr=0 min_lr_rate=0", "min_lr=0 with min_lr_rate: give one of the two"),
        ("flags warmup_stable_decay", "num_decay_steps is missing: give a number of steps such as"),
        ("flags warmup_stable_decay --set num_decay_steps=0.1", "is no number of steps: give a whole number of"),
        ("flags polynomial --learning_rate 1e-8", "lr_end=1e-07 is not below the peak, 1e-08: give a lower one"),
        ("flags constant --warmup_steps 10", "'constant', which has no warmup"),
        ("flags one_cycle --warmup_steps 2ep", "warmup_steps='2ep' counts epochs"),
        ("flags one_cycle --warmup_steps soon", "warmup_steps='soon' is not a number: give one"),
        ("flags one_cycle --warmup_steps 1.0", "warmup_steps=1.0 is ambiguous: give a whole number of steps"),
        ("flags one_cycle --warmup_steps 2000000", "(checked for 1000000 steps: give yours with --total_steps)"),
    ],
)
def test_a_mistake_of_flags_is_one_line_and_exit_code_2(
    argv: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_mistake(argv, words, capsys)
