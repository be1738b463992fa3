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
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

import numpy as np
import regex
from numpy.typing import NDArray

from distill_tui.dataset.progress import Progress, no_progress
from distill_tui.dataset.row_identity import input_digest as input_digest
from distill_tui.dataset.row_identity import normalise

SHINGLE = 8  # characters
BANDS, BAND_MINIMA = 40, 6
BATCH, BATCH_CHARACTERS = 1_000, 1_000_000  # texts whose shingles are hashed together: some 50 bytes a character
AT_ONCE = 32_768  # hashes of which minima are computed together
IN_MEMORY = 200_000  # rows whose band keys, 320 bytes each, are kept in memory
SKETCH = 512  # smallest shingle hashes kept of a long text: bounds the cost of one row
BOILERPLATE_SHARE = 0.5  # a shingle in over half of the rows belongs to a prompt's frame
BOILERPLATE_ROWS = 50  # in fewer rows over half is too few to be a frame
BOILERPLATE_SAMPLE = 2_000

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]

_PUNCTUATION = regex.compile(r"(?:[^\w\p{M}]|_)+")
_NO_WORD = {code: " " for code in range(128) if not chr(code).isalnum()}
_DENSE = regex.compile(r"(\p{Script=Han})|[\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]")
_GOLDEN = 0x9E3779B97F4A7C15  # the step of splitmix64: spreads neighbouring numbers over all 64 bits


class Texts(Protocol):
    """Texts that can be read more than once, in one order: a list, or a column of a file."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...


class Together:
    """Union-find over the numbers 0 to n - 1, eight bytes each; the root of a set is its smallest member."""

    def __init__(self, size: int) -> None:
        self._parent = array("q", range(size))

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

    def roots(self) -> Places:
        parent = np.frombuffer(self._parent, np.int64) if self._parent else np.empty(0, np.int64)
        found = parent.copy()
        while (parent[found] != found).any():
            found = parent[found]
        return found


def near_duplicates(texts: Texts, progress: Progress = no_progress) -> list[int]:
    """Return each text's cluster: the position of the cluster's first text."""
    found: list[int] = clusters(texts, progress).roots().tolist()
    return found


def clusters(texts: Texts, progress: Progress = no_progress) -> Together:
    """Put near duplicates together."""
    together = Together(len(texts))
    frame = _boilerplate(texts)
    with _BandKeys(len(texts)) as keys:
        done = 0
        for batch in _batches(texts):
            keys.add(_band_keys(_minima(*_sketches(batch, frame))))
            done += len(batch)
            progress("near duplicates", done, len(texts))
        for band in range(BANDS):
            own = keys.of(band)
            order = np.argsort(own)
            own = own[order]
            for place in np.flatnonzero(own[1:] == own[:-1]).tolist():
                together.join(int(order[place]), int(order[place + 1]))
    return together


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield batches of texts: so many of them, or fewer where they are long."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and (len(batch) == BATCH or size + len(text) > BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch


class _BandKeys:
    """The band keys of many texts, one band at a time: beyond `IN_MEMORY` rows they wait in a file."""

    def __init__(self, rows: int) -> None:
        self._rows, self._parts = rows, list[Hashes]()
        self._file: IO[bytes] | None = tempfile.TemporaryFile() if rows > IN_MEMORY else None  # noqa: SIM115
        self._sizes = list[int]()  # rows of each part of the file, in which each band is in one piece

    def __enter__(self) -> _BandKeys:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, keys: Hashes) -> None:
        self._parts.append(keys)
        if self._file is not None and sum(map(len, self._parts)) >= IN_MEMORY // 4:
            self._write(self._file)

    def _write(self, file: IO[bytes]) -> None:
        part = np.concatenate(self._parts)
        file.write(np.ascontiguousarray(part.T).tobytes())
        self._sizes.append(len(part))
        self._parts = []

    def of(self, band: int) -> Hashes:
        """Return a band's key of every row."""
        if self._file is None:
            return np.concatenate([part[:, band] for part in self._parts] or [np.empty(0, np.uint64)])
        if self._parts:
            self._write(self._file)
        found, before = np.empty(self._rows, np.uint64), 0
        for size in self._sizes:
            self._file.seek(8 * (BANDS * before + band * size))
            found[before : before + size] = np.frombuffer(self._file.read(8 * size), np.uint64)
            before += size
        return found


def label_conflicts(texts: Texts, labels: Iterable[str | None]) -> tuple[Places, Places]:
    """Return each text's cluster of near duplicates, and the clusters with more than one label."""
    roots, number = clusters(texts).roots(), dict[str | None, int]({None: -1})
    of = np.fromiter((number.setdefault(label, len(number)) for label in labels), np.int64, len(roots))
    known = np.stack([roots[of >= 0], of[of >= 0]])
    known = known[:, np.lexsort((known[1], known[0]))]
    apart = (known[:, 1:] != known[:, :-1]).any(axis=0)
    homes = known[0, np.concatenate([[True], apart])] if known.size else known[0]  # once for each label of a cluster
    return roots, np.unique(homes[1:][homes[1:] == homes[:-1]])


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
    minima = _minima(*_joined(sketches)) if sketches else np.empty((0, BANDS * BAND_MINIMA), np.uint32)
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
    """Return the hashes of a text's shingles, sorted, each once."""
    return np.unique(_hashes([text])[0])


def _hashes(texts: Sequence[str]) -> tuple[Hashes, Places]:
    """Hash every run of eight characters of each text; a shorter text is one run.

    Returns the hashes of all texts, one text after the other, and the place of each text's first.
    """
    runs = [_spread(_words(text)) for text in texts]
    lengths = np.array([len(run) for run in runs], dtype=np.int64)
    padded = np.maximum(lengths, SHINGLE)
    codes = np.frombuffer("".join([run.ljust(SHINGLE) for run in runs]).encode("utf-32-le"), dtype=np.uint32)
    place = np.arange(len(codes)) - np.repeat(np.cumsum(padded) - padded, padded)  # of each character in its text
    scrambled = _mix(codes.astype(np.uint64))
    if len(runs) and lengths.min() < SHINGLE:
        scrambled[place >= np.repeat(lengths, padded)] = 0
    counts = padded - (SHINGLE - 1)
    sums = np.zeros(len(codes) - (SHINGLE - 1) if len(codes) else 0, dtype=np.uint64)
    for offset in range(SHINGLE):  # an odd factor for each place: the order of the characters counts
        sums += scrambled[offset : offset + len(sums)] * _PLACE_FACTORS[offset]
    sums = sums[(place < np.repeat(counts, padded))[: len(sums)]]
    sums += np.repeat(np.minimum(lengths, SHINGLE), counts).astype(np.uint64)
    return _mix(sums), np.cumsum(counts) - counts


def _words(text: str) -> str:
    """Return the normalised text without its punctuation."""
    if text.isascii():  # the same, several times as fast
        return " ".join(text.lower().translate(_NO_WORD).split()) or normalise(text)
    return _PUNCTUATION.sub(" ", normalise(text)).strip() or normalise(text)


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
    """Return the smallest hashes of a text, without those of the frame where others are left."""
    hashes = _shingles(text)
    if len(frame):
        own = hashes[~np.isin(hashes, frame)]
        hashes = own if len(own) else hashes
    return hashes[:SKETCH]  # np.unique sorted them


def _sketches(texts: Sequence[str], frame: Hashes) -> tuple[Hashes, Places]:
    """Return the sketches of texts, one after the other and unsorted, and the place of each one's first hash."""
    hashes, starts = _hashes(texts)
    counts = np.diff(starts, append=len(hashes))
    if not len(frame) and counts.max(initial=0) <= SKETCH:
        return hashes, starts
    if counts.max() <= SKETCH:
        own = ~np.isin(hashes, frame)
        left = np.add.reduceat(own, starts, dtype=np.int64)
        own |= np.repeat(left == 0, counts)  # a text that is nothing but frame keeps it
        left = np.where(left == 0, counts, left)
        return hashes[own], np.cumsum(left) - left
    return _joined([_sketch(text, frame) for text in texts])


def _joined(sketches: Sequence[Hashes]) -> tuple[Hashes, Places]:
    counts = np.array([len(sketch) for sketch in sketches], dtype=np.int64)
    return np.concatenate(sketches), np.cumsum(counts) - counts


def _boilerplate(texts: Texts) -> Hashes:
    """Find the shingles of over half of the rows, on a sample that is independent of the order of rows."""
    if len(texts) < BOILERPLATE_ROWS:
        return np.empty(0, dtype=np.uint64)
    sample = heapq.nsmallest(BOILERPLATE_SAMPLE, texts, key=input_digest)
    found: list[Hashes] = []
    for batch in _batches(sample):
        hashes, starts = _hashes(batch)
        found += [np.unique(one) for one in np.split(hashes, starts[1:])]
    hashes, counts = np.unique(np.concatenate(found), return_counts=True)
    frame: Hashes = hashes[counts > BOILERPLATE_SHARE * len(sample)]
    return frame


_PLACES = np.arange(BANDS * BAND_MINIMA, dtype=np.uint64)
_PLACE_FACTORS = _mix(_PLACES[:SHINGLE] + np.uint64(2_000_000)) | np.uint64(1)
# 32 bits suffice for a minimum (a false agreement needs six at once) and multiply several times as fast
_MULTIPLIERS = (_mix(_PLACES) >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
_OFFSETS = (_mix(_PLACES + np.uint64(1_000_000)) >> np.uint64(32)).astype(np.uint32)


def _minima(hashes: Hashes, starts: Places) -> NDArray[np.uint32]:
    """Return the 240 MinHash values of each text: (texts, 240)."""
    minima = np.empty((BANDS * BAND_MINIMA, len(starts)), dtype=np.uint32)
    short = hashes.astype(np.uint32)  # the lower half
    first = 0
    while first < len(starts):  # as many texts at once as fit the processor's cache
        last = max(first + 1, int(np.searchsorted(starts, starts[first] + AT_ONCE)))
        own = short[starts[first] : starts[last] if last < len(starts) else len(short)]
        places, product = starts[first:last] - starts[first], np.empty_like(own)
        for at, (factor, offset) in enumerate(zip(_MULTIPLIERS, _OFFSETS, strict=True)):
            np.multiply(own, factor, out=product)
            np.add(product, offset, out=product)
            minima[at, first:last] = np.minimum.reduceat(product, places)
        first = last
    return np.ascontiguousarray(minima.T)


def _band_keys(minima: NDArray[np.uint32]) -> Hashes:
    """Return the forty band keys of each text; near duplicates agree in at least one."""
    bands = minima.astype(np.uint64).reshape(-1, BANDS, BAND_MINIMA)
    keys: Hashes = bands[:, :, 0]
    for place in range(1, BAND_MINIMA):
        keys = _mix(keys) ^ bands[:, :, place]
    return keys
