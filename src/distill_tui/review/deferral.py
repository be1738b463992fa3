"""What is gained when the student sends back to the teacher what it is least sure of: quality and cost by share.

Pure: it reads an evaluation record. It describes and does not decide: the threshold is chosen on the very rows that it
is described on, so a point that is to be served should be judged anew, on fresh rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from distill_tui import gates
from distill_tui.gates import economics
from distill_tui.gates.record import CERTAIN, Record
from distill_tui.gates.statistics import Scores, wilson_interval
from distill_tui.gates.wording import points

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)  # of the requests that go back to the teacher, at most


@dataclass(frozen=True)
class Point:
    """One threshold: answers whose confidence is below it come from the teacher."""

    threshold: float  # 0: the student answers everything; above 1: the teacher does
    deferred: float  # share of the requests that go back
    accuracy: float  # of the two together, against gold
    lower: float  # of its 95 % interval
    upper: float
    cost_per_1k: Decimal | None  # every request costs the student's price, a deferred one the teacher's too


def curve(record: Record, shares: Sequence[float] = SHARES, confidence: float = 0.95) -> tuple[Point, ...]:
    """Give a point for each share, the highest threshold that sends back no more than that; equal points once.

    Counts the rows with gold, an answer of the teacher and a confidence of the student; without any it is empty.
    Requests of equal confidence go the same way, as they would in service.
    """
    if not record.confidence:
        return ()
    rows = [row for row in range(len(record.rows)) if record.gold[row] >= 0 and record.teacher[row] >= 0]
    if not rows:
        return ()
    sure = [record.confidence[row] for row in rows]
    thresholds = dict.fromkeys(gates.threshold(sure, share) for share in sorted(shares))
    return tuple(_point(record, rows, threshold, confidence) for threshold in thresholds)


def sentences(record: Record) -> Iterator[str]:
    """Tell the curve, a sentence for each point."""
    for each in curve(record):
        cost = "" if each.cost_per_1k is None else f", at {each.cost_per_1k:.4f} a thousand"
        who = "the student alone" if not each.deferred else f"below a confidence of {each.threshold:.4f}"
        who = "the teacher answers everything" if each.deferred == 1 else who
        yield (
            f"{points(each.deferred)} % of requests sent back ({who}): accuracy {points(each.accuracy)} % "
            f"({points(each.lower)} to {points(each.upper)}){cost}."
        )


def asked(gate: gates.Gate) -> str:
    """Say what a gate with a deferral asks for."""
    return (
        f"the {points(float(gate.deferral or 0))} % of requests that the student is least sure of go to the teacher, "
        "by a threshold fixed on the validation rows; the two are judged together"
    )


def named(gate: gates.Gate, record: Record) -> Iterator[str]:
    """Say, where the gate names a point of the curve, which one it is and what is judged at it."""
    back = gates.handed_back(gate, record)
    if back is None:
        return
    yield (
        f"Judged together: the student sends back what it is less sure of than {record.deferred_below / CERTAIN:.4f}, "
        f"fixed on the validation rows so that {points(float(gate.deferral or 0))} % of them go back at most; of the "
        f"held-out rows {points(float(back))} % did. Quality, latency and payback are those with the teacher's answers "
        "to these; what is shown beside the verdict of segments, failures and controls is the student's alone."
    )
    unanswered = sum(record.teacher[row] < 0 for row in gates.sent_back(record))
    if unanswered:
        yield f"The teacher's answer to {unanswered:,} of these rows is not known, so they count as wrong."


def _point(record: Record, rows: Sequence[int], threshold: int, confidence: float) -> Point:
    back = {row for row in rows if record.confidence[row] < threshold}
    said = {row: record.teacher[row] if row in back else record.student[row] for row in rows}
    scores = Scores.of(((said[row] == record.gold[row], False, record.group[row]) for row in rows), paired=False)
    alpha = (1 - confidence) / 2
    bounds = (scores.at_least(alpha), scores.at_most(alpha)) if scores.clustered else None
    lower, upper = bounds or wilson_interval(scores.wins, scores.rows, alpha)
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
    """Add the teacher's price of what goes back to the student's price of everything; None where one is not known."""
    names = ("machine_price_per_hour", "teacher_cost_per_1k")
    times = [time for run in record.latency_us.get("student", ()) for time in run]
    if not times or not all(name in record.payback_inputs for name in names):
        return None
    machine, teacher = (Decimal(record.payback_inputs[name]) for name in names)
    mean = Decimal(sum(times)) / len(times)
    return economics.student_cost_per_1k(mean, machine) + Decimal(str(deferred)) * teacher
