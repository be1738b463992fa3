"""Sets of labels as text: how an answer of several labels is written, so that equal sets are equal texts. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache

LIKELY = 0.5  # the probability from which on a label is in an answer, where no threshold was fitted


def written(labels: Iterable[str]) -> str:
    """Write a set as a JSON list, each label once, in the order of the alphabet."""
    return json.dumps(sorted(set(labels)), ensure_ascii=False)


def likely(labels: Iterable[str], shares: Iterable[float]) -> str:
    """Write the set of the labels that are likelier than not, by the probability of each."""
    return written(label for label, share in zip(labels, shares, strict=True) if share >= LIKELY)


@lru_cache(maxsize=100_000)
def read(text: str) -> tuple[str, ...] | None:
    """Return the labels of a set as it is written; None for any other text."""
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tuple(value) if isinstance(value, list) and all(isinstance(each, str) for each in value) else None


def members(text: str) -> tuple[str, ...]:
    """Return the labels of a set; of a text that is none, the text itself, which is not a label."""
    found = read(text)
    return (text,) if found is None else found
