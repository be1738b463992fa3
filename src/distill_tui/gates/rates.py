"""What to show beside the verdict: shares with their intervals, sizes and speeds. Nothing here decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from distill_tui.gates import statistics
from distill_tui.gates.gate import ALL, P95, ROW_SCORES, SEGMENT
from distill_tui.gates.record import CERTAIN, SUBJECTS, Record, rows_in
from distill_tui.gates.statistics import Scores
from distill_tui.gates.wording import count, trim
from distill_tui.terms import Metric


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
class ScoreMeans:
    """The mean of a metric that scores each row, over the rows that everybody named has a score on."""

    metric: Metric
    name: str
    rows: int
    means: Mapping[str, float]  # subject -> mean, 0 to 1

    @property
    def sentence(self) -> str:
        """Say it in a line."""
        told = ", ".join(f"{subject} {trim(f'{mean:.4f}')}" for subject, mean in self.means.items())
        better = "less" if ROW_SCORES[self.metric].lower_is_better else "more"
        return f"{self.name[:1].upper()}{self.name[1:]}: {told}, on {count(self.rows, 'row')} ({better} is better)."


def score_means(record: Record) -> tuple[ScoreMeans, ...]:
    """Average what each row scores, for every such metric that the evaluation has."""
    found = []
    for metric, score in ROW_SCORES.items():
        columns = {name: record.scores.get(metric, {}).get(name, ()) for name in SUBJECTS}
        columns = {name: column for name, column in columns.items() if max(column, default=-1) >= 0}
        rows = [row for row in range(len(record.rows)) if all(column[row] >= 0 for column in columns.values())]
        if "student" in columns and rows:
            means = {name: sum(column[row] for row in rows) / len(rows) / CERTAIN for name, column in columns.items()}
            found.append(ScoreMeans(metric, score.name, len(rows), means))
    return tuple(found)


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
