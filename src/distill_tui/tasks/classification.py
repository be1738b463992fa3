"""Classification: the student chooses one of a closed list of labels."""

from __future__ import annotations

from collections.abc import Iterator

from distill_tui.gates.gate import LABEL_SCORES, OF_SCORES, Gate
from distill_tui.tasks.definition import Definition
from distill_tui.terms import Metric, StudentKind, Task

_WRITTEN = (Metric.FIELD_F1, Metric.CHRF)
_OTHERS = (*_WRITTEN, Metric.HAMMING, Metric.MICRO_F1, *OF_SCORES)


def _gate_problems(gate: Gate) -> Iterator[str]:
    for criterion in gate.criteria:
        if criterion.metric in _WRITTEN:
            yield f"{criterion.metric} compares texts, but this play's answers are labels; use accuracy."
        elif criterion.metric in OF_SCORES:
            yield f"{criterion.metric} is of scores, and this play's answers are labels; use accuracy."
        elif criterion.metric in _OTHERS:
            yield f"{criterion.metric} is of several labels, and each answer of this play is one; use accuracy."


DEFINITION = Definition(
    task=Task.CLASSIFICATION,
    has_labels=True,
    several=False,
    student="A distilled classifier.",
    teacher_problem=(
        "{code} is a classification play, and this teacher was given no labels; name them with --labels a,b,c."
    ),
    students=tuple(kind for kind in StudentKind if not kind.writes),
    metrics=tuple(metric for metric in Metric if metric not in (*_OTHERS, *LABEL_SCORES)),
    metrics_note="",
    baseline="TF-IDF of words or letters",
    default_student=lambda local: StudentKind.LAYERS if local else StudentKind.STATIC,
    spelled=str,
    differing_fields=lambda answer, gold: (),
    own_gate_problems=_gate_problems,
    names_in=lambda text: (text,),
    label_of=lambda named, text: named.of(text),
    renamed=lambda names, text: names.get(text, text),
)
