"""The SQLite library that the project file is read and written with.

`pysqlite3` carries SQLite 3.53, which has the fix for the WAL-reset corruption bug of 3.7.0 to 3.51.2. Where there is
no wheel of it, Python's own module serves: every commit, and so every automatic checkpoint, happens under the
project's write lock, which keeps a checkpoint and a resetting commit apart.
"""

from __future__ import annotations

import sqlite3 as standard
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

try:
    from pysqlite3 import dbapi2 as _newest
except ImportError:
    _newest = standard
module: Any = _newest
Connection = standard.Connection  # to name the type; those of `pysqlite3` have the same methods


class Watched(module.Connection):  # type: ignore[misc]
    """A connection that remembers at which version of the file it compared tables with the log, by scope."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.compared: dict[int | None, int] = {}


def compared(connection: Connection) -> dict[int | None, int]:
    """Return what a connection remembers; nothing where it was not opened here."""
    return connection.compared if isinstance(connection, Watched) else {}


def version(connection: Connection) -> int:
    """Return a number that changes when another connection has changed the file."""
    (found,) = connection.execute("PRAGMA data_version").fetchone()
    return int(found)


DatabaseErrors: tuple[type[Exception], ...] = (module.DatabaseError, standard.DatabaseError)


UNREADABLE = "Could not decode to UTF-8"  # of a driver; the statement follows


def errors() -> tuple[type[Exception], ...]:
    """Return what a driver raises, and SQLAlchemy's wrapper if that was imported already: it takes a second."""
    wrapper = sys.modules.get("sqlalchemy.exc")
    return DatabaseErrors if wrapper is None else (*DatabaseErrors, wrapper.DBAPIError)


def sentence(error: Exception) -> str:
    """Return the driver's own message in one line, without the statement that SQLAlchemy or the driver adds."""
    says = " ".join(str(getattr(error, "orig", None) or error).split())
    return "a text in it is not UTF-8" if says.startswith(UNREADABLE) else says


def connect(path: Path, *, read_only: bool = False) -> Connection:
    """Open a plain connection with our guards; the caller begins and commits."""
    target = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
    connection: Connection = module.connect(
        target, uri=True, timeout=30, isolation_level=None, check_same_thread=False, factory=Watched
    )
    guard(connection)
    return connection


def guard(connection: Connection) -> None:
    """Set the guards of a connection: foreign keys, triggers that REPLACE cannot pass, full sync."""
    for pragma in (
        "foreign_keys=ON",
        "recursive_triggers=ON",  # without it REPLACE deletes rows without firing their delete triggers
        "synchronous=FULL",  # a signed gate must not vanish with the power
        "busy_timeout=30000",
        "trusted_schema=OFF",
        "mmap_size=0",
        "cell_size_check=ON",
    ):
        try:
            connection.execute(f"PRAGMA {pragma}")
        except UnicodeDecodeError:  # SQLite quotes the schema as it found it, and Python cannot read that
            raise module.DatabaseError("malformed database schema") from None


class UnknownWord(LookupError):
    """A row holds a word that no release writes: the file was altered in spite of its guards."""


def unknown_word(error: Exception) -> bool:
    """Whether a row holds a word that no release writes, as the loader or as SQLAlchemy finds it."""
    return isinstance(error, UnknownWord) or (
        isinstance(error, LookupError) and "is not among the defined enum values" in str(error)
    )


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """Open a read-only connection with one consistent view of the file."""
    connection = connect(path, read_only=True)
    try:
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


class Words(dict[str, Any]):
    """The members of an enum by value: a look-up is many times quicker than a call."""

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__({word.value: word for word in words})
        self.name = words.__name__

    def __missing__(self, value: object) -> Any:
        raise UnknownWord(f"{value!r} is not a {self.name}")
