"""The open project file: read it, change it through the one door, and follow what others change.

`change` is the door. It takes the write lock, begins, loads the dossier as it is now, asks the rules, lets the caller
edit rows, moves the stage, appends the audit entry and commits: all of it, or none. Telemetry of a run (step, loss,
heartbeat) is no decision; it goes through `telemetry`, fenced by the run's token.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, bindparam, create_engine, event, text
from sqlalchemy.pool import QueuePool
from sqlmodel import Session, SQLModel, col, select

from distill_tui import gates
from distill_tui.digests import canonical, digest_of
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import NOTHING, Dossier, Request
from distill_tui.rules.gate import LOCK_FACTS
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import objections
from distill_tui.rules.state_machine import ABOUT_THE_PROJECT, BUILDING, NEXT_STAGE
from distill_tui.store import audit_log, disks, migrations, sqlite, tables
from distill_tui.store.artifacts import Artifacts, sync_folder
from distill_tui.terms import Action

PATIENCE = 60.0  # seconds that a person waits for another program's write; a commit takes milliseconds
COURTESY = 5.0  # seconds to wait in the queue behind one who may be stopped in it; after that, out of turn


class ProjectError(Exception):
    """A project file that cannot be used; one sentence says why and what to do."""


def stored(column: str, what: str, part: str = "") -> dict[str, Any]:
    """Read a JSON object of the project file, or a part of it; a part that is not there is empty.

    Raises ProjectError where it is something else: only another program can have written that.
    """
    value = _read_json(column)
    if part and isinstance(value, dict):
        value, what = value.get(part, {}), f"“{part}” of {what}"
    if not isinstance(value, dict):
        raise ProjectError(f"{what[:1].upper()}{what[1:]} is no JSON object in the project file; restore a backup.")
    return value


def stored_list(column: str, what: str, of: type) -> list[Any]:
    """Read a JSON list of the project file, each of whose items is of one type. Raises ProjectError, like `stored`."""
    value = _read_json(column)
    if not isinstance(value, list) or not all(isinstance(item, of) for item in value):
        raise ProjectError(f"{what[:1].upper()}{what[1:]} is no JSON list in the project file; restore a backup.")
    return value


def _read_json(column: str) -> Any:
    try:
        return json.loads(column)
    except (ValueError, TypeError, RecursionError):
        return None


def now() -> str:
    """The time as it is stored: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Change:
    """One change under way: edit rows through `session`; what goes into `detail` is logged."""

    session: Session
    dossier: Dossier
    play: tables.Play | None
    actor: Actor
    at: str
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def the_play(self) -> tables.Play:
        """The play that is being changed."""
        assert self.play is not None
        return self.play


class Project:
    """A project file that is open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.artifacts = Artifacts(path.parent / f"{path.name}.artifacts")
        self._reader = _engine(path, "BEGIN")
        self._writer = _engine(path, "BEGIN IMMEDIATE")
        self._watcher: Any = None
        self._file = _inode(path)
        self._told: dict[int, audit_log.Told] = {}  # what the log said of each play when it was last read
        self.patience: float | None = PATIENCE

    @classmethod
    def create(cls, path: Path, name: str, keeper: str, keeper_name: str, actor: Actor) -> Project:
        """Make a project file whose keeper is whoever makes it. Raises ProjectError where something is there."""
        if not path.parent.is_dir():
            raise ProjectError(f"The folder {path.parent} does not exist; make it first.")
        request = {"person": keeper}
        reasons = objections(Action.OPEN_PROJECT, Dossier(), actor, request)
        if reasons:
            raise Refused(reasons)
        _see_free(path)
        with _write_lock(path):
            _see_free(path)
            making = path.with_name(f".{path.name}.making")
            making.unlink(missing_ok=True)  # of somebody who was killed while making it
            sqlite.module.connect(str(making), isolation_level=None).close()
            _migrate(making)
            founded = cls(making)
            founded._found(name, keeper, keeper_name, actor)
            founded.close()
            if not _write_ahead(making):
                raise ProjectError(
                    f"{path.name} was not made: its disk failed; see that it can be used, and try again."
                )
            making.rename(path)
            sync_folder(path.parent)
        return cls(path)

    def _found(self, name: str, keeper: str, keeper_name: str, actor: Actor) -> None:
        at = now()
        with Session(self._writer) as session, session.begin():
            session.add(tables.Person(id=keeper, name=keeper_name, enrolled_at=at))
            session.flush()
            session.add(tables.Project(uid=os.urandom(16).hex(), name=name, keeper=keeper, created_at=at))
            session.add(tables.Account(uid=os.getuid(), person_id=keeper, added_at=at))
            founder = Actor(keeper, actor.proof, actor.assurance)
            detail = {"name": name, "keeper": keeper, "uid": os.getuid()}
            _log(session, at, founder, Action.OPEN_PROJECT, None, detail)

    @classmethod
    def open(cls, path: Path) -> Project:
        """Open a project file, and bring one of an older release up to date. Raises ProjectError with one line."""
        check(path)
        try:
            _see_whole(path)
            with _write_lock(path):
                _migrate(path)
                _write_ahead(path)
        except sqlite.DatabaseErrors as error:
            raise ProjectError(
                f"{path.name} cannot be opened: {error}; restore it from a backup (`distill-tui doctor` says more)."
            ) from None
        return cls(path)

    def close(self) -> None:
        """Let go of the file."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        self._reader.dispose()
        self._writer.dispose()

    def _see_same(self) -> None:
        """Let go of a file that another has taken the place of: what is written to it would be lost with it."""
        there = _inode(self.path)
        if there != self._file:
            self.close()
            self._file = there
            self._told = {}

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One consistent view; what is read from it stays readable afterwards."""
        self._see_same()
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    def dossier(self, play_id: int | None = None, *, thorough: bool = False) -> Dossier:
        """Load everything known about a play now. `thorough` also checks the log's chain and every file."""
        with self.read() as session:
            return load(session, self.artifacts, play_id, self._told, thorough=thorough)

    def ask_first(self, action: Action, play_id: int, actor: Actor, request: Request = NOTHING) -> Dossier:
        """Ask the rules before work that takes long; the door asks again afterwards. Raises Refused."""
        dossier = self.dossier(play_id)
        reasons = objections(action, dossier, actor, request)
        if reasons:
            raise Refused(reasons)
        return dossier

    def has_entry(self, head: Mapping[str, Any]) -> bool:
        """Whether the log has this head: an entry of this number with this digest."""
        with self.read() as session:
            size = head.get("size")
            entry = session.get(tables.AuditEntry, size) if isinstance(size, int) else None
            return entry is not None and entry.digest == head.get("head")

    def version(self) -> int:
        """A number that differs when another connection has changed the file; cheap enough to ask twice a second."""
        if self._watcher is None:
            self._watcher = sqlite.connect(self.path, read_only=True)
        (version,) = self._watcher.execute("PRAGMA data_version").fetchone()
        return int(version)

    @contextmanager
    def change(self, action: Action, play_id: int | None, actor: Actor, request: Request = NOTHING) -> Iterator[Change]:
        """The one door: permission, edit, stage, audit, in one transaction. Raises Refused with all the reasons."""
        thorough = action in (Action.SIGN_OFF, Action.SHIP)
        with self._writing() as session:
            dossier = load(session, self.artifacts, play_id, self._told, thorough=thorough)
            reasons = objections(action, dossier, actor, request)
            if reasons:
                raise Refused(reasons)
            at = now()
            play = session.get(tables.Play, play_id) if play_id is not None else None
            change = Change(session, dossier, play, actor, at)
            yield change
            if change.play is not None and action not in ABOUT_THE_PROJECT:
                _move(change, action)
            if action in BUILDING:
                remember_builder(change, actor.person, action.value)
            session.flush()
            logged = change.play.id if change.play is not None else None
            _log(session, at, actor, action, logged, change.detail)

    @contextmanager
    def telemetry(self) -> Iterator[Session]:
        """Write what is no decision: a run's step, loss and heartbeat."""
        with self._writing() as session:
            yield session

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        with _write_lock(self.path, self.patience):
            self._see_same()
            with Session(self._writer, expire_on_commit=False) as session, session.begin():
                yield session


def _move(change: Change, action: Action) -> None:
    play, before = change.the_play, change.the_play.stage
    after = NEXT_STAGE[before, action]
    if after is not before:
        play.stage, play.stage_since = after, change.at
        change.detail["stage"] = [before.value, after.value]
        change.session.add(play)


def remember_builder(change: Change, person: str | None, deed: str) -> None:
    """Record for good that a person built in this play."""
    assert person is not None
    play_id = change.the_play.id
    key = (play_id, person, deed)
    if change.session.get(tables.Builder, key) is None:
        change.session.add(tables.Builder(play_id=play_id or 0, person_id=person, deed=deed, at=change.at))


# --- the file ----------------------------------------------------------------------------------------------------


def check(path: Path) -> None:
    """See that a path is a project file that this program can use. Raises ProjectError with one line."""
    if path.is_symlink():
        raise ProjectError(
            f"{path.name} is a symbolic link, and locks and artifacts would go beside the link; name the file itself."
        )
    if not path.exists():
        raise ProjectError(f"There is no project file {path.name}; make one with `distill-tui init {path.name}`.")
    if not path.is_file():
        raise ProjectError(f"{path.name} is not a file; give the path of a project file.")
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        raise ProjectError(f"{path.name} or its folder is read-only for you; ask its keeper for write access.")
    network = disks.network(path)
    if network:
        raise ProjectError(
            f"{path.name} lies on a network file system ({network}), where two machines would destroy it; keep it on a "
            "local disk and reach it over SSH."
        )
    if not path.stat().st_size:
        raise ProjectError(f"{path.name} is empty; restore it from a backup, or remove it and make it with `init`.")
    try:
        connection = sqlite.connect(path, read_only=True)
        try:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        finally:
            connection.close()
    except sqlite.DatabaseErrors as error:
        raise ProjectError(f"{path.name} is no readable project file: {error}; restore it from a backup.") from None
    if application != migrations.APPLICATION_ID:
        raise ProjectError(f"{path.name} is a database of another program, not a distill-tui project file.")
    if version > migrations.VERSION:
        raise ProjectError(
            f"{path.name} is of a newer release (format {version}, this one knows {migrations.VERSION}); upgrade."
        )


def _see_whole(path: Path) -> None:
    """See that nothing is torn out of a file; what its rows say is for the log's chain to show. Raises ProjectError."""
    connection = sqlite.connect(path, read_only=True)
    try:
        (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    finally:
        connection.close()
    if state != "ok":
        what = " ".join(str(state).split())
        raise ProjectError(f"{path.name} is damaged ({what}); restore it from a backup.")


def _see_free(path: Path) -> None:
    """See that a project file can be made here. Raises ProjectError."""
    if path.exists() or path.is_symlink():
        raise ProjectError(f"{path.name} exists already; choose another name, or open it.")
    for left in (Path(f"{path}{end}") for end in ("-wal", "-journal")):
        if left.exists():  # SQLite would take it for a part of the new file
            raise ProjectError(f"{left.name} is left of an earlier {path.name}; restore that, or move it away.")


def _migrate(path: Path) -> None:
    connection = sqlite.connect(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == migrations.VERSION:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            migrations.migrate(connection)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    finally:
        connection.close()


def _write_ahead(path: Path) -> bool:
    """Have changes written to a log first, so that readers need not wait; False where SQLite could not, which is all
    that it says then. The file remembers it, unless a disk failed just here, or another program wrote the file anew.
    """
    connection = sqlite.connect(path)
    try:
        return bool(connection.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",))
    finally:
        connection.close()


@contextmanager
def _write_lock(path: Path, patience: float | None = PATIENCE) -> Iterator[None]:
    """Wait for this project's turn to write: an OS lock is fast where SQLite's busy handler is not, and fair here.

    The system lets whoever comes just when a lock is free go before those who sleep in its queue, so that a busy writer
    would take it again and again. So there are two locks: who has the turn is the next to write, and gives the turn on
    once writing. Raises ProjectError after `patience` seconds; with None it waits for as long as it takes.
    """
    turn, writing = _lock_file(Path(f"{path}.turn")), _lock_file(Path(f"{path}.lock"))
    try:
        _taken(turn, COURTESY if patience is None else min(patience / 2, COURTESY))
        if not _taken(writing, patience):
            raise ProjectError(
                f"Another program has been writing to {path.name} for {patience:.0f} seconds; nothing was changed. See "
                "whether one is stopped (`ps`, state T), let it go on or end it, and try again."
            )
        os.close(turn)
        turn = -1
        yield
    finally:
        if turn >= 0:
            os.close(turn)
        os.close(writing)


def _lock_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o660)


def _inode(path: Path) -> tuple[int, int]:
    """Say which file it is that has this name now. Raises ProjectError where there is none."""
    try:
        there = path.stat()
    except FileNotFoundError:
        raise ProjectError(f"{path.name} is gone; put it back, or restore it from a backup.") from None
    return there.st_dev, there.st_ino


def _taken(descriptor: int, patience: float | None) -> bool:
    """Take the lock in the order in which others came; False where it is not had in time."""
    if patience is None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        waiting = threading.Thread(target=_wait_for, args=(os.dup(descriptor),), daemon=True)
    waiting.start()
    waiting.join(patience)
    return not waiting.is_alive()


def _wait_for(descriptor: int) -> None:
    """Wait in the kernel's queue. Whoever gave up meanwhile has closed the file, so the lock goes with this copy."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _engine(path: Path, begin: str) -> Engine:
    # Kept open: to open anew costs the reading of the schema, and whoever closes last writes the whole log back.
    engine = create_engine(
        URL.create("sqlite", database=str(path.absolute())),
        module=sqlite.module,
        poolclass=QueuePool,
        pool_size=2,
        max_overflow=-1,
        connect_args={"check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _guard(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we begin by hand: the driver would begin too late and lose updates
        sqlite.guard(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


# --- the log -----------------------------------------------------------------------------------------------------


def _log(
    session: Session, at: str, actor: Actor, action: Action, play_id: int | None, detail: Mapping[str, Any]
) -> None:
    last = session.exec(select(tables.AuditEntry).order_by(col(tables.AuditEntry.seq).desc()).limit(1)).first()
    entry = tables.AuditEntry(
        seq=last.seq + 1 if last else 1,
        at=at,
        person_id=actor.person,
        proof=actor.proof,
        action=action,
        play_id=play_id,
        detail=canonical(detail).decode(),
        previous=last.digest if last else "",
        digest="",
    )
    entry.digest = entry_digest(entry)
    session.add(entry)


def entry_digest(entry: tables.AuditEntry) -> str:
    """Give the digest of an audit entry: over its fields and the digest of the one before."""
    return digest_of(canonical(entry_fields(entry)))


def entry_fields(entry: tables.AuditEntry) -> list[Any]:
    """Give what the digest of an audit entry is of, in order."""
    return [
        entry.seq,
        entry.at,
        entry.person_id or "",
        entry.proof,
        entry.action.value,
        entry.play_id or 0,
        entry.detail,
        entry.previous,
    ]


def chain_trouble(session: Session) -> str:
    """Say at which entry the audit log breaks, or nothing.

    A guard that is gone from the file counts as a break, and so does a locked gate or a frozen data set that is not the
    one of which the log tells.
    """
    previous, expected = "", 1
    told: set[tuple[object, ...]] = set()
    entries: Any = session.connection().execute(_ENTRIES).all()  # rows: to make objects of them takes thrice the time
    for entry in entries:
        if entry.seq != expected:
            return f"The audit log breaks at entry {expected}: it is missing."
        if entry.previous != previous or entry.digest != entry_digest(entry):
            return f"The audit log breaks at entry {entry.seq} ({entry.action.value}): it was altered."
        previous, expected = entry.digest, expected + 1
        if entry.action in (Action.LOCK_GATE, Action.FREEZE_DATA):
            told.add(_fixed(entry))
    return _guard_trouble(session) or next(_untold(session, told), "")


def _guard_trouble(session: Session) -> str:
    rows = session.connection().execute(text("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))
    found = {str(name): str(sql) for name, sql in rows if not str(name).startswith("sqlite_")}
    wanted = _expected_schema()
    for name in sorted(wanted.keys() | found.keys()):
        if found.get(name) != wanted.get(name):
            how = "removed or changed" if name in wanted else "added"
            return f"The guard “{name}” of the project file was {how}; restore the file from a backup."
    return ""


def _fixed(entry: Any) -> tuple[object, ...]:
    """Give all that an entry of a lock or of a freeze says of the row that it fixed."""
    detail = json.loads(entry.detail)
    if entry.action is Action.FREEZE_DATA:
        return entry.play_id, detail.get("data"), entry.at, detail.get("row")
    facts = {name: detail[name] for name in LOCK_FACTS if name in detail}
    return entry.play_id, detail.get("gate"), entry.at, entry.person_id, canonical(facts).decode()


def _untold(session: Session, told: set[tuple[object, ...]]) -> Iterator[str]:
    """Name what is fixed and is not what the log says was fixed."""
    restore = "is not the one that the log tells of; restore the file from a backup."
    for row in session.exec(select(tables.GateRow).where(col(tables.GateRow.locked_at).is_not(None))):
        gate, trouble = _read_gate(row)
        fixed = (row.play_id, row.digest, row.locked_at, row.locked_by, row.facts)
        if gate is None or trouble or fixed not in told:
            yield f"The locked gate of play {row.play_id} {restore}"
    for data in session.exec(select(tables.DataSet).where(col(tables.DataSet.frozen_at).is_not(None))):
        fixed_rows = (data.play_id, data.digest, data.frozen_at)
        if told.isdisjoint({(*fixed_rows, audit_log.frozen_row(data)), (*fixed_rows, None)}):  # None: an older entry
            yield f"The frozen data set of play {data.play_id}, round {data.round}, {restore}"


@lru_cache(maxsize=1)
def _expected_schema() -> dict[str, str]:
    return migrations.expected_schema()


# --- the dossier -------------------------------------------------------------------------------------------------


def load(
    session: Session,
    artifacts: Artifacts,
    play_id: int | None,
    told: dict[int, audit_log.Told],
    *,
    thorough: bool = False,
) -> Dossier:
    """Read everything that rules and screens need, as it is in this session's view.

    `told` keeps what the log said of each play from one call to the next, so that nobody reads a long log at each
    write; a thorough look reads all of it.
    """

    last = session.exec(_LAST).first()
    known = _of_project(session, last, thorough)
    play = session.get(tables.Play, play_id) if play_id is not None else None
    if play is None:
        return Dossier(play_names=frozenset(session.exec(select(tables.Play.name))), **known)
    logged = _logged(session, play.id or 0, last, {} if thorough else told)
    known |= _rows_of(session, play, logged)
    dossier = Dossier(**known)
    troubles = list(_file_troubles(artifacts, dossier)) if thorough else []
    if thorough and not dossier.audit_trouble:
        known["audit_trouble"] = next(logged.disagreements(dossier), "")
    known |= _verdicts(artifacts, dossier, troubles)
    known["validations"] = dict(_validations(artifacts, dossier))
    known["file_troubles"] = tuple(dict.fromkeys(troubles))
    return Dossier(**known | _signed(session, play.id or 0, known, logged))


def _all(session: Session, table: Any) -> Any:
    return tuple(session.exec(_all_of(table)))


def _theirs(session: Session, play_id: int, table: Any, order: str = "id") -> Any:
    return tuple(session.exec(_of_play(table, order), params={"play": play_id}))


def _of_project(session: Session, last: tables.AuditEntry | None, thorough: bool) -> dict[str, Any]:
    """Read what is of no one play: the roster, and where the log stands."""
    known: dict[str, Any] = {
        "now": now(),
        "project": session.get(tables.Project, 1),
        "people": {person.id: person for person in _all(session, tables.Person)},
        "accounts": _all(session, tables.Account),
        "keys": _all(session, tables.SshKey),
        "audit_size": last.seq if last else 0,
        "audit_head": last.digest if last else "",
    }
    return known | ({"audit_trouble": chain_trouble(session)} if thorough else {})


def _rows_of(session: Session, play: tables.Play, logged: audit_log.Logged) -> dict[str, Any]:
    """Read the rows of a play; its own and the gate's are copied, as the rules judge what was while a caller edits."""
    of_play = partial(_theirs, session, play.id or 0)
    gate_row = session.get(tables.GateRow, play.id)
    if gate_row is not None:
        gate_row = tables.GateRow(**gate_row.model_dump())
    gate, gate_trouble = _read_gate(gate_row)
    return {
        "play": tables.Play(**play.model_dump()),
        "roles": {holder.role: holder.person_id for holder in of_play(tables.RoleHolder, "role")},
        "builders": _builders(of_play(tables.Builder, "at"), logged),
        "worksheet": {value.name: value for value in of_play(tables.WorksheetValue, "name")},
        "gate": gate,
        "gate_row": gate_row,
        "gate_trouble": gate_trouble,
        "traffic": of_play(tables.Traffic),
        "data_sets": of_play(tables.DataSet),
        "opened": of_play(tables.OpenedRow, "at"),
        "terms": session.get(tables.ProviderTerms, play.id),
        "accepted": of_play(tables.AcceptedFinding, "at"),
        "runs": of_play(tables.Run),
        "evaluations": of_play(tables.Evaluation),
        "bundles": of_play(tables.Bundle),
        "feeds": of_play(tables.Feed),
        "watches": of_play(tables.Watch, "feed_id"),
        "remedies": of_play(tables.RemedyRow),
    }


def _verdicts(artifacts: Artifacts, dossier: Dossier, troubles: list[str]) -> dict[str, Any]:
    """Judge the record of this round, of the last that was judged before, and of what is live; add what is wrong."""
    gate, play, evaluation, known = dossier.gate, dossier.play, dossier.evaluation, dict[str, Any]()
    assert play is not None
    if gate is None:
        return {}
    if evaluation is not None:
        try:
            content = read_record(artifacts, evaluation.record)
            known["record"], known["judgements"] = judged(content, gates.to_json(gate))
        except (OSError, ValueError) as error:
            troubles.append(f"The record of evaluation {evaluation.id} cannot be used: {error}")
    before = [e for e in dossier.evaluations if not e.reproduced and e.round < play.round]
    of_live = [e for e in before if dossier.live is not None and e.round == dossier.live.round]
    for name, found in (("before", before), ("live", of_live)):
        if found:
            with suppress(OSError, ValueError):  # what cannot be read is not compared with; `verify` says what is wrong
                content = read_record(artifacts, found[-1].record)
                known[f"record_{name}"], known[f"judgements_{name}"] = judged(content, gates.to_json(gate))
    return known


def _signed(session: Session, play_id: int, known: Mapping[str, Any], logged: audit_log.Logged) -> dict[str, Any]:
    """Read the sign-offs, statements and spot checks, each with what the log and its signature say of it."""
    of_play = partial(_theirs, session, play_id)

    def head(size: object) -> str | None:
        there = isinstance(size, int) and 0 < size <= known["audit_size"]
        entry = session.get(tables.AuditEntry, size) if there else None
        return entry.digest if entry is not None else None

    keys, rows = known["keys"], of_play(tables.SignOff)
    withdrawn = {row.sign_off_id for row in _all(session, tables.Withdrawal)} if rows else set()
    signed = of_play(tables.Statement)
    return {
        "spot_checks": tuple(row for row in of_play(tables.SpotCheck) if logged.has_spot_check(row)),
        "statements": tuple(audit_log.statement_facts(row, keys, head, logged) for row in signed),
        "sign_offs": tuple(audit_log.sign_off_facts(row, keys, head, row.id in withdrawn, logged) for row in rows),
    }


_ENTRIES = select(*SQLModel.metadata.tables["audit"].columns).order_by(col(tables.AuditEntry.seq))
_LAST = select(tables.AuditEntry).order_by(col(tables.AuditEntry.seq).desc()).limit(1)
_NEWER = (
    select(tables.AuditEntry).where(tables.AuditEntry.seq > bindparam("after")).order_by(col(tables.AuditEntry.seq))
)
_DECIDING = _NEWER.where(
    tables.AuditEntry.play_id == bindparam("play"),
    col(tables.AuditEntry.action).in_(audit_log.DECIDES) | col(tables.AuditEntry.detail).contains('"signed"'),
)
_REVOKING = _NEWER.where(col(tables.AuditEntry.play_id).is_(None), tables.AuditEntry.action == Action.REVOKE_KEY)


@lru_cache
def _all_of(table: Any) -> Any:
    return select(table)


@lru_cache
def _of_play(table: Any, order: str) -> Any:
    return select(table).where(table.play_id == bindparam("play")).order_by(getattr(table, order))


def _logged(
    session: Session, play_id: int, last: tables.AuditEntry | None, told: dict[int, audit_log.Told]
) -> audit_log.Logged:
    """Read what the log says of a play: all of it once, then what came since; anew where it is another log."""
    nothing = audit_log.Told(audit_log.Logged(), 0, "")
    before = told.get(play_id, nothing)
    there = session.get(tables.AuditEntry, before.size) if before.size else None
    if there is None or there.digest != before.head:
        before = nothing
    if last is None or last.seq == before.size:
        return before.logged
    entries = [*session.exec(_DECIDING, params={"play": play_id, "after": before.size})]
    entries += session.exec(_REVOKING, params={"after": before.size})
    logged = before.logged.after(entries) if entries else before.logged
    told[play_id] = audit_log.Told(logged, last.seq, last.digest)
    return logged


def _validations(artifacts: Artifacts, dossier: Dossier) -> Iterator[tuple[int, gates.Record]]:
    """Read what the students that were evaluated did on the validation split; what cannot be read is not there."""
    for evaluation in dossier.evaluations:
        run = dossier.run(evaluation.run_id)
        with suppress(OSError, ValueError, AttributeError):
            digest = json.loads(run.result).get("validation") if run is not None else None
            if isinstance(digest, str):
                yield evaluation.run_id, record_of(artifacts.path(digest), digest)


@lru_cache(maxsize=16)
def record_of(path: Path, digest: str) -> gates.Record:
    """Read a record, the very bytes that its digest names. Raises OSError or ValueError."""
    content = path.read_bytes()
    if digest_of(content) != digest:
        raise ValueError("it was altered after it was made")
    return gates.Record.from_json(content.decode())


def read_record(artifacts: Artifacts, digest: str) -> str:
    """Read an evaluation's record, the very bytes that its digest names. Raises OSError or ValueError."""
    content = artifacts.path(digest).read_bytes()
    if digest_of(content) != digest:
        raise ValueError("it was altered after it was made; restore the original.")
    return content.decode()


@lru_cache(maxsize=16)
def judged(record_json: str, gate_json: str) -> tuple[gates.Record, tuple[gates.Judgement, ...]]:
    """Judge a record by a gate; verdicts are computed again whenever they are asked for, never stored."""
    record = gates.Record.from_json(record_json)
    return record, gates.judge(gates.from_json(gate_json), record)


def _read_gate(row: tables.GateRow | None) -> tuple[gates.Gate | None, str]:
    if row is None:
        return None, ""
    try:
        gate = gates.from_json(row.content)
    except ValueError as error:
        return None, f"The stored gate cannot be read: {error} Restore the file from a backup."
    if row.digest is not None and row.digest != gates.digest(gate):
        return gate, "The gate is not what was locked: its digest differs; restore the file from a backup."
    return gate, ""


def _builders(rows: tuple[tables.Builder, ...], logged: audit_log.Logged) -> dict[str, tuple[str, ...]]:
    """Whoever the table or the log names: to take a row away does not help."""
    deeds: dict[str, tuple[str, ...]] = {}
    for row in rows:
        deeds[row.person_id] = (*deeds.get(row.person_id, ()), row.deed)
    for person, logged_deeds in logged.builders.items():
        deeds[person] = tuple(dict.fromkeys((*deeds.get(person, ()), *logged_deeds)))
    return deeds


def _file_troubles(artifacts: Artifacts, dossier: Dossier) -> Iterator[str]:
    """Look at every file that this round's decision stands on."""
    wanted = [e.record for e in dossier.round_evaluations]
    wanted += [e.model for e in dossier.round_evaluations]
    if dossier.data_set is not None:
        wanted.append(dossier.data_set.artifact)
    for digest in dict.fromkeys(wanted):
        trouble = artifacts.trouble(digest)
        if trouble:
            yield trouble
