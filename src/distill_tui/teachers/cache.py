"""What a teacher answered to each input, kept by the digests of both, so that nothing is asked or paid for twice.

A file of its own next to the project file: it holds no decision, it can be large, and losing it costs time, not truth.
Each batch is committed as it arrives, so that a killed worker loses at most one batch.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_tui.digests import EVERY_ROW, Part
from distill_tui.gates.label_sets import likely
from distill_tui.store import sqlite
from distill_tui.store.artifacts import TEACHER_CACHE
from distill_tui.terms import TeacherSource

if TYPE_CHECKING:
    from sqlite3 import Connection

    from distill_tui.teachers.endpoint import Answer


@contextmanager
def _open(folder: Path) -> Iterator[Connection]:
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
            " money TEXT NOT NULL, model TEXT NOT NULL, cached INTEGER NOT NULL,"
            " PRIMARY KEY (teacher, input)) STRICT, WITHOUT ROWID"
        )
        connection.execute(
            "CREATE TABLE IF NOT EXISTS exported (teacher TEXT NOT NULL, input TEXT NOT NULL,"
            " PRIMARY KEY (teacher, input)) STRICT, WITHOUT ROWID"
        )
        yield connection
    finally:
        connection.close()


def _rows(folder: Path, query: str, *values: str) -> list[Any]:
    if not (folder / TEACHER_CACHE).exists():
        return []
    with _open(folder) as connection:
        return connection.execute(query, values).fetchall()


def add(folder: Path, teacher: str, outputs: Iterable[tuple[str, Sequence[float]]]) -> None:
    """Store (input digest, probabilities in label order) pairs; all of them, or none."""
    with adding(folder, teacher) as add_all:
        add_all(outputs)


@contextmanager
def adding(folder: Path, teacher: str) -> Iterator[Callable[[Iterable[tuple[str, Sequence[float]]]], None]]:
    """Hold the cache open and yield what stores pairs as `add` does: to open and close it takes longer than a batch."""
    with _open(folder) as connection:

        def add_all(outputs: Iterable[tuple[str, Sequence[float]]]) -> None:
            rows = [(teacher, digest, array("f", probabilities).tobytes()) for digest, probabilities in outputs]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO output VALUES (?, ?, ?)", rows)
            connection.execute("COMMIT")

        yield add_all


def add_answer(folder: Path, teacher: str, answer: Answer) -> None:
    """Store one answer the moment it arrives; one that names no label is kept too, as it was paid for."""
    add_answers(folder, teacher, [answer])


def add_answers(folder: Path, teacher: str, answers: Sequence[Answer]) -> None:
    """Store answers, all of them or none."""
    rows = [_stored(teacher, answer) for answer in answers]
    with _open(folder) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")


def _stored(teacher: str, answer: Answer) -> tuple[object, ...]:
    shares = None if answer.probabilities is None else array("f", answer.probabilities).tobytes()
    paid = (answer.tokens_in, answer.tokens_out, str(answer.money), answer.model, answer.cached)
    return (teacher, answer.digest, answer.label, answer.said, shares, *paid)


OWN = "WHERE teacher = ?1 AND input >= ?2 AND input < ?3"  # a range of the primary key


def answered(folder: Path, teacher: str, part: Part = EVERY_ROW) -> set[str]:
    """Return the digests of the inputs that this teacher has answered, readably or not."""
    query = f"SELECT input FROM answer {OWN} UNION SELECT input FROM output {OWN}"
    return {digest for (digest,) in _rows(folder, query, teacher, *part)}


def answers(folder: Path, teacher: str, part: Part = EVERY_ROW) -> dict[str, tuple[str | None, list[float] | None]]:
    """Return every answer: input digest → the label that it names, or None; and its probabilities, or None."""
    rows = _rows(folder, f"SELECT input, label, probabilities FROM answer {OWN}", teacher, *part)
    return {digest: (label, array("f", blob).tolist() if blob is not None else None) for digest, label, blob in rows}


def models(folder: Path, teacher: str) -> dict[str, int]:
    """Count the answers of each model that the provider resolved the teacher's name to; most answers first."""
    query = "SELECT model, count(*) FROM answer WHERE teacher = ? AND model <> '' GROUP BY model ORDER BY 2 DESC, 1"
    return dict(_rows(folder, query, teacher))


def mark_exported(folder: Path, teacher: str, digests: Iterable[str]) -> None:
    """Remember inputs that a batch file asks this teacher about."""
    with _open(folder) as connection:
        connection.execute("BEGIN IMMEDIATE")
        rows = ((teacher, digest) for digest in digests)
        connection.executemany("INSERT OR IGNORE INTO exported VALUES (?, ?)", rows)
        connection.execute("COMMIT")


def unmark_exported(folder: Path, teacher: str, digest: str) -> None:
    """Forget that a batch file asks about an input: its request failed."""
    with _open(folder) as connection:
        connection.execute("DELETE FROM exported WHERE teacher = ? AND input = ?", (teacher, digest))


def exported(folder: Path, teacher: str) -> set[str]:
    """Return the digests of the inputs that batch files ask this teacher about."""
    if not (folder / TEACHER_CACHE).exists():
        return set()
    return {digest for (digest,) in _rows(folder, "SELECT input FROM exported WHERE teacher = ?", teacher)}


def probe_name(teacher: str, day: str) -> str:
    """Return the teacher name under which a day's answers to the probe are kept, apart from those for labels."""
    return f"{teacher} probe {day}"


def said(folder: Path, teacher: str, part: Part = EVERY_ROW) -> dict[str, str]:
    return dict(_rows(folder, f"SELECT input, said FROM answer {OWN}", teacher, *part))


def outputs(folder: Path, teacher: str, part: Part = EVERY_ROW) -> dict[str, list[float]]:
    """Return the probabilities of a teacher that chooses among labels, by input digest."""
    rows = _rows(folder, f"SELECT input, probabilities FROM output {OWN} ORDER BY input", teacher, *part)
    return {digest: array("f", blob).tolist() for digest, blob in rows}


def texts(folder: Path, teacher: str) -> list[tuple[str, str | None, str, int, int]]:
    """Return what a teacher wrote: input digest, what was read of it, the text, tokens in and out."""
    query = "SELECT input, label, said, tokens_in, tokens_out FROM answer WHERE teacher = ? ORDER BY input"
    return [tuple(row) for row in _rows(folder, query, teacher)]


@dataclass(frozen=True)
class Ledger:
    """How often an endpoint was asked, and what that cost."""

    calls: int
    tokens_in: int
    tokens_out: int
    cached: int  # input tokens that the provider read from its cache
    money: Decimal
    unread: int  # answers that name none of the labels


def ledger(folder: Path, *teachers: str) -> Ledger:
    """Sum what these teachers were asked, their probes included."""
    query = "SELECT tokens_in, tokens_out, cached, label IS NULL, money FROM answer WHERE teacher = ? OR teacher GLOB ?"
    rows = [row for each in teachers for row in _rows(folder, query, each, probe_name(each, "*"))]
    tokens_in, tokens_out, cached, unread = (sum(row[at] for row in rows) for at in range(4))
    money = sum((Decimal(row[4]) for row in rows), Decimal(0))
    return Ledger(len(rows), tokens_in, tokens_out, cached, money, unread)


def labelled(
    folder: Path,
    source: TeacherSource,
    teacher: str,
    labels: tuple[str, ...],
    *,
    several: bool = False,
    part: Part = EVERY_ROW,
) -> Mapping[str, tuple[str | None, list[float] | None]]:
    """Return what the teacher answered, by input digest: the label, or None where none is named, and probabilities.

    With `several` the answer is the set of labels that are likelier than not.
    """
    if source is TeacherSource.ENDPOINT or not labels:
        return answers(folder, teacher, part)
    found = outputs(folder, teacher, part)
    if several:
        return {digest: (likely(labels, shares), shares) for digest, shares in found.items()}
    return {digest: (labels[shares.index(max(shares))], shares) for digest, shares in found.items()}
