"""The open project file: read it, change it through the one door, and follow what others change.

`change` is the door. It takes the write lock, begins, loads the dossier as it is now, asks the rules, lets the caller
edit rows, moves the stage, appends the audit entry and commits: all of it, or none. Telemetry of a run (step, loss,
heartbeat) is not a decision; it goes through `telemetry`, fenced by the run's token.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from distill_tui.gates.currencies import USUAL
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, ProjectDossier
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import objections
from distill_tui.rules.requests import OpenProject, Request
from distill_tui.rules.state_machine import NEXT_STAGE
from distill_tui.store import audit_log, cards, deciding, lineage, may_write, project_file, rows, sqlite, whole_check
from distill_tui.store import repair as repairs
from distill_tui.store.artifacts import Artifacts, sync_folder
from distill_tui.store.load import Logs, load, load_project
from distill_tui.store.project_file import (
    PATIENCE,
    check,
    inode,
    migrate,
    see_free,
    see_whole,
    write_ahead,
    write_lock,
)
from distill_tui.store.project_file import ProjectError as ProjectError
from distill_tui.store.project_file import now as now
from distill_tui.store.sqlite import Connection
from distill_tui.terms import ABOUT_THE_ROSTER, Action

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlmodel import Session


@dataclass
class Change:
    """One change under way: edit rows through `session`; what goes into `detail` is logged."""

    session: Session
    connection: Connection  # the plain one below it, in the same transaction
    seen: ProjectDossier | PlayDossier  # as it was when the rules were asked
    row: entities.Play | None  # the play that is changed or opened
    person: str
    actor: Actor
    at: str
    detail: dict[str, object] = field(default_factory=dict)

    @property
    def dossier(self) -> PlayDossier:
        """The play as it was when the rules were asked."""
        assert isinstance(self.seen, PlayDossier)
        return self.seen

    @property
    def play(self) -> entities.Play:
        """The row of the play that is changed."""
        assert self.row is not None
        return self.row


class Project:
    """A project file that is open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.artifacts = Artifacts(path.parent / f"{path.name}.artifacts")
        self._idle: list[Connection] = []  # read-only connections: opening one reads the schema
        self._watcher: Connection | None = None
        self._file = inode(path)
        self._logs: Logs = {}
        self._followed = whole_check.Followed()
        self.patience: float | None = PATIENCE

    @classmethod
    def create(
        cls, path: Path, name: str, keeper: str, keeper_name: str, actor: Actor, currency: str = USUAL
    ) -> Project:
        """Make a project file; the person who makes it is its keeper. Raises Refused, ProjectError if it is there."""
        if not path.parent.is_dir():
            raise ProjectError(f"The folder {path.parent} does not exist; make it first.")
        reasons = objections(Action.OPEN_PROJECT, None, actor, OpenProject(keeper, currency))
        if reasons:
            raise Refused(reasons)
        see_free(path)
        with write_lock(path):
            see_free(path)
            making = path.with_name(f".{path.name}.making")
            making.unlink(missing_ok=True)  # left by a process that was killed here
            sqlite.module.connect(str(making), isolation_level=None).close()
            migrate(making)
            _found(making, name, keeper, keeper_name, actor, currency)
            if not write_ahead(making):
                raise ProjectError(
                    f"{path.name} was not made: its disk failed; see that it can be used, and try again."
                )
            making.rename(path)
            sync_folder(path.parent)
        return cls(path)

    @cached_property
    def _writer(self) -> Engine:
        engine: Engine = _sessions().engine(self.path)
        return engine

    @classmethod
    def open(cls, path: Path) -> Project:
        """Open a project file, and bring one of an older release up to date. Raises ProjectError with one line."""
        check(path)
        try:
            see_whole(path)
            with write_lock(path):
                lineage.see_follows(path)
                migrate(path)
                write_ahead(path)
            opened = cls(path)
            with opened.view() as connection:
                outdated = cards.any_of_another_edition(connection, opened.artifacts)
            if outdated:
                opened.renew_cards()
            return opened
        except sqlite.DatabaseErrors as error:
            raise ProjectError(
                f"{path.name} cannot be opened: {sqlite.sentence(error)}; restore it from a backup "
                "(`distill-tui doctor` shows more)."
            ) from None

    def close(self) -> None:
        """Close every connection to the file."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        if "_writer" in self.__dict__:
            self._writer.dispose()

    def _see_same(self) -> None:
        """Close a file that was replaced by another one: what is written to it would be lost."""
        there = inode(self.path)
        if there != self._file:
            self.close()
            self._file = there
            self._logs = {}
            self._followed = whole_check.Followed()

    @contextmanager
    def view(self) -> Iterator[Connection]:
        """One consistent view by a plain connection that only reads: it needs no SQLAlchemy.

        The file is opened for writing, because the connection that closes last has to clean up the write-ahead log.
        """
        self._see_same()
        idle = self._idle
        connection = idle.pop() if idle else sqlite.connect(self.path)
        try:
            connection.execute("PRAGMA query_only=ON")
            connection.execute("BEGIN")
            yield connection
            connection.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
        idle.append(connection)

    def project_dossier(self, *, thorough: bool = False) -> ProjectDossier:
        """Load everything known about the project itself now. `thorough` also checks the log's chain."""
        with self.view() as connection:
            return load_project(connection, self.artifacts if thorough else None)

    def dossier(self, play_id: int, *, thorough: bool = False, shown: bool = False) -> PlayDossier:
        """Load everything known about a play now. `thorough` also checks the log's chain and every file.

        What is only `shown` takes the verdicts of the play's card, if it is not out of date. Raises Refused where the
        play does not exist.
        """
        with self.view() as connection:
            stored = cards.verdicts(connection, self.artifacts, play_id) if shown else None
            return load(connection, self.artifacts, play_id, self._logs, thorough=thorough, stored=stored)

    def followed(self, play_id: int) -> PlayDossier:
        """Load a play for what answers users: the whole file is compared with its log, which is replayed from where
        the last such look ended.
        """
        with self.view() as connection:
            return self._compared(connection, load(connection, self.artifacts, play_id, self._logs))

    def _compared(self, connection: Connection, dossier: PlayDossier) -> PlayDossier:
        found = self._followed.trouble(connection)
        return replace(dossier, project=replace(dossier.project, audit_trouble=found))

    def ask_first(
        self, action: Action, play_id: int, actor: Actor, request: Request | None = None, *, thorough: bool = False
    ) -> PlayDossier:
        """Ask the rules before work that takes long; the door asks again afterwards. Raises Refused."""
        serves = action is Action.SERVE_MODE
        dossier = self.followed(play_id) if serves else self.dossier(play_id, thorough=thorough)
        reasons = objections(action, dossier, actor, request)
        if reasons:
            raise Refused(reasons)
        return dossier

    def has_entry(self, head: Mapping[str, object]) -> bool:
        """Whether the log has this head: an entry of this number with this digest."""
        with self.view() as connection:
            found = audit_log.head(connection, head.get("size"))
            return found is not None and found == head.get("head")

    def version(self) -> int:
        """Return a number that changes when another connection changed the file; cheap enough for twice a second."""
        self._see_same()
        if self._watcher is None:
            self._watcher = sqlite.connect(self.path, read_only=True)
        (version,) = self._watcher.execute("PRAGMA data_version").fetchone()
        return hash((self._file, version))

    def newest_entry(self) -> int:
        """Return the number of the log's newest entry, by the connection that watches the file."""
        if self._watcher is None:
            self._watcher = sqlite.connect(self.path, read_only=True)
        (seq,) = self._watcher.execute("SELECT coalesce(max(seq), 0) FROM audit").fetchone()
        return int(seq)

    @contextmanager
    def change(
        self, action: Action, play_id: int | None, actor: Actor, request: Request | None = None
    ) -> Iterator[Change]:
        """The one door: permission, edit, stage, audit, in one transaction. Raises Refused with all the reasons."""
        thorough = action in (Action.SIGN_OFF, Action.SHIP)
        with self._writing() as session:
            connection = _sessions().driver(session)
            deciding.forget(connection)
            seen: ProjectDossier | PlayDossier
            if play_id is None:
                seen = load_project(connection)
            else:
                seen = load(connection, self.artifacts, play_id, self._logs, thorough=thorough)
                seen = self._compared(connection, seen) if action is Action.SERVE_MODE else seen
            reasons = objections(action, seen, actor, request)
            if reasons:
                raise Refused(reasons)
            assert actor.person is not None  # the rules refuse an actor who is not enrolled
            at = project_file.now()
            row = session.get(_sessions().tables.Play, play_id) if play_id is not None else None
            change = Change(session, connection, seen, row, actor.person, actor, at)
            yield change
            if play_id is not None:
                _move(change, action)
            if action.builds:
                remember_builder(change, change.person, action.value)
            session.flush()
            logged = change.row.id if change.row is not None else None
            entry = audit_log.append(connection, at, actor, action, logged, change.detail)
            _keep_to_its_tables(entry)
            if logged is not None:
                cards.write(connection, self.artifacts, logged, self._logs)
            if action in ABOUT_THE_ROSTER:
                cards.write_signed(connection, self.artifacts, self._logs)
        lineage.wrote(seen, entry)

    @contextmanager
    def telemetry(self) -> Iterator[Session]:
        """Write what is not a decision: a run's step, loss and heartbeat."""
        with self._writing() as session:
            sqlite.compared(_sessions().driver(session)).clear()
            yield session

    def repair(self, who: Callable[[ProjectDossier], Actor]) -> list[str]:
        """Put the log's rows and the guards back; return what changed. Raises Refused, ProjectError: see `repair`."""
        with self._editing() as connection:
            said = repairs.repair(connection, who)
            for play_id, false in cards.false(connection, self.artifacts).items():
                cards.write(connection, self.artifacts, play_id)
                said.append(false)
        return said

    def renew_cards(self) -> int:
        """Write the cards that are missing or out of date; return how many there were."""
        with self._editing() as connection:
            plays = cards.stale(connection, self.artifacts)
            for play_id in plays:
                cards.write(connection, self.artifacts, play_id)
        return len(plays)

    def lose(self, runs: Iterable[int], unless: Callable[[entities.Run], bool]) -> None:
        """Mark runs whose workers are gone as lost, unless one has ended or begun again meanwhile."""
        with self._editing() as connection:
            for number in runs:
                run = rows.first(connection, entities.Run, "WHERE id = ?", number)
                if run is not None and run.status.active and not unless(run):
                    connection.execute(_LOSE, (project_file.now(), number))
                    cards.write(connection, self.artifacts, run.play_id, self._logs)

    @contextmanager
    def _editing(self) -> Iterator[Connection]:
        """Write by a plain connection what is not a decision, all of it or nothing."""
        with write_lock(self.path, self.patience):
            self._see_same()
            connection = sqlite.connect(self.path)
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            finally:
                connection.close()

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with write_lock(self.path, self.patience):
            self._see_same()
            with _sessions().Session(self._writer, expire_on_commit=False) as session, session.begin():
                yield session


_LOSE = """UPDATE run SET status = 'lost', ended_at = ?, token = NULL,
    message = 'its worker is gone; resume it from its last checkpoint' WHERE id = ?"""


def _move(change: Change, action: Action) -> None:
    play, before = change.play, change.play.stage
    after = NEXT_STAGE[before, action]
    if after is not before:
        play.stage, play.stage_since = after, change.at
        change.detail["stage"] = [before.value, after.value]
        change.session.add(play)


def _keep_to_its_tables(entry: entities.AuditEntry) -> None:
    """Refuse here what every later reading of the log would not count. Raises RuntimeError: a fault of this program."""
    tables, signed = audit_log.read_object(entry.rows), audit_log.read_object(entry.detail).get("signed")
    if wrong := ", ".join(may_write.strangers(entry.action, tables, bool(signed))):
        raise RuntimeError(f"{entry.action.value} wrote {wrong}: name it in store/may_write.py")


def remember_builder(change: Change, person: str, act: str) -> None:
    """Record for good that a person built in this play."""
    built = entities.Builder(play_id=change.play.id, person_id=person, act=act, at=change.at)
    same = "WHERE play_id = ? AND person_id = ? AND act = ?"
    if rows.first(change.connection, entities.Builder, same, built.play_id, person, act) is None:
        rows.insert(change.connection, built)


def _sessions() -> ModuleType:
    """Import what edits rows: it takes a second, and what only reads does without."""
    from distill_tui.store import sessions

    return sessions


def _found(path: Path, name: str, keeper: str, keeper_name: str, actor: Actor, currency: str) -> None:
    """Write the first rows of a project: its keeper, with the account of this process."""
    at, uid = project_file.now(), os.getuid()
    connection = sqlite.connect(path)
    try:
        deciding.watch(connection)
        connection.execute("BEGIN IMMEDIATE")
        rows.insert(connection, entities.Person(id=keeper, name=keeper_name, enrolled_at=at))
        uid_ = os.urandom(16).hex()
        row = entities.Project(uid=uid_, name=name, keeper=keeper, currency=currency, created_at=at)
        rows.insert(connection, row)
        rows.insert(connection, entities.Account(uid=uid, person_id=keeper, added_at=at))
        founder = Actor(keeper, actor.proof, actor.assurance)
        detail = {"name": name, "keeper": keeper, "uid": uid, "currency": currency}
        audit_log.append(connection, at, founder, Action.OPEN_PROJECT, None, detail)
        connection.execute("COMMIT")
    finally:
        connection.close()
