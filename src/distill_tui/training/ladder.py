"""One run, several trainings: rungs cheapest first, then the kept student's control arms, other seeds and probe.

A climb stops at the first student that is good enough on the *validation* rows, which builders may look at freely. It
never reads a held-out row: the gate counts looks at those. Good enough is a point estimate and proves nothing; the gate
does that, once, on the held-out rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np

from distill_tui.spec import Spec
from distill_tui.terms import Control, Export
from distill_tui.training import at_once, predict, processes, students
from distill_tui.training.at_once import Plan
from distill_tui.training.loop import Places, Step
from distill_tui.training.objective import LossTerms
from distill_tui.training.replace import alone

STUDENT = "student"  # the folder of what an arm trained, in the arm's
SECONDS = "seconds"  # a file of a run and of each of its arms: how long it took
STEPS = "steps"  # a file of an arm that is trained: its last step
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
        spare: at_once.Spare | None = None,
    ) -> None:
        """Plan the run; `trained` is a student that stands in the place of the rungs.

        With `spare` cores, several arms are trained at once; the result is the same as one after the other.

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
        self.before = 0  # steps planned for the arms before the one that was yielded, however early those stopped
        self.ready = 0  # the last step of the arms that an earlier process trained
        self.clock = Clock(folder / SECONDS)
        self._planned = 0
        self._done: dict[str, int] = {}
        self._team: at_once.Team[Arm[Predictions]] | None = None
        if spare is not None and len(self._climbed) + self._compared > 1:
            for each in spec.rungs():
                students.load(each)
            self._team = at_once.Team(spare)

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

    @property
    def done(self) -> int:
        """Steps that are done; of an arm that is trained, however early it stopped, those that were planned."""
        return sum(self._done.values())

    @property
    def working(self) -> list[str]:
        """The arms at work, where several may be."""
        return [] if self._team is None else [child.plan.name for child in self._team.working]

    def steps(self) -> Generator[tuple[str, Step], None, None]:
        """Train the arms, yielding the name and each step. Arms that were trained before a kill are kept."""
        if self.is_ladder:
            yield from self.choose()
            self._planned = self.planned
            yield from self._several([*self._others(self.kept.spec)])
        else:
            yield from self._several(self.plans())
        if self.trained is not None:  # after the last fork: see `at_once`
            found = predict.predictions(self.trained, self.rows.validation.inputs, self.spec)
            self.rungs.append(Arm(self.spec, self.trained, found, self.rows.score(found), 0.0, ()))

    def choose(self) -> Generator[tuple[str, Step], None, None]:
        """Train the rungs of a ladder, up to the first that is good enough."""
        yield from self._several(self.plans(), self.good_enough)

    @property
    def is_ladder(self) -> bool:
        return len(self._climbed) > 1

    @property
    def planned(self) -> int:
        """The steps that were planned for the rungs that were trained."""
        return sum(_steps(arm.spec, self.rows.training) for arm in self.rungs)

    def plans(self) -> list[Plan[Arm[Predictions]]]:
        """Plan what is known before an arm is trained: the rungs of a ladder, or a student and the arms next to it."""
        rungs = [self._plan(each.rung, each, self.rows.training, self.rungs.append) for each in self._climbed]
        return rungs if self.is_ladder else [*rungs, *self._others(*(self._climbed or (self.spec,)))]

    def untrained(self) -> list[str]:
        return [plan.name for plan in self.plans() if not (plan.place / STUDENT).exists()]

    def some(self, names: Collection[str]) -> Generator[tuple[str, Step], None, None]:
        """Train those of the `plans` that have these names."""
        yield from self._several([plan for plan in self.plans() if plan.name in names])

    def _others(self, spec: Spec) -> Iterator[Plan[Arm[Predictions]]]:
        """Plan the arms that the student of a spec is compared with."""
        for control, part in self.rows.control_arms(spec).items():
            keep = partial(self.controls.__setitem__, control)
            yield self._plan(f"control {control}", spec.control(control), part, keep)
        for seed in range(spec.seed + 1, spec.seed + 1 + spec.seeds):
            other = replace(spec, seed=seed)
            yield self._plan(f"seed {seed}", other, self.rows.training, partial(self.seeds.__setitem__, seed))
        for name, one_in in PROBES.items() if spec.probe else ():
            longer = replace(spec, epochs=spec.epochs * one_in, patience=spec.patience * one_in)
            part = nested_sample(self.rows.training, one_in, spec.seed)
            yield self._plan(f"probe {name}", longer, part, partial(self.probe.__setitem__, name))

    def _plan(
        self, name: str, spec: Spec, part: Part, keep: Callable[[Arm[Predictions]], None]
    ) -> Plan[Arm[Predictions]]:
        place, before, planned = arm_folder(self.folder, name), self._planned, _steps(spec, part)
        self._planned += planned

        def kept(arm: Arm[Predictions]) -> None:
            if name not in self._done:
                self.ready = max(self.ready, before + (int(number_in(place / STEPS)) or planned))
            self._done[name] = planned
            keep(arm)

        return Plan(name, place, before, partial(self._train, place, spec, part), kept)

    def _several(
        self,
        plans: Sequence[Plan[Arm[Predictions]]],
        enough: Callable[[Arm[Predictions]], bool] | None = None,
    ) -> Generator[tuple[str, Step], None, None]:
        train = at_once.in_turn if self._team is None else self._team.train
        with closing(train(plans, enough)) as steps:
            try:
                for plan, step in steps:
                    self.before, self._done[plan.name] = plan.before, step.number
                    yield plan.name, step
                    self.clock.note()
            finally:
                self.clock.note(always=True)

    @property
    def _climbed(self) -> tuple[Spec, ...]:
        return () if self.trained is not None else self.spec.rungs()

    @property
    def _compared(self) -> int:
        """How many arms the student is compared with."""
        return len(self.rows.control_arms(self.spec)) + self.spec.seeds + (len(PROBES) if self.spec.probe else 0)

    def total(self) -> int:
        longest = _steps(self.spec.rungs()[-1], self.rows.training)
        return sum(_steps(rung, self.rows.training) for rung in self._climbed) + self._compared * longest

    def _train(self, place: Path, spec: Spec, training: Part) -> Generator[Step, None, Arm[Predictions]]:
        """Train one arm, export it and predict the validation rows; the arm is the generator's return value."""
        with alone(place, at_once.ORPHAN) if self._team is not None else nullcontext():
            clock = Clock(place / SECONDS)
            epochs: dict[int, list[LossTerms]] = {}
            if not (place / STUDENT).exists():
                places = Places(self.teacher, place / "checkpoints", place / STUDENT, self.start,
                                self.folder / "shared")  # fmt: skip
                steps = self.rows.train(spec, training, places)
                try:
                    for step in steps:
                        epochs.setdefault(step.epoch, []).append(step.terms)
                        yield step
                        clock.note()
                finally:
                    steps.close()  # type: ignore[attr-defined]  # the last checkpoint is written by now, and its folder
                    clock.note(always=True)
                if epochs and processes.join().is_main:
                    (place / STEPS).write_text(f"{step.number}\n")
            with processes.join().main_first():
                shipped = ship(place / STUDENT, spec, place / "shipped")
        predictions = predict.predictions(shipped, self.rows.validation.inputs, spec)
        means = tuple(_mean(terms) for terms in epochs.values())
        return Arm(spec, shipped, predictions, self.rows.score(predictions), clock.seconds, means)


def arm_folder(folder: Path, name: str) -> Path:
    """Return the folder of an arm, in that of its run."""
    return folder / name.replace(" ", "-")


def number_in(path: Path) -> float:
    """Read what is noted in a file of an arm or a run; 0 where nothing is."""
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return 0.0


class Clock:
    """The seconds that an arm took, in this process and in those before it, kept in a file."""

    def __init__(self, path: Path) -> None:
        self._path, self._before, self._began, self._noted = path, number_in(path), time.monotonic(), 0.0

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
