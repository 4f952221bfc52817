"""A report of each training where it ends: a file for programs, a figure, and a section of the model card."""

from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SchedulerType

from hf_strategies.errors import StrategyError, first_line
from hf_strategies.files import write_json
from hf_strategies.report.figure_file import FORMATS, checked_path
from hf_strategies.report.run.document import REPORT_NAME, report_document
from hf_strategies.report.run.final_weights import final_weights
from hf_strategies.report.run.logged_run import LoggedRun
from hf_strategies.report.run.runs_figure import draw_runs
from hf_strategies.report.run.summary import duration
from hf_strategies.trainer.callbacks.card import put_figure_on_card, put_on_card
from hf_strategies.trainer.callbacks.context import find_trainer
from hf_strategies.trainer.distributed import say
from hf_strategies.trainer.lr.asked_schedule import asked_schedule, schedule_text

__all__ = ["RunReport"]


class RunReport(TrainerCallback):
    """Report each training where it ends: `strategy_report.json`, a figure, and a section of the model card.

    The file is in the output folder. It has what `hf-strategies report` shows: the best and the last value of each
    metric, what happened at which step, why training ended, which weights are the result, what it cost, its settings
    and the advice. Its keys are documented, and ``schema_version`` is 1. A number that is not finite is null there.

    ``figure`` is the name of the figure in the output folder; its ending, .png, .svg or .pdf, selects the format.
    None draws none, and then matplotlib is not needed. The model cards that the Trainer writes afterwards have the
    figure, the end of training, the weights and the cost below "Training strategy".

    It needs no other callback of this package. It comes last at the end of training, wherever it stands among the
    callbacks, because the others record then how training ended. Only the first process writes. What cannot be
    written costs one line and no trained weights. A trial of a hyperparameter search has no folder for its results,
    and gets no report. A training that is resumed is reported as a whole. Raises `StrategyError` for a name that is
    no name of a figure, without matplotlib, and for a second `RunReport`.

    >>> RunReport(figure=None).figure is None
    True
    >>> RunReport("report.gif")
    Traceback (most recent call last):
    ...
    hf_strategies.errors.StrategyError: figure='report.gif' is no name of a figure: end it in .png, .svg or .pdf
    """

    def __init__(self, figure: str | None = "strategy_report.png") -> None:
        if figure is not None:
            _check_name(figure)
        self.figure = figure
        self.has_written = False
        """Whether the training that this callback has seen last is reported."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the last place among the callbacks of the Trainer."""
        self.has_written = False
        trainer = find_trainer(self)
        if trainer is None:
            return
        others = [each for each in trainer.callback_handler.callbacks if each is not self]
        if any(isinstance(each, RunReport) for each in others):
            raise StrategyError("there are two RunReport callbacks, which would write one file: leave one out")
        # A new list: the Trainer is going through the old one now.
        trainer.callback_handler.callbacks = [*others, self]

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the report."""
        if state.is_hyper_param_search:
            return
        model: Any = kwargs.get("model")
        self.write(args, state, find_trainer(self), str(getattr(getattr(model, "config", None), "name_or_path", "")))

    def write(self, args: TrainingArguments, state: TrainerState, trainer: Trainer | None, model: str = "") -> None:
        """Write the report of a training from its state, and put it on the cards that ``trainer`` will write.

        ``model`` is the name of the model that was fine-tuned, for the settings.
        """
        try:
            run = _run_of(args, state, model)
            weights = final_weights(run.state, bool(args.load_best_model_at_end))
            if state.is_world_process_zero:
                self._write_files(Path(str(args.output_dir)), args, run, weights)
            if trainer is not None:
                _put_on_card(trainer, run, weights, self.figure)
        except Exception as mistake:  # whatever a log holds, the trained weights are worth more than their report
            say(state, f"RunReport could not report this training: {first_line(mistake)}")
            return
        self.has_written = True

    def _write_files(self, folder: Path, args: TrainingArguments, run: LoggedRun, weights: str | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        figure = self.figure if run.steps else None
        if figure is not None:
            watched = dict.fromkeys(["eval_loss", *([run.monitor] if run.monitor else [])])
            shown = [name for name in watched if name in run.metrics]
            draw_runs([run], checked_path(folder / figure), title=schedule_text(args), metrics=shown)
        document = report_document(run, schedule=schedule_text(args), weights=weights, figure=figure)
        write_json(folder / REPORT_NAME, document)


def _check_name(figure: str) -> None:
    """Refuse a figure that could not be drawn at the end, before training begins."""
    path = Path(figure)
    if path.suffix.removeprefix(".").lower() not in FORMATS:
        *most, last = (f".{each}" for each in FORMATS)
        raise StrategyError(f"figure={figure!r} is no name of a figure: end it in {', '.join(most)} or {last}")
    if path.name != figure:
        raise StrategyError(f"figure={figure!r} is a path: give a name alone, it is drawn into the output folder")
    if find_spec("matplotlib") is None:
        raise StrategyError(
            f"figure={figure!r} needs matplotlib, which is not installed: pip install 'hf-strategies[plots]', or give"
            " RunReport(figure=None)"
        )


def _run_of(args: TrainingArguments, state: TrainerState, model: str) -> LoggedRun:
    """Return the run, compared by what a callback watched, or by the metric of the best checkpoint."""
    content, settings = asdict(state), _settings(args, state, model)
    asked = asked_schedule(args, state.max_steps)
    run = LoggedRun.of_state("this run", content, asked=asked, settings=settings)
    name = f"eval_{(args.metric_for_best_model or '').removeprefix('eval_')}"
    if run.recorded.record is not None or name not in run.metrics:
        return run
    mode = "max" if args.greater_is_better else "min"
    return LoggedRun.of_state("this run", content, monitor=name, mode=mode, asked=asked, settings=settings)


def _settings(args: TrainingArguments, state: TrainerState, model: str) -> dict[str, str]:
    """Return the settings that the state does not have, by the names of `TrainingArguments` or of the report."""
    precision = "bf16" if args.bf16 else "fp16" if args.fp16 else "fp32"
    found: dict[str, Any] = {
        "model": Path(model).name if model else None,  # of a folder, the path is nobody's business
        "schedule": SchedulerType(args.lr_scheduler_type).value,
        "warmup": args.get_warmup_steps(state.max_steps),
        "optim": getattr(args.optim, "value", args.optim),
        "precision": precision,
        "processes": args.world_size,
    }
    names = ("weight_decay", "gradient_accumulation_steps", "max_grad_norm", "label_smoothing_factor", "seed")
    found |= {name: getattr(args, name) for name in (*names, "data_seed", "lr_scheduler_kwargs")}
    return {name: str(value) for name, value in found.items() if value not in (None, "", {})}


def _put_on_card(trainer: Trainer, run: LoggedRun, weights: str | None, figure: str | None) -> None:
    """Put the report on the card; a line of a callback that has ended training gives way to the one here."""
    put_on_card(trainer, run.recorded.record_key or "end of training", f"end of training: {_ending(run)}")
    if weights:
        put_on_card(trainer, "final weights", f"final weights: {weights}")
    if not run.steps:
        return
    put_on_card(trainer, "learning rate", f"learning rate: {schedule_text(trainer.args)}, {_parameters(trainer)}")
    parts = [f"{run.steps} steps"]
    parts += [f"{run.epochs:.2f} epochs"] if run.epochs is not None else []
    parts += [duration(run.seconds)] if run.seconds is not None else []
    parts += [f"{run.flops:.3g} FLOPs"] if run.flops is not None else []
    put_on_card(trainer, "cost", f"cost: {', '.join(parts)}")
    if figure is not None:
        put_figure_on_card(trainer, figure, "Learning rate, losses and metrics by step")


def _ending(run: LoggedRun) -> str:
    """Return why training ended, with what a callback says that let it go to its last step."""
    record = run.recorded.record
    return run.recorded.ending if record and (record["stopped"] or run.past.complete) else run.end.sentence


def _parameters(trainer: Trainer) -> str:
    return str(trainer.args.lr_scheduler_kwargs or "default parameters")
