"""What the audit log says that the tables hold: the last known value of each deciding row, and how the file differs.

Pure but for `differences` and `repair`, which read and write the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from distill_tui.rules import entities
from distill_tui.store import deciding
from distill_tui.store.deciding import ALL, OBSERVATIONS, Row, Table
from distill_tui.store.sqlite import Connection


@dataclass(frozen=True)
class Known:
    """A row by the log: its value, None where it was taken out, and the entry that wrote it."""

    value: Row | str | None
    seq: int


@dataclass
class Fold:
    """The log, folded: by table and key, what each deciding row is."""

    rows: dict[str, dict[str, Known]] = field(default_factory=dict)

    def take(self, entry: entities.AuditEntry) -> None:
        """Add an entry. Raises ValueError where its rows are not what this program writes."""
        for name, found in written(entry).items():
            known = self.rows.setdefault(name, {})
            for key, value in found.items():
                known[key] = Known(value, entry.seq)


def written(entry: entities.AuditEntry) -> dict[str, dict[str, Any]]:
    """Read the rows of an entry. Raises ValueError where they are not what this program writes."""
    value: dict[str, dict[str, Any]] = json.loads(entry.rows)
    for name, found in value.items() if isinstance(value, dict) else [("", None)]:
        columns = set(ALL[name].columns) if name in ALL else set()
        if not columns or not isinstance(found, dict) or not all(
            row is None or (isinstance(row, str) if name == "observation" else _is_row(row, columns))
            for row in found.values()
        ):  # fmt: skip
            raise ValueError(f"its rows of “{name}” are not what this release writes")
    return value


def _is_row(row: object, columns: set[str]) -> bool:
    return isinstance(row, dict) and row.keys() == columns


def folded(entries: Iterable[entities.AuditEntry]) -> Fold:
    """Fold entries, oldest first."""
    fold = Fold()
    for entry in entries:
        fold.take(entry)
    return fold


# --- the file against the log ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """A row of the file that is not what the log says."""

    table: Table
    key: str
    known: Known | None  # None: the log never had such a row
    columns: tuple[str, ...] = ()  # those that differ; none: the row is there and should not be, or is missing

    @property
    def sentence(self) -> str:
        row = f"{self.table.name.replace('_', ' ')} {', '.join(map(str, json.loads(self.key)))}"
        if self.known is None or (self.known.value is None and not self.columns):
            return f"The row {row} is not in the audit log: it was written past it."
        at = f"entry {self.known.seq} of the audit log"
        if self.columns:
            return f"The row {row} differs from {at} ({', '.join(self.columns)})."
        return f"The row {row} of {at} is missing from the file."


def differences(
    connection: Connection, fold: Fold, play_id: int | None = None, *, whole: bool = True
) -> Iterator[Difference]:
    """Compare every deciding row of the file, or only of one scope, with the log, in both directions."""
    there: dict[str, set[str]] = {}
    for table, key, row in deciding.rows(connection) if whole else deciding.rows_of(connection, play_id):
        there.setdefault(table.name, set()).add(key)
        known = fold.rows.get(table.name, {}).get(key)
        if known is None or known.value is None:
            yield Difference(table, key, known)
        elif known.value != row:
            yield Difference(table, key, known, _differing(known.value, row))
    for name, rows in fold.rows.items():
        for key, known in rows.items():
            if known.value and key not in there.get(name, ()):
                yield Difference(ALL[name], key, known)


def _differing(known: Row | str, row: Row | str) -> tuple[str, ...]:
    if isinstance(known, str) or isinstance(row, str):
        return ("its observations",)
    return tuple(name for name in row if row[name] != known[name])


def repair(connection: Connection, found: Iterable[Difference]) -> list[str]:
    """Write the rows of the log into the tables, in the caller's transaction and without triggers; return what changed.

    Rows that the log does not have go first: they may hold the place of one that it has.

    Raises ValueError at observations, of which the log has only a digest.
    """
    said = []
    for each in sorted(found, key=lambda each: each.known is not None and each.known.value is not None):
        if each.table is OBSERVATIONS:
            raise ValueError(f"{each.sentence} The log holds only a digest of them: restore the file from a backup.")
        said.append(each.sentence)
        value = each.known.value if each.known is not None else None
        row = value if isinstance(value, dict) else None
        deciding.put(connection, each.table, json.loads(each.key), row, each.columns)
    return said
