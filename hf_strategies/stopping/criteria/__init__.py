"""Stop criteria: pure functions of the evaluations so far, and the table with one row for each.

A function goes where its evidence is: the metric alone in ``patience.py``, the metric against the training loss or
over strips of evaluations in ``overfitting.py``, what training has used up in ``budgets.py``. Its row, with a golden
case that was worked out by hand, goes into ``table.py``; ``hf-strategies criteria`` and the laws in the tests follow
from it. A function with `one_by_one` is a generator, which reads one evaluation after the other; ``reasons.py`` has
the two forms that a function may have. A value that is NaN or infinite is never an improvement.
``takes_improvement`` is for a function that compares with the best value by the user's margin (``min_delta``, ...); a
threshold with another meaning is a parameter of its own.
"""
