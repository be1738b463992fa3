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

import numpy as np
from numpy.typing import NDArray

from distill_tui.spec import Spec
from distill_tui.terms import Control, Export, StudentKind
from distill_tui.training import distill, evaluate, export, processes
from distill_tui.training.distill import Examples, Step, Terms
from distill_tui.training.models import Floats

SHARES = {"quarter": 4, "half": 2}  # arms of the probe: one row in so many


@dataclass(frozen=True)
class Rows:
    """What the arms learn from, and the validation rows that they are compared on."""

    labels: tuple[str, ...]
    training: Examples
    controls: Mapping[Control, Examples]  # the training rows with the hard labels of each control arm
    validation: Examples
    truth: NDArray[np.int64]  # of the validation rows: gold, or the teacher's answer where no row has gold; -1 none
    teacher: NDArray[np.int64]  # the teacher's answer to each validation row, -1 where it gave none


@dataclass(frozen=True)
class Arm:
    """One student that was trained: where it lies, in the form that ships, and what it says of the validation rows."""

    spec: Spec
    folder: Path
    says: Floats  # (validation rows, labels)
    score: float | None  # share of the validation rows with a truth that it gets right
    seconds: float
    epochs: tuple[Terms, ...]  # each epoch's mean of the terms of the loss, as far as this process saw them


class Climb:
    """A run: drive it by `steps`; afterwards `kept` is its student, and beside it stand rungs, controls and probe."""

    def __init__(self, spec: Spec, rows: Rows, *, teacher: Path | None, start: Path | None, folder: Path) -> None:
        """Plan the run. Raises ValueError at once, with one sentence, where no rung could learn anything."""
        problem = spec.problem() or distill.nothing_to_learn(spec, rows.labels, rows.training, rows.validation)
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
        both = (self.rows.truth >= 0) & (self.rows.teacher >= 0)
        if not both.any():
            return None
        return self.spec.enough * float((self.rows.teacher == self.rows.truth)[both].mean())

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
        for control in spec.controls if spec.distils else ():
            if self._learnable(control):
                alone = spec.control(control)
                self.controls[control] = yield from self._train(
                    f"control {control}", alone, self.rows.controls[control]
                )
        for name, one_in in SHARES.items() if spec.probe else ():
            part = replace(spec, epochs=spec.epochs * one_in, patience=spec.patience * one_in)
            some = _nested(self.rows.training, one_in, spec.seed)
            self.probe[name] = yield from self._train(f"probe {name}", part, some)

    def total(self) -> int:
        """Say how many steps the run takes if it climbs to the top and no arm stops early."""
        rungs = self.spec.rungs()
        arms = len([control for control in self.spec.controls if self._learnable(control)]) if self.spec.distils else 0
        arms += len(SHARES) if self.spec.probe else 0
        return sum(_steps(rung, self.rows.training) for rung in rungs) + arms * _steps(rungs[-1], self.rows.training)

    def _learnable(self, control: Control) -> bool:
        """Whether a control arm has labels, and is another one than the control of hard labels."""
        labels = self.rows.controls[control].labels
        same = control is Control.GOLD and np.array_equal(labels, self.rows.controls[Control.HARD].labels)
        return bool((labels >= 0).any()) and not (same and Control.HARD in self.spec.controls)

    def _train(self, name: str, spec: Spec, training: Examples) -> Generator[tuple[str, Step], None, Arm]:
        """Train one arm, export it and ask it the validation rows; gives the arm as the generator's value."""
        place, started = self.folder / name.replace(" ", "-"), time.monotonic()
        epochs: dict[int, list[Terms]] = {}
        self.before, self._planned = self._planned, self._planned + _steps(spec, training)
        if not (place / "student").exists():
            steps = distill.train(
                spec,
                self.rows.labels,
                training,
                self.rows.validation,
                teacher=self.teacher,
                checkpoints=place / "checkpoints",
                out=place / "student",
                start=self.start,
            )
            try:
                for step in steps:
                    epochs.setdefault(step.epoch, []).append(step.terms)
                    yield name, step
            finally:
                steps.close()  # type: ignore[attr-defined]
        with processes.here().first():
            shipped = ship(place / "student", spec, place / "shipped")
        says = evaluate.predict(shipped, self.rows.validation.inputs, threads=spec.threads, max_tokens=spec.max_tokens)
        known = self.rows.truth >= 0
        score = float((says.argmax(axis=1) == self.rows.truth)[known].mean()) if known.any() else None
        means = tuple(_mean(terms) for terms in epochs.values())
        return Arm(spec, shipped, says, score, time.monotonic() - started, means)


def ship(student: Path, spec: Spec, out: Path) -> Path:
    """Turn a trained student into the form that its spec ships; n-grams ship as they are, in plain numpy's form."""
    if spec.export is Export.SAFETENSORS or spec.student is StudentKind.NGRAM:
        return student
    if not out.exists():
        export.onnx_int8(student, out)
    return out


def _nested(rows: Examples, one_in: int, seed: int) -> Examples:
    """Take one row in so many, the same ones again in every larger part."""
    order = np.random.default_rng(seed).permutation(len(rows.inputs))
    kept = np.sort(order[: max(1, len(order) // one_in)])
    return Examples(
        inputs=tuple(rows.inputs[row] for row in kept),
        labels=rows.labels[kept],
        soft=None if rows.soft is None else rows.soft[kept],
        weights=rows.weights[kept],
    )


def _mean(terms: Sequence[Terms]) -> Terms:
    return Terms(*(sum(column) / len(terms) for column in zip(*map(astuple, terms), strict=True)))


def _steps(spec: Spec, rows: Examples) -> int:
    return spec.epochs * -(-len(rows.inputs) // spec.batch_size)
