"""Score: the student gives a level of a declared scale, or a number of a declared range, as a judge does.

A student of levels has a probability for each; one of a range has a share for each of its points, and answers with the
mean (`gates.scale`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from distill_tui.gates.gate import LABEL_SCORES, Gate
from distill_tui.gates.scale import Scale
from distill_tui.tasks.definition import Definition
from distill_tui.tasks.label_map import LabelMap
from distill_tui.terms import Metric, StudentKind, Task

_OTHERS = (Metric.FIELD_F1, Metric.CHRF, Metric.HAMMING, *LABEL_SCORES)


def _gate_problems(gate: Gate) -> Iterator[str]:
    for criterion in gate.criteria:
        if criterion.metric in _OTHERS:
            yield f"{criterion.metric} is of labels or texts, and this play's answers are scores; use mae or spearman."


def on_scale(named: LabelMap, text: str) -> str | None:
    """Return the level that a text stands for, by the label map or as a number; of a range the nearest point."""
    scale = Scale.of(named.labels)
    found = None if text in named.labels else scale.known(text)
    if found is not None and scale.ranged:
        return scale.labels[scale.nearest(found)]
    return named.of(text) or named.of(found)


def settled(votes: Counter[str]) -> str | None:
    """Return the score of an input that has several: their median, and the lower of two middle ones."""
    ranked = sorted(votes.elements(), key=float)
    return ranked[(len(ranked) - 1) // 2] if ranked else None


DEFINITION = Definition(
    task=Task.SCORE,
    has_labels=True,
    several=False,
    student="A distilled judge of scores.",
    teacher_problem=(
        "{code} is a play of scores, and this teacher was given no levels; name them as the play does: --labels 1,2,3."
    ),
    students=tuple(kind for kind in StudentKind if kind.reads),
    metrics=tuple(metric for metric in Metric if metric not in _OTHERS),
    metrics_note=(
        "Answers are scores: mae is the mean distance from gold as a share of the scale (0 is best), within_one the "
        "share of rows within one level or a tenth of a range, and accuracy the share with exactly gold's level."
    ),
    baseline="ridge regression on TF-IDF of words or letters",
    default_student=lambda local: StudentKind.LAYERS if local else StudentKind.STATIC,
    spelled=str,
    differing_fields=lambda answer, gold: (),
    own_gate_problems=_gate_problems,
    names_in=lambda text: (text,),
    label_of=on_scale,
    renamed=lambda names, text: names.get(text, text),
    settled=settled,
)
