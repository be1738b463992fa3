"""Check the whole file against its log: the chain, who could append, the guards, and every row that decides."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.store import audit_log, fold, rows, sqlite
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.looks import look
from distill_tui.store.replay import Replay, replayed
from distill_tui.store.sqlite import Connection


def replay(connection: Connection, artifacts: Artifacts | None = None) -> Replay:
    """Replay the log of a file; with the artifacts, a ship is judged again."""
    judge = partial(_judged, artifacts) if artifacts is not None else lambda dossier: dossier
    return replayed(rows.select(connection, entities.AuditEntry, "ORDER BY seq"), judge)


def _judged(artifacts: Artifacts, dossier: PlayDossier) -> PlayDossier:
    now = [dossier.evaluation] if dossier.evaluation is not None else []
    return replace(dossier, looked=look(artifacts, dossier, now))


def troubles(connection: Connection, artifacts: Artifacts | None = None, known: Replay | None = None) -> Iterator[str]:
    """Yield a sentence for everything in the file that is not what its log says, and for what the log cannot say.

    `known` is a replay of this very log.
    """
    try:
        known = known or replay(connection, artifacts)
    except (ValueError, sqlite.UnknownWord) as error:
        yield f"The audit log cannot be read: {error}; restore the file from a backup."
        return
    yield from known.troubles
    guard = audit_log.guard_trouble(connection)
    if guard:
        yield guard
    for each in fold.differences(connection, known.fold):
        yield f"{each.sentence} {audit_log.CURE}"


class Followed:
    """The check of an open file that goes on with the entries that came since, for what looks often: a gateway.

    Rows are compared again where the log has grown; each load compares the state of its own play and of the project.
    """

    def __init__(self) -> None:
        self._replay = Replay()
        self._said = ""
        self._turn = threading.Lock()

    def trouble(self, connection: Connection) -> str:
        """Return the first trouble of the file; empty where there is none."""
        with self._turn:
            last = rows.first(connection, entities.AuditEntry, "ORDER BY seq DESC")
            known = self._replay
            if last is not None and (last.seq, last.digest) == (known.size, known.head):
                return self._said
            if known.size and audit_log.head(connection, known.size) != known.head:
                known = self._replay = Replay()
            for entry in rows.select(connection, entities.AuditEntry, "WHERE seq > ? ORDER BY seq", known.size):
                known.take(entry)
            self._said = next(troubles(connection, known=known), "")
            return self._said


def trouble(connection: Connection, artifacts: Artifacts | None = None) -> str:
    """Return the first of them; empty where there is none."""
    return next(troubles(connection, artifacts), "")
