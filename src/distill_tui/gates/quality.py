"""The verdict on accuracy, agreement and scores: paired, by segment or label, with intervals for dependent rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from distill_tui.gates import label_scores, scale_scores, statistics
from distill_tui.gates.gate import (
    EVERY_LABEL,
    EVERY_SEGMENT,
    LABEL,
    LABEL_SCORES,
    NOT_MEANS,
    ROW_SCORES,
    SCALE_SCORES,
    SEGMENT,
    Criterion,
    Gate,
    bar_of,
    baseline_name,
)
from distill_tui.gates.judgement import Judgement, decided, unmeasured
from distill_tui.gates.label_scores import labels_in_gold
from distill_tui.gates.ratios import Ratios
from distill_tui.gates.record import CERTAIN, Record, rows_in
from distill_tui.gates.statistics import Scores
from distill_tui.terms import Metric, Reference, Verdict


def judge_quality(criterion: Criterion, gate: Gate, record: Record, alpha: float) -> Iterator[Judgement]:
    """Judge a share or the mean of row scores in each scope; Holm's correction over the segments that may miss."""
    scopes = _scopes(criterion, gate, record)
    if not scopes:
        what = "gold names no label" if criterion.metric in LABEL_SCORES else "the rows name no segment"
        yield unmeasured(criterion, criterion.scope, alpha, f"{what} that it could be about")
        return
    samples = [Sample.of(criterion, gate, record, scope) for scope in scopes]
    misses = [1.0 if s.by_disagreement else s.scores.falls_below(s.bar) for s in samples if s.scores.rows]
    stands = iter(statistics.holm(misses, alpha))
    for sample in samples:
        if sample.scores.rows:
            yield sample.judgement(alpha, misses=next(stands), among=len(misses))
        else:
            yield unmeasured(criterion, sample.scope, alpha, sample.lacks)


def _scopes(criterion: Criterion, gate: Gate, record: Record) -> list[str]:
    if criterion.scope not in (EVERY_SEGMENT, EVERY_LABEL):
        return [criterion.scope]
    own = {
        each.scope for each in gate.criteria if (each.metric, each.reference) == (criterion.metric, criterion.reference)
    }
    names = [f"{SEGMENT}{name}" for name in record.segments]
    if criterion.scope == EVERY_LABEL:
        names = [f"{LABEL}{name}" for name in labels_in_gold(record)]
    return [scope for scope in names if scope not in own]


# --- which rows bear on a criterion ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Picked:
    """The rows that bear on a criterion on labels in one scope, and who has each of them right."""

    rows: tuple[int, ...]  # positions in the record
    right: tuple[bool, ...]  # the student, row by row
    other_right: tuple[bool, ...]  # the reference; False throughout where there is none
    paired: bool
    by_disagreement: bool  # no gold: accuracy against the teacher is bounded by disagreement
    other: str
    lacks: str  # why there are no rows, where there are none

    @classmethod
    def of(cls, criterion: Criterion, gate: Gate, record: Record, scope: str) -> Picked:
        rows = rows_in(record, scope)
        against_teacher = criterion.metric is Metric.ACCURACY and criterion.reference is Reference.TEACHER
        by_disagreement = against_teacher and not any(record.gold[row] >= 0 for row in rows)
        truth = record.teacher if by_disagreement or criterion.metric is Metric.AGREEMENT else record.gold
        rival, name = _answers_of(criterion, gate, record), _rival(criterion, gate, record)
        paired = not by_disagreement and criterion.metric is Metric.ACCURACY and bool(name)
        usable = tuple(row for row in rows if truth[row] >= 0 and (not paired or rival[row] >= 0))
        needs = f"gold and an output of {name}" if paired else "gold"
        needs = needs if truth is record.gold else "an output of the teacher"
        return cls(
            rows=usable,
            right=tuple(record.student[row] == truth[row] for row in usable),
            other_right=tuple(paired and rival[row] == truth[row] for row in usable),
            paired=paired,
            by_disagreement=by_disagreement,
            other=name,
            lacks=f"no row has {needs}" if rows else "no held-out row is in its scope",
        )


def _rival(criterion: Criterion, gate: Gate, record: Record) -> str:
    names = {Reference.TEACHER: "the teacher", Reference.BASELINE: f"the {baseline_name(gate, record.task)} baseline"}
    return names.get(criterion.reference, "")


def _answers_of(criterion: Criterion, gate: Gate, record: Record) -> tuple[int, ...]:
    """Return the answers of the reference; without one, the teacher's."""
    if criterion.reference is not Reference.BASELINE:
        return record.teacher
    return (record.majority,) * len(record.rows) if gate.baseline == "majority" else record.baseline


def row_scores(criterion: Criterion, record: Record, scope: str) -> dict[int, tuple[int, int]]:
    """Return position → the scores of student and reference there, in 1/10,000, more is better; 0 without a reference.

    Rows are left out where one of the two has no score.
    """
    columns: Mapping[str, tuple[int, ...]] = record.scores.get(criterion.metric, {})
    student, other = columns.get("student", ()), columns.get(str(criterion.reference), ())
    alone, falls = criterion.reference is Reference.NONE, ROW_SCORES[criterion.metric].lower_is_better
    found = {}
    for row in rows_in(record, scope) if student and (alone or other) else ():
        pair = (student[row], -1 if alone else other[row])
        if pair[0] >= 0 and (alone or pair[1] >= 0):
            first, second = ((CERTAIN - each if falls else each) for each in pair)
            found[row] = (first, 0 if alone else second)
    return found


def _without_scores(criterion: Criterion, record: Record, scope: str, rival: str) -> str:
    columns = record.scores.get(criterion.metric, {})
    if not rows_in(record, scope):
        return "no held-out row is in its scope"
    if "student" not in columns or max(columns["student"], default=-1) < 0:
        return "the evaluation has no such score of the student: it takes rows with gold"
    return f"no row has such a score of the student and of {rival}" if rival else "no row in its scope has such a score"


# --- the comparison --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """The scores that bear on one criterion in one scope, turned so that more is better, and where its bar is."""

    criterion: Criterion
    scope: str
    scores: Scores | Ratios
    bar: float  # the mean score must be above it
    student: float  # share of right rows, or mean score on the metric's own scale
    other_score: float | None
    other: str
    lacks: str  # why there are no rows, where there are none
    by_disagreement: bool = False  # such rows can prove the criterion but never refute it: to disagree is not to err

    @classmethod
    def of(cls, criterion: Criterion, gate: Gate, record: Record, scope: str) -> Sample:
        if criterion.metric in NOT_MEANS:
            found = cls._not_mean(criterion, gate, record, scope)
        elif criterion.metric in ROW_SCORES:
            found = cls._scored(criterion, gate, record, scope)
        else:
            found = cls._right(criterion, gate, record, scope)
        return replace(found, scores=found.scores.by(gate.methods))

    @classmethod
    def _right(cls, criterion: Criterion, gate: Gate, record: Record, scope: str) -> Sample:
        picked, bar = Picked.of(criterion, gate, record, scope), bar_of(criterion)
        if criterion.reference is not Reference.NONE:
            bar = 1 - bar if picked.by_disagreement else -bar
        pairs = zip(picked.right, picked.other_right, (record.group[row] for row in picked.rows), strict=True)
        count = max(1, len(picked.rows))
        return cls(
            criterion=criterion,
            scope=scope,
            scores=Scores.of(pairs, paired=picked.paired),
            bar=float(bar),
            student=sum(picked.right) / count,
            other_score=sum(picked.other_right) / count if picked.paired else None,
            other=picked.other,
            lacks=picked.lacks,
            by_disagreement=picked.by_disagreement,
        )

    @classmethod
    def _scored(cls, criterion: Criterion, gate: Gate, record: Record, scope: str) -> Sample:
        found, bar, rival = (
            row_scores(criterion, record, scope),
            float(bar_of(criterion)),
            _rival(criterion, gate, record),
        )
        alone, falls = criterion.reference is Reference.NONE, ROW_SCORES[criterion.metric].lower_is_better
        totals = [sum(CERTAIN - pair[side] if falls else pair[side] for pair in found.values()) for side in (0, 1)]
        student, other = (total / CERTAIN / max(1, len(found)) for total in totals)
        graded = ((*pair, record.group[row]) for row, pair in found.items())
        right = ((one == CERTAIN, two == CERTAIN, group) for one, two, group in graded)
        shares = criterion.metric is Metric.WITHIN_ONE  # each row is right or wrong
        return cls(
            criterion=criterion,
            scope=scope,
            scores=Scores.of(right, paired=not alone)
            if shares
            else Scores.of_graded(graded, CERTAIN, paired=not alone),
            bar=-bar if not alone else 1 - bar if falls else bar,
            student=student,
            other_score=None if alone else other,
            other=rival,
            lacks=_without_scores(criterion, record, scope, rival),
        )

    @classmethod
    def _not_mean(cls, criterion: Criterion, gate: Gate, record: Record, scope: str) -> Sample:
        alone, bar, name = (
            criterion.reference is Reference.NONE,
            float(bar_of(criterion)),
            _rival(criterion, gate, record),
        )
        evidence = scale_scores.evidence if criterion.metric in SCALE_SCORES else label_scores.evidence
        found = evidence(criterion, record, scope, None if alone else _answers_of(criterion, gate, record), name)
        return cls(
            criterion=criterion,
            scope=scope,
            scores=found.scores,
            bar=bar if alone else -bar,
            student=found.student,
            other_score=found.other,
            other=name,
            lacks=found.lacks,
        )

    def judgement(self, alpha: float, *, misses: bool, among: int) -> Judgement:
        scores, unpaired = self.scores, not self.scores.paired
        verdict, needed = decided(scores, self.bar, alpha, misses=misses, among=among)
        estimate, lower, upper = scores.estimate or 0.0, scores.at_least(alpha), scores.at_most(alpha)
        unproven = verdict is Verdict.UNPROVEN and not self.by_disagreement
        if self.by_disagreement:  # as a difference in accuracy: at worst, every disagreement is a loss
            needed = None if estimate <= self.bar else needed
            estimate, lower = estimate - 1, lower - 1
        elif self.criterion.metric in ROW_SCORES and unpaired and not self.criterion.at_least:  # on its own scale
            estimate, lower, upper = 1 - estimate, 1 - upper, 1 - lower
        return Judgement(
            criterion=self.criterion,
            scope=self.scope,
            verdict=verdict,
            level=alpha,
            n=scores.rows,
            groups=scores.groups,
            estimate=estimate,
            lower=lower,
            upper=None if self.by_disagreement else upper,
            student=None if self.by_disagreement else self.student,
            reference=self.other_score,
            rows_needed=needed,
            other=self.other,
            by_disagreement=self.by_disagreement,
            among=among if unproven and scores.falls_below(self.bar) <= alpha else 0,
            rough=scores.rough,
        )
