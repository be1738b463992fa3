"""Read rows of the project file into the entities that rules and screens know, by plain sqlite3."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import fields
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast, get_type_hints

from distill_tui.rules.entities import TABLES
from distill_tui.store import sqlite
from distill_tui.store.sqlite import Connection

Entity = TypeVar("Entity")


def select(connection: Connection, kind: type[Entity], rest: str = "", *values: object) -> tuple[Entity, ...]:
    """Read rows as entities of one kind; `rest` is what follows FROM: WHERE, ORDER BY, LIMIT.

    Raises `sqlite.UnknownWord` where a column holds a word that no release writes.
    """
    plan = _plan(cast(Hashable, kind))
    found = []
    for row in connection.execute(plan.query + rest, values):
        cells = dict(zip(plan.columns, row, strict=True))
        for name, known in plan.words:
            cells[name] = known[cells[name]]
        found.append(kind(**cells))
    return tuple(found)


def first(connection: Connection, kind: type[Entity], rest: str = "", *values: object) -> Entity | None:
    """Read the first such row, or None."""
    return next(iter(select(connection, kind, f"{rest} LIMIT 1", *values)), None)


def entity_of(kind: type[Entity], cells: Mapping[str, Any]) -> Entity:
    """Make an entity of its columns; those that are not given have their defaults. Raises `sqlite.UnknownWord`."""
    words = _plan(cast(Hashable, kind)).words
    return kind(**{**cells} | {name: known[cells[name]] for name, known in words if name in cells})


def insert(connection: Connection, row: Any) -> None:
    """Write an entity as a new row."""
    names = [field.name for field in fields(row)]
    values = [getattr(row, name) for name in names]
    connection.execute(
        f'INSERT INTO "{TABLES[type(row)]}" ({", ".join(names)}) VALUES ({", ".join("?" * len(names))})',
        [value.value if isinstance(value, StrEnum) else value for value in values],
    )


class _Plan(NamedTuple):
    """How an entity is read."""

    columns: tuple[str, ...]
    words: tuple[tuple[str, sqlite.Words], ...]  # the columns that hold words of an enum
    query: str


@cache
def _plan(kind: Any) -> _Plan:
    hints = get_type_hints(kind)
    enums = {name: hint for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, StrEnum)}
    words = tuple((name, sqlite.Words(words)) for name, words in enums.items())
    return _Plan(tuple(hints), words, f'SELECT {", ".join(hints)} FROM "{TABLES[kind]}" ')
