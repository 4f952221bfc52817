"""The checks that the command line and the torch scheduler share."""

import pytest

from hf_strategies import StrategyError
from hf_strategies.schedules import find_plan
from hf_strategies.schedules.schedule import check_names, check_on_extend, default_warmup_steps, read_min_lr

COSINE = find_plan("cosine_decay")


def test_a_floor_may_be_0_or_the_peak_and_is_read_from_text() -> None:
    assert read_min_lr(COSINE, 0, {}, peak=0.5) == 0.0
    assert read_min_lr(COSINE, "0.5", {}, peak=0.5) == 0.5
    assert read_min_lr(COSINE, 1e9, {}) == 1e9  # with an unknown peak nothing is too high


@pytest.mark.parametrize("peak", [0.5, None])
def test_a_floor_below_0_is_refused_with_what_the_bounds_are(peak: float | None) -> None:
    bounds = "of at least 0" if peak is None else "from 0 to the lowest peak, 0.5"
    with pytest.raises(StrategyError, match=f"^min_lr=-0.1 is out of range: give a learning rate {bounds}$"):
        read_min_lr(COSINE, -0.1, {}, peak=peak, peak_name="the lowest peak")


def test_a_name_that_is_allowed_beside_the_parameters_is_known_and_suggested() -> None:
    check_names(COSINE, ["min_lr_ratio", "on_extend"], more=["on_extend"])
    with pytest.raises(StrategyError, match="takes no parameter 'on_extnd': did you mean 'on_extend'"):
        check_names(COSINE, ["on_extnd"], more=["on_extend"])


def test_a_value_of_on_extend_that_cannot_be_hashed_is_no_choice() -> None:
    with pytest.raises(
        StrategyError, match=r"on_extend=\[1\] is no choice: known: 'error', 'jump', 'keep', 'replan'"
    ):
        check_on_extend([1])


def test_the_warmup_by_default_is_0_where_the_schedule_has_none_or_one_of_its_own() -> None:
    assert default_warmup_steps(find_plan("linear_warmup_cosine_decay")) == 0.1
    assert default_warmup_steps(find_plan("linear_warmup_cosine_decay"), 100) == 100
    assert default_warmup_steps(COSINE, 100) == 0
    assert default_warmup_steps(find_plan("one_cycle"), 100) == 0  # 0.3 of the training
