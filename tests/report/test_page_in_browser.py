"""The page in a real browser: nothing is complained of or asked for, series toggle, values show, the table sorts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hf_strategies.report.run.logged_run import LoggedRun
from hf_strategies.report.run.page import write_page
from tests.report.browser import Browser, missing_programs, opened
from tests.report.run.runs import cosine, logged, stock

pytest.importorskip("plotly")
pytestmark = [
    pytest.mark.skipif(bool(missing_programs()), reason=f"not on the path: {', '.join(missing_programs())}"),
    pytest.mark.xdist_group("browser"),
]

VALUES = [[0.9, 0.5, 0.6], [0.8, 0.125, 0.7], [0.7, 0.25, 0.9]]
NAMES = ["run b", "run c", "run a"]
EVIL = ["<script>window.alerted = 1</script>", '"><img src=x onerror="window.alerted = 2">', "<b>bold</b>", "&lt;"]

# What is drawn: the names of the traces, and those of the panels.
DRAWN = "return document.getElementById('plot').data.map((each) => each.name)"
TITLES = "return document.getElementById('plot').layout.annotations.map((each) => each.text)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with opened(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def three(browser: Browser, tmp_path: Path) -> Browser:
    """The page of three runs, in light."""
    runs = [
        logged(values, cosine(30, 10), name=name, eval_accuracy=[1 - each for each in values])
        for name, values in zip(NAMES, VALUES, strict=True)
    ]
    return shown(browser, runs, tmp_path)


def shown(browser: Browser, runs: list[LoggedRun], folder: Path) -> Browser:
    """Open the page of runs, with nothing left of what came before."""
    write_page(runs, folder / "page.html")
    browser.prefer("light")
    browser.complaints()
    browser.requests()
    browser.open(folder / "page.html")
    return browser


def test_nothing_is_complained_of_and_nothing_is_asked_for(three: Browser, tmp_path: Path) -> None:
    assert three.complaints() == []
    assert set(three.requests()) == {(tmp_path / "page.html").as_uri()}


def test_a_series_toggles(three: Browser) -> None:
    assert three.run(TITLES) == ["events", "learning rate", "loss (thin: training)", "accuracy"]
    boxes = "document.querySelectorAll('#series input')"
    three.run(f"{boxes}[1].click()")
    assert three.run(TITLES) == ["events", "learning rate", "accuracy"]
    three.run(f"{boxes}[3].click()")  # the norm of the gradient, which is not shown at first
    assert three.run(TITLES) == ["events", "learning rate", "accuracy", "grad_norm (training)"]
    assert three.complaints() == []


def test_a_run_toggles(three: Browser) -> None:
    assert "run c: accuracy" in three.run(DRAWN)
    three.run("document.querySelectorAll('#runs input')[1].click()")
    assert not [name for name in three.run(DRAWN) if "run c" in name]
    assert "run a: accuracy" in three.run(DRAWN)


def test_all_runs_and_series_can_be_off(three: Browser) -> None:
    three.run("document.querySelectorAll('input').forEach((each) => { if (each.checked) { each.click(); } })")
    assert three.run(DRAWN) == []
    assert three.complaints() == []


def test_the_values_under_the_pointer_are_shown(three: Browser) -> None:
    """In the middle of the panel of the losses, where step 20 is."""
    place = three.run("""
        const plot = document.getElementById("plot"), full = plot._fullLayout, box = plot.getBoundingClientRect();
        plot.scrollIntoView();
        const top = plot.getBoundingClientRect().top, axis = full.yaxis3;
        return [box.left + full.xaxis._offset + full.xaxis.d2p(20), top + axis._offset + axis._length / 2];
    """)
    three.point(*place)
    text = three.wait("return document.querySelector('.hoverlayer').textContent")
    assert "run c: loss" in text
    assert "0.125" in text
    assert "0.5" in text


@pytest.mark.parametrize(
    ("column", "order"),
    [(0, ["run a", "run b", "run c"]), (2, ["run c", "run a", "run b"])],
    ids=["names", "best values"],
)
def test_the_table_sorts_up_and_down(three: Browser, column: int, order: list[str]) -> None:
    """The best values are 0.125, 0.25 and 0.5."""
    names = "return Array.from(document.querySelectorAll('#runs tbody label')).map((each) => each.textContent.trim())"
    assert three.run(names) == NAMES
    for expected, direction in ((order, "ascending"), (order[::-1], "descending")):
        three.run(f"document.querySelectorAll('#runs thead button')[{column}].click()")
        assert three.run(names) == expected
        head = f"return document.querySelectorAll('#runs thead th')[{column}].getAttribute('aria-sort')"
        assert three.run(head) == direction


def test_what_is_not_known_stays_below_when_the_table_sorts(browser: Browser, tmp_path: Path) -> None:
    states = [stock([0.5]), stock([], [1e-3]), stock([0.25])]
    runs = [LoggedRun.of_state(name, state) for name, state in zip("abc", states, strict=True)]
    shown(browser, runs, tmp_path)
    for expected in (["0.25", "0.5", "-"], ["0.5", "0.25", "-"]):
        browser.run("document.querySelectorAll('#runs thead button')[2].click()")
        cells = (
            "return Array.from(document.querySelectorAll('#runs tbody tr')).map((each) => each.cells[2].textContent)"
        )
        assert browser.run(cells) == expected


def test_light_and_dark_follow_the_system_and_the_button(three: Browser) -> None:
    back = "return document.getElementById('plot').layout.paper_bgcolor"
    pictures = [three.picture()]
    assert three.run(back) == "#ffffff"
    three.prefer("dark")
    three.wait("return document.documentElement.dataset.theme === 'dark'")
    assert three.run(back) == "#16181b"
    pictures.append(three.picture())
    assert pictures[0] != pictures[1]
    three.run("document.getElementById('theme').click()")
    assert three.run(back) == "#ffffff"
    three.prefer("light")


def test_labels_of_events_that_are_near_each_other_do_not_cover_each_other(browser: Browser, tmp_path: Path) -> None:
    """Four events in a tenth of the steps: those that have no room are shown under the pointer only."""
    values = [0.9] * 90 + [0.5] + [0.6] * 9
    averaging = {"weight_averaging": {"start": 880, "updates": 9, "average": "ema"}}
    stalls = {"reduce_on_plateau": {"stalls": [890, 900], "factor": 0.5}}
    shown(browser, [logged(values, callbacks=averaging | stalls)], tmp_path)
    boxes = browser.run("""
        return Array.from(document.querySelectorAll('.xy .textpoint text')).map((each) => {
            const box = each.getBoundingClientRect();
            return [box.left, box.right, box.top, box.bottom];
        }).filter((each) => each[1] > each[0]);
    """)
    assert len(boxes) >= 3
    for index, (left, right, top, bottom) in enumerate(boxes):
        for other in boxes[:index]:
            assert right <= other[0] or other[1] <= left or bottom <= other[2] or other[3] <= top


def test_it_prints_light(three: Browser) -> None:
    three.prefer("dark")
    assert three.pdf().startswith(b"%PDF")
    three.prefer("light")
    assert three.complaints() == []


def test_names_are_text_and_nothing_else(browser: Browser, tmp_path: Path) -> None:
    runs = [LoggedRun.of_state(name, stock([0.5, 0.4], metric=f"eval_{name}")) for name in EVIL]
    shown(browser, runs, tmp_path)
    assert browser.run("return window.alerted === undefined")
    assert browser.run("return document.querySelectorAll('img, b, #plot a').length") == 0
    titles = "return Array.from(document.querySelectorAll('.annotation-text')).map((each) => each.textContent)"
    assert set(EVIL) <= set(browser.run(titles))
    assert browser.complaints() == []
    assert set(browser.requests()) == {(tmp_path / "page.html").as_uri()}


def test_a_page_of_200_000_steps_opens(browser: Browser, tmp_path: Path) -> None:
    log = [
        {"loss": 1 / step, "learning_rate": 1e-3, "step": step, "epoch": step / 1000} for step in range(1, 200_001)
    ]
    run = LoggedRun.of_state("long", {"log_history": log, "global_step": 200_000, "max_steps": 200_000})
    shown(browser, [run], tmp_path)
    assert "drawn with fewer" in browser.run("return document.getElementById('thinned').textContent")
    assert browser.complaints() == []
