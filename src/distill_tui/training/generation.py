"""Training a student that writes its answers: its rows, its losses, and the rows as a ladder's arms see them.

Students learn the teacher's answers as if they were gold, which is sequence-level distillation (Kim and Rush 2016); one
that writes token by token may also learn the teacher's probabilities of each token, where the vocabularies are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from distill_tui.gates.gate import ORDERED
from distill_tui.spec import Spec
from distill_tui.tasks.answer_text import spelled
from distill_tui.teachers.description import GIVEN_ALONE, Described
from distill_tui.terms import Control
from distill_tui.training import calibration, models, starts, students
from distill_tui.training.folders import check_causal_folder
from distill_tui.training.loop import Places, Step, fit
from distill_tui.training.predictor import Predictor, WrittenAnswer


@dataclass(frozen=True)
class Pairs:
    """`n` training rows: inputs and the answers to them."""

    inputs: tuple[str, ...]
    outputs: tuple[str | None, ...]  # None: unknown
    weights: NDArray[np.float32]  # (n,)
    lists: str = ORDERED  # how lists in the answers are compared

    def known(self) -> list[int]:
        """Return the numbers of the rows that have an answer and a weight."""
        return [row for row, output in enumerate(self.outputs) if output is not None and self.weights[row] > 0]

    def of(self, rows: Sequence[int]) -> Pairs:
        """Return some of the rows."""
        inputs, outputs = tuple(self.inputs[row] for row in rows), tuple(self.outputs[row] for row in rows)
        return Pairs(inputs, outputs, self.weights[list(rows)], self.lists)


def rows_problem(spec: Spec, training: Pairs, validation: Pairs) -> str | None:
    """Return in one sentence why these rows could teach nothing; None where they can."""
    for name, rows in (("training", training), ("validation", validation)):
        problem = _shape_problem(name, rows)
        if problem:
            return problem
    if not spec.writes:
        return f"A {spec.student} student chooses labels; a generation task takes student=tagger or student=causal."
    if not training.inputs:
        return "There are no training rows."
    if not training.known():
        return "No training row has an answer that counts: import gold answers, or have the teacher answer the rows."
    return next(filter(None, (students.answers_problem(rung, training) for rung in spec.rungs())), None)


def train(
    spec: Spec, training: Pairs, validation: Pairs, places: Places, asked: Described = GIVEN_ALONE
) -> Iterator[Step]:
    """Train the spec's student: see `loop.fit`; validation is exact match.

    Where alpha is above 0, the teacher is a causal model whose probabilities are learnt, and `asked` has its prompt.
    Raises ValueError with one sentence where the rows could teach nothing, before anything but tokenizers is loaded.
    """
    problem = spec.problem() or rows_problem(spec, training, validation)
    if problem is None and spec.alpha > 0:
        problem = _vocabulary_problem(spec, places.teacher, places.start)
    if problem:
        raise ValueError(problem)
    return fit(spec, lambda: students.objective(spec, training, validation, places, asked), places)


class ExactMatch:
    """The validation rows that have an answer, and the share of them that is answered exactly."""

    def __init__(self, validation: Pairs, student: Predictor[WrittenAnswer]) -> None:
        known = validation.known()
        self.student, self.rows = student, student.prepare([validation.inputs[row] for row in known])
        self.lists = validation.lists
        self.wanted = [spelled(str(validation.outputs[row]), self.lists) for row in known]

    def score(self) -> float | None:
        if not self.wanted:
            return None
        answers = self.student.run_all(self.rows)
        return _share(
            [(spelled(one.text, self.lists), wanted) for one, wanted in zip(answers, self.wanted, strict=True)]
        )


def _vocabulary_problem(spec: Spec, teacher: Path | None, start: Path | None) -> str | None:
    """Return in one sentence why the teacher's probabilities cannot be learnt, or None."""
    if teacher is None:
        return starts.no_teacher(spec)
    problem = check_causal_folder(teacher) or (check_causal_folder(start) if start is not None else None)
    if problem or start is None:
        return problem
    theirs, ours = (models.tokenizer_of(folder).get_vocab() for folder in (teacher, start))
    return next(starts.unlike(spec, theirs, ours), None)


def _shape_problem(name: str, rows: Pairs) -> str | None:
    n = len(rows.inputs)
    if len(rows.outputs) != n or rows.weights.shape != (n,):
        return f"The {name} rows are {n}, with {len(rows.outputs)} outputs and {len(rows.weights)} weights."
    if n and not (np.isfinite(rows.weights).all() and rows.weights.min() >= 0):
        return f"A {name} row has a weight that is negative or not a number."
    return None


def notes(taught: int, known: int, why: str) -> dict[str, object]:
    """Return the fields of answer.json about answers that the student was not taught."""
    return {"taught": taught, "left_out": known - taught, "why": why if taught < known else ""}


@dataclass(frozen=True)
class AnswerRows:
    """The rows that the arms learn from, and the validation rows that they are compared on.

    A row teaches its gold answer, or where it has none the teacher's.
    """

    training: Pairs
    gold: Pairs  # the same rows, with gold answers only
    validation: Pairs
    truth: Sequence[str | None]  # of the validation rows, as spelled: gold, or the teacher's where no row has gold
    teacher: Sequence[str | None]  # the teacher's answer to each validation row, as spelled
    has_gold: bool = True  # whether the truth is gold
    asked: Described = GIVEN_ALONE  # the prompt of a local teacher, where its probabilities of tokens are learnt

    @property
    def teacher_score(self) -> float | None:
        """The share of the validation rows that the teacher gets right; None where it is unknown."""
        both = zip(self.teacher, self.truth, self._aside, strict=True)
        return _share([(answer, truth) for answer, truth, away in both if answer is not None and not away])

    @property
    def _aside(self) -> NDArray[np.bool_]:
        """Mark the validation rows that neither stop the training nor choose the student."""
        return calibration.calibrates(self.validation.inputs)

    @property
    def counted(self) -> int:
        return sum(text is not None for text in self.truth)

    @property
    def compared(self) -> int:
        return sum(text is not None and not away for text, away in zip(self.truth, self._aside, strict=True))

    def problem(self, spec: Spec) -> str | None:
        return rows_problem(spec, self.training, self.validation)

    def control_arms(self, spec: Spec) -> Mapping[Control, Pairs]:
        """Return the rows of each control arm: without the teacher's probabilities, and without its answers."""
        found = {Control.HARD: self.training} if spec.alpha > 0 else {}
        if spec.alpha > 0 or self.gold.outputs != self.training.outputs:
            found[Control.GOLD] = self.gold
        return {each: found[each] for each in spec.controls if each in found and any(found[each].outputs)}

    def train(self, spec: Spec, part: Pairs, places: Places) -> Iterator[Step]:
        kept = [row for row, away in enumerate(self._aside) if not away]
        return train(spec, part, self.validation.of(kept), places, self.asked)

    def score(self, predictions: Sequence[WrittenAnswer]) -> float | None:
        answers = [spelled(each.text, self.validation.lists) for each in predictions]
        kept = zip(answers, self.truth, self._aside, strict=True)
        return _share([(answer, truth) for answer, truth, away in kept if not away])


def _share(pairs: Sequence[tuple[str, str | None]]) -> float | None:
    known = [answer == truth for answer, truth in pairs if truth is not None]
    return sum(known) / len(known) if known else None
