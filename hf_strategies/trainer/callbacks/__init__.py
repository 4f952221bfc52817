"""Callbacks for `Trainer(callbacks=...)`: one file a class, and what they share.

A callback that watches a metric is a subclass of `MetricCallback` (``base.py``): its constructor sets ``names``, the
watched metrics by their names in the log, and ``start`` returns a `MetricRun` for a training that begins. The run
reads values by `hf_strategies.stopping.evaluations`, prints by `say` (``trainer/distributed.py``) and writes its
record into `records` (``context.py``). A public callback has its name in ``hf_strategies/__init__.py``, flags in
``trainer/arguments.py``, and a line in ``tests/public_api.txt``, which ``python -m tests.test_public_api`` writes.
"""
