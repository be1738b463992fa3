"""The columns of a record that say what student, teacher and baseline answered to the rows of a split: labels."""

from __future__ import annotations

from typing import Any

from distill_tui.gates import CERTAIN
from distill_tui.runs import row_groups
from distill_tui.tasks import row_scores


def columns(rows: Any, probabilities: Any, shares: Any, majority: int) -> dict[str, Any]:
    """Give the columns of a record that say what everybody answered to the rows of a split.

    `probabilities` are the student's, `shares` the baseline's, (rows, labels) each.
    """
    return row_groups.columns(rows) | {
        "labels": rows.labels,
        "gold": tuple(int(label) for label in rows.gold),
        "teacher": tuple(int(label) for label in rows.teacher),
        "student": tuple(int(label) for label in probabilities.argmax(axis=1)),
        "baseline": tuple(int(label) for label in shares.argmax(axis=1)),
        "majority": majority,
        "confidence": tuple(round(CERTAIN * float(each)) for each in probabilities.max(axis=1)),
        "scores": row_scores.of_probabilities(
            rows.gold, {"student": probabilities, "teacher": rows.soft, "baseline": shares}
        ),
    }
