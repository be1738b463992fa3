"""Workers of the coming runs of a planned play: they import what they need while the run before them works.

A worker that trains or judges takes seconds to start, nearly all of it imports; a plan tells which ones will come.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

from distill_tui.cli.plans.plan_file import PlayPlan
from distill_tui.runs.executors import local
from distill_tui.terms import RunKind

RUNS = 2  # that are prepared: a freeze is over sooner than the training after it has imported
LOCAL_TEACHER = "distill_tui.training.local_teachers"


@dataclass
class Ahead:
    """The runs of a play in their order, each with the modules that its worker needs."""

    runs: list[tuple[RunKind, tuple[str, ...]]]
    _at: int = -1  # the run that works
    _prepared: int = -1  # the last one that has a worker
    _workers: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def of(cls, planned: PlayPlan) -> Ahead:
        task = f"distill_tui.runs.{planned.task}"
        teacher = (LOCAL_TEACHER,) if planned.teacher is not None and planned.teacher.folder else ()
        labels = [(RunKind.TEACHER, teacher), (RunKind.LABEL, teacher)] if teacher else []
        trains = [
            (RunKind.TRAIN, (task, "distill_tui.training.loop", f"distill_tui.training.students.{spec.student}"))
            for spec in planned.specs()
        ]
        build = [(RunKind.BUILD, ()), (RunKind.FREEZE, ())]
        return cls([(RunKind.IMPORT, ()), *labels, *build, *trains, (RunKind.EVALUATE, (task, *teacher))])

    def begun(self, kind: RunKind) -> None:
        """Prepare the runs after one that begins."""
        found = next((at for at, (each, _) in enumerate(self.runs) if at > self._at and each is kind), None)
        if found is None:
            return
        self._at = found
        for at in range(max(found, self._prepared) + 1, min(found + RUNS, len(self.runs) - 1) + 1):
            coming, modules = self.runs[at]
            self._workers.enter_context(local.prepared(coming, *modules))
            self._prepared = at

    def close(self) -> None:
        """End the workers that no run came for."""
        self._workers.close()
