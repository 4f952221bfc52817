"""Train with every recipe for an epoch of its rows and write down steps and precision, by recipe.

    python -m tests.recipe.every_recipe FOLDER

FOLDER has NAME.jsonl for each recipe NAME, and takes report.json.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

RECIPES = ("text_classification", "token_classification", "question_answering", "multiple_choice", "masked_lm")
FLAGS = ["--use_cpu", "--report_to", "none", "--disable_tqdm", "true", "--save_strategy", "no"]
FLAGS += ["--num_train_epochs", "1", "--per_device_train_batch_size", "2"]


def steps_and_precision(name: str, folder: Path) -> tuple[int, str]:
    files = [f"--{split}_file={folder / name}.jsonl" for split in ("train", "validation", "test")]
    own = ["--pack", "false"] if name == "masked_lm" else []
    trainer = import_module(f"hf_strategies.recipes.{name}").main(
        [*FLAGS, *own, *files, "--output_dir", str(folder / name)]
    )
    return trainer.state.global_step, str(trainer.accelerator.mixed_precision)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    (place / "report.json").write_text(json.dumps({name: steps_and_precision(name, place) for name in RECIPES}))
