"""How many tokens of a text a student reads at once, where its recipe leaves that to the training rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from distill_tui.spec import Spec

SHARE = 0.99  # of the training rows are read whole
STEP, LEAST = 8, 16  # tokens: lengths are rounded up, as hardware and people like them
MOST = 512  # of a student that starts from random weights
MOST_AVERAGED = 4_096  # words of an n-gram student, tokens of a static one: their cost grows with the length alone


def settled(spec: Spec, count: Callable[[], Sequence[int]], most: int) -> Spec:
    """Return the spec with its `max_tokens`: what it asks for, or else what 99% of the training rows need.

    `count` gives the length of each row, special tokens included; no more than `most` are read. The same rows give the
    same number.
    """
    if spec.max_tokens:
        return spec
    lengths = sorted(count())
    longest = lengths[max(0, -int(-len(lengths) * SHARE // 1) - 1)] if lengths else 0
    return replace(spec, max_tokens=max(1, min(most, max(LEAST, -(-longest // STEP) * STEP))))
