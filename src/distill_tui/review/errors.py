"""Where a student errs: right and wrong against the teacher, confusions, calibration, and the change since a round.

Counts and shares only; nothing here decides, and no text of a row is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from distill_tui import tasks
from distill_tui.gates.aside import LEAST, third
from distill_tui.gates.gate import ALL, LABEL_SCORES, QUALITY, SCORED, Gate
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.label_scores import labels_in_gold
from distill_tui.gates.paired import Gain
from distill_tui.gates.record import CERTAIN, Record, rows_in
from distill_tui.gates.wording import count, in_points, points
from distill_tui.review.rates import SegmentRates
from distill_tui.terms import Metric, Task, Verdict

BINS = 10
FAR_OFF = 0.05  # of calibration error: more than that needs a cure


@dataclass(frozen=True)
class RightAndWrong:
    """Student and teacher on the rows of a scope that have gold and a teacher's output."""

    both: int
    teacher_only: int
    student_only: int
    neither: int

    @property
    def rows(self) -> int:
        return self.both + self.teacher_only + self.student_only + self.neither


def right_and_wrong(record: Record, scope: str = ALL) -> RightAndWrong:
    """Count the 2x2 table of right and wrong, student against teacher."""
    counted = Counter(
        (record.student[row] == record.gold[row], record.teacher[row] == record.gold[row])
        for row in rows_in(record, scope)
        if record.gold[row] >= 0 and record.teacher[row] >= 0
    )
    return RightAndWrong(counted[True, True], counted[False, True], counted[True, False], counted[False, False])


@dataclass(frozen=True)
class Confusion:
    """One label taken for another by the student, and how often the teacher does the same."""

    label: str  # gold; the teacher's label where no row has gold
    predicted: str
    student: int
    teacher: int


def confusions(record: Record, most: int = 10) -> list[Confusion]:
    """Return the pairs of labels that the student confuses most often; none unless each answer is one label."""
    if not tasks.of(record.task).one_label:
        return []
    pairs = [
        Counter(
            (true, guess)
            for true, guess in zip(record.truth, column, strict=True)
            if true >= 0 <= guess and true != guess
        )
        for column in (record.student, record.teacher)
    ]
    ordered = sorted(pairs[0].items(), key=lambda each: (-each[1], each[0]))
    return [
        Confusion(record.labels[true], record.labels[guess], number, pairs[1][true, guess])
        for (true, guess), number in ordered[:most]
    ]


@dataclass(frozen=True)
class ClassRates:
    """One label on the held-out rows: how often the student is right where it says so, and where it should."""

    label: str
    support: int  # rows that have it
    predicted: int  # rows that the student gives it
    right: int  # rows of both
    taken_for: tuple[tuple[str, int], ...]  # the labels that the student gives its rows instead, most rows first

    @property
    def precision(self) -> float | None:
        return self.right / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        return self.right / self.support if self.support else None


MOST_CLASSES = 1_000
NO_LABEL = "(no label)"


def classes(record: Record) -> list[ClassRates]:
    """Return the rates of each label, worst recall first, labels without rows last; none for a task without labels."""
    if not tasks.of(record.task).one_label:
        return []
    pairs = Counter((true, guess) for true, guess in zip(record.truth, record.student, strict=True) if true >= 0)
    support, predicted = Counter[int](), Counter[int]()
    wrong: dict[int, list[tuple[int, int]]] = {}
    for (true, guess), rows in pairs.items():
        support[true] += rows
        predicted[guess] += rows
        if true != guess:
            wrong.setdefault(true, []).append((rows, guess))
    found = [
        ClassRates(
            name,
            support[label],
            predicted[label],
            pairs[label, label],
            tuple(
                (record.labels[guess] if guess >= 0 else NO_LABEL, rows)
                for rows, guess in sorted(wrong.get(label, ()), key=lambda each: (-each[0], each[1]))[:3]
            ),
        )
        for label, name in enumerate(record.labels)
    ]
    return sorted(found, key=lambda each: (2.0 if each.recall is None else each.recall, -each.support, each.label))


@dataclass(frozen=True)
class Bin:
    """Answers of about one confidence: how sure the student was, and how often it was right."""

    rows: int
    sure: float
    right: float


@dataclass(frozen=True)
class Calibration:
    """How far the student's confidence matches how often it is right."""

    bins: tuple[Bin, ...]  # of as equal a number of rows as there can be, least sure first
    error: float  # mean distance of confidence and share right, weighted by rows (expected calibration error)
    by_gold: bool  # else right means the teacher's answer
    cure: str = ""  # what helps, where the confidence is far off


def calibration(record: Record, validation: Record | None = None) -> Calibration | None:
    """Compare confidence with being right; None where the record has no confidences, or no row to judge by.

    The validation rows tell whether the confidence was calibrated, and so what helps where it is far off.
    """
    truth = record.truth
    judged = [row for row, label in enumerate(truth) if label >= 0] if record.confidence else []
    if not judged:
        return None
    judged.sort(key=lambda row: (record.confidence[row], record.rows[row]))
    bins = []
    for number in range(min(BINS, len(judged))):
        some = judged[number * len(judged) // BINS : (number + 1) * len(judged) // BINS]
        if some:
            sure = sum(record.confidence[row] for row in some) / CERTAIN / len(some)
            bins.append(Bin(len(some), sure, sum(record.student[row] == truth[row] for row in some) / len(some)))
    error = sum(each.rows * abs(each.sure - each.right) for each in bins) / len(judged)
    return Calibration(tuple(bins), error, truth is record.gold, _cure(record, error, validation))


def _cure(record: Record, error: float, validation: Record | None) -> str:
    """Return what helps against a confidence that is far off; empty where it is near, or nothing is known."""
    if error <= FAR_OFF or validation is None:
        return ""
    off = f"Confidence is off by {in_points(error)} on average"
    if record.task is Task.GENERATION:
        return f"{off}. No temperature is fitted to a student that writes: use its confidence as an order only."
    known = sum(validation.truth[row] >= 0 for row in third(validation.key))
    if known < LEAST:
        return (
            f"{off}: it was not calibrated. That takes {LEAST} rows, a third of the validation rows, and there were "
            f"{known:,}. Import more traffic, freeze and train again."
        )
    return (
        f"{off}, although {known:,} validation rows calibrated it: the held-out rows differ. Import traffic of "
        "the time and segments that are held out, freeze and train again."
    )


def by_danger(rates: Sequence[SegmentRates]) -> list[SegmentRates]:
    """Sort segments by how bad they may be: by the lower bound against the teacher, else of accuracy or agreement."""

    def worst(each: SegmentRates) -> float:
        if each.difference is not None:
            return each.difference[1]
        share = each.student or each.agreement
        return share.lower if share is not None else -2.0

    everything = [each for each in rates if each.scope == ALL]
    segments = [each for each in rates if each.scope != ALL]
    return everything + sorted(segments, key=lambda each: (worst(each), each.scope))


def failures(record: Record) -> list[int]:
    """Return the positions of the rows that the student has wrong, those that the teacher has right first."""
    truth = record.truth
    wrong = [row for row, label in enumerate(truth) if label >= 0 and record.student[row] != label]
    return sorted(wrong, key=lambda row: (record.teacher[row] != truth[row], record.rows[row]))


@dataclass(frozen=True)
class Change:
    """How a student differs from the one before it on the rows that both answered."""

    rows: int
    fixed: int  # wrong before, right now
    broken: int  # right before, wrong now
    gain: float
    lower: float
    upper: float

    @property
    def sentence(self) -> str:
        rows = count(self.rows, "row")
        bounds = f"95% CI {points(self.lower)} to {points(self.upper)}" if self.lower > -1 else "no interval"
        noise = "" if self.lower > 0 or self.upper < 0 else ", within noise"
        return (
            f"Since the round before, on {rows} that both students answered: {self.fixed:,} fixed, {self.broken:,} "
            f"broken, {in_points(self.gain)} ({bounds}){noise}."
        )


def change(before: Record, now: Record) -> Change | None:
    """Compare two records row by row; None where they have no named row with a truth in common."""
    first, last = _right(before), _right(now)
    gain = Gain.between(first, last, now)
    if gain is None:
        return None
    shared = first.keys() & last.keys()
    return Change(
        rows=len(shared),
        fixed=sum(last[key] > first[key] for key in shared),
        broken=sum(last[key] < first[key] for key in shared),
        gain=gain.mean,
        lower=max(-1.0, gain.at_least(0.025)),
        upper=min(1.0, gain.at_most(0.025)),
    )


def _right(record: Record) -> dict[int, int]:
    truth = record.truth
    return {key: int(record.student[row] == truth[row]) for row, key in enumerate(record.key) if truth[row] >= 0}


def not_measured(gate: Gate, record: Record, judgements: Sequence[Judgement], burnt: int = 0) -> list[str]:
    """List what this evaluation does not show, for a reviewer to know before signing."""
    rows = len(record.rows)
    without_gold = sum(label < 0 for label in record.gold)
    found = [each.sentence for each in judgements if each.verdict is Verdict.UNMEASURED]
    asked = {each.metric for each in gate.criteria}
    if without_gold:
        found.append(f"{without_gold:,} of {count(rows, 'row')} have no gold label and are not in the accuracy.")
    labels = labels_in_gold(record) if record.task is Task.MULTILABEL else ()
    if record.task is Task.MULTILABEL and asked.intersection(LABEL_SCORES):
        found.append(f"Only the {len(labels):,} labels that gold has on a held-out row are in the scores of labels.")
    if not asked.intersection((*QUALITY, *SCORED)):
        found.append("The gate has no quality criterion: neither accuracy nor agreement is judged.")
    if Metric.P95_LATENCY not in asked:
        found.append("The gate has no latency criterion: latency is shown, not judged.")
    if not record.latency_us.get("teacher"):
        found.append("The teacher was not timed here, so there is no speed-up to report.")
    if not record.confidence:
        found.append("The record has no confidences, so calibration is unknown.")
    if not record.segments or len(record.segments) < 2:
        found.append("The rows have no segments, so a group of users that is served worse would not show.")
    if burnt:
        found.append(f"{count(burnt, 'held-out row')} left out: a builder opened them.")
    found.append("Latency is of one request at a time on one machine, without load, queues or network.")
    found.append(
        "Near duplicates of training rows among the held-out rows were removed; paraphrases were not searched for."
    )
    return found
