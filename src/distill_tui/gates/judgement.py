"""What a record says of one criterion: verdict, interval, and the sentence that people read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_tui.gates.gate import ROW_SCORES, SEGMENT, Criterion
from distill_tui.gates.wording import count
from distill_tui.terms import Metric, Verdict

if TYPE_CHECKING:
    from distill_tui.gates.paired import RowScores
    from distill_tui.gates.statistics import Scores


@dataclass(frozen=True)
class Judgement:
    """What a record says of one criterion in one scope."""

    criterion: Criterion
    scope: str  # "all" or "segment: NAME"
    verdict: Verdict
    n: int  # rows, or requests, that were counted
    groups: int  # how many of them are independent
    estimate: float | None  # of what is judged: a difference, a share, milliseconds, months or megabytes
    lower: float | None
    upper: float | None  # None beside an estimate: there is no bound on that side
    student: float | None  # accuracy or agreement, to show
    reference: float | None
    level: float  # the one-sided error that this look may spend
    rows_needed: int | None  # rows in all that would decide, where the verdict is unproven and some number would
    sentence: str


def unmeasured(criterion: Criterion, scope: str, alpha: float, reason: str) -> Judgement:
    """Say that a criterion could not be judged, and why; that never counts as held."""
    name = name_of(criterion, scope)
    text = sentence(criterion, f"{name} is unmeasured: {reason}")
    return Judgement(criterion, scope, Verdict.UNMEASURED, 0, 0, None, None, None, None, None, alpha, None, text)


def sentence(criterion: Criterion, text: str) -> str:
    """Make a sentence of a text, with why it does not count where it does not."""
    watched = f" (watched only: {criterion.watch_only.rstrip('. ')})" if criterion.watch_only else ""
    return f"{text[:1].upper()}{text[1:]}{watched}."


def name_of(criterion: Criterion, scope: str) -> str:
    """Name what is judged, and where."""
    words = {Metric.P95_LATENCY: "the student's p95 latency", Metric.PAYBACK: "payback", Metric.SIZE: "size"}
    words |= {Metric.DEFERRED: "the share sent back"}
    words |= {metric: score.name for metric, score in ROW_SCORES.items()}
    where = f" in segment '{scope.removeprefix(SEGMENT)}'" if scope.startswith(SEGMENT) else ""
    if scope == criterion.scope and criterion.patterns is not None:
        where = f" {'' if criterion.patterns[1] else 'on the '}{scope}"
    return words.get(criterion.metric, str(criterion.metric)) + where


def more_rows(needed: int | None, rows: int, scope: str) -> str:
    """Say how many more rows would decide, and of what; nothing where no number would."""
    of = " of this segment" if scope.startswith(SEGMENT) else ""
    return "" if needed is None else f", and about {count(needed - rows, 'more row')}{of} would decide"


def decided(
    scores: Scores | RowScores, bar: float, alpha: float, *, misses: bool, among: int
) -> tuple[Verdict, int | None]:
    """Give the verdict of an interval against a bar, and of an unproven one the rows that would decide."""
    holds = scores.exceeds(bar) <= alpha
    verdict = Verdict.HOLDS if holds else Verdict.MISSES if misses else Verdict.UNPROVEN
    level = alpha if (scores.estimate or 0.0) > bar else alpha / among  # to miss is one accusation of several
    return verdict, scores.rows_needed(bar, level) if verdict is Verdict.UNPROVEN else None


def roughness(scores: Scores | RowScores) -> str:
    """Say that a bound is rough where its rows come from few groups; else nothing."""
    groups = "a single group" if scores.groups == 1 else f"only {scores.groups} groups"
    return f" (its rows come from {groups}, so the bound is rough)" if scores.rough else ""
