"""One run, several trainings: rungs cheapest first, then the controls of the student that is kept, then the probe.

A climb stops at the first student that is good enough on the *validation* rows, which builders may look at freely. It
never sees a held-out row: to stop there would spend looks that the gate counts. Good enough is a point estimate and
proves nothing; the gate does that, once, on the held-out rows.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distill_tui.spec import Spec
from distill_tui.terms import Control, Export, StudentKind
from distill_tui.training import distill, evaluate, export, processes
from distill_tui.training.distill import Examples, Step, Terms
from distill_tui.training.models import Floats

SHARES = {"quarter": 4, "half": 2}  # arms of the probe: one row in so many


class AnyRows(Protocol):
    """What a climb asks of the rows that its arms learn from and are compared on, whatever the task is."""

    @property
    def training(self) -> Any: ...  # what a student learns from; it has `inputs`
    @property
    def teacher_score(self) -> float | None: ...
    def problem(self, spec: Spec) -> str | None: ...
    def beside(self, spec: Spec) -> Mapping[Control, Any]: ...  # what each control arm learns from
    def some(self, one_in: int, seed: int) -> Any: ...
    def train(self, spec: Spec, part: Any, places: Places) -> Iterator[Step]: ...
    def ask(self, folder: Path, spec: Spec) -> Any: ...  # what a student says of the validation rows
    def score(self, says: Any) -> float | None: ...


@dataclass(frozen=True)
class Places:
    """Where a training takes its models from, and where it writes."""

    teacher: Path | None
    start: Path | None
    checkpoints: Path
    out: Path


@dataclass(frozen=True)
class Rows:
    """Rows of a classification task, and the validation rows that the arms are compared on."""

    labels: tuple[str, ...]
    training: Examples
    controls: Mapping[Control, Examples]  # the training rows with the hard labels of each control arm
    validation: Examples
    truth: NDArray[np.int64]  # of the validation rows: gold, or the teacher's answer where no row has gold; -1 none
    teacher: NDArray[np.int64]  # the teacher's answer to each validation row, -1 where it gave none

    @property
    def teacher_score(self) -> float | None:
        """The share of the validation rows that the teacher gets right; None where nobody knows."""
        both = (self.truth >= 0) & (self.teacher >= 0)
        return float((self.teacher == self.truth)[both].mean()) if both.any() else None

    def problem(self, spec: Spec) -> str | None:
        """Say why nothing could be learnt, in one sentence, or nothing."""
        return distill.nothing_to_learn(spec, self.labels, self.training, self.validation)

    def beside(self, spec: Spec) -> Mapping[Control, Examples]:
        """Give what the control arms of a student learn from, of those that have labels and differ from each other."""
        found = {control: self.controls[control] for control in spec.controls} if spec.distils else {}
        hard = self.controls[Control.HARD].labels
        if Control.HARD in found and Control.GOLD in found and np.array_equal(found[Control.GOLD].labels, hard):
            del found[Control.GOLD]
        return {control: rows for control, rows in found.items() if (rows.labels >= 0).any()}

    def some(self, one_in: int, seed: int) -> Examples:
        """Take one training row in so many, the same ones again in every larger part."""
        kept = nested(len(self.training.inputs), one_in, seed)
        rows = self.training
        return Examples(
            inputs=tuple(rows.inputs[row] for row in kept),
            labels=rows.labels[kept],
            soft=None if rows.soft is None else rows.soft[kept],
            weights=rows.weights[kept],
        )

    def train(self, spec: Spec, part: Examples, places: Places) -> Iterator[Step]:
        """Train a student."""
        return distill.train(
            spec,
            self.labels,
            part,
            self.validation,
            teacher=places.teacher,
            checkpoints=places.checkpoints,
            out=places.out,
            start=places.start,
        )

    def ask(self, folder: Path, spec: Spec) -> Floats:
        """Give the label probabilities of the validation rows, (rows, labels)."""
        return evaluate.predict(folder, self.validation.inputs, threads=spec.threads, max_tokens=spec.max_tokens)

    def score(self, says: Floats) -> float | None:
        """Give the share of the validation rows with a truth that a student gets right."""
        known = self.truth >= 0
        return float((says.argmax(axis=1) == self.truth)[known].mean()) if known.any() else None


@dataclass(frozen=True)
class Arm:
    """One student that was trained: where it lies, in the form that ships, and what it says of the validation rows."""

    spec: Spec
    folder: Path
    says: Any  # label probabilities, (validation rows, labels), or the answers of a generation task
    score: float | None  # share of the validation rows with a truth that it gets right
    seconds: float
    epochs: tuple[Terms, ...]  # each epoch's mean of the terms of the loss, as far as this process saw them


class Climb:
    """A run: drive it by `steps`; afterwards `kept` is its student, and beside it stand rungs, controls and probe."""

    def __init__(self, spec: Spec, rows: AnyRows, *, teacher: Path | None, start: Path | None, folder: Path) -> None:
        """Plan the run. Raises ValueError at once, with one sentence, where no rung could learn anything."""
        problem = spec.problem() or rows.problem(spec)
        if problem:
            raise ValueError(problem)
        self.spec, self.rows, self.folder = spec, rows, folder
        self.teacher, self.start = teacher, start
        self.rungs: list[Arm] = []
        self.controls: dict[Control, Arm] = {}
        self.probe: dict[str, Arm] = {}
        self.before = 0  # steps that were planned for the arms before the present one, however early these stopped
        self._planned = 0

    @property
    def kept(self) -> Arm:
        """The student of the run: the cheapest that is good enough, or the best where none is."""
        good = [arm for arm in self.rungs if self.good_enough(arm)]
        return good[0] if good else max(self.rungs, key=lambda arm: arm.score or 0.0)

    @property
    def bar(self) -> float | None:
        """The validation score that is good enough: the spec's share of the teacher's; None without a teacher's."""
        teacher = self.rows.teacher_score
        return None if teacher is None else self.spec.enough * teacher

    def good_enough(self, arm: Arm) -> bool:
        """Whether a climb may stop at this rung."""
        return arm.score is not None and self.bar is not None and arm.score >= self.bar

    def steps(self) -> Iterator[tuple[str, Step]]:
        """Train arm after arm, yielding its name and each step. What was trained before a kill is not repeated."""
        for rung in self.spec.rungs():
            arm = yield from self._train(rung.rung, rung, self.rows.training)
            self.rungs.append(arm)
            if self.good_enough(arm):
                break
        spec = self.kept.spec
        for control, part in self.rows.beside(spec).items():
            self.controls[control] = yield from self._train(f"control {control}", spec.control(control), part)
        for name, one_in in SHARES.items() if spec.probe else ():
            part = replace(spec, epochs=spec.epochs * one_in, patience=spec.patience * one_in)
            self.probe[name] = yield from self._train(f"probe {name}", part, self.rows.some(one_in, spec.seed))

    def total(self) -> int:
        """Say how many steps the run takes if it climbs to the top and no arm stops early."""
        rungs = self.spec.rungs()
        arms = len(self.rows.beside(self.spec)) + (len(SHARES) if self.spec.probe else 0)
        return sum(_steps(rung, self.rows.training) for rung in rungs) + arms * _steps(rungs[-1], self.rows.training)

    def _train(self, name: str, spec: Spec, training: Any) -> Generator[tuple[str, Step], None, Arm]:
        """Train one arm, export it and ask it the validation rows; gives the arm as the generator's value."""
        place, started = self.folder / name.replace(" ", "-"), time.monotonic()
        epochs: dict[int, list[Terms]] = {}
        self.before, self._planned = self._planned, self._planned + _steps(spec, training)
        if not (place / "student").exists():
            places = Places(self.teacher, self.start, place / "checkpoints", place / "student")
            steps = self.rows.train(spec, training, places)
            try:
                for step in steps:
                    epochs.setdefault(step.epoch, []).append(step.terms)
                    yield name, step
            finally:
                steps.close()  # type: ignore[attr-defined]
        with processes.here().first():
            shipped = ship(place / "student", spec, place / "shipped")
        says = self.rows.ask(shipped, spec)
        means = tuple(_mean(terms) for terms in epochs.values())
        return Arm(spec, shipped, says, self.rows.score(says), time.monotonic() - started, means)


def ship(student: Path, spec: Spec, out: Path) -> Path:
    """Turn a trained student into the form that its spec ships; n-grams ship as they are, in plain numpy's form."""
    if spec.export is Export.SAFETENSORS or spec.student is StudentKind.NGRAM:
        return student
    if not out.exists():
        export.onnx_int8(student, out)
    return out


def nested(count: int, one_in: int, seed: int) -> NDArray[np.int64]:
    """Choose one of `count` rows in so many, the same ones again in every larger part."""
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: max(1, count // one_in)])


def _mean(terms: Sequence[Terms]) -> Terms:
    return Terms(*(sum(column) / len(terms) for column in zip(*map(astuple, terms), strict=True)))


def _steps(spec: Spec, rows: Any) -> int:
    return spec.epochs * -(-len(rows.inputs) // spec.batch_size)
