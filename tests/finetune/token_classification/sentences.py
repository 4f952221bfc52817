"""Sentences with tagged names, made from a seed."""

import random

PLAIN = ["we", "saw", "the", "old", "house", "near", "it", "and"]
NAMES = {"PER": ["ann", "bob", "carl"], "LOC": ["paris", "rome", "york"]}


def sentences(count: int, seed: int) -> list[dict[str, list[str]]]:
    """Sentences of 3 to 24 words, with names of one or two words."""
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        tokens, tags = [chance.choice(PLAIN)], ["O"]
        for _ in range(chance.randint(1, 8)):
            kind, length = chance.choice(list(NAMES)), chance.randint(1, 2)
            tokens += [*chance.choices(NAMES[kind], k=length), chance.choice(PLAIN)]
            tags += [f"B-{kind}", *[f"I-{kind}"] * (length - 1), "O"]
        rows.append({"tokens": tokens, "tags": tags})
    return rows
