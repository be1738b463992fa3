"""Token rows and probabilities in plain numpy: what a student that ships needs to answer, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from distill_tui.text import PAIR, pair_of

Floats = NDArray[np.float32]
OVERLAP = 4  # one part in so many of a window is in the next one too
TOKENS = 16_384  # run through a model at once, padding included: they bound its memory, however long texts are


def speakable(text: str) -> str:
    """Replace half a surrogate pair, which JSON can carry and UTF-8 cannot; the parts of a pair become two lines."""
    return text.encode("utf-8", "replace").decode().replace(PAIR, "\n")


def spoken_pair(text: str) -> tuple[str, str] | None:
    """Return the parts of an input that is a pair, for a tokenizer with a form for pairs; None for any other text."""
    parts = pair_of(text)
    return None if parts is None else (speakable(parts[0]), speakable(parts[1]))


def side_by_side(rows: Sequence[Sequence[int]], padding: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pad token rows on the right: ids and mask, both (rows, longest), int64; the mask is 1 on real tokens."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, padding, np.int64)
    ids[mask] = np.fromiter(chain.from_iterable(rows), np.int64, int(lengths.sum()))
    return ids, mask.astype(np.int64)


def by_length(lengths: Sequence[int], batch_size: int, most_tokens: int = 0) -> list[list[int]]:
    """Group positions into batches of similar length, longest first: little padding, and peak memory comes first.

    A batch has at most `most_tokens` with its padding, where that is given, but always one row.
    """
    order, start, batches = sorted(range(len(lengths)), key=lambda position: -lengths[position]), 0, []
    while start < len(order):
        longest = max(1, lengths[order[start]])
        size = min(batch_size, max(1, most_tokens // longest)) if most_tokens else batch_size
        batches.append(order[start : start + size])
        start += size
    return batches


@dataclass(frozen=True)
class Window:
    """How a row that is longer than a model reads at once is read in parts, each begun and ended as a whole row is."""

    tokens: int  # of one part
    head: int  # special tokens that begin a row, and that end it
    tail: int

    @classmethod
    def of(cls, tokens: int, empty: Sequence[int], letter: Sequence[int]) -> Window:
        """Make windows of so many tokens, by the rows of an empty text and of one letter."""
        pairs = enumerate(zip(empty, letter, strict=False))
        head = next((at for at, (one, other) in pairs if one != other), len(empty))
        return cls(tokens, head, len(empty) - head)

    def parts(self, row: Sequence[int]) -> list[list[int]]:
        """Split a row; a quarter of each part is in the one before too."""
        if len(row) <= self.tokens:
            return [[*row]]
        first, last = list(row[: self.head]), list(row[len(row) - self.tail :])
        body, size = row[self.head : len(row) - self.tail], self.tokens - self.head - self.tail
        starts = [0]
        while starts[-1] + size < len(body):
            starts.append(starts[-1] + size - size // OVERLAP)
        return [[*first, *body[at : at + size], *last] for at in starts]

    def places(self, length: int) -> list[list[int]]:
        """Return where in a row of a length each token of its parts stands."""
        if length <= self.tokens:
            return [[*range(length)]]
        end, size = length - self.tail, self.tokens - self.head - self.tail
        starts = [self.head]
        while starts[-1] + size < end:
            starts.append(starts[-1] + size - size // OVERLAP)
        ends = range(end, length)
        return [[*range(self.head), *range(start, min(start + size, end)), *ends] for start in starts]


def sigmoid(logits: Floats) -> Floats:
    """Compute the probability of each label by itself, (rows, labels)."""
    shares: Floats = (1 / (1 + np.exp(-np.clip(logits, -30, 30)))).astype(np.float32)
    return shares


def near(shares: Floats) -> Floats:
    """Return how much of each distribution over points of a range is within one point of the likeliest, (rows,)."""
    padded, rows = np.pad(shares, ((0, 0), (1, 1))), np.arange(len(shares))
    likeliest = shares.argmax(axis=1) + 1
    sure: Floats = np.minimum(padded[rows[:, None], likeliest[:, None] + (-1, 0, 1)].sum(axis=1), 1.0)
    return sure


def softmax(logits: Floats) -> Floats:
    """Compute probabilities, (rows, labels)."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    summed: Floats = shares / shares.sum(axis=1, keepdims=True)
    return summed
