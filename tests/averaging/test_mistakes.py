"""What users write wrong in an average, and averages of their own."""

from collections.abc import Callable, Iterator

import pytest

from hf_strategies import StrategyError
from hf_strategies.averaging import AVERAGES, Average, Length, Number, register_average, shape_weights


@pytest.fixture(autouse=True)
def _averages_as_before() -> Iterator[None]:
    before = dict(AVERAGES)
    yield
    AVERAGES.clear()
    AVERAGES.update(before)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("emma(over=5)", "there is no average 'emma': did you mean 'ema'"),
        ("tail(ower=5)", "tail has no parameter 'ower': did you mean 'over'"),
        ("tail", "tail needs over, the updates that are averaged"),
        ("tail(5)", "tail takes its values by name: write tail(over=5)"),
        ("tail(over=5, over=6)", "tail is given over twice"),
        ("ema", "ema needs one of decay and over"),
        ("ema(over=5, decay=0.9)", "ema needs one of decay and over"),
        ("ema(decay=1)", "decay=1 is out of range: give a number in [0, 1)"),
        ("ema(decay=1.5)", "decay=1.5 is out of range"),
        ("ema(decay=fast)", "decay='fast' is not a number"),
        ("ema(over=2ep)", "a length with a unit needs quotes: ema(over='2ep')"),
        ("ema(over='3 evals')", "over='3 evals' counts evaluations"),
        ("ema(over=0)", "over=0 is out of range"),
        ("ema(over=1.0)", "over=1.0 is ambiguous"),
        ("tail(over=-0.5)", "over=-0.5 is out of range"),
        ("polynomial(power=-1)", "power=-1 is out of range"),
        ("polynomial(power=None)", "power=None is not a number"),
        ("shape", "hf-strategies average RUN_DIR --shape"),
        ("shape(curve=sqrt)", "hf-strategies average RUN_DIR --shape"),
        ("ema(over=5) or tail(over=5)", "cannot be read"),
        ("ema(over=(", "cannot be read"),
        ("", "is no average"),
        (0.999, "average=0.999 is no average: write one such as"),
    ],
)
def test_a_mistake_says_what_to_write(text: object, words: str) -> None:
    with pytest.raises(StrategyError) as caught:
        Average.read(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ({"total_steps": 10}, "steps_per_epoch"),
        ({"total_steps": 0, "steps_per_epoch": 5}, "total_steps=0 is no number of steps"),
        ({"total_steps": 10, "steps_per_epoch": 0}, "steps_per_epoch=0 is out of range"),
        ({"total_steps": 10, "steps_per_epoch": 0.3}, "gives 0 updates: give a length of at least one update"),
    ],
)
def test_a_length_that_cannot_be_turned_into_updates_is_refused(lengths: dict[str, float], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        Average.read("ema(over='1ep')").plan(**lengths)  # type: ignore[arg-type]


def test_a_length_may_exceed_the_training() -> None:
    plan = Average.read("tail(over='5ep')").plan(total_steps=3, steps_per_epoch=10)
    assert [plan.coefficients(n)[plan.read(n)] for n in (1, 2, 3)] == [1.0, 1 / 2, 1 / 3]


def test_updates_are_counted_from_one() -> None:
    plan = Average.read("polynomial").plan(total_steps=3)
    for ask in (plan.coefficients, plan.read):
        with pytest.raises(StrategyError, match="n=0 counts the averaged updates"):
            ask(0)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (" ema( over = '1 epoch' ) ", "ema(over='1ep')"),
        ("ema(decay=0.99)", "ema(decay=0.99)"),
        ("tail(over=500)", "tail(over='500 steps')"),
        ("tail(over=0.5)", "tail(over=0.5)"),
        ("polynomial", "polynomial(power=3)"),
        ("polynomial(power=2.5)", "polynomial(power=2.5)"),
    ],
)
def test_an_average_has_one_text(text: str, canonical: str) -> None:
    assert str(Average.read(text)) == canonical


@pytest.mark.parametrize(
    ("count", "curve"),
    [
        (0, lambda step, steps: 1 - step / steps),
        ([], lambda step, steps: 1 - step / steps),
        ([2, 2], lambda step, steps: 1 - step / steps),
        (2, lambda step, steps: step / steps),
        (2, lambda step, steps: 0.5),
    ],
)
def test_a_shape_of_nothing_or_of_a_curve_that_does_not_fall_from_one_is_refused(
    count: int | list[int], curve: Callable[[float, float], float]
) -> None:
    with pytest.raises(StrategyError):
        shape_weights(count, curve=curve)


def test_an_average_of_a_user_is_read_like_the_others() -> None:
    register_average(
        "slow",
        lambda n, share, over: max(share, 1 / min(n, over) if over >= 1 else 1 / n),
        {"share": 0.0, "over": Length("2ep", "updates")},
        summary="a plain mean that stops to slow down",
    )
    plan = Average.read("slow(share=0.25)").plan(total_steps=9, steps_per_epoch=5)
    assert [plan.coefficients(n) for n in (1, 2, 8)] == [(1.0,), (0.5,), (0.25,)]
    assert Average.read("slow").plan(total_steps=9, steps_per_epoch=5).coefficients(100) == (0.1,)
    assert (plan.slots, plan.read(3), AVERAGES["slow"].source) == (1, 0, "user")


@pytest.mark.parametrize(
    ("name", "function", "parameters", "words"),
    [
        ("ema", lambda n: 1 / n, {}, "is taken"),
        ("my average", lambda n: 1 / n, {}, "is no name"),
        ("mine", lambda n: 0.5, {}, "coefficient 0.5 at update 1 is not exactly 1.0"),
        ("mine", lambda n: 1, {}, "is no Python float"),
        ("mine", lambda n: 2.0 if n == 7 else 1.0, {}, "coefficient 2.0 at update 7"),
        ("mine", lambda n: [1.0, 0.5][n - 1], {}, "fails when it is computed"),
        ("mine", lambda n, x: 1 / n, {"x": "far"}, "is no default"),
        ("mine", lambda n: 1 / n, {"n": 1.0}, "is no name for a parameter"),
        ("mine", lambda n, x: 1 / n, {"y": Number(..., "a number")}, "fails when it is computed"),
    ],
)
def test_an_average_that_breaks_a_law_is_not_added(
    name: str, function: Callable[..., float], parameters: dict[str, float], words: str
) -> None:
    before = dict(AVERAGES)
    with pytest.raises(StrategyError) as caught:
        register_average(name, function, parameters, summary="mine")
    assert words in str(caught.value)
    assert before == AVERAGES


def test_another_answer_when_asked_again_is_no_average() -> None:
    calls: list[int] = []

    def restless(n: int) -> float:
        calls.append(n)
        return 1.0 / len(calls)

    with pytest.raises(StrategyError, match="when asked again"):
        register_average("restless", restless, summary="mine")
