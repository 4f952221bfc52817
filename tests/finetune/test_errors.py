"""Every mistake is told before a model is loaded, on one line, and nothing is written or deleted."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import pytest

from hf_strategies import StrategyError
from hf_strategies.finetune import flags
from hf_strategies.finetune.arguments import RecipeArguments
from hf_strategies.finetune.preflight import prepare_run
from hf_strategies.finetune.small_bert import train_wordpiece
from hf_strategies.recipes import text_classification
from tests.finetune.runs import QUIET

GOOD = "text,label\n" + "".join(f"{word} number {index},{'ab'[index % 2]}\n" for index, word in enumerate(["x"] * 24))
SIX_STEPS = [*QUIET, "--max_steps", "6"]
EARLY = ["--early_stopping_patience", "2"]
KWARGS = "--lr_scheduler_kwargs"

Tell = Callable[..., str]


class _LoadedError(Exception):
    """A model was loaded."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with good data sets."""
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.csv").write_text(GOOD, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def good_flags() -> list[str]:
    files = ["--train_file", "train.csv", "--validation_file", "dev.csv", "--test_file", "test.csv"]
    return [*files, "--output_dir", "out", *SIX_STEPS]


@pytest.fixture
def tell(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Run the recipe with good flags and these more; return the words of its one mistake.

    Fails when a model is loaded, or when anything is written to the disk or deleted from it.
    """

    def load(*_args: Any, **_kwargs: Any) -> NoReturn:
        raise _LoadedError

    monkeypatch.setattr(text_classification, "load_model", load)

    def run(*flags: str) -> str:
        before = contents(folder)
        with pytest.raises(StrategyError) as raised:
            text_classification.main([*good_flags(), *flags])
        assert contents(folder) == before
        words = str(raised.value)
        assert "\n" not in words
        return words

    return run


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.usefixtures("tell")
def test_flags_without_a_mistake_load_the_model() -> None:
    with pytest.raises(_LoadedError):
        text_classification.main(good_flags())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--lr_scheduler_type", "cosine_decy"], r"--lr_scheduler_type cosine_decy: did you mean 'cosine_decay'"),
        (
            ["--lr_scheduler_type", "linear_warmup_step_decay", KWARGS, '{"gama": 0.5}'],
            r"'linear_warmup_step_decay' takes no parameter 'gama': did you mean 'gamma'\?",
        ),
        (
            ["--lr_scheduler_type", "linear_warmup_step_decay", KWARGS, '{"gamma": "fast"}'],
            r"gamma='fast' is not a number",
        ),
        ([KWARGS, '{"min_lr_ratio": 2}'], r"min_lr_ratio=2 is out of range"),
        ([KWARGS, "gamma=0.5"], r"lr_scheduler_kwargs='gamma=0.5' is no mapping: give JSON such as"),
        ([KWARGS, "[0.5]"], r"lr_scheduler_kwargs='\[0.5\]' is no mapping"),
        ([KWARGS, '{"gamma": 0.5'], r"lr_scheduler_kwargs='\{\"gamma\": 0.5' is no JSON"),
        ([KWARGS, '{"warmup_steps": 3}'], r"lr_scheduler_kwargs has warmup_steps=3: give it as .*warmup_steps"),
        (
            [KWARGS, '{"num_warmup_steps": 3}'],
            r"lr_scheduler_kwargs has num_warmup_steps=3: give it as .*warmup_steps",
        ),
        (["--warmup_steps", "-1"], r"warmup_steps=-1.0 is out of range: give whole steps"),
        (["--warmup_steps", "6"], r"warmup_steps=6 .*leaves nothing of the 6 training steps: lower warmup_steps"),
        (["--warmup_steps", "7"], r"warmup_steps=7 .*leaves nothing of the 6 training steps"),
        (["--warmup_steps", "0.99"], r"leaves nothing of the 6 training steps"),
        (["--warmup_steps", "6", "--lr_scheduler_type", "cosine"], r"warmup_steps=6 leaves nothing of the 6"),
        (["--warmup_steps", "2.5"], r"warmup_steps=2.5 is out of range: give whole steps, or a fraction in \[0, 1\)"),
        (
            ["--lr_scheduler_type", "cosine_decay", "--warmup_steps", "0.1"],
            r"'cosine_decay', which has no warmup: set warmup_steps=0, or take",
        ),
        (
            ["--max_steps", "-1", "--num_train_epochs", "0"],
            r"num_train_epochs=0.0 is out of range: give a number above 0",
        ),
        (["--learning_rate", "0"], r"learning_rate=0.0 is out of range: give a number above 0"),
        (["--learning_rate", "nan"], r"learning_rate=nan is not finite: give a number above 0"),
        (["--num_train_epochs", "nan"], r"num_train_epochs=nan is not finite: give a number"),
        (["--num_train_epochs", "inf"], r"num_train_epochs=inf is not finite: give a number"),
        (["--weight_decay", "-1"], r"weight_decay=-1.0 is out of range: give 0"),
        (["--seed", "99999999999999"], r"seed=99999999999999 is out of range: give at most 4294967295"),
        (
            ["--lr_scheduler_type", "cosine_with_restarts", KWARGS, '{"num_cycle": 2}'],
            r"'cosine_with_restarts' takes no parameter 'num_cycle': did you mean 'num_cycles'\?",
        ),
        (["--lr_scheduler_type", "linear", KWARGS, '{"gamma": 2}'], r"'linear' takes no parameter 'gamma': none"),
        (["--lr_scheduler_type", "cosine_with_min_lr"], r"does not fit 'cosine_with_min_lr': .*min_lr"),
        (
            ["--lr_scheduler_type", "reduce_lr_on_plateau", KWARGS, '{"patiense": 2}'],
            r"does not fit 'reduce_lr_on_plateau': .*'patiense'",
        ),
        (["--lr_scheduler_type", "linear", KWARGS, '{"warmup_steps": 3}'], r"lr_scheduler_kwargs has warmup_steps=3"),
    ],
)
def test_a_schedule_that_cannot_be_is_told_before_a_model_is_loaded(
    flags: Sequence[str], words: str, tell: Tell
) -> None:
    assert re.search(words, tell(*flags))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([*EARLY, "--early_stopping_monitor", "acuracy"], r"monitor='acuracy'.*did you mean 'accuracy'"),
        (
            [*EARLY, "--early_stopping_monitor", "acuracy", "--early_stopping_mode", "max"],
            r"early_stopping_monitor='acuracy' is no metric here: did you mean 'accuracy'\?",
        ),
        ([*EARLY, "--early_stopping_monitor", "f1"], r"early_stopping_monitor='f1' is no metric here: .*'macro_f1'"),
        (
            [*EARLY, "--eval_strategy", "no"],
            r"early_stopping with eval_strategy='no' has nothing to watch: set eval_strategy='epoch'",
        ),
        (["--early_stopping_patience", "0"], r"patience='0' is out of range: give a whole number of evaluations"),
        (["--early_stopping_patience", "-1"], r"patience='-1' is out of range"),
        (
            [*EARLY, "--early_stopping_min_delta", "-0.1"],
            r"min_delta=-0.1 is out of range: give a number of at least 0",
        ),
        ([*EARLY, "--early_stopping_min_delta", "nan"], r"min_delta=nan is not finite"),
        ([*EARLY, "--early_stopping_mode", "up"], r"mode='up' is no direction: give 'min' .* or 'max'"),
        (
            ["--early_stopping_min_delta", "0.1"],
            r"early_stopping_min_delta=0.1 has no effect without early_stopping_patience: set that too",
        ),
        (["--early_stopping_monitor", "accuracy"], r"early_stopping_monitor='accuracy' has no effect without"),
        (["--no_restore_best_weights"], r"restore_best_weights=False has no effect without early_stopping_patience"),
    ],
)
def test_a_stopping_rule_that_cannot_be_is_told_before_a_model_is_loaded(
    flags: Sequence[str], words: str, tell: Tell
) -> None:
    assert re.search(words, tell(*flags))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--do_train", "false"], r"do_train=False without model_name_or_path would evaluate random weights: name a"),
        (["--find_lr", "--do_train", "false"], r"find_lr=True with do_train=False: it trains, so leave out"),
        (["--metric_for_best_model", "eval_acuracy"], r"metric_for_best_model='acuracy' .*did you mean 'accuracy'"),
        (["--report_to", "wandbb"], r"report_to='wandbb': did you mean 'wandb'"),
        pytest.param(
            ["--deepspeed", "missing.json"],
            r"^The 'deepspeed.* required.*: install it, or leave out the flag that needs it$",
            marks=pytest.mark.skipif(find_spec("deepspeed") is not None, reason="deepspeed is installed"),
        ),
    ],
)
def test_flags_that_cannot_be_are_told_before_data_is_loaded(
    flags: Sequence[str], words: str, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(text_classification, "load_classification")
    assert re.search(words, tell(*flags))


def test_a_report_to_what_is_not_installed_is_told(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "get_available_reporting_integrations", list)
    assert tell("--report_to", "wandb") == "report_to='wandb' is not installed: install it, or give --report_to none"


@pytest.mark.usefixtures("tell")
@pytest.mark.parametrize("best", ["loss", "eval_loss", "accuracy", "eval_macro_f1"])
def test_each_metric_of_the_recipe_can_be_the_one_for_the_best_model(best: str) -> None:
    with pytest.raises(_LoadedError):
        text_classification.main([*good_flags(), "--metric_for_best_model", best])


@pytest.mark.usefixtures("tell")
@pytest.mark.parametrize("name", ["linear", "linear_warmup_cosine_decay", "cosine_decay", "constant"])
def test_one_step_is_enough_for_the_warmup_that_nobody_asked_for(name: str) -> None:
    with pytest.raises(_LoadedError):
        text_classification.main([*good_flags(), "--max_steps", "1", "--lr_scheduler_type", name])


def test_baselines_with_nothing_to_learn_from_are_told() -> None:
    args = RecipeArguments(do_train=False, baselines=True, use_cpu=True)
    with pytest.raises(StrategyError, match="baselines=True without train_file has nothing to learn from"):
        prepare_run(args, {"test": [1]}, pretrained=False)


@pytest.mark.parametrize(("splits", "predicts"), [({"train": [1]}, True), ({"train": [1], "test": [1]}, False)])
def test_baselines_without_a_test_set_to_compare_on_are_told(splits: dict[str, list[int]], predicts: bool) -> None:
    args = RecipeArguments(do_train=False, do_predict=predicts, baselines=True, use_cpu=True)
    with pytest.raises(StrategyError, match="baselines=True compares on the test set, which this run does not"):
        prepare_run(args, splits, pretrained=False)


@pytest.mark.parametrize(
    ("content", "flags", "words"),
    [
        (None, [], r"train_file='bad.csv': no such file"),
        ("", [], r"train_file='bad.csv' is empty: give at least one example"),
        ("text,label\n", [], r"train_file='bad.csv' is empty: give at least one example"),
        (GOOD.replace("label", "labl"), [], r"label_column='label' is no column of the train split: .*'labl'\?"),
        (GOOD, ["--text_column", "txt"], r"text_column='txt' is no column of the train split: did you mean 'text'\?"),
        (GOOD.replace("x number 5,b", ",b"), [], r"row 5 of the train split has no 'text': fill it or drop the row"),
        (re.sub(",[ab]", ",", GOOD), [], r"no row of the train split has a label in 'label': give at least one"),
        (GOOD.replace(",a", ",b"), [], r"the only label of the training set is 'b': give at least two"),
        (GOOD.replace(",a", ",c"), [], r"label 'a' \(row 0 of the validation split\) is not in the training set"),
    ],
)
def test_data_that_cannot_be_used_is_told_before_a_model_is_loaded(
    content: str | None, flags: Sequence[str], words: str, folder: Path, tell: Tell
) -> None:
    if content is not None:
        (folder / "bad.csv").write_text(content, encoding="utf-8")
    assert re.search(words, tell("--train_file", "bad.csv", *flags))


def test_a_model_that_cannot_be_had_is_told(folder: Path, tell: Tell) -> None:
    (folder / "empty").mkdir()
    for name in ("nowhere", "./nowhere/at/all", "empty", "google-bert/bert-base-uncased"):
        assert re.search(
            f"model_name_or_path='{name}' cannot be loaded: .*config.json", tell("--model_name_or_path", name)
        )


@pytest.mark.usefixtures("tell")
def test_a_length_that_the_model_does_not_take_is_told() -> None:
    with pytest.raises(StrategyError, match="max_length=1000 is out of range: this model takes 3 to 512 tokens"):
        text_classification.main([*good_flags(), "--max_length", "1000"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: [1", r"flags.yaml is no YAML: .*line 1"),
        ("lr_schedule_type: cosine", r"flags.yaml: unknown key 'lr_schedule_type': did you mean 'lr_scheduler_type'"),
        ("lr_scheduler_kwargs: {gama: 0.5}", r"takes no parameter 'gama'"),
        ("lr_scheduler_kwargs: {warmup_steps: 3}", r"lr_scheduler_kwargs has warmup_steps=3"),
        ("early_stopping_patience: 0", r"patience='0' is out of range"),
    ],
)
def test_a_mistake_in_a_config_file_is_told_as_that_of_a_flag(
    text: str, words: str, folder: Path, tell: Tell
) -> None:
    (folder / "flags.yaml").write_text(text, encoding="utf-8")
    assert re.search(words, tell("--config", "flags.yaml"))


class TestOutputFolder:
    """What is there already stays."""

    @pytest.fixture
    def checkpoint(self, folder: Path) -> Path:
        """The checkpoint of an earlier run."""
        checkpoint = folder / "out" / "checkpoint-4"
        checkpoint.mkdir(parents=True)
        (checkpoint / "trainer_state.json").write_text("{}", encoding="utf-8")
        train_wordpiece(["some words of a tokenizer"]).save_pretrained(checkpoint)
        return checkpoint

    def test_a_checkpoint_there_is_told_with_the_ways_out(self, checkpoint: Path, tell: Tell) -> None:
        words = "output_dir='out' holds a checkpoint .*another folder.*resume_from_checkpoint.*overwrite_output_dir"
        assert re.search(words, tell())
        assert checkpoint.is_dir()

    @pytest.mark.usefixtures("tell", "checkpoint")
    @pytest.mark.parametrize("flags", [["--overwrite_output_dir"], ["--resume_from_checkpoint", "last"]])
    def test_each_way_out_goes_on_to_the_model(self, flags: list[str]) -> None:
        with pytest.raises(_LoadedError):
            text_classification.main([*good_flags(), *flags])

    @pytest.mark.usefixtures("tell")
    def test_resuming_with_no_checkpoint_there_starts_from_the_beginning(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(_LoadedError):
            text_classification.main([*good_flags(), "--resume_from_checkpoint", "last"])
        assert "there is no whole checkpoint in 'out', so that training starts from the beginning" in caplog.text

    def test_resuming_from_what_is_no_checkpoint_is_told(self, folder: Path, tell: Tell) -> None:
        words = tell("--resume_from_checkpoint", str(folder))
        assert re.search(r"resume_from_checkpoint='.*' is no checkpoint: give its folder, or 'last'", words)

    @pytest.mark.parametrize(
        "name", ["model.safetensors", "predictions.jsonl", "all_results.json", "trainer_state.json"]
    )
    def test_results_without_a_checkpoint_are_told_too(self, name: str, folder: Path, tell: Tell) -> None:
        (folder / "out").mkdir()
        (folder / "out" / name).touch()
        words = f"output_dir='out' holds {name} of an earlier run: give another folder, or --overwrite_output_dir"
        assert tell().startswith(words)
        with pytest.raises(_LoadedError):
            text_classification.main([*good_flags(), "--overwrite_output_dir"])

    @pytest.mark.parametrize("name", ["predictions.jsonl", "all_results.json"])
    def test_results_are_not_lost_to_an_evaluation_either(self, name: str, tmp_path: Path) -> None:
        (tmp_path / name).touch()
        options: dict[str, Any] = {"output_dir": str(tmp_path), "do_train": False, "use_cpu": True}
        with pytest.raises(StrategyError, match=f"holds {name} of an earlier run"):
            prepare_run(RecipeArguments(**options, resume_from_checkpoint="last"), {"test": [1]}, pretrained=False)
        prepare_run(RecipeArguments(**options, overwrite_output_dir=True), {"test": [1]}, pretrained=False)

    def test_a_model_can_be_evaluated_into_its_own_folder(self, tmp_path: Path) -> None:
        (tmp_path / "model.safetensors").touch()
        prepare_run(
            RecipeArguments(output_dir=str(tmp_path), do_train=False, use_cpu=True), {"test": [1]}, pretrained=False
        )

    @pytest.mark.parametrize("place", ["/dev/null/out", "train.csv/out", "out" * 100])
    def test_a_place_that_cannot_be_written_is_told(self, place: str, tell: Tell) -> None:
        words = tell("--output_dir", place)
        assert re.fullmatch(r"output_dir='.*' cannot be written \(.+\): give a folder that can", words)

    def test_a_file_in_its_place_is_told(self, tell: Tell) -> None:
        assert tell("--output_dir", "train.csv") == "output_dir='train.csv' is a file: give a folder"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--lr_scheduler_type", "cosine_decy"], "did you mean 'cosine_decay'"),
        (["--train_file", "nowhere.csv"], "train_file='nowhere.csv': no such file"),
    ],
)
def test_the_shell_sees_one_line_and_exit_code_2(
    flags: list[str], words: str, checkout: Path, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "recipes/text_classification.py", "--output_dir", str(tmp_path / "out"), *SIX_STEPS, *flags],
        cwd=checkout,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert not (tmp_path / "out").exists()
