"""What goes back to the teacher: the threshold, the rows below it, and a record as student and teacher answer together.

A gate may name a share of the requests (`Gate.deferral`) that the student sends back, those that it is least sure of.
The threshold of confidence is chosen on the validation rows before a held-out row is looked at, so that no held-out row
influences it; the share that really goes back is measured and judged like everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from distill_tui.gates.gate import ROW_SCORES, Gate
from distill_tui.gates.record import CERTAIN, TOGETHER, Record
from distill_tui.gates.statistics import Scores


def threshold(confidence: Sequence[int], share: float) -> int:
    """Find the highest confidence below which at most this share of rows lies, in 1/10,000.

    Rows of equal confidence go the same way, as they would in service. Above all of them where all may go back.
    """
    sure, most = sorted(confidence), int(share * len(confidence) + 1e-9)
    return CERTAIN + 1 if most >= len(sure) else sure[most]


def chosen(gate: Gate, validation: Record) -> int:
    """Return the threshold that a gate's share takes on the validation rows; 0 where the gate sends nothing back.

    Raises ValueError with one sentence where there is no validation row to choose it on.
    """
    if gate.deferral is None:
        return 0
    if not validation.confidence:
        raise ValueError(
            "The gate sends back what the student is least sure of, but no validation row gives the threshold; "
            "import more traffic."
        )
    return threshold(validation.confidence, float(gate.deferral))


def sent_back(record: Record) -> list[int]:
    return [row for row, sure in enumerate(record.confidence) if sure < record.deferred_below]


def kept(record: Record) -> Scores:
    """Count the rows that the student answers itself; none needs gold."""
    back = set(sent_back(record))
    rows = ((row not in back, False, group) for row, group in enumerate(record.group))
    return Scores.of(rows, paired=False)


def handed_back(gate: Gate, record: Record) -> Decimal | None:
    """Return the measured share of requests that go back; None where the gate sends none, or nothing was measured."""
    if gate.deferral is None or unusable(gate, record) or not record.rows:
        return None
    return Decimal(len(sent_back(record))) / len(record.rows)


def unusable(gate: Gate, record: Record) -> str:
    """Return why student and teacher cannot be judged together, where the gate asks for it; else nothing."""
    if gate.deferral is None or record.deferred_below:
        return ""
    return (
        "the record has no threshold below which the student sends a request back: it was evaluated before one was "
        "asked for, or it is sure of none of the answers that are to go back; evaluate it again, or a better student"
    )


def together(gate: Gate, record: Record) -> Record:
    """Return the record as the two answer together, where the gate sends something back; else the record as it is.

    A row that goes back has the teacher's answer and scores; where the teacher gave none it counts as wrong, which is
    the worst that it can be. Latency is that of requests that were timed through both.
    """
    back = set(sent_back(record)) if gate.deferral is not None else set()
    if not back:
        return record
    return replace(
        record,
        student=tuple(_answer(record, row) if row in back else own for row, own in enumerate(record.student)),
        scores={metric: _scored(metric, columns, back) for metric, columns in record.scores.items()},
        latency_us={**record.latency_us, "student": record.latency_us.get(TOGETHER, ())},
    )


def _answer(record: Record, row: int) -> int:
    gold, teacher = record.gold[row], record.teacher[row]
    if teacher >= 0:
        return teacher
    return record.student[row] if gold < 0 else (gold + 1) % len(record.labels)


def _scored(metric: str, columns: Mapping[str, tuple[int, ...]], back: set[int]) -> dict[str, tuple[int, ...]]:
    """Put the teacher's scores where it answers; where it has none, the worst score, as far as the row has gold."""
    if "student" not in columns:
        return dict(columns)
    worst = max(
        (CERTAIN for known, score in ROW_SCORES.items() if known == metric and score.lower_is_better), default=0
    )
    theirs = columns.get("teacher", (-1,) * len(columns["student"]))
    mixed = tuple(
        ours if row not in back or ours < 0 else theirs[row] if theirs[row] >= 0 else worst
        for row, ours in enumerate(columns["student"])
    )
    return {**columns, "student": mixed}
