"""A text classifier in which code of others prints while it predicts the test set; it takes the recipe's flags."""

import sys
from typing import Any

from transformers import Trainer

from hf_strategies.recipes import text_classification

predict, prediction_step = Trainer.predict, Trainer.prediction_step


def noisy_step(self: Any, *args: Any, **kwargs: Any) -> Any:
    sys.stderr.write("a line among the predictions\n")
    sys.stderr.write("half a line among the predictions")
    Trainer.prediction_step = prediction_step  # type: ignore[method-assign]
    return prediction_step(self, *args, **kwargs)


def noisy_predict(self: Any, *args: Any, **kwargs: Any) -> Any:
    self.progress.on_prediction_step(self.args, self.state, self.control, eval_dataloader=[1] * 9)  # a bar is drawn
    Trainer.prediction_step = noisy_step  # type: ignore[method-assign]
    return predict(self, *args, **kwargs)


if __name__ == "__main__":
    Trainer.predict = noisy_predict  # type: ignore[method-assign]
    text_classification.main(sys.argv[1:])
