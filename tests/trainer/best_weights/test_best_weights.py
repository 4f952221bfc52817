"""The best weights in one process: what is kept, in memory and on disk, and put back bit for bit."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import SGD, Adafactor, AdamW, Optimizer
from transformers import Trainer, TrainerCallback

from hf_strategies import BestWeights, EarlyStopping, StrategyError
from hf_strategies.trainer.best_weights.files import CheckpointWeights
from hf_strategies.trainer.best_weights.keeper import BestKeeper
from tests.tiny import TinyModel, flat
from tests.trainer.bert_runs import bert, lora, skip_without_compilation, tied, with_peft
from tests.trainer.best_weights.keeper_runs import SCORES, KeepBest, Record, trainer_of
from tests.trainer.placements import digest, whole_weights

EACH = {"save_strategy": "steps", "save_steps": 1}


class WithBuffers(nn.Module):
    """A model whose buffers change in training, one of them not saved by the Trainer."""

    counted: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, 2)
        self.register_buffer("counted", torch.zeros(()), persistent=False)

    def forward(self, input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        self.counted += 1
        logits = self.head(self.norm(input_ids.float()))
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def state_of(model: nn.Module) -> str:
    return digest(whole_weights(model) | {f"buffer {name}": b.clone() for name, b in model.named_buffers()})


class States(TrainerCallback):
    """Weights and buffers at each evaluation."""

    def __init__(self) -> None:
        self.at: dict[int, str] = {}

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.at[state.global_step] = state_of(kwargs["model"])


class Interrupt(TrainerCallback):
    """Ctrl-C at the first step."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt


def train(folder: Path, where: str = "memory", **options: Any) -> tuple[Trainer, KeepBest, dict[int, str]]:
    keep, record = KeepBest(where), Record()
    trainer = trainer_of(folder, [keep, record], **options)
    trainer.train()
    return trainer, keep, record.at


def as_pieces(model: nn.Module) -> BestWeights:
    weights = BestWeights(model)
    weights.keep()
    return weights


# --- in both places ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize(
    "options",
    [{}, EACH, EACH | {"save_total_limit": 1}, {"save_strategy": "epoch", "save_only_model": True}],
    ids=["no saves", "saves", "limit of one", "weights only"],
)
def test_the_weights_after_training_are_those_of_the_best_evaluation(
    tmp_path: Path, where: str, options: dict[str, Any]
) -> None:
    trainer, keep, at = train(tmp_path, where, **options)
    assert keep.restored is True
    assert digest(whole_weights(trainer.model)) == at[3]
    assert len(set(at.values())) == 5


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_tied_weights_come_back_and_stay_tied(tmp_path: Path, where: str) -> None:
    keep, record = KeepBest(where), Record()
    trainer = trainer_of(tmp_path, [keep, record], model=tied(), remove_unused_columns=False)
    trainer.data_collator = lambda rows: {
        "input_ids": torch.stack([row["input_ids"] for row in rows]),
        "labels": torch.stack([row["input_ids"] for row in rows]),
    }
    trainer.train()
    assert digest(whole_weights(trainer.model)) == record.at[3] != record.at[5]
    model: Any = trainer.model
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight


@with_peft
@pytest.mark.parametrize("where", ["memory", "disk"])
def test_lora_adapters_come_back(tmp_path: Path, where: str) -> None:
    model = lora()
    trainer, keep, at = train(tmp_path, where, model=model)
    assert keep.restored is True
    assert digest(whole_weights(trainer.model)) == at[3] != at[5]


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_a_compiled_model_s_weights_come_back(tmp_path: Path, where: str) -> None:
    skip_without_compilation()
    trainer, keep, at = train(tmp_path, where, torch_compile=True, torch_compile_backend="eager")
    assert type(trainer.model_wrapped).__name__ == "OptimizedModule"
    assert keep.restored is True
    assert digest(whole_weights(trainer.model)) == at[3] != at[5]


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_from_the_best_weights_in_mid_training_it_goes_on_as_before(tmp_path: Path, where: str) -> None:
    """Every step sees the same examples, so it depends on weights and optimizer alone."""
    record = Record(at_evaluation=False)
    keep = KeepBest(where, optimizer=True, rewind_at=5)
    trainer_of(tmp_path, [keep, record], max_steps=7).train()
    assert (record.at[5], record.at[6]) == (record.at[3], record.at[4])


def test_without_the_optimizer_s_state_it_goes_on_otherwise(tmp_path: Path) -> None:
    record = Record(at_evaluation=False)
    trainer_of(tmp_path, [KeepBest(rewind_at=5), record], max_steps=7).train()
    assert record.at[5] == record.at[3]
    assert record.at[6] != record.at[4]


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_its_restoring_has_the_last_word_over_load_best_model_at_end(tmp_path: Path, where: str) -> None:
    theirs = {"load_best_model_at_end": True, "metric_for_best_model": "score", "greater_is_better": False}
    trainer, _, at = train(tmp_path, where, **EACH, **theirs, save_total_limit=2)
    assert trainer.state.best_global_step == 1
    assert digest(whole_weights(trainer.model)) == at[3]


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("crash_at", [2, 3, 4])
def test_a_resumed_run_has_the_best_weights_again(tmp_path: Path, where: str, crash_at: int) -> None:
    options = EACH | {"save_total_limit": 1, "max_steps": crash_at}
    _, _, before = train(tmp_path, where, **options)
    keep, record = KeepBest(where), Record()
    trainer = trainer_of(tmp_path, [keep, record], SCORES[crash_at:], **(options | {"max_steps": 5}))
    trainer.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{crash_at}"))
    assert keep.restored is True
    assert digest(whole_weights(trainer.model)) == (before | record.at)[3]


def test_files_that_waited_for_a_checkpoint_are_in_it_once_it_is_resumed_from(tmp_path: Path) -> None:
    """So that a process killed while it writes the next checkpoint can resume from this one again."""
    options = EACH | {"max_steps": 4}
    train(tmp_path, "memory", **options)
    # What a kill between the checkpoint and the move of the file leaves.
    waiting = tmp_path / "_best" / "waiting-4"
    waiting.mkdir(parents=True)
    (tmp_path / "checkpoint-4" / "best.safetensors").rename(waiting / "best.safetensors")
    trainer = trainer_of(tmp_path, [KeepBest(), Interrupt()], SCORES[4:], **(options | {"max_steps": 5}))
    with pytest.raises(KeyboardInterrupt):
        trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("best.safetensors")] == [
        "checkpoint-4/best.safetensors"
    ]


def test_transformers_does_not_restore_a_best_step_that_was_not_saved_and_ours_does(tmp_path: Path) -> None:
    scores = [0.5, 0.9, 0.6, 0.7, 0.6, 0.5]  # at 2, 4, 6 ...: best at 4, saved at 6 and 12
    options = {"eval_steps": 2, "save_strategy": "steps", "save_steps": 6, "max_steps": 12}
    theirs = {"load_best_model_at_end": True, "metric_for_best_model": "score", "greater_is_better": True}
    record = Record()
    trainer = trainer_of(tmp_path / "theirs", [record], scores, **options, **theirs)
    trainer.train()
    assert trainer.state.best_global_step == 4
    assert digest(whole_weights(trainer.model)) == record.at[12] != record.at[4]
    record = Record()
    ours = trainer_of(tmp_path / "ours", [EarlyStopping("score", patience=9, mode="max"), record], scores, **options)
    ours.train()
    assert digest(whole_weights(ours.model)) == record.at[4]
    trainer, _, at = train(tmp_path / "disk", "disk", scores=scores, **options)
    assert digest(whole_weights(trainer.model)) == at[4]


# --- what is kept --------------------------------------------------------------------------------------------


def kept_names(model: nn.Module, folder: Path) -> set[str]:
    weights = BestWeights(model)
    weights.keep()
    weights.save(folder / "kept.safetensors")
    return set(load_file(folder / "kept.safetensors"))


def test_only_what_is_trainable_is_kept_and_the_buffers(tmp_path: Path) -> None:
    model = WithBuffers()
    model.norm.requires_grad_(False)
    buffers = {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked", "counted"}
    assert kept_names(model, tmp_path) == {"head.weight", "head.bias"} | buffers


def test_tied_weights_are_kept_once(tmp_path: Path) -> None:
    model = tied()
    names = kept_names(model, tmp_path)
    assert "bert.embeddings.word_embeddings.weight" in names
    assert "cls.predictions.decoder.weight" not in names
    assert len(names) == len(list(model.parameters())) + len(list(model.buffers()))


@with_peft
def test_of_a_model_with_adapters_only_these_are_kept(tmp_path: Path) -> None:
    names = kept_names(lora(), tmp_path) - {name for name, _ in lora().named_buffers()}
    assert names
    assert all("lora_" in name or "modules_to_save" in name for name in names)


def test_a_compiled_model_s_names_are_the_plain_ones(tmp_path: Path) -> None:
    compiled = torch.compile(TinyModel(), backend="eager")
    assert kept_names(compiled, tmp_path) == {"linear.weight", "linear.bias"}
    other = BestWeights(TinyModel())
    other.load(tmp_path / "kept.safetensors")
    other.restore()


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_buffers_come_back_too(tmp_path: Path, where: str) -> None:
    model, states = WithBuffers(), States()
    trainer = trainer_of(tmp_path, [KeepBest(where), states], model=model)
    trainer.train()
    if where == "disk":  # one that the Trainer does not save is left as it is
        model.counted.fill_(float(2 * 3))
    assert state_of(model) == states.at[3] != states.at[5]


def test_frozen_weights_are_left_alone() -> None:
    model = WithBuffers()
    model.norm.requires_grad_(False)
    weights = as_pieces(model)
    nn.init.constant_(model.norm.weight, 7.0)
    nn.init.constant_(model.head.bias, 7.0)
    weights.restore()
    assert model.norm.weight[0] == 7.0
    assert model.head.bias[0] != 7.0


def test_restoring_nothing_is_told() -> None:
    weights = as_pieces(TinyModel())
    weights.drop()
    assert not weights.is_kept
    with pytest.raises(StrategyError, match="no weights are kept"):
        weights.restore()


# --- the optimizer's state -----------------------------------------------------------------------------------


def step(model: TinyModel, optimizer: Optimizer) -> Tensor:
    optimizer.zero_grad()
    model(torch.ones(1, 2), torch.ones(1))["loss"].backward()
    optimizer.step()
    return flat(model)


@pytest.mark.parametrize(
    "make",
    [
        lambda parameters: AdamW(parameters, lr=0.1),
        lambda parameters: AdamW(parameters, lr=0.1, amsgrad=True),
        lambda parameters: SGD(parameters, lr=0.01, momentum=0.9),
        lambda parameters: Adafactor(parameters, lr=0.1),
    ],
    ids=["AdamW", "amsgrad", "momentum", "Adafactor"],
)
@pytest.mark.parametrize("steps_before", [0, 2])
def test_weights_and_optimizer_go_back_together(make: Callable[..., Optimizer], steps_before: int) -> None:
    torch.manual_seed(0)
    model = TinyModel()
    optimizer = make(model.parameters())
    for _ in range(steps_before):
        step(model, optimizer)
    weights = BestWeights(model, optimizer)
    weights.keep()
    first = [step(model, optimizer) for _ in range(3)]
    weights.restore()
    again = [step(model, optimizer) for _ in range(3)]
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_numbers_in_the_optimizer_s_state_go_back_too() -> None:
    model = TinyModel()
    optimizer = SGD(model.parameters(), lr=0.1)
    state = optimizer.state[model.linear.weight]
    state |= {"step": 3, "scale": 0.5}
    weights = BestWeights(model, optimizer)
    weights.keep()
    state |= {"step": 4, "scale": 0.25}
    weights.restore()
    assert state == {"step": 3, "scale": 0.5}
    assert type(state["step"]) is int


def test_state_that_came_after_the_copy_is_not_saved_with_it(tmp_path: Path) -> None:
    """As of layers that begin to train after the best evaluation."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizer = AdamW(model.parameters())

    def step(layer: nn.Module) -> None:
        for parameter in layer.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()

    step(model[1])
    best = BestWeights(model, optimizer)
    best.keep()
    step(model)
    best.save(tmp_path / "best.safetensors")
    saved = load_file(tmp_path / "best.safetensors")
    assert {name.split(".")[1] for name in saved if name.startswith("optimizer.")} == {"2", "3"}


def test_a_state_of_another_kind_is_told() -> None:
    model = TinyModel()
    optimizer = SGD(model.parameters(), lr=0.1)
    optimizer.state[model.linear.weight]["history"] = [1, 2]
    with pytest.raises(StrategyError, match="the state 'history' of SGD is a list, neither tensor nor number"):
        BestWeights(model, optimizer).keep()


def test_state_that_is_gone_is_told() -> None:
    model = TinyModel()
    optimizer = AdamW(model.parameters(), lr=0.1)
    step(model, optimizer)
    weights = BestWeights(model, optimizer)
    weights.keep()
    optimizer.state.clear()
    with pytest.raises(StrategyError, match=r"the optimizer has no 'optimizer\.0\.exp_avg' now"):
        weights.restore()


# --- on disk -------------------------------------------------------------------------------------------------


def kept_checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "_best").iterdir())


def test_on_disk_the_best_checkpoint_is_kept_from_the_limit_and_the_one_before_is_not(tmp_path: Path) -> None:
    train(tmp_path, "disk", **EACH, save_total_limit=1)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-5"]
    assert kept_checkpoints(tmp_path) == ["checkpoint-3"]
    files = {path.name for path in (tmp_path / "_best" / "checkpoint-3").iterdir()}
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json"} <= files
    assert "best.safetensors" not in files  # what the Trainer saved is enough


@pytest.mark.parametrize("optimizer", [False, True])
def test_on_disk_the_kept_checkpoint_is_no_second_copy(tmp_path: Path, optimizer: bool) -> None:
    trainer_of(tmp_path, [KeepBest("disk", optimizer=optimizer)], **EACH).train()
    kept, saved = tmp_path / "_best" / "checkpoint-3", tmp_path / "checkpoint-3"
    assert (saved / "best.safetensors").is_file() is optimizer
    for file in saved.iterdir():
        assert (kept / file.name).samefile(file)


def test_on_disk_only_the_best_evaluations_are_saved(tmp_path: Path) -> None:
    train(tmp_path, "disk")
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == [f"checkpoint-{n}" for n in (1, 2, 3)]


@with_peft
def test_on_disk_no_weights_are_in_memory(tmp_path: Path) -> None:
    class NothingInMemory(TrainerCallback):
        asked = 0

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.asked += 1
            assert not keep.keeper._store._weights.is_kept  # type: ignore[attr-defined]

    keep, nothing = KeepBest("disk"), NothingInMemory()
    trainer_of(tmp_path, [keep, nothing], model=lora()).train()
    assert nothing.asked == 5


def test_on_disk_without_hard_links_the_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: str, target: str) -> None:
        raise OSError("no hard links here")

    monkeypatch.setattr("os.link", no_links)
    trainer, _, at = train(tmp_path, "disk", **EACH, save_total_limit=1)
    assert digest(whole_weights(trainer.model)) == at[3]


def test_the_kept_checkpoint_can_be_loaded_and_resumed_from(tmp_path: Path) -> None:
    _, _, at = train(tmp_path, "disk", **EACH, save_total_limit=1)
    kept = tmp_path / "_best" / "checkpoint-3"
    assert digest(whole_weights(type(bert()).from_pretrained(kept))) == at[3]
    again = trainer_of(tmp_path / "again", [], SCORES[3:], **EACH)
    again.train(resume_from_checkpoint=str(kept))
    assert digest(whole_weights(again.model)) == at[5]


def test_a_kept_checkpoint_of_another_run_is_not_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = EACH | {"max_steps": 4}
    train(tmp_path / "mine", "disk", **options)
    train(tmp_path / "other", "disk", **options, learning_rate=0.02)
    for lost in ("_best", "checkpoint-3"):
        shutil.rmtree(tmp_path / "mine" / lost)
    shutil.copytree(tmp_path / "other" / "_best", tmp_path / "mine" / "_best")
    keep = KeepBest("disk")
    trainer = trainer_of(tmp_path / "mine", [keep], SCORES[4:], **(options | {"max_steps": 5}))
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        trainer.train(resume_from_checkpoint=str(tmp_path / "mine" / "checkpoint-4"))
    assert "The best weights so far (score at step 3) are lost: no checkpoint of this run lies in" in caplog.text
    assert keep.restored is False


@with_peft
@pytest.mark.parametrize("what", ["weights", "optimizer", "adapters"])  # the last two need one more file
def test_the_best_of_before_a_later_one_is_found_among_the_trainer_s_checkpoints(tmp_path: Path, what: str) -> None:
    make = lora if what == "adapters" else bert
    scores, options = [0.5, 0.4, 0.6], EACH | {"max_steps": 3}
    record, with_optimizer = Record(), what == "optimizer"
    first = KeepBest("disk", optimizer=with_optimizer)
    trainer_of(tmp_path, [first, record], scores, model=make(), **options).train()
    assert kept_checkpoints(tmp_path) == ["checkpoint-3"]
    keep = KeepBest("disk", optimizer=with_optimizer)
    trainer = trainer_of(tmp_path, [keep], [0.3], model=make(), **options)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert keep.restored is True
    assert digest(whole_weights(trainer.model)) == record.at[1] != record.at[2]
    assert "checkpoint-1" in kept_checkpoints(tmp_path)


def test_from_the_best_of_before_a_later_one_it_goes_on_with_the_optimizer_s_state_of_then(tmp_path: Path) -> None:
    record, options = Record(at_evaluation=False), EACH | {"max_steps": 4}
    keep = KeepBest("disk", optimizer=True)
    trainer_of(tmp_path, [keep, record], [0.5, 0.4, 0.6, 0.3], **options).train()
    resumed = Record(at_evaluation=False)
    keep = KeepBest("disk", optimizer=True, rewind_at=3)  # to step 1, the best as far as this run knows
    trainer = trainer_of(tmp_path, [keep, resumed], [0.3] * 3, **options | {"max_steps": 5})
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert (resumed.at[3], resumed.at[4]) == (record.at[1], record.at[2])


def test_the_kept_checkpoint_is_not_pushed_to_the_hub(tmp_path: Path) -> None:
    from huggingface_hub.utils import filter_repo_objects

    train(tmp_path, "disk", **EACH)
    paths = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    pushed = set(filter_repo_objects(paths, ignore_patterns=["_*", "checkpoint-*"]))  # as Trainer.push_to_hub
    assert any(path.startswith("_best/") for path in paths)
    assert not any("best" in path or "checkpoint" in path for path in pushed)


def test_weights_that_the_trainer_did_not_save_are_said_to_be_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class NoSaves(TrainerCallback):
        def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            control.should_save = False

    keep = KeepBest("disk")
    with caplog.at_level(logging.WARNING, logger="hf_strategies"):
        trainer_of(tmp_path, [keep, NoSaves()]).train()
    assert "The best weights, of step 3, are not restored: the Trainer did not save them." in caplog.text
    assert keep.restored is False


def test_weights_in_several_files_are_read(tmp_path: Path) -> None:
    model = tied()
    model.save_pretrained(tmp_path, max_shard_size="5KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    before, saved = state_of(model), CheckpointWeights(tmp_path)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    weights = BestWeights(model)
    assert saved.holds(model, weights)
    saved.read_into(model, weights)
    assert state_of(model) == before


@pytest.mark.parametrize("change", ["name", "type", "shape"])
def test_a_checkpoint_that_lacks_a_weight_bit_for_bit_does_not_hold_it(tmp_path: Path, change: str) -> None:
    from safetensors.torch import save_file

    model = TinyModel()
    tensors = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    bias = tensors.pop("linear.bias")
    changed = {"name": ("b", bias), "type": ("linear.bias", bias.half()), "shape": ("linear.bias", bias.repeat(2))}
    save_file(tensors, tmp_path / "model.safetensors")
    assert not CheckpointWeights(tmp_path).holds(model, BestWeights(model))
    save_file(tensors | dict([changed[change]]), tmp_path / "model.safetensors")
    assert not CheckpointWeights(tmp_path).holds(model, BestWeights(model))
    save_file(tensors | {"linear.bias": bias}, tmp_path / "model.safetensors")
    assert CheckpointWeights(tmp_path).holds(model, BestWeights(model))


# --- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"save_strategy": "best", "metric_for_best_model": "score"}, "save_strategy='best' are not saved"),
        ({"eval_on_start": True}, "eval_on_start=True cannot be saved"),
    ],
)
def test_on_disk_what_keeps_the_trainer_from_saving_is_told(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(StrategyError, match=words):
        trainer_of(tmp_path, [KeepBest("disk")], **options).train()


def test_on_disk_a_trainer_that_saves_elsewhere_is_told(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, [KeepBest("disk")])
    trainer._get_output_dir = lambda trial: str(tmp_path / "run-0")
    with pytest.raises(StrategyError, match=r"the Trainer does not save in .*checkpoint-1'"):
        trainer.train()


def test_an_unknown_place_is_told(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, [])
    with pytest.raises(StrategyError, match=r"where='disc' is no place for the best weights.*did you mean 'disk'"):
        BestKeeper(TinyModel(), trainer.args, "best", "disc")


def test_fsdp_1_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed.fsdp import FullyShardedDataParallel

    class Wrapped(FullyShardedDataParallel):
        def __init__(self) -> None:
            nn.Module.__init__(self)

    with pytest.raises(StrategyError, match=r"under FSDP 1: set fsdp_config=\{'version': 2\}"):
        BestWeights(Wrapped())


def test_the_log_tells_whose_file_it_is(tmp_path: Path) -> None:
    """Only the file beside a checkpoint that is not the best, with the log that this checkpoint has."""
    from hf_strategies.trainer.best_weights.files import fingerprint

    train(tmp_path, "memory", **EACH)
    found = {path.parent.name for path in tmp_path.glob("checkpoint-*/best*")}
    assert found == {"checkpoint-4", "checkpoint-5"}
    state = json.loads((tmp_path / "checkpoint-4" / "trainer_state.json").read_text())
    note = BestWeights.note_of(tmp_path / "checkpoint-4" / "best.safetensors")
    entries = int(note["entries"])
    # It is written before the checkpoint, whose last entries it may lack; the best is among those that it knows.
    assert note == {"log": fingerprint(state["log_history"][:entries]), "entries": note["entries"]}
    assert any("eval_loss" in entry for entry in state["log_history"][:entries])
    assert not list(tmp_path.glob("_*/waiting-*"))
