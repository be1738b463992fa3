"""A run that this process holds. Every write carries the token of the claim, so that a worker that was given up (and
perhaps replaced) can change nothing any more. Progress is written at most twice a second."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from distill_tui.dataset.progress import Progress
from distill_tui.rules import entities, results
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Objection, Refused
from distill_tui.rules.requests import Request, WorkerReport
from distill_tui.store import queries, sqlite, tables
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.project import Change, Project, ProjectError, now
from distill_tui.terms import Action, Assurance, RunStatus

EVERY = 0.5  # seconds between two reports
BEAT = 2.0  # seconds between two heartbeats


class Stopped(Exception):
    """A person asked the run to stop, or another worker has it, or it waits for shards; the message names which."""


class Host(Protocol):
    """What the code of a run reads: artifacts, and the play as it is."""

    @property
    def artifacts(self) -> Artifacts: ...

    def dossier(self, play_id: int) -> PlayDossier: ...


class Work(Protocol):
    """What training and labelling may do with their run: on this machine by a `Claim`, elsewhere by `away.Away`."""

    id: int
    run: entities.Run
    folder: Path

    @property
    def project(self) -> Host: ...

    def report(
        self, step: int, total: int, message: str, *, point: entities.RunPoint | None = None, always: bool = False
    ) -> None: ...

    def finish(self, result: results.Result, steps: int, artifact: str | None) -> None: ...


class Claim:
    """A run that this process holds: what it may report, and whether it should stop."""

    def __init__(self, project: Project, run: entities.Run, token: str) -> None:
        self.project, self.run, self.token, self.id = project, run, token, run.id
        self.folder = project.artifacts.run_folder(run.id)
        self.actor = Actor(run.started_by, f"worker of run {run.id}", Assurance.ACCOUNT, run.id)
        self._stop, self._over = threading.Event(), threading.Event()
        self._last = 0.0
        self._pulse = threading.Thread(target=self._beat, daemon=True)
        self._pulse.start()

    @classmethod
    def take(cls, project: Project, run_id: int) -> Claim | None:
        """Take a queued run; None where it is not there to take."""
        token = secrets.token_hex(16)
        with project.telemetry() as session:
            run = session.get(tables.Run, run_id)
            if run is None or run.status is not RunStatus.QUEUED:
                return None
            run.status, run.token, run.pid = RunStatus.RUNNING, token, os.getpid()
            run.claimed_at = run.heartbeat_at = now()
            run.message = "starting"
            session.add(run)
        taken = queries.run(project, run_id)
        assert taken is not None
        return cls(project, taken, token)

    def _beat(self) -> None:
        """Write heartbeats, and notice a request to stop, also while a step takes long."""
        while not self._over.wait(BEAT):
            with suppress(OSError, ProjectError, *sqlite.errors()):  # a disk that failed once may work at the next beat
                if not self._write(heartbeat_at=now()):
                    self._stop.set()

    def _write(self, points: tuple[entities.RunPoint, ...] = (), **columns: object) -> bool:
        """Write telemetry if the run is still ours; False where it is not, or a stop was requested."""
        with self.project.telemetry() as session:
            run = session.get(tables.Run, self.id)
            if run is None or run.token != self.token or run.status is not RunStatus.RUNNING:
                return False
            for name, value in columns.items():
                setattr(run, name, value)
            session.add(run)
            for point in points:
                session.merge(point)
            return not run.stop_requested

    def report(
        self, step: int, total: int, message: str, *, point: entities.RunPoint | None = None, always: bool = False
    ) -> None:
        """Report progress. Raises Stopped where the run should end here."""
        if self._stop.is_set():
            raise Stopped
        due = time.monotonic() - self._last >= EVERY
        if not (due or always):
            return
        self._last = time.monotonic()
        points = (point,) if point is not None else ()
        if not self._write(points, step=step, total=total, message=message, heartbeat_at=now()):
            raise Stopped

    def draw(self, points: tuple[entities.RunPoint, ...]) -> None:
        """Keep points of the curve that were made elsewhere. Raises Stopped."""
        if points and not self._write(tuple(tables.RunPoint(**asdict(point)) for point in points)):
            raise Stopped

    def progress(self, *phases: str) -> Progress:
        """Return what reports the rows done; of several phases each counts as much."""
        rows = 0

        def report(what: str, done: int, total: int) -> None:
            nonlocal rows
            rows = rows or total
            before = rows * phases.index(what) if what in phases else 0
            share = rows * done // max(1, total)
            self.report(before + share, rows * max(1, len(phases)), f"{what}: {done:,} of {total:,} rows")

        return report

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Lend a folder of the run's own; what a worker that was killed left in it is gone."""
        folder = self.folder / "work"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def ask_first(self, action: Action, request: Request) -> None:
        """Ask the rules as the end will ask them. Raises Refused."""
        self.project.ask_first(action, self.run.play_id, self.actor, request)

    @property
    def fence(self) -> WorkerReport:
        """What shows that the run is still this worker's."""
        return WorkerReport(self.id, self.token)

    def end(
        self,
        action: Action,
        status: RunStatus,
        edit: Callable[[Change, entities.Run], None],
        request: Request | None = None,
    ) -> None:
        """End the run through the door, whatever kind of end it is."""
        self._over.set()
        self._pulse.join()
        with self.project.change(action, self.run.play_id, self.actor, request or self.fence) as change:
            run = change.session.get(tables.Run, self.id)
            assert run is not None
            run.status, run.ended_at, run.token, run.pid = status, change.at, None, None
            edit(change, run)
            change.session.add(run)
            change.detail |= {"run": self.id, "status": status.value}

    def finish(self, result: results.Result, steps: int, artifact: str | None) -> None:
        """End a run with its result."""

        def edit(change: Change, row: entities.Run) -> None:
            row.result, row.artifact, row.message = results.encode(result), artifact, results.message(result)
            row.step = row.total = steps
            if artifact:
                change.detail["artifact"] = artifact

        self.end(Action.FINISH_RUN, RunStatus.FINISHED, edit)

    def give_up(self, status: RunStatus, message: str, error: str | None, objections: Iterable[Objection] = ()) -> None:
        """Record that the run ended early, and with which objections where the rules refused it; it can be resumed."""
        refused = [asdict(objection) for objection in objections]

        def edit(_: Change, row: entities.Run) -> None:
            row.message, row.error = message, error
            row.result = json.dumps({"refused": refused}) if refused else "{}"

        with suppress(Refused):  # refused: another worker has the run now, and records its end
            self.end(Action.END_RUN, status, edit)


def wait_on(project: Project, run_id: int, why: str) -> bool:
    """Note what a queued run waits for; False where it should wait no longer: a person stops it, or it is gone."""
    run = queries.run(project, run_id)
    if run is None or run.status is not RunStatus.QUEUED or run.stop_requested:
        return False
    if run.message != why:
        with project.telemetry() as session:
            row = session.get(tables.Run, run_id)
            if row is not None and row.status is RunStatus.QUEUED:
                row.message = why
                session.add(row)
    return True


@dataclass(frozen=True)
class Companion:
    """A process that trains together with the one that claimed the run; it reports and writes nothing."""

    project: Host
    id: int
    folder: Path

    def report(self, *_: object, **__: object) -> None:
        """Do nothing: the process that claimed the run reports."""
