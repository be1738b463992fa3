"""Filter a data set's open rows, batch by batch. Held-out rows are only counted; `row open` opens one, audited."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from distill_tui import tasks
from distill_tui.dataset import frozen
from distill_tui.dataset.duplicates import label_conflicts
from distill_tui.dataset.records import BadInput
from distill_tui.terms import Split

KEPT = 10  # row groups, of 20,000 rows each, that stay in memory
CONFLICTS = ("teacher", "near")  # the teacher differs from gold; a near duplicate has another gold label


@dataclass(frozen=True)
class Filter:
    """A filter; empty fields do not filter."""

    label: str = ""  # gold, or the teacher's where there is none; of sets, a label in it
    segment: str = ""
    split: str = ""
    search: str = ""  # anywhere in the input, in any case
    below: float | None = None  # the teacher's confidence: its highest probability
    above: float | None = None
    conflicts: str = ""  # one of CONFLICTS

    def problem(self) -> str:
        """Return why the filter is impossible, or an empty string."""
        if self.split == Split.HELD_OUT:
            return "Held-out rows are sealed. `row open` shows one and logs it."
        if self.split and self.split not in list(Split):
            return f"Unknown split “{self.split}”. Use train or validation."
        if self.conflicts and self.conflicts not in CONFLICTS:
            return f"Unknown conflict “{self.conflicts}”. Use {' or '.join(CONFLICTS)}."
        for name, share in (("below", self.below), ("above", self.above)):
            if share is not None and not 0 <= share <= 1:
                return f"“{name}” is {share:g}. Give a share from 0 to 1."
        return ""


class OpenRows:
    """The open rows of one data set, read when they are asked for. They come before the held-out rows in the file."""

    def __init__(self, path: Path) -> None:
        self.labels = frozen.labels_of(path)  # raises BadInput for any other file
        self.task = tasks.of(frozen.task_of(path))
        self._path, self._file = path, pq.ParquetFile(path)
        about = self._file.metadata
        sizes = [about.row_group(at).num_rows for at in range(about.num_row_groups)]
        self._ends = np.cumsum(sizes, dtype=np.int64)
        self.sealed = sum(self._sealed(at) for at in range(len(sizes)))
        self._count = int(about.num_rows) - self.sealed
        self._groups: OrderedDict[int, pa.Table] = OrderedDict()  # those that were read last
        self._near: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return self._count

    def find(self, wanted: Filter) -> NDArray[np.int64]:
        """Return the positions of the wanted rows, in order."""
        if wanted == Filter():
            return np.arange(len(self))
        near = wanted.conflicts == "near"
        found = [self._mask(table, wanted) for table in self._tables(self._columns(wanted))]
        mask = np.concatenate(found) if found else np.empty(0, np.bool_)
        return np.flatnonzero(mask & self._clashing() if near else mask)

    def at(self, place: int) -> dict[str, Any]:
        """Return one row, with the teacher's confidence, and whether gold and teacher differ."""
        group = int(np.searchsorted(self._ends, place, side="right"))
        if group not in self._groups:
            self._groups[group] = self._file.read_row_group(group, list(frozen.COLUMNS))
            if len(self._groups) > KEPT:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        table = self._groups[group]
        row: dict[str, Any] = table.slice(place - int(self._ends[group]) + len(table), 1).to_pylist()[0]
        if row["split"] == Split.HELD_OUT:
            raise BadInput(f"Row {place:,} is held out, and sealed.")
        shares = pa.array([row["teacher_probabilities"]], frozen.SCHEMA.field("teacher_probabilities").type)
        confidence = float(_confidence(shares, several=self.task.several)[0])
        known = None if np.isnan(confidence) else confidence
        gold, teacher = row["gold"], row["teacher_output"]
        differs = self.task.differ
        return row | {"confidence": known, "conflict": None not in (gold, teacher) and differs(gold, teacher)}

    def values(self, column: str) -> list[str]:
        """List the values of a column, the most frequent first."""
        counted: Counter[str] = Counter()
        for table in self._tables([column]):
            for each in pc.value_counts(table[column].drop_null()).to_pylist():
                counted[each["values"]] += each["counts"]
        return sorted(counted, key=lambda value: (-counted[value], value))

    def _sealed(self, group: int) -> int:
        """Count the held-out rows of a row group; its statistics show it where all rows are of one split."""
        about = self._file.metadata.row_group(group)
        known = about.column(frozen.COLUMNS.index("split")).statistics
        if known is not None and known.has_min_max and known.min == known.max:
            return int(about.num_rows) if known.min == Split.HELD_OUT else 0
        splits = self._file.read_row_group(group, ["split"])["split"]
        return int(pc.sum(pc.equal(splits, str(Split.HELD_OUT))).as_py() or 0)

    def _tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        left = len(self)
        for table in frozen.tables(self._path, columns):
            if not left:
                return
            table = table.slice(0, left)
            left -= len(table)
            yield table

    def _columns(self, wanted: Filter) -> list[str]:
        shares = wanted.below is not None or wanted.above is not None
        answers = bool(wanted.label or wanted.conflicts == "teacher")
        needed = {"gold": answers, "teacher_output": answers, "segment": wanted.segment, "input": wanted.search}
        return ["split", *(name for name, used in needed.items() if used), *(["teacher_probabilities"] * shares)]

    def _mask(self, table: pa.Table, wanted: Filter) -> NDArray[np.bool_]:
        """Mark the wanted rows of a table, apart from near duplicates."""
        mask = ~_true(pc.equal(table["split"], str(Split.HELD_OUT)))
        if wanted.label:
            known = pc.coalesce(table["gold"], table["teacher_output"])
            if self.task.several:
                names = (() if text is None else self.task.names_in(text) for text in known.to_pylist())
                mask &= np.fromiter((wanted.label in found for found in names), dtype=bool, count=len(table))
            else:
                mask &= _true(pc.equal(known, wanted.label))
        if wanted.segment:
            mask &= _true(pc.equal(table["segment"], wanted.segment))
        if wanted.split:
            mask &= _true(pc.equal(table["split"], wanted.split))
        if wanted.search:
            mask &= _true(pc.match_substring(table["input"], wanted.search, ignore_case=True))
        if wanted.below is not None or wanted.above is not None:
            confidence = _confidence(table["teacher_probabilities"], several=self.task.several)
            with np.errstate(invalid="ignore"):  # NaN, of a row without probabilities, is neither below nor above
                mask &= confidence < (np.inf if wanted.below is None else wanted.below)
                mask &= confidence >= (-np.inf if wanted.above is None else wanted.above)
        if wanted.conflicts == "teacher":
            mask &= self._apart(table)
        return mask

    def _apart(self, table: pa.Table) -> NDArray[np.bool_]:
        """Mark the rows whose teacher differs from gold, as the task compares answers."""
        gold, teacher, differ = table["gold"], table["teacher_output"], self.task.differ
        found = _true(pc.not_equal(gold, teacher))
        for place in np.flatnonzero(found):
            found[place] = differ(gold[int(place)].as_py(), teacher[int(place)].as_py())
        return found

    def _clashing(self) -> NDArray[np.bool_]:
        """Mark the rows whose near duplicates have another gold label."""
        if self._near is None:
            golds = (gold for table in self._tables(["gold"]) for gold in table["gold"].to_pylist())
            clusters, conflicts = label_conflicts(_Inputs(self), golds)
            self._near = np.isin(clusters, conflicts)
        return self._near


@dataclass(frozen=True)
class _Inputs:
    """The inputs of open rows, read when they are asked for."""

    rows: OpenRows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[str]:
        for table in self.rows._tables(["input"]):
            yield from table["input"].to_pylist()


def _true(mask: Any) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return found


def _confidence(column: Any, *, several: bool) -> NDArray[np.float64]:
    """Return the highest probability of each row, NaN where it has none; of sets, that of the least sure label."""
    lists = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    confidence = np.full(len(lists), np.nan)
    there = np.flatnonzero(lists.is_valid().to_numpy(zero_copy_only=False))
    if len(there):
        flat = lists.flatten().to_numpy(zero_copy_only=False)
        shares = flat.reshape(len(there), -1)
        confidence[there] = np.maximum(shares, 1 - shares).min(axis=1) if several else shares.max(axis=1)
    return confidence
