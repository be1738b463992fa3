"""What a worker does with the rows of a generation task: see `task_rows.TaskRows`.

Accuracy is exact match: two answers are equal where their spelling is (`answer_text.spelled`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distill_tui.dataset.frozen import Rows
from distill_tui.gates.record import CERTAIN
from distill_tui.runs.task_rows import Baseline, group_columns
from distill_tui.tasks import row_scores
from distill_tui.tasks.answer_text import spelled
from distill_tui.teachers.description import Described
from distill_tui.terms import Task
from distill_tui.training import baseline
from distill_tui.training.predictor import WrittenAnswer

if TYPE_CHECKING:
    from distill_tui.training.generation import AnswerRows

Texts = Sequence[str | None]


def arm_rows(training: Rows, validation: Rows, asked: Described) -> AnswerRows:
    from distill_tui.training.generation import AnswerRows, Pairs  # what is judged does not wait for torch

    def pairs(rows: Rows, outputs: Texts) -> Pairs:
        return Pairs(rows.inputs, tuple(outputs), rows.weights.astype(np.float32), rows.lists)

    has_gold = any(text is not None for text in validation.gold_texts)
    return AnswerRows(
        training=pairs(training, _taught(training)),
        gold=pairs(training, training.gold_texts),
        validation=pairs(validation, _taught(validation)),
        truth=_spelled(validation.gold_texts if has_gold else validation.teacher_texts, validation.lists),
        teacher=_spelled(validation.teacher_texts, validation.lists),
        has_gold=has_gold,
        asked=asked,
    )


def fit_baseline(training: Rows, seed: int, *, by_majority: bool = False) -> Baseline[list[str]]:
    """Fit the nearest training row by TF-IDF, or the commonest answer."""
    taught = _taught(training)
    counted = Counter(text for text in _spelled(taught, training.lists) if text is not None)
    commonest = min(counted, key=lambda text: (-counted[text], text), default="")
    if by_majority:
        return Baseline(lambda texts: [commonest] * len(texts), commonest, instant=True)
    return Baseline(baseline.fit_nearest(training.inputs, taught, seed), commonest)


def columns(
    rows: Rows,
    student: Sequence[WrittenAnswer],
    words: Texts,
    majority: Any,
    controls: Mapping[str, Sequence[WrittenAnswer]],
) -> dict[str, Any]:
    """Return the columns of a record: each distinct answer is a label; `words` are the baseline's answers."""
    subjects = {
        "gold": _spelled(rows.gold_texts, rows.lists),
        "teacher": _spelled(rows.teacher_texts, rows.lists),
        "student": _spelled([each.text for each in student], rows.lists),
        "baseline": _spelled(words, rows.lists),
    }
    arms = {name: [spelled(each.text, rows.lists) for each in answers] for name, answers in controls.items()}
    distinct: set[str | None] = {majority}
    distinct.update(*subjects.values(), *arms.values())
    labels = tuple(sorted(text for text in distinct if text is not None))
    number = {text: at for at, text in enumerate(labels)}
    return group_columns(rows) | {
        "task": Task.GENERATION,
        "labels": labels,
        **{name: tuple(-1 if text is None else number[text] for text in column) for name, column in subjects.items()},
        "majority": number[majority],
        "confidence": tuple(round(CERTAIN * min(1.0, max(0.0, each.confidence))) for each in student),
        "controls": {name: tuple(number[text] for text in answers) for name, answers in arms.items()},
        "scores": row_scores.of_answers(
            subjects["gold"], {k: v for k, v in subjects.items() if k != "gold"}, rows.lists
        ),
    }


def _spelled(texts: Texts, lists: str) -> list[str | None]:
    return [None if text is None else spelled(text, lists) for text in texts]


def _taught(rows: Rows) -> list[str | None]:
    """Return what each row teaches: gold, or where there is none the teacher's answer."""
    both = zip(rows.gold_texts, rows.teacher_texts, strict=True)
    return [teacher if gold is None else gold for gold, teacher in both]
