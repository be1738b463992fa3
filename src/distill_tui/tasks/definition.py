"""What differs by task, as one frozen object a task. Its torch part is the module of the same name in `training`, and
what workers do with its rows the one in `runs`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from distill_tui.gates.gate import Gate
from distill_tui.tasks.label_map import LabelMap
from distill_tui.terms import Metric, StudentKind, Task


def majority(votes: Counter[str]) -> str | None:
    """Return the answer of most votes; None where two have equally many."""
    ranked = votes.most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


@dataclass(frozen=True)
class Definition:
    """One task."""

    task: Task
    has_labels: bool  # whether the answers are a closed list of labels, of which the teacher has probabilities
    several: bool  # whether an answer is a set of labels
    student: str  # the title of a student whose play has no summary
    teacher_problem: str  # about a teacher that answers otherwise, with {code} for the play's
    students: tuple[StudentKind, ...]  # the kinds of student that learn it
    metrics: tuple[Metric, ...]  # that the sheet of a gate names
    metrics_note: str  # what the words of a gate mean for this task
    baseline: str  # the name of the baseline that learns
    default_student: Callable[[bool], StudentKind]  # by whether the teacher is a local classifier
    spelled: Callable[[str], str]  # the spelling in which two answers are compared
    differing_fields: Callable[[str, str], tuple[str, ...]]  # of an answer and gold
    own_gate_problems: Callable[[Gate], Iterator[str]]
    names_in: Callable[[str], tuple[str, ...]]  # the names of labels in an answer, as written
    label_of: Callable[[LabelMap, str], str | None]  # what an answer stands for by the label map; None for no label
    renamed: Callable[[Mapping[str, str], str], str]  # an answer with labels in the place of names that are known
    settled: Callable[[Counter[str]], str | None] = majority  # gold of an input that has several; None for a tie

    def differ(self, one: str, other: str) -> bool:
        """Whether two answers are different, so that one that differs from gold is wrong."""
        return self.spelled(one) != self.spelled(other)

    def cell_label(self, answer: str | None, labels: Sequence[str] = ()) -> str | None:
        """Return the label that rows are counted by; none for written answers and sets of labels, which are too many.

        Of a number it is the point of the range that is nearest.
        """
        if not self.one_label or answer is None or answer in labels or not labels:
            return answer if self.one_label else None
        return self.label_of(LabelMap(tuple(labels)), answer) or answer

    @property
    def one_label(self) -> bool:
        return self.has_labels and not self.several
