"""Which validation rows are set aside: they stop no training and choose no student, so they can calibrate it. Pure.

A row is chosen by the digest of its input, so that the same rows are set aside in every run, round and recomputation.
"""

from __future__ import annotations

from collections.abc import Sequence

ONE_IN = 3  # of the validation rows, one in three is set aside
LEAST = 50  # rows; with fewer, none is set aside


def key(digest: str) -> int:
    """Return the first 60 bits of an input's digest, which name its row in a record."""
    return int(digest[:15], 16)


def third(keys: Sequence[int]) -> list[int]:
    """Return the positions of the rows that would be set aside if they were enough."""
    return [row for row, each in enumerate(keys) if each % ONE_IN == 0]


def aside(keys: Sequence[int]) -> list[int]:
    """Return the positions of the rows that are set aside; none where there would be fewer than `LEAST`."""
    chosen = third(keys)
    return chosen if len(chosen) >= LEAST else []
