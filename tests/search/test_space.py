"""The space of a search: which flags a trial gets, and one clear error for each row that cannot be searched."""

from pathlib import Path

import pytest

from hf_strategies.errors import StrategyError
from hf_strategies.presets import PRESETS
from hf_strategies.search.space import read_space
from tests.search.searches import SPACE, Scripted, write

STEPS = "exponential_warmup_step_decay"


def test_a_parameter_of_one_schedule_is_searched_with_that_schedule_alone(tmp_path: Path) -> None:
    space = read_space(write(tmp_path)[1])
    plain = Scripted(learning_rate=1e-3, num_train_epochs=2, lr_scheduler_type="linear")
    assert space.settings(plain) == {
        "learning_rate": 1e-3, "num_train_epochs": 2, "lr_scheduler_type": "linear"
    }  # fmt: skip
    assert plain.asked == {
        "learning_rate": (1e-5, 1e-2, None, True),
        "num_train_epochs": (1, 5, 1, False),
        "lr_scheduler_type": ("linear", STEPS),
    }
    values = {f"{STEPS}__gamma": 0.5, f"{STEPS}__warmup_steps": 3}
    steps = Scripted(learning_rate=1e-3, num_train_epochs=2, lr_scheduler_type=STEPS, **values)
    assert space.settings(steps) == {
        "learning_rate": 1e-3,
        "num_train_epochs": 2,
        "lr_scheduler_type": STEPS,
        "lr_scheduler_kwargs": {"gamma": 0.5},
        "warmup_steps": 3,
    }


def test_the_values_of_a_choice_keep_their_types(tmp_path: Path) -> None:
    space = read_space(write(tmp_path, "max_length: {choice: [8, 16]}\nbf16: {choice: [true, null]}")[1])
    assert space.settings(Scripted(max_length="16", bf16="True")) == {"max_length": 16, "bf16": True}
    # null leaves the flag at its default
    assert space.settings(Scripted(max_length="8", bf16="None")) == {"max_length": 8}


def test_a_strategy_is_a_preset_or_a_file_of_flags_and_may_have_rows_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("early_stopping_monitor: f1\n", encoding="utf-8")
    name = next(iter(PRESETS))
    below = f"{tmp_path / 'mine.yaml'}:\n      early_stopping_patience: {{int: [1, 3]}}"
    text = f"strategy:\n  choice:\n    {name}:\n    {below}\n"
    space = read_space(write(tmp_path, text)[1])
    assert space.settings(Scripted(strategy=name)) == {"strategy": name}
    mine = str(tmp_path / "mine.yaml")
    chosen = space.settings(Scripted(strategy=mine, **{f"{mine.replace('.', '__')}__early_stopping_patience": 2}))
    assert chosen == {"strategy": None, "early_stopping_monitor": "f1", "early_stopping_patience": 2}


def test_parameters_of_the_schedule_of_the_task_are_rows_of_lr_scheduler_kwargs(tmp_path: Path) -> None:
    file = write(tmp_path, "lr_scheduler_kwargs:\n  gamma: {float: [0.2, 0.4], step: 0.1}\n")[1]
    assert read_space(file, STEPS).settings(Scripted(gamma=0.3)) == {"lr_scheduler_kwargs": {"gamma": 0.3}}
    with pytest.raises(StrategyError, match="row gamma is no parameter of 'linear'"):
        read_space(file)


def test_corners_are_both_bounds_and_each_option_of_each_row(tmp_path: Path) -> None:
    corners = list(read_space(write(tmp_path)[1]).corners())
    first = {"learning_rate": 1e-5, "num_train_epochs": 1, "lr_scheduler_type": "linear"}
    steps = {**first, "lr_scheduler_type": STEPS}
    assert corners == [
        ("learning_rate", first),
        ("learning_rate", {**first, "learning_rate": 1e-2}),
        ("num_train_epochs", first),
        ("num_train_epochs", {**first, "num_train_epochs": 5}),
        ("lr_scheduler_type", first),
        ("lr_scheduler_type", {**steps, "lr_scheduler_kwargs": {"gamma": 0.1}, "warmup_steps": 1}),
        (f"{STEPS}.gamma", {**steps, "lr_scheduler_kwargs": {"gamma": 0.1}, "warmup_steps": 1}),
        (f"{STEPS}.gamma", {**steps, "lr_scheduler_kwargs": {"gamma": 0.9}, "warmup_steps": 1}),
        (f"{STEPS}.warmup_steps", {**steps, "lr_scheduler_kwargs": {"gamma": 0.1}, "warmup_steps": 1}),
        (f"{STEPS}.warmup_steps", {**steps, "lr_scheduler_kwargs": {"gamma": 0.1}, "warmup_steps": 10}),
    ]


MISTAKES = {
    "learning_rate: {float: [1e-3, 1e-5]}": "row learning_rate has low 0.001, which is not below high 1e-05",
    "learning_rate: {float: [1e-3, 1e-3]}": "row learning_rate has low 0.001, which is not below",
    "learning_rate: {float: []}": "row learning_rate has float: []: give two numbers",
    "learning_rate: {float: [0, 1e-3], log: true}": "row learning_rate has log: true with low 0: give a low above 0",
    "num_train_epochs: {int: [1, 2.5]}": "row num_train_epochs has int: [1, 2.5]: give two whole numbers",
    "num_train_epochs: {int: [1, 3], step: 5}": "row num_train_epochs has step: 5: give one above 0 and up to 2",
    "learning_rate: {float: [1e-5, 1e-3], lgo: true}": "has an unknown entry 'lgo': did you mean 'log'?",
    "learning_rate: [1e-5, 1e-3]": "row learning_rate is [1e-05, 0.001]: give rows",
    "learning_rate: {low: 1, high: 2}": "row learning_rate needs one kind of float, int, choice",
    "bf16: {choice: []}": "row bf16 has choice: []: give a list of different values",
    "bf16: {choice: [true, true]}": "row bf16 has choice: [True, True]: give a list of different values",
    "output_dir: {choice: [a, b]}": "row output_dir cannot be searched",
    "lr_scheduler_type: {choice: [cosin]}": "row lr_scheduler_type has no schedule 'cosin': did you mean 'cosine'",
    "lr_scheduler_type: {choice: {linear: {gamma: {float: [0, 1]}}}}": "row linear.gamma is no parameter of 'linear'",
    f"lr_scheduler_type: {{choice: {{{STEPS}: {{gamma: {{float: [0.5, 2]}}}}}}}}": f"row {STEPS}.gamma does not fit",
    f"lr_scheduler_type: {{choice: {{{STEPS}: {{gama: {{float: [0, 1]}}}}}}}}": "did you mean 'gamma'",
    "strategy: {choice: [no_epoch]}": "no preset 'no_epoch', nor a YAML file: did you mean 'no_epochs'",
    "": "space.yaml has no row",
    "a: [": "space.yaml is no YAML",
}  # fmt: skip


@pytest.mark.parametrize("text", MISTAKES)
def test_a_row_that_cannot_be_searched_is_named_in_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(StrategyError) as mistake:
        read_space(write(tmp_path, text)[1])
    assert MISTAKES[text] in str(mistake.value)


def test_two_spaces_have_the_same_description_only_if_they_are_the_same(tmp_path: Path) -> None:
    here = read_space(write(tmp_path)[1]).description()
    assert here == read_space(write(tmp_path)[1]).description()
    changes = {"0.9": "0.8", "log: true": "log: false", "    linear:": "    cosine:", "[1, 10]": "[2, 10]"}
    for old, new in changes.items():
        assert read_space(write(tmp_path, SPACE.replace(old, new))[1]).description() != here
