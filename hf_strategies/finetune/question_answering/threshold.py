"""The threshold of "no answer": the given one, one that is tuned, or the one that the model was saved with."""

from typing import Any, cast

from datasets import DatasetDict
from transformers import PreTrainedModel, Trainer

from hf_strategies.errors import StrategyError
from hf_strategies.finetune.arguments import RecipeArguments
from hf_strategies.finetune.command_line import notify
from hf_strategies.finetune.flags import Flags
from hf_strategies.finetune.question_answering.answers import AnswerFinder
from hf_strategies.finetune.question_answering.data import QuestionData

__all__ = ["check_question_flags", "keep_threshold", "make_finder"]


def check_question_flags(flags: Flags, *, unanswerable: bool) -> None:
    """Raise `StrategyError` for flags that have no effect in extractive question answering, or lack another flag."""
    if smoothing := flags.run.label_smoothing_factor:
        raise StrategyError(f"label_smoothing_factor={smoothing} has no effect on the loss of spans: leave it out")
    if unanswerable and flags.data.null_threshold is None and flags.run.do_train and not flags.run.do_eval:
        raise StrategyError(
            "do_eval=False leaves the threshold of 'no answer' untuned: leave it out, or give null_threshold"
        )


def make_finder(
    flags: Flags, data: QuestionData, encoded: DatasetDict, model: PreTrainedModel, *, unanswerable: bool
) -> AnswerFinder:
    """Return the `AnswerFinder`, with the threshold of "no answer".

    A threshold that the flags give is taken. Without it, each evaluation in training tunes a threshold and writes it
    into the model's configuration. Without training, the threshold of the configuration is taken; only where it has
    none, one is tuned on the validation set.
    """
    config: Any = model.config
    trained = None if flags.run.do_train else getattr(config, "null_threshold", None)
    threshold = trained if flags.data.null_threshold is None else flags.data.null_threshold

    def keep(value: float | None) -> None:
        if value is not None or getattr(config, "null_threshold", None) is not None:
            config.null_threshold = value

    tunes = unanswerable and threshold is None
    if tunes and ("validation" not in data.splits or not flags.run.do_eval):
        notify(
            "The threshold of 'no answer' is 0, for it is tuned by evaluating a validation set: give null_threshold,"
            " or validation_file with do_eval=True."
        )
    finder = AnswerFinder(
        data,
        encoded,
        unanswerable=unanswerable,
        threshold=0.0 if threshold is None else threshold,
        n_best=flags.data.n_best,
        keep=keep if tunes else None,
    )
    keep(finder.threshold)
    return finder


def keep_threshold(trainer: Trainer, finder: AnswerFinder) -> None:
    """Write the threshold of the last evaluation, that of the kept weights, into the config.json of the saved model.

    The model was saved before that evaluation. Nothing is written where nothing was trained.
    """
    args = cast(RecipeArguments, trainer.args)
    if finder.unanswerable and args.do_train and not args.find_lr and trainer.is_world_process_zero():
        cast(PreTrainedModel, trainer.model).config.save_pretrained(str(args.output_dir))
