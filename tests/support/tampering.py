"""Change every column of every table that decides by plain SQL, and see whether the file's checks notice.

The four ways: a row is changed, inserted or deleted with the guards taken away; and a row is changed with the guards
taken away and put back, so that the schema shows nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, get_type_hints

from distill_tui.rules.actor import Actor
from distill_tui.store import audit_log, deciding, migrations, sqlite, whole_check
from distill_tui.store.deciding import Table
from distill_tui.store.project import now
from distill_tui.store.replay import Replay
from distill_tui.terms import Action

WAYS = ("update", "insert", "delete", "guards put back")


@dataclass(frozen=True)
class Attempt:
    """One change of one column."""

    table: Table
    column: str
    way: str

    def __str__(self) -> str:
        return f"{self.table.name}.{self.column} by {self.way}"


def attempts() -> Iterator[Attempt]:
    """Yield every attempt; the observations of a feed are one of the tables."""
    for table in deciding.ALL.values():
        for column in columns(table):
            for way in WAYS:
                yield Attempt(table, column, way)


def columns(table: Table) -> list[str]:
    """Return the columns that decide."""
    if table is deciding.OBSERVATIONS:
        return [field.name for field in fields(table.entity)]
    return list(table.columns)


def other(table: Table, column: str, value: object) -> object:
    """Return another value that the column could have: another word where it holds one of a set."""
    hint = get_type_hints(table.entity)[column]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return next(word.value for word in reversed(list(hint)) if word.value != value and word.value != "running")
    if isinstance(value, bytes):
        return value + b" "
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return value + ("x" if column != "at" or not value else "9")
    return 1 if "int" in str(hint) else "x"


def tried(path: Path, templates: Path, attempt: Attempt) -> str | None:
    """Make an attempt in a transaction, check the file, roll back; None where there is no row to change.

    Return what the whole check says, "" where it notices nothing. What the cheap check says must agree.
    """
    with closing(sqlite.module.connect(str(path), isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute("BEGIN")
        try:
            if not _do(connection, templates, attempt):
                return None
            return _noticed(connection, path, attempt)
        except sqlite.module.IntegrityError as error:
            return f"the schema: {error}"
        finally:
            connection.execute("ROLLBACK")


def _do(connection: Any, templates: Path, attempt: Attempt) -> bool:
    table = attempt.table
    guards = {name: sql for name, sql in migrations.schema(connection).items() if sql.startswith("CREATE TRIGGER")}
    for name in guards:
        connection.execute(f"DROP TRIGGER {name}")
    names = [field.name for field in fields(table.entity)]
    row = connection.execute(f"SELECT {', '.join(names)} FROM {table.name} LIMIT 1").fetchone()
    if attempt.way == "insert":
        row = row or _template(templates, table, names)
    if row is None:
        return False
    cells = dict(zip(names, row, strict=True))
    changed = other(table, attempt.column, cells[attempt.column])
    same = " AND ".join(f"{column} IS ?" for column in names)
    if attempt.way == "delete":
        connection.execute(f"DELETE FROM {table.name} WHERE {same}", row)
    elif attempt.way == "insert":
        forged = cells | {attempt.column: changed}
        for column in table.key if table is not deciding.OBSERVATIONS else ("id",):
            forged[column] = other(table, column, forged[column]) if column != "play_id" else forged[column]
        if table.key == ("play_id",):
            connection.execute(f"DELETE FROM {table.name}")
        if table.name in ("evaluation", "bundle", "data_set", "play", "feed", "ssh_key", "traffic"):
            _make_room(forged, table.name)
        marks = ", ".join("?" * len(names))
        connection.execute(
            f"INSERT OR REPLACE INTO {table.name} ({', '.join(names)}) VALUES ({marks})", [*forged.values()]
        )
    else:
        connection.execute(f"UPDATE OR REPLACE {table.name} SET {attempt.column} = ? WHERE {same}", (changed, *row))
    if attempt.way == "guards put back":
        for sql in guards.values():
            connection.execute(sql)
    return True


def _make_room(forged: dict[str, Any], name: str) -> None:
    """Return a forged row values of its own where the table has each only once."""
    for column in {"evaluation": ("evaluation_run",), "bundle": ("round",), "data_set": ("round",), "play": ("name",),
                   "feed": ("source_digest",), "traffic": ("source_digest",), "ssh_key": ("blob",)}[name]:  # fmt: skip
        value = forged[column]
        forged[column] = value + 90 if isinstance(value, int) else f"{value}z"


def _template(templates: Path, table: Table, names: list[str]) -> tuple[Any, ...] | None:
    with closing(sqlite3.connect(templates)) as connection:
        found: tuple[Any, ...] | None = connection.execute(
            f"SELECT {', '.join(names)} FROM {table.name} LIMIT 1"
        ).fetchone()
        return found


_REPLAYED: dict[tuple[Path, str], Replay] = {}  # by file and head of its log: no attempt writes to the log


def _noticed(connection: Any, path: Path, attempt: Attempt) -> str:
    """Return what the whole check says; "" where it, or the cheap check of the scope, says nothing.

    The cheap check does not read observations, nor a withdrawal of a sign-off that no play has.
    """
    (head,) = connection.execute("SELECT digest FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    known = _REPLAYED.get((path, head)) or whole_check.replay(connection)
    _REPLAYED[path, head] = known
    wrong = next(whole_check.troubles(connection, known=known), "")
    if attempt.table is deciding.OBSERVATIONS or (attempt.table.name, attempt.way) == ("withdrawal", "insert"):
        return wrong
    where = attempt.table.name if "play_id" in attempt.table.columns else "audit"  # a row may name a play that is not
    plays = [number for (number,) in connection.execute(f"SELECT DISTINCT play_id FROM {where}").fetchall()]
    plays += [number for (number,) in connection.execute("SELECT id FROM play").fetchall()]
    logged = [number for (number,) in connection.execute("SELECT DISTINCT play_id FROM audit").fetchall()]
    cheap = [audit_log.tables_trouble(connection, scope) for scope in {None, *plays, *logged}]
    return wrong if any(cheap) else ""


def appended(
    path: Path, edit: str, proof: str, person: str, action: str, detail: str = "{}", at: int | None = 1,
    *, keep: bool = False,
) -> str:  # fmt: skip
    """Write an entry and its rows as this program would, whole chain and all; return all that the whole check says.

    It is rolled back unless it is to `keep`. Triggers are dropped for the edit and put back.
    """
    connection: Any = sqlite.connect(path)
    connection.execute("PRAGMA foreign_keys=OFF")
    deciding.watch(connection)
    connection.execute("BEGIN IMMEDIATE")
    guards = dict(connection.execute("SELECT name, sql FROM main.sqlite_schema WHERE type = 'trigger'").fetchall())
    for name in guards if edit else ():
        connection.execute(f"DROP TRIGGER main.{name}")
    for each in filter(None, edit.split(";")):
        connection.execute(each)
    for trigger in guards.values() if edit else ():
        connection.execute(trigger)
    audit_log.append(connection, now(), Actor(person, proof), Action(action), at, json.loads(detail))
    said = " ".join(whole_check.troubles(connection))
    connection.execute("COMMIT" if keep else "ROLLBACK")
    connection.close()
    return said
