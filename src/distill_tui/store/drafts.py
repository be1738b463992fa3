"""Undo and redo of drafts: what a person did last, by the log, and the rows as they were before and after it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from distill_tui.rules.entities import AuditEntry
from distill_tui.store import deciding, fold
from distill_tui.store.deciding import Row
from distill_tui.store.rows import select
from distill_tui.store.sqlite import Connection
from distill_tui.terms import DRAFTS, Action

TABLES = ("worksheet_value", "gate", "play", "accepted_finding", "dropped_row")
_WORDS = ", ".join(f"'{action.value}'" for action in (*DRAFTS, Action.UNDO, Action.REDO))


@dataclass(frozen=True)
class Piece:
    """A row that an entry of the log wrote: before it, and after it; None where it was not there."""

    table: str
    key: str
    before: Row | None
    after: Row | None

    def differs(self) -> dict[str, tuple[object, object]]:
        """Return the columns that the entry changed, where the row was there before and after."""
        if self.before is None or self.after is None:
            return {}
        after = self.after
        return {name: (value, after[name]) for name, value in self.before.items() if value != after[name]}

    def reversed(self) -> Piece:
        return Piece(self.table, self.key, self.after, self.before)

    @property
    def words(self) -> str:
        return " ".join([self.table.replace("_", " "), *(str(part) for part in json.loads(self.key)[1:2])])


@dataclass(frozen=True)
class Step:
    """A change of a draft that can be taken back, or done again."""

    entry: AuditEntry  # that made it
    pieces: tuple[Piece, ...]  # from how the rows must be now to how they will be: before → after


def next_undo(connection: Connection, play_id: int, person: str) -> Step | None:
    """Return the person's last change of a draft of this play, turned around."""
    done, _ = _stacks(connection, play_id, person)
    return Step(done[-1], tuple(each.reversed() for each in _pieces(connection, done[-1]))) if done else None


def next_redo(connection: Connection, play_id: int, person: str) -> Step | None:
    """Return the change that the person took back last, if they changed no draft since."""
    _, undone = _stacks(connection, play_id, person)
    return Step(undone[-1], _pieces(connection, undone[-1])) if undone else None


def _stacks(connection: Connection, play_id: int, person: str) -> tuple[list[AuditEntry], list[AuditEntry]]:
    entries = select(
        connection, AuditEntry, f"WHERE play_id = ? AND person_id = ? AND action IN ({_WORDS}) ORDER BY seq",
        play_id, person,
    )  # fmt: skip
    done: list[AuditEntry] = []
    undone: list[AuditEntry] = []
    for entry in entries:
        if entry.action is Action.UNDO and done:
            undone.append(done.pop())
        elif entry.action is Action.REDO and undone:
            done.append(undone.pop())
        elif entry.action in DRAFTS:
            done.append(entry)
            undone.clear()
    return done, undone


def _pieces(connection: Connection, entry: AuditEntry) -> tuple[Piece, ...]:
    wrote = {
        (name, key): row for name, rows in fold.written(entry).items() if name in TABLES for key, row in rows.items()
    }
    before: dict[tuple[str, str], Any] = {}
    earlier = "WHERE play_id = ? AND seq < ? ORDER BY seq DESC"
    for each in select(connection, AuditEntry, earlier, entry.play_id, entry.seq):
        if len(before) == len(wrote):
            break
        for name, rows in fold.written(each).items():
            for key, row in rows.items():
                if (name, key) in wrote:
                    before.setdefault((name, key), row)
    return tuple(Piece(name, key, before.get((name, key)), row) for (name, key), row in wrote.items())


def moved(connection: Connection, step: Step) -> list[str]:
    """Return the rows of a step that are no longer as they must be to take it."""
    return [each.words for each in step.pieces if not _as_expected(each, _now(connection, each))]


def _now(connection: Connection, piece: Piece) -> Row | None:
    row = deciding.row_now(connection, deciding.ALL[piece.table], json.loads(piece.key))
    return row if isinstance(row, dict) else None


def _as_expected(piece: Piece, now: Row | None) -> bool:
    if piece.before is None or piece.after is None or now is None:
        return piece.before == now
    return all(now[name] == value for name, (value, _) in piece.differs().items())


def take(connection: Connection, pieces: Iterable[Piece]) -> None:
    """Write the rows of a step, in the caller's transaction."""
    for each in pieces:
        changed = each.differs()
        if changed or each.before is None or each.after is None:
            deciding.put(connection, deciding.ALL[each.table], json.loads(each.key), each.after, changed)
