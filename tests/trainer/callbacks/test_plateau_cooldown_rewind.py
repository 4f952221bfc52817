"""Going back to the best weights at a plateau, bit for bit."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from tests.tiny import flat, learning_rates
from tests.trainer.callbacks.cooldown_runs import OPTIONS, SCORES, cooldown, record


class Moments(TrainerCallback):
    """Remember the weights and the optimizer's state at the beginning of every step, by the steps done."""

    def __init__(self) -> None:
        self.weights: dict[int, torch.Tensor] = {}
        self.at: dict[int, dict[str, torch.Tensor]] = {}

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.weights[state.global_step] = flat(kwargs["model"])
        found = kwargs["optimizer"].state_dict()["state"]
        self.at[state.global_step] = {
            f"{index}.{name}": torch.as_tensor(value).clone()
            for index, values in copy.deepcopy(found).items()
            for name, value in values.items()
        }


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def trained(make_trainer: Callable[..., Any], scores: list[float] = SCORES, **settings: Any) -> tuple[Any, Moments]:
    moments = Moments()
    options = OPTIONS | settings.pop("options", {})
    trainer = make_trainer(scores, callbacks=[cooldown(**settings), moments], **options)
    trainer.train()
    return trainer, moments


@pytest.mark.parametrize("place", ["memory", "disk"])
@pytest.mark.parametrize("optim", ["adamw_torch", "sgd"])
@pytest.mark.parametrize("rewind", ["none", "weights", "optimizer"])
def test_the_cooldown_starts_from_where_it_was_told(
    make_trainer: Callable[..., Any], rewind: str, optim: str, place: str
) -> None:
    """Best at step 3, stalled at step 6."""
    more = {"optim": optim, "optim_args": "momentum=0.9"} if optim == "sgd" else {"optim": optim}
    _, moments = trained(make_trainer, rewind=rewind, weights_in=place, options=more)
    assert not torch.equal(moments.weights[3], moments.weights[5])
    assert torch.equal(moments.weights[6], moments.weights[3]) == (rewind != "none")
    assert same(moments.at[6], moments.at[3]) == (rewind == "optimizer")
    assert (moments.at[6] == {}) == (rewind == "weights")
    assert moments.at[3]


def test_with_the_optimizer_of_then_training_repeats_itself(make_trainer: Callable[..., Any]) -> None:
    """With the same rate and the whole set in each batch, steps 6, 7 and 8 are steps 3, 4 and 5 again."""
    options = {"lr_scheduler_type": "constant", "warmup_steps": 0, "per_device_train_batch_size": 16}
    _, moments = trained(make_trainer, rewind="optimizer", stages=1, factor=1, options=options)
    for step in (0, 1, 2):
        # the batches hold the examples in another order, so that their sums differ by roundings
        torch.testing.assert_close(moments.weights[6 + step], moments.weights[3 + step], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(moments.weights[8], moments.weights[6], atol=1e-2)


def test_each_plateau_goes_back(make_trainer: Callable[..., Any]) -> None:
    trainer, moments = trained(make_trainer, rewind="optimizer", stages=1, patience=2, cooldown=2, factor=0.5)
    assert (record(trainer)["drops"], record(trainer)["cooldown_start"]) == ([5], 8)
    assert record(trainer)["rewound_to"] == [3, 3]
    assert torch.equal(moments.weights[5], moments.weights[3])
    assert torch.equal(moments.weights[8], moments.weights[3])
    assert same(moments.at[8], moments.at[3])


def test_the_budget_s_cooldown_goes_on_from_where_training_is(make_trainer: Callable[..., Any]) -> None:
    """There was no plateau: the best evaluation may lie a little way back."""
    scores = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 0.9, 1.2, 1.3, 1.4, 1.5]
    options = {"max_steps": 12}
    (_, plain), (trainer, moments) = (
        trained(make_trainer, scores, rewind=way, options=options) for way in ("none", "weights")
    )
    assert record(trainer)["trigger"] == "budget"
    assert record(trainer)["rewound_to"] == []
    assert torch.equal(moments.weights[9], plain.weights[9])


def test_where_the_newest_is_the_best_there_is_nothing_to_go_back_to(make_trainer: Callable[..., Any]) -> None:
    settings = {"patience": None, "stop_when": "target(0.7)", "rewind": "weights"}
    trainer, moments = trained(make_trainer, **settings)
    assert (record(trainer)["cooldown_start"], record(trainer)["rewound_to"]) == (3, [])
    assert moments.at[3]


def test_from_nan_it_goes_on_only_from_the_best(make_trainer: Callable[..., Any]) -> None:
    nan = float("nan")
    scores = [0.5, 0.6, 0.7, nan, nan, nan, 0.7, 0.8, 0.9]
    stopped, _ = trained(make_trainer, scores)
    assert (stopped.state.global_step, record(stopped)["stop_step"]) == (6, 6)
    trainer, moments = trained(make_trainer, scores, rewind="weights")
    assert trainer.state.global_step == 9
    assert torch.equal(moments.weights[6], moments.weights[3])
    assert torch.equal(flat(trainer.model), trainer.weights_at[9])


def test_it_changes_no_rate(make_trainer: Callable[..., Any]) -> None:
    rates = [learning_rates(trained(make_trainer, rewind=way)[0]) for way in ("none", "weights", "optimizer")]
    assert rates[0] == rates[1] == rates[2]


def test_best_weights_may_be_kept_for_it_alone(make_trainer: Callable[..., Any]) -> None:
    trainer, moments = trained(make_trainer, rewind="weights", restore_best_weights=False)
    assert torch.equal(moments.weights[6], moments.weights[3])
    assert torch.equal(flat(trainer.model), trainer.weights_at[9])
