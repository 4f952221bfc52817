"""Run the recipe and write down what each rank saw: python -m tests.recipe.rank_report FILE FLAGS..."""

import json
import sys
from pathlib import Path

from accelerate import PartialState
from transformers.trainer_utils import IntervalStrategy

from hf_strategies.recipes.text_classification import main
from hf_strategies.report.run import RunReport
from hf_strategies.trainer.leaving import leave


def report(flags: list[str]) -> dict[str, object]:
    trainer = main(flags)
    state = trainer.state
    run = RunReport(state.log_history, None)
    assert trainer.args.eval_strategy == IntervalStrategy.STEPS or not trainer.args.do_train
    return {
        "world_size": PartialState().num_processes,
        "distributed_type": PartialState().distributed_type.value,
        "wrapped_model": type(trainer.model_wrapped).__name__,
        "global_step": state.global_step,
        "learning_rates": run.learning_rates,
        "eval_losses": [row["eval_loss"] for row in run.evaluations],
        "records": {name: value for name, value in state.stateful_callbacks.items() if name.startswith("Early")},
        "weights": sum(float(parameter.double().abs().sum()) for parameter in trainer.model.parameters()),
    }


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.with_suffix(f".{PartialState(cpu=True).process_index}.json").write_text(json.dumps(report(sys.argv[2:])))
    leave()
