"""One language for lengths: what a user writes means the same for schedules, stopping, cooldown and unfreezing."""

import pytest

from hf_strategies import EarlyStopping, GradualUnfreezing, PlateauCooldown, StrategyError, schedule
from hf_strategies.lengths import Span, read_span, to_steps
from hf_strategies.schedules.plateau_cooldown import Cooldown

# what is written -> the steps of a training of 1000 steps, with 40 to the epoch
WRITTEN = [
    (500, 500),
    ("500", 500),
    ("500 steps", 500),
    ("1 step", 1),
    (" 12steps ", 12),
    ("2ep", 80),
    ("2 epochs", 80),
    ("0.5 epoch", 20),
    (".5ep", 20),
    ("1e1 steps", 10),
    (0.1, 100),
    ("0.1", 100),
    (0.0995, 100),  # rounded up
]


@pytest.mark.parametrize(("value", "steps"), WRITTEN)
def test_a_length_gives_its_steps(value: object, steps: int) -> None:
    assert to_steps("length", value, total_steps=1000, steps_per_epoch=40) == steps


@pytest.mark.parametrize("value", [value for value, _ in WRITTEN])
def test_what_one_place_reads_every_place_reads(value: int | float | str) -> None:
    in_epochs = isinstance(value, str) and "ep" in value
    clock = {"steps_per_epoch": 40} if in_epochs else {}
    assert schedule("step_decay", total_steps=1000, step_size=value, **clock)(0) == 1.0
    assert schedule("linear_warmup_linear_decay", total_steps=1000, warmup_steps=value, **clock)(0) == 0.0
    assert Cooldown.read(value, "sqrt", 0.0).length == read_span("cooldown", value).plain
    assert PlateauCooldown("loss", patience=value, cooldown=value).rule.condition
    assert EarlyStopping("loss", patience=value, start_from=value).rule.start_from.amount > 0
    assert GradualUnfreezing(value).every == value


@pytest.mark.parametrize("value", [500, "500", "500 steps", "500steps"])
def test_steps_written_in_any_way_are_one_length(value: object) -> None:
    assert Cooldown.read(value, "sqrt", 0.0) == Cooldown.read(500, "sqrt", 0.0)


def test_a_bare_number_has_the_unit_of_its_place() -> None:
    assert read_span("warmup_steps", 3) == Span(3, "steps")
    assert read_span("patience", 3, bare="evaluations") == Span(3, "evaluations")
    assert read_span("patience", "3 steps", bare="evaluations") == Span(3, "steps")
    assert read_span("patience", "3 evals", bare="evaluations") == Span(3, "evaluations")


def test_half_an_epoch_of_a_cooldown_is_the_number_of_steps_worked_out_by_hand() -> None:
    cooldown = Cooldown("1.5ep", steps_per_epoch=40)
    assert [cooldown.steps(done) for done in (1, 100, 900)] == [60, 60, 60]
    assert cooldown.latest_start(1000) == 940


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("3 evals", "counts evaluations, which have no meaning here: give a whole number of steps"),
        ("1.5 steps", "is no whole number of steps"),
        (2.5, "is ambiguous: give a whole number of steps (at least 0), epochs as '2ep', or a fraction"),
        (1.0, "is ambiguous"),
        ("-1ep", "is no length of training"),
        (-1, "is out of range"),
        ("soon", "is no length of training: give a whole number of steps"),
        (None, "is no length of training"),
        (True, "is no length of training"),
    ],
)
def test_what_is_no_length_in_steps_is_refused_with_the_remedy(value: object, words: str) -> None:
    with pytest.raises(StrategyError) as raised:
        read_span("cooldown", value)
    assert str(raised.value).startswith(f"cooldown={value!r} {words}")
    with pytest.raises(StrategyError):
        PlateauCooldown("loss", cooldown=value if value is not None else "")


@pytest.mark.parametrize(
    ("amount", "unit", "words"), [(1, "steps", "1 step"), (0.25, "of training", "25 % of training")]
)
def test_a_length_in_words_is_singular_or_a_share(amount: float, unit: str, words: str) -> None:
    assert Span(amount, unit).words == words
