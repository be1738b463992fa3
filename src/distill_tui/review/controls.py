"""The student compared with its control arms, and with itself trained with other seeds and on fewer rows. Pure.

Nothing here decides; the gate does.
"""

from __future__ import annotations

from dataclasses import dataclass

from distill_tui.gates.record import Record
from distill_tui.gates.statistics import Scores
from distill_tui.gates.wording import in_points, points
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.training import findings_of
from distill_tui.terms import Control, RunKind

WORDS = {
    Control.HARD: "the same student trained on hard labels only",
    Control.GOLD: "the same student trained on gold labels only",
}
QUARTER, HALF = "quarter", "half"
NONE = "No control was trained with this student, so the gain from distillation is unknown."
NOT_PROBED = (
    "No student was trained on a quarter and a half of the rows (probe=true): whether more rows help is unknown."
)
SHARES = "With 25, 50 and 100% of the rows"
SEED = "seed "  # begins the name of an arm that differs from the student in its seed
SEEDS = "Of the same student with"


@dataclass(frozen=True)
class Comparison:
    """The student against one arm on the same rows: its lead, with a 95% interval."""

    arm: str
    rows: int
    student: float  # share of rows that it has right
    other: float
    lead: float
    lower: float
    upper: float
    by_gold: bool  # else right means the teacher's answer

    @property
    def beats(self) -> bool:
        return self.lower > 0

    @property
    def interval(self) -> str:
        return f"95% CI {points(self.lower)} to {points(self.upper)}"

    @property
    def sentence(self) -> str:
        measure = "accuracy" if self.by_gold else "agreement with the teacher"
        words, interval = WORDS[Control(self.arm)], f"({self.interval}, {self.rows:,} rows)"
        if self.beats:
            return f"Distillation gains {in_points(self.lead)} of {measure} over {words} {interval}."
        if self.upper < 0:
            return f"Distillation does harm: {words} leads by {in_points(-self.lead)} of {measure} {interval}."
        return f"Distillation does not beat {words}: {in_points(self.lead)} of {measure}, within noise {interval}."


def comparisons(record: Record) -> tuple[Comparison, ...]:
    """Compare the student with each control arm, by gold where there is gold, else by the teacher's answers."""
    return tuple(_compared(record, control.value) for control in Control if control in record.controls)


def findings(record: Record) -> tuple[str, ...]:
    """Return a sentence for each arm, or that there is none, and whether more rows would help."""
    return (*([each.sentence for each in comparisons(record)] or [NONE]), *filter(None, [seeds(record), probe(record)]))


def probed(dossier: PlayDossier) -> str:
    """Return whether more rows would help, by the newest run that tried fewer, on validation; or that none did."""
    return _newest(dossier, SHARES) or NOT_PROBED


def reseeded(dossier: PlayDossier) -> str:
    """Return how much of a difference is the seed's, by the newest run with several, on validation; empty without."""
    return _newest(dossier, SEEDS)


def _newest(dossier: PlayDossier, begins: str) -> str:
    for run in reversed(dossier.runs):
        for finding in findings_of(run):
            if finding.startswith(begins):
                return f"Run {run.id}, on the validation rows: {finding}"
    return ""


def of_seed(seed: int) -> str:
    """Return the name of the arm of another seed."""
    return f"{SEED}{seed}"


def seeds(record: Record) -> str:
    """Return how far students that differ in their seed alone lie apart; empty without such arms."""
    others = [_compared(record, name) for name in record.controls if name.startswith(SEED)]
    if not others:
        return ""
    scores = [others[0].student, *(each.other for each in others)]
    changed = [
        sum(mine != other for mine, other in zip(record.student, record.controls[each.arm], strict=True))
        / max(1, len(record.student))
        for each in others
    ]
    spread = max(scores) - min(scores)
    return (
        f"{SEEDS} {len(scores)} seeds, {points(min(scores))} to {points(max(scores))}% of {others[0].rows:,} rows are "
        f"right, and another seed answers {points(sum(changed) / len(changed))}% of the rows differently: a difference "
        f"below {in_points(spread)} is no more than the seed's."
    )


def before_paying(dossier: PlayDossier) -> tuple[str, ...]:
    """Return whether more rows would help, where a student was trained already, to show before rows are paid for."""
    return (probed(dossier),) if any(run.kind is RunKind.TRAIN for run in dossier.runs) else ()


def probe(record: Record) -> str:
    """Return whether more rows would help, from the arms of a quarter and a half of them; empty without these arms.

    Only the second half is judged: what doubling the rows has just brought is what doubling them again can bring.
    """
    if HALF not in record.controls or QUARTER not in record.controls:
        return ""
    quarter, half = (_compared(record, name) for name in (QUARTER, HALF))
    shares = f"{points(quarter.other)}, {points(half.other)} and {points(half.student)}%"
    gain = f"the second half adds {in_points(half.lead)} ({half.interval})"
    if half.beats:
        outlook = "so more rows of this kind would help"
    elif half.upper < 0:
        outlook = "so it did harm: look at these rows before adding more"
    else:
        outlook = "within noise: more rows of this kind would hardly help"
    return f"{SHARES}, {shares} of {half.rows:,} are right; {gain}, {outlook}."


def _compared(record: Record, arm: str) -> Comparison:
    truth, answers = record.truth, record.controls[arm]
    rows = [row for row, label in enumerate(truth) if label >= 0]
    right = [(record.student[row] == truth[row], answers[row] == truth[row], record.group[row]) for row in rows]
    scores, count = Scores.of(right, paired=True), max(1, len(rows))
    return Comparison(
        arm=arm,
        rows=len(rows),
        student=sum(student for student, _, _ in right) / count,
        other=sum(other for _, other, _ in right) / count,
        lead=scores.estimate or 0.0,
        lower=scores.at_least(0.025),
        upper=scores.at_most(0.025),
        by_gold=truth is record.gold,
    )
