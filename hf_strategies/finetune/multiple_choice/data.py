"""Multiple-choice data: contexts with several endings each, of which one is right."""

from dataclasses import dataclass
from typing import Any

from datasets import Dataset, DatasetDict
from transformers import DataCollatorForMultipleChoice, PreTrainedTokenizerBase

from hf_strategies.finetune.data import limit, load_data, with_validation
from hf_strategies.finetune.encoding import encode_splits, tokenizer_state
from hf_strategies.finetune.multiple_choice.columns import ChoiceArguments, normal_form
from hf_strategies.finetune.multiple_choice.offline import OPENINGS

__all__ = ["ChoiceArguments", "ChoiceCollator", "ChoiceData", "encode", "load_choices"]


@dataclass(frozen=True)
class ChoiceData:
    """Splits with the columns ``context``, ``question`` (may be empty), ``endings`` and ``label``, an index.

    ``label`` is absent where it is unknown.
    """

    splits: DatasetDict
    name: str

    @property
    def texts(self) -> list[str]:
        """All texts of the training set, if there is one."""
        rows = self.splits.get("train", Dataset.from_dict({"context": [], "question": [], "endings": []}))
        return [*rows["context"], *rows["question"], *(text for endings in rows["endings"] for text in endings)]


class ChoiceCollator(DataCollatorForMultipleChoice):
    """transformers' collator, which pads to the longest choice of a batch, for examples without labels too."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Pad and stack ``examples``."""
        if "labels" in examples[0]:
            return dict(super().torch_call(examples))
        batch = dict(super().torch_call([{**example, "labels": 0} for example in examples]))
        del batch["labels"]
        return batch


def load_choices(args: ChoiceArguments) -> ChoiceData:
    """Load and check the examples that the arguments name, or the offline ones if they name none.

    The split does not depend on the run's seed, so that runs with different seeds can be compared. Raises
    `StrategyError` as `load_splits` and `normal_form` do.
    """
    raw, name = load_data(args, OPENINGS)
    # Checked before they are split and cut, so that an error names the row of the file.
    checked = DatasetDict({split: normal_form(args, rows, split) for split, rows in raw.items()})
    return ChoiceData(limit(with_validation(checked, args, seed=0), args), name)


def encode(
    args: ChoiceArguments, data: ChoiceData, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> DatasetDict:
    """Tokenize each ending as a pair with its context, without padding: a row has a list of inputs per column.

    Each ending is preceded by the question, or by the beginning that all endings share.
    """

    def encode_batch(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        sizes = [len(endings) for endings in batch["endings"]]
        contexts = [context for context, size in zip(batch["context"], sizes, strict=True) for _ in range(size)]
        endings = [
            f"{question} {ending}".strip()
            for question, row in zip(batch["question"], batch["endings"], strict=True)
            for ending in row
        ]
        flat = tokenizer(contexts, endings, truncation=True, max_length=max_length)
        encoded = {key: _regroup(values, sizes) for key, values in flat.items()}
        return encoded | ({"labels": batch["label"]} if "label" in batch else {})

    key = ("multiple choice", tokenizer_state(tokenizer), max_length)
    return encode_splits(data.splits, encode_batch, key=key, workers=args.preprocessing_num_workers)


def _regroup(values: list[Any], sizes: list[int]) -> list[list[Any]]:
    remaining = iter(values)
    return [[next(remaining) for _ in range(size)] for size in sizes]
