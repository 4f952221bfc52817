"""Where early stopping tells what it did: state, trackers, progress bar, model card; and without a Trainer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import integration_utils
from transformers.trainer_callback import ProgressCallback

from hf_strategies import EarlyStopping, StrategyError
from tests.tiny import TinyModel, flat
from tests.trainer.bert_runs import arguments, bert_trainer
from tests.trainer.callbacks.stopping_runs import EACH_STEP, SCORES, record, stopping

Make = Callable[..., Any]
REASON = (
    "Stopped early at step 5 (epoch 1.25): eval_score has not improved for 2 evaluations; best 0.8 at step 3"
    " (epoch 0.75)."
)


def test_the_record_is_complete(make_trainer: Make, tmp_path: Path) -> None:
    make_trainer(SCORES, callbacks=[stopping()], **EACH_STEP).train()
    state = json.loads((tmp_path / "out" / "trainer_state.json").read_text())
    found = state["stateful_callbacks"]["early_stopping"]
    assert found.pop("wall_seconds") > 0
    assert found == {
        "monitor": "eval_score",
        "mode": "max",
        "criterion": "patience(2)",
        "settings": "eval_score, patience(2)",
        "stopped": True,
        "reason": REASON,
        "stop_step": 5,
        "stop_epoch": 1.25,
        "stop_value": 0.75,
        "best_step": 3,
        "best_epoch": 0.75,
        "best_value": 0.8,
        "values": [0.5, 0.6, 0.8, 0.7, 0.75],
        "evaluations": 5,
        "evaluations_since_best": 2,
        "restored_best_weights": True,
    }


# --- trackers -------------------------------------------------------------------------------------------------


class Tracker(TrainerCallback):
    """A tracker that, as several do, closes at the end of training and must not be written to then."""

    instances: list["Tracker"]

    def __init_subclass__(cls) -> None:
        cls.instances = []

    def __init__(self) -> None:
        self.got: dict[str, Any] = {}
        self.closed = False
        type(self).instances.append(self)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        assert not self.closed
        for name, value in logs.items():
            if "early_stopping" in name:
                assert name not in self.got
                self.got[name] = (state.global_step, value)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.closed = True


@pytest.fixture
def trackers(monkeypatch: pytest.MonkeyPatch) -> list[type[Tracker]]:
    """Two trackers in use: one takes numbers only, the other texts too."""

    class Numbers(Tracker):
        pass

    class Texts(Tracker):
        pass

    kinds = {"mlflow": Numbers, "wandb": Texts}
    for name, kind in kinds.items():
        monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, name, kind)
    return list(kinds.values())


@pytest.mark.parametrize("max_steps", [12, 4])
def test_every_tracker_in_use_gets_the_numbers_and_the_reason_if_it_takes_text(
    make_trainer: Make, trackers: list[type[Tracker]], max_steps: int
) -> None:
    options = EACH_STEP | {"max_steps": max_steps, "report_to": ["mlflow", "wandb"]}
    make_trainer(SCORES, callbacks=[stopping()], **options).train()
    numbers, texts = [kind.instances[0].got for kind in trackers]
    stopped, at = max_steps == 12, min(max_steps, 5)
    assert numbers.pop("eval_early_stopping_wall_seconds")[1] > 0
    expected = {"stopped": float(stopped), "best_step": 3.0, "best_value": 0.8, "evaluations_since_best": at - 3.0}
    expected |= {"stop_step": 5.0} if stopped else {}
    assert numbers == {f"eval_early_stopping_{name}": (at, value) for name, value in expected.items()}
    assert set(texts) - set(numbers) == {"eval_early_stopping_reason", "eval_early_stopping_wall_seconds"}
    assert texts["eval_early_stopping_reason"] == (
        at,
        REASON if stopped else "Not stopped early: no improvement 1/2.",
    )


# --- progress bar ---------------------------------------------------------------------------------------------


class Postfix(TrainerCallback):
    """Read what stands behind the progress bar after each evaluation."""

    def __init__(self) -> None:
        self.bar = ProgressCallback()
        self.seen: list[str] = []

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        bar: Any = self.bar.training_bar
        self.seen.append(bar.postfix)


def test_the_progress_bar_shows_how_far_patience_has_come(make_trainer: Make) -> None:
    postfix = Postfix()
    trainer = make_trainer(SCORES, callbacks=[stopping(), postfix], **EACH_STEP, disable_tqdm=False)
    (postfix.bar,) = [each for each in trainer.callback_handler.callbacks if isinstance(each, ProgressCallback)]
    trainer.train()
    assert postfix.seen == [f"no improvement {waited}/2" for waited in (0, 0, 0, 1, 2)]


# --- model card -----------------------------------------------------------------------------------------------


@pytest.fixture
def make_bert(tmp_path: Path) -> Make:
    """Make a stock Trainer of a small BERT: a card tells of the model's configuration."""

    def make(scores: list[float], *callbacks: Any) -> Any:
        return bert_trainer(arguments(tmp_path / "out", **EACH_STEP), callbacks=callbacks, scores=scores)[0]

    return make


def card(trainer: Any) -> str:
    trainer.create_model_card(model_name="tiny")
    return (Path(trainer.args.output_dir) / "README.md").read_text()


def test_the_model_card_has_the_reason_once_after_a_second_training_too(make_bert: Make) -> None:
    trainer = make_bert([*SCORES[:5], 0.9, 0.8, 0.7], stopping())
    trainer.train()
    for _ in range(2):
        text = card(trainer)
        assert text.count("## Training strategy") == text.count(REASON) == 1
    trainer.train()
    text = card(trainer)
    assert REASON not in text
    assert text.count("## Training strategy") == text.count("Stopped early at step 3") == 1


def test_the_model_card_has_the_reasons_of_both_of_two(make_bert: Make) -> None:
    trainer = make_bert(SCORES, stopping(patience=4), stopping())
    trainer.train()
    text = card(trainer)
    assert text.count("## Training strategy") == text.count(REASON) == 1
    assert text.count("- Not stopped early: no improvement 2/4.") == 1


def test_a_callback_that_is_gone_leaves_no_line_in_the_next_training_s_card(make_bert: Make) -> None:
    trainer = make_bert([*SCORES[:5], 0.9, 0.8], stopping())
    trainer.train()
    trainer.remove_callback(EarlyStopping)
    trainer.add_callback(stopping(patience=1))
    trainer.train()
    text = card(trainer)
    assert REASON not in text
    assert text.count("Stopped early") == 1


# --- a loop of one's own --------------------------------------------------------------------------------------


class Loop:
    """Training by hand, which calls the events itself."""

    def __init__(self, folder: Path, logs: bool = True) -> None:
        self.args = TrainingArguments(
            str(folder), eval_strategy="steps", eval_steps=1, use_cpu=True, report_to="none"
        )
        self.state, self.control, self.model = TrainerState(max_steps=12), TrainerControl(), TinyModel()
        self.logs, self.weights = logs, {0: flat(self.model)}

    def train(self, callback: TrainerCallback) -> None:
        args, state, control, given = self.args, self.state, self.control, {"model": self.model}
        callback.on_train_begin(args, state, control, **given)
        for step, score in enumerate(SCORES, 1):
            callback.on_step_begin(args, state, control, **given)
            with torch.no_grad():
                self.model.linear.weight += 1.0
            state.global_step, state.epoch = step, step / 4
            callback.on_step_end(args, state, control, **given)
            self.weights[step] = flat(self.model)
            metrics = {"eval_score": score}
            if self.logs:
                state.log_history.append(metrics | {"step": step, "epoch": state.epoch})
            callback.on_evaluate(args, state, control, metrics=metrics, **given)
            if control.should_training_stop:
                break
        callback.on_train_end(args, state, control, **given)


def test_a_loop_that_calls_the_events_itself_needs_no_trainer(tmp_path: Path) -> None:
    loop = Loop(tmp_path)
    loop.train(stopping())
    assert loop.state.global_step == 5
    assert torch.equal(flat(loop.model), loop.weights[3])
    assert record(loop)["reason"] == REASON  # type: ignore[arg-type]


def test_a_loop_that_logs_nothing_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"evaluation at step 1 are not in state\.log_history"):
        Loop(tmp_path, logs=False).train(stopping())
