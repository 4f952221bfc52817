"""What is checked before a model is loaded: the splits, the output folder, the schedule."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import cast

from torch import nn
from transformers import PreTrainedModel, Trainer, TrainingArguments, set_seed
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import IntervalStrategy
from transformers.training_args import OptimizerNames

from hf_strategies.errors import StrategyError, first_line, short
from hf_strategies.finetune.arguments import RecipeArguments
from hf_strategies.finetune.checkpoints import Choice, damage, newest_whole, numbered_checkpoints
from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.devices import warn_of_slow_bf16
from hf_strategies.finetune.run_folder import RunFolder, on_rank_zero
from hf_strategies.schedules import SCHEDULES
from hf_strategies.trainer.lr.registration import check_scheduler_arguments

__all__ = ["check_schedule", "prepare_run", "refuse_results"]

Splits = Mapping[str, Sequence[object]]

_EVALUATION_RESULTS = ("predictions.jsonl", "all_results.json")
_TRAINING_RESULTS = ("model.safetensors", *_EVALUATION_RESULTS, "trainer_state.json")
_ENDINGS = (".json", ".jsonl", ".safetensors", ".md", ".bin", ".png", ".lock")  # of the files that a recipe writes
_OF_MODULES = ("galore", "apollo", "lomo", "adalomo")  # optimizers of chosen modules of a model
_EPOCHS = re.compile(r'\d\s*ep(ochs?)?"')


def prepare_run(args: RecipeArguments, splits: Splits, *, pretrained: bool) -> None:
    """Check splits and output folder, fill in what depends on them, and seed the random numbers.

    The default learning rate depends on ``pretrained``, which says that a model was named; a
    ``resume_from_checkpoint`` of ``last`` becomes the folder of the checkpoint. Raises `StrategyError` where a split
    is missing, and where results in the output folder would be lost.
    """
    args.set_learning_rate(pretrained=pretrained)
    if args.do_train:
        _check_optimizer(args)
    if args.do_train and "train" not in splits:
        raise StrategyError("train_file is missing: give it, or --do_train false to evaluate a trained model")
    _check_baselines(args, splits)
    if not args.do_train:
        args.eval_strategy = IntervalStrategy.NO  # the Trainer wants a validation set for any other
    _prepare_output(args)
    set_seed(args.seed)


def _check_optimizer(args: RecipeArguments) -> None:
    """Make the optimizer for one weight, so that a missing package or a bad argument shows at once."""
    name = OptimizerNames(args.optim).value
    model = nn.Linear(1, 1, device=args.device)
    try:
        kind, options = Trainer.get_optimizer_cls_and_kwargs(args, cast(PreTrainedModel, model))
        if isinstance(kind, type) and "params" not in options and "model" not in options:
            kind(model.parameters(), **options)
    except (ImportError, ValueError, TypeError, AttributeError, RuntimeError, LookupError) as mistake:
        if name.startswith(_OF_MODULES) and not isinstance(mistake, ImportError):
            return  # they look for modules of the real model
        given = "" if args.optim_args is None else f" with optim_args={short(args.optim_args)!r}"
        reason = first_line(mistake).rstrip(":")
        raise StrategyError(
            f"optim={name!r}{given} cannot be made: {reason}: give another one, such as adamw_torch"
        ) from mistake


def check_schedule(args: RecipeArguments, splits: Splits) -> None:
    """Check the schedule for the steps that the examples in ``splits["train"]`` give, if this run trains.

    Call it as soon as their number is known: before tokenizing where each row is one example, else after it. Lengths
    in epochs among the parameters of the schedule can be read from here on.
    """
    if not args.do_train:
        return
    per_epoch = _steps_per_epoch(args, len(splits["train"]))
    steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * per_epoch)
    if steps < 1:
        raise StrategyError(f"num_train_epochs={args.num_train_epochs} gives no step: give more")
    if args.warmup_is_default and args.get_warmup_steps(steps) >= steps:
        args.warmup_steps = steps - 1  # nobody asked for a warmup that takes all of a very short run
    _add_steps_per_epoch(args, per_epoch)
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


def _check_baselines(args: RecipeArguments, splits: Splits) -> None:
    if not args.baselines:
        return
    if "train" not in splits:
        raise StrategyError("baselines=True without train_file has nothing to learn from: give it, or no --baselines")
    if "test" not in splits or not args.do_predict:
        raise StrategyError(
            "baselines=True compares on the test set, which this run does not predict: give test_file and"
            " --do_predict true, or no --baselines"
        )


def _prepare_output(args: RecipeArguments) -> None:
    """Select the checkpoint to resume from; refuse a folder that holds results or that cannot be written."""
    folder = Path(args.output_dir or ".")
    _check_writable(folder)
    if args.find_lr:  # writes no result, so that it may read the folder of any run
        return
    if args.do_train and args.resume_from_checkpoint:
        args.resumes = "last" if args.resume_from_checkpoint in ("last", "true", "True") else "named"
    checkpoint = on_rank_zero(lambda: _check_folder(args, folder))
    if args.resumes:
        args.resume_from_checkpoint = checkpoint


def _check_folder(args: RecipeArguments, folder: Path) -> str | None:
    """Return the checkpoint to resume from, None to start from the beginning; refuse a folder in use."""
    run_folder = RunFolder(folder)
    run_folder.refuse_other_process()
    if args.resumes:
        return _select_checkpoint(args, run_folder)
    if not args.overwrite_output_dir:
        refuse_results(folder, trains=args.do_train)
    return None


def _check_writable(folder: Path) -> None:
    # Nothing is left behind: the folder itself is made only when there is something to put into it.
    try:
        if folder.is_file():
            raise StrategyError(f"output_dir={str(folder)!r} is a file: give a folder")
        if taken := _folder_with_name_of_file(folder):
            raise StrategyError(
                f"output_dir={str(folder)!r} holds a folder named {taken.name!r}, where a file is to be written: move"
                " it away, or give another output_dir"
            )
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        with TemporaryFile(dir=existing):
            pass
    except OSError as mistake:
        raise StrategyError(
            f"output_dir={str(folder)!r} cannot be written ({mistake.strerror}): give a folder that can"
        ) from mistake


def _folder_with_name_of_file(folder: Path) -> Path | None:
    if not folder.is_dir():
        return None
    return next((path for path in sorted(folder.iterdir()) if path.suffix in _ENDINGS and path.is_dir()), None)


def _select_checkpoint(args: RecipeArguments, folder: RunFolder) -> str | None:
    if args.resumes == "last":
        return _last_checkpoint(args, folder)
    wanted = str(args.resume_from_checkpoint)
    if not Path(wanted, TRAINER_STATE_NAME).is_file():
        raise StrategyError(f"resume_from_checkpoint={wanted!r} is no checkpoint: give its folder, or 'last'")
    if (reason := damage(Path(wanted))) is not None:
        raise StrategyError(f"resume_from_checkpoint={wanted!r} is damaged: {reason}: give another one, or 'last'")
    return wanted


def _last_checkpoint(args: RecipeArguments, folder: RunFolder) -> str | None:
    """Return the newest whole checkpoint of the folder's run, and print which newer ones are passed over and why."""
    if folder.is_being_cleared:
        choice = Choice(None, {})  # what an older run has left is still being deleted
    else:
        choice = newest_whole(folder.path, folder.run, processes=args.world_size)
    for checkpoint, reason in choice.skipped.items():
        notify(f"{str(checkpoint)!r} is passed over: {reason}")
    if choice.folder is not None or folder.has_trained(args):
        return None if choice.folder is None else str(choice.folder)
    if folder.run is None and not args.overwrite_output_dir:
        refuse_results(folder.path, trains=True, checkpoints=False)
    notify(
        f"resume_from_checkpoint={str(args.resume_from_checkpoint)!r}: there is no whole checkpoint in"
        f" {str(folder.path)!r}, so that training starts from the beginning"
    )
    return None


def refuse_results(folder: Path, *, trains: bool, checkpoints: bool = True) -> None:
    """Raise `StrategyError` if a run has left results in the folder, or checkpoints."""
    has_checkpoint = checkpoints and trains and bool(numbered_checkpoints(folder))
    names = _TRAINING_RESULTS if trains else _EVALUATION_RESULTS
    existing = [name for name in names if (folder / name).exists()]
    if not has_checkpoint and not existing:
        return
    what, resume = ("a checkpoint", " --resume_from_checkpoint last, or") if has_checkpoint else (existing[0], "")
    raise StrategyError(
        f"output_dir={str(folder)!r} holds {what} of an earlier run: give another folder, or{resume}"
        " --overwrite_output_dir to write over it"
    )


def _steps_per_epoch(args: TrainingArguments, examples: int) -> int:
    """Return the optimizer steps that the Trainer makes in an epoch of so many training examples."""
    per_step = args.train_batch_size * args.world_size
    batches = max(1, examples // per_step) if args.dataloader_drop_last else math.ceil(examples / per_step)
    steps: int = math.ceil(batches / args.gradient_accumulation_steps)
    return steps


def _add_steps_per_epoch(args: RecipeArguments, steps: int) -> None:
    """Add what turns a length in epochs into steps, which the Trainer does not pass, where a parameter has one."""
    given = args.lr_scheduler_kwargs
    if args.lr_scheduler_type in SCHEDULES and isinstance(given, dict) and _EPOCHS.search(json.dumps(given)):
        given.setdefault("steps_per_epoch", steps)
