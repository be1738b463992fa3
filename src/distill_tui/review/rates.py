"""Shares of right answers with their intervals, by segment, and the means of row scores. Nothing here decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from distill_tui.gates.gate import ALL, ROW_SCORES, SEGMENT
from distill_tui.gates.record import CERTAIN, SUBJECTS, Record, rows_in
from distill_tui.gates.statistics import Scores
from distill_tui.gates.wording import count, trim
from distill_tui.terms import Metric

TAIL = (1 - 0.95) / 2  # beyond each end of a 95% interval
Answers = tuple[int, ...]  # one number a row; below 0 where there is none


@dataclass(frozen=True)
class Rate:
    """A share with its interval."""

    hits: int
    n: int
    share: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Shares:
    """The same shares without intervals, which need scipy; None where there is nothing to count."""

    student: float | None
    teacher: float | None
    baseline: float | None
    agreement: float | None


@dataclass(frozen=True)
class SegmentRates:
    """Accuracy and agreement in one scope; None where there is nothing to count."""

    scope: str
    n: int
    gold: int  # of its rows, those with gold
    student: Rate | None
    teacher: Rate | None
    baseline: Rate | None
    agreement: Rate | None
    difference: tuple[float, float, float] | None  # student minus teacher in accuracy, with its bounds


def segment_rates(record: Record) -> tuple[SegmentRates, ...]:
    """Count accuracy, agreement and difference for "all" and, where there are several, for each segment."""
    alone = len(record.segments) == 1 and all(segment == 0 for segment in record.segment)  # it is all there is
    scopes = [ALL, *(f"{SEGMENT}{name}" for name in record.segments if not alone)]
    return tuple(rates_of(record, scope) for scope in scopes)


def rates_of(record: Record, scope: str = ALL) -> SegmentRates:
    """Count one scope, with two-sided intervals.

    Shares have Wilson's interval where rows are independent, else the clustered one; the difference is as in `judge`.
    The baseline is the trained one.
    """
    rows = rows_in(record, scope)
    marked = [row for row in rows if record.gold[row] >= 0]

    def rate(column: Answers, truth: Answers) -> Rate | None:
        scores = _scores(record, rows, column, truth)
        if not scores.rows:
            return None
        return Rate(scores.wins, scores.rows, scores.wins / scores.rows, *scores.interval(TAIL))

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
        gold=len(marked),
        student=rate(record.student, record.gold),
        teacher=rate(record.teacher, record.gold),
        baseline=rate(record.baseline, record.gold),
        agreement=rate(record.student, record.teacher),
        difference=None if scores.estimate is None else (scores.estimate, scores.at_least(TAIL), scores.at_most(TAIL)),
    )


def shares_of(record: Record) -> Shares:
    """Count the shares of right answers over all rows."""

    def share(column: Answers, truth: Answers) -> float | None:
        scores = _scores(record, range(len(record.rows)), column, truth)
        return scores.wins / scores.rows if scores.rows else None

    return Shares(
        student=share(record.student, record.gold),
        teacher=share(record.teacher, record.gold),
        baseline=share(record.baseline, record.gold),
        agreement=share(record.student, record.teacher),
    )


def _scores(record: Record, rows: Iterable[int], column: Answers, truth: Answers) -> Scores:
    """Count where two columns agree, over the rows that have both."""
    usable = [row for row in rows if truth[row] >= 0 and column[row] >= 0]
    return Scores.of(((column[row] == truth[row], False, record.group[row]) for row in usable), paired=False)


@dataclass(frozen=True)
class ScoreMeans:
    """The mean of a metric that scores each row, over the rows on which all subjects have a score."""

    metric: Metric
    name: str
    rows: int
    means: Mapping[str, float]  # subject -> mean, 0 to 1

    @property
    def sentence(self) -> str:
        means = ", ".join(f"{subject} {trim(f'{mean:.4f}')}" for subject, mean in self.means.items())
        better = "lower" if ROW_SCORES[self.metric].lower_is_better else "higher"
        return f"{self.name[:1].upper()}{self.name[1:]}: {means}, on {count(self.rows, 'row')} ({better} is better)."


def score_means(record: Record) -> tuple[ScoreMeans, ...]:
    """Average the scores of each metric that scores rows, where the evaluation has it."""
    found = []
    for metric, score in ROW_SCORES.items():
        columns = {name: record.scores.get(metric, {}).get(name, ()) for name in SUBJECTS}
        columns = {name: column for name, column in columns.items() if max(column, default=-1) >= 0}
        rows = [row for row in range(len(record.rows)) if all(column[row] >= 0 for column in columns.values())]
        if "student" in columns and rows:
            means = {name: sum(column[row] for row in rows) / len(rows) / CERTAIN for name, column in columns.items()}
            found.append(ScoreMeans(metric, score.name, len(rows), means))
    return tuple(found)
