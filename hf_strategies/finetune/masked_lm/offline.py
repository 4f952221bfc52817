"""The masked-language-modelling data that needs no network: sentences of documentation."""

from dataclasses import replace

from hf_strategies.finetune.offline.sentences import SENTENCES

__all__ = ["DOCUMENTATION_LINES"]

DOCUMENTATION_LINES = replace(SENTENCES, max_rows=10_000)
"""The sentences of documentation without their labels; training on so many for three epochs takes two minutes."""
