"""What to show beside the verdict: shares with their intervals, sizes and speeds. Nothing here decides."""

from __future__ import annotations

from dataclasses import dataclass

from distill_tui import statistics
from distill_tui.gates.gate import ALL, P95, SEGMENT
from distill_tui.gates.record import SUBJECTS, Record, rows_in
from distill_tui.statistics import Scores


@dataclass(frozen=True)
class Rate:
    """A share with its interval."""

    hits: int
    n: int
    share: float
    lower: float
    upper: float


@dataclass(frozen=True)
class SegmentRates:
    """How everyone did in one scope; None where there is nothing to count."""

    scope: str
    n: int
    student: Rate | None
    teacher: Rate | None
    baseline: Rate | None
    agreement: Rate | None
    difference: tuple[float, float, float] | None  # student minus teacher in accuracy, with its bounds


def segment_rates(record: Record, confidence: float = 0.95) -> tuple[SegmentRates, ...]:
    """Count accuracy, agreement and difference for "all" and for each segment, with two-sided intervals.

    Shares have Wilson's interval where rows are independent, else the clustered one; the difference is as in `judge`.
    The baseline is the trained one; nothing here decides.
    """
    alpha = (1 - confidence) / 2
    scopes = [ALL, *(f"{SEGMENT}{name}" for name in record.segments)]
    return tuple(_rates(record, scope, alpha) for scope in scopes)


def _rates(record: Record, scope: str, alpha: float) -> SegmentRates:
    rows = rows_in(record, scope)
    marked = [row for row in rows if record.gold[row] >= 0]

    def rate(column: tuple[int, ...], truth: tuple[int, ...]) -> Rate | None:
        usable = [row for row in rows if truth[row] >= 0 and column[row] >= 0]
        scores = Scores.of(((column[row] == truth[row], False, record.group[row]) for row in usable), paired=False)
        if not scores.rows:
            return None
        bounds = (scores.at_least(alpha), scores.at_most(alpha)) if scores.clustered else None
        lower, upper = bounds or statistics.wilson_interval(scores.wins, scores.rows, alpha)
        return Rate(scores.wins, scores.rows, scores.wins / scores.rows, lower, upper)

    both = [row for row in marked if record.teacher[row] >= 0]
    scores = Scores.of(
        (
            (record.student[row] == record.gold[row], record.teacher[row] == record.gold[row], record.group[row])
            for row in both
        ),
        paired=True,
    )
    return SegmentRates(
        scope=scope,
        n=len(rows),
        student=rate(record.student, record.gold),
        teacher=rate(record.teacher, record.gold),
        baseline=rate(record.baseline, record.gold),
        agreement=rate(record.student, record.teacher),
        difference=None
        if scores.estimate is None
        else (scores.estimate, scores.at_least(alpha), scores.at_most(alpha)),
    )


@dataclass(frozen=True)
class Subject:
    """One of student, teacher and baseline: how large and how fast it is, as far as that was measured."""

    name: str
    parameters: int | None
    bytes: int | None
    p50_ms: float | None  # of the requests of all runs
    p95_ms: float | None


def subjects(record: Record) -> tuple[Subject, ...]:
    """Give sizes and latencies of student, teacher and baseline, side by side."""
    found = []
    for name in SUBJECTS:
        times = sorted(each for run in record.latency_us.get(name, ()) for each in run)
        p50, p95 = (
            times[statistics.sample_rank(len(times), quantile) - 1] / 1000 if times else None for quantile in (0.5, P95)
        )
        found.append(Subject(name, record.parameters.get(name), record.bytes.get(name), p50, p95))
    return tuple(found)
