"""What distillation is worth, and whether more rows would help: a student beside arms that were trained with it.

Pure: it reads an evaluation record, which holds what each arm answered, and of a play what its last probe said of the
validation rows. Nothing here decides; the gate does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from distill_tui.gates.record import Record
from distill_tui.gates.statistics import Scores
from distill_tui.gates.wording import points
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.training import findings_of
from distill_tui.terms import Control, RunKind

WORDS = {
    Control.HARD: "the same student trained on hard labels only",
    Control.GOLD: "the same student trained on gold labels only",
}
QUARTER, HALF = "quarter", "half"


@dataclass(frozen=True)
class Comparison:
    """The student against one arm on the same rows: its lead, with a two-sided interval."""

    arm: str
    rows: int
    student: float  # share of rows that it has right
    other: float
    lead: float
    lower: float
    upper: float
    sentence: str

    @property
    def beats(self) -> bool:
        """Whether the student is ahead by more than noise."""
        return self.lower > 0


def comparisons(record: Record, confidence: float = 0.95) -> tuple[Comparison, ...]:
    """Compare the student with each control arm, by gold where there is gold, else by the teacher's answers."""
    return tuple(
        _compared(record, control.value, WORDS[control], confidence)
        for control in Control
        if control in record.controls
    )


NONE = "No control was trained beside this student, so what distillation is worth here is not known."


def verdict(dossier: PlayDossier) -> tuple[str, ...]:
    """Say what a play's evaluation shows of the arms, and what its last probe showed."""
    told = findings(dossier.record) if dossier.record is not None else ()
    return (*told, probed(dossier))


NOT_PROBED = "No student was trained on a quarter and a half of the rows (probe=true): nobody knows if more would help."


def probed(dossier: PlayDossier) -> str:
    """Say whether more rows would help, by the newest run that tried fewer, on validation; or that none did."""
    for run in reversed(dossier.runs):
        for told in findings_of(run):
            if told.startswith(SHARES):
                return f"Run {run.id}, on the validation rows: {told}"
    return NOT_PROBED


def before_paying(dossier: PlayDossier) -> tuple[str, ...]:
    """Say, where a student was trained already, whether more rows would help: before anybody pays for them."""
    return (probed(dossier),) if any(run.kind is RunKind.TRAIN for run in dossier.runs) else ()


SHARES = "With 25, 50 and 100 % of the rows"


def findings(record: Record) -> tuple[str, ...]:
    """Say in sentences what the arms show, or that there are none."""
    told = [each.sentence for each in comparisons(record)]
    return (*(told or [NONE]), *filter(None, [probe(record)]))


def probe(record: Record, confidence: float = 0.95) -> str:
    """Say whether more rows would help, from the student's arms of a quarter and a half of them; nothing without these.

    Only the second half is judged: what doubling the rows has just brought is what doubling them again can bring.
    """
    if HALF not in record.controls or QUARTER not in record.controls:
        return ""
    quarter, half = (_compared(record, name, "", confidence) for name in (QUARTER, HALF))
    shares = f"{points(quarter.other)}, {points(half.other)} and {points(half.student)} %"
    worth = f"the second half is worth {points(half.lead)} points ({_interval(half, confidence)})"
    if half.beats:
        says = "so more rows of this kind would help"
    elif half.upper < 0:
        says = "so it did harm: look at what those rows are before adding more"
    else:
        says = "which is within noise: more rows of this kind would hardly help"
    return f"{SHARES}, {shares} of {half.rows:,} are right; {worth}, {says}."


def _compared(record: Record, arm: str, words: str, confidence: float) -> Comparison:
    truth = record.truth
    measure = "accuracy" if truth is record.gold else "agreement with the teacher"
    said = record.controls[arm]
    rows = [row for row, label in enumerate(truth) if label >= 0]
    right = [(record.student[row] == truth[row], said[row] == truth[row], record.group[row]) for row in rows]
    scores, alpha = Scores.of(right, paired=True), (1 - confidence) / 2
    lead, lower, upper = scores.estimate or 0.0, scores.at_least(alpha), scores.at_most(alpha)
    count = max(1, len(rows))
    found = Comparison(
        arm=arm,
        rows=len(rows),
        student=sum(student for student, _, _ in right) / count,
        other=sum(other for _, other, _ in right) / count,
        lead=lead,
        lower=lower,
        upper=upper,
        sentence="",
    )
    interval = f"{_interval(found, confidence)}, {len(rows):,} rows"
    if found.beats:
        text = f"Distillation is worth {points(lead)} points of {measure} over {words} ({interval})."
    elif upper < 0:
        text = f"Distillation does harm: {words} is {points(-lead)} points ahead in {measure} ({interval})."
    else:
        text = f"Distillation does not beat {words}: {points(lead)} points of {measure}, within noise ({interval})."
    return replace(found, sentence=text)


def _interval(found: Comparison, confidence: float) -> str:
    return f"{points(confidence)} % interval {points(found.lower)} to {points(found.upper)}"
