"""Classification: the student chooses one of a closed list of labels."""

from __future__ import annotations

from collections.abc import Iterator

from distill_tui.gates.gate import Gate
from distill_tui.tasks.definition import Definition
from distill_tui.terms import Metric, StudentKind, Task

_WRITTEN = (Metric.FIELD_F1, Metric.CHRF)


def _gate_problems(gate: Gate) -> Iterator[str]:
    for criterion in gate.criteria:
        if criterion.metric in _WRITTEN:
            yield f"{criterion.metric} compares texts, but this play's answers are labels; use accuracy."


DEFINITION = Definition(
    task=Task.CLASSIFICATION,
    has_labels=True,
    student="A distilled classifier.",
    student_does="chooses among labels",
    teacher_problem=(
        "{code} is a classification play, and this teacher was given no labels; name them with --labels a,b,c."
    ),
    metrics=tuple(metric for metric in Metric if metric not in _WRITTEN),
    metrics_note="",
    baseline="TF-IDF",
    default_student=lambda local: StudentKind.LAYERS if local else StudentKind.STATIC,
    spelled=str,
    differing_fields=lambda answer, gold: (),
    own_gate_problems=_gate_problems,
)
