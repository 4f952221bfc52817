"""The page as text: what it holds, how large it is, and that nothing of a run's data can break out of it."""

import html
import json
import math
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hf_strategies.errors import StrategyError
from hf_strategies.report.run.logged_run import LoggedRun
from hf_strategies.report.run.page import page, page_data, write_page
from tests.report.run.runs import STOCK_STOP, cosine, logged, stock

pytest.importorskip("plotly")

EVIL = ["<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "</script><!--<script>", "\x1b[2J", "m" * 300]


def long_run(steps: int) -> dict[str, Any]:
    """The state of a run that logged each of many steps; one loss is far above the others, and one is NaN."""
    log: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        loss = {steps // 3: 1e6, steps // 2: math.nan}.get(step, 1 + math.sin(step))
        place = {"step": step, "epoch": step / 1000}
        log.append(
            {"loss": loss, "grad_norm": abs(math.cos(step)), "learning_rate": 1e-3 * (1 - step / steps), **place}
        )
        if step % 100 == 0:
            log.append({"eval_loss": 1 + 1 / step, "eval_accuracy": 1 - 1 / step, **place})
    return {"log_history": log, "global_step": steps, "max_steps": steps}


class Tags(HTMLParser):
    """The elements of a page with their attributes; what stands in a script is no element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def without_plotly(text: str) -> str:
    """The page without plotly's program, which is most of it."""
    from plotly.offline import get_plotlyjs

    assert text.count(get_plotlyjs()) == 1
    return text.replace(get_plotlyjs(), "")


def data_of(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_table_has_a_line_for_each_run_with_its_values() -> None:
    runs = [logged([0.5, 0.25, 0.75], name="one"), logged([0.5, 0.125], name="other")]
    text = without_plotly(page(runs))
    for name, best, step in (("one", 0.25, 20), ("other", 0.125, 20)):
        assert re.search(rf'{name}</label></th><td>loss</td><td data-number="{best}">{best}</td>', text)
        assert f'<td data-number="{step}">{step}</td>' in text
    assert "planned steps" in text  # differ


def test_curves_hold_the_logged_values_and_the_best() -> None:
    data = page_data([logged([0.5, 0.25, 0.75], cosine(30, 10), eval_accuracy=[0.1, 0.2, 0.3])])
    curves = {(curve["panel"], curve["name"]): curve for curve in data["curves"]}
    assert (curves["loss", "loss"]["x"], curves["loss", "loss"]["y"]) == ([10, 20, 30], [0.5, 0.25, 0.75])
    assert curves["loss", "loss"]["best"] == [20, 0.25]
    assert curves["loss", "training"]["y"] == [2.0, 1.0, 0.666667]
    assert curves["accuracy", ""]["y"] == [0.1, 0.2, 0.3]
    shown = [(panel["name"], panel["shown"]) for panel in data["panels"]]
    assert shown == [("learning rate", True), ("loss", True), ("accuracy", True), ("grad_norm (training)", False)]


def test_what_happened_at_one_step_is_one_event() -> None:
    (run,) = page_data([logged([0.5, 0.25], callbacks=STOCK_STOP, planned=90)])["runs"]
    assert run["events"] == [{"x": 0, "text": "start"}, {"x": 20, "text": "best; stop; end"}]


def test_values_that_are_not_finite_are_marked_at_the_value_before() -> None:
    (curve,) = [
        each for each in page_data([logged([math.inf, 0.5, math.nan])])["curves"] if each["kind"] == "evaluations"
    ]
    assert curve["y"] == [None, 0.5, None]
    assert curve["odd"] == [[10, 0.5, "inf"], [30, 0.5, "nan"]]


def test_200_000_logged_steps_make_a_page_of_8_megabytes_at_most_with_their_extremes(tmp_path: Path) -> None:
    state = long_run(200_000)
    began = time.perf_counter()
    run = LoggedRun.of_state("long", state)
    write_page([run], tmp_path / "page.html")
    assert time.perf_counter() - began < 30  # 2 s where nothing else runs
    assert (tmp_path / "page.html").stat().st_size < 8e6
    data = data_of((tmp_path / "page.html").read_text(encoding="utf-8"))
    (losses,) = [each for each in data["curves"] if each["kind"] == "training" and each["name"] == "training"]
    assert max(y for y in losses["y"] if y is not None) == 1e6
    assert [odd[2] for odd in losses["odd"]] == ["nan"]
    assert data["thinned"] == 6000


def test_names_of_metrics_runs_and_settings_cannot_break_out_of_the_page() -> None:
    plain = without_plotly(page([logged([0.5, 0.4], name="a"), logged([0.5, 0.3], name="b")]))
    runs = []
    for name in EVIL:
        state = stock([0.5, 0.4], metric=f"eval_{name}") | {"trial_params": {name: name}}
        state["log_history"][0] |= {name: 1.0, "loss": 0.5}
        runs.append(LoggedRun.of_state(name, state))
    text = without_plotly(page(runs))
    tags, plain_tags = Tags(text).found, Tags(plain).found
    assert {tag for tag, _ in tags} == {tag for tag, _ in plain_tags}
    assert [tag for tag, _ in tags].count("script") == [tag for tag, _ in plain_tags].count("script") == 3
    assert not [attributes for _, attributes in tags if any(key.startswith("on") for key in attributes)]
    assert "\x1b" not in text
    assert html.escape(EVIL[0]) in text
    assert "<" not in json.dumps(data_of(text)).replace("<script", "").replace("<img", "").replace("</", "").replace(
        "<!--", ""
    )
    body = text.partition('id="data">')[2].partition("</script>")[0]
    assert "<" not in body
    assert not any(len(line) > 700 for line in re.findall(r">([^<]*)</(?:td|th|label|dt)>", text))


def test_the_page_asks_for_nothing_and_forbids_it() -> None:
    text = without_plotly(page([logged([0.5])]))
    assert "default-src 'none'" in text
    assert not re.search(r"(?:src|href)\s*=|https?://|@import|url\(", text)


@pytest.mark.parametrize("name", ["page.txt", "page", "nowhere/page.html"])
def test_a_name_that_is_no_page_s_is_a_mistake(name: str, tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match=r"give a name that ends in \.html|there is no folder"):
        write_page([logged([0.5])], tmp_path / name)


def test_without_plotly_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "plotly.offline", None)
    with pytest.raises(StrategyError, match=r"pip install 'hf-strategies\[html\]', or leave --html out"):
        page([logged([0.5])])
