"""Every mistake is told in one line with the argument, its value and the remedy."""

import math
from typing import Any

import pytest

from hf_strategies import StrategyError, verdict
from hf_strategies.stopping import StoppingRule, standard_error
from tests.stopping.logs import judged


def told(mistake: pytest.ExceptionInfo[StrategyError], *words: str) -> None:
    message = str(mistake.value)
    assert "\n" not in message
    for each in words:
        assert each in message


# what is written, and what the one line has to hold: the value, and the remedy
CONDITIONS = [
    ("", "stop_when=''", "write one such as"),
    (3, "stop_when=3", "write one such as"),
    ("patience(", "stop_when='patience('", "write criteria such as"),
    ("patience(3) or", "cannot be read", "write criteria such as"),
    ("patience(3)\nor target(1)", "'patience(3)\\nor target(1)' cannot be read"),
    ("patence(3)", "no criterion 'patence'", "did you mean 'patience'"),
    ("xyz", "no criterion 'xyz'", "known: "),
    ("any()", "no criterion 'any'"),
    ("patience(3) | target(1)", "'patience(3) | target(1)' is no criterion", "patience(3) or target(0.95)"),
    ("not patience(3)", "'not patience(3)' is no criterion"),
    ("3", "'3' is no criterion"),
    ("any(patience(3), 4)", "'4' is no criterion"),
    ("patience(1, 2, 3)", "patience takes 2 values, not 3", "patience(patience=3, baseline=None)"),
    ("target", "target needs value, the value that is good enough", "target(value)"),
    ("time_budget()", "time_budget needs limit"),
    ("patience(patiense=3)", "no parameter 'patiense'", "did you mean 'patience'?"),
    ("target(1, min_delta=0.1)", "target has no parameter 'min_delta'"),
    ("patience(3, patience=4)", "patience is given patience twice", "leave one of the two"),
    ("patience(baseline=3, baseline=4)", "patience is given baseline twice"),
    ("patience(**{'patience': 4})", "patience is given **{'patience': 4}", "write name=value"),
    ("patience(*[4])", "'*[4]' is no value", "give a number, or a text in quotes"),
    ("patience(1 + 2)", "'1 + 2' is no value"),
    ("patience(2ep)", "a length with a unit, or a name with a space, needs quotes: patience('2ep')"),
    ("patience(2) or time_budget(90min)", "quotes: patience(2) or time_budget('90min')"),
    ("target(1e-3) and patience(.5 epochs)", "quotes: target(1e-3) and patience('.5 epochs')"),
    ("patience('1ep') or patience(500 steps)", "quotes: patience('1ep') or patience('500 steps')"),
    ("patience(2, monitor=my set_loss, mode=min)", """quotes: patience(2, monitor="'my set_loss'", mode=min)"""),
    ("patience(2ep", "cannot be read: write criteria such as"),
    ("patience({[]: 1})", "'{[]: 1}' is no value"),
    ("patience([1])", "patience=[1] is no length of training", "'500 steps'"),
    ("patience(True)", "patience=True is no length"),
    ("patience(many)", "patience='many' is no length", "epochs as '2ep'"),
    ("patience(0)", "patience=0 is out of range", "at least 1"),
    ("patience(-1)", "patience=-1 is out of range"),
    ("patience('0 steps')", "patience='0 steps' is out of range"),
    ("patience(1.5)", "patience=1.5 is ambiguous", "steps as '500 steps', epochs as '2ep', or a fraction"),
    ("patience(1.0)", "patience=1.0 is ambiguous"),
    ("patience('1.5 steps')", "patience='1.5 steps' is no whole number of steps"),
    ("patience('1e999ep')", "patience='1e999' is not finite"),
    (f"patience('{'9' * 400} steps')", "patience is a number of over 300 digits"),
    ("patience(3, baseline=nan)", "baseline='nan' is not finite"),
    ("patience(3, min_delta=-1)", "min_delta=-1 is out of range", "of at least 0"),
    ("patience(3, relative_delta=2)", "relative_delta=2 is out of range", "in [0, 1]"),
    ("patience(3, samples=0)", "samples=0 is out of range"),
    ("patience(3, mode=up)", "mode='up' is no direction", "give 'min'"),
    ("patience(3, monitor=score)", "monitor='score'", "give mode='min' or mode='max'"),
    ("patience(3, monitor=acuracy)", "did you mean 'accuracy'"),
    ("patience(3, monitor='a b')", "monitor='a b' is no expression of metrics"),
    ("patience(3, monitor=3)", "monitor=3 is no metric's name"),
    ("patience(3, smoothing=ema)", "smoothing='ema' is no smoothing", "'ema(0.3)'"),
    ("patience(3, smoothing=0)", "smoothing=0 is no smoothing"),
    ("growing_patience(0.3, 0)", "offset=0 is out of range", "a whole number of at least 1"),
    ("growing_patience(0.3, 1.5)", "offset=1.5 is out of range"),
    ("generalisation_loss(-1)", "alpha=-1 is out of range"),
    ("generalisation_loss(high)", "alpha='high' is not a number", "alpha=0.1"),
    ("progress_quotient(1, 0)", "strip=0 is out of range"),
    ("divergence(factor=0.5)", "factor=0.5 is out of range", "of at least 1"),
    ("time_budget('90 minutes')", "limit='90 minutes' is not a number"),
    ("time_budget(0)", "limit=0 is out of range", "above 0"),
    ("token_budget(1e999)", "limit=inf is not finite"),
    (f"time_budget('{'9' * 308}d')", "is out of range: give an amount above 0"),
    ("generalisation_gap", "generalisation_gap has neither gap nor ratio", "gap=0.5"),
    ("__import__('os')", "no criterion '__import__'"),
    ("().__class__", "'().__class__' is no criterion"),
    ("patience(3).__class__", "is no criterion"),
    ("patience((lambda: 3)())", "is no value"),
    ("patience(f'{3}')", "is no value"),
    ("0x" + "f" * 4000, "'a number of thousands of digits' is no criterion"),
]


@pytest.mark.parametrize(("stop_when", "words"), [(case[0], case[1:]) for case in CONDITIONS])
def test_a_bad_condition_is_told(stop_when: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(StrategyError) as mistake:
        StoppingRule.read("loss", stop_when)
    told(mistake, *words)


MONITORS = [
    (None, "monitor=None is no metric's name", "such as 'loss'"),
    (" ", "monitor=' '"),
    ("loss +", "monitor='loss +' is no expression of metrics", "'f1 - 0.1 * loss'"),
    ("3", "monitor='3' names no metric"),
    ("my set_loss", """if it is one metric's name, put it in quotes of its own: monitor="'my set_loss'\""""),
    ("mean(my loss, loss)", "is no expression of metrics", "names with spaces in quotes"),
    ("loss ** 2", "'loss ** 2' has no place in an expression", "+ - * /"),
    ("f1 - books.loss", "'books.loss' has no place", "in quotes"),
    ("loss if f1 else f1", "has no place"),
    ("abs(loss)", "'abs(loss)' has no place", "mean(...), min(...), max(...)"),
    ("mean()", "'mean()' has no place"),
    ("mean(*loss)", "'*loss' has no place"),
    ("mean(loss, key=f1)", "has no place"),
    ("True * loss", "'True' has no place"),
    ("loss + 1e999", "a number in the expression=inf is not finite"),
    ("loss + 0x" + "f" * 4000, "a number in the expression is a number of over 300 digits"),
    ("loss + ''", "monitor='' is no metric's name"),
    ("__import__('os').system('true')", "has no place"),
    ("accuracy - f1", "monitor='accuracy - f1': no telling", "give mode='min' or mode='max'"),
    ("mean(books_loss, web_loss)", "monitor='books_loss': no telling"),
]


@pytest.mark.parametrize(("monitor", "words"), [(case[0], case[1:]) for case in MONITORS])
def test_a_bad_monitor_is_told(monitor: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(StrategyError) as mistake:
        StoppingRule.read(monitor)
    told(mistake, *words)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"min_delta": -0.1}, "min_delta=-0.1 is out of range"),
        ({"min_delta": math.nan}, "min_delta=nan is not finite"),
        ({"min_delta": None}, "min_delta=None is not a number"),
        ({"relative_delta": 1.5}, "relative_delta=1.5 is out of range: give a number in [0, 1]"),
        ({"z": "two"}, "z='two' is not a number"),
        ({"mode": "auto"}, "mode='auto' is no direction"),
        ({"start_from": -1}, "start_from=-1 is out of range"),
        ({"start_from": 1.5}, "start_from=1.5 is ambiguous"),
        ({"start_from": "later"}, "start_from='later' is no length of training"),
        ({"smoothing": "ema(2)"}, "smoothing: ema=2 is out of range: give a number in (0, 1]"),
        ({"smoothing": "ema(0)"}, "smoothing: ema=0 is out of range"),
        ({"smoothing": "ema"}, "smoothing='ema' is no smoothing"),
        ({"smoothing": "ema(0.3, 1)"}, "smoothing='ema(0.3, 1)' is no smoothing"),
        ({"smoothing": "median(1.5)"}, "smoothing: median=1.5 is out of range: give a whole number of at least 1"),
        ({"smoothing": "medain(3)"}, "did you mean 'median'"),
        ({"smoothing": 3}, "smoothing=3 is no smoothing: write 'ema(0.3)', 'median(3)' or 'mean(3)'"),
        ({"min_dleta": 1}, "min_dleta=1 is no setting of a stopping rule: did you mean 'min_delta'?"),
        ({"patienc": 3}, "patienc=3 is no setting of a stopping rule: did you mean 'patience'?"),
        ({"patience": 3, "stop_when": "target(1)"}, "patience=3 and stop_when='target(1)' are both given"),
    ],
)
def test_a_bad_setting_is_told(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError) as mistake:
        StoppingRule.read("loss", **setting)
    told(mistake, words)


def test_a_start_of_nothing_is_allowed_in_any_form() -> None:
    for start in (0, 0.0, "0", "0 steps", "0ep"):
        assert verdict([1.0, 2.0], "patience(1)", start_from=start).stop_index == 1


def test_the_generalisation_gap_of_a_metric_that_rises_is_refused_before_training() -> None:
    with pytest.raises(StrategyError) as mistake:
        StoppingRule.read("accuracy", "generalisation_gap(0.5)")
    told(mistake, "of eval_accuracy higher is better", "generalisation_gap(0.5, monitor=loss)")
    assert StoppingRule.read("accuracy", "generalisation_gap(0.5, monitor=loss)").names[1] == "eval_loss"


@pytest.mark.parametrize(
    ("stop_when", "settings", "words"),
    [
        ("patience(0.5)", {}, ("a fraction of training", "are not known here", "'500 steps'")),
        ("patience(1)", {"start_from": 0.5}, ("start_from=0.5 is a fraction of training", "'500 steps'")),
        ("progress_quotient", {}, ("progress_quotient needs the training loss", "logging_steps")),
        ("generalisation_gap(1)", {}, ("generalisation_gap needs the training loss", "log at least as often")),
        ("patience(2)", {"z": 2}, ("z=2 needs the standard error of eval_value", "return it as 'value_stderr'")),
        ("patience(2)", {"z": 2, "smoothing": "mean(2)"}, ("return it as 'value_stderr'", "or for a proportion")),
        ("patience(2)", {"z": 2, "samples": 9}, ("samples=9", "eval_value is 2", "return it as 'value_stderr'")),
        ("patience(2)", {"z": 2, "columns": {"stderr": [math.nan] * 2}}, ("eval_value_stderr=nan at step 1",)),
        ("patience(2)", {"z": 2, "columns": {"stderr": [-1.0] * 2}}, ("is no standard error", "of at least 0")),
    ],
)
def test_what_a_history_lacks_is_told(stop_when: str, settings: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(StrategyError) as mistake:
        judged([2.0, 1.0], stop_when, **settings)
    told(mistake, *words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, ("z=2 needs the standard error of eval_value", "return it as 'value_stderr'")),
        ({"samples": 9}, ("samples=9", "eval_value is 2", "return it as 'value_stderr'")),
        ({"columns": {"stderr": [math.nan]}}, ("eval_value_stderr=nan at step 1",)),
    ],
)
@pytest.mark.parametrize("stop_when", ["patience(2)", "target(0.5)"])  # the second only has it for the best
def test_what_the_standard_error_lacks_is_told_at_the_first_evaluation(
    stop_when: str, settings: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(StrategyError) as mistake:
        judged([2.0], stop_when, z=2, **settings)
    told(mistake, *words)


def test_a_value_that_is_not_finite_needs_no_standard_error() -> None:
    assert judged([math.nan, math.inf], "patience(3)", z=2).best_index is None
    assert judged([math.nan, 0.5], "patience(3)", z=2, samples=9).best_index == 1
    assert judged([2.0], "patience(3)").best_index == 0  # nor does any without z


def test_an_expression_has_no_standard_error() -> None:
    rule = StoppingRule.read("f1 + accuracy", z=1)
    with pytest.raises(StrategyError, match="watch a single metric, because an expression has none"):
        rule.judge([{"eval_f1": 0.5, "eval_accuracy": 0.5, "step": 1}])


@pytest.mark.parametrize("value", ["high", None, [1.0]])
def test_a_value_that_is_no_number_is_told(value: Any) -> None:
    with pytest.raises(StrategyError) as mistake:
        verdict([1.0, value])
    told(mistake, f"values[1]={value!r} is not a number")


def test_bare_values_have_no_other_metric() -> None:
    with pytest.raises(StrategyError, match=r"looks at eval_loss, and there are only the bare values"):
        verdict([1.0, 2.0], "patience(1) or target(0.5, monitor=loss)")


@pytest.mark.parametrize("results", [[], [1.0]])
def test_a_standard_error_of_too_few_is_told(results: list[float]) -> None:
    with pytest.raises(StrategyError, match=f"results has {len(results)} value.*takes 2 or more"):
        standard_error(results)


def test_bare_values_have_no_budget() -> None:
    with pytest.raises(
        StrategyError, match=r"stop_when='time_budget\(5\)' has a budget, and there are only the bare"
    ):
        verdict([2.0, 1.0], "time_budget(5)")
