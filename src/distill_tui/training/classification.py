"""Training a student that gives labels: its rows, its objective, and the rows as a ladder's arms see them.

The answer of a row is one label, which is a number, or a set of labels, which is a row of 0 and 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from distill_tui.spec import Spec
from distill_tui.terms import Control, StudentKind
from distill_tui.training import calibration, checkpoints, processes, students, thresholds
from distill_tui.training.arrays import TOKENS, Floats, by_length
from distill_tui.training.examples import Examples, known
from distill_tui.training.folders import OF_SCALE, SEVERAL, set_settings
from distill_tui.training.loop import Places, Step, fit
from distill_tui.training.objective import (
    distillation_loss,
    hidden_loss,
    logit_loss,
    set_distillation_loss,
    set_logit_loss,
)
from distill_tui.training.predictor import SetShares
from distill_tui.training.starts import labels_problems
from distill_tui.training.students import NO_TEACHER

if TYPE_CHECKING:
    from distill_tui.training.students.frozen import FrozenStudent


HALF = 0.5 - 1e-6  # of a distribution over levels, at which its median is reached
Levels = tuple[float, ...]  # where each level of a scale lies, from 0 to 1; empty for labels without an order


def agreed(said: NDArray[Any], truth: NDArray[np.int64], levels: Levels = ()) -> float:
    """Compute the share of rows with the right label; of sets, (n, k), the F1 of all their labels together.

    Of levels, it is one minus the mean distance, as a share of the scale.
    """
    if levels:
        where = np.array(levels)
        return float(1 - np.abs(where[said] - where[truth]).mean())
    if truth.ndim == 1:
        return float((said == truth).mean())
    both, either = int(((said > 0) & (truth > 0)).sum()), int((said > 0).sum() + (truth > 0).sum())
    return 2 * both / either if either else 1.0


def train(
    spec: Spec,
    labels: tuple[str, ...],
    training: Examples,
    validation: Examples,
    places: Places,
    levels: Levels = (),
) -> Iterator[Step]:
    """Train the spec's student: see `loop.fit`.

    Raises ValueError with one sentence where the rows could teach nothing, before anything is loaded.
    """
    problem, teacher = spec.problem() or rows_problem(spec, labels, training, validation), places.teacher
    if problem is None and teacher is None:
        problem = NO_TEACHER if spec.student is StudentKind.LAYERS else None
    if problem is None and teacher is not None:
        problem = next(labels_problems(spec, labels, teacher), None)
    if problem:
        raise ValueError(problem)
    return fit(spec, lambda: ClassificationObjective(spec, labels, training, validation, places, levels), places)


def rows_problem(spec: Spec, labels: tuple[str, ...], training: Examples, validation: Examples) -> str | None:
    """Return in one sentence why these rows could teach nothing, or nothing of the teacher's; None where they can."""
    for name, rows in (("training", training), ("validation", validation)):
        problem = _shape_problem(name, len(labels), rows)
        if problem:
            return problem
    if spec.writes:
        return (
            f"A {spec.student} student learns texts, and this task has labels; train another kind, like student=static."
        )
    if len(labels) < 2:
        return f"A classifier needs two labels or more; there are {len(labels)}."
    if not len(training.inputs):
        return "There are no training rows."
    if _useful(spec, training).any():
        return _silent_term(spec, training)
    if spec.alpha == 1 and training.hard.any() and (training.weights > 0).any():
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


def _shape_problem(name: str, classes: int, rows: Examples) -> str | None:
    n = len(rows.inputs)
    if rows.labels.shape not in ((n,), (n, classes)) or rows.weights.shape != (n,):
        return f"The {name} rows are {n}, with {len(rows.labels)} labels and {len(rows.weights)} weights."
    if rows.soft is not None and rows.soft.shape != (n, classes):
        return f"The {name} rows have soft labels of shape {rows.soft.shape}; it must be {(n, classes)}."
    if n and not -1 <= rows.labels.min() <= rows.labels.max() < (classes if rows.labels.ndim == 1 else 2):
        return f"A {name} row has label number {rows.labels.max()}, and there are only {classes} labels."
    if n and not (np.isfinite(rows.weights).all() and rows.weights.min() >= 0):
        return f"A {name} row has a weight that is negative or not a number."
    return None


def _useful(spec: Spec, rows: Examples) -> NDArray[np.bool_]:
    """Mark the rows whose loss can have a gradient; the others would only cost time."""
    soft, hard = ~np.isnan(_soft(rows, 1)).any(axis=1), rows.hard
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
        levels: Levels = (),
    ) -> None:
        self.spec, self.several, self.levels = spec, training.labels.ndim == 2, levels
        useful = np.flatnonzero(_useful(spec, training))
        texts = [training.inputs[row] for row in useful]
        self.student = students.build(spec, labels, texts, places.teacher, places.start, places.shared)
        self.model = self.student.model
        self.rows = self.student.tokenise(texts)
        self.lengths = [len(row) for row in self.rows]
        self.labels = torch.from_numpy(training.labels[useful])
        self.soft = torch.from_numpy(_soft(training, len(labels))[useful])
        self.weights = torch.from_numpy(training.weights[useful])
        self.validation_rows, self.validation_targets = self._validation(validation)
        if spec.student is StudentKind.FROZEN:
            with processes.join().main_first():
                cast("FrozenStudent", self.student).read(
                    self.rows, self.validation_rows, places.shared or places.checkpoints
                )
        self.term_weights = {
            "soft": spec.alpha,
            "hard": 1 - spec.alpha,
            "logit": spec.logit_mse,
            "hidden": spec.hidden_cosine,
        }
        described = json.dumps(labels) + self.student.description()
        self.identity = checkpoints.run_identity(spec.to_json(), described, training, validation)
        with processes.join().main_first():
            self.states: torch.Tensor | None = None
            if spec.hidden_cosine > 0:
                kept = places.checkpoints / f"teacher-{self.identity[:16]}.safetensors"
                hidden = import_module("distill_tui.training.hidden_states")  # other students do without transformers
                self.outputs = hidden.states
                self.states = checkpoints.kept(
                    kept, lambda: hidden.of_teacher(places.teacher, texts, spec.layers, self.student.max_tokens)
                )["states"]

    def terms(self, batch: list[int]) -> dict[str, torch.Tensor]:
        """Compute each term of the loss on a batch; costly terms of weight 0 are left out."""
        rows = [self.rows[row] for row in batch]
        if self.states is None:
            logits, states = self.student.logits(rows), None
        else:
            logits, states = self.outputs(self.model, rows)
        labels, soft, weights = (of[batch].to(logits.device) for of in (self.labels, self.soft, self.weights))
        loss = set_distillation_loss if self.several else distillation_loss
        _, divergence, cross_entropy = loss(logits, labels, soft, weights, self.spec.temperature, self.spec.alpha)
        found = {"soft": divergence, "hard": cross_entropy}
        if self.spec.logit_mse > 0:
            found["logit"] = (set_logit_loss if self.several else logit_loss)(logits, soft, weights)
        if states is not None and self.states is not None:
            found["hidden"] = hidden_loss(states, self.states[batch].to(logits.device), weights)
        return found

    def batch_weight(self, batch: list[int]) -> float:
        return float(self.weights[batch].sum())

    def validate(self) -> float | None:
        """Compute how far the student agrees with the teacher, or with gold, on the validation rows: see `agreed`."""
        if not self.validation_rows:
            return None
        self.model.eval()
        lengths = [len(row) for row in self.validation_rows]
        batches = by_length(lengths, 2 * self.spec.batch_size, 2 * TOKENS)
        logits = torch.zeros(len(self.validation_rows), self.soft.shape[1])
        for positions in batches:
            with torch.inference_mode():
                found = self.student.logits([self.validation_rows[position] for position in positions])
            logits[positions] = found.float().cpu()
        return agreed(self._answers(logits), self.validation_targets, self.levels)

    def _answers(self, logits: torch.Tensor) -> NDArray[Any]:
        """Return the labels of sets, the median of levels, or else the likeliest label.

        A label is in a set from a threshold that is fitted on these rows, as a trained student has one: at a
        probability of half, labels that few rows have would be in no set for many epochs, and training would stop.
        """
        if self.several:
            shares = logits.sigmoid().numpy()
            return shares >= np.array(thresholds.fitted(shares, self.validation_targets), dtype=np.float32)
        chosen = (logits.softmax(dim=1).cumsum(dim=1) < HALF).sum(dim=1) if self.levels else logits.argmax(dim=1)
        return chosen.numpy()

    def save(self, folder: Path) -> None:
        self.student.save(folder)
        if self.several:
            set_settings(folder, {"problem_type": SEVERAL})
        if self.levels:
            set_settings(folder, {OF_SCALE: True})

    def _validation(self, validation: Examples) -> tuple[list[list[int]], NDArray[np.int64]]:
        """Choose the rows that the teacher answered, or, where there are none, those with a gold label."""
        soft = _soft(validation, 1)
        answered = ~np.isnan(soft).any(axis=1)
        said = np.where(answered, np.nan_to_num(soft).argmax(axis=1), -1).astype(np.int64)
        targets = said if answered.any() else validation.labels
        chosen = np.flatnonzero(known(targets))
        texts = [validation.inputs[row] for row in chosen]
        return self.student.tokenise(texts), targets[chosen]


@dataclass(frozen=True)
class LabelRows:
    """The rows that the arms learn from, and the validation rows that they are compared on."""

    labels: tuple[str, ...]
    training: Examples
    controls: Mapping[Control, Examples]  # the training rows with the hard labels of each control arm
    validation: Examples
    truth: NDArray[np.int64]  # of the validation rows: gold, or the teacher's answer where no row has gold; -1 for none
    teacher: NDArray[np.int64]  # the teacher's answer to each validation row, -1 for none
    has_gold: bool = True  # whether the truth is gold
    levels: Levels = ()  # where each label lies on a scale, if they are levels

    @property
    def teacher_score(self) -> float | None:
        """The share of the validation rows that the teacher gets right; None where it is unknown."""
        both = known(self.truth) & known(self.teacher) & ~self.aside
        return agreed(self.teacher[both], self.truth[both], self.levels) if both.any() else None

    @property
    def aside(self) -> NDArray[np.bool_]:
        """The validation rows that calibrate."""
        return calibration.calibrates(self.validation.inputs)

    @property
    def counted(self) -> int:
        return int(known(self.truth).sum())

    @property
    def compared(self) -> int:
        return int((known(self.truth) & ~self.aside).sum())

    def problem(self, spec: Spec) -> str | None:
        return rows_problem(spec, self.labels, self.training, self.validation)

    def control_arms(self, spec: Spec) -> Mapping[Control, Examples]:
        """Return the rows of each control arm that has labels and differs from the others."""
        found = {control: self.controls[control] for control in spec.controls} if spec.distils else {}
        hard = self.controls[Control.HARD].labels
        if Control.HARD in found and Control.GOLD in found and np.array_equal(found[Control.GOLD].labels, hard):
            del found[Control.GOLD]
        return {control: rows for control, rows in found.items() if rows.hard.any()}

    def train(self, spec: Spec, part: Examples, places: Places) -> Iterator[Step]:
        """Train, and calibrate on validation rows that are kept out of the training, where there are enough of them."""
        aside = self.aside
        if not aside.any():
            yield from train(spec, self.labels, part, self.validation, places, self.levels)
            return
        raw = replace(places, out=places.out.with_name("uncalibrated"))
        yield from train(spec, self.labels, part, _rows_of(self.validation, ~aside), raw, self.levels)
        if processes.join().is_main:
            texts = [text for text, chosen in zip(self.validation.inputs, aside, strict=True) if chosen]
            calibration.calibrated(raw.out, places.out, texts, self._answers_of(aside), spec.max_tokens)

    def _answers_of(self, aside: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return what calibrates: the truth of these rows, and for sets the teacher's where a row has no gold.

        A threshold for each label needs more rows than a temperature does, and gold is often the rare one.
        """
        truth = self.truth[aside]
        return np.where(known(truth)[:, None], truth, self.teacher[aside]) if truth.ndim == 2 else truth

    def score(self, predictions: Floats | SetShares) -> float | None:
        judged = known(self.truth) & ~self.aside
        if isinstance(predictions, SetShares):
            said: NDArray[Any] = predictions.chosen
        elif self.levels:
            said = (predictions.cumsum(axis=1) < HALF).sum(axis=1).clip(max=len(self.labels) - 1)
        else:
            said = predictions.argmax(axis=1)
        return agreed(said[judged], self.truth[judged], self.levels) if judged.any() else None


def _rows_of(rows: Examples, chosen: NDArray[np.bool_]) -> Examples:
    soft = rows.soft[chosen] if rows.soft is not None else None
    inputs = tuple(text for text, kept in zip(rows.inputs, chosen, strict=True) if kept)
    return Examples(inputs, rows.labels[chosen], soft, rows.weights[chosen])
