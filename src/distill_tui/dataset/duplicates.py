"""Equal texts and near duplicates (numpy; pure).

Exact: NFC, casefold, white space collapsed. Near: MinHash over the 8-character shingles of that text without its
punctuation (Broder 1997; bands as in Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3).
Combining marks belong to their letters. A Chinese character counts as three, a kana or a Korean syllable as two,
because two or three of them make a word: otherwise one that changed would change every shingle of a short text. Two
rows are near duplicates when all six minima of one of forty bands agree: with a Jaccard similarity of .8 that
happens 99.999% of the time, .7: 99%, .6: 85%, .5: 47%, .3: 3%, .05: 6 in 10,000,000. The rule depends on the two
texts and on the boilerplate of the whole set, never on the order of rows, and its cost is linear in the rows. A false
match only shares a split: no row is removed. Paraphrases are not found.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from distill_tui.dataset.progress import Progress, no_progress
from distill_tui.dataset.row_identity import input_digest as input_digest
from distill_tui.dataset.row_identity import normalise

SHINGLE = 8  # characters
BANDS, BAND_MINIMA = 40, 6
BATCH = 1_000
SKETCH = 512  # smallest shingle hashes kept of a long text: bounds the cost of one row
BOILERPLATE_SHARE = 0.5  # a shingle in over half of the rows belongs to a prompt's frame
BOILERPLATE_ROWS = 50  # in fewer rows over half is too few to be a frame
BOILERPLATE_SAMPLE = 2_000

Hashes = NDArray[np.uint64]

_PUNCTUATION = regex.compile(r"(?:[^\w\p{M}]|_)+")
_DENSE = regex.compile(r"(\p{Script=Han})|[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]")
_GOLDEN = 0x9E3779B97F4A7C15  # the step of splitmix64: spreads neighbouring numbers over all 64 bits


class Together:
    """Union-find over the numbers 0 to n - 1; the root of a set is its smallest member."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, member: int) -> int:
        parent = self._parent
        while parent[member] != member:
            parent[member] = parent[parent[member]]  # path halving keeps the trees flat
            member = parent[member]
        return member

    def join(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._parent[high] = low

    def join_equal(self, keys: Iterable[object]) -> None:
        """Join the members with equal keys; None stands for no key."""
        first: dict[object, int] = {}
        for member, key in enumerate(keys):
            if key is not None:
                self.join(first.setdefault(key, member), member)

    def roots(self) -> list[int]:
        return [self.root(member) for member in range(len(self._parent))]


def near_duplicates(texts: Sequence[str], progress: Progress = no_progress) -> list[int]:
    """Return each text's cluster: the position of the cluster's first text."""
    together = Together(len(texts))
    frame = _boilerplate(texts)
    keys = np.empty((len(texts), BANDS), dtype=np.uint64)
    for start in range(0, len(texts), BATCH):
        minima = np.stack([_minima(_sketch(text, frame)) for text in texts[start : start + BATCH]])
        keys[start : start + BATCH] = _band_keys(minima)
        progress("near duplicates", min(start + BATCH, len(texts)), len(texts))
    for band in range(BANDS):
        order = np.argsort(keys[:, band], kind="stable")
        sorted_keys = keys[order, band]
        for place in np.flatnonzero(sorted_keys[1:] == sorted_keys[:-1]):
            together.join(int(order[place]), int(order[place + 1]))
    return together.roots()


def label_conflicts(texts: Sequence[str], labels: Sequence[str | None]) -> tuple[list[int], set[int]]:
    """Return each text's cluster of near duplicates, and the clusters with more than one label."""
    clusters = near_duplicates(texts)
    distinct = Counter(cluster for cluster, label in set(zip(clusters, labels, strict=True)) if label is not None)
    return clusters, {cluster for cluster, count in distinct.items() if count > 1}


@dataclass(frozen=True)
class Pair:
    """Two similar texts, with the Jaccard similarity of their sketches, and whether they count as near duplicates."""

    one: int
    other: int
    similarity: float
    joined: bool


LOOSE_MINIMA = 3  # in a band of the search at the border: finds half of the pairs with a similarity of .2


def border(texts: Sequence[str], around: float = 0.5, width: float = 0.2) -> list[Pair]:
    """Find pairs with a similarity near a value, nearest first: the border of the rule."""
    frame = _boilerplate(texts)
    sketches = [_sketch(text, frame) for text in texts]
    minima = np.stack([_minima(sketch) for sketch in sketches]) if sketches else np.empty((0, 240), np.uint32)
    clusters = near_duplicates(texts)
    seen: dict[tuple[int, int], float] = {}
    for band in range(0, minima.shape[1], LOOSE_MINIMA):
        order = np.lexsort(minima[:, band : band + LOOSE_MINIMA].T)
        rows = minima[order, band : band + LOOSE_MINIMA]
        # only neighbours in the order are compared: a frame shared by all rows would make millions of pairs
        for place in np.flatnonzero((rows[1:] == rows[:-1]).all(axis=1)):
            pair = sorted((int(order[place]), int(order[place + 1])))
            key = (pair[0], pair[1])
            if key not in seen:
                seen[key] = _similarity(sketches[key[0]], sketches[key[1]])
    found = [
        Pair(one, other, similarity, clusters[one] == clusters[other])
        for (one, other), similarity in seen.items()
        if abs(similarity - around) <= width
    ]
    return sorted(found, key=lambda pair: (abs(pair.similarity - around), pair.one, pair.other))


def _similarity(one: Hashes, other: Hashes) -> float:
    """Return the Jaccard similarity of two sketches."""
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def _shingles(text: str) -> Hashes:
    """Hash every run of eight characters; a shorter text is one shingle."""
    words = _PUNCTUATION.sub(" ", normalise(text)).strip() or normalise(text)
    codes = np.frombuffer(_spread(words).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    width = min(SHINGLE, len(codes))
    starts = len(codes) - width + 1
    scrambled = _mix(codes)
    sums = np.full(starts, width, dtype=np.uint64)
    for offset in range(width):  # an odd factor for each place: the order of the characters counts
        sums += scrambled[offset : offset + starts] * _PLACE_FACTORS[offset]
    return np.unique(_mix(sums))


def _spread(text: str) -> str:
    """Write a character of a dense script two or three times, so that a run of eight spans about as many words."""
    return text if text.isascii() else str(_DENSE.sub(lambda found: found[0] * (3 if found[1] else 2), text))


def _mix(values: Hashes) -> Hashes:
    """Scramble 64-bit numbers (the finaliser of splitmix64; Steele, Lea and Flood 2014)."""
    values = values + np.uint64(_GOLDEN)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _sketch(text: str, frame: Hashes) -> Hashes:
    hashes = _shingles(text)
    if len(frame):
        own = hashes[~np.isin(hashes, frame)]
        hashes = own if len(own) else hashes
    return hashes[:SKETCH]  # np.unique sorted them


def _boilerplate(texts: Sequence[str]) -> Hashes:
    """Find the shingles of over half of the rows, on a sample that is independent of the order of rows."""
    if len(texts) < BOILERPLATE_ROWS:
        return np.empty(0, dtype=np.uint64)
    sample = heapq.nsmallest(BOILERPLATE_SAMPLE, texts, key=input_digest)
    hashes, counts = np.unique(np.concatenate([_shingles(text) for text in sample]), return_counts=True)
    frame: Hashes = hashes[counts > BOILERPLATE_SHARE * len(sample)]
    return frame


_PLACES = np.arange(BANDS * BAND_MINIMA, dtype=np.uint64)
_PLACE_FACTORS = _mix(_PLACES[:SHINGLE] + np.uint64(2_000_000)) | np.uint64(1)
# 32 bits suffice for a minimum (a false agreement needs six at once) and multiply several times as fast
_MULTIPLIERS = (_mix(_PLACES) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
_OFFSETS = (_mix(_PLACES + np.uint64(1_000_000)) >> np.uint64(32)).astype(np.uint32)


def _minima(sketch: Hashes) -> NDArray[np.uint32]:
    """Return the 240 MinHash values of a text."""
    short = (sketch & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    products = _MULTIPLIERS[:, None] * short[None, :]
    products += _OFFSETS[:, None]
    minima: NDArray[np.uint32] = products.min(axis=1)
    return minima


def _band_keys(minima: NDArray[np.uint32]) -> Hashes:
    """Return the forty band keys of each text; near duplicates agree in at least one."""
    bands = minima.astype(np.uint64).reshape(-1, BANDS, BAND_MINIMA)
    keys: Hashes = bands[:, :, 0]
    for place in range(1, BAND_MINIMA):
        keys = _mix(keys) ^ bands[:, :, place]
    return keys
