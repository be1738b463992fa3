"""The verdict on a metric that scores each row from 0 to 1: the mean of student and reference on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from distill_tui.gates.gate import ROW_SCORES, Criterion, Gate, bar_of
from distill_tui.gates.judgement import Judgement, decided, more_rows, name_of, roughness, sentence
from distill_tui.gates.paired import RowScores
from distill_tui.gates.record import CERTAIN, Record, rows_in
from distill_tui.gates.wording import distance, lead, points, trim
from distill_tui.terms import Reference, Verdict


def row_scores(criterion: Criterion, record: Record, scope: str) -> dict[int, tuple[int, int]]:
    """Give position → what student and reference score there, in 1/10,000 and more is better; 0 without a reference.

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


@dataclass(frozen=True)
class ScoredSample:
    """The row scores that bear on one criterion in one scope, turned so that more is better, and where its bar lies."""

    criterion: Criterion
    scope: str
    scores: RowScores
    bar: float  # the mean must be above it
    student: float  # mean score on the metric's own scale
    other: float | None
    other_name: str
    lacks: str  # why there are no rows, where there are none
    one_sided: bool = False  # scores can refute as well as prove

    @classmethod
    def of(cls, criterion: Criterion, gate: Gate, record: Record, scope: str) -> ScoredSample:
        """Pick the rows that have what it takes to compare, and add up their scores by group."""
        found, bar = row_scores(criterion, record, scope), float(bar_of(criterion))
        alone, falls = criterion.reference is Reference.NONE, ROW_SCORES[criterion.metric].lower_is_better
        totals = [sum(CERTAIN - pair[side] if falls else pair[side] for pair in found.values()) for side in (0, 1)]
        student, other = (total / CERTAIN / max(1, len(found)) for total in totals)
        baseline = f"the {gate.baseline} baseline"
        who = {Reference.TEACHER: "the teacher", Reference.BASELINE: baseline}.get(criterion.reference, "")
        return cls(
            criterion=criterion,
            scope=scope,
            scores=RowScores.of(((*pair, record.group[row]) for row, pair in found.items()), CERTAIN, paired=not alone),
            bar=-bar if not alone else 1 - bar if falls else bar,
            student=student,
            other=None if alone else other,
            other_name=who,
            lacks=_lacking(criterion, record, scope, who),
        )

    def judgement(self, alpha: float, *, misses: bool, among: int) -> Judgement:
        """Compare the interval with the bar."""
        scores, falls = self.scores, ROW_SCORES[self.criterion.metric].lower_is_better
        verdict, needed = decided(scores, self.bar, alpha, misses=misses, among=among)
        estimate, lower, upper = scores.estimate or 0.0, scores.at_least(alpha), scores.at_most(alpha)
        if falls and not scores.paired:  # back on the metric's own scale
            estimate, lower, upper = 1 - estimate, 1 - upper, 1 - lower
        what = self._difference if scores.paired else self._level
        text = f"{name_of(self.criterion, self.scope)} {what(alpha, verdict, estimate, lower, upper)}: {verdict}"
        if verdict is Verdict.UNPROVEN and scores.falls_below(self.bar) <= alpha:
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
            upper=upper,
            student=self.student,
            reference=self.other,
            level=alpha,
            rows_needed=needed,
            sentence=sentence(self.criterion, text),
        )

    def _difference(self, alpha: float, verdict: Verdict, estimate: float, lower: float, upper: float) -> str:
        low, high = lead(lower, self.bar), lead(upper, self.bar)
        bound = {Verdict.HOLDS: low, Verdict.MISSES: f"{high} at best"}.get(verdict, f"{low} to {high}")
        asked = f"allows {points(-self.bar)}" if self.bar < 0 else "asks for a lead"
        asked += f" of {points(self.bar)}" if self.bar > 0 else ""
        both = f"{_score(self.student)} against {_score(self.other or 0.0)}"
        return f"{distance(estimate, self.other_name)}, {both} ({points(1 - alpha)} % bound: {bound}); the gate {asked}"

    def _level(self, alpha: float, verdict: Verdict, estimate: float, lower: float, upper: float) -> str:
        falls = ROW_SCORES[self.criterion.metric].lower_is_better
        low, high = _score(lower), _score(upper)
        bound = f"{low} to {high}"
        if verdict is not Verdict.UNPROVEN:
            bound = f"at most {high}" if falls == (verdict is Verdict.HOLDS) else f"at least {low}"
        asked = f"{'at most' if falls else 'at least'} {_score(float(bar_of(self.criterion)))}"
        return f"is {_score(estimate)} ({points(1 - alpha)} % bound: {bound}); the gate asks for {asked}"


def _score(number: float) -> str:
    return trim(f"{number:.4f}")


def _lacking(criterion: Criterion, record: Record, scope: str, rival: str) -> str:
    columns = record.scores.get(criterion.metric, {})
    if not rows_in(record, scope):
        return "no held-out row is in its scope"
    if "student" not in columns or max(columns["student"], default=-1) < 0:
        return "the evaluation has no such score of the student: it takes rows with gold"
    return f"no row has such a score of the student and of {rival}" if rival else "no row in its scope has such a score"
