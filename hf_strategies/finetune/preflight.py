"""The output folder: results that lie there stay unless asked to go, and a checkpoint there can be resumed."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile

from transformers import TrainingArguments, set_seed
from transformers.trainer_utils import IntervalStrategy, get_last_checkpoint

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.arguments import RecipeArguments
from hf_strategies.finetune.devices import warn_of_slow_bf16
from hf_strategies.schedules import SCHEDULES
from hf_strategies.trainer.lr.registration import check_scheduler_arguments

__all__ = ["plan_training", "planned_steps", "prepare_output", "prepare_run", "steps_per_epoch"]


_EVALUATED = ("predictions.jsonl", "all_results.json")
_TRAINED = ("model.safetensors", *_EVALUATED, "trainer_state.json")


def prepare_output(args: RecipeArguments) -> None:
    """Find the checkpoint to resume from; StrategyError where results would be lost or nothing can be written."""
    folder = Path(args.output_dir or ".")
    _probe(folder)
    if args.find_lr:  # writes no result, so that it may look at the folder of any run
        return
    last = get_last_checkpoint(str(folder)) if args.do_train and folder.is_dir() else None
    resumes = bool(args.do_train and args.resume_from_checkpoint)
    if resumes:
        _find_checkpoint(args, folder, last)
    elif not args.overwrite_output_dir:
        _refuse_results(folder, last, _TRAINED if args.do_train else _EVALUATED)


def _probe(folder: Path) -> None:
    # Nothing is left behind: the folder itself is made only when there is something to put into it.
    try:
        if folder.is_file():
            raise StrategyError(f"output_dir={str(folder)!r} is a file: give a folder")
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        with TemporaryFile(dir=there):
            pass
    except OSError as mistake:
        raise StrategyError(
            f"output_dir={str(folder)!r} cannot be written ({mistake.strerror}): give a folder that can"
        ) from mistake


def _find_checkpoint(args: RecipeArguments, folder: Path, last: str | None) -> None:
    wanted = str(args.resume_from_checkpoint)
    if wanted in ("last", "true", "True"):
        if last is None:
            raise StrategyError(f"resume_from_checkpoint={wanted!r}: there is no checkpoint in {str(folder)!r}")
        args.resume_from_checkpoint = last
    elif not Path(wanted, "trainer_state.json").is_file():
        raise StrategyError(f"resume_from_checkpoint={wanted!r} is no checkpoint: give its folder, or 'last'")


def _refuse_results(folder: Path, last: str | None, results: tuple[str, ...]) -> None:
    there = [name for name in results if (folder / name).exists()]
    if last is None and not there:
        return
    what, resume = (there[0], "") if last is None else ("a checkpoint", " --resume_from_checkpoint last, or")
    raise StrategyError(
        f"output_dir={str(folder)!r} holds {what} of an earlier run: give another folder, or{resume}"
        " --overwrite_output_dir to write over it"
    )


_EPOCHS = re.compile(r'\d\s*ep(ochs?)?"')


def planned_steps(args: TrainingArguments, examples: int) -> int:
    """Return the optimizer steps that the Trainer will plan for so many training examples."""
    if args.max_steps > 0:
        return args.max_steps
    planned: int = math.ceil(args.num_train_epochs * steps_per_epoch(args, examples))
    return planned


def steps_per_epoch(args: TrainingArguments, examples: int) -> int:
    """Return the optimizer steps in an epoch of so many training examples."""
    per_step = args.train_batch_size * args.world_size
    batches = max(1, examples // per_step) if args.dataloader_drop_last else math.ceil(examples / per_step)
    updates: int = math.ceil(batches / args.gradient_accumulation_steps)
    return updates


def prepare_run(
    args: RecipeArguments, splits: Mapping[str, Sequence[object]], *, pretrained: bool, plan: bool = True
) -> None:
    """Check everything that can be known before a model is loaded, and find the checkpoint to resume from.

    ``pretrained`` tells whether a model was named, on which the usual learning rate depends. Random numbers begin
    with the seed from here on. Where tokenizing makes more or fewer examples of the rows, ``plan=False`` leaves
    the number of steps to `plan_training`, to be called with them.
    """
    args.set_learning_rate(pretrained=pretrained)
    if args.do_train and "train" not in splits:
        raise StrategyError("train_file is missing: give it, or --do_train false to evaluate a trained model")
    _check_baselines(args, splits)
    if args.do_train and plan:
        plan_training(args, len(splits["train"]))
    if not args.do_train:
        args.eval_strategy = IntervalStrategy.NO  # the Trainer wants a validation set for any other
    prepare_output(args)
    set_seed(args.seed)


def _check_baselines(args: RecipeArguments, splits: Mapping[str, Sequence[object]]) -> None:
    if not args.baselines:
        return
    if "train" not in splits:
        raise StrategyError("baselines=True without train_file has nothing to learn from: give it, or no --baselines")
    if "test" not in splits or not args.do_predict:
        raise StrategyError(
            "baselines=True compares on the test set, which this run does not predict: give test_file and"
            " --do_predict true, or no --baselines"
        )


def plan_training(args: RecipeArguments, examples: int) -> None:
    """Check the schedule for the steps that so many training examples give."""
    steps = planned_steps(args, examples)
    if steps < 1:
        raise StrategyError(f"num_train_epochs={args.num_train_epochs} gives no step: give more")
    if args.warmup_is_default and args.get_warmup_steps(steps) >= steps:
        args.warmup_steps = steps - 1  # nobody asked for a warmup that takes all of a very short run
    _tell_epochs(args, steps_per_epoch(args, examples))
    check_scheduler_arguments(
        args.lr_scheduler_type,
        args.lr_scheduler_kwargs,
        total_steps=steps,
        warmup_steps=args.get_warmup_steps(steps),
        learning_rate=args.learning_rate or 0.0,
    )
    if args.get_warmup_steps(steps) >= steps:
        raise StrategyError(
            f"warmup_steps={args.warmup_steps:g} leaves nothing of the {steps} training steps: lower it"
        )
    warn_of_slow_bf16(args)


def _tell_epochs(args: RecipeArguments, steps: int) -> None:
    """Let lengths among the schedule's parameters be given in epochs, which the Trainer does not tell it."""
    given = args.lr_scheduler_kwargs
    if args.lr_scheduler_type in SCHEDULES and isinstance(given, dict) and _EPOCHS.search(json.dumps(given)):
        given.setdefault("steps_per_epoch", steps)
