"""Find the most similar text by words weighted by their rarity (numpy; pure)."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distill_tui.dataset.row_identity import input_digest
from distill_tui.dataset.words import distinctive

WIDTH = 2048  # buckets for hashed words
SAMPLE = 5_000  # rows to measure the rarity of words on
FRAME = 0.8  # a word in a larger share of the texts belongs to the frame of a prompt
BATCH = 5_000

Matrix = NDArray[np.float32]


def nearest(texts: Sequence[str], others: Sequence[str]) -> tuple[list[int], list[float]]:
    """Return for each text the position of the most similar other text, and the cosine of their weighted words."""
    rarity = _rarity([*heapq.nsmallest(SAMPLE, texts, key=input_digest), *others])
    against = _vectors(others, rarity)
    places: list[int] = []
    cosines: list[float] = []
    for start in range(0, len(texts), BATCH):
        similar = _vectors(texts[start : start + BATCH], rarity) @ against.T
        places += similar.argmax(axis=1).tolist()
        cosines += similar.max(axis=1).tolist()
    return places, cosines


def _rarity(sample: Sequence[str]) -> Matrix:
    """Return each bucket's weight by rarity; 0 for a word of the frame, or of one text alone."""
    counts = np.zeros(WIDTH, dtype=np.float32)
    for text in sample:
        counts[_buckets(text)] += 1
    weights: Matrix = np.log((1 + len(sample)) / (1 + counts)).astype(np.float32)
    weights[(counts > FRAME * len(sample)) | (counts < 2)] = 0
    return weights


def _vectors(texts: Sequence[str], rarity: Matrix) -> Matrix:
    rows = np.zeros((len(texts), WIDTH), dtype=np.float32)
    for at, text in enumerate(texts):
        rows[at, _buckets(text)] = 1
    rows *= rarity
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    result: Matrix = rows / np.maximum(lengths, 1e-6)
    return result


def _buckets(text: str) -> list[int]:
    return list({zlib.crc32(word.encode()) % WIDTH for word in distinctive(text)})
