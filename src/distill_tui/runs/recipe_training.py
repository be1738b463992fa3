"""Train a student by its recipe, from nothing and without a project: for a rehearsal and for `bundles.retrain`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from distill_tui.dataset import frozen
from distill_tui.runs import task_rows
from distill_tui.spec import Spec
from distill_tui.teachers.description import GIVEN_ALONE, Described
from distill_tui.terms import Split
from distill_tui.training import ladder
from distill_tui.training.loop import Step


class RecipeTraining:
    """The training of one student on a frozen data set: drive it by `steps`; `student` is then its folder."""

    def __init__(
        self,
        spec: Spec,
        data: Path,
        teacher: Path | None,
        start: Path | None,
        folder: Path,
        asked: Described = GIVEN_ALONE,
    ) -> None:
        self.spec, self.data, self.teacher, self.start, self.folder = spec, data, teacher, start, folder
        self.asked = asked
        self.student = folder / "student"

    def steps(self) -> Iterator[Step]:
        """Train, then export the student in the form that its spec ships."""
        training, validation = frozen.load(self.data, Split.TRAIN), frozen.load(self.data, Split.VALIDATION)
        rows = task_rows.of(training.task).arm_rows(training, validation, self.asked)
        places = ladder.Places(self.teacher, self.start, self.folder / "checkpoints", self.student)
        yield from rows.train(self.spec, rows.training, places)
        self.student = ladder.ship(self.student, self.spec, self.folder / "shipped")
