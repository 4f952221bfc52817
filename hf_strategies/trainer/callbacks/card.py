"""The section on the strategy that a Trainer's model cards end with: lines of the callbacks, and a figure."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from transformers import Trainer

from hf_strategies.files import write_text
from hf_strategies.report.markdown import inline, without_html

__all__ = ["put_figure_on_card", "put_on_card"]


def put_on_card(trainer: Trainer, key: str, line: str) -> None:
    """Add a line to the section on the strategy that each model card of the Trainer ends with from now on.

    A second line under the same ``key`` takes the place of the first; the same text under two keys is written once.
    The lines are those of one training: the next one begins with none.
    """
    card = _card_of(trainer)
    section = card.section
    card.section = replace(section, lines={**section.lines, key: line})


def put_figure_on_card(trainer: Trainer, name: str, text: str) -> None:
    """Add a figure below these lines: the ``name`` of a file in the output folder, and a ``text`` in place of it.

    A card that is written where there is no such file has no figure.
    """
    card = _card_of(trainer)
    card.section = replace(card.section, figure=(name, text))


def _card_of(trainer: Trainer) -> "_StrategyCard":
    if not isinstance(trainer.create_model_card, _StrategyCard):
        trainer.create_model_card = _StrategyCard(trainer)  # type: ignore[method-assign]
    return trainer.create_model_card


@dataclass(frozen=True)
class _Section:
    """What the card of one training has: lines by their keys, and a figure's name with the text in place of it."""

    lines: dict[str, str] = field(default_factory=dict)
    figure: tuple[str, str] | None = None

    def text(self, folder: Path) -> str:
        """Return the section as Markdown, for a card in ``folder``; empty if there is nothing in it."""
        bullets = [f"- {inline(line)}" for line in dict.fromkeys(self.lines.values())]
        name, text = self.figure or ("", "")
        picture = ["", f"![{inline(text)}]({quote(name)})"] if name and (folder / name).is_file() else []
        rows = [*bullets, *picture]
        return "\n".join(["", "## Training strategy", "", *rows, ""]) if rows else ""


class _StrategyCard:
    """Takes the place of one Trainer's `create_model_card`: the card ends with a section on the strategy.

    The Trainer writes its card from scratch, and uploads it, in `push_to_hub` and `create_model_card`, and calls no
    event in which a callback could add to it.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer, self._write = trainer, trainer.create_model_card
        self._state: Any = None
        self._section = _Section()

    @property
    def section(self) -> _Section:
        """The section for the training that the Trainer is in, or has just done."""
        # `train` begins with a new state: a section of another one is of an earlier training.
        return self._section if self._state is self._trainer.state else _Section()

    @section.setter
    def section(self, section: _Section) -> None:
        self._section, self._state = section, self._trainer.state

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Write the Trainer's card, and the section below it."""
        self._write(*args, **kwargs)
        folder = Path(str(self._trainer.args.output_dir))
        file, section = folder / "README.md", self.section.text(folder)
        if section and self._trainer.is_world_process_zero() and file.is_file():
            card = without_html(file.read_text(encoding="utf-8").rstrip())
            write_text(file, f"{card}\n{section}")
