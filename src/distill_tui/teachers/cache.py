"""What a teacher answered to each input, kept by the digests of both, so that nothing is asked or paid for twice.

A file of its own next to the project file: it holds no decision, it can be large, and losing it costs time, not truth.
Each batch is committed as it arrives, so that a killed worker loses at most one batch.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_tui.store import sqlite
from distill_tui.store.artifacts import TEACHER_CACHE
from distill_tui.terms import TeacherSource

if TYPE_CHECKING:
    from distill_tui.teachers.endpoint import Answer


@contextmanager
def _open(folder: Path) -> Iterator[Any]:
    folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite.module.connect(str(folder / TEACHER_CACHE), timeout=30, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS output (teacher TEXT NOT NULL, input TEXT NOT NULL,"
            " probabilities BLOB NOT NULL, PRIMARY KEY (teacher, input)) STRICT, WITHOUT ROWID"
        )
        connection.execute(
            "CREATE TABLE IF NOT EXISTS answer (teacher TEXT NOT NULL, input TEXT NOT NULL, label TEXT,"
            " said TEXT NOT NULL, probabilities BLOB, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,"
            " money TEXT NOT NULL, PRIMARY KEY (teacher, input)) STRICT, WITHOUT ROWID"
        )
        yield connection
    finally:
        connection.close()


def add(folder: Path, teacher: str, outputs: Iterable[tuple[str, Sequence[float]]]) -> None:
    """Store (input digest, probabilities in label order) pairs; all of them, or none."""
    rows = [(teacher, digest, array("f", probabilities).tobytes()) for digest, probabilities in outputs]
    with _open(folder) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO output VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")


def known(folder: Path, teacher: str) -> set[str]:
    """Return the digests of the inputs that have probabilities of this teacher."""
    if not (folder / TEACHER_CACHE).exists():
        return set()
    with _open(folder) as connection:
        return {digest for (digest,) in connection.execute("SELECT input FROM output WHERE teacher = ?", (teacher,))}


def outputs(folder: Path, teacher: str) -> dict[str, list[float]]:
    """Return the probabilities of this teacher: input digest → probabilities in label order."""
    if not (folder / TEACHER_CACHE).exists():
        return {}
    with _open(folder) as connection:
        rows = connection.execute("SELECT input, probabilities FROM output WHERE teacher = ?", (teacher,)).fetchall()
    return {digest: array("f", blob).tolist() for digest, blob in rows}


# --- answers of an endpoint, with what they cost


def add_answer(folder: Path, teacher: str, answer: Answer) -> None:
    """Store one answer the moment it arrives; one that names no label is kept too, as it was paid for."""
    shares = None if answer.probabilities is None else array("f", answer.probabilities).tobytes()
    row = (teacher, answer.digest, answer.label, answer.said, shares, answer.tokens_in, answer.tokens_out)
    with _open(folder) as connection:
        connection.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, str(answer.money)))


def answered(folder: Path, teacher: str) -> set[str]:
    """Return the digests of the inputs that this endpoint has answered, readably or not."""
    if not (folder / TEACHER_CACHE).exists():
        return set()
    with _open(folder) as connection:
        return {digest for (digest,) in connection.execute("SELECT input FROM answer WHERE teacher = ?", (teacher,))}


def answers(folder: Path, teacher: str) -> dict[str, tuple[str | None, list[float] | None]]:
    """Return every answer: input digest → the label that it names, or None; and its probabilities, or None."""
    if not (folder / TEACHER_CACHE).exists():
        return {}
    query = "SELECT input, label, probabilities FROM answer WHERE teacher = ?"
    with _open(folder) as connection:
        rows = connection.execute(query, (teacher,)).fetchall()
    return {digest: (label, array("f", blob).tolist() if blob is not None else None) for digest, label, blob in rows}


def probe_name(teacher: str, day: str) -> str:
    """Return the teacher name under which a day's answers to the probe are kept, apart from those for labels."""
    return f"{teacher} probe {day}"


def said(folder: Path, teacher: str) -> dict[str, str]:
    """Return every answer word for word, by input digest."""
    if not (folder / TEACHER_CACHE).exists():
        return {}
    with _open(folder) as connection:
        return dict(connection.execute("SELECT input, said FROM answer WHERE teacher = ?", (teacher,)).fetchall())


@dataclass(frozen=True)
class Ledger:
    """How often an endpoint was asked, and what that cost."""

    calls: int
    tokens_in: int
    tokens_out: int
    money: Decimal
    unread: int  # answers that name none of the labels


def added(parts: Iterable[Ledger]) -> Ledger:
    total = Ledger(0, 0, 0, Decimal(0), 0)
    for each in parts:
        pairs = zip(astuple(total), astuple(each), strict=True)
        total = Ledger(*(one + other for one, other in pairs))
    return total


def ledger(folder: Path, teacher: str) -> Ledger:
    """Sum what this teacher was asked, its probes included."""
    if not (folder / TEACHER_CACHE).exists():
        return Ledger(0, 0, 0, Decimal(0), 0)
    query = "SELECT tokens_in, tokens_out, money, label IS NULL FROM answer WHERE teacher = ? OR teacher GLOB ?"
    with _open(folder) as connection:
        rows = connection.execute(query, (teacher, probe_name(teacher, "*"))).fetchall()
    sums = [sum(row[at] for row in rows) for at in (0, 1, 3)]
    return Ledger(len(rows), sums[0], sums[1], sum((Decimal(row[2]) for row in rows), Decimal(0)), sums[2])


def labelled(
    folder: Path, source: TeacherSource, teacher: str, labels: tuple[str, ...]
) -> Mapping[str, tuple[str | None, list[float] | None]]:
    """Return what the teacher answered, by input digest: the label, or None where none is named, and probabilities."""
    if source is TeacherSource.ENDPOINT or not labels:
        return answers(folder, teacher)
    found = outputs(folder, teacher)
    return {digest: (labels[shares.index(max(shares))], shares) for digest, shares in found.items()}
