"""The command line: flags and YAML mean the same, and every mistake is one line with a remedy."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_strategies import StrategyArguments, StrategyError
from hf_strategies.finetune.arguments import ModelArguments, RecipeArguments
from hf_strategies.finetune.command_line import parse, run_command
from hf_strategies.finetune.text_classification.data import ClassificationArguments
from hf_strategies.flag_file import flags_of_yaml

KINDS = (ClassificationArguments, ModelArguments, StrategyArguments, RecipeArguments)

# The same settings twice: numbers with exponents, booleans, words that YAML 1.1 takes for booleans, lists, JSON.
FLAGS = {
    "output_dir": ["runs/x"],
    "train_file": ["data/train set.csv"],
    "max_train_samples": ["500"],
    "early_stopping_patience": ["3"],
    "early_stopping_min_delta": ["1e-3"],
    "restore_best_weights": ["false"],
    "learning_rate": ["1e-5"],
    "lr_scheduler_type": ["exponential_warmup_step_decay"],
    "lr_scheduler_kwargs": ['{"min_lr_ratio": 1e-5, "gamma": 0.5, "step_size": 7}'],
    "warmup_steps": ["0.1"],
    "eval_strategy": ["no"],
    "do_predict": ["no"],
    "use_cpu": ["true"],
    "label_names": ["labels", "no"],
    "include_for_metrics": ["inputs"],
}
YAML = {
    "output_dir": "runs/x",
    "train_file": "data/train set.csv",
    "max_train_samples": "500",
    "early_stopping_patience": "3",
    "early_stopping_min_delta": "1e-3",
    "restore_best_weights": "false",
    "learning_rate": "1e-5",
    "lr_scheduler_type": "exponential_warmup_step_decay",
    "lr_scheduler_kwargs": "{min_lr_ratio: 1e-5, gamma: 0.5, step_size: 7}",
    "warmup_steps": "0.1",
    "eval_strategy": "no",
    "do_predict": "no",
    "use_cpu": "true",
    "label_names": "[labels, no]",
    "include_for_metrics": "\n  - inputs",
}


@pytest.fixture
def yaml(tmp_path: Path) -> Callable[[str], str]:
    """Write a YAML file and return its name."""

    def write(text: str) -> str:
        (tmp_path / "flags.yaml").write_text(text, encoding="utf-8")
        return str(tmp_path / "flags.yaml")

    return write


def as_flags(names: list[str]) -> list[str]:
    return [word for name in names for word in (f"--{name}", *FLAGS[name])]


def as_yaml(names: list[str]) -> str:
    return "\n".join(f"{name}: {YAML[name]}" for name in names)


def told(argv: list[str]) -> str:
    """The words of the one mistake that parsing these flags raises, which must be one short line."""
    with pytest.raises(StrategyError) as raised:
        parse(KINDS, argv)
    words = str(raised.value)
    assert "\n" not in words
    assert len(words) < 400
    return words


def test_flags_fill_the_dataclasses_with_the_values_they_say() -> None:
    data, model, strategy, args = parse(KINDS, as_flags(list(FLAGS)))
    assert (data.train_file, data.max_train_samples, model.model_name_or_path) == (["data/train set.csv"], 500, None)
    assert (strategy.early_stopping_min_delta, strategy.restore_best_weights) == (0.001, False)
    assert (args.learning_rate, args.warmup_steps, args.eval_strategy) == (0.00001, 0.1, "no")
    assert args.lr_scheduler_kwargs == {"min_lr_ratio": 0.00001, "gamma": 0.5, "step_size": 7}
    assert (args.do_predict, args.use_cpu, args.do_train) == (False, True, True)
    assert (args.label_names, args.include_for_metrics) == (["labels", "no"], ["inputs"])


def test_a_yaml_file_gives_the_same_dataclasses_as_the_flags(yaml: Callable[[str], str]) -> None:
    assert parse(KINDS, ["--config", yaml(as_yaml(list(YAML)))]) == parse(KINDS, as_flags(list(FLAGS)))


@pytest.mark.parametrize("in_yaml", [list(FLAGS)[::2], list(FLAGS)[1::2]])
def test_half_in_yaml_and_half_as_flags_gives_the_same_dataclasses(
    in_yaml: list[str], yaml: Callable[[str], str]
) -> None:
    rest = [name for name in FLAGS if name not in in_yaml]
    mixed = parse(KINDS, [*as_flags(rest), "--config", yaml(as_yaml(in_yaml))])
    assert mixed == parse(KINDS, as_flags(list(FLAGS)))


def test_each_flag_wins_over_its_yaml_entry(yaml: Callable[[str], str]) -> None:
    other = "output_dir: elsewhere\nlearning_rate: 0.5\neval_strategy: epoch\ndo_predict: true\nlabel_names: [b]"
    given = [*as_flags(list(FLAGS)), f"--config={yaml(other)}"]
    assert parse(KINDS, given) == parse(KINDS, as_flags(list(FLAGS)))
    assert parse(KINDS, ["--config", yaml(other)])[3].learning_rate == 0.5


def test_null_and_an_empty_file_leave_the_defaults(yaml: Callable[[str], str]) -> None:
    defaults = parse(KINDS, [])
    assert parse(KINDS, ["--config", yaml("seed:\nlearning_rate: null\nlr_scheduler_kwargs: ~\n")]) == defaults
    assert parse(KINDS, ["--config", yaml("# nothing yet\n")]) == defaults
    assert parse(KINDS, ["--config", yaml("seed: 7")]) != defaults


def test_a_switch_without_a_value_is_true_and_its_no_form_false() -> None:
    assert parse(KINDS, ["--figure"])[3].figure
    assert not parse(KINDS, ["--no_restore_best_weights", "--early_stopping_patience", "1"])[2].restore_best_weights


@pytest.mark.parametrize(
    ("entry", "flags"),
    [
        ("seed: 3", ["--seed=3"]),
        ("seed: -3", ["--seed=-3"]),
        ("seed: '3'", ["--seed=3"]),
        ("run_name: 2026-01-31", ["--run_name=2026-01-31"]),
        ("run_name: 12:30", ["--run_name=12:30"]),
        ("run_name: off", ["--run_name=off"]),
        ("run_name: a = b, c", ["--run_name=a = b, c"]),
        ("do_eval: False", ["--do_eval=false"]),
        ("label_names: [a b, yes]", ["--label_names", "a b", "yes"]),
        ("lr_scheduler_kwargs: {a: {b: [1, no, null]}}", ['--lr_scheduler_kwargs={"a": {"b": [1, "no", null]}}']),
        ("seed:", []),
    ],
)
def test_a_yaml_entry_is_the_flag_of_the_same_words(entry: str, flags: list[str], yaml: Callable[[str], str]) -> None:
    assert flags_of_yaml(yaml(entry), {entry.partition(":")[0]}) == flags


@pytest.mark.parametrize("spelling", ["1e-5", "1E-5", "1.0e-5", "0.00001", ".00001", "+1e-5"])
def test_every_spelling_of_a_number_is_the_number_in_yaml_and_in_json(
    spelling: str, yaml: Callable[[str], str]
) -> None:
    config = yaml(f"learning_rate: {spelling}\nlr_scheduler_kwargs:\n  min_lr_ratio: {spelling}")
    args = parse(KINDS, ["--config", config])[3]
    assert args.learning_rate == args.lr_scheduler_kwargs["min_lr_ratio"] == float(spelling) == 0.00001


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--lr_scheduler_typ", "cosine"], r"unknown flag --lr_scheduler_typ: did you mean 'lr_scheduler_type'"),
        (["--lerning-rate=1"], r"unknown flag --lerning-rate: did you mean 'learning_rate'"),
        (["cosine"], r"'cosine' belongs to no flag: flags begin with --"),
        (["--lr_scheduler_type", "cosine_decy"], r"--lr_scheduler_type cosine_decy: did you mean 'cosine_decay'"),
        (["--eval_strategy", "sometimes"], r"--eval_strategy sometimes: known: 'epoch', 'no', 'steps'"),
        (["--train_sampling_strategy", "group_length"], r"group_length: did you mean 'group_by_length'\?"),
        (["--learning_rate", "fast"], r"--learning_rate.*invalid float value: 'fast'"),
        (["--seed", "1.5"], r"--seed: invalid int value: '1.5'"),
        (["--do_train", "maybe"], r"--do_train.*got maybe but expected one of .*true/false"),
        (["--learning_rate"], r"--learning_rate.*expected one argument"),
        (["--config"], r"--config names no file: give --config FILE.yaml"),
        (["--config", "--seed", "1"], r"--config names no file"),
        (["--config", "nowhere.yaml"], r"--config nowhere.yaml: no such file"),
        (["--lr_scheduler_kwargs", '{"gamma": '], r"lr_scheduler_kwargs='\{\"gamma\": ' is no JSON: Expecting value"),
        (["--warmup_steps", "2.5"], r"warmup_steps=2.5 is out of range: give whole steps, or a fraction in \[0, 1\)"),
        (["--warmup_steps", "nan"], r"warmup_steps=nan is not finite: give whole steps"),
        (["--warmup_steps", "inf"], r"warmup_steps=inf is not finite: give whole steps"),
        (
            ["--validation_fraction", "1"],
            r"validation_fraction=1.0 is out of range: give a number in \(0, 1\), such as 0.1",
        ),
        (["--max_train_samples", "0"], r"max_train_samples=0 is out of range: give a whole number of at least 1"),
        (["--dataset_name", "a", "--test_file", "b"], r"dataset_name='a' with test_file: give one or the other"),
        (["--text_pair_column", "b"], r"text_pair_column='b' without text_column: give both"),
    ],
)
def test_a_mistaken_flag_is_told_with_its_remedy(argv: list[str], words: str) -> None:
    assert re.search(words, told(argv))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lerning_rate: 1", r"flags.yaml: unknown key 'lerning_rate': did you mean 'learning_rate'"),
        ("1: 2", r"unknown key 1: known: "),
        ("lr_scheduler_type: cosine_decy", r"--lr_scheduler_type cosine_decy: did you mean 'cosine_decay'"),
        ("learning_rate: fast", r"--learning_rate.*invalid float value: 'fast'"),
        ("seed: {a: 1}", r"--seed: invalid int value"),
        ("seed: [1, 2]", r"'2' belongs to no flag"),
        ("seed: 2026-01-31", r"--seed: invalid int value: '2026-01-31'"),
        ("seed: [1", r"flags.yaml is no YAML: .*line 1"),
        ("seed: 1\n\tlearning_rate: 2", r"is no YAML: .*line 2"),
        ("- seed\n- learning_rate", r"holds no mapping but list: write `flag: value` lines"),
        ("seed", r"holds no mapping but str"),
    ],
)
def test_a_mistake_in_yaml_is_told_with_its_remedy(text: str, words: str, yaml: Callable[[str], str]) -> None:
    assert re.search(words, told(["--config", yaml(text)]))


def test_a_file_that_is_no_text_is_told_as_no_yaml(tmp_path: Path) -> None:
    (tmp_path / "flags.yaml").write_bytes(b"run_name: \xff\xfe")
    assert re.search("flags.yaml is no YAML", told(["--config", str(tmp_path / "flags.yaml")]))


def test_an_unknown_schedule_is_told_without_the_table() -> None:
    words = told(["--lr_scheduler_type", "cosine_decy"])
    assert words.count("'") <= 6
    assert "polynomial" not in words


def test_a_flag_is_not_guessed_from_its_beginning() -> None:
    assert "unknown flag --learning" in told(["--learning", "1"])


class TestRunCommand:
    """What the shell sees of a recipe."""

    @staticmethod
    def run(main: Callable[[], Any]) -> object:
        with pytest.raises(SystemExit) as ended:
            run_command(main)
        return ended.value.code

    @staticmethod
    def fail() -> None:
        raise StrategyError("patience=0\n  is none: give 1")

    def test_a_mistake_is_one_line_on_stderr_and_exit_code_2(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.run(self.fail) == 2
        assert capsys.readouterr() == ("", "error: patience=0 is none: give 1\n")

    def test_another_process_prints_a_mistake_only_if_the_main_process_has_not_ended_the_run_by_then(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        slept: list[float] = []
        monkeypatch.setattr("time.sleep", slept.append)
        monkeypatch.setenv("RANK", "1")
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
        assert self.run(self.fail) == 2
        line = "error: patience=0 is none: give 1 (process 1)"
        assert capsys.readouterr() == ("", f"{line}\n")
        assert slept == [10.0]
        assert json.loads((tmp_path / "error.json").read_text())["message"] == line

    def test_an_interrupt_of_another_process_is_not_printed(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted() -> None:
            raise KeyboardInterrupt

        monkeypatch.setenv("RANK", "1")
        assert self.run(interrupted) == 130
        assert capsys.readouterr() == ("", "")

    def test_success_is_exit_code_0(self) -> None:
        assert self.run(lambda: "done") == 0

    def test_what_is_no_mistake_of_the_user_keeps_its_traceback(self) -> None:
        with pytest.raises(json.JSONDecodeError):
            run_command(lambda: json.loads("{"))
