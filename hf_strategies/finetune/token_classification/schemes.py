"""The schemes by which tags mark where an entity begins, goes on and ends: IOB, BIOES, BILOU, BMES."""

import re
from collections.abc import Sequence

__all__ = ["SEQEVAL_MARKS", "has_entities", "hint_at_scheme", "inside_mark", "split_tag"]

SEQEVAL_MARKS = {"L": "E", "U": "S", "M": "I", "W": "S"}
"""seqeval's letter for each mark that it does not know: of the last, the only and an inner word of an entity."""

_ENTITY_TAG = re.compile(r"([BIEMSLUW])(?:-(.+))?", re.DOTALL)
# Tags that are meant for entities, but are written in another way: B_PER, PER-B.
_NEARLY = re.compile(r"[BIEMSLUW][_:|/.].+|.+[-_:|/.][BIEMSLUW]|[biemsluw]-.+", re.DOTALL)
_OUTSIDE = {"O", "o", "0", "OUT", "Out", "OTHER", "Other"}


def split_tag(tag: str) -> tuple[str, str]:
    """Return the mark and the type of a tag of an entity; two empty texts for any other tag.

    >>> split_tag("B-PER"), split_tag("M"), split_tag("NOUN")
    (('B', 'PER'), ('M', ''), ('', ''))
    """
    match = _ENTITY_TAG.fullmatch(tag)
    return (match[1], match[2] or "") if match else ("", "")


def inside_mark(tags: Sequence[str]) -> str:
    """Return the mark of a word inside an entity in the scheme of these tags: M in BMES, else I.

    >>> inside_mark(["B-PER", "M-PER", "O"]), inside_mark(["B-PER", "O"])
    ('M', 'I')
    """
    marks = {split_tag(tag)[0] for tag in tags}
    return "M" if "M" in marks and "I" not in marks else "I"


def has_entities(tags: Sequence[str]) -> bool:
    """Return whether these are the tags of entities: O, and others that begin with B-, I- (or E-, S-, L-, U-, M-).

    Where each word is in an entity, as in the segmentation of Chinese, there is no O; then there have to be marks of
    the first word and of a later one.

    >>> has_entities(["O", "B-PER", "I-PER"]), has_entities(["NOUN", "VERB"]), has_entities(["O"])
    (True, False, False)
    >>> has_entities(["B", "M", "E", "S"])
    True
    """
    marks = {split_tag(tag)[0] for tag in set(tags) - {"O"}}
    if not marks or "" in marks:
        return False
    return "O" in tags or ("B" in marks and not marks.isdisjoint("IMEL"))


def hint_at_scheme(tags: Sequence[str]) -> str | None:
    """Return a message on tags that are probably meant for entities but follow no scheme; None for other tags.

    >>> hint_at_scheme(["NOUN", "VERB"])
    >>> hint_at_scheme(["PER", "O"]).partition(":")[0]
    "The tags seem to be those of entities, but 'PER' follows no known scheme"
    """
    strange = [tag for tag in tags if tag != "O" and not split_tag(tag)[0]]
    is_meant = not _OUTSIDE.isdisjoint(tags) or any(map(_NEARLY.fullmatch, tags))
    is_meant = is_meant or sum(bool(split_tag(tag)[1]) for tag in tags) > len(tags) / 2
    if has_entities(tags) or not strange or not is_meant or all(len(tag) == 1 for tag in tags):
        return None
    return (
        f"The tags seem to be those of entities, but {strange[0]!r} follows no known scheme: single words are"
        " measured, and there is no F1 of entities. To have it, write B-PER for the first word of an entity, I-PER"
        " for the others and O for words outside (or BIOES, BILOU, BMES)."
    )
