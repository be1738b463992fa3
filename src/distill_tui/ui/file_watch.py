"""Notice what others do to the project file: two looks a second, and the workers whose process is gone."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.worker import get_current_worker

from distill_tui.store import glance, sqlite
from distill_tui.terms import RunKind, RunStatus

if TYPE_CHECKING:
    from distill_tui.rules.entities import Run
    from distill_tui.ui.app import DistillApp

POLL, REAP = 0.5, 2.0  # seconds
REST = 3.0  # seconds between two looks at runs, while no key is pressed
AWAKE = 5.0  # seconds after a key in which every report is shown at once
RESULTS = {  # what a person who started a run waits for, around the run's own message
    RunKind.IMPORT: "Imported {}.",
    RunKind.TEACHER: "The teacher is {}.",
    RunKind.BUILD: "Built a draft of {}.",
    RunKind.FREEZE: "The data set is {}.",
}


class FileWatch:
    """Reads what changed in a thread, and has the app's screens load it."""

    def __init__(self, app: DistillApp) -> None:
        self.app = app
        self.seen: int | None = None  # the version of the file that was read last
        self.everything = False  # whether all is to be read again
        self.read_at = self.reaped_at = 0.0  # when the file was read last, and when runs were
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
        app = self.app
        if app.project is None:
            return
        try:
            version = app.project.version()
        except sqlite.errors() as error:
            app.say(unreadable(error), "error")
            return
        if version != self.seen and not self._can_wait():
            self.seen, self.read_at = version, time.monotonic()
            self._read()

    def _can_wait(self) -> bool:
        """Whether only runs reported, and no key was pressed lately: a run that trains reports twice a second."""
        app, now = self.app, time.monotonic()
        if now - self.read_at >= REST or self._in_use() or not app.header.active:
            return False
        assert app.project is not None
        return app.project.newest_entry() == app.header.head

    def _in_use(self) -> bool:
        return time.monotonic() - self.app.pressed_at < AWAKE

    def await_run(self, run: int) -> None:
        """Show the result of a run when it ends."""
        self.awaited.add(run)
        self._read()

    def reload(self) -> None:
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
            ended = sorted(self.awaited - set(header.active))
            runs = [app.work.run(number) for number in ended if app.work is not None]
        except sqlite.errors() as error:
            app.unreadable(error)
            return
        if not worker.is_cancelled:
            app.call_from_thread(self._found, header, everything, [run for run in runs if not run.status.active])

    def _found(self, header: glance.Header, everything: bool, ended: list[Run]) -> None:
        self.app.header, self.everything = header, False
        self.app.changed(everything=everything)
        for run in ended:
            self.awaited.discard(run.id or 0)
            self.app.say(*result(run))

    def reap(self) -> None:
        """Mark runs whose worker is gone as lost; less often while no key is pressed."""
        now = time.monotonic()
        if not self._in_use() and now - self.reaped_at < 2 * REST:
            return
        self.reaped_at = now
        self.app.run_worker(self._reap_in_thread, thread=True, group="reap", exclusive=True)

    def _reap_in_thread(self) -> None:
        assert self.app.work is not None
        try:
            self.app.work.reap()
        except sqlite.errors() as error:
            self.app.call_from_thread(self.app.say, f"Runs cannot be watched now: {sqlite.sentence(error)}", "warning")


def result(run: Run) -> tuple[str, str]:
    """Return the message line for a run that ended, and its severity."""
    if run.status is RunStatus.FINISHED:
        return RESULTS[run.kind].format(run.message), "success"
    return f"Run {run.id} ({run.kind.value}) {run.status.value}: {run.error or run.message}", "error"


def unreadable(error: Exception) -> str:
    return f"The project file cannot be read now: {sqlite.sentence(error)}"
