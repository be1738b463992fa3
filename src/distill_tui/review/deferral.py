"""Quality and cost when the student sends back to the teacher the requests that it is least sure of, by share. Pure.

It describes and does not decide: the thresholds are chosen on the rows that they are described on, so a point that is
to be served needs an evaluation on fresh rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from distill_tui.gates import economics
from distill_tui.gates.deferred import handed_back, sent_back
from distill_tui.gates.deferred import threshold as threshold_for
from distill_tui.gates.gate import Gate
from distill_tui.gates.record import CERTAIN, Record
from distill_tui.gates.statistics import Scores
from distill_tui.gates.wording import points
from distill_tui.review.rates import TAIL

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)  # of the requests that go back to the teacher, at most


@dataclass(frozen=True)
class Point:
    """One threshold: answers whose confidence is below it come from the teacher."""

    threshold: float  # 0: the student answers everything; above 1: the teacher does
    deferred: float  # share of the requests that go back
    accuracy: float  # of the two together, against gold
    lower: float  # of its 95% interval
    upper: float
    cost_per_1k: Decimal | None  # every request costs the student's price, a deferred one the teacher's too


def curve(record: Record, shares: Sequence[float] = SHARES) -> tuple[Point, ...]:
    """Return a point for each share, the highest threshold that sends back no more than that; equal points once.

    Counts the rows with gold, an answer of the teacher and a confidence of the student; without any it is empty.
    Requests of equal confidence go the same way, as they would in service.
    """
    if not record.confidence:
        return ()
    rows = [row for row in range(len(record.rows)) if record.gold[row] >= 0 and record.teacher[row] >= 0]
    if not rows:
        return ()
    sure = [record.confidence[row] for row in rows]
    thresholds = dict.fromkeys(threshold_for(sure, share) for share in sorted(shares))
    return tuple(_point(record, rows, threshold) for threshold in thresholds)


@dataclass(frozen=True)
class Pair:
    """Student and teacher as the gate judges them together: the threshold, the aim, and what the held-out rows gave."""

    threshold: float  # confidence below which a request goes back, fixed on the calibration rows
    aim: float  # share of requests, from the gate
    headroom: str  # how often the aim is kept
    measured: float  # share of the held-out rows
    unanswered: int  # of these, rows without a teacher's answer; they count as wrong


def pair(gate: Gate, record: Record) -> Pair | None:
    """Return what is judged together; None where the gate sends nothing back or nothing was measured."""
    back = handed_back(gate, record)
    if back is None:
        return None
    unanswered = sum(record.teacher[row] < 0 for row in sent_back(record))
    return Pair(record.deferred_below / CERTAIN, float(gate.deferral or 0), _headroom(gate), float(back), unanswered)


def asked(gate: Gate) -> str:
    return (
        f"the {points(float(gate.deferral or 0))}% of requests that the student is least sure of go to the teacher, "
        f"by a threshold of the calibration rows ({_headroom(gate)}); the two are judged together"
    )


def _headroom(gate: Gate) -> str:
    return f"kept on {gate.held_out_rows:,} further rows with a chance of {points(float(gate.confidence))}%"


def sentences(found: Pair | None) -> Iterator[str]:
    if found is None:
        return
    yield (
        f"Judged together: requests with a confidence below {found.threshold:.4f} go back to the teacher. The "
        f"threshold was fixed on the calibration rows for {points(found.aim)}% of requests at most, {found.headroom}; "
        f"of the held-out rows {points(found.measured)}% went back. Quality, latency and payback are of the two "
        "together; segments, failures and controls are of the student alone."
    )
    if found.unanswered:
        yield f"{found.unanswered:,} of these rows have no teacher's answer and count as wrong."


def _point(record: Record, rows: Sequence[int], threshold: int) -> Point:
    back = {row for row in rows if record.confidence[row] < threshold}
    answers = {row: record.teacher[row] if row in back else record.student[row] for row in rows}
    scores = Scores.of(((answers[row] == record.gold[row], False, record.group[row]) for row in rows), paired=False)
    lower, upper = scores.interval(TAIL)
    deferred = len(back) / len(rows)
    return Point(
        threshold=threshold / CERTAIN if back else 0.0,
        deferred=deferred,
        accuracy=scores.wins / scores.rows,
        lower=lower,
        upper=upper,
        cost_per_1k=_cost(record, deferred),
    )


def _cost(record: Record, deferred: float) -> Decimal | None:
    """Add the teacher's price of what goes back to the student's price of all requests; None where one is unknown."""
    names = ("machine_price_per_hour", "teacher_cost_per_1k")
    latency = record.mean_latency_us
    if latency is None or not all(name in record.payback_inputs for name in names):
        return None
    machine, teacher = (Decimal(record.payback_inputs[name]) for name in names)
    return economics.student_cost_per_1k(latency, machine) + Decimal(str(deferred)) * teacher
