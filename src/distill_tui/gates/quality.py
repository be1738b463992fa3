"""The verdict on accuracy, agreement and row scores: paired, per segment, by intervals that know dependent rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from distill_tui.gates import statistics
from distill_tui.gates.gate import EVERY_SEGMENT, ROW_SCORES, SEGMENT, Criterion, Gate, bar_of
from distill_tui.gates.judgement import Judgement, decided, more_rows, name_of, roughness, sentence, unmeasured
from distill_tui.gates.record import Record, rows_in
from distill_tui.gates.scored import ScoredSample
from distill_tui.gates.statistics import Scores
from distill_tui.gates.wording import distance, lead, points
from distill_tui.terms import Metric, Reference, Verdict


def judge_quality(criterion: Criterion, gate: Gate, record: Record, alpha: float) -> Iterator[Judgement]:
    """Judge a share or the mean of row scores in each scope; the accusations of several segments go by Holm."""
    scopes = _scopes(criterion, gate, record)
    if not scopes:
        yield unmeasured(criterion, criterion.scope, alpha, "the rows name no segment that it could be about")
        return
    sample_of = ScoredSample.of if criterion.metric in ROW_SCORES else Sample.of
    samples = [sample_of(criterion, gate, record, scope) for scope in scopes]
    accusations = [1.0 if each.one_sided else each.scores.falls_below(each.bar) for each in samples if each.scores.rows]
    stands = iter(statistics.holm(accusations, alpha))
    for sample in samples:
        if sample.scores.rows:
            yield sample.judgement(alpha, misses=next(stands), among=len(accusations))
        else:
            yield unmeasured(criterion, sample.scope, alpha, sample.lacks)


def _scopes(criterion: Criterion, gate: Gate, record: Record) -> list[str]:
    if criterion.scope != EVERY_SEGMENT:
        return [criterion.scope]
    own = {
        each.segment
        for each in gate.criteria
        if (each.metric, each.reference) == (criterion.metric, criterion.reference)
    }
    return [f"{SEGMENT}{name}" for name in record.segments if name not in own]


@dataclass(frozen=True)
class Picked:
    """The rows that bear on one criterion in one scope, and who has each of them right."""

    rows: tuple[int, ...]  # positions in the record
    right: tuple[bool, ...]  # the student, row by row
    other_right: tuple[bool, ...]  # the reference; False throughout where there is none
    paired: bool
    through_agreement: bool  # no gold: accuracy against the teacher is shown by agreement
    other_name: str
    lacks: str  # why there are no rows, where there are none

    @classmethod
    def of(cls, criterion: Criterion, gate: Gate, record: Record, scope: str) -> Picked:
        """Pick the rows that have what it takes to compare."""
        rows = rows_in(record, scope)
        against_teacher = criterion.metric is Metric.ACCURACY and criterion.reference is Reference.TEACHER
        through = against_teacher and not any(record.gold[row] >= 0 for row in rows)
        truth = record.teacher if through or criterion.metric is Metric.AGREEMENT else record.gold
        rival, rival_name = _rival(criterion, gate, record)
        paired = not through and criterion.metric is Metric.ACCURACY and criterion.reference is not Reference.NONE
        usable = tuple(row for row in rows if truth[row] >= 0 and (not paired or rival[row] >= 0))
        return cls(
            rows=usable,
            right=tuple(record.student[row] == truth[row] for row in usable),
            other_right=tuple(paired and rival[row] == truth[row] for row in usable),
            paired=paired,
            through_agreement=through,
            other_name=rival_name,
            lacks=_lacking(rows, truth is record.gold, rival_name if paired else ""),
        )


@dataclass(frozen=True)
class Sample:
    """The scores that bear on one criterion in one scope, and where its bar lies on their scale."""

    criterion: Criterion
    scope: str
    scores: Scores
    bar: float  # the mean score must be above it
    through_agreement: bool  # no gold: accuracy against the teacher is shown by agreement
    students: int  # rows that the student has right
    others: int  # rows that the reference has right
    other_name: str
    lacks: str  # why there are no rows, where there are none

    @classmethod
    def of(cls, criterion: Criterion, gate: Gate, record: Record, scope: str) -> Sample:
        """Score the rows."""
        picked = Picked.of(criterion, gate, record, scope)
        bar = bar_of(criterion)
        if criterion.reference is not Reference.NONE:
            bar = 1 - bar if picked.through_agreement else -bar
        groups = [record.group[row] for row in picked.rows]
        return cls(
            criterion=criterion,
            scope=scope,
            scores=Scores.of(
                zip(picked.right, picked.other_right, groups, strict=True), paired=picked.paired, by_t=gate.methods < 2
            ),
            bar=float(bar),
            through_agreement=picked.through_agreement,
            students=sum(picked.right),
            others=sum(picked.other_right),
            other_name=picked.other_name,
            lacks=picked.lacks,
        )

    @property
    def one_sided(self) -> bool:
        """Whether these rows can prove the criterion but never refute it: to disagree is not to be worse."""
        return self.through_agreement

    def judgement(self, alpha: float, *, misses: bool, among: int) -> Judgement:
        """Compare the interval with the bar."""
        scores = self.scores
        verdict, needed = decided(scores, self.bar, alpha, misses=misses, among=among)
        if self.one_sided and (scores.estimate or 0.0) <= self.bar:
            needed = None
        estimate, lower, upper = scores.estimate, scores.at_least(alpha), scores.at_most(alpha)
        if self.through_agreement:  # as a difference in accuracy: at worst, every disagreement is a loss
            estimate, lower = (estimate or 0.0) - 1, lower - 1
        text = self._what(alpha, verdict, estimate or 0.0, lower, upper) + f": {verdict}"
        if verdict is Verdict.UNPROVEN and not self.one_sided and scores.falls_below(self.bar) <= alpha:
            text += f", as one of {among} segments (alone it would miss)"
        text += more_rows(needed, scores.rows, self.scope)
        text += roughness(scores)
        return Judgement(
            criterion=self.criterion,
            scope=self.scope,
            verdict=verdict,
            n=scores.rows,
            groups=scores.groups,
            estimate=estimate,
            lower=lower,
            upper=None if self.one_sided else upper,
            student=None if self.one_sided else self.students / scores.rows,
            reference=self.others / scores.rows if scores.paired else None,
            level=alpha,
            rows_needed=needed,
            sentence=sentence(self.criterion, text),
        )

    def _what(self, alpha: float, verdict: Verdict, estimate: float, lower: float, upper: float) -> str:
        """Say what was measured, its bound and what the gate asks for."""
        name, level = name_of(self.criterion, self.scope), f"{points(1 - alpha)} %"
        if self.through_agreement:
            asked = points(1 - self.bar)
            bound = points(-lower, unlike=1 - self.bar)
            return (
                f"{name} cannot trail the teacher by more than they disagree, as no row has gold: on "
                f"{points(-estimate)} % of rows ({level} bound: {bound}); the gate allows {asked}"
            )
        if not self.scores.paired:
            bounds = {Verdict.HOLDS: f"bound: {points(lower, unlike=self.bar)}"}
            bounds[Verdict.MISSES] = f"bound: at most {points(upper, unlike=self.bar)}"
            bounds[Verdict.UNPROVEN] = f"bounds: {points(lower, unlike=self.bar)} to {points(upper, unlike=self.bar)}"
            of = "agreement with the teacher" if self.criterion.metric is Metric.AGREEMENT else "accuracy"
            name = name.replace(str(self.criterion.metric), of, 1)
            asked = f"the gate asks for {points(self.bar)}"
            return f"{name} is {points(estimate)} % ({level} {bounds[verdict]}); {asked}"
        allowed = -self.bar
        asked = f"the gate allows {points(allowed)}" if allowed > 0 else "the gate asks for a lead"
        asked += f" of {points(-allowed)}" if allowed < 0 else ""
        low, high = lead(lower, self.bar), lead(upper, self.bar)
        if verdict is Verdict.HOLDS:
            bound = f"bound: {points(-lower, unlike=allowed)}" if lower <= 0 and estimate < 0 else f"bound: {low}"
        elif verdict is Verdict.MISSES:
            bound = f"bound: {high} at best"
        else:
            bound = f"bounds: {low} to {high}"
        return f"{name} {distance(estimate, self.other_name)} ({level} {bound}); {asked}"


def _rival(criterion: Criterion, gate: Gate, record: Record) -> tuple[tuple[int, ...], str]:
    if criterion.reference is Reference.BASELINE:
        if gate.baseline == "majority":
            return (record.majority,) * len(record.rows), "the majority baseline"
        return record.baseline, f"the {gate.baseline} baseline"
    return record.teacher, "the teacher"


def _lacking(rows: list[int], needs_gold: bool, rival: str) -> str:
    if not rows:
        return "no held-out row is in its scope"
    if not needs_gold:
        return "no row has an output of the teacher"
    return f"no row has gold and an output of {rival}" if rival else "no row has gold"
