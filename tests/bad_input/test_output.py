"""Output: control characters of files are escapes wherever they are printed, drawn or kept."""

import io
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from hf_strategies import StrategyError
from hf_strategies.cli.main import main
from hf_strategies.errors import HIDDEN, short, visible
from hf_strategies.files import json_line
from hf_strategies.finetune.command_line import notify, run_command
from hf_strategies.report.run.recorded_run import RecordedRun
from hf_strategies.report.run.tables import comparison_table, print_run
from hf_strategies.trainer.callbacks.card import put_on_card
from hf_strategies.trainer.distributed import say

# Clears the screen, sets the title, overwrites the line, turns the text around, and the same as one C1 character.
EVIL = "\x1b[2J\x1b]0;title\x07\rfine\u202egnp\u2066\x9b2J\x7f\x00"
SHOWN = r"\x1b[2J\x1b]0;title\x07\x0dfine\u202egnp\u2066\x9b2J\x7f\x00"


def is_harmless(text: str) -> bool:
    """Whether a text of several lines holds no control character."""
    return not HIDDEN.search(text.replace("\n", ""))


def test_control_characters_become_escapes_and_all_else_stays() -> None:
    assert visible(EVIL) == SHOWN
    assert visible("Größe, 大小, الحجم, 👩‍👩‍👧, a\u200cb") == "Größe, 大小, الحجم, 👩‍👩‍👧, a\u200cb"
    assert visible("two\nlines\t", keep="\n") == "two\nlines\\x09"
    assert visible(visible(EVIL)) == visible(EVIL)


def test_the_middle_of_a_long_text_is_left_out() -> None:
    assert short("x" * 203, 200) == "x" * 203
    assert short(f"begin{'x' * 500}end", 10) == "begin...xxend"


def test_a_message_is_one_line_of_bounded_length_and_can_be_pickled() -> None:
    message = str(StrategyError(f"label {EVIL} of\n  row 3" + "x" * 5000 + ": give another"))
    assert is_harmless(message)
    assert "\n" not in message
    assert len(message) < 1010
    assert message.endswith(": give another")
    again = pickle.loads(pickle.dumps(StrategyError(message)))
    assert (type(again), str(again)) == (StrategyError, message)


def fail() -> None:
    raise StrategyError(f"label {EVIL!s} is unknown")


def test_the_commands_print_escapes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run_command(fail)
    assert main(["replay", str(tmp_path / f"ru{EVIL[:-1]}n")]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 2
    assert is_harmless(printed.err)


@pytest.mark.parametrize(
    "tell", [notify, lambda line: say(SimpleNamespace(is_world_process_zero=True), line)], ids=["notify", "say"]
)
def test_notices_are_escaped(tell: Callable[[str], None], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tell(f"Label {EVIL} is new.")
    assert caplog.messages == [f"Label {SHOWN} is new."]


def state(reason: str) -> dict[str, Any]:
    log = [{f"eval_{EVIL}": 0.5, "eval_[red]f1": 0.25, "step": step, "epoch": 1.0} for step in (1, 2)]
    record = {"stopped": True, "reason": reason, "best_step": 1, "best_value": 0.5, "best_epoch": 1.0}
    record |= {"monitor": f"eval_{EVIL}", "restored_best_weights": True}
    return {"log_history": log, "global_step": 2, "stateful_callbacks": {"early_stopping": record}}


def test_the_tables_of_a_run_show_names_as_they_are_without_markup_or_control_characters() -> None:
    out = io.StringIO()
    console = Console(file=out, width=400)
    report = RecordedRun.of_state(state(f"Stopped: [bold]{EVIL}[/bold] [/]"))
    print_run(report, {f"[link=x]{EVIL}": {"[blue]accuracy": 0.5}}, console)
    text = out.getvalue()
    assert is_harmless(text)
    for shown in ("[red]f1", SHOWN, "[bold]", "[/]", "[link=x]", "[blue]accuracy"):
        assert shown in text


def test_a_table_of_other_names_is_not_changed() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(comparison_table("Test set", {"this model": {"accuracy": 0.5}}))
    assert "this model" in out.getvalue()
    assert "accuracy" in out.getvalue()


def test_a_replay_shows_the_name_of_a_run_with_escapes_in_every_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a$b\x1b[2J$c\u202e\nd"
    folder.mkdir()
    log = [{"eval_loss": 1.0 / step, "step": step, "epoch": 1.0 * step} for step in (1, 2, 3)]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for form in ("text", "csv", "json"):
        assert main(["replay", folder.name, "--format", form, "--output", "replay.svg"]) == 0
        text = capsys.readouterr().out
        assert is_harmless(text)
        assert "a$b\\" in text
    drawn = Path("replay.svg").read_text(encoding="utf-8")
    assert is_harmless(drawn)


def test_predictions_hold_escapes_and_read_back_the_same() -> None:
    row = {"text": f"Größe {EVIL}\u2028", "label": EVIL}
    line = json_line(row)
    assert is_harmless(line)
    assert "Größe" in line
    assert json.loads(line) == row


def test_the_model_card_holds_escapes(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    trainer: Any = SimpleNamespace(
        create_model_card=lambda: card.write_text("# A model\n", encoding="utf-8"),
        args=SimpleNamespace(output_dir=str(tmp_path)),
        state=object(),
        is_world_process_zero=lambda: True,
    )
    put_on_card(trainer, "end of training", f"end of training: {EVIL}")
    trainer.create_model_card()
    shown = SHOWN.replace("[", r"\[").replace("]", r"\]")  # brackets would make a link of it
    assert f"- end of training: {shown}" in card.read_text(encoding="utf-8")
    assert is_harmless(card.read_text(encoding="utf-8"))
