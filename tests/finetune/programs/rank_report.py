"""Run a recipe and write down what each rank saw.

python -m tests.finetune.programs.rank_report FOLDER RECIPE [FLAG ...]
"""

import importlib
import sys
from pathlib import Path

from accelerate import PartialState
from transformers.trainer_utils import IntervalStrategy

from hf_strategies.report.run.recorded_run import RecordedRun
from tests.two_processes import write_report

_TIMINGS = ("_runtime", "_per_second", "_time")


def report(recipe: str, flags: list[str]) -> dict[str, object]:
    trainer = importlib.import_module(f"hf_strategies.recipes.{recipe}").main(flags)
    state = trainer.state
    run = RecordedRun(state.log_history, None)
    assert trainer.args.eval_strategy == IntervalStrategy.STEPS or not trainer.args.do_train
    return {
        "world_size": PartialState().num_processes,
        "distributed_type": PartialState().distributed_type.value,
        "wrapped_model": type(trainer.model_wrapped).__name__,
        "global_step": state.global_step,
        "learning_rates": run.learning_rates,
        "eval_losses": [row["eval_loss"] for row in run.evaluations],
        "metrics": last_metrics(state.log_history),
        "records": {name: value for name, value in state.stateful_callbacks.items() if name == "early_stopping"},
        "weights": sum(float(parameter.double().abs().sum()) for parameter in trainer.model.parameters()),
    }


def last_metrics(log_history: list[dict[str, float]]) -> dict[str, float]:
    """The metrics of the last evaluation, without how long it took."""
    last = next((row for row in reversed(log_history) if "eval_loss" in row), {})
    return {name: value for name, value in last.items() if name.startswith("eval_") and not name.endswith(_TIMINGS)}


if __name__ == "__main__":
    PartialState(cpu=True)
    write_report(Path(sys.argv[1]), report(sys.argv[2], sys.argv[3:]))
