"""Whatever a user writes is read, or told in one line: nothing else comes out."""

from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_strategies import StrategyError
from hf_strategies.stopping import CRITERIA, Metric, StoppingRule
from hf_strategies.stopping.condition import parse
from hf_strategies.stopping.smoothing import Smoothing

WORDS = [
    *CRITERIA,
    *("any", "all", "or", "and", "not", "monitor", "loss", "eval_", "None", "True", "1e999", "-1", "0.5", "'ep'"),
    *"(),=*[]{}.:\\#@",
]
scraps = st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=12).map(" ".join)


def read_or_told(read: Callable[..., object], *given: object) -> None:
    """Read it; a `StrategyError` of one line is the only way to fail."""
    try:
        read(*given)
    except StrategyError as mistake:
        message = str(mistake)
    else:
        return
    assert "\n" not in message


@settings(max_examples=400)
@given(text=st.text() | scraps)
@example("-" * 5000 + "1")
@example("(" * 5000)
@example("a" + " or a" * 5000)
@example("a" + " + a" * 5000)
@example("0x" + "f" * 5000)
@example("9" * 5000)
@example("patience('\ud800')")
@example("\0")
@example("'\\d'")
@example("1or 2")
def test_whatever_is_written_is_read_or_told(text: str) -> None:
    for read in (StoppingRule.read, parse, Metric.read, Smoothing.read):
        read_or_told(read, text)
    for name in CRITERIA:
        read_or_told(StoppingRule.read, "loss", f"{name}({text})")
        read_or_told(StoppingRule.read, "loss", f"{name}({text!r})")


@given(value=st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3))
@example(10**400)
@example(10**5000)
@example("9" * 400 + " steps")
@example("9" * 400 + "h")
def test_whatever_is_given_to_a_parameter_is_read_or_told(value: object) -> None:
    for row in CRITERIA.values():
        for name, parameter in row.parameters.items():
            read_or_told(parameter.read, name, value)
