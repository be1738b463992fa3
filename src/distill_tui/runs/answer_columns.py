"""What a record keeps of a split of a generation task: everybody's answers in one spelling, and how alike they are.

Accuracy is exact match: two answers are the same where their spelling is (`generated.spelled`). Worker's only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from distill_tui.gates import CERTAIN
from distill_tui.runs import row_groups
from distill_tui.tasks import generation, row_scores

Texts = Sequence[str | None]


def spelled(texts: Texts) -> list[str | None]:
    """Give the spelling of each answer; None stays."""
    return [None if text is None else generation.spelled(text) for text in texts]


def taught(rows: Any) -> list[str | None]:
    """Give what a row of a frozen data set teaches: gold, or where there is none what the teacher says."""
    return [
        teacher if gold is None else gold for gold, teacher in zip(rows.gold_texts, rows.teacher_texts, strict=True)
    ]


def truth(rows: Any) -> list[str | None]:
    """Give what being right is judged by, as spelled: gold where any row has it, else what the teacher says."""
    return spelled(rows.gold_texts if any(text is not None for text in rows.gold_texts) else rows.teacher_texts)


def commonest(texts: Texts) -> str:
    """Give the answer that most rows have, the first in order of equals; empty where none has one."""
    counted = Counter(text for text in spelled(texts) if text is not None)
    return min(counted, key=lambda text: (-counted[text], text), default="")


def columns(
    rows: Any, said: Sequence[Any], baseline: Texts, majority: str, controls: Mapping[str, Texts]
) -> dict[str, Any]:
    """Give the columns of a record that say what everybody answered to the rows of a split.

    `said` are the student's answers with their confidence, `controls` what each arm beside it answers.
    """
    everybody = {
        "gold": spelled(rows.gold_texts),
        "teacher": spelled(rows.teacher_texts),
        "student": spelled([each.text for each in said]),
        "baseline": spelled(baseline),
    }
    beside = {name: spelled(texts) for name, texts in controls.items()}
    given: set[str | None] = {majority}
    given.update(*everybody.values(), *beside.values())
    labels = tuple(sorted(text for text in given if text is not None))
    number = {text: at for at, text in enumerate(labels)}
    return row_groups.columns(rows) | {
        "labels": labels,
        **{name: tuple(-1 if text is None else number[text] for text in column) for name, column in everybody.items()},
        "majority": number[majority],
        "confidence": tuple(round(CERTAIN * min(1.0, max(0.0, each.confidence))) for each in said),
        "controls": {name: tuple(number[text or ""] for text in texts) for name, texts in beside.items()},
        "scores": row_scores.of_answers(everybody["gold"], {k: v for k, v in everybody.items() if k != "gold"}),
    }
