"""Multi-label: the student chooses any number of a closed list of labels, also none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from distill_tui.gates.gate import OF_SCORES, Gate
from distill_tui.gates.label_sets import members, read, written
from distill_tui.tasks.definition import Definition
from distill_tui.tasks.label_map import LabelMap
from distill_tui.terms import Metric, StudentKind, Task

_WRITTEN = (Metric.FIELD_F1, Metric.CHRF)
_OTHERS = (*_WRITTEN, *OF_SCORES)


def _gate_problems(gate: Gate) -> Iterator[str]:
    for criterion in gate.criteria:
        if criterion.metric in _WRITTEN:
            yield f"{criterion.metric} compares texts, but this play's answers are labels; use micro_f1 or macro_f1."
        if criterion.metric in OF_SCORES:
            yield f"{criterion.metric} is of scores, and this play's answers are sets of labels; use micro_f1."
        if gate.deferral is not None and criterion.counts and criterion.metric is Metric.P95_LATENCY:
            yield (
                f"{criterion.metric} has a criterion and requests go back to the teacher, but combined latency is not "
                "measured for several labels; remove one of the two, or only watch the latency."
            )


def mapped(named: LabelMap, text: str) -> str | None:
    """Return the set of labels that a set of names stands for; None where a name has none, or it is not a set."""
    names = read(text)
    labels = None if names is None else [named.of(name) for name in names]
    return None if labels is None or None in labels else written(label for label in labels if label is not None)


def renamed(names: Mapping[str, str], text: str) -> str:
    """Put labels in the place of the names that are known; the others stay."""
    found = read(text)
    return text if found is None else written(names.get(name, name) for name in found)


def spelled(text: str) -> str:
    found = read(text)
    return text if found is None else written(found)


DEFINITION = Definition(
    task=Task.MULTILABEL,
    has_labels=True,
    several=True,
    student="A distilled classifier of several labels.",
    teacher_problem=(
        "{code} is a multi-label play, and this teacher was given no labels; name them with --labels a,b,c."
    ),
    students=tuple(kind for kind in StudentKind if kind.reads),
    metrics=tuple(metric for metric in Metric if metric not in _OTHERS),
    metrics_note=(
        "Answers are sets of labels: accuracy is the share of rows whose whole set is gold's, agreement the same with "
        "the teacher's set, and the Brier score is the mean over labels of the squared distance from gold."
    ),
    baseline="TF-IDF of words or letters, one classifier a label",
    default_student=lambda local: StudentKind.LAYERS if local else StudentKind.STATIC,
    spelled=spelled,
    differing_fields=lambda answer, gold: tuple(sorted({*members(answer)} ^ {*members(gold)})),
    own_gate_problems=_gate_problems,
    names_in=members,
    label_of=mapped,
    renamed=renamed,
)
