"""The range test in the stock Trainer: what it measures, and that nothing is different after it."""

import copy
import logging
import math
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.utils import DistributedType
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainingArguments, default_data_collator, set_seed

from hf_strategies import StrategyError
from hf_strategies.trainer.lr.finder import FoundLR, LRFinder, find_lr
from tests.tiny import flat, learning_rates, tiny_examples
from tests.trainer.lr.finder_runs import SHORT, Quadratic, Restless, make, random_state, trained
from tests.two_processes import run_in_processes


class Collecting(Trainer):
    """A Trainer that gathers metrics in its own containers and in the state, as TRL's do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.collected: dict[str, Any] = {"train": defaultdict(list)}

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(*args, **kwargs)
        self.collected["train"]["calls"].append(1)
        self.state.num_input_tokens_seen += 4
        return loss


class NoisyCollator:
    """A collator with a generator of its own, made at first use."""

    def __init__(self) -> None:
        self.generator: np.random.Generator | None = None
        self.early = np.random.default_rng(5)

    def __call__(self, rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        self.generator = self.generator or np.random.default_rng(3)
        batch: dict[str, Tensor] = default_data_collator(rows)
        batch["x"] = batch["x"] + 0.1 * float(self.generator.normal() + self.early.normal())
        return batch


EVEN = {"per_device_train_batch_size": 22, "max_grad_norm": 0.0}  # whole epochs: little noise in the losses


def grouped(model: nn.Module) -> torch.optim.Optimizer:
    """An optimizer with two groups, one of them at a tenth, and a state."""
    head = {"params": [*model.last.parameters()], "lr": 0.02}  # type: ignore[union-attr,operator]
    body = {"params": [*model.first.parameters()], "lr": 0.002}  # type: ignore[union-attr,operator]
    return torch.optim.AdamW([head, body])


# --- a run after the test is the run without it -----------------------------------------------------------------

RUNS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulation": {"gradient_accumulation_steps": 2},
    "accumulation with a rest": {"gradient_accumulation_steps": 4},
    "tight clipping": {"max_grad_norm": 0.01},
    "no clipping": {"max_grad_norm": 0.0},
    "bf16": {"bf16": True},
    "in order": {"train_sampling_strategy": "sequential"},
    "by length": {"train_sampling_strategy": "group_by_length"},
    "a seed for the data": {"data_seed": 3},
    "workers": {"dataloader_num_workers": 1, "dataloader_persistent_workers": True, "max_steps": 7},
    "sgd": {"optim": "sgd"},
    "collecting trainer": {"trainer_class": Collecting},
    "evaluation on start": {"eval_on_start": True, "eval_strategy": "epoch"},
}


def build(folder: Path, options: dict[str, Any]) -> Trainer:
    parts: dict[str, Any] = {"eval_dataset": tiny_examples(8)}
    if options.get("train_sampling_strategy") == "group_by_length":
        rows = tiny_examples(22)
        options = options | {"remove_unused_columns": False}
        parts["data_collator"] = lambda some: default_data_collator(
            [{k: r[k] for k in ("x", "labels")} for r in some]
        )
        trainer = make(folder, parts=parts, **options)
        trainer.train_dataset = [row | {"input_ids": [0] * (at % 5)} for at, row in enumerate(rows)]  # type: ignore
        return trainer
    return make(folder, parts=parts, **options)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_after_the_test_is_bit_for_bit_the_run_without_it(name: str, tmp_path: Path) -> None:
    if "train_sampling_strategy" in RUNS[name] and not hasattr(TrainingArguments, "train_sampling_strategy"):
        pytest.skip("this transformers has no train_sampling_strategy")
    without = trained(build(tmp_path / "without", RUNS[name]))

    after = build(tmp_path / "after", RUNS[name])
    result = find_lr(after, **SHORT)
    assert len(result.losses) > 10
    assert trained(after) == without

    inside = build(tmp_path / "inside", RUNS[name])
    inside.add_callback(LRFinder(inside, **SHORT))
    assert trained(inside) == without


def test_with_model_init_the_run_after_the_test_is_the_same(tmp_path: Path) -> None:
    parts = {"model": None, "model_init": Restless}
    without = trained(make(tmp_path / "without", parts=parts))
    after = make(tmp_path / "after", parts=parts)
    model = after.model
    find_lr(after, **SHORT)
    assert after.model is model
    assert trained(after) == without


def test_a_collator_s_own_random_numbers_are_put_back(tmp_path: Path) -> None:
    without = trained(make(tmp_path / "without", parts={"data_collator": NoisyCollator()}))
    after = make(tmp_path / "after", parts={"data_collator": NoisyCollator()})
    find_lr(after, **SHORT)
    assert trained(after) == without


def test_noise_in_the_embeddings_is_not_attached_twice(tmp_path: Path) -> None:
    class Embedding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(4, 3)

        def get_input_embeddings(self) -> nn.Module:
            return self.table

        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            rows = self.table(x.gt(0).long()).sum((1, 2))
            return {"loss": (rows - labels).square().mean(), "logits": rows}

    def noisy(folder: str) -> Trainer:
        set_seed(7)
        return make(tmp_path / folder, parts={"model": Embedding()}, neftune_noise_alpha=5.0)

    without = trained(noisy("without"))
    after = noisy("after")
    find_lr(after, **SHORT)
    assert not after.model.table._forward_hooks  # type: ignore[union-attr]
    assert trained(after) == without


def test_the_same_loader_handed_out_each_time_is_put_back(tmp_path: Path) -> None:
    class Sharing(Trainer):
        kept: Any = None

        def get_train_dataloader(self) -> Any:
            self.kept = self.kept or super().get_train_dataloader()
            return self.kept

    without = trained(make(tmp_path / "without", trainer_class=Sharing))
    inside = make(tmp_path / "inside", trainer_class=Sharing)
    inside.add_callback(LRFinder(inside, **SHORT))
    assert trained(inside) == without


def test_a_second_training_after_a_test_in_between_is_the_same(tmp_path: Path) -> None:
    without = make(tmp_path / "without")
    without.train()
    expected = trained(without)
    after = make(tmp_path / "after")
    after.train()
    find_lr(after, **SHORT)
    assert trained(after) == expected


# --- nothing is different after the test ------------------------------------------------------------------------


def everything(trainer: Trainer) -> dict[str, Any]:
    """All that must be as it was, as values that can be compared."""
    model, optimizer, scheduler = trainer.model, trainer.optimizer, trainer.lr_scheduler
    assert model is not None
    references = trainer.accelerator.gradient_state.dataloader_references
    return {
        "tensors": {name: tensor.tolist() for name, tensor in (*model.named_parameters(), *model.named_buffers())},
        "places": [tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())],
        "gradients": [parameter.grad for parameter in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "attributes": {name: sorted(vars(module)) for name, module in model.named_modules()},
        "calls": model.calls,
        "optimizer": optimizer and repr(copy.deepcopy(optimizer.state_dict())),
        "scheduler": scheduler and repr(scheduler.state_dict()),
        "state": repr(trainer.state),
        "control": repr(trainer.control),
        "callbacks": list(trainer.callback_handler.callbacks),
        "trainer": {name: id(value) for name, value in vars(trainer).items()},
        "prepared": [len(trainer.accelerator._models), len(trainer.accelerator._dataloaders)],
        "sync": (trainer.accelerator.gradient_state.sync_gradients, references),
        "random": random_state(),
    }


def test_the_function_leaves_no_trace(tmp_path: Path) -> None:
    trainer = make(tmp_path)
    trainer.control.should_training_stop = True  # train() sets it back
    before = everything(trainer)
    assert before["optimizer"] is None
    find_lr(trainer, **SHORT)
    assert everything(trainer) == before


def test_modes_of_modules_are_put_back_one_by_one(tmp_path: Path) -> None:
    trainer = make(tmp_path)
    trainer.model.eval()
    trainer.model.drop.train()  # type: ignore[union-attr]
    before = everything(trainer)
    find_lr(trainer, **SHORT)
    assert everything(trainer) == before


def test_a_user_s_optimizer_keeps_its_state_and_its_rates(tmp_path: Path) -> None:
    model = Restless()
    optimizer = grouped(model)
    model(**default_data_collator(tiny_examples(4)))["loss"].backward()
    optimizer.step()
    optimizer.zero_grad()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    trainer = make(tmp_path, parts={"model": model, "optimizers": (optimizer, scheduler)})
    before = everything(trainer)
    assert len(optimizer.state) == 4
    find_lr(trainer, **SHORT)
    assert everything(trainer) == before
    assert all(parameter in optimizer.state for parameter in model.first.parameters())


class Witness(TrainerCallback):
    """Write down what a callback sees when training begins."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.seen: list[Any] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        loader, optimizer = kwargs["train_dataloader"], kwargs["optimizer"]
        sampler = loader.batch_sampler.sampler
        position = (loader.iteration, loader.end_of_dataloader, loader.remainder, sampler.epoch)
        generator = sampler.generator and sampler.generator.get_state().tolist()
        self.seen.append((everything(self.trainer), position, generator, len(optimizer.state)))


def test_the_callback_leaves_no_trace_for_those_after_it(tmp_path: Path) -> None:
    trainer = make(tmp_path, max_steps=1)
    before, after = Witness(trainer), Witness(trainer)
    finder = LRFinder(trainer, **SHORT)
    trainer.callback_handler.callbacks += [before, finder, after]
    trainer.train()
    assert finder.result is not None
    assert before.seen == after.seen
    assert after.seen[0][-1] == 0  # no state of the optimizer


@pytest.mark.parametrize("breaks_at", [1, 5])
def test_all_is_put_back_too_when_a_step_fails(breaks_at: int, tmp_path: Path) -> None:
    trainer = make(tmp_path, parts={"model": Restless(breaks_at)}, gradient_accumulation_steps=2)
    before = everything(trainer)
    with pytest.raises(RuntimeError, match="broken batch"):
        find_lr(trainer, **SHORT)
    assert everything(trainer) == before


def test_other_callbacks_hear_nothing_of_the_function_s_steps(tmp_path: Path) -> None:
    heard: list[str] = []

    class Listening(TrainerCallback):
        def __getattribute__(self, name: str) -> Any:
            if name.startswith("on_") and name != "on_init_end":
                heard.append(name)
            return super().__getattribute__(name)

    find_lr(make(tmp_path, parts={"callbacks": [Listening()]}), **SHORT)
    assert heard == []


# --- what it measures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulation", [1, 2])
def test_its_first_loss_is_the_first_loss_of_the_run(accumulation: int, tmp_path: Path) -> None:
    trainer = make(tmp_path, gradient_accumulation_steps=accumulation)
    result = find_lr(trainer, **SHORT)
    (first, *_), *_ = trained(trainer)
    assert result.losses[0] == first["loss"]


def test_it_begins_where_the_run_would_even_if_making_a_loader_draws_random_numbers(tmp_path: Path) -> None:
    class Drawing(Trainer):
        def get_train_dataloader(self) -> Any:
            torch.rand(3)
            return super().get_train_dataloader()

    trainer = make(tmp_path, trainer_class=Drawing)
    result = find_lr(trainer, **SHORT)
    (first, *_), *_ = trained(trainer)
    assert result.losses[0] == first["loss"]


def test_at_a_constant_rate_its_losses_would_be_those_of_the_run(tmp_path: Path) -> None:
    ramp = {"start_lr": 0.02, "end_lr": math.nextafter(0.02, 1), "steps": 10}
    options = {"gradient_accumulation_steps": 4, "lr_scheduler_type": "constant", "max_grad_norm": 0.1}
    trainer = make(tmp_path, **options)
    result = find_lr(trainer, **ramp)
    logged, *_ = trained(trainer)
    assert list(result.losses) == pytest.approx([entry["loss"] for entry in logged[:10]], rel=1e-5)


def test_groups_keep_the_ratio_of_their_rates_on_the_ramp(tmp_path: Path) -> None:
    used: list[list[float]] = []

    class Spy(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            used.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    model = Restless()
    groups = [{"params": [*model.last.parameters()]}, {"params": [*model.first.parameters()], "lr": 0.002}]
    trainer = make(tmp_path, parts={"model": model, "optimizers": (Spy(groups, lr=0.02), None)})
    result = find_lr(trainer, **SHORT)
    assert [rates[0] for rates in used] == list(result.rates)
    assert [rates[1] / rates[0] for rates in used] == pytest.approx([0.1] * len(used))


def test_it_stops_at_divergence_and_suggests_a_rate_below_the_limit_of_stability(tmp_path: Path) -> None:
    trainer = make(tmp_path, parts={"model": Quadratic()}, optim="sgd", max_grad_norm=0.0)
    result = find_lr(trainer, start_lr=1e-6, end_lr=100.0, steps=120)
    assert "stopped because the loss diverged" in result.stopped_because
    assert len(result.rates) < 120
    assert result.suggestion is not None
    assert 2 / 50 / 100 < result.suggestion < 2 / 50


def test_it_stops_at_a_loss_that_is_nan(tmp_path: Path) -> None:
    class Poisoned(Quadratic):
        calls = 0

        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            self.calls += 1
            out = super().forward(x, labels)
            return out | {"loss": out["loss"] * (math.nan if self.calls > 12 else 1.0)}

    result = find_lr(make(tmp_path, parts={"model": Poisoned()}), **SHORT)
    assert result.stopped_because == "stopped because the loss is nan"
    assert len(result.losses) == 12


def test_without_a_fall_there_is_no_suggestion(tmp_path: Path) -> None:
    result = find_lr(make(tmp_path, parts={"model": Quadratic()}), start_lr=1e-30, end_lr=1e-29, steps=10)
    assert result.suggestion is None
    assert "No learning rate to suggest" in str(result)


# --- the callback -----------------------------------------------------------------------------------------------


def test_the_callback_sees_what_the_function_sees_and_says_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = find_lr(make(tmp_path / "function"), **SHORT)
    trainer = make(tmp_path / "callback")
    finder = LRFinder(trainer, **SHORT)
    trainer.add_callback(finder)
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        trainer.train()
    assert finder.result == result
    assert [entry.getMessage() for entry in caplog.records if entry.name == "hf_strategies.errors"] == [str(result)]


@pytest.mark.parametrize("scheduler", ["cosine", "linear_warmup_cosine_decay", "constant"])
def test_applying_gives_the_run_that_has_the_suggestion_as_its_learning_rate(scheduler: str, tmp_path: Path) -> None:
    trainer = make(tmp_path / "applied", lr_scheduler_type=scheduler, **EVEN)
    finder = LRFinder(trainer, apply=True, **SHORT)
    trainer.add_callback(finder)
    applied = trained(trainer)
    assert finder.result is not None
    assert finder.result.suggestion not in (None, 0.02)
    settings = EVEN | {"lr_scheduler_type": scheduler, "learning_rate": finder.result.suggestion}
    given = make(tmp_path / "given", **settings)
    assert applied == trained(given)


def test_applying_scales_all_groups_by_the_same_factor(tmp_path: Path) -> None:
    model = Restless()
    trainer = make(tmp_path, parts={"model": model, "optimizers": (grouped(model), None)}, **EVEN)
    finder = LRFinder(trainer, apply=True, **SHORT)
    trainer.add_callback(finder)
    trainer.train()
    assert finder.result is not None
    rate = finder.result.suggestion
    assert rate is not None
    assert trainer.lr_scheduler.base_lrs == pytest.approx([rate, rate / 10])  # type: ignore[union-attr]
    assert [group["initial_lr"] for group in trainer.optimizer.param_groups] == pytest.approx([rate, rate / 10])


def test_without_a_suggestion_applying_leaves_the_rates(tmp_path: Path) -> None:
    flat_ramp = {"start_lr": 1e-30, "end_lr": 1e-29, "steps": 10}
    trainer = make(tmp_path, parts={"model": Quadratic()}, lr_scheduler_type="constant", max_steps=3)
    trainer.add_callback(LRFinder(trainer, apply=True, **flat_ramp))
    trainer.train()
    assert learning_rates(trainer) == [0.02] * 3


def test_a_resumed_run_is_not_tested_again_and_keeps_the_applied_rate(tmp_path: Path) -> None:
    saving = EVEN | {"save_strategy": "steps", "save_steps": 4}
    whole = make(tmp_path, **saving)
    whole.add_callback(LRFinder(whole, apply=True, **SHORT))
    expected = trained(whole)
    assert max(learning_rates(whole)) != 0.02
    again = make(tmp_path, **saving)
    finder = LRFinder(again, apply=True, **SHORT)
    again.add_callback(finder)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert finder.result is None
    assert flat(again.model).tolist() == expected[1]
    assert learning_rates(again) == learning_rates(whole)


def test_the_callback_of_another_trainer_is_refused(tmp_path: Path) -> None:
    one, other = make(tmp_path), make(tmp_path)
    other.add_callback(LRFinder(one))
    with pytest.raises(StrategyError, match="is a callback of another Trainer: make one for each"):
        other.train()


# --- what it refuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DistributedType.FSDP, DistributedType.DEEPSPEED])
def test_sharded_weights_are_refused_with_the_remedy(
    kind: DistributedType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(tmp_path)
    monkeypatch.setattr(type(trainer.accelerator), "distributed_type", property(lambda _: kind))
    with pytest.raises(StrategyError, match=f"weights that {kind.value} shards: run it on one device, without"):
        find_lr(trainer)


def test_optimizers_that_step_during_backward_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="optim='lomo' updates the weights during backward"):
        find_lr(make(tmp_path, optim="lomo"))


def test_a_learning_rate_of_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"learning_rate=0\.0 cannot be scaled: give one above 0"):
        find_lr(make(tmp_path, learning_rate=0.0))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"start_lr": 0}, "start_lr=0 "), ({"steps": 3}, "steps=3 "), ({"beta": 1}, "beta=1")],
)
def test_bad_numbers_are_refused_before_anything_runs(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=words):
        find_lr(make(tmp_path), **options)


# --- two processes ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("two")
    return run_in_processes("tests.trainer.programs.finder_on_ranks", folder)


def test_there_really_are_two_processes(ranks: list[dict[str, Any]]) -> None:
    assert [(rank["world_size"], rank["wrapped"]) for rank in ranks] == [(2, "DistributedDataParallel")] * 2


def test_both_ranks_see_the_same_losses_and_stop_at_the_same_step(ranks: list[dict[str, Any]]) -> None:
    first, second = ranks
    assert first["losses"] == second["losses"]
    assert first["suggestion"] == second["suggestion"]
    assert first["diverged"] == second["diverged"]
    assert first["diverged"][0] < 120


def test_on_two_ranks_the_loss_is_the_mean_that_the_trainer_logs(ranks: list[dict[str, Any]]) -> None:
    assert ranks[0]["losses"][0] == pytest.approx(ranks[0]["first_loss_of_the_run"], rel=1e-6)


def test_on_two_ranks_a_run_after_the_test_is_the_run_without_it(ranks: list[dict[str, Any]]) -> None:
    assert [rank["same_runs"] for rank in ranks] == [[True] * 3] * 2
    assert ranks[0]["weights"] == ranks[1]["weights"]
    assert [rank["same_in_callback"] for rank in ranks] == [True] * 2


def test_after_the_function_no_wrapper_of_ddp_is_left(ranks: list[dict[str, Any]]) -> None:
    assert [rank["unwrapped_after_the_test"] for rank in ranks] == [True] * 2


# --- the figure -------------------------------------------------------------------------------------------------


def test_the_result_draws_itself_and_writes_a_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = find_lr(make(tmp_path / "out"), **SHORT)
    figure = result.plot()
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    drawn = axes.collections[0].get_offsets()
    assert drawn[:, 0].tolist() == pytest.approx(result.rates)
    assert drawn[:, 1].tolist() == pytest.approx(result.losses)
    result.plot(tmp_path / "find_lr.png", title="mine")
    assert (tmp_path / "find_lr.png").read_bytes().startswith(b"\x89PNG")


def test_the_callback_s_result_is_none_before_the_test_and_draws_itself_after_it(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    trainer = make(tmp_path / "out")
    finder = LRFinder(trainer, **SHORT)
    assert finder.result is None
    trainer.add_callback(finder)
    trainer.train()
    assert isinstance(finder.result, FoundLR)
    assert finder.result.plot().axes


FOUND = FoundLR((1e-3, 1e-2), (1.0, 0.5), (1.0, 0.5), 1e-3, 1e-3, "run to the end of the ramp")


def test_without_matplotlib_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(StrategyError, match=r"plot\(\) needs matplotlib, .*pip install 'hf-strategies\[plots\]'"):
        FOUND.plot()


def test_a_file_that_is_no_figure_is_told_before_it_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(StrategyError, match=r"find_lr.txt has no ending of a figure: give one of .png, .svg, .pdf"):
        FOUND.plot(tmp_path / "find_lr.txt")
