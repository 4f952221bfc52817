"""The evaluations of one training, made with the average in the model in place of the raw weights."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from weakref import ref

from transformers import Trainer

__all__ = ["AveragedEvaluations"]

_METHODS = ("evaluate", "predict")


class AveragedEvaluations:
    """Takes the place of `evaluate` and `predict` of one Trainer while it trains.

    The Trainer calls no event before an evaluation. `evaluate` calls itself for each set of a dict of evaluation
    sets, and the average stays in the model until the outermost call ends, also when it raises. A Trainer calls no
    event when a training fails or is interrupted: then the methods stay in place, and do the same for that training's
    model until the next training begins, which has another state.

    Args:
        trainer: the Trainer whose methods are replaced, on this instance only.
        swap_in: puts the average into the model; it returns whether there is one.
        swap_out: puts the raw weights back.
    """

    def __init__(self, trainer: Trainer, swap_in: Callable[[], bool], swap_out: Callable[[], None]) -> None:
        self._trainer, self._state = ref(trainer), trainer.state
        self._swap_in, self._swap_out = swap_in, swap_out
        self._depth = 0  # of calls within calls
        self._is_removed = False
        self._own = {name: vars(trainer).get(name) for name in _METHODS}  # functions that the user has set
        self._ours = {name: self._averaged(getattr(trainer, name)) for name in _METHODS}
        for name, method in self._ours.items():
            setattr(trainer, name, method)

    def remove(self) -> None:
        """Give the Trainer its own methods back."""
        self._is_removed = True  # for a caller that has put another function around ours
        trainer = self._trainer()
        for name in _METHODS if trainer is not None else ():
            if vars(trainer).get(name) is not self._ours[name]:
                continue
            if self._own[name] is None:
                delattr(trainer, name)
            else:
                setattr(trainer, name, self._own[name])

    def _averaged(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def averaged(*args: Any, **kwargs: Any) -> Any:
            with self._average_in_model():
                return method(*args, **kwargs)

        return averaged

    @contextmanager
    def _average_in_model(self) -> Iterator[None]:
        trainer = self._trainer()
        if self._is_removed or trainer is None or trainer.state is not self._state or self._depth:
            yield
            return
        self._depth += 1
        try:
            is_in = self._swap_in()
            try:
                yield
            finally:
                if is_in:
                    self._swap_out()
        finally:
            self._depth -= 1
