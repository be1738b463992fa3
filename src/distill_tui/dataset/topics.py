"""Clusters of texts by their words, each named by the words that set it apart (numpy; pure).

Spherical k-means (Dhillon and Modha 2001) on hashed word counts, weighted by rarity and fitted on a sample that the
order of the rows does not change. It shows where a data set is thin; it is no classifier.
"""

from __future__ import annotations

import heapq
import re
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from distill_tui.dataset.duplicates import input_digest

WIDTH = 2048  # buckets that words are hashed into
SAMPLE = 5_000  # rows that the clusters are fitted on
ROUNDS = 12
FRAME = 0.8  # share of the texts from which a word is the frame of a prompt
BATCH = 5_000
WORDS_IN_A_NAME = 3
_WORD = re.compile(r"[^\W\d_]{3,}")

Matrix = NDArray[np.float32]


def clusters(texts: Sequence[str], count: int = 8) -> tuple[list[int], list[str]]:
    """Give each text the number of its cluster, and each cluster a name. Fewer than 20 texts a cluster: none at all."""
    count = min(count, len(texts) // 20)
    if count < 2:
        return [0] * len(texts), ["all"]
    order = heapq.nsmallest(SAMPLE, range(len(texts)), key=lambda at: input_digest(texts[at]))
    sample = [texts[at] for at in order]
    rarity = _rarity(sample)
    centres = _fit(_vectors(sample, rarity), count)
    found: list[int] = []
    for start in range(0, len(texts), BATCH):
        found += (_vectors(texts[start : start + BATCH], rarity) @ centres.T).argmax(axis=1).tolist()
    return found, _names(sample, [found[at] for at in order], count)


def nearest(texts: Sequence[str], others: Sequence[str]) -> tuple[list[int], list[float]]:
    """Give each text the place of the most similar other text, and the cosine of their words weighted by rarity."""
    rarity = _rarity([*heapq.nsmallest(SAMPLE, texts, key=input_digest), *others])
    against = _vectors(others, rarity)
    places: list[int] = []
    cosines: list[float] = []
    for start in range(0, len(texts), BATCH):
        similar = _vectors(texts[start : start + BATCH], rarity) @ against.T
        places += similar.argmax(axis=1).tolist()
        cosines += similar.max(axis=1).tolist()
    return places, cosines


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))


def _bucket(word: str) -> int:
    return zlib.crc32(word.encode()) % WIDTH


def _rarity(sample: Sequence[str]) -> Matrix:
    """Weigh a bucket by how few texts have it; a frame of most, and a word of one alone, weigh nothing."""
    counts = np.zeros(WIDTH, dtype=np.float32)
    for text in sample:
        counts[list({_bucket(word) for word in _words(text)})] += 1
    weights: Matrix = np.log((1 + len(sample)) / (1 + counts)).astype(np.float32)
    weights[(counts > FRAME * len(sample)) | (counts < 2)] = 0
    return weights


def _vectors(texts: Sequence[str], rarity: Matrix) -> Matrix:
    rows = np.zeros((len(texts), WIDTH), dtype=np.float32)
    for at, text in enumerate(texts):
        rows[at, list({_bucket(word) for word in _words(text)})] = 1
    rows *= rarity
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    result: Matrix = rows / np.maximum(lengths, 1e-6)
    return result


def _fit(rows: Matrix, count: int) -> Matrix:
    """Begin with texts far from each other, then move each centre to the middle of its texts."""
    chosen = [0]
    nearest = rows @ rows[0]
    for _ in range(count - 1):
        chosen.append(int(nearest.argmin()))
        nearest = np.maximum(nearest, rows @ rows[chosen[-1]])
    centres = rows[chosen]
    for _ in range(ROUNDS):
        own = (rows @ centres.T).argmax(axis=1)
        sums = np.stack([rows[own == each].sum(axis=0) for each in range(count)])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-6), centres)
    return centres


def _names(texts: Sequence[str], own: Sequence[int], count: int) -> list[str]:
    """Name a cluster by the words that its texts have more than the others."""
    overall: Counter[str] = Counter()
    inside = [Counter[str]() for _ in range(count)]
    for text, cluster in zip(texts, own, strict=True):
        overall.update(words := _words(text))
        inside[cluster].update(words)
    names = []
    for cluster in range(count):
        rows = max(1, sum(each == cluster for each in own))
        lift = {
            word: (n / rows) * np.log((n / rows) / (overall[word] / len(texts)))
            for word, n in inside[cluster].items()
            if n >= 3
        }
        best = sorted(lift, key=lambda word: (-lift[word], word))[:WORDS_IN_A_NAME]
        names.append(f"{cluster + 1}: {' '.join(best) or 'mixed'}")
    return names
