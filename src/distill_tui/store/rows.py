"""Read rows of the project file into the entities that rules and screens know, by plain sqlite3."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import fields
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, cast, get_type_hints

from distill_tui.rules import entities
from distill_tui.store import sqlite

Entity = TypeVar("Entity")

TABLES: dict[type, str] = {
    entities.Project: "project",
    entities.Person: "person",
    entities.Account: "account",
    entities.SshKey: "ssh_key",
    entities.Play: "play",
    entities.RoleHolder: "role_holder",
    entities.Builder: "builder",
    entities.WorksheetValue: "worksheet_value",
    entities.GateRow: "gate",
    entities.Traffic: "traffic",
    entities.DataSet: "data_set",
    entities.OpenedRow: "opened_row",
    entities.ProviderTerms: "provider_terms",
    entities.AcceptedFinding: "accepted_finding",
    entities.Run: "run",
    entities.RunPoint: "run_point",
    entities.Evaluation: "evaluation",
    entities.SignOff: "sign_off",
    entities.SpotCheck: "spot_check",
    entities.Statement: "statement",
    entities.Withdrawal: "withdrawal",
    entities.Bundle: "bundle",
    entities.Feed: "feed",
    entities.Observation: "observation",
    entities.Watch: "watch",
    entities.RemedyRow: "remedy",
    entities.AuditEntry: "audit",
}


def select(connection: Any, kind: type[Entity], rest: str = "", *values: object) -> tuple[Entity, ...]:
    """Read rows as entities of one kind; `rest` is what follows FROM: WHERE, ORDER BY, LIMIT.

    Raises `sqlite.UnknownWord` where a column holds a word that no release writes.
    """
    query, words = _plan(cast(Hashable, kind))
    found = connection.execute(f"{query} {rest}", values).fetchall()
    if not words:
        return tuple(kind(*row) for row in found)
    entities_found = []
    for row in found:
        cells = list(row)
        for place, known in words:
            cells[place] = known[cells[place]]
        entities_found.append(kind(*cells))
    return tuple(entities_found)


def first(connection: Any, kind: type[Entity], rest: str = "", *values: object) -> Entity | None:
    """Read the first such row, or None."""
    return next(iter(select(connection, kind, f"{rest} LIMIT 1", *values)), None)


def insert(connection: Any, row: Any) -> None:
    """Write an entity as a new row."""
    names = [field.name for field in fields(row)]
    values = [getattr(row, name) for name in names]
    connection.execute(
        f'INSERT INTO "{TABLES[type(row)]}" ({", ".join(names)}) VALUES ({", ".join("?" * len(names))})',
        [value.value if isinstance(value, StrEnum) else value for value in values],
    )


@cache
def _plan(kind: Any) -> tuple[str, tuple[tuple[int, sqlite.Words], ...]]:
    """Return the query for all columns of an entity, and which of them hold words of an enum."""
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    columns = ", ".join(f'"{name}"' for name in names)
    words = [(place, hints[name]) for place, name in enumerate(names)]
    enums = tuple(
        (place, sqlite.Words(hint)) for place, hint in words if isinstance(hint, type) and issubclass(hint, StrEnum)
    )
    return f'SELECT {columns} FROM "{TABLES[kind]}"', enums
