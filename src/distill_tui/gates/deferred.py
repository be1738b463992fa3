"""What goes back to the teacher: the threshold, the rows below it, and a record as student and teacher answer together.

A gate may name a share of the requests (`Gate.deferral`) that the student sends back, those that it is least sure of.
The threshold of confidence is fixed before a held-out row is looked at, on validation rows that neither stopped the
training nor chose the student, and with headroom: the share is kept on the next rows with the gate's confidence. The
share that really goes back is measured and judged like everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from distill_tui.gates import statistics
from distill_tui.gates.aside import aside
from distill_tui.gates.gate import ROW_SCORES, Gate
from distill_tui.gates.record import CERTAIN, TOGETHER, Record
from distill_tui.gates.statistics import Scores
from distill_tui.gates.wording import points
from distill_tui.terms import Task


def threshold(confidence: Sequence[int], share: float) -> int:
    """Find the highest confidence below which at most this share of rows lies, in 1/10,000.

    Rows of equal confidence go the same way, as they would in service. Above all of them where all may go back.
    """
    sure, most = sorted(confidence), int(share * len(confidence) + 1e-9)
    return CERTAIN + 1 if most >= len(sure) else sure[most]


def with_headroom(
    confidence: Sequence[int], group: Sequence[int], share: float, later: int, chance: float
) -> int | None:
    """Find the highest confidence below which at most this share of `later` rows lies, with this chance.

    None where the rows are too few for any.

    Of m later rows, those below the k-th smallest of n confidences are beta-binomial (m; k, n - k + 1), whatever the
    law of confidence is (order statistics, Wilks 1942; for conformal prediction Angelopoulos and Bates 2021). Rows of
    one group count for as many as they are worth by the design effect (Rao and Scott 1992).
    """
    sure = sorted(confidence)
    at = threshold(confidence, share)
    rows = ((each >= at, False, number) for each, number in zip(confidence, group, strict=True))
    worth = Scores.of(rows, paired=False).design_effect
    rank = _rank(len(sure), share, later, chance, worth)
    return sure[rank - 1] if rank else None


def _rank(rows: int, share: float, later: int, chance: float, worth: float = 1.0) -> int:
    """Return the largest rank among the confidences that keeps the share with this chance; 0 where none does."""
    again = max(1, int(later / worth))
    most = int(share * again + 1e-9)
    low, high = 0, rows
    while low < high:  # the chance of too many rises with the rank
        rank = (low + high + 1) // 2
        over = statistics.later_rows_exceed(most, again, rank / worth, (rows - rank + 1) / worth)
        low, high = (rank, high) if over <= 1 - chance else (low, rank - 1)
    return low


def rows_for_headroom(gate: Gate) -> int:
    """Return how many independent calibration rows a gate's deferral takes at least; 0 where it sends nothing back."""
    share, chance = float(gate.deferral or 0), float(gate.confidence)
    if not 0 < share < 1:
        return 0
    low, high = 1, 1
    while not _rank(high, share, gate.held_out_rows, chance):
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _rank(middle, share, gate.held_out_rows, chance) else (middle + 1, high)
    return low


def calibration_rows(keys: Sequence[int], rows: int) -> list[int]:
    """Return the validation rows that fix the threshold: those set aside, or all where too few could be."""
    return aside(keys) or list(range(rows))


def too_few(gate: Gate, keys: Sequence[int], rows: int) -> str:
    """Return in one sentence why these validation rows can fix no threshold; empty where they can."""
    if gate.deferral is None:
        return ""
    there, needed = len(calibration_rows(keys, rows)), rows_for_headroom(gate)
    if there >= needed:
        return ""
    return (
        f"The gate sends back at most {points(float(gate.deferral))}% of requests, and to keep that on the next "
        f"{gate.held_out_rows:,} rows with a chance of {points(float(gate.confidence))}% it takes {needed:,} "
        f"calibration rows; there are {there:,}. Import more traffic."
    )


def chosen(gate: Gate, validation: Record) -> int:
    """Return the threshold that a gate's share takes on the calibration rows; 0 where the gate sends nothing back.

    Raises ValueError with one sentence where the validation rows are too few to fix it.
    """
    if gate.deferral is None:
        return 0
    problem = too_few(gate, validation.key, len(validation.confidence))
    if problem:
        raise ValueError(problem)
    rows = calibration_rows(validation.key, len(validation.confidence))
    sure, group = [validation.confidence[row] for row in rows], [validation.group[row] for row in rows]
    found = with_headroom(sure, group, float(gate.deferral), gate.held_out_rows, float(gate.confidence))
    if found is None:
        raise ValueError(
            f"The calibration rows come from {len(set(group)):,} groups, too few to keep the share that the gate sends "
            "back with its confidence; import traffic of more groups."
        )
    return found


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
    if gate.deferral is None:
        return ""
    if record.deferred_below and record.task is Task.MULTILABEL:
        silent = sum(record.teacher[row] < 0 for row in sent_back(record))
        if silent:
            return f"{silent:,} of the rows that go back have no answer of the teacher"
    if record.deferred_below:
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
