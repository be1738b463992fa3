"""What a worker does with the rows of a play of scores: see `task_rows.TaskRows`.

A student learns a distribution over the levels, or over the points of a range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from distill_tui.dataset.frozen import Rows
from distill_tui.gates.record import CERTAIN
from distill_tui.gates.scale import Scale
from distill_tui.runs import classification
from distill_tui.runs.task_rows import Baseline
from distill_tui.tasks import row_scores
from distill_tui.teachers.description import Described
from distill_tui.terms import Task
from distill_tui.training import baseline, predict
from distill_tui.training.arrays import Floats

if TYPE_CHECKING:
    from distill_tui.training.classification import LabelRows


def arm_rows(training: Rows, validation: Rows, asked: Described) -> LabelRows:
    """Return the rows of a classification over the labels of the scale, compared by how far off an answer is."""
    scale = Scale.of(training.labels)
    levels = tuple(float((point - scale.points[0]) / scale.span) for point in scale.points)
    return replace(classification.arm_rows(training, validation, asked), levels=levels)


def fit_baseline(training: Rows, seed: int, *, by_majority: bool = False) -> Baseline[Floats]:
    """Fit ridge regression on TF-IDF, or the median, to gold, or else the teacher's scores."""
    scale = Scale.of(training.labels)
    pairs = zip(training.inputs, training.gold_texts, training.teacher_texts, strict=True)
    known = [(text, score) for text, *both in pairs if (score := _first(scale, both)) is not None]
    if not known:
        raise ValueError("No training row has a score; import gold or label the rows.")
    scores = np.array([float(score) for _, score in known])
    median = sorted(scores)[(len(scores) - 1) // 2]
    majority = scale.nearest(f"{median:.12g}")
    if by_majority:
        constant = np.array(scale.shares(median), dtype=np.float32)
        return Baseline(lambda texts: np.tile(constant, (len(texts), 1)), majority, instant=True)
    predict = baseline.fit_numbers([text for text, _ in known], scores, seed)
    return Baseline(lambda texts: _shares(scale, predict(texts)), majority)


def _first(scale: Scale, scores: Sequence[str | None]) -> str | None:
    return next((found for each in scores if (found := scale.known(each)) is not None), None)


def _shares(scale: Scale, numbers: Sequence[float]) -> Floats:
    return np.array([scale.shares(float(each)) for each in numbers], dtype=np.float32).reshape(-1, len(scale.points))


def columns(
    rows: Rows, student: Floats, words: Floats, majority: Any, controls: Mapping[str, Floats]
) -> dict[str, Any]:
    """Return the columns of a record; `words` are the baseline's shares.

    Of a range, labels are its points, and an answer counts as the nearest one; `scores` are of the numbers themselves.
    """
    scale = Scale.of(rows.labels)
    gold = [text if index >= 0 else None for text, index in zip(rows.gold_texts, rows.gold, strict=True)]
    said = {name: _answers(scale, shares) for name, shares in (("student", student), ("baseline", words))}
    scores = row_scores.of_scores(scale, gold, {**said, "teacher": rows.teacher_texts})
    found = classification.columns(rows, student, words, majority, controls)
    found |= {name: _places(scale, answers) for name, answers in said.items()}
    found["controls"] = {name: _places(scale, _answers(scale, shares)) for name, shares in controls.items()}
    found["confidence"] = tuple(round(CERTAIN * float(each)) for each in predict.sureness(scale, student))
    if scale.ranged:
        del found["scores"]  # the squared distance from a point says nothing about a number between two
    return {**found, "task": Task.SCORE, "scores": {**found.get("scores", {}), **scores}}


def _answers(scale: Scale, shares: Floats) -> list[str]:
    return [scale.answer(row) for row in shares.tolist()]


def _places(scale: Scale, answers: Sequence[str]) -> tuple[int, ...]:
    return tuple(scale.nearest(each) for each in answers)
