"""Assign rows to splits, by seed or by time, never across a group or a cluster of near duplicates. Pure.

Of each row some 60 bytes are held, in columns; texts are read again where they are compared.

Rows that share a group, are near duplicates, or are pairs with a part in common, directly or through others, form a
component, and a component goes to one split as a whole. In a later round the held-out rows stay as they were: a new row
in a component with one of them is left out.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from distill_tui.dataset.duplicates import Places, Texts, Together, clusters
from distill_tui.dataset.progress import Progress, no_progress
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.row_identity import normalise
from distill_tui.gates.gate import Gate
from distill_tui.gates.usable import PERIOD, Need, strictest
from distill_tui.terms import Split
from distill_tui.text import pair_of

FREQUENT_ONE_IN, FREQUENT_ROWS = 20, 20  # a part of pairs that is more frequent joins nothing
AT_ONCE = 100_000  # components that are looked at together
OVERSHOOT = Fraction(1, 10)  # by time, the last component may exceed the held-out rows asked for by this share


@dataclass(frozen=True)
class SplitRule:
    """The rule that draws the splits; the gate fixes it before the data is seen."""

    seed: int
    held_out_rows: int  # distinct rows
    validation_share: Decimal | float  # of the rows that are not held out
    window_from: str | None = None  # ISO 8601, included; a row without a time is outside every window
    window_to: str | None = None  # ISO 8601, not included
    by_time: bool = False  # the latest rows are held out, and training ends before they begin
    needs: Need = Need.NOTHING  # what a row needs so that every criterion can use it: such rows are held out first

    @classmethod
    def of(cls, gate: Gate, *, refresh: bool) -> SplitRule:
        """Return the rule of a gate; its window is of the first traffic and does not apply to a refresh."""
        window = (None, None) if refresh else (gate.window_from or None, gate.window_to or None)
        return cls(
            gate.seed,
            gate.held_out_rows,
            gate.validation_share,
            *window,
            by_time=gate.by_time,
            needs=strictest(gate),
        )

    def problem(self) -> str | None:
        """Return why the rule is impossible, or None."""
        if self.held_out_rows < 1:
            return f"The split rule asks for {self.held_out_rows} held-out rows. Ask for 1 or more."
        if not 0 <= self.validation_share < 1:
            return f"The split rule's validation share is {self.validation_share}. Set it to 0 or more, and below 1."
        try:
            start, end = utc(self.window_from), utc(self.window_to)
        except ValueError:
            return f"The window {self.window_from} to {self.window_to} is not in ISO 8601. Write dates like 2026-11-24."
        if start and end and start >= end:
            return f"The window ends ({self.window_to}) before it begins ({self.window_from}). Swap its ends."
        return None

    def in_window(self, time: str | None) -> bool:
        """Whether a row of this time (as traffic stores it) is in the window."""
        start, end = utc(self.window_from), utc(self.window_to)
        if start is None and end is None:
            return True
        return time is not None and (start is None or start <= time) and (end is None or time < end)


class TooFewRows(BadInput):
    """Fewer distinct rows may be held out than the rule asks for."""

    def __init__(self, wanted: int, available: int, total: int) -> None:
        super().__init__(
            f"The split rule asks for {wanted:,} held-out rows, and only {available:,} of the {total:,} distinct rows "
            "are available. Import more traffic."
        )
        self.available, self.lacking = available, wanted + 1 - available


class LeftOut(StrEnum):
    """Why a row is not in a split."""

    CONTAMINATED = "contaminated"  # it is in a component with held-out rows of an earlier round
    STRADDLING = "straddling"  # by time: it is in the period of the held-out rows but is not held out


Place = Split | LeftOut
PLACES: tuple[Place, ...] = (*Split, *LeftOut)  # the numbers of places
TRAIN, VALIDATION, HELD_OUT, CONTAMINATED, STRADDLING = range(len(PLACES))
NOWHERE = -1

Numbers = NDArray[np.int8]  # places by their numbers
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Candidate:
    """The values of a row that decide its split."""

    digest: str
    text: str
    segment: str
    groups: tuple[str, ...] = ()
    time: str | None = None  # ISO 8601, UTC, as traffic stores it
    judged: bool = True  # it has what the criteria of the gate need


class Keys:
    """Keys of rows: 16 bytes each of their digest (a false agreement of ten million keys: once in 10^25)."""

    def __init__(self) -> None:
        self._rows, self._keys = array("q"), bytearray()

    def add(self, row: int, key: str) -> None:
        self._rows.append(row)
        self._keys += hashlib.blake2b(key.encode(), digest_size=16).digest()

    def runs(self) -> tuple[Places, Places]:
        """Return the rows by their keys, and where each key begins among them."""
        if not self._rows:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        keys = np.frombuffer(self._keys, np.uint64).reshape(-1, 2)
        order = np.lexsort((keys[:, 0], keys[:, 1]))
        keys = keys[order]
        begins = np.flatnonzero(np.concatenate([[True], (keys[1:] != keys[:-1]).any(axis=1)]))
        return np.frombuffer(self._rows, np.int64)[order], begins

    def numbered(self) -> tuple[Places, Places]:
        """Return the rows by their keys, and the number of each one's key."""
        rows, begins = self.runs()
        return rows, np.repeat(np.arange(len(begins)), np.diff(begins, append=len(rows)))

    def join(self, together: Together, most: int | None = None) -> None:
        """Join the rows of each key, unless there are more than `most` of them."""
        rows, begins = self.runs()
        sizes = np.diff(begins, append=len(rows))
        for begin, size in zip(begins[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
            for at in range(begin + 1, begin + size) if most is None or size <= most else ():
                together.join(int(rows[begin]), int(rows[at]))

    def among(self, mask: Mask) -> Keys:
        """Return the keys of some rows, numbered without the others."""
        found, rows, keys = Keys(), np.array(self._rows, np.int64), np.frombuffer(self._keys, "V16")
        stay = mask[rows]
        found._rows.frombytes((np.cumsum(mask) - 1)[rows[stay]].astype(np.int64).tobytes())
        found._keys += keys[stay].tobytes()
        return found


@dataclass
class Candidates:
    """The values of rows that decide their splits, as columns. The digests are distinct, and rows in their order."""

    seed: int
    texts: Texts = ()  # of the rows, in their order
    names: dict[str, int] = field(default_factory=dict)  # of segments, by number
    groups: Keys = field(default_factory=Keys)
    undated: int = 0
    _segments: array[int] = field(default_factory=lambda: array("i"))
    _times: array[int] = field(default_factory=lambda: array("q"))  # microseconds
    _judged: bytearray = field(default_factory=bytearray)
    _kept: array[int] = field(default_factory=lambda: array("b"))
    _order: bytearray = field(default_factory=bytearray)  # 16 bytes of the place in the order drawn by the seed

    def add(self, row: Candidate, kept: Split | None) -> None:
        """Add a row, but not its text, and its split in the round before."""
        for group in row.groups:
            self.groups.add(len(self._segments), group)
        self._segments.append(self.names.setdefault(row.segment, len(self.names)))
        self.undated += row.time is None
        self._times.append(0 if row.time is None else _microseconds(row.time))
        self._judged.append(row.judged)
        self._kept.append(NOWHERE if kept is None else PLACES.index(kept))
        self._order += hashlib.sha256(f"{self.seed}:{row.digest}".encode()).digest()[:16]

    def __len__(self) -> int:
        return len(self._segments)

    def judge(self, judged: Mask) -> None:
        """Mark the rows that have what the criteria of the gate need."""
        self._judged = bytearray(judged.tobytes())

    @property
    def segments(self) -> NDArray[np.int32]:
        """The number of each row's segment, in alphabetical order."""
        alphabetical = np.empty(len(self.names), np.int32)
        alphabetical[[self.names[name] for name in sorted(self.names)]] = np.arange(len(self.names))
        return alphabetical[np.frombuffer(self._segments, np.int32)]

    @property
    def times(self) -> Places:
        return np.frombuffer(self._times, np.int64)

    @property
    def judged(self) -> Mask:
        return np.frombuffer(self._judged, np.bool_)

    @property
    def kept(self) -> Numbers:
        return np.frombuffer(self._kept, np.int8)

    @property
    def order(self) -> NDArray[np.uint64]:
        return np.frombuffer(self._order, ">u8").reshape(-1, 2).astype(np.uint64)


def _microseconds(time: str) -> int:
    moment = datetime.fromisoformat(time)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return (moment - _EPOCH) // timedelta(microseconds=1)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class _Components:
    """Rows that must stay together, as columns: of each component, in the order drawn by the seed."""

    of: NDArray[np.int32]  # the component of each row; -1 for none
    sizes: Places
    judged: Places  # rows that have what the criteria need
    segments: Places  # of most of its rows
    since: Places  # the earliest time of its rows
    order: NDArray[np.uint64]  # of the first of its rows by digest

    @classmethod
    def of_rows(cls, of: NDArray[np.int32], rows: Candidates, count: int) -> _Components:
        """Describe components by the component of each row."""
        inside = np.flatnonzero(of != NOWHERE)
        own = of[inside]
        first = np.empty(count, np.int64)
        first[own[::-1]] = inside[::-1]  # the last that is written is the first
        since = np.full(count, _END, np.int64)
        np.minimum.at(since, own, rows.times[inside])
        judged = np.bincount(own[rows.judged[inside]], minlength=count)
        segments = _most_common(own, rows.segments[inside], count, len(rows.names))
        return cls(of, np.bincount(own, minlength=count), judged, segments, since, rows.order[first])

    def __len__(self) -> int:
        return len(self.sizes)

    def rows(self, which: Places) -> Mask:
        """Mark the rows of some components."""
        chosen = np.zeros(len(self) + 1, np.bool_)  # the last is of the rows of none
        chosen[which] = True
        return chosen[self.of]

    def with_rows(self, mask: Mask) -> Mask:
        """Mark the components that have some of these rows."""
        found = np.zeros(len(self) + 1, np.bool_)
        found[self.of[mask]] = True
        return found[:-1]

    def count(self, which: Places) -> int:
        """Return the rows of some components."""
        return int(self.sizes[which].sum())

    def by_use(self, which: Places) -> tuple[Places, Places, Places]:
        """Return the components of which the criteria can use all rows, some, and none."""
        sizes, judged = self.sizes[which], self.judged[which]
        return which[judged == sizes], which[(judged > 0) & (judged < sizes)], which[judged == 0]

    def without(self, which: Places, taken: Places) -> Places:
        """Return the components that are not taken, in their order."""
        gone = np.zeros(len(self), np.bool_)
        gone[taken] = True
        return which[~gone[which]]

    def each(self, which: Places) -> Iterator[tuple[int, int, int, int]]:
        """Yield components with their rows, those that the criteria can use, and their segment."""
        for start in range(0, len(which), AT_ONCE):
            some = which[start : start + AT_ONCE]
            columns = (some, self.sizes[some], self.judged[some], self.segments[some])
            yield from zip(*(column.tolist() for column in columns), strict=True)


def _most_common(own: NDArray[np.int32], segments: NDArray[np.int32], count: int, names: int) -> Places:
    """Return the most frequent segment of each component; of equals the first by alphabet."""
    pairs, rows = np.unique(own.astype(np.int64) * max(1, names) + segments, return_counts=True)
    components, segment = np.divmod(pairs, max(1, names))
    order = np.lexsort((segment, -rows, components))
    components, begins = np.unique(components[order], return_index=True)
    found = np.zeros(count, np.int64)
    found[components] = segment[order][begins]
    return found


def utc(time: str | None) -> str | None:
    """Format an ISO 8601 time as traffic stores it (UTC where no zone is given). Raises ValueError."""
    if time is None:
        return None
    moment = datetime.fromisoformat(time)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")


def assign(
    rows: Sequence[Candidate], rule: SplitRule, keep: Mapping[str, Split], progress: Progress = no_progress
) -> list[Place]:
    """Assign each row, independently of their order; digests are distinct. Raises BadInput.

    `keep` holds the splits of the round before, by digest: held-out rows stay so, and others never become so.
    """
    order = sorted(range(len(rows)), key=lambda at: rows[at].digest)
    columns = Candidates(rule.seed, [rows[at].text for at in order])
    for at in order:
        columns.add(rows[at], keep.get(rows[at].digest))
    places = assigned(columns, rule, first=Split.HELD_OUT not in keep.values(), progress=progress)
    found = dict(zip(order, places.tolist(), strict=True))
    return [PLACES[found[at]] for at in range(len(rows))]


def assigned(rows: Candidates, rule: SplitRule, *, first: bool, progress: Progress = no_progress) -> Numbers:
    """Return the number of each row's place; in a first round held-out rows are drawn. Raises BadInput."""
    if rule.by_time and rows.undated:
        raise BadInput(
            f"The split rule goes by time, but {rows.undated:,} rows have none. Map the time, or split by seed."
        )
    places = np.full(len(rows), NOWHERE, np.int8)
    found = _components(rows, np.ones(len(rows), np.bool_), progress)
    free = _settled(found, rows, places)
    if first:
        held_out, free = _hold_out(found, free, rule, len(rows))
        places[found.rows(held_out)] = HELD_OUT
    period = _held_out_period(rows, places, first=first) if rule.by_time else None
    if period is not None:
        found, free = _outside(found, free, rows, places, period)
    reserved = round(Fraction(rule.validation_share) * int(rows.judged.sum()))
    validation, free = _fill_judged(found, free, _validation_wanted(found, free, places, rule), reserved)
    places[found.rows(validation)] = VALIDATION
    places[found.rows(free)] = TRAIN
    if period is not None:  # open rows in the held-out period are left out
        places[((places == TRAIN) | (places == VALIDATION)) & _inside(rows, period)] = STRADDLING
    if (rows.kept != NOWHERE).any() or (places > HELD_OUT).any():
        _settle(rows, places)
    return places


def components(texts: Texts, groups: Iterable[Sequence[str]], progress: Progress = no_progress) -> list[int]:
    """Return each row's component: the position of the component's first row."""
    keys = Keys()
    for position, names in enumerate(groups):
        for group in names:
            keys.add(position, group)
    found: list[int] = _roots(texts, keys, progress).tolist()
    return found


def _roots(texts: Texts, groups: Keys, progress: Progress) -> Places:
    together = clusters(texts, progress)
    groups.join(together)
    _join_parts(together, texts)
    return together.roots()


def _join_parts(together: Together, texts: Texts) -> None:
    """Keep the pairs that share a first or a second part together.

    A part in more than 5% of the rows, and in more than 20, is one of few that are asked about everything: it joins
    nothing.
    """
    parts = Keys()
    for position, text in enumerate(texts):
        for side, part in enumerate(pair_of(text) or ()):
            parts.add(position, f"{side} {normalise(part)}")
    parts.join(together, max(FREQUENT_ROWS, len(texts) // FREQUENT_ONE_IN))


@dataclass(frozen=True)
class _Chosen:
    """The texts of some rows."""

    texts: Texts
    mask: Mask

    def __len__(self) -> int:
        return int(self.mask.sum())

    def __iter__(self) -> Iterator[str]:
        return compress(self.texts, self.mask)


def _components(rows: Candidates, inside: Mask, progress: Progress = no_progress) -> _Components:
    """Join the rows that are inside."""
    whole = bool(inside.all())
    texts, groups = (rows.texts, rows.groups) if whole else (_Chosen(rows.texts, inside), rows.groups.among(inside))
    roots = _roots(texts, groups, progress)
    first = np.flatnonzero(roots == np.arange(len(roots)))
    order = rows.order[inside][first]
    number = np.empty(len(roots), np.int32)
    number[first[np.lexsort((order[:, 1], order[:, 0]))]] = np.arange(len(first), dtype=np.int32)
    of = np.full(len(rows), NOWHERE, np.int32)
    of[inside] = number[roots]
    del roots, number
    return _Components.of_rows(of, rows, len(first))


def most_common(counts: Counter[str]) -> str:
    """Return the most frequent name; of equals the first by alphabet, independent of the order of rows."""
    return min(counts, key=lambda name: (-counts[name], name))


def _settled(found: _Components, rows: Candidates, places: Numbers) -> Places:
    """Place the components with rows of the round before; return the others."""
    kept = rows.kept
    held_out, trained, validated = (found.with_rows(kept == place) for place in (HELD_OUT, TRAIN, VALIDATION))
    close = found.rows(np.flatnonzero(held_out))
    places[close] = np.where(kept[close] == NOWHERE, CONTAMINATED, kept[close])
    # a row once trained on makes validation of its component invalid
    places[found.rows(np.flatnonzero(trained & ~held_out))] = TRAIN
    places[found.rows(np.flatnonzero(validated & ~trained & ~held_out))] = VALIDATION
    return np.flatnonzero(~(held_out | trained | validated))


def _hold_out(found: _Components, free: Places, rule: SplitRule, total: int) -> tuple[Places, Places]:
    available = found.count(free)
    if available <= rule.held_out_rows:
        raise TooFewRows(rule.held_out_rows, available, total)
    most = math.ceil(int(found.judged[free].sum()) * (1 - Fraction(rule.validation_share)))
    take = _latest_judged if rule.by_time else _fill_judged
    taken, left = take(found, free, rule.held_out_rows, most)
    if not len(taken):
        raise BadInput(
            f"Groups, near duplicates and the parts of pairs join the {total:,} distinct rows, so that no held-out"
            " split can be cut from them. Map another group column, or none, or import more traffic."
        )
    return taken, left


def _fill_judged(found: _Components, free: Places, target: int, most: int) -> tuple[Places, Places]:
    """Take components as `_fill` does, but first those that the criteria can use, up to so many of such rows."""
    judged, partly, neither = found.by_use(free)
    if len(judged) == len(free) or not (len(judged) or len(partly)):
        return _fill(found, free, target)
    taken, _ = _fill(found, judged, min(target, most), _allotted(found, free, min(target, most)))
    for more in (_within(found, partly, most - found.count(taken)), neither, free):
        taken = np.concatenate([taken, _more(found, found.without(more, taken), target, taken)])
    return taken, found.without(free, taken)


def _more(found: _Components, free: Places, target: int, taken: Places) -> Places:
    """Return what else to take of these up to a number of rows, and no more."""
    short = target - found.count(taken)
    fitting = free[found.sizes[free] <= short]
    return _fill(found, fitting, short)[0] if len(fitting) else fitting


def _within(found: _Components, components: Places, room: int) -> Places:
    """Return the components, in their order, that have up to so many rows that the criteria can use."""
    taken = array("q")
    for component, _, judged, _ in found.each(components):
        if judged <= room:
            taken.append(component)
            room -= judged
    return _numbers(taken)


def _fill(found: _Components, free: Places, target: int, room: list[int] | None = None) -> tuple[Places, Places]:
    """Take components in the order of the seed, each segment by its room or in proportion, up to a number of rows."""
    taken = array("q")
    room = _allotted(found, free, target) if room is None else room
    short = target
    for component, size, _, segment in found.each(free):
        if size <= room[segment]:
            taken.append(component)
            room[segment] -= size
            short -= size
    for component, size, _, _ in found.each(found.without(free, _numbers(taken))):
        if short <= 0:
            break
        if size <= short:  # fill what rounding and large components left
            taken.append(component)
            short -= size
    left = found.without(free, _numbers(taken))
    if short > 0 and len(left) > 1:  # none fits: take the smallest, unless it more than doubles the target
        small = left[found.sizes[left] == found.sizes[left].min()]
        smallest = int(small[np.lexsort((found.order[small, 1], found.order[small, 0]))[0]])
        if not taken or int(found.sizes[smallest]) <= short + target:
            taken.append(smallest)
    return _numbers(taken), found.without(free, _numbers(taken))


def _allotted(found: _Components, free: Places, target: int) -> list[int]:
    """Allot a number of rows to the segments in proportion to their rows (largest remainders)."""
    rows = [int(count) for count in np.bincount(found.segments[free], found.sizes[free])]
    total = sum(rows)
    exact = [Fraction(target * count, max(1, total)) for count in rows]
    room = [int(share) for share in exact]
    over = sorted((at for at, count in enumerate(rows) if count), key=lambda at: (room[at] - exact[at], at))
    for at in over[: max(0, min(target, total) - sum(room))]:
        room[at] += 1
    return room


def _latest_judged(found: _Components, free: Places, target: int, most: int) -> tuple[Places, Places]:
    """Take the components that begin last, first of those that the criteria can use, up to so many of such rows.

    Those lie in the latest part of the rows (`PERIOD`), so that enough are left to train on before them.
    """
    latest = free[np.lexsort((found.order[free, 1], found.order[free, 0], -found.since[free]))]
    if len(found.by_use(latest)[0]) == len(free):
        taken = _latest(found, latest, target)
        return taken, found.without(free, taken)
    rows = max(target, int(Fraction(PERIOD) * found.count(free)))
    sizes = found.sizes[latest]
    judged, partly, _ = found.by_use(latest[np.cumsum(sizes) - sizes < rows])
    taken = _latest(found, judged, min(target, most))
    for more in (_within(found, partly, most - found.count(taken)), found.by_use(latest)[2], latest):
        others = _latest(found, found.without(more, taken), target - found.count(taken))
        taken = np.concatenate([taken, others])
    return taken, found.without(free, taken)


def _latest(found: _Components, components: Places, target: int) -> Places:
    """Take components in their order, latest first, up to a number of rows."""
    taken, short = array("q"), target
    over = math.floor(OVERSHOOT * target)
    for component, size, _, _ in found.each(components):
        if short <= 0:
            break
        if size <= short + over:
            taken.append(component)
            short -= size
    return _numbers(taken)


def _numbers(taken: array[int]) -> Places:
    return np.array(taken, np.int64)


def _validation_wanted(found: _Components, free: Places, places: Numbers, rule: SplitRule) -> int:
    there = int((places == VALIDATION).sum())
    open_rows = int((places == TRAIN).sum()) + there + found.count(free)
    return max(0, round(Fraction(rule.validation_share) * open_rows) - there)


def _held_out_period(rows: Candidates, places: Numbers, *, first: bool) -> tuple[int, int]:
    """Return when the held-out period begins and ends.

    In a first round it has no end: training ends before it. Later rounds train on rows after it as well.
    """
    times = rows.times[places == HELD_OUT]
    return int(times.min()), _END if first else int(times.max())


def _outside(
    found: _Components, free: Places, rows: Candidates, places: Numbers, period: tuple[int, int]
) -> tuple[_Components, Places]:
    """Leave out what falls in the held-out period before the other splits are drawn; return what is left."""
    ours = found.rows(free)
    inside = ours & _inside(rows, period)
    places[inside] = STRADDLING
    stays = ours & ~inside
    there = found.with_rows(stays)
    left = free[there[free]]
    number = np.full(len(found), NOWHERE, np.int32)
    number[left] = np.arange(len(left), dtype=np.int32)
    of = np.where(stays, number[found.of], np.int32(NOWHERE))
    return _Components.of_rows(of, rows, len(left)), np.arange(len(left))


def _inside(rows: Candidates, period: tuple[int, int]) -> Mask:
    return (rows.times >= period[0]) & (rows.times <= period[1])


def _settle(rows: Candidates, places: Numbers) -> None:
    """Repeat without the rows left out, until no component crosses the splits.

    Boilerplate depends on the whole set, so two rows may become near duplicates when others are gone.
    """
    while True:
        found = _components(rows, (places != NOWHERE) & (places <= HELD_OUT))
        homes = [found.with_rows(places == place) for place in (TRAIN, VALIDATION, HELD_OUT)]
        crossing = np.sum(homes, axis=0) > 1
        if not crossing.any():
            return
        others = places != HELD_OUT
        places[found.rows(np.flatnonzero(crossing & homes[HELD_OUT])) & others] = CONTAMINATED
        places[found.rows(np.flatnonzero(crossing & ~homes[HELD_OUT])) & others] = TRAIN
