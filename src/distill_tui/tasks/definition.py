"""What differs by task, as one frozen object a task. Its torch part is the module of the same name in `training`, and
what workers do with its rows the one in `runs`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from distill_tui.gates.gate import Gate
from distill_tui.terms import Metric, StudentKind, Task


@dataclass(frozen=True)
class Definition:
    """One task."""

    task: Task
    has_labels: bool  # whether the answers are a closed list of labels, of which the teacher has probabilities
    student: str  # the title of a student whose play has no summary
    student_does: str
    teacher_problem: str  # about a teacher that answers otherwise, with {code} for the play's
    metrics: tuple[Metric, ...]  # that a gate may use
    metrics_note: str  # what the words of a gate mean for this task
    baseline: str  # the name of the baseline that learns
    default_student: Callable[[bool], StudentKind]  # by whether the teacher is a local classifier
    spelled: Callable[[str], str]  # the spelling in which two answers are compared
    differing_fields: Callable[[str, str], tuple[str, ...]]  # of an answer and gold
    own_gate_problems: Callable[[Gate], Iterator[str]]

    def differ(self, one: str, other: str) -> bool:
        """Whether two answers are different, so that one that differs from gold is wrong."""
        return self.spelled(one) != self.spelled(other)

    def cell_label(self, answer: str | None) -> str | None:
        """Return the answer where failures are counted by it; written answers are too many."""
        return answer if self.has_labels else None
