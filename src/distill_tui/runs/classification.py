"""What a worker does with the rows of a classification task: see `task_rows.TaskRows`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from distill_tui.dataset.frozen import Rows
from distill_tui.gates.record import CERTAIN
from distill_tui.runs.task_rows import Baseline, group_columns
from distill_tui.tasks import row_scores
from distill_tui.teachers.description import Described
from distill_tui.terms import Control
from distill_tui.training import baseline
from distill_tui.training.arrays import Floats
from distill_tui.training.examples import Examples

if TYPE_CHECKING:
    from distill_tui.training.classification import LabelRows

NO_LABEL = "(none of the labels)"


def arm_rows(training: Rows, validation: Rows, asked: Described) -> LabelRows:
    from distill_tui.training.classification import LabelRows  # what is judged does not wait for torch

    has_gold = bool((validation.gold >= 0).any())
    weights, hard = training.weights.astype(np.float32), _hard_labels(training)
    return LabelRows(
        labels=training.labels,
        training=_examples(training),
        controls={
            Control.HARD: Examples(training.inputs, hard, None, weights),
            Control.GOLD: Examples(training.inputs, training.gold, None, weights),
        },
        validation=_examples(validation),
        truth=validation.gold if has_gold else validation.teacher,
        teacher=validation.teacher,
        has_gold=has_gold,
    )


def fit_baseline(training: Rows, seed: int, *, by_majority: bool = False) -> Baseline[Floats]:
    """Fit TF-IDF with logistic regression, or the base rates, on the hard labels."""
    known, count = _hard_labels(training), len(training.labels)
    if not by_majority:
        return Baseline(baseline.fit_probabilities(training.inputs, known, seed, count), baseline.majority(known))
    rates = baseline.base_rates(known, count)
    return Baseline(lambda texts: np.tile(rates, (len(texts), 1)), baseline.majority(known), instant=True)


def columns(
    rows: Rows, student: Floats, words: Floats, majority: Any, controls: Mapping[str, Floats]
) -> dict[str, Any]:
    """Return the columns of a record: predictions of student, teacher and baseline (`words`), and their scores.

    A teacher that answered with none of the labels is wrong: its answer is one more label, which is right nowhere.
    """
    outside = rows.outside
    return group_columns(rows) | {
        "labels": (*rows.labels, NO_LABEL) if outside.any() else rows.labels,
        "gold": _numbers(rows.gold),
        "teacher": _numbers(np.where(outside, len(rows.labels), rows.teacher)),
        "student": _numbers(student.argmax(axis=1)),
        "baseline": _numbers(words.argmax(axis=1)),
        "majority": majority,
        "confidence": tuple(round(CERTAIN * float(each)) for each in student.max(axis=1)),
        "controls": {name: _numbers(each.argmax(axis=1)) for name, each in controls.items()},
        "scores": row_scores.of_probabilities(rows.gold, {"student": student, "teacher": rows.soft, "baseline": words}),
    }


def _numbers(column: Any) -> tuple[int, ...]:
    return tuple(int(label) for label in column)


def _hard_labels(rows: Rows) -> Any:
    """Return gold, or where there is none the teacher's label."""
    return np.where(rows.gold >= 0, rows.gold, rows.teacher)


def _examples(rows: Rows) -> Examples:
    """Keep the teacher's hard label only where it gave no probabilities, whose argmax it is."""
    hard = np.where(rows.gold >= 0, rows.gold, np.where(np.isnan(rows.soft).any(axis=1), rows.teacher, -1))
    return Examples(rows.inputs, hard, rows.soft, rows.weights.astype(np.float32))
