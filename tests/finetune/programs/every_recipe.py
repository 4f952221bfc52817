"""Train with every recipe for an epoch of its rows; write down, by recipe, the steps, the precision, and whether
torch.compile has compiled anything.

    python -m tests.finetune.programs.every_recipe FOLDER [FLAG ...]

FOLDER has NAME.jsonl for each recipe NAME, and takes report.json.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

from torch._dynamo.utils import counters

from tests.conftest import RECIPES
from tests.finetune.runs import QUIET

FLAGS = [*QUIET, "--save_strategy", "no", "--num_train_epochs", "1", "--per_device_train_batch_size", "2"]


def trained(name: str, folder: Path, flags: list[str]) -> tuple[int, str, bool]:
    counters.clear()
    files = [f"--{split}_file={folder / name}.jsonl" for split in ("train", "validation", "test")]
    own = ["--pack", "false"] if name == "masked_lm" else []
    trainer = import_module(f"hf_strategies.recipes.{name}").main(
        [*FLAGS, *flags, *own, *files, "--output_dir", str(folder / name)]
    )
    return trainer.state.global_step, str(trainer.accelerator.mixed_precision), bool(counters["stats"])


if __name__ == "__main__":
    place = Path(sys.argv[1])
    (place / "report.json").write_text(json.dumps({name: trained(name, place, sys.argv[2:]) for name in RECIPES}))
