"""From a Trainer to results: train, evaluate, predict, report."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from datasets import Dataset, DatasetDict
from transformers import PreTrainedModel, Trainer, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from hf_strategies.errors import StrategyError, visible
from hf_strategies.finetune.arguments import RecipeArguments
from hf_strategies.finetune.checkpoints import numbered_checkpoints, run_of
from hf_strategies.finetune.class_report import ClassReport, write_reports
from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.disk import explained_disk_errors
from hf_strategies.finetune.lora import save_merged
from hf_strategies.finetune.model_card import CardFacts, scores_of
from hf_strategies.finetune.predictions import Results
from hf_strategies.finetune.preemption import EXIT_CODE, Terminated, ending_on_sigterm, undisturbed
from hf_strategies.finetune.preflight import refuse_results
from hf_strategies.finetune.results import read_results
from hf_strategies.finetune.run_folder import RunFolder, on_rank_zero
from hf_strategies.finetune.trainer import RecipeTrainer
from hf_strategies.finetune.written import written
from hf_strategies.report.run.final_weights import final_weights
from hf_strategies.report.run.range_test_figure import draw_range_test
from hf_strategies.report.run.recorded_run import RecordedRun
from hf_strategies.report.run.tables import print_run
from hf_strategies.trainer.callbacks.card import put_on_card
from hf_strategies.trainer.distributed import from_rank_zero
from hf_strategies.trainer.lr.asked_schedule import asked_schedule
from hf_strategies.trainer.lr.finder import find_lr

__all__ = ["ReportOfClasses", "run_trainer"]

ReportOfClasses = Callable[[Any, Any], ClassReport]
"""Makes a report of predictions and references, as the metrics take them."""

T = TypeVar("T")


def run_trainer(
    trainer: RecipeTrainer,
    encoded: DatasetDict,
    *,
    predict: Callable[[], Results],
    data: str,
    task: str,
    pairs: bool = False,
    after_training: Callable[[Trainer], Mapping[str, float]] = lambda _: {},
    after_evaluation: Callable[[], None] = lambda: None,
    report: ReportOfClasses | None = None,
) -> None:
    """Train, save, evaluate, predict and report, as far as the flags ask for it; or find a learning rate.

    ``predict`` is called at the end, on every process, when there is a test set: it writes the predictions and
    returns the results. ``after_training`` is called on every process when training has ended, before the model is
    saved; what it returns is added to the training metrics. ``after_evaluation`` is called on every process when the
    trained model has been evaluated. ``report`` makes what is written to ``report.txt`` and ``report.json`` of the
    validation and of the test set. ``data``, ``task`` (its tag on the Hub) and whether the inputs are ``pairs`` of
    texts are for the model card, which a run has that trains or uploads.

    A run that has ended before is not trained again. A run that had done all of this changes no file.
    """
    args = cast(RecipeArguments, trainer.args)
    if args.find_lr:
        _suggest_learning_rate(trainer)
        return
    if args.do_train:
        _check_checkpoint(trainer, args)
    with _output_folder(trainer) as folder:
        if folder.has_finished(args) and _load_trained(trainer):
            _print_finished(trainer)
            return
        _train(trainer, folder, after_training)
        if args.do_eval and "validation" in encoded:
            scores = _reported(trainer, "validation", report, trainer.evaluate)
            trainer.save_metrics("eval", scores | {"eval_samples": len(encoded["validation"])})
        after_evaluation()
        results: Results = {}
        if args.do_predict and "test" in encoded:
            results = _reported(trainer, "test", report, predict)
        examples = {split: len(rows) for split, rows in encoded.items()}
        _report(trainer, results, _card_facts(trainer, data, task, examples, pairs))
        if args.do_train and args.command and trainer.is_world_process_zero():
            folder.note(finished=args.command.whole)


def _reported(trainer: RecipeTrainer, split: str, report: ReportOfClasses | None, measure: Callable[[], T]) -> T:
    """Return what ``measure()`` returns, and write the report of what it has measured, in the main process.

    There is none for a set whose truth is not known.
    """
    metrics: Any = trainer.compute_metrics
    if report is None:
        return measure()
    metrics.last = None  # of an evaluation before
    result = measure()
    if metrics.last is not None and trainer.is_world_process_zero():
        classes = report(metrics.last.predictions, metrics.last.references)
        write_reports(Path(trainer.args.output_dir or "."), {split: classes})
        trainer.has_report = True
    return result


def _check_checkpoint(trainer: RecipeTrainer, args: RecipeArguments) -> None:
    """Refuse a checkpoint of another model before the folder is taken, so that it stays as it is."""
    try:
        trainer.check_checkpoint(args.resume_from_checkpoint)
    except StrategyError:
        with suppress(OSError):
            Path(args.output_dir or ".").rmdir()  # the Trainer has made it; it stays unless it is empty
        raise


@contextmanager
def _output_folder(trainer: RecipeTrainer) -> Iterator[RunFolder]:
    """Take the output folder for this run, and release it at the end; refuse it to a second run at the same time.

    After an interrupt, and if a disk cannot be written, the message of the error is one line with the command that
    goes on.
    """
    args = cast(RecipeArguments, trainer.args)
    path = Path(args.output_dir or ".")
    with explained_disk_errors(path):
        on_rank_zero(lambda: _begin(args, path, str(cast(PreTrainedModel, trainer.model).config.name_or_path)))
        folder = trainer.run_folder = RunFolder(path)
        try:
            with ending_on_sigterm(wanted=args.enable_jit_checkpoint):
                yield folder
        except Terminated:
            notify(f"Ended by SIGTERM: {_how_to_go_on(folder)}")
            raise
        except KeyboardInterrupt:
            with undisturbed():
                line = f"Interrupted: {_how_to_go_on(folder)}"
            raise KeyboardInterrupt(line) from None
        finally:
            if trainer.is_world_process_zero():
                with undisturbed():
                    folder.end()


def _begin(args: RecipeArguments, path: Path, model: str) -> None:
    """Take the folder for this run; delete what an older run has left if the user wants it overwritten."""
    folder = RunFolder(path)
    checkpoint = Path(args.resume_from_checkpoint) if args.resumes and args.resume_from_checkpoint else None
    begun = folder.flags
    if not args.do_train or (args.resumes and checkpoint is None):
        folder.begin(folder.run, clear=folder.is_being_cleared)
    elif checkpoint is not None and checkpoint.resolve().parent == path.resolve():
        folder.begin(run_of(checkpoint) or folder.run)
        _report_other_flags(args, begun)
    else:
        if not args.overwrite_output_dir and checkpoint is None:
            refuse_results(path, trains=True)
        folder.begin(None, clear=args.overwrite_output_dir, keep_model=Path(model).absolute() == path.absolute())
    if args.do_train and args.command and folder.flags != args.command.flags:
        folder.note(flags=args.command.flags)


def _report_other_flags(args: RecipeArguments, begun: Mapping[str, str]) -> None:
    """Report in one line which flags differ from those that the run has had before."""
    now = args.command.flags if args.command else {}
    names = sorted(name for name in begun.keys() & now.keys() if begun[name] != now[name])
    if not names:
        return
    rate = "; the peak learning rate stays that of the checkpoint" if "learning_rate" in names else ""
    notify(
        f"Resumed with other values of {', '.join(names)} than this run has had: they hold for the steps from here"
        f" on{rate}"
    )


def _train(
    trainer: RecipeTrainer, folder: RunFolder, after_training: Callable[[Trainer], Mapping[str, float]]
) -> None:
    """Train and save, unless the run was killed when it had done that already."""
    args = cast(RecipeArguments, trainer.args)
    if not args.do_train or (folder.has_trained(args) and _load_trained(trainer)):
        return
    with trainer.preemption.listening(trainer.accelerator):
        metrics = trainer.train(resume_from_checkpoint=args.resume_from_checkpoint).metrics
    if trainer.preemption.has_stopped:
        notify(f"Preempted by SIGTERM at step {trainer.state.global_step}: {_how_to_go_on(folder)}")
        raise SystemExit(EXIT_CODE)
    metrics |= after_training(trainer)
    is_main = trainer.is_world_process_zero()
    if is_main:
        folder.forget_end()  # a run that has ended may have got another command, and no further step
    save_merged(trainer)
    metrics |= {"train_samples": len(cast(Dataset, trainer.train_dataset))}
    trainer.save_metrics("train", metrics | {"final_weights": _final_weights(trainer)})
    trainer.save_state()
    if is_main and args.command:
        folder.note(trained={"command": args.command.training, "step": trainer.state.global_step})


def _load_trained(trainer: RecipeTrainer) -> bool:
    """Load the weights and the state that a run has saved at its end into the Trainer; return whether that worked.

    Under FSDP and DeepSpeed no process holds the whole model, and nothing is loaded. Every process has to call this.
    """
    folder = Path(str(trainer.args.output_dir))
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled or not from_rank_zero(_has_model(folder)):
        return False
    model: Any = trainer.model
    if hasattr(model, "merge_and_unload"):  # the adapters of LoRA were merged before the model was saved
        model = model.merge_and_unload()
    saved = type(model).from_pretrained(folder)
    with torch.no_grad():
        model.load_state_dict(saved.state_dict())
    # What was tuned after training, such as a threshold, is in the configuration alone.
    for name, value in vars(saved.config).items():
        vars(model.config).setdefault(name, value)
    trainer.model = model
    trainer.model_wrapped = trainer.accelerator.prepare_model(model, evaluation_mode=True)  # as it is after training
    trainer.state = TrainerState.load_from_json(str(folder / TRAINER_STATE_NAME))
    return True


def _has_model(folder: Path) -> bool:
    weights = (folder / SAFE_WEIGHTS_NAME, folder / SAFE_WEIGHTS_INDEX_NAME)
    return any(file.is_file() for file in weights) and (folder / TRAINER_STATE_NAME).is_file()


def _how_to_go_on(folder: RunFolder) -> str:
    newest = next((path.name for path in numbered_checkpoints(folder.path) if run_of(path) == folder.run), None)
    where = f"goes on from {newest}" if newest else "starts again, because no checkpoint is saved yet"
    return f"the same command with --resume_from_checkpoint last {where}"


def _print_finished(trainer: RecipeTrainer) -> None:
    notify(
        f"The run in {str(trainer.args.output_dir)!r} has ended, at step {trainer.state.global_step}, and is left as"
        " it is: give more steps or epochs to train on, or --overwrite_output_dir alone to train anew"
    )


def _suggest_learning_rate(trainer: Trainer) -> None:
    """Run the range test and print what it suggests; the figure goes into the output folder, if asked for."""
    result = find_lr(trainer)
    if not trainer.is_world_process_zero():
        return
    print(result)
    args = cast(RecipeArguments, trainer.args)
    if args.figure:
        folder = Path(args.output_dir or ".")
        folder.mkdir(parents=True, exist_ok=True)
        draw_range_test(result, folder / "lr_finder.png")


def _report(trainer: RecipeTrainer, test: Results, facts: CardFacts) -> None:
    """Print how the run went and what it has written, draw it if asked to, and write the card of a training."""
    args = cast(RecipeArguments, trainer.args)
    report = RecordedRun.of_state(asdict(trainer.state), asked_schedule(args, trainer.state.max_steps))
    weights = _final_weights(trainer) if args.do_train else None
    if trainer.is_world_process_zero():
        print_run(report, test, weights=weights, has_table=trainer.progress.has_table)
    if args.do_train and not trainer.run_report.has_written:  # trained before, and loaded
        trainer.run_report.write(args, trainer.state, trainer, facts.base)
    if args.do_train or args.push_to_hub:
        trainer.card_facts = facts
        _publish(trainer, test)
    if trainer.is_world_process_zero():
        done = {"trained": args.do_train, "predicted": args.do_predict and "test" in facts.examples}
        done |= {"reported": trainer.has_report, "drawn": args.figure and report.trained}
        for line in written(Path(args.output_dir or "."), **done):
            print(visible(line))


def _final_weights(trainer: Trainer) -> str | None:
    return final_weights(asdict(trainer.state), bool(trainer.args.load_best_model_at_end))


def _card_facts(trainer: RecipeTrainer, data: str, task: str, examples: Mapping[str, int], pairs: bool) -> CardFacts:
    config = cast(PreTrainedModel, trainer.model).config
    folder = Path(trainer.args.output_dir or ".")
    hub = getattr(trainer, "hub_model_id", None) if trainer.args.push_to_hub else None
    return CardFacts(
        task=task,
        data=data,
        base=str(config.name_or_path or ""),
        model=hub or (folder.name if folder.is_absolute() else folder.as_posix()),
        config=config,
        examples=examples,
        scores=scores_of(read_results(folder)),
        pairs=pairs,
    )


def _publish(trainer: RecipeTrainer, test: Results) -> None:
    """Write the Trainer's model card with a section on the strategy, and upload it all if asked to."""
    args, facts = cast(RecipeArguments, trainer.args), cast(CardFacts, trainer.card_facts)
    about: dict[str, Any] = {"dataset": visible(facts.data), "tasks": facts.task, "tags": ["hf-strategies"]}
    for name, values in test.items():
        scores = ", ".join(f"{key} {value:.4f}" for key, value in values.items())
        put_on_card(trainer, f"test set, {name}", f"test set, {name}: {scores}")
    trainer.push_to_hub(**about) if args.push_to_hub else trainer.create_model_card(**about)
