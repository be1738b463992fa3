"""The rows that a criterion can use: gold where it needs gold, the teacher's output where it needs that. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from distill_tui.gates.gate import SCORED, SEGMENT, Criterion, Gate
from distill_tui.terms import Metric, Reference

PERIOD = 0.5  # by time, rows that can judge are held out from this latest part of the traffic, and not earlier


class Need(StrEnum):
    """What a row must have so that a criterion can use it: a column of `SegmentRows`."""

    NOTHING = "rows"
    GOLD = "gold"
    TEACHER = "teacher"
    BOTH = "both"
    SOFT = "soft"

    @property
    def words(self) -> str:
        return {
            Need.GOLD: "gold",
            Need.TEACHER: "an answer of the teacher",
            Need.BOTH: "gold and an answer of the teacher",
            Need.SOFT: "gold and the teacher's probabilities",
        }.get(self, "nothing but the input")


@dataclass(frozen=True)
class SegmentRows:
    """The rows of one segment, and those of them that have what a criterion may need."""

    segment: str
    rows: int
    gold: int
    teacher: int  # an answer, of whatever kind
    both: int  # gold and an answer
    soft: int  # gold and probabilities

    def of(self, need: Need) -> int:
        return int(getattr(self, need.value))


def need_of(criterion: Criterion) -> Need:
    """Return what a row needs so that a criterion can use it."""
    against_teacher = criterion.reference is Reference.TEACHER
    match criterion.metric:
        case Metric.AGREEMENT:
            return Need.TEACHER
        case Metric.BRIER if against_teacher:
            return Need.SOFT
        case metric if metric is Metric.ACCURACY or metric in SCORED:
            return Need.BOTH if against_teacher else Need.GOLD
        case _:
            return Need.NOTHING


def usable(found: Sequence[SegmentRows], criterion: Criterion, scope: str) -> int:
    """Return the rows of a scope that a criterion can use.

    Accuracy against the teacher is bounded by disagreement where no row of the scope has gold: then each row with an
    answer of the teacher can be used.
    """
    here = [each for each in found if not scope.startswith(SEGMENT) or each.segment == scope.removeprefix(SEGMENT)]
    need = need_of(criterion)
    if criterion.metric is Metric.ACCURACY and need is Need.BOTH and not total(here, Need.GOLD):
        need = Need.TEACHER
    return total(here, need)


def total(found: Iterable[SegmentRows], need: Need = Need.NOTHING) -> int:
    return sum(each.of(need) for each in found)


def unmeasurable(gate: Gate, found: Sequence[SegmentRows]) -> Iterator[tuple[Criterion, Need]]:
    """Yield the criteria that count and of which not one row can be used, with what the rows lack."""
    for criterion in gate.criteria:
        need = need_of(criterion)
        if criterion.counts and need is not Need.NOTHING and not usable(found, criterion, criterion.scope):
            yield criterion, Need.TEACHER if need is Need.BOTH and not total(found, Need.TEACHER) else need


def strictest(gate: Gate) -> Need:
    """Return what a row needs so that every criterion that counts can use it."""
    asked = {need_of(each) for each in gate.criteria if each.counts}
    if Need.SOFT in asked:
        return Need.SOFT
    if Need.BOTH in asked or {Need.GOLD, Need.TEACHER} <= asked:
        return Need.BOTH
    return next((need for need in (Need.GOLD, Need.TEACHER) if need in asked), Need.NOTHING)


def expected(gate: Gate, traffic: Sequence[SegmentRows]) -> tuple[SegmentRows, ...]:
    """Return what the held-out rows will have, by the traffic that is there.

    The split takes rows that every criterion can use first and leaves validation its share of them: by seed each
    segment by its share of the traffic, by time the latest ones of the `PERIOD`, as if they were spread evenly over it.
    """
    rows, every = total(traffic), strictest(gate)
    if every is Need.BOTH and not total(traffic, every):
        every = Need.TEACHER
    there, share = total(traffic, every), min(1.0, gate.held_out_rows / max(1, rows))
    room = [share * each.rows for each in traffic]
    most = min(share * rows, there if there == rows else there * float(1 - gate.validation_share))
    if gate.by_time:
        most = min(most, there * max(share, PERIOD))
        first = [most * each.of(every) / max(1, there) for each in traffic]
    else:
        first = [min(own, each.of(every)) for own, each in zip(room, traffic, strict=True)]
        first = _filled(first, [each.of(every) for each in traffic], most)
    others = [each.rows - each.of(every) for each in traffic]
    rest = [min(max(0.0, own - got), left) for own, got, left in zip(room, first, others, strict=True)]
    rest = _filled(rest, others, share * rows - sum(first))
    first = _filled(first, [each.of(every) for each in traffic], share * rows - sum(rest))
    return tuple(
        SegmentRows(each.segment, **{need.value: round(_having(need, every, each, got, more)) for need in Need})
        for each, got, more in zip(traffic, first, rest, strict=True)
    )


def _filled(taken: Sequence[float], there: Sequence[int], wanted: float) -> list[float]:
    """Scale what is taken down to a total, or fill it up from what is left, in proportion."""
    short, left = wanted - sum(taken), sum(there) - sum(taken)
    if short <= 0:
        return [each * wanted / max(1e-9, sum(taken)) for each in taken]
    return [each + min(1.0, short / max(1e-9, left)) * (most - each) for each, most in zip(taken, there, strict=True)]


def _having(need: Need, every: Need, found: SegmentRows, first: float, rest: float) -> float:
    """Return how many of so many rows of a segment, picked for what every criterion needs and others, have this."""
    picked, others = found.of(every), found.rows - found.of(every)
    inside = picked if need in _IMPLIED[every] else picked * found.of(need) / max(1, found.rows)
    inside = min(inside, found.of(need))
    return first * inside / max(1, picked) + rest * (found.of(need) - inside) / max(1, others)


_IMPLIED = {
    Need.NOTHING: (Need.NOTHING,),
    Need.GOLD: (Need.NOTHING, Need.GOLD),
    Need.TEACHER: (Need.NOTHING, Need.TEACHER),
    Need.BOTH: (Need.NOTHING, Need.GOLD, Need.TEACHER, Need.BOTH),
    Need.SOFT: tuple(Need),
}
