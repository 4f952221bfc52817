"""The masked-language-model recipe from flags to files, in one process and in two."""

import json
import math
import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, Trainer

from hf_strategies import StrategyError
from hf_strategies.finetune.masked_lm.data import MaskedLMArguments, encode, load_lines
from hf_strategies.finetune.masked_lm.masking import Masker
from hf_strategies.recipes import masked_lm, text_classification
from tests.finetune.runs import QUIET, read
from tests.finetune.two_processes import run_recipe

TRAIN_IN_FOURS = [*QUIET, "--per_device_train_batch_size", "4"]
SMALL = ["--block_size", "16", "--per_device_eval_batch_size", "4"]
# There are 17 blocks to train on, five steps an epoch: the sixth is in the second.
STEPS = ["--max_steps", "6", "--eval_strategy", "steps", "--eval_steps", "2", "--logging_steps", "1"]
CONSTANT = ["--lr_scheduler_type", "constant", "--learning_rate", "1e-3"]
WORDS = ["cat", "dog", "plum", "river", "house", "train", "sees", "finds", "the", "a", "under", "over"]


def prose(count: int, seed: int) -> str:
    """Lines of 1 to 9 words, with an empty one in between."""
    chance = random.Random(seed)
    return "".join(" ".join(chance.choices(WORDS, k=chance.randint(1, 9))) + "\n\n" for _ in range(count))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lm")
    for seed, (name, count) in enumerate({"train": 36, "validation": 45, "test": 20}.items()):
        (folder / f"{name}.txt").write_text(prose(count, seed), encoding="utf-8")
    return folder


def flags_of(folder: Path, out: str, *flags: str) -> list[str]:
    files = [f"--{name}_file={folder / name}.txt" for name in ("train", "validation", "test")]
    return [*TRAIN_IN_FOURS, *SMALL, *files, *flags, "--output_dir", str(folder / out)]


def run(folder: Path, out: str, *flags: str) -> Trainer:
    trainer: Trainer = masked_lm.main(flags_of(folder, out, *flags))
    return trainer


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    """Six steps at a constant learning rate, with an evaluation before the first and baselines."""
    saves = ["--save_strategy", "steps", "--save_steps", "2", "--save_total_limit", "4"]
    run(folder, "plain", *STEPS, *CONSTANT, *saves, "--baselines", "--eval_on_start", "true")
    return folder / "plain"


def evaluations(out: Path) -> list[dict[str, float]]:
    return [entry for entry in read(out / "trainer_state.json")["log_history"] if "eval_loss" in entry]


def losses(out: Path) -> list[float]:
    return [entry["loss"] for entry in read(out / "trainer_state.json")["log_history"] if "loss" in entry]


def by_hand(out: Path, folder: Path, split: str) -> tuple[float, float]:
    """Perplexity and accuracy of the saved model on a split, one block after the other."""
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(out).eval(), AutoTokenizer.from_pretrained(out)
    args = MaskedLMArguments(validation_file=str(folder / f"{split}.txt"), block_size=16)
    rows = encode(args, load_lines(args), tokenizer, 512, Masker.of(tokenizer, 0.15))["validation"]
    negative, right = [], []
    for row in rows:
        with torch.inference_mode():
            scores = model(input_ids=torch.tensor([row["input_ids"]])).logits[0].double().log_softmax(-1)
        for place, truth in enumerate(row["labels"]):
            if truth != -100:
                negative.append(-float(scores[place, truth]))
                right.append(int(scores[place].argmax()) == truth)
    assert len(negative) > 20
    return math.exp(sum(negative) / len(negative)), sum(right) / len(right)


@pytest.mark.parametrize(("split", "prefix"), [("validation", "eval"), ("test", "test")])
def test_perplexity_and_accuracy_are_those_of_a_plain_loop_over_the_saved_model(
    plain: Path, folder: Path, split: str, prefix: str
) -> None:
    perplexity, accuracy = by_hand(plain, folder, split)
    results = read(plain / "all_results.json")
    assert results[f"{prefix}_perplexity"] == pytest.approx(perplexity, rel=1e-5)
    assert results[f"{prefix}_accuracy"] == pytest.approx(accuracy)
    assert results[f"{prefix}_loss"] == pytest.approx(math.log(perplexity), rel=1e-5)


def test_training_lowers_the_perplexity_on_masks_that_stay_the_same(plain: Path) -> None:
    assert [entry["step"] for entry in evaluations(plain)] == [0, 2, 4, 6]
    assert evaluations(plain)[-1]["eval_perplexity"] < 0.9 * evaluations(plain)[0]["eval_perplexity"]
    assert evaluations(plain)[-1]["eval_perplexity"] == read(plain / "all_results.json")["eval_perplexity"]


def test_baselines_are_on_the_card_and_there_are_no_predictions(plain: Path) -> None:
    assert "test set, token frequencies: perplexity " in (plain / "README.md").read_text(encoding="utf-8")
    assert not (plain / "predictions.jsonl").exists()


def test_a_resumed_run_draws_the_masks_of_one_that_went_through(plain: Path, folder: Path) -> None:
    run(folder, "resumed", *STEPS, *CONSTANT, "--resume_from_checkpoint", str(plain / "checkpoint-2"))
    assert len(losses(plain)) == 6
    assert losses(folder / "resumed") == losses(plain)
    assert evaluations(folder / "resumed")[-1]["eval_loss"] == evaluations(plain)[-1]["eval_loss"]


def test_another_seed_evaluates_on_the_same_masks(plain: Path, folder: Path) -> None:
    still = ["--learning_rate", "1e-30", "--max_steps", "2", "--eval_strategy", "steps", "--eval_steps", "1"]
    run(folder, "seed", *still, "--seed", "7", "--model_name_or_path", str(plain), "--do_predict", "false")
    found = [entry["eval_loss"] for entry in evaluations(folder / "seed")]
    assert found == [read(plain / "all_results.json")["eval_loss"]] * 2


def test_whole_words_without_packing_run_and_evaluate_alone(plain: Path, folder: Path) -> None:
    flags = ["--whole_word_mask", "true", "--pack", "false", "--model_name_or_path", str(plain)]
    trainer = run(folder, "words", "--do_train", "false", "--do_predict", "false", *flags)
    assert read(folder / "words" / "all_results.json")["eval_samples"] == 45
    assert trainer.state.global_step == 0


def test_classification_starts_from_the_adapted_encoder(plain: Path, folder: Path) -> None:
    rows = [{"text": f"the {word} sees {index}", "label": index % 2} for index, word in enumerate(WORDS)]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    flags = [
        "--train_file",
        str(folder / "rows.json"),
        "--model_name_or_path",
        str(plain),
        "--learning_rate",
        "1e-30",
    ]
    flags += ["--max_steps", "1", "--output_dir", str(folder / "task"), "--save_strategy", "no"]
    trainer = text_classification.main([*TRAIN_IN_FOURS, *flags])
    adapted = AutoModelForMaskedLM.from_pretrained(plain).bert.state_dict()
    encoder = trainer.model.bert.state_dict()  # type: ignore[union-attr,operator]
    assert {name for name in encoder if not name.startswith("pooler")} == set(adapted)
    assert all(torch.equal(encoder[name], value) for name, value in adapted.items())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--early_stopping_patience", "2", "--early_stopping_monitor", "macro_f1"], "'macro_f1' is no metric here"),
        (["--block_size", "600"], "block_size=600 is too long: give at most 512"),
        (["--max_steps", "-1", "--warmup_steps", "20"], "leaves nothing of the 15 training steps"),
    ],
)
def test_a_mistake_is_told_before_a_model_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], words: str
) -> None:
    """The last one needs the blocks to be counted: the 36 lines would make 27 steps."""
    monkeypatch.setattr(masked_lm, "load_model", None)
    with pytest.raises(StrategyError, match=words):
        run(folder, "never", *flags)
    assert not (folder / "never").exists()


@pytest.mark.slow
def test_two_processes_measure_what_one_does(plain: Path, folder: Path) -> None:
    """The blocks are no multiple of two batches of four: some are evaluated twice and must not count twice."""
    flags = [*QUIET, *SMALL, "--do_train", "false", "--do_predict", "false", "--model_name_or_path", str(plain)]
    flags += ["--validation_file", str(folder / "validation.txt")]
    reports = run_recipe("masked_lm", folder, [*flags, "--output_dir", str(folder / "two")])
    assert [report["world_size"] for report in reports] == [2, 2]
    results = read(plain / "all_results.json")
    assert results["eval_samples"] % 8 != 0
    one = {name: value for name, value in results.items() if name in reports[0]["metrics"]}
    assert set(one) >= {"eval_loss", "eval_perplexity", "eval_accuracy"}
    assert [report["metrics"] for report in reports] == [pytest.approx(one, rel=1e-6)] * 2
