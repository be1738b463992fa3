"""What a worker does with the rows of a multi-label task: see `task_rows.TaskRows`.

In a record each distinct set of labels is an answer, written as a JSON list; F1, precision and recall of labels are
computed from these sets whenever a record is judged (`gates.label_scores`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from distill_tui.dataset.frozen import Rows
from distill_tui.gates.label_sets import members
from distill_tui.gates.record import CERTAIN
from distill_tui.runs.task_rows import Baseline, group_columns
from distill_tui.tasks import row_scores
from distill_tui.teachers.description import Described
from distill_tui.terms import Control, Task
from distill_tui.training import baseline
from distill_tui.training.examples import Examples, known
from distill_tui.training.predictor import SetShares

if TYPE_CHECKING:
    from distill_tui.training.classification import LabelRows

Marks = NDArray[np.int64]  # (rows, labels): whether each label is in the answer; -1 throughout where there is none


def arm_rows(training: Rows, validation: Rows, asked: Described) -> LabelRows:
    from distill_tui.training.classification import LabelRows  # what is judged does not wait for torch

    gold, teacher = (_marks(texts, training.labels) for texts in (training.gold_texts, training.teacher_texts))
    truth, theirs = (_marks(texts, training.labels) for texts in (validation.gold_texts, validation.teacher_texts))
    has_gold, weights = bool(known(truth).any()), training.weights.astype(np.float32)
    answers, of_validation = _first(theirs, truth), validation.weights.astype(np.float32)
    return LabelRows(
        labels=training.labels,
        training=_examples(training, gold, teacher),
        controls={
            Control.HARD: Examples(training.inputs, _first(gold, teacher), None, weights),
            Control.GOLD: Examples(training.inputs, gold, None, weights),
        },
        validation=Examples(validation.inputs, answers, None, of_validation),  # sets, by the teacher's own thresholds
        truth=truth if has_gold else theirs,
        teacher=theirs,
        has_gold=has_gold,
    )


def fit_baseline(training: Rows, seed: int, *, by_majority: bool = False) -> Baseline[SetShares]:
    """Fit TF-IDF with one logistic regression a label, or the base rates, on gold, or else the teacher's sets."""
    gold, teacher = (_marks(texts, training.labels) for texts in (training.gold_texts, training.teacher_texts))
    marks = _first(gold, teacher)
    there = [text for text, has in zip(_taught(training), known(marks), strict=True) if has]
    if not there:
        raise ValueError("No training row has an answer; import gold labels or label the rows.")
    counted = Counter(there)
    commonest = min(counted, key=lambda text: (-counted[text], text))
    if not by_majority:
        return Baseline(baseline.fit_sets(training.inputs, marks, seed), commonest)
    constant = _marks([commonest], training.labels)[0].astype(np.float32)
    return Baseline(lambda texts: SetShares.same(constant, len(texts)), commonest, instant=True)


def columns(
    rows: Rows, student: SetShares, words: SetShares, majority: Any, controls: Mapping[str, SetShares]
) -> dict[str, Any]:
    """Return the columns of a record: each distinct set of labels is an answer; `words` are the baseline's.

    A teacher that answered with a name that is not a label is wrong: its answer is one more, which is right nowhere.
    """
    gold = [text if index >= 0 else None for text, index in zip(rows.gold_texts, rows.gold, strict=True)]
    subjects: dict[str, Sequence[str | None]] = {
        "gold": gold,
        "teacher": rows.teacher_texts,
        "student": student.answers(rows.labels),
        "baseline": words.answers(rows.labels),
    }
    arms = {name: each.answers(rows.labels) for name, each in controls.items()}
    distinct: set[str | None] = {majority}
    distinct.update(*subjects.values(), *arms.values())
    answers = tuple(sorted(text for text in distinct if text is not None))
    number = {text: at for at, text in enumerate(answers)}
    truth = _marks(gold, rows.labels)
    said = {"student": student.chosen, "teacher": _marks(rows.teacher_texts, rows.labels), "baseline": words.chosen}
    shares = {"student": student.shares, "teacher": rows.soft, "baseline": words.shares}
    return group_columns(rows) | {
        "task": Task.MULTILABEL,
        "labels": answers,
        **{name: tuple(-1 if text is None else number[text] for text in column) for name, column in subjects.items()},
        "majority": number[majority],
        "confidence": tuple(round(CERTAIN * float(each)) for each in student.confidence),
        "controls": {name: tuple(number[text] for text in column) for name, column in arms.items()},
        "scores": row_scores.of_sets(truth, said, shares),
    }


def _marks(texts: Sequence[str | None], labels: Sequence[str]) -> Marks:
    """Mark the labels in each set; a set with a name that is not a label is unknown."""
    place = {label: at for at, label in enumerate(labels)}
    marks = np.full((len(texts), len(labels)), -1, dtype=np.int64)
    for row, text in enumerate(texts):
        names = None if text is None else members(text)
        if names is not None and all(name in place for name in names):
            marks[row] = 0
            marks[row, [place[name] for name in names]] = 1
    return marks


def _first(gold: Marks, teacher: Marks) -> Marks:
    """Return gold, or where there is none the teacher's set."""
    chosen: Marks = np.where(known(gold)[:, None], gold, teacher)
    return chosen


def _taught(rows: Rows) -> list[str]:
    both = zip(rows.gold_texts, rows.teacher_texts, strict=True)
    return [gold if gold is not None else teacher or "" for gold, teacher in both]


def _examples(rows: Rows, gold: Marks, teacher: Marks) -> Examples:
    """Keep the teacher's set only where it gave no probabilities, which say more."""
    silent = np.asarray(np.isnan(rows.soft).any(axis=1))[:, None]
    hard = np.where(known(gold)[:, None], gold, np.where(silent, teacher, -1))
    return Examples(rows.inputs, hard, rows.soft, rows.weights.astype(np.float32))
