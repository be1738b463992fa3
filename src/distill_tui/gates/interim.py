"""The new student against the one that is live, on the same held-out rows; and what an interim ship asks for. Pure.

A refresh can give a student that misses a floor and still does far better than what is live. A gate may fix in advance
(`interim`) by how much such a student must be proven better, and for how many days it may then ship.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from distill_tui.gates.gate import QUALITY, ROW_SCORES, Gate
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.record import Record
from distill_tui.gates.statistics import Scores
from distill_tui.gates.wording import points
from distill_tui.terms import Verdict


@dataclass(frozen=True)
class Lead:
    """By how much the new student is right more often than the live one, with its bounds."""

    rows: int
    student: float  # share of rows that it has right
    live: float
    estimate: float
    lower: float
    upper: float
    level: float  # the one-sided error of each bound
    by_gold: bool  # else right means the teacher's answer
    proven: bool | None  # whether it is at least what the gate's `interim` asks for; None without one

    @property
    def sentence(self) -> str:
        measure = "accuracy" if self.by_gold else "agreement with the teacher"
        what = f"{points(self.student)}% of {measure} against {points(self.live)}% of what is live now"
        bounds = f"{points(1 - self.level)}% bounds: {points(self.lower)} to {points(self.upper)} points"
        return f"On the same {self.rows:,} rows the new student has {what}: {points(self.estimate)} points ({bounds})."


def lead(gate: Gate, record: Record) -> Lead | None:
    """Compare the two; None where the record has no answers of a live student, or nothing to judge them by."""
    rows = [row for row, truth in enumerate(record.truth) if truth >= 0]
    if not record.live or not rows:
        return None
    truth = record.truth
    pairs = [(record.student[row] == truth[row], record.live[row] == truth[row], record.group[row]) for row in rows]
    scores = Scores.of(pairs, paired=True).by(gate.methods)
    level = float((1 - gate.confidence) / max(1, gate.rounds))
    asked = gate.interim
    return Lead(
        rows=len(rows),
        student=sum(new for new, _, _ in pairs) / len(rows),
        live=sum(old for _, old, _ in pairs) / len(rows),
        estimate=scores.estimate or 0.0,
        lower=scores.at_least(level),
        upper=scores.at_most(level),
        level=level,
        by_gold=any(label >= 0 for label in record.gold),
        proven=None if asked is None else scores.exceeds(float(asked.lead)) <= level,
    )


def may_ship(judgements: Iterable[Judgement], gate: Gate, record: Record) -> bool:
    """Whether a student that misses the gate may ship for a while: only quality is missed, and its lead is proven."""
    counting = [each for each in judgements if each.criterion.counts]
    short = [each for each in counting if each.verdict is not Verdict.HOLDS]
    only_quality = all(
        each.verdict is not Verdict.UNMEASURED
        and (each.criterion.metric in QUALITY or each.criterion.metric in ROW_SCORES)
        for each in short
    )
    if gate.interim is None or not short or not only_quality:
        return False
    found = lead(gate, record)
    return found is not None and found.proven is True
