"""Rows that a test writes past the verbs, with the log entry without which they would stop the play."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distill_tui.rules.actor import Actor
from distill_tui.store import audit_log, deciding, rows, sqlite
from distill_tui.store.project import Project, now
from distill_tui.terms import Action


@contextmanager
def by_hand(
    project: Project,
    action: Action = Action.COMMENT,
    play: int | None = None,
    actor: Actor | None = None,
    **detail: Any,
) -> Iterator[Any]:
    """Edit rows in a session, and log them: as this action of this actor, else as a comment, which may write none.

    A play with such a comment can be looked at and acted on; a whole check of the file names the entry.
    """
    from distill_tui.store import sessions

    with project.telemetry() as session:
        connection = sessions.driver(session)
        deciding.forget(connection)
        yield session
        session.flush()
        if actor is not None:
            audit_log.append(connection, now(), actor, action, play, detail)
        else:
            log_all(connection)


def proved(project: Project, person: str) -> Actor:
    """Return a person as their account proves them, else as their key does."""
    dossier = project.project_dossier()
    uids = [f"account uid {account.uid}" for account in dossier.accounts if account.person_id == person]
    keys = [f"key {key.fingerprint}" for key in dossier.keys if key.person_id == person and key.revoked_at is None]
    return Actor(person, [*uids, *keys][0])


def log_all(connection: Any) -> None:
    """Log as comments of the keeper what was noted and differs from the log."""
    query = "SELECT keeper, account.uid FROM project JOIN account ON person_id = keeper"
    keeper, uid = connection.execute(query).fetchone()
    mine = Actor(keeper, f"account uid {uid}")
    for scope in sorted(_scopes(connection), key=lambda scope: scope or 0):
        if audit_log.tables_trouble(connection, scope):
            audit_log.append(connection, now(), mine, Action.COMMENT, scope, {"text": "by hand"})


def _scopes(connection: Any) -> set[int | None]:
    """Return the project (None) and the plays of which a row was noted."""
    found: set[int | None] = set()
    for name, key in connection.execute("SELECT DISTINCT tab, name FROM touched").fetchall():
        table, (first, *_) = deciding.ALL[name], json.loads(key)
        if table in deciding.OF_PROJECT:
            found.add(None)
        elif table.key[0] == "play_id" or name == "play":
            found.add(first)
        else:
            of = "SELECT play_id FROM sign_off WHERE id = ?" if name == "withdrawal" else (
                f"SELECT play_id FROM {name} WHERE {table.key[0]} = ?"
            )  # fmt: skip
            found |= {number for (number,) in connection.execute(of, (first,))}
    return found


def relog(path: Path) -> None:
    """Log what plain SQL wrote into a file."""
    connection = sqlite.connect(path)
    try:
        deciding.watch(connection)
        connection.execute("BEGIN IMMEDIATE")
        note_all(connection)
        log_all(connection)
        connection.execute("COMMIT")
    finally:
        connection.close()


def note_all(connection: Any) -> None:
    """Note every row that differs from the log, as if this transaction had written it."""
    from distill_tui.rules import entities
    from distill_tui.store import fold

    known = fold.folded(rows.select(connection, entities.AuditEntry, "ORDER BY seq"))
    for each in fold.differences(connection, known):
        connection.execute("INSERT INTO touched VALUES (?, ?)", (each.table.name, each.key))
