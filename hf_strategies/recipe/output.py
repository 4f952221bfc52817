"""The output folder: results that lie there stay unless asked to go, and a checkpoint there can be resumed."""

from pathlib import Path
from tempfile import TemporaryFile

from transformers.trainer_utils import get_last_checkpoint

from hf_strategies.errors import StrategyError
from hf_strategies.recipe.arguments import RecipeArguments

__all__ = ["prepare_output"]

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
