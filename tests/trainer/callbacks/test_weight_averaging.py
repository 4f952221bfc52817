"""Averaged weights in one process: what is evaluated, what is left, and that training goes on as without them."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import BertForSequenceClassification, Trainer, TrainerCallback

from hf_strategies import (
    EarlyStopping,
    GradualUnfreezing,
    PlateauCooldown,
    ReduceOnPlateau,
    StrategyError,
    WeightAveraging,
)
from hf_strategies.trainer.callbacks.weight_averaging.run import refuse_arguments
from tests.conftest import CHECKOUT
from tests.tiny import TinyModel
from tests.trainer.averaging_runs import (
    Recorder,
    averaged_trainer,
    digests,
    ema_3,
    in_model,
    largest_difference,
    mean,
)
from tests.trainer.bert_runs import bert, lora, skip_without_compilation, tied, with_peft
from tests.trainer.placements import digest

EACH = {"save_strategy": "steps", "save_steps": 1}
EVALUATED = {"eval_strategy": "steps", "eval_steps": 1}
FP32, BF16 = 3e-6, 1 / 128  # the rounding of a few updates in float32; of one value in bfloat16


def token_pairs(rows: list[Any]) -> dict[str, Tensor]:
    tokens = torch.stack([row["input_ids"] for row in rows])
    return {"input_ids": tokens, "labels": tokens}


def check_averages(recorder: Recorder, after_step: int = 0, tolerance: float = FP32) -> None:
    """Each evaluation saw the reference, and no two the same."""
    assert recorder.evaluated
    for step, seen in recorder.evaluated.items():
        recorded = [recorder.after[n] for n in range(after_step + 1, step + 1)]
        assert largest_difference(seen, ema_3(recorded)) <= tolerance, step
    assert len(set(digests(recorder.evaluated).values())) == len(recorder.evaluated)


# --- the average, and the raw weights ------------------------------------------------------------------------


def options_of(kind: str) -> dict[str, Any]:
    """The model and arguments of a row of the table of placements."""
    kinds: dict[str, Any] = {
        "fp32": dict,
        "bf16 autocast": lambda: {"bf16": True},
        "bf16 weights": lambda: {"model": bert().to(torch.bfloat16)},
        "compiled": lambda: {"torch_compile": True, "torch_compile_backend": "eager"},
        "tied": lambda: {"model": tied(), "remove_unused_columns": False},
        "lora": lambda: {"model": lora()},
        "accumulated": lambda: {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2},
    }
    return dict(kinds[kind]())


KINDS = ["fp32", "bf16 autocast", "bf16 weights", "compiled", "tied", "lora", "accumulated"]
WRAPPED = {"compiled": "OptimizedModule", "lora": "PeftModel", "tied": "BertForMaskedLM"}


@with_peft
@pytest.mark.parametrize("kind", KINDS)
def test_each_evaluation_sees_the_reference_and_the_raw_weights_train_on_bit_for_bit(
    tmp_path: Path, kind: str
) -> None:
    if kind == "compiled":
        skip_without_compilation()

    def train(folder: str, **more: Any) -> Any:
        trainer, recorder = averaged_trainer(tmp_path / folder, **options_of(kind), **EVALUATED, **more)
        if kind == "tied":
            trainer.data_collator = token_pairs
        trainer.train()
        return trainer, recorder

    trainer, recorder = train("averaged")
    _, alone = train("alone", average=None)
    assert type(trainer.model_wrapped).__name__ == WRAPPED.get(kind, "BertForSequenceClassification")
    assert digests(recorder.after) == digests(alone.after)
    check_averages(recorder, tolerance=BF16 if kind == "bf16 weights" else FP32)
    assert digest(in_model(trainer)) == digest(recorder.evaluated[6])  # what is left in the model
    assert len(recorder.after) == 7  # an update per optimizer step, not per micro-batch
    if kind == "lora":
        assert all("lora_" in name or "classifier" in name for name in recorder.evaluated[6])
    if kind == "tied":
        model: Any = trainer.model
        assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight


def test_bf16_weights_are_averaged_in_float32(tmp_path: Path) -> None:
    """A change too small for bfloat16 is lost in each step of an average in bfloat16, and not in float32."""
    trainer, recorder = averaged_trainer(
        tmp_path,
        **options_of("bf16 weights"),
        average=WeightAveraging("ema(decay=0.99)"),
        max_steps=12,
        learning_rate=1e-2,
    )
    trainer.train()
    weights = [1.0]
    for n in range(2, 13):
        c = max(0.01, 2 / (n + 1))
        weights = [w * (1 - c) for w in weights] + [c]
    reference = mean([recorder.after[n] for n in range(1, 13)], weights)
    rounded = {name: value.to(torch.bfloat16) for name, value in reference.items()}
    found = in_model(trainer)
    same = sum((found[name] == value).sum().item() for name, value in rounded.items())
    assert same >= 0.999 * sum(value.numel() for value in rounded.values())


def test_with_the_average_in_cpu_memory_the_values_are_the_same(tmp_path: Path) -> None:
    found = []
    for place in ("device", "cpu"):
        average = WeightAveraging("ema(over=3)", weights_in=place)
        trainer, _ = averaged_trainer(tmp_path / place, average=average)
        trainer.train()
        found.append(digest(in_model(trainer)))
    assert found[0] == found[1]


def test_a_tail_keeps_two_means_and_reads_the_right_one(tmp_path: Path) -> None:
    """Of the last ``3 + n mod 3`` weights, and of all below three."""
    trainer, recorder = averaged_trainer(tmp_path, average=WeightAveraging("tail(over=3)"), max_steps=11, **EVALUATED)
    trainer.train()
    for step, seen in recorder.evaluated.items():
        count = step if step < 3 else 3 + step % 3
        recorded = [recorder.after[n] for n in range(step - count + 1, step + 1)]
        assert largest_difference(seen, mean(recorded, [1.0] * count)) <= FP32


# --- which tensors ----------------------------------------------------------------------------------------------


class WithBuffers(nn.Module):
    """A frozen layer, normalization with its counter, a mask of infinities, and a counter of passes."""

    counted: Tensor
    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frozen = nn.Linear(6, 6).requires_grad_(False)
        self.norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 2)
        self.register_buffer("counted", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))

    def forward(self, input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.counted += 1
        logits = self.head(self.norm(self.frozen(input_ids.float())))
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Buffers(TrainerCallback):
    def __init__(self) -> None:
        self.after: dict[int, dict[str, Tensor]] = {}
        self.evaluated: dict[int, dict[str, Tensor]] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.after[state.global_step] = {name: each.clone() for name, each in kwargs["model"].named_buffers()}

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.evaluated[state.global_step] = {name: each.clone() for name, each in kwargs["model"].named_buffers()}


def test_running_statistics_are_averaged_and_other_buffers_stay_the_newest(tmp_path: Path) -> None:
    buffers = Buffers()
    trainer, recorder = averaged_trainer(tmp_path, [buffers], model=WithBuffers(), **EVALUATED)
    frozen = trainer.model.frozen.weight.clone()
    trainer.train()
    check_averages(recorder)
    for step, seen in buffers.evaluated.items():
        reference = ema_3([buffers.after[n] for n in range(1, step + 1)])
        for name in ("norm.running_mean", "norm.running_var"):
            assert torch.allclose(seen[name].double(), reference[name], rtol=1e-5)
        assert seen["norm.num_batches_tracked"] == step
        assert torch.equal(seen["mask"], torch.tensor([0.0, -torch.inf]))
    # Each step and each evaluation is a pass: the average neither sets it back nor counts it anew.
    assert [int(buffers.after[step]["counted"]) for step in range(1, 7)] == [1, 3, 5, 7, 9, 11]
    assert torch.equal(trainer.model.frozen.weight, frozen)
    assert not any("frozen" in name for name in recorder.evaluated[6])


class Unfreeze(TrainerCallback):
    """Let the classifier, which is in the optimizer, train from the fourth step on."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        kwargs["model"].classifier.requires_grad_(False)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        kwargs["model"].classifier.requires_grad_(state.global_step >= 3)


def test_a_parameter_that_is_unfrozen_later_joins_with_its_value_of_then(tmp_path: Path) -> None:
    trainer, recorder = averaged_trainer(tmp_path, [Unfreeze()], **EVALUATED)
    trainer.train()
    late = "classifier.weight"
    assert late not in recorder.evaluated[3]
    a = recorder.after[4][late].double()
    assert torch.equal(recorder.evaluated[4][late].double(), a)
    for step in (5, 6):
        a = (a + recorder.after[step][late].double()) / 2
        assert torch.allclose(recorder.evaluated[step][late].double(), a, rtol=1e-5)


# --- evaluations ------------------------------------------------------------------------------------------------


class Sees(TrainerCallback):
    """The digest of the weights in the model at each event, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, str]] = []

    def _see(self, event: str, state: Any, model: nn.Module) -> None:
        self.seen.append((event, state.global_step, digest({n: p.detach() for n, p in model.named_parameters()})))

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._see("evaluate", state, kwargs["model"])

    def on_predict(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._see("predict", state, kwargs["model"])

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._see("step", state, kwargs["model"])

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._see("save", state, kwargs["model"])

    def of(self, event: str, step: int) -> list[str]:
        return [seen for kind, at, seen in self.seen if (kind, at) == (event, step)]


def average_at(recorder: Recorder, step: int) -> str:
    return digest(recorder.evaluated[step])


def test_every_set_of_a_dict_is_evaluated_with_the_average(tmp_path: Path) -> None:
    sees = Sees()
    trainer, _ = averaged_trainer(tmp_path, [sees], **EVALUATED, **EACH)
    rows = trainer.eval_dataset
    trainer.eval_dataset = {"a": rows, "b": rows, "c": rows}
    trainer.train()
    for step in range(2, 7):
        sets = sees.of("evaluate", step)
        assert len(sets) == 3
        assert len(set(sets)) == 1
        raw = sees.of("step", step)
        assert sets[0] != raw[0]
        assert sees.of("save", step) == raw


class ByHand(TrainerCallback):
    """Evaluate, predict and look at the model in a callback, at a step."""

    def __init__(self, step: int) -> None:
        self.step, self.trainer, self.found = step, None, []

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            trainer: Any = self.trainer
            before = digest(in_model(trainer))
            trainer.evaluate(trainer.eval_dataset, metric_key_prefix="hand")
            trainer.predict(trainer.eval_dataset)
            self.found = [before, digest(in_model(trainer))]


@pytest.mark.parametrize("at", [0, 4])
def test_by_hand_in_training_the_average_is_evaluated_and_predicts_once_there_is_one(tmp_path: Path, at: int) -> None:
    sees, hand = Sees(), ByHand(at)
    trainer, recorder = averaged_trainer(tmp_path / "hand", [sees, hand])
    hand.trainer = trainer
    trainer.train()
    raw = digest(recorder.after[at])
    assert hand.found == [raw, raw]
    (evaluated,) = sees.of("evaluate", at)
    assert sees.of("predict", at) == [evaluated]
    assert (evaluated == raw) is (at == 0)


def test_eval_on_start_evaluates_the_raw_weights(tmp_path: Path) -> None:
    trainer, recorder = averaged_trainer(tmp_path, eval_on_start=True, **EVALUATED)
    trainer.train()
    assert digest(recorder.evaluated[0]) == digest(recorder.after[0])
    del recorder.evaluated[0]
    check_averages(recorder)


class Fails(TrainerCallback):
    """An evaluation that raises at a step, as from lack of memory, and a user who goes on."""

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 4:
            raise RuntimeError("no memory")


def test_an_evaluation_that_raises_puts_the_raw_weights_back(tmp_path: Path) -> None:
    trainer, recorder = averaged_trainer(tmp_path, [Fails()], **EVALUATED)
    with pytest.raises(RuntimeError, match="no memory"):
        trainer.train()
    assert digest(in_model(trainer)) == digest(recorder.after[4])
    # A training of the same Trainer without the callback is as if there had never been one.
    kept = [each for each in trainer.callback_handler.callbacks if not isinstance(each, WeightAveraging | Fails)]
    trainer.callback_handler.callbacks = kept
    recorder.after, recorder.evaluated = {}, {}
    trainer.train()
    assert digests(recorder.evaluated) == {step: digests(recorder.after)[step] for step in range(1, 7)}


def test_after_training_evaluate_sees_what_is_in_the_model(tmp_path: Path) -> None:
    trainer, recorder = averaged_trainer(tmp_path)
    own = trainer.evaluate
    trainer.train()
    assert "evaluate" not in vars(trainer)
    assert "predict" not in vars(trainer)
    assert trainer.evaluate == own
    final = digest(in_model(trainer))
    assert final != digest(recorder.after[6])
    trainer.evaluate()
    assert digest(recorder.evaluated[6]) == final == digest(in_model(trainer))


class Twice(Trainer):
    """A Trainer whose `evaluate` evaluates by two calls of the stock one."""

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        return super().evaluate(*args, **options) | super().evaluate(*args, metric_key_prefix="again")


def test_a_trainer_with_an_evaluate_of_its_own_evaluates_the_average(tmp_path: Path) -> None:
    sees = Sees()
    trainer, recorder = averaged_trainer(tmp_path, [sees], trainer_class=Twice, **EVALUATED)
    trainer.train()
    check_averages(recorder)
    assert [len(set(sees.of("evaluate", step))) for step in range(1, 7)] == [1] * 6
    assert [len(sees.of("evaluate", step)) for step in range(1, 7)] == [2] * 6


def test_a_second_training_of_the_same_trainer_begins_a_new_average(tmp_path: Path) -> None:
    trainer, recorder = averaged_trainer(tmp_path, **EVALUATED)
    trainer.train()
    recorder.after, recorder.evaluated = {}, {}
    trainer.train()
    check_averages(recorder)


def test_layers_that_unfreeze_one_after_the_other_are_averaged_from_the_start(tmp_path: Path) -> None:
    def train(folder: str, **options: Any) -> Recorder:
        trainer, recorder = averaged_trainer(tmp_path / folder, [GradualUnfreezing(2)], **EVALUATED, **options)
        trainer.train()
        return recorder

    recorder = train("averaged")
    check_averages(recorder)
    assert digests(recorder.after) == digests(train("alone", average=None).after)


# --- which steps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "start_from", "after"),
    [
        ({"warmup_steps": 2, "lr_scheduler_type": "constant_with_warmup"}, None, 2),
        ({"warmup_steps": 2, "lr_scheduler_type": "linear_warmup_cosine_decay"}, None, 2),
        ({"warmup_steps": 2, "lr_scheduler_type": "constant_with_warmup"}, 0, 0),
        ({}, 3, 3),
        ({}, 0.5, 3),
        ({"max_steps": 10}, "1ep", 8),
    ],
)
def test_the_average_begins_after_the_warmup_or_where_it_is_told_to(
    tmp_path: Path, options: dict[str, Any], start_from: Any, after: int
) -> None:
    average = WeightAveraging("ema(over=3)", start_from=start_from)
    trainer, recorder = averaged_trainer(tmp_path, average=average, **EVALUATED, **options)
    trainer.train()
    for step in range(1, after + 1):
        assert digest(recorder.evaluated.pop(step)) == digest(recorder.after[step])
    check_averages(recorder, after)


class Overflows(TrainerCallback):
    """Gradients that are infinite in some steps, as in fp16."""

    def __init__(self, *steps: int) -> None:
        self.steps = steps

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step + 1 in self.steps:
            for parameter in kwargs["model"].parameters():
                parameter.grad.fill_(math.inf)


@pytest.mark.parametrize("optimizer", ["adamw_torch", "adamw_torch_fused"])  # a fused one skips in its own kernel
def test_a_step_that_fp16_skips_is_not_averaged(tmp_path: Path, optimizer: str) -> None:
    options = EVALUATED | {"optim": optimizer, "max_grad_norm": 0.0}
    trainer, recorder = averaged_trainer(tmp_path, [Overflows(1, 4)], **options)
    trainer.accelerator.scaler = torch.amp.GradScaler("cpu")  # as fp16 has it on a GPU
    trainer.train()
    assert digest(recorder.after[0]) == digest(recorder.after[1]) == digest(recorder.evaluated[1])
    assert digest(recorder.after[3]) == digest(recorder.after[4])
    for step, counted in {2: [2], 3: [2, 3], 4: [2, 3], 5: [2, 3, 5], 6: [2, 3, 5, 6]}.items():
        reference = ema_3([recorder.after[n] for n in counted])
        assert largest_difference(recorder.evaluated[step], reference) <= FP32
    assert trainer.state.stateful_callbacks["weight_averaging"]["updates"] == 4


# --- the end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
def test_early_stopping_judges_and_restores_the_average(tmp_path: Path, first: bool) -> None:
    stopping = EarlyStopping("score", 2, mode="max")
    scores = [0.1, 0.2, 0.9, 0.3, 0.3, 0.3]
    callbacks = [WeightAveraging("ema(over=3)"), stopping] if first else [stopping, WeightAveraging("ema(over=3)")]
    trainer, recorder = averaged_trainer(tmp_path, callbacks, scores, average=None, **EVALUATED)
    trainer.train()
    assert trainer.state.global_step == 5
    assert digest(in_model(trainer)) == digest(recorder.evaluated[3])
    check_averages(recorder)
    written = json.loads((tmp_path / "trainer_state.json").read_text())["stateful_callbacks"]
    record = written["early_stopping"]
    assert record["measured_on"] == "the average ema(over='3 steps') of the weights after step 0"
    assert "Measured on the average ema(over='3 steps')" in record["reason"]


def test_plateau_cooldown_and_reduce_on_plateau_judge_the_average(tmp_path: Path) -> None:
    names = {"plateau_cooldown": PlateauCooldown, "reduce_on_plateau": ReduceOnPlateau}
    for name, kind in names.items():
        callback = kind("score", 1, mode="max")
        trainer, recorder = averaged_trainer(
            tmp_path / type(callback).__name__, [callback], [0.5] * 20, max_steps=8, **EVALUATED
        )
        trainer.train()
        check_averages(recorder)
        record = trainer.state.stateful_callbacks[name]
        assert record["measured_on"] == "the average ema(over='3 steps') of the weights after step 0"
        assert digest(in_model(trainer)) in digests(recorder.evaluated).values()


def test_the_raw_weights_are_written_as_a_model_if_asked_for(tmp_path: Path) -> None:
    average = WeightAveraging("ema(over=3)", keep_raw=True)
    trainer, recorder = averaged_trainer(tmp_path, average=average)
    trainer.train()
    raw = BertForSequenceClassification.from_pretrained(tmp_path / "raw")
    assert digest({n: p.detach() for n, p in raw.named_parameters()}) == digest(recorder.after[6])
    assert digest(in_model(trainer)) != digest(recorder.after[6])


def test_a_training_that_ends_before_the_average_begins_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stopping = EarlyStopping("score", 1, mode="max", restore_best_weights=False)
    average = WeightAveraging("ema(over=3)", start_from=4, keep_raw=True)
    trainer, recorder = averaged_trainer(tmp_path, [stopping], [0.1, 0.2, 0.2], average=average, **EVALUATED)
    trainer.train()
    assert digest(in_model(trainer)) == digest(recorder.after[trainer.state.global_step])
    assert "before the average began at step 5" in caplog.text


@pytest.mark.slow
def test_the_checks_for_a_gpu_pass_on_a_cpu() -> None:
    command = [sys.executable, "-m", "tests.trainer.programs.averaging_on_gpu", "--cpu"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:]
    assert done.stdout.count("\nok ") == 8


# --- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"average": "emma(over=3)"}, "did you mean 'ema'"),
        ({"start_from": 2.5}, "start_from=2.5"),
        ({"weights_in": "gpu"}, "weights_in='gpu'"),
        ({"keep_raw": "yes"}, "keep_raw='yes'"),
    ],
)
def test_a_bad_argument_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        WeightAveraging(**arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"load_best_model_at_end": True, **EACH, **EVALUATED, "metric_for_best_model": "score"},
            "load_best_model_at_end=True beside WeightAveraging",
        ),
        (
            {"save_strategy": "best", "metric_for_best_model": "score", **EVALUATED},
            "save_strategy='best' beside WeightAveraging",
        ),
        ({"callbacks": [WeightAveraging()]}, "two WeightAveraging"),
        ({"callbacks": [PlateauCooldown("score", mode="max", rewind="weights")], **EVALUATED}, "rewind='weights'"),
        ({"callbacks": [EarlyStopping("score", mode="max", weights_in="disk")], **EVALUATED}, "weights_in='disk'"),
        ({"average": WeightAveraging(start_from=6)}, "start_from=6 is step 6 of 6"),
    ],
)
def test_what_makes_no_sense_together_is_refused_when_training_starts(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    trainer, _ = averaged_trainer(tmp_path, **options)
    with pytest.raises(StrategyError, match=message):
        trainer.train()


def test_an_optimizer_that_averages_already_is_refused(tmp_path: Path) -> None:
    trainer, _ = averaged_trainer(tmp_path)
    trainer.args.optim = "schedule_free_adamw"
    with pytest.raises(StrategyError, match="optim='schedule_free_adamw' beside WeightAveraging is an average"):
        refuse_arguments(trainer.args)


def test_raw_weights_that_the_trainer_would_not_write_are_refused(tmp_path: Path) -> None:
    trainer, _ = averaged_trainer(tmp_path)
    trainer.args.fsdp = True
    trainer.args.fsdp_plugin_args = {"state_dict_type": "SHARDED_STATE_DICT"}
    refuse_arguments(trainer.args)
    with pytest.raises(
        StrategyError, match="keep_raw=True with state_dict_type='SHARDED_STATE_DICT' writes no model"
    ):
        refuse_arguments(trainer.args, keep_raw=True)


class Searching(TrainerCallback):
    """Let the training be a trial of a search."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        state.is_hyper_param_search = True


def test_in_a_search_there_is_an_average_without_files_and_no_raw_folder(tmp_path: Path) -> None:
    trainer, recorder = averaged_trainer(tmp_path, [Searching()], **EVALUATED, **EACH)
    trainer.train()
    check_averages(recorder)
    assert not list(tmp_path.rglob("weight_average*"))
    trainer, _ = averaged_trainer(tmp_path, [Searching()], average=WeightAveraging(keep_raw=True))
    with pytest.raises(StrategyError, match="keep_raw=True in a hyperparameter search"):
        trainer.train()


def test_without_a_trainer_there_is_one_clear_error(tmp_path: Path) -> None:
    trainer, _ = averaged_trainer(tmp_path)
    with pytest.raises(StrategyError, match="in a loop of your own, use"):
        WeightAveraging().on_train_begin(trainer.args, trainer.state, trainer.control, model=TinyModel())
