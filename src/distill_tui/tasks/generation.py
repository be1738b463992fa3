"""Generation: the student writes its answer, a text or a JSON object of extracted fields."""

from __future__ import annotations

from collections.abc import Iterator

from distill_tui.gates.gate import LABEL_SCORES, OF_SCORES, Gate
from distill_tui.tasks import answer_text
from distill_tui.tasks.definition import Definition
from distill_tui.terms import Metric, StudentKind, Task

_OTHERS = (Metric.HAMMING, *LABEL_SCORES, *OF_SCORES)


def _gate_problems(gate: Gate) -> Iterator[str]:
    for criterion in gate.criteria:
        name = criterion.metric.value
        if criterion.metric in (*LABEL_SCORES, Metric.HAMMING):
            yield f"{name} is of labels, but this play's answers are texts; use accuracy or field_f1."
        if criterion.metric in OF_SCORES:
            yield f"{name} is of scores, but this play's answers are texts; use accuracy or field_f1."
        if criterion.metric is Metric.BRIER:
            yield f"{name} needs probabilities of labels, but this play's answers are texts; use accuracy or field_f1."
        if gate.deferral is not None and criterion.counts and criterion.metric is Metric.P95_LATENCY:
            yield (
                f"{name} has a criterion and requests go back to the teacher, but combined latency is not measured for "
                "generative teachers; remove one of the two, or only watch the latency."
            )


DEFINITION = Definition(
    task=Task.GENERATION,
    has_labels=False,
    several=False,
    student="A distilled student that writes its answers.",
    teacher_problem=(
        "{code} is a generation play, and this teacher chooses among labels; take --recorded, an endpoint or a causal "
        "model (--prompted), without --labels."
    ),
    students=tuple(kind for kind in StudentKind if kind.writes),
    metrics=tuple(metric for metric in Metric if metric not in (Metric.BRIER, *_OTHERS)),
    metrics_note=(
        "Answers are texts: accuracy is exact match (every field, or the whole text, equal to gold), agreement the "
        "same with the teacher's answer, and the tfidf baseline copies the answer of the most similar training row."
    ),
    baseline="the nearest other row",
    default_student=lambda local: StudentKind.TAGGER,
    spelled=answer_text.spelled,
    differing_fields=answer_text.differing_fields,
    own_gate_problems=_gate_problems,
    names_in=lambda text: (),
    label_of=lambda named, text: text,
    renamed=lambda names, text: text,
)
