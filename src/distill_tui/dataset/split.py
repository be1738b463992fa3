"""Assign rows to splits, by seed or by time, never across a group or a cluster of near duplicates. Pure.

Rows that share a group, are near duplicates, or are pairs with a part in common, directly or through others, form a
component, and a component goes to one split as a whole. In a later round the held-out rows stay as they were: a new row
in a component with one of them is left out.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from distill_tui.dataset.duplicates import Together, near_duplicates
from distill_tui.dataset.progress import Progress, no_progress
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.row_identity import normalise
from distill_tui.gates.gate import Gate
from distill_tui.gates.usable import PERIOD, Need, strictest
from distill_tui.terms import Split
from distill_tui.text import pair_of

FREQUENT_ONE_IN, FREQUENT_ROWS = 20, 20  # a part of pairs that is more frequent joins nothing
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


@dataclass(frozen=True, slots=True)
class Candidate:
    """The values of a row that decide its split."""

    digest: str
    text: str
    segment: str
    groups: tuple[str, ...] = ()
    time: str | None = None  # ISO 8601, UTC, as traffic stores it
    judged: bool = True  # it has what the criteria of the gate need


@dataclass(frozen=True, slots=True)
class _Component:
    """Rows that must stay together."""

    members: tuple[int, ...]
    segment: str  # of most of its rows
    since: str  # the earliest time of its rows
    order: bytes  # position in the order drawn by the seed
    judged: int  # rows that have what the criteria need

    def __len__(self) -> int:
        return len(self.members)


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
    if rule.by_time and any(row.time is None for row in rows):
        missing = sum(row.time is None for row in rows)
        raise BadInput(f"The split rule goes by time, but {missing:,} rows have none. Map the time, or split by seed.")
    places: dict[int, Place] = {}
    free: list[_Component] = []
    for component in _components(rows, rule.seed, progress):
        settled = _settled(component, rows, keep)
        places.update(settled)
        if not settled:
            free.append(component)
    first = Split.HELD_OUT not in keep.values()
    if first:
        held_out, free = _hold_out(free, rule, len(rows))
        places.update(_all(held_out, Split.HELD_OUT))
    period = _held_out_period(rows, places, first=first) if rule.by_time else None
    if period is not None:
        free = _outside(free, rows, rule.seed, places, period)
    judged = sum(row.judged for row in rows)
    reserved = round(Fraction(rule.validation_share) * judged)
    validation, free = _fill_judged(free, _validation_wanted(places, free, rule), reserved)
    places.update(_all(validation, Split.VALIDATION))
    places.update(_all(free, Split.TRAIN))
    if period is not None:
        _leave_out_straddlers(rows, places, period)
    if keep or any(isinstance(place, LeftOut) for place in places.values()):
        _settle(rows, rule.seed, places)
    return [places[position] for position in range(len(rows))]


def components(texts: Sequence[str], groups: Sequence[Sequence[str]], progress: Progress = no_progress) -> list[int]:
    """Return each row's component: the position of the component's first row."""
    together = Together(len(texts))
    together.join_equal(near_duplicates(texts, progress))
    first: dict[str, int] = {}
    for position, names in enumerate(groups):
        for group in names:
            together.join(first.setdefault(group, position), position)
    _join_parts(together, texts)
    return together.roots()


def _join_parts(together: Together, texts: Sequence[str]) -> None:
    """Keep the pairs that share a first or a second part together.

    A part in more than 5% of the rows, and in more than 20, is one of few that are asked about everything: it joins
    nothing.
    """
    rows: dict[tuple[int, str], list[int]] = defaultdict(list)
    for position, text in enumerate(texts):
        for side, part in enumerate(pair_of(text) or ()):
            rows[side, normalise(part)].append(position)
    most = max(FREQUENT_ROWS, len(texts) // FREQUENT_ONE_IN)
    for positions in rows.values():
        for position in positions[1:] if len(positions) <= most else ():
            together.join(positions[0], position)


def _components(rows: Sequence[Candidate], seed: int, progress: Progress = no_progress) -> list[_Component]:
    members: dict[int, list[int]] = defaultdict(list)
    roots = components([row.text for row in rows], [row.groups for row in rows], progress)
    for position, root in enumerate(roots):
        members[root].append(position)
    found = [_component(tuple(positions), rows, seed) for positions in members.values()]
    return sorted(found, key=lambda component: component.order)


def _component(members: tuple[int, ...], rows: Sequence[Candidate], seed: int) -> _Component:
    name = min(rows[member].digest for member in members)
    return _Component(
        members,
        segment=most_common(Counter(rows[member].segment for member in members)),
        since=min(rows[member].time or "" for member in members),
        order=hashlib.sha256(f"{seed}:{name}".encode()).digest(),
        judged=sum(rows[member].judged for member in members),
    )


def most_common(counts: Counter[str]) -> str:
    """Return the most frequent name; of equals the first by alphabet, independent of the order of rows."""
    return min(counts, key=lambda name: (-counts[name], name))


def _settled(component: _Component, rows: Sequence[Candidate], keep: Mapping[str, Split]) -> dict[int, Place]:
    """Place a component with rows of the round before; empty for any other."""
    kept = {member: keep[rows[member].digest] for member in component.members if rows[member].digest in keep}
    known = set(kept.values())
    if Split.HELD_OUT in known:
        return {member: kept.get(member, LeftOut.CONTAMINATED) for member in component.members}
    if Split.TRAIN in known:  # a row once trained on makes validation of its component invalid
        return dict.fromkeys(component.members, Split.TRAIN)
    return dict.fromkeys(component.members, Split.VALIDATION) if known else {}


def _hold_out(free: list[_Component], rule: SplitRule, total: int) -> tuple[list[_Component], list[_Component]]:
    available = sum(map(len, free))
    if available <= rule.held_out_rows:
        raise TooFewRows(rule.held_out_rows, available, total)
    judged = sum(component.judged for component in free)
    most = math.ceil(judged * (1 - Fraction(rule.validation_share)))
    wanted = rule.held_out_rows
    taken, left = _latest_judged(free, wanted, most) if rule.by_time else _fill_judged(free, wanted, most)
    if not taken:
        raise BadInput(
            f"Groups, near duplicates and the parts of pairs join the {total:,} distinct rows, so that no held-out"
            " split can be cut from them. Map another group column, or none, or import more traffic."
        )
    return taken, left


def _fill_judged(free: list[_Component], target: int, most: int) -> tuple[list[_Component], list[_Component]]:
    """Take components as `_fill` does, but first those that the criteria can use, up to so many of such rows."""
    judged = [component for component in free if component.judged == len(component)]
    partly = [component for component in free if 0 < component.judged < len(component)]
    if len(judged) == len(free) or not (judged or partly):
        return _fill(free, target)
    taken, _ = _fill(judged, min(target, most), _allotted(free, min(target, most)))
    taken += _more(_within(partly, most - sum(map(len, taken))), target, taken)
    taken += _more([component for component in free if not component.judged], target, taken)
    taken += _more(_without(free, taken), target, taken)
    return taken, _without(free, taken)


def _more(free: list[_Component], target: int, taken: list[_Component]) -> list[_Component]:
    """Return what else to take of these up to a number of rows, and no more."""
    short = target - sum(map(len, taken))
    fitting = [component for component in free if len(component) <= short]
    return _fill(fitting, short)[0] if fitting else []


def _within(components: list[_Component], room: int) -> list[_Component]:
    """Return the components, in their order, that have up to so many rows that the criteria can use."""
    found = []
    for component in components:
        if component.judged <= room:
            found.append(component)
            room -= component.judged
    return found


def _fill(
    free: list[_Component], target: int, room: dict[str, int] | None = None
) -> tuple[list[_Component], list[_Component]]:
    """Take components in the order of the seed, each segment by its room or in proportion, up to a number of rows."""
    taken: list[_Component] = []
    room = _allotted(free, target) if room is None else room
    for component in free:
        if len(component) <= room[component.segment]:
            taken.append(component)
            room[component.segment] -= len(component)
    short = target - sum(map(len, taken))
    for component in _without(free, taken):  # fill what rounding and large components left
        if len(component) <= short:
            taken.append(component)
            short -= len(component)
    left = _without(free, taken)
    if short > 0 and len(left) > 1:  # none fits: take the smallest, unless it more than doubles the target
        smallest = min(left, key=lambda component: (len(component), component.order))
        if not taken or len(smallest) <= short + target:
            taken.append(smallest)
    return taken, _without(free, taken)


def _allotted(free: list[_Component], target: int) -> dict[str, int]:
    """Allot a number of rows to the segments in proportion to their rows (largest remainders)."""
    rows: Counter[str] = Counter()
    for component in free:
        rows[component.segment] += len(component)
    exact = {name: Fraction(target * rows[name], max(1, rows.total())) for name in rows}
    room = {name: int(share) for name, share in exact.items()}
    over = sorted(rows, key=lambda name: (room[name] - exact[name], name))
    for name in over[: max(0, min(target, rows.total()) - sum(room.values()))]:
        room[name] += 1
    return room


def _latest_judged(free: list[_Component], target: int, most: int) -> tuple[list[_Component], list[_Component]]:
    """Take the components that begin last, first of those that the criteria can use, up to so many of such rows.

    Those lie in the latest part of the rows (`PERIOD`), so that enough are left to train on before them.
    """
    by_order = sorted(free, key=lambda component: component.order)
    latest = sorted(by_order, key=lambda component: component.since, reverse=True)
    judged = [component for component in latest if component.judged == len(component)]
    if len(judged) == len(free):
        taken = _latest(latest, target)
        return taken, _without(free, taken)
    period = _beginning(latest, max(target, int(Fraction(PERIOD) * sum(map(len, free)))))
    taken = _latest([each for each in period if each.judged == len(each)], min(target, most))
    partly = [each for each in period if 0 < each.judged < len(each)]
    for more in (_within(partly, most - sum(map(len, taken))), [each for each in latest if not each.judged], latest):
        taken += _latest(_without(more, taken), target - sum(map(len, taken)))
    return taken, _without(free, taken)


def _beginning(components: list[_Component], rows: int) -> list[_Component]:
    """Return the first components, up to the one with which they have so many rows."""
    found = []
    for component in components:
        if rows > 0:
            found.append(component)
        rows -= len(component)
    return found


def _latest(components: list[_Component], target: int) -> list[_Component]:
    """Take components in their order, latest first, up to a number of rows."""
    taken: list[_Component] = []
    short = target
    for component in components:
        if short > 0 and len(component) <= short + OVERSHOOT * target:
            taken.append(component)
            short -= len(component)
    return taken


def _without(free: list[_Component], taken: list[_Component]) -> list[_Component]:
    names = {component.order for component in taken}
    return [component for component in free if component.order not in names]


def _all(chosen: list[_Component], place: Place) -> dict[int, Place]:
    return {member: place for component in chosen for member in component.members}


def _validation_wanted(places: Mapping[int, Place], free: list[_Component], rule: SplitRule) -> int:
    counted = Counter(places.values())
    open_rows = counted[Split.TRAIN] + counted[Split.VALIDATION] + sum(map(len, free))
    wanted = round(Fraction(rule.validation_share) * open_rows)
    return max(0, wanted - counted[Split.VALIDATION])


def _held_out_period(rows: Sequence[Candidate], places: Mapping[int, Place], *, first: bool) -> tuple[str, str]:
    """Return when the held-out period begins and ends.

    In a first round it has no end: training ends before it. Later rounds train on rows after it as well.
    """
    times = [rows[position].time or "" for position, place in places.items() if place is Split.HELD_OUT]
    return min(times), "9999" if first else max(times)


def _outside(
    free: list[_Component], rows: Sequence[Candidate], seed: int, places: dict[int, Place], period: tuple[str, str]
) -> list[_Component]:
    """Leave out what falls in the held-out period before the other splits are drawn; return what is left."""
    found = []
    for component in free:
        inside = {member for member in component.members if _is_inside(rows[member], period)}
        places.update(dict.fromkeys(inside, LeftOut.STRADDLING))
        stays = tuple(member for member in component.members if member not in inside)
        if stays:
            found.append(_component(stays, rows, seed) if inside else component)
    return found


def _leave_out_straddlers(rows: Sequence[Candidate], places: dict[int, Place], period: tuple[str, str]) -> None:
    """Leave out open rows in the held-out period."""
    for position, place in places.items():
        if place in (Split.TRAIN, Split.VALIDATION) and _is_inside(rows[position], period):
            places[position] = LeftOut.STRADDLING


def _is_inside(row: Candidate, period: tuple[str, str]) -> bool:
    return period[0] <= (row.time or "") <= period[1]


def _settle(rows: Sequence[Candidate], seed: int, places: dict[int, Place]) -> None:
    """Repeat without the rows left out, until no component crosses the splits.

    Boilerplate depends on the whole set, so two rows may become near duplicates when others are gone.
    """
    crossing = True
    while crossing:
        crossing = False
        inside = [position for position in sorted(places) if isinstance(places[position], Split)]
        for component in _components([rows[position] for position in inside], seed):
            members = [inside[member] for member in component.members]
            found = {places[member] for member in members}
            if len(found) == 1:
                continue
            crossing = True
            held_out = Split.HELD_OUT in found
            for member in members:
                if places[member] is not Split.HELD_OUT:
                    places[member] = LeftOut.CONTAMINATED if held_out else Split.TRAIN
