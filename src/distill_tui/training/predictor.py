"""A student as it ships, opened from its folder: texts in, probabilities of labels or answers out.

What is judged and timed goes through here, so that the artifact itself is judged and not a float model next to it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from distill_tui.gates.cut import Cut
from distill_tui.gates.label_sets import LIKELY, written
from distill_tui.training.arrays import TOKENS, Floats, by_length

HASH_COLUMNS = 64  # width of a text's embedding where the student has none
HASH_LETTERS = 3  # letters in each piece that is hashed

Output = TypeVar("Output")
Rows = Sequence[Any]  # texts made ready, as token ids; their lengths order the batches


def hashed(texts: Sequence[str]) -> Floats:
    """Embed texts by hashed pieces of letters with signs, to unit length (Weinberger et al. 2009)."""
    embeddings = np.zeros((len(texts), HASH_COLUMNS), dtype=np.float32)
    for row, text in enumerate(texts):
        for start in range(max(1, len(text) - HASH_LETTERS + 1)):
            key = zlib.crc32(text[start : start + HASH_LETTERS].lower().encode("utf-8", "replace"))
            embeddings[row, key % HASH_COLUMNS] += 1 if key >> 16 & 1 else -1
        embeddings[row] /= max(1e-6, float(np.linalg.norm(embeddings[row])))
    return embeddings


@dataclass(frozen=True)
class WrittenAnswer:
    """An answer of a student that writes."""

    text: str
    confidence: float  # the student's probability of the whole answer: the product over its tokens, or its fields


@dataclass(frozen=True)
class SetShares:
    """The probability of each label, each by itself, and from which one on a label is in the answer."""

    shares: Floats  # (texts, labels)
    thresholds: Floats  # (labels,)

    @classmethod
    def same(cls, shares: Floats, texts: int) -> SetShares:
        """Answer so many texts alike, with the labels that are likelier than not; shares are (labels,)."""
        return cls(np.tile(shares, (texts, 1)), np.full(len(shares), LIKELY, dtype=np.float32))

    @property
    def chosen(self) -> NDArray[np.bool_]:
        return self.shares >= self.thresholds

    @property
    def confidence(self) -> Floats:
        """The probability of the label that each answer is least sure of, in the answer or not, (texts,)."""
        sure: Floats = np.where(self.chosen, self.shares, 1 - self.shares).min(axis=1).astype(np.float32)
        return sure

    def answers(self, labels: Sequence[str]) -> list[str]:
        return [written(label for label, has in zip(labels, row, strict=True) if has) for row in self.chosen]


@dataclass(frozen=True)
class Predictor(Generic[Output]):
    """A student that answers: texts are prepared as rows, and rows are run in batches."""

    prepare: Callable[[Sequence[str]], Rows]
    run: Callable[[Rows], Iterable[Output]]  # of each row the probabilities of the labels, or a `WrittenAnswer`
    cut: Callable[[Sequence[str]], Cut]  # how much of texts it does not read
    embed: Callable[[Sequence[str]], Floats] = hashed  # (texts, width)
    one_by_one: bool = False  # whether an output depends on the batch that a text is in, so that batches are of one

    def ask(self, text: str) -> Output:
        return next(iter(self.run(self.prepare([text]))))

    def ask_all(self, texts: Sequence[str], batch_size: int = 64) -> list[Output]:
        """Answer any number of texts, those of similar length together."""
        return self.run_all(self.prepare(texts), batch_size)

    def run_all(self, rows: Rows, batch_size: int = 64) -> list[Output]:
        found = dict[int, Output]()
        for positions in by_length([len(row) for row in rows], 1 if self.one_by_one else batch_size, 4 * TOKENS):
            found |= zip(positions, self.run([rows[position] for position in positions]), strict=True)
        return [found[position] for position in range(len(rows))]
