"""`RunReport`: what it writes, and that nothing of it depends on the other callbacks or costs the weights."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import EarlyStoppingCallback, TrainerCallback

from hf_strategies import EarlyStopping, RunReport, StrategyError
from hf_strategies.report.run.document import report_document
from hf_strategies.report.run.logged_run import LoggedRun
from tests.report.run.states import state
from tests.trainer.bert_runs import arguments, bert_trainer

SCORES = [0.5, 0.4, 0.3, 0.35, 0.36, 0.37]
EACH_STEP: dict[str, Any] = {"eval_strategy": "steps", "eval_steps": 1}
SIX = EACH_STEP | {"max_steps": 6}

Trained = Callable[..., Any]


@pytest.fixture
def trained(tmp_path: Path) -> Trained:
    """Train the small BERT in `out` with the callbacks and options, and return its Trainer."""

    def train(
        *callbacks: TrainerCallback, scores: list[float] = SCORES, metric: str = "", resume: Any = None, **more: Any
    ) -> Any:
        args, left = arguments(tmp_path / "out", **(SIX | more)), list(scores)
        named: dict[str, Any] = {"compute_metrics": lambda _: {metric: left.pop(0)}} if metric else {"scores": scores}
        trainer = bert_trainer(args, callbacks=callbacks, **named)[0]
        trainer.train(resume_from_checkpoint=resume)
        return trainer

    return train


def report_of(trainer: Any) -> dict[str, Any]:
    """What is in `strategy_report.json`, which has to be JSON in the strict sense."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    text = (Path(trainer.args.output_dir) / "strategy_report.json").read_text()
    return dict(json.loads(text, parse_constant=refuse))


def card_of(trainer: Any) -> str:
    trainer.create_model_card(model_name="tiny")
    return (Path(trainer.args.output_dir) / "README.md").read_text()


def test_a_stock_run_is_reported_with_its_metrics_its_end_and_its_cost(trained: Trained) -> None:
    trainer = trained(RunReport(), lr_scheduler_type="linear", warmup_steps=2, seed=11)
    report = report_of(trainer)
    assert report["metrics"]["eval_score"]["last"] == {"step": 6, "epoch": 1.5, "value": 0.37}
    assert report["metrics"]["eval_score"]["evaluations"] == 6
    assert (report["steps"], report["planned_steps"], report["epochs"]) == (6, 6, 1.5)
    assert report["end"] == {
        "kind": "all steps",
        "reason": "Trained to the end of the budget, at step 6.",
        "step": None,
    }
    assert report["weights"] == "the last ones, of step 6"
    assert report["schedule"] == "linear, peak 0.01, warmup_steps=2"
    assert (report["warmup_steps"], report["peak_learning_rate"]) == (2, 0.01)
    assert {"step": 2, "event": "warmup ends"} in report["events"]
    assert report["seconds"] == trainer.state.log_history[-1]["train_runtime"]
    own = {"seed": "11", "weight_decay": "0.1", "precision": "fp32", "processes": "1", "warmup": "2"}
    assert report["settings"].items() >= own.items()
    assert (Path(trainer.args.output_dir) / "strategy_report.png").read_bytes().startswith(b"\x89PNG")


def test_the_metric_is_that_of_the_best_checkpoint_in_its_direction(trained: Trained) -> None:
    best: dict[str, Any] = {"save_strategy": "steps", "save_steps": 1, "load_best_model_at_end": True}
    best |= {"metric_for_best_model": "score", "greater_is_better": True, "save_only_model": True}
    report = report_of(trained(RunReport(None), EarlyStoppingCallback(1), **best))
    assert (report["monitor"], report["mode"]) == ("eval_score", "max")
    assert report["metrics"]["eval_score"]["best"] == {"step": 1, "epoch": 0.25, "value": 0.5}
    assert report["end"]["kind"] == "stopped early"
    assert (report["end"]["step"], report["weights"]) == (2, "those of the best checkpoint, of step 1")


def test_it_has_what_a_callback_after_it_records_at_the_end(trained: Trained) -> None:
    stopping = EarlyStopping("score", mode="min", patience=2)
    trainer = trained(RunReport(None), stopping)
    report = report_of(trainer)
    assert stopping.result is not None
    assert report["end"] == {"kind": "stopped early", "reason": stopping.result.reason, "step": 5}
    assert report["weights"] == "the best ones, of step 3 (eval_score 0.3)"
    assert [each["event"] for each in report["events"]] == ["best", "stop"]
    assert card_of(trainer).count(stopping.result.reason) == 1


def test_values_that_are_not_finite_are_null_and_never_the_best(trained: Trained) -> None:
    stopping = EarlyStopping("score", mode="min", patience=9)
    report = report_of(trained(RunReport(None), stopping, scores=[float("nan")] * 5 + [float("inf")]))
    metric = report["metrics"]["eval_score"]
    assert (metric["best"], metric["last"], metric["evaluations"]) == (None, None, 6)


def test_a_resumed_training_is_reported_as_a_whole(trained: Trained, tmp_path: Path) -> None:
    saving: dict[str, Any] = {"save_strategy": "steps", "save_steps": 3}
    whole = report_of(trained(RunReport(None), **saving))
    (tmp_path / "out" / "strategy_report.json").unlink()
    resumed = report_of(trained(RunReport(None), scores=SCORES[3:], resume=f"{tmp_path}/out/checkpoint-3", **saving))
    timed = {"seconds", "flops"}
    assert {key: value for key, value in whole.items() if key not in timed} == {
        key: value for key, value in resumed.items() if key not in timed
    }


def test_the_model_card_has_the_end_the_weights_the_cost_and_the_figure(trained: Trained) -> None:
    section = card_of(trained(RunReport("curve.svg"))).partition("## Training strategy\n\n")[2]
    lines = section.splitlines()
    assert lines[0] == "- end of training: Trained to the end of the budget, at step 6."
    assert lines[1:3] == [
        "- final weights: the last ones, of step 6",
        "- learning rate: constant, peak 0.01, warmup_steps=0, default parameters",
    ]
    assert re.fullmatch(r"- cost: 6 steps, 1\.50 epochs, [\d.]+ s, [\d.e+]+ FLOPs", lines[3])
    assert lines[4:] == ["", "![Learning rate, losses and metrics by step](curve.svg)"]


def test_a_card_has_no_figure_where_there_is_none(trained: Trained) -> None:
    trainer = trained(RunReport())
    (Path(trainer.args.output_dir) / "strategy_report.png").unlink()
    assert "![" not in card_of(trainer)


def test_names_of_metrics_are_neither_html_nor_links_on_a_card(trained: Trained) -> None:
    name = "<script>alert(1)</script>[x](http://a.b)_loss\x1b[2J"
    trainer = trained(RunReport(), EarlyStopping(repr(f"eval_{name}"), mode="min", patience=9), metric=name)
    card = card_of(trainer)
    assert "alert(1)" in card
    assert "<script" not in card.lower()
    section = card.partition("## Training strategy")[2]
    assert r"\[x\](http://a.b)" in section
    assert "\x1b" not in section
    assert report_of(trainer)["metrics"][f"eval_{name}"]["evaluations"] == 6


def test_what_cannot_be_written_costs_a_line_and_no_training(
    trained: Trained, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "out" / "strategy_report.json").mkdir(parents=True)
    report = RunReport(None)
    assert trained(report).state.global_step == 6
    assert "RunReport could not report this training: " in caplog.text
    assert not report.has_written


def test_a_trial_of_a_search_writes_no_report(trained: Trained, tmp_path: Path) -> None:
    class Trial(TrainerCallback):
        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            state.is_hyper_param_search = True

    trained(RunReport(), Trial())
    assert not list((tmp_path / "out").glob("strategy_report*"))


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ("report", "figure='report' is no name of a figure: end it in .png, .svg or .pdf"),
        ("figures/report.png", "figure='figures/report.png' is a path: give a name alone"),
    ],
)
def test_a_figure_that_could_not_be_drawn_is_refused_at_once(figure: str, message: str) -> None:
    with pytest.raises(StrategyError, match=re.escape(message)):
        RunReport(figure)


def test_without_matplotlib_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_strategies.trainer.callbacks.run_report.find_spec", lambda _: None)
    with pytest.raises(StrategyError, match=r"hf-strategies\[plots\]', or give RunReport\(figure=None\)"):
        RunReport()
    assert RunReport(None).figure is None


def test_a_second_report_is_refused_before_the_first_step(trained: Trained) -> None:
    with pytest.raises(StrategyError, match="two RunReport callbacks"):
        trained(RunReport(None), RunReport(None))


def test_the_keys_are_those_of_the_documentation(checkout: Path) -> None:
    table = (checkout / "docs" / "report.md").read_text(encoding="utf-8").partition("## strategy_report.json")[2]
    rows = re.findall(r"^\| (`.*?) \|", table.partition("## Advice")[0], re.MULTILINE)
    documented = [key for row in rows for key in row.strip("`").split("`, `")]
    assert sorted(documented) == sorted(report_document(LoggedRun.of_state("run", state())))
