"""One run, several trainings: rungs cheapest first, then the kept student's control arms, other seeds and probe.

A climb stops at the first student that is good enough on the *validation* rows, which builders may look at freely. It
never reads a held-out row: the gate counts looks at those. Good enough is a point estimate and proves nothing; the gate
does that, once, on the held-out rows.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np

from distill_tui.spec import Spec
from distill_tui.terms import Control, Export
from distill_tui.training import predict, processes
from distill_tui.training.loop import Places, Step
from distill_tui.training.objective import LossTerms

PROBES = {"quarter": 4, "half": 2}  # arms of the probe: one row in 4, one in 2


class TrainingRows(Protocol):
    """Rows that a student is trained on."""

    @property
    def inputs(self) -> tuple[str, ...]: ...


Part = TypeVar("Part", bound=TrainingRows)
Predicted = TypeVar("Predicted", contravariant=True)
Predictions = TypeVar("Predictions")  # of the validation rows: label probabilities, or written answers


class ArmRows(Protocol[Part, Predicted]):
    """The rows that arms are trained on and compared on, whatever the task is."""

    @property
    def training(self) -> Part: ...
    @property
    def validation(self) -> Part: ...
    @property
    def teacher_score(self) -> float | None: ...  # on the validation rows
    @property
    def has_gold(self) -> bool: ...  # whether the truth of the validation rows is gold, else the teacher's answers
    @property
    def counted(self) -> int: ...  # validation rows with a truth
    @property
    def compared(self) -> int: ...  # those of them that choose the student; the others calibrate it
    def problem(self, spec: Spec) -> str | None: ...  # why the rows could teach nothing
    def control_arms(self, spec: Spec) -> Mapping[Control, Part]: ...
    def train(self, spec: Spec, part: Part, places: Places) -> Iterator[Step]: ...
    def score(self, predictions: Predicted) -> float | None: ...


@dataclass(frozen=True)
class Arm(Generic[Predictions]):
    """One trained student: its folder, in the form that ships, and its predictions of the validation rows."""

    spec: Spec
    folder: Path
    predictions: Predictions
    score: float | None  # share of the validation rows with a truth that it gets right
    seconds: float
    epochs: tuple[LossTerms, ...]  # each epoch's mean of the terms of the loss, as far as this process trained it


class Climb(Generic[Part, Predictions]):
    """A run: iterate `steps`; afterwards `kept` is its student, next to `rungs`, `controls`, `seeds` and `probe`."""

    def __init__(
        self,
        spec: Spec,
        rows: ArmRows[Part, Predictions],
        *,
        teacher: Path | None,
        start: Path | None,
        folder: Path,
        trained: Path | None = None,
    ) -> None:
        """Plan the run; `trained` is a student that stands in the place of the rungs.

        Raises ValueError with one sentence where no rung could learn anything.
        """
        problem = spec.problem() or rows.problem(spec)
        if problem:
            raise ValueError(problem)
        self.spec, self.rows, self.folder = spec, rows, folder
        self.teacher, self.start, self.trained = teacher, start, trained
        self.rungs: list[Arm[Predictions]] = []
        self.controls: dict[Control, Arm[Predictions]] = {}
        self.seeds: dict[int, Arm[Predictions]] = {}
        self.probe: dict[str, Arm[Predictions]] = {}
        self.before = 0  # steps planned for the arms before the present one, however early those stopped
        self._planned = 0

    @property
    def kept(self) -> Arm[Predictions]:
        """The student of the run: the cheapest that is good enough, or the best where none is."""
        good = [arm for arm in self.rungs if self.good_enough(arm)]
        return good[0] if good else max(self.rungs, key=lambda arm: arm.score or 0.0)

    @property
    def target(self) -> float | None:
        """The validation score that is good enough: the spec's share of the teacher's; None without a teacher's."""
        teacher = self.rows.teacher_score
        return None if teacher is None else self.spec.enough * teacher

    def good_enough(self, arm: Arm[Predictions]) -> bool:
        return arm.score is not None and self.target is not None and arm.score >= self.target

    def steps(self) -> Generator[tuple[str, Step], None, None]:
        """Train arm after arm, yielding its name and each step. Arms that were trained before a kill are kept."""
        if self.trained is not None:
            found = predict.predictions(self.trained, self.rows.validation.inputs, self.spec)
            self.rungs.append(Arm(self.spec, self.trained, found, self.rows.score(found), 0.0, ()))
        for rung in self.spec.rungs() if self.trained is None else ():
            arm = yield from self._train(rung.rung, rung, self.rows.training)
            self.rungs.append(arm)
            if self.good_enough(arm):
                break
        spec = self.kept.spec
        for control, part in self.rows.control_arms(spec).items():
            self.controls[control] = yield from self._train(f"control {control}", spec.control(control), part)
        for seed in range(spec.seed + 1, spec.seed + 1 + spec.seeds):
            other = replace(spec, seed=seed)
            self.seeds[seed] = yield from self._train(f"seed {seed}", other, self.rows.training)
        for name, one_in in PROBES.items() if spec.probe else ():
            longer = replace(spec, epochs=spec.epochs * one_in, patience=spec.patience * one_in)
            part = nested_sample(self.rows.training, one_in, spec.seed)
            self.probe[name] = yield from self._train(f"probe {name}", longer, part)

    def total(self) -> int:
        rungs = self.spec.rungs()
        arms = len(self.rows.control_arms(self.spec)) + self.spec.seeds + (len(PROBES) if self.spec.probe else 0)
        climbed = () if self.trained is not None else rungs
        return sum(_steps(rung, self.rows.training) for rung in climbed) + arms * _steps(rungs[-1], self.rows.training)

    def _train(self, name: str, spec: Spec, training: Part) -> Generator[tuple[str, Step], None, Arm[Predictions]]:
        """Train one arm, export it and predict the validation rows; the arm is the generator's return value."""
        place = self.folder / name.replace(" ", "-")
        clock = Clock(place / "seconds")
        epochs: dict[int, list[LossTerms]] = {}
        self.before, self._planned = self._planned, self._planned + _steps(spec, training)
        if not (place / "student").exists():
            places = Places(self.teacher, place / "checkpoints", place / "student", self.start, self.folder / "shared")
            steps = self.rows.train(spec, training, places)
            try:
                for step in steps:
                    epochs.setdefault(step.epoch, []).append(step.terms)
                    yield name, step
                    clock.note()
            finally:
                steps.close()  # type: ignore[attr-defined]  # the last checkpoint is written by now, and its folder
                clock.note(always=True)
        with processes.join().main_first():
            shipped = ship(place / "student", spec, place / "shipped")
        predictions = predict.predictions(shipped, self.rows.validation.inputs, spec)
        means = tuple(_mean(terms) for terms in epochs.values())
        return Arm(spec, shipped, predictions, self.rows.score(predictions), clock.seconds, means)


class Clock:
    """The seconds that an arm took, in this process and in those before it, kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path, self._began, self._noted = path, time.monotonic(), 0.0
        try:
            self._before = float(path.read_text())
        except (OSError, ValueError):
            self._before = 0.0

    @property
    def seconds(self) -> float:
        return self._before + time.monotonic() - self._began

    def note(self, *, always: bool = False) -> None:
        """Write the seconds down, about once in one; only the first of several processes does."""
        if (always or self.seconds - self._noted >= 1) and processes.join().is_main and self._path.parent.is_dir():
            self._noted = self.seconds
            self._path.write_text(f"{self.seconds:.1f}\n")


def ship(student: Path, spec: Spec, out: Path) -> Path:
    """Export a trained student to the form that its spec ships, where its kind has that form."""
    if spec.ships is Export.SAFETENSORS:
        return student
    if not out.exists():
        from distill_tui.training import export  # a kind that ships as it was trained does without ONNX's tools

        export.onnx_int8(student, out)
    return out


def nested_sample(rows: Part, one_in: int, seed: int) -> Part:
    """Choose one row in `one_in`; every larger sample contains it."""
    order = np.random.default_rng(seed).permutation(len(rows.inputs))
    kept = np.sort(order[: max(1, len(order) // one_in)])
    columns = {name: column for name, column in vars(rows).items() if column is not None}
    parts = {name: column[kept] if isinstance(column, np.ndarray) else tuple(column[row] for row in kept)
             for name, column in columns.items()}  # fmt: skip
    return replace(rows, **parts)  # type: ignore[type-var]  # a dataclass of columns


def _mean(terms: Sequence[LossTerms]) -> LossTerms:
    return LossTerms(*(sum(column) / len(terms) for column in zip(*map(astuple, terms), strict=True)))


def _steps(spec: Spec, rows: TrainingRows) -> int:
    return spec.epochs * -(-len(rows.inputs) // spec.batch_size)
