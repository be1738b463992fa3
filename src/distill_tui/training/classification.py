"""Training a student that chooses one label: its rows, its objective, and the rows as a ladder's arms see them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from distill_tui.spec import Spec
from distill_tui.terms import Control, StudentKind, Task
from distill_tui.training import checkpoints, models, processes, students
from distill_tui.training.folders import teacher_labels
from distill_tui.training.loop import Places, Step, fit
from distill_tui.training.models import Floats
from distill_tui.training.objective import distillation_loss, hidden_loss, logit_loss
from distill_tui.training.students.layers import NO_TEACHER


@dataclass(frozen=True)
class Examples:
    """`n` training rows with their targets."""

    inputs: tuple[str, ...]
    labels: NDArray[np.int64]  # (n,) hard label, -1 where there is none
    soft: NDArray[np.float32] | None  # (n, k) the teacher's probabilities, NaN in rows without any
    weights: NDArray[np.float32]  # (n,)


def train(
    spec: Spec, labels: tuple[str, ...], training: Examples, validation: Examples, places: Places
) -> Iterator[Step]:
    """Train the spec's student: see `loop.fit`.

    Raises ValueError with one sentence where the rows could teach nothing, before anything is loaded.
    """
    problem, teacher = spec.problem() or rows_problem(spec, labels, training, validation), places.teacher
    if problem is None and teacher is None:
        problem = NO_TEACHER if spec.student is StudentKind.LAYERS else None
    if problem is None and teacher is not None:
        problem = _labels_problem(spec, labels, teacher)
    if problem:
        raise ValueError(problem)
    return fit(spec, lambda: ClassificationObjective(spec, labels, training, validation, places), places)


def rows_problem(spec: Spec, labels: tuple[str, ...], training: Examples, validation: Examples) -> str | None:
    """Return in one sentence why these rows could teach nothing, or nothing of the teacher's; None where they can."""
    for name, rows in (("training", training), ("validation", validation)):
        problem = _shape_problem(name, len(labels), rows)
        if problem:
            return problem
    if spec.task is not Task.CLASSIFICATION:
        return (
            f"A {spec.student} student learns texts, and this task has labels; train another kind, like student=static."
        )
    if len(labels) < 2:
        return f"A classifier needs two labels or more; there are {len(labels)}."
    if not len(training.inputs):
        return "There are no training rows."
    if _useful(spec, training).any():
        return _silent_term(spec, training)
    if spec.alpha == 1 and (training.labels >= 0).any() and (training.weights > 0).any():
        return _silent_term(spec, training)
    return "No training row has a label that counts: import gold labels, or label the rows with the teacher."


def _silent_term(spec: Spec, training: Examples) -> str | None:
    """Return a sentence about a term of the teacher's without any row: its gradient would always be zero."""
    some = (~np.isnan(_soft(training, 1)).any(axis=1) & (training.weights > 0)).any()
    for name in spec.soft_terms:
        if not some:
            return (
                f"{name} is {getattr(spec, name):g}, and no training row has the teacher's probabilities, so that term "
                f"would have no gradient; label the rows, or give {name}=0 to train on labels alone."
            )
    return None


def _labels_problem(spec: Spec, labels: tuple[str, ...], teacher: Path) -> str | None:
    theirs = teacher_labels(teacher)
    if not spec.distils or sorted(theirs) == sorted(labels):
        return None
    return (
        f"The teacher's labels are {', '.join(theirs)}, and the data set's are {', '.join(labels)}; a student cannot "
        "learn one from the other: import gold with the teacher's labels, or choose another teacher."
    )


def _shape_problem(name: str, classes: int, rows: Examples) -> str | None:
    n = len(rows.inputs)
    if rows.labels.shape != (n,) or rows.weights.shape != (n,):
        return f"The {name} rows are {n}, with {len(rows.labels)} labels and {len(rows.weights)} weights."
    if rows.soft is not None and rows.soft.shape != (n, classes):
        return f"The {name} rows have soft labels of shape {rows.soft.shape}; it must be {(n, classes)}."
    if n and not -1 <= rows.labels.min() <= rows.labels.max() < classes:
        return f"A {name} row has label number {rows.labels.max()}, and there are only {classes} labels."
    if n and not (np.isfinite(rows.weights).all() and rows.weights.min() >= 0):
        return f"A {name} row has a weight that is negative or not a number."
    return None


def _useful(spec: Spec, rows: Examples) -> NDArray[np.bool_]:
    """Mark the rows whose loss can have a gradient; the others would only cost time."""
    soft, hard = ~np.isnan(_soft(rows, 1)).any(axis=1), rows.labels >= 0
    soft &= spec.alpha > 0 or spec.logit_mse > 0
    return (soft | (hard & (spec.alpha < 1)) | (spec.hidden_cosine > 0)) & (rows.weights > 0)


def _soft(rows: Examples, classes: int) -> NDArray[np.float32]:
    return rows.soft if rows.soft is not None else np.full((len(rows.inputs), classes), np.nan, dtype=np.float32)


class ClassificationObjective:
    """The student, and its rows as tokens with their targets."""

    def __init__(
        self,
        spec: Spec,
        labels: tuple[str, ...],
        training: Examples,
        validation: Examples,
        places: Places,
    ) -> None:
        self.spec = spec
        useful = np.flatnonzero(_useful(spec, training))
        texts = [training.inputs[row] for row in useful]
        self.student = students.build(spec, labels, texts, places.teacher, places.start)
        self.model = self.student.model
        self.rows = self.student.tokenise(texts, spec.max_tokens)
        self.lengths = [len(row) for row in self.rows]
        self.labels = torch.from_numpy(training.labels[useful])
        self.soft = torch.from_numpy(_soft(training, len(labels))[useful])
        self.weights = torch.from_numpy(training.weights[useful])
        self.validation_rows, self.validation_targets = self._validation(validation)
        self.term_weights = {
            "soft": spec.alpha,
            "hard": 1 - spec.alpha,
            "logit": spec.logit_mse,
            "hidden": spec.hidden_cosine,
        }
        described = json.dumps(labels) + self.student.description()
        self.identity = checkpoints.run_identity(spec.to_json(), described, training, validation)
        with processes.join().main_first():
            self.states = None
            if spec.hidden_cosine > 0:
                kept = places.checkpoints / f"teacher-{self.identity[:16]}.safetensors"
                self.states = checkpoints.kept(kept, lambda: _teacher_states(places.teacher, texts, spec))["states"]

    def terms(self, batch: list[int]) -> dict[str, torch.Tensor]:
        """Compute each term of the loss on a batch; costly terms of weight 0 are left out."""
        rows = [self.rows[row] for row in batch]
        if self.states is None:
            logits, states = self.student.logits(rows), None
        else:
            logits, states = models.states(self.model, rows)
        labels, soft, weights = (of[batch].to(logits.device) for of in (self.labels, self.soft, self.weights))
        _, divergence, cross_entropy = distillation_loss(
            logits, labels, soft, weights, self.spec.temperature, self.spec.alpha
        )
        found = {"soft": divergence, "hard": cross_entropy}
        if self.spec.logit_mse > 0:
            found["logit"] = logit_loss(logits, soft, weights)
        if states is not None and self.states is not None:
            found["hidden"] = hidden_loss(states, self.states[batch].to(logits.device), weights)
        return found

    def batch_weight(self, batch: list[int]) -> float:
        return float(self.weights[batch].sum())

    def validate(self) -> float | None:
        """Compute the share of validation rows on which the student agrees with the teacher, or with gold."""
        if not self.validation_rows:
            return None
        self.model.eval()
        batches = models.by_length([len(row) for row in self.validation_rows], 2 * self.spec.batch_size)
        answers = np.zeros(len(self.validation_rows), dtype=np.int64)
        for positions in batches:
            with torch.inference_mode():
                logits = self.student.logits([self.validation_rows[position] for position in positions])
            answers[positions] = logits.argmax(dim=1).cpu().numpy()
        return float((answers == self.validation_targets).mean())

    def save(self, folder: Path) -> None:
        self.student.save(folder)

    def _validation(self, validation: Examples) -> tuple[list[list[int]], NDArray[np.int64]]:
        """Choose the rows that the teacher answered, or, where there are none, those with a gold label."""
        soft = _soft(validation, 1)
        answered = ~np.isnan(soft).any(axis=1)
        targets = np.where(answered, np.nan_to_num(soft).argmax(axis=1), -1) if answered.any() else validation.labels
        chosen = np.flatnonzero(targets >= 0)
        texts = [validation.inputs[row] for row in chosen]
        return self.student.tokenise(texts, self.spec.max_tokens), targets[chosen]


def _teacher_states(teacher: Path | None, texts: Sequence[str], spec: Spec) -> dict[str, torch.Tensor]:
    """Compute the teacher's hidden states of the student's layers, (rows, layers, width)."""
    assert teacher is not None  # a student of its layers was built from it
    model, tokenizer = models.load(teacher)
    rows = models.tokenise(tokenizer, texts, spec.max_tokens)
    found = torch.zeros(len(rows), len(spec.layers), model.config.hidden_size)
    for positions in models.by_length([len(row) for row in rows], 64):
        with torch.inference_mode():
            _, states = models.states(model, [rows[position] for position in positions])
        found[positions] = states[:, list(spec.layers)]
    return {"states": found}


@dataclass(frozen=True)
class LabelRows:
    """The rows that the arms learn from, and the validation rows that they are compared on."""

    labels: tuple[str, ...]
    training: Examples
    controls: Mapping[Control, Examples]  # the training rows with the hard labels of each control arm
    validation: Examples
    truth: NDArray[np.int64]  # of the validation rows: gold, or the teacher's label where no row has gold; -1 for none
    teacher: NDArray[np.int64]  # the teacher's label of each validation row, -1 for none
    has_gold: bool = True  # whether the truth is gold

    @property
    def teacher_score(self) -> float | None:
        """The share of the validation rows that the teacher gets right; None where it is unknown."""
        both = (self.truth >= 0) & (self.teacher >= 0)
        return float((self.teacher == self.truth)[both].mean()) if both.any() else None

    @property
    def counted(self) -> int:
        return int((self.truth >= 0).sum())

    def problem(self, spec: Spec) -> str | None:
        return rows_problem(spec, self.labels, self.training, self.validation)

    def control_arms(self, spec: Spec) -> Mapping[Control, Examples]:
        """Return the rows of each control arm that has labels and differs from the others."""
        found = {control: self.controls[control] for control in spec.controls} if spec.distils else {}
        hard = self.controls[Control.HARD].labels
        if Control.HARD in found and Control.GOLD in found and np.array_equal(found[Control.GOLD].labels, hard):
            del found[Control.GOLD]
        return {control: rows for control, rows in found.items() if (rows.labels >= 0).any()}

    def train(self, spec: Spec, part: Examples, places: Places) -> Iterator[Step]:
        return train(spec, self.labels, part, self.validation, places)

    def score(self, predictions: Floats) -> float | None:
        known = self.truth >= 0
        return float((predictions.argmax(axis=1) == self.truth)[known].mean()) if known.any() else None
