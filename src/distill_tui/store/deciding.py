"""The tables that decide: how their rows are named, read, digested, and noted while a transaction writes them.

`SCOPES` names every table but the log itself, cards and telemetry. A scope is the project, or one play.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from distill_tui.digests import digest_of, sorted_json
from distill_tui.rules import entities
from distill_tui.rules.entities import TABLES
from distill_tui.store.sqlite import Connection

Row = dict[str, Any]  # column → value, as JSON holds it

TELEMETRY = (  # of `run`: what a worker writes without an entry in the log, and what follows from it
    "token", "pid", "claimed_at", "heartbeat_at", "step", "total", "message", "stop_requested", "ended_at",
)  # fmt: skip
_QUEUED = "CASE WHEN status IN ('running', 'lost') THEN 'queued' ELSE status END"  # a claim and a loss have no entry


@dataclass(frozen=True)
class Table:
    """A table that decides."""

    entity: type
    key: tuple[str, ...]
    scope: str  # WHERE: the rows of the play that is its parameter; empty: of the project

    @cached_property
    def name(self) -> str:
        return TABLES[self.entity]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that decide."""
        names = (field.name for field in fields(self.entity))
        return tuple(name for name in names if self.name != "run" or name not in TELEMETRY)

    @cached_property
    def chosen(self) -> str:
        """What is selected for these columns."""
        return ", ".join(_QUEUED if self.name == "run" and name == "status" else name for name in self.columns)

    @cached_property
    def query(self) -> str:
        """Read the rows of a scope, in the order of their keys."""
        where = f" WHERE {self.scope}" if self.scope else ""
        return f"SELECT {self.chosen} FROM {self.name}{where} ORDER BY {', '.join(self.key)}"


_PLAY = "play_id = ?"
OF_PROJECT = (
    Table(entities.Project, ("id",), ""),
    Table(entities.Person, ("id",), ""),
    Table(entities.Account, ("uid",), ""),
    Table(entities.SshKey, ("fingerprint",), ""),
    Table(entities.Statement, ("id",), "play_id IS NULL"),
)
OF_PLAY = (
    Table(entities.Play, ("id",), "id = ?"),
    Table(entities.RoleHolder, ("play_id", "role"), _PLAY),
    Table(entities.Builder, ("play_id", "person_id", "act"), _PLAY),
    Table(entities.WorksheetValue, ("play_id", "name"), _PLAY),
    Table(entities.GateRow, ("play_id",), _PLAY),
    Table(entities.Traffic, ("id",), _PLAY),
    Table(entities.DataSet, ("id",), _PLAY),
    Table(entities.OpenedRow, ("play_id", "input_digest", "person_id"), _PLAY),
    Table(entities.ProviderTerms, ("play_id",), _PLAY),
    Table(entities.AcceptedFinding, ("play_id", "round", "finding", "says"), _PLAY),
    Table(entities.DroppedRow, ("play_id", "input_digest"), _PLAY),
    Table(entities.Run, ("id",), _PLAY),
    Table(entities.Evaluation, ("id",), _PLAY),
    Table(entities.SpotCheck, ("id",), _PLAY),
    Table(entities.Statement, ("id",), _PLAY),
    Table(entities.SignOff, ("id",), _PLAY),
    Table(entities.Withdrawal, ("sign_off_id",), "sign_off_id IN (SELECT id FROM sign_off WHERE play_id = ?)"),
    Table(entities.Bundle, ("id",), _PLAY),
    Table(entities.Feed, ("id",), _PLAY),
    Table(entities.Watch, ("feed_id",), _PLAY),
    Table(entities.RemedyRow, ("id",), _PLAY),
)
# thousands of rows: one digest for each feed, in a full comparison only
OBSERVATIONS = Table(entities.Observation, ("feed_id",), _PLAY)
ALL = {table.name: table for table in (*OF_PROJECT, *OF_PLAY, OBSERVATIONS)}


# --- noting what a transaction writes --------------------------------------------------------------------------------


def watch(connection: Connection) -> None:
    """Have a connection note the key of each deciding row that it writes, by any statement, until `written`."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS touched (tab TEXT, name TEXT)")
    for table in ALL.values():
        for verb, sides in (("INSERT", ("NEW",)), ("UPDATE", ("OLD", "NEW")), ("DELETE", ("OLD",))):
            notes = "".join(
                f" INSERT INTO touched VALUES ('{table.name}', json_array("
                f"{', '.join(f'{side}.{column}' for column in table.key)}));"
                for side in sides
            )
            connection.execute(
                f"CREATE TEMP TRIGGER IF NOT EXISTS touch_{table.name}_{verb.lower()}"
                f" AFTER {verb} ON main.{table.name} BEGIN{notes} END"
            )


def forget(connection: Connection) -> None:
    """Forget what was noted: telemetry before this transaction."""
    connection.execute("DELETE FROM touched")


def written(connection: Connection) -> str:
    """Return the rows that were written since, as they are now: JSON of table → key → row, null where it is gone."""
    found: dict[str, dict[str, Any]] = {}
    for name, text in connection.execute("SELECT DISTINCT tab, name FROM touched").fetchall():
        key = json.loads(text)
        found.setdefault(name, {})[sorted_json(key)] = row_now(connection, ALL[name], key)
    forget(connection)
    return sorted_json(found)


def row_now(connection: Connection, table: Table, key: list[object]) -> Row | str | None:
    """Return a row as it is now, as JSON holds it; None where there is none."""
    if table is OBSERVATIONS:
        return observed(connection, key[0])
    same = " AND ".join(f"{column} = ?" for column in table.key)
    row = connection.execute(f"SELECT {table.chosen} FROM {table.name} WHERE {same}", key).fetchone()
    return None if row is None else as_json(table, row)


def put(connection: Connection, table: Table, key: list[object], row: Row | None, columns: Iterable[str] = ()) -> None:
    """Make a row what it is here, as JSON holds it: these columns of it, without any the whole; None deletes it."""
    same = " AND ".join(f"{column} = ?" for column in table.key)
    if row is None:
        connection.execute(f"DELETE FROM {table.name} WHERE {same}", key)
        return
    stored, changed = as_stored(row), tuple(columns)
    if changed:
        given = ", ".join(f"{name} = ?" for name in changed)
        values = [*(stored[name] for name in changed), *key]
        connection.execute(f"UPDATE {table.name} SET {given} WHERE {same}", values)
    else:
        names, marks = ", ".join(stored), ", ".join("?" * len(stored))
        connection.execute(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", [*stored.values()])


def as_json(table: Table, row: tuple[Any, ...]) -> Row:
    """Return a row as JSON holds it."""
    return {
        name: {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for name, value in zip(table.columns, row, strict=True)
    }


def as_stored(row: Mapping[str, Any]) -> Row:
    """Return a row as the table holds it; the opposite of `as_json`."""
    return {
        name: base64.b64decode(value["base64"]) if isinstance(value, dict) else value for name, value in row.items()
    }


def observed(connection: Connection, feed: object) -> str:
    """Digest the observations of a feed."""
    columns = ", ".join(field.name for field in fields(entities.Observation))
    rows = connection.execute(f"SELECT {columns} FROM observation WHERE feed_id = ? ORDER BY id", (feed,)).fetchall()
    return digest_of(json.dumps(rows)) if rows else ""


# --- reading and digesting -------------------------------------------------------------------------------------------


def state(connection: Connection, play_id: int | None) -> str:
    """Digest every deciding row of the project itself, or of one play."""
    sha = hashlib.sha256()
    for table in OF_PROJECT if play_id is None else OF_PLAY:
        rows = connection.execute(table.query, (play_id,) * table.scope.count("?")).fetchall()
        if rows:
            sha.update(json.dumps([table.name, rows], default=bytes.hex).encode())
    return f"sha256:{sha.hexdigest()}"


def rows(connection: Connection) -> Iterator[tuple[Table, str, Any]]:
    """Yield every deciding row of the file with its table and key; of observations a digest for each feed."""
    for table in ALL.values():
        if table is not OBSERVATIONS:
            yield from _rows(connection, table, f"SELECT {table.chosen} FROM {table.name}", ())
    for (feed,) in connection.execute("SELECT DISTINCT feed_id FROM observation").fetchall():
        yield OBSERVATIONS, sorted_json([feed]), observed(connection, feed)


def rows_of(connection: Connection, play_id: int | None) -> Iterator[tuple[Table, str, Any]]:
    """Yield the rows of one scope, without observations."""
    for table in OF_PROJECT if play_id is None else OF_PLAY:
        yield from _rows(connection, table, table.query, (play_id,) * table.scope.count("?"))


def _rows(
    connection: Connection, table: Table, query: str, values: tuple[Any, ...]
) -> Iterator[tuple[Table, str, Any]]:
    at = [table.columns.index(column) for column in table.key]
    for row in connection.execute(query, values).fetchall():
        yield table, sorted_json([row[place] for place in at]), as_json(table, row)
