"""What a teacher said of each input, kept by the digests of both, so that nothing is asked or paid for twice.

A file of its own beside the project file: it is no decision, it can be large, and losing it costs time, not truth.
Each batch is committed as it comes, so that a killed worker loses at most the batch in hand.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distill_tui import sqlite

NAME = "teacher-outputs.sqlite"


@contextmanager
def _open(folder: Path) -> Iterator[Any]:
    folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite.module.connect(str(folder / NAME), timeout=30, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS output (teacher TEXT NOT NULL, input TEXT NOT NULL,"
            " probabilities BLOB NOT NULL, PRIMARY KEY (teacher, input)) STRICT, WITHOUT ROWID"
        )
        yield connection
    finally:
        connection.close()


def add(folder: Path, teacher: str, outputs: Iterable[tuple[str, Sequence[float]]]) -> None:
    """Keep (input digest, probabilities in label order) pairs; all of them, or none."""
    rows = [(teacher, digest, array("f", probabilities).tobytes()) for digest, probabilities in outputs]
    with _open(folder) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO output VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")


def known(folder: Path, teacher: str) -> set[str]:
    """Give the digests of the inputs that this teacher has answered."""
    if not (folder / NAME).exists():
        return set()
    with _open(folder) as connection:
        return {digest for (digest,) in connection.execute("SELECT input FROM output WHERE teacher = ?", (teacher,))}


def outputs(folder: Path, teacher: str) -> dict[str, list[float]]:
    """Give every answer of this teacher: input digest → probabilities in label order."""
    if not (folder / NAME).exists():
        return {}
    with _open(folder) as connection:
        rows = connection.execute("SELECT input, probabilities FROM output WHERE teacher = ?", (teacher,)).fetchall()
    return {digest: array("f", blob).tolist() for digest, blob in rows}
