"""Compare the files of a source: one without a column that the others have, or with labels of its own, is named.

Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

CHANCE = 0.01  # a file has no value, although each row had one as often as in the other files: above it, no doubt
NAMED = 3  # files, or names of labels, in a sentence
MOST_NAMES = 200  # of labels in a file: a column with more holds texts
OFTEN = 5  # rows of a label on average, from which on labels are compared


@dataclass
class FilesCompared:
    """The rows of each file, and of each column how many of them have a value."""

    halves: frozenset[str] = frozenset()  # files whose records complete the rows of others: they have none to compare
    rows: Counter[str] = field(default_factory=Counter)
    filled: dict[str, Counter[str]] = field(default_factory=dict)  # column → file → rows

    names: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)  # column of labels → file → label → rows

    def add(self, file: str, columns: Iterable[str], names: Mapping[str, Iterable[str]]) -> None:
        """Count a row that has values in these columns, and these names in columns of labels."""
        if file in self.halves:
            return
        self.rows[file] += 1
        for name in columns:
            self.filled.setdefault(name, Counter())[file] += 1
        for name, labels in names.items():
            counts = self.names.setdefault(name, {}).setdefault(file, Counter())
            if len(counts) <= MOST_NAMES:
                counts.update(labels)

    def differences(self) -> Mapping[str, str]:
        """Return a sentence for each column that some files lack, and for labels that only one file has."""
        return {**self._lacking(), **self._own_names()}

    def _own_names(self) -> Mapping[str, str]:
        """Return one sentence for each file of two labels and more of which none is in another file."""
        columns: dict[tuple[str, str], list[str]] = {}
        for column, files in self.names.items():
            if any(len(counts) > MOST_NAMES for counts in files.values()):
                continue
            total, named = sum(files.values(), Counter[str]()), 0
            for file, counts in files.items():
                others = total - counts
                if counts.total() > others.total() - bool(named):
                    continue  # the other files are those with names of their own, and are named
                if _often(counts) and _often(others) and not {*map(_plain, counts)} & {*map(_plain, others)}:
                    named += 1
                    whose = f"it has {_quoted(counts)}, they have {_quoted(others)}"
                    columns.setdefault((f"{file} ({counts.total():,} rows)", whose), []).append(
                        column.replace("_", " ")
                    )
        return {
            f"{' and '.join(names)} of {file}": f"{file} shares no {' and no '.join(names)} with the other files: "
            f"{whose}. Check that each is a label of its own, or write one name for one label."
            for (file, whose), names in columns.items()
        }

    def _lacking(self) -> Mapping[str, str]:
        """Return one sentence for the columns that the same files lack and the others have, by these columns."""
        columns: dict[tuple[str, str], list[str]] = {}
        for name, counts in self.filled.items():
            without = self._without(counts)
            if without:
                others = sum(rows for file, rows in self.rows.items() if counts[file])
                have = f"of the other files, {counts.total():,} of {others:,} rows have"
                columns.setdefault((_named(without), have), []).append(name.replace("_", " "))
        return {
            ", ".join(names): f"{files} no {' and no '.join(names)}; {have} {'it' if len(names) == 1 else 'them'}. "
            "Check the names of the columns there."
            for (files, have), names in columns.items()
        }

    def _without(self, counts: Counter[str]) -> dict[str, int]:
        """Return the files without any value of a column, and their rows, where this does not happen by chance."""
        missing = 1 - counts.total() / sum(rows for file, rows in self.rows.items() if counts[file])
        return {file: rows for file, rows in self.rows.items() if not counts[file] and missing**rows < CHANCE}


def _often(counts: Counter[str]) -> bool:
    return len(counts) > 1 and counts.total() >= OFTEN * len(counts)


def _plain(name: str) -> str:
    return name.strip().casefold()


def _quoted(counts: Counter[str]) -> str:
    shown = ", ".join(f"“{name[:40]}”" for name, _ in counts.most_common(NAMED))
    return f"{shown} and {len(counts) - NAMED:,} more" if len(counts) > NAMED else shown


def _named(without: Mapping[str, int]) -> str:
    named = ", ".join(f"{file} (0 of {rows:,} rows)" for file, rows in list(without.items())[:NAMED])
    if len(without) > NAMED:
        named += f" and {len(without) - NAMED:,} more files (0 of {sum(without.values()):,} rows)"
    return f"{named} {'has' if len(without) == 1 else 'have'}"
