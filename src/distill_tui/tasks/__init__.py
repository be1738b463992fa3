"""All that differs by task, one file a task (pure)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from distill_tui.gates import gate as gates
from distill_tui.gates.gate import Gate
from distill_tui.gates.headline import FIRST
from distill_tui.gates.problems import problems
from distill_tui.tasks import answer_text, classification, generation, multilabel, score
from distill_tui.tasks.definition import Definition
from distill_tui.terms import Metric, PlayKind, Task

_TASKS: dict[Task, Definition] = {
    each.DEFINITION.task: each.DEFINITION for each in (classification, multilabel, score, generation)
}


def of(task: Task) -> Definition:
    return _TASKS[task]


def compared(task: Task, lists: str) -> Definition:
    """Return a task whose answers are compared as a gate says of lists."""
    found = of(task)
    if lists == gates.ORDERED or found.has_labels:
        return found
    spelled, apart = partial(answer_text.spelled, lists=lists), partial(answer_text.differing_fields, lists=lists)
    return replace(found, spelled=spelled, differing_fields=apart)


def default_gate(kind: PlayKind, task: Task) -> Gate:
    """Suggest a gate for a play; of sets of labels micro-F1 takes the place of accuracy, of scores their distance."""
    gate, metric = gates.default_gate(kind), FIRST.get(task, Metric.ACCURACY)
    criteria = (replace(each, metric=metric) if each.metric is Metric.ACCURACY else each for each in gate.criteria)
    return replace(gate, criteria=tuple(criteria))


def gate_problems(gate: Gate, kind: PlayKind, task: Task) -> list[str]:
    """Return what prevents locking a gate for a play of this kind and task, in full sentences; empty if nothing."""
    found = [*problems(gate, kind), *of(task).own_gate_problems(gate)]
    if of(task).has_labels and gate.lists != gates.ORDERED:
        found.append("lists is about written answers, and this play's answers are labels; leave it out.")
    return found
