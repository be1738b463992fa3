"""SQLAlchemy sessions on the project file: how rows are edited. Imported at the first write, as it takes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import QueuePool
from sqlmodel import Session as Session

from distill_tui.store import deciding, sqlite
from distill_tui.store import tables as tables

BEGIN = "BEGIN IMMEDIATE"  # a transaction may write from its beginning: one that began as a read would lose updates


def engine(path: Path) -> Engine:
    """Make an engine on a project file.

    Its connections are kept open: opening one reads the schema, and closing the last one writes the whole log back.
    """
    made = create_engine(
        URL.create("sqlite", database=str(path.absolute())),
        module=sqlite.module,
        poolclass=QueuePool,
        pool_size=2,
        max_overflow=-1,
        connect_args={"check_same_thread": False, "factory": sqlite.Watched},
    )

    @event.listens_for(made, "connect")
    def _guard(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we begin by hand: the driver would begin too late and lose updates
        sqlite.guard(connection)
        deciding.watch(connection)

    @event.listens_for(made, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(BEGIN)

    return made


def driver(session: Session) -> Any:
    """Return the sqlite3 connection of a session, inside the same transaction."""
    return session.connection().connection.driver_connection
