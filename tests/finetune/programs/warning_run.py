"""A text classifier in which code of others warns, logs and prints between two steps; it takes the recipe's flags."""

import logging
import sys
import warnings
from typing import Any

from transformers import Trainer

from hf_strategies.recipes import text_classification

step = Trainer.training_step


def noisy_step(self: Any, *args: Any, **kwargs: Any) -> Any:
    if self.state.global_step == 2:
        warnings.warn("a warning in the middle", stacklevel=1)
        logging.getLogger("some.library").warning("a log in the middle")
        print("a line in the middle")
        sys.stderr.write("half a line, ")
        sys.stderr.write("and its other half\n")
    return step(self, *args, **kwargs)


if __name__ == "__main__":
    warnings.simplefilter("default")
    Trainer.training_step = noisy_step  # type: ignore[method-assign]
    text_classification.main(sys.argv[1:])
