"""All that differs by task, one file a task (pure)."""

from __future__ import annotations

from collections.abc import Sequence

from distill_tui.gates.gate import Gate
from distill_tui.gates.problems import problems
from distill_tui.tasks import classification, generation
from distill_tui.tasks.definition import Definition
from distill_tui.terms import PlayKind, Task

_TASKS: dict[Task, Definition] = {each.DEFINITION.task: each.DEFINITION for each in (classification, generation)}


def of(task: Task) -> Definition:
    return _TASKS[task]


def of_labels(labels: Sequence[str]) -> Definition:
    """Return the task of a data set by its labels: only a generation task has none."""
    return of(Task.CLASSIFICATION if labels else Task.GENERATION)


def gate_problems(gate: Gate, kind: PlayKind, task: Task) -> list[str]:
    """Return what prevents locking a gate for a play of this kind and task, in full sentences; empty if nothing."""
    return [*problems(gate, kind), *of(task).own_gate_problems(gate)]
