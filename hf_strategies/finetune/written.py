"""What a run has written, for the end of its output: one path a line."""

from pathlib import Path

__all__ = ["written"]

_MODELS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def written(folder: Path, *, trained: bool, predicted: bool, reported: bool, drawn: bool) -> list[str]:
    """Return the lines that name what a run has written into ``folder``; files that are not there are left out.

    ``trained``, ``predicted``, ``reported`` and ``drawn`` tell what the run has done: files of an earlier run are not
    its own.
    """
    model = next((name for name in _MODELS if (folder / name).is_file()), "")
    rows = {
        "model": model if trained else "",
        "metrics": "all_results.json",
        "predictions": "predictions.jsonl" if predicted else "",
        "report": "report.txt" if reported else "",
        "log": "trainer_state.json" if trained else "",
        "strategy": "strategy_report.json" if trained else "",
        "figure": "training.png" if drawn else "",
        "model card": "README.md" if trained else "",
    }
    there = {what: folder / name for what, name in rows.items() if name and (folder / name).is_file()}
    lines = [f"  {what:<12} {file}{_rows(file) if what == 'predictions' else ''}" for what, file in there.items()]
    return ["Written:", *lines] if lines else []


def _rows(file: Path) -> str:
    with file.open("rb") as lines:
        count = sum(1 for _ in lines)
    return f" ({count:,} row{'' if count == 1 else 's'})"
