"""What the tests of the search share: files of a task and a space, and a study with trials in it."""

from pathlib import Path
from typing import Any

SPACE = """\
learning_rate: {float: [1e-5, 1e-2], log: true}
num_train_epochs: {int: [1, 5]}
lr_scheduler_type:
  choice:
    linear:
    exponential_warmup_step_decay:
      gamma: {float: [0.1, 0.9]}
      warmup_steps: {int: [1, 10]}
"""


def write(folder: Path, space: str = SPACE, task: str = "recipe: text_classification\n") -> tuple[str, str]:
    """Write the files of a search; return the names of the task's and of the space's."""
    (folder / "task.yaml").write_text(task, encoding="utf-8")
    (folder / "space.yaml").write_text(space, encoding="utf-8")
    return str(folder / "task.yaml"), str(folder / "space.yaml")


class Scripted:
    """Suggests values by the names of parameters, and notes which it was asked for and with which bounds."""

    def __init__(self, **values: Any) -> None:
        self.values = values
        self.asked: dict[str, Any] = {}

    def _answer(self, name: str, *about: Any) -> Any:
        self.asked[name] = about
        return self.values[name.replace(".", "__")]

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._answer(name, low, high, step, log))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._answer(name, low, high, step, log))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._answer(name, *choices)
