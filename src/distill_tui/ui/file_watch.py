"""Notice what others do to the project file: two looks a second, and the workers whose process is gone."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.worker import get_current_worker

from distill_tui.store import glance, sqlite
from distill_tui.terms import RunKind, RunStatus

if TYPE_CHECKING:
    from distill_tui.rules.entities import Run
    from distill_tui.ui.app import DistillApp

POLL, REAP = 0.5, 2.0  # seconds
RESULTS = {  # what a person who started a run waits for, around the run's own message
    RunKind.IMPORT: "Imported {}.",
    RunKind.BUILD: "Built a draft of {}.",
    RunKind.FREEZE: "The data set is {}.",
}


class FileWatch:
    """Reads what changed in a thread, and has the app's screens load it."""

    def __init__(self, app: DistillApp) -> None:
        self.app = app
        self.seen: int | None = None  # the version of the file that was read last
        self.everything = False  # whether all is to be read again
        self.awaited: set[int] = set()  # runs whose result is shown when they end

    def begin(self, seen: int) -> None:
        self.seen = seen
        self.app.set_interval(POLL, self.poll)
        self.app.set_interval(REAP, self.reap)

    def look_up(self) -> None:
        """Read who acts here: the person may have been enrolled since."""
        app = self.app
        if "key " in app.actor.proof:
            person = glance.holder(app.path, app.actor.proof.rpartition("key ")[2])
        else:
            person = glance.whose(app.path, os.getuid())
        app.actor = replace(app.actor, person=person)

    def poll(self) -> None:
        """Read what changed, if the file did."""
        app = self.app
        if app.project is None:
            return
        try:
            version = app.project.version()
        except sqlite.errors() as error:
            app.say(unreadable(error), "error")
            return
        if version != self.seen:
            self.seen = version
            self._read()

    def await_run(self, run: int) -> None:
        """Show the result of a run when it ends."""
        self.awaited.add(run)
        self._read()

    def reload(self) -> None:
        """Read everything again, changed or not."""
        self.everything = True
        self._read()

    def _read(self) -> None:
        self.app.run_worker(self._read_in_thread, thread=True, group="look up", exclusive=True)

    def _read_in_thread(self) -> None:
        """Find out what changed: the log, the progress of runs, or else something outside `Project.change`.

        While a run is active, a change without a log entry counts as its progress: everything is not read twice a
        second.
        """
        app, worker, before = self.app, get_current_worker(), self.app.header
        try:
            header = glance.header(app.path, before)
            everything = self.everything or (header == before and not before.active)
            if everything:
                header = glance.header(app.path)
            if everything or header.head != before.head:
                self.look_up()
            runs = [self._run(number) for number in sorted(self.awaited - set(header.active))]
        except sqlite.errors() as error:
            app.unreadable(error)
            return
        if not worker.is_cancelled:
            app.call_from_thread(self._found, header, everything, [run for run in runs if not run.status.active])

    def _run(self, number: int) -> Run:
        from distill_tui.store import queries

        assert self.app.project is not None
        run = queries.run(self.app.project, number)
        assert run is not None
        return run

    def _found(self, header: glance.Header, everything: bool, ended: list[Run]) -> None:
        self.app.header, self.everything = header, False
        self.app.changed(everything=everything)
        for run in ended:
            self.awaited.discard(run.id or 0)
            self.app.say(*result(run))

    def reap(self) -> None:
        """Mark runs whose worker is gone as lost."""
        self.app.run_worker(self._reap_in_thread, thread=True, group="reap", exclusive=True)

    def _reap_in_thread(self) -> None:
        from distill_tui.runs.executors import local

        assert self.app.project is not None
        try:
            local.reap(self.app.project)
        except sqlite.errors() as error:
            self.app.call_from_thread(self.app.say, f"Runs cannot be watched now: {sqlite.sentence(error)}", "warning")


def result(run: Run) -> tuple[str, str]:
    """Return the message line for a run that ended, and its severity."""
    if run.status is RunStatus.FINISHED:
        return RESULTS[run.kind].format(run.message), "success"
    return f"Run {run.id} ({run.kind.value}) {run.status.value}: {run.error or run.message}", "error"


def unreadable(error: Exception) -> str:
    return f"The project file cannot be read now: {sqlite.sentence(error)}"
