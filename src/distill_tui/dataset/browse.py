"""Filter a data set's open rows over Arrow columns. Held-out rows are only counted; `row open` opens one, audited."""

from __future__ import annotations

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
from distill_tui.terms import Split

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
    """The open rows of one data set."""

    def __init__(self, path: Path) -> None:
        self.labels = frozen.labels_of(path)  # raises BadInput for any other file
        self.task = tasks.of(frozen.task_of(path))
        whole = pq.read_table(path, columns=list(frozen.COLUMNS), memory_map=True)
        sealed = pc.equal(whole.column("split"), str(Split.HELD_OUT))
        self.sealed: int = pc.sum(sealed).as_py() or 0
        self.table = whole.filter(pc.invert(sealed)).combine_chunks()
        self.confidence = _confidence(self.table.column("teacher_probabilities"), several=self.task.several)
        self._near: NDArray[np.bool_] | None = None
        self._differ: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def find(self, wanted: Filter) -> NDArray[np.int64]:
        """Return the positions of the wanted rows, in order."""
        mask = np.ones(len(self), dtype=bool)
        known = pc.coalesce(self.table.column("gold"), self.table.column("teacher_output"))
        if wanted.label and self.task.several:
            names = (() if text is None else self.task.names_in(text) for text in known.to_pylist())
            mask &= np.fromiter((wanted.label in found for found in names), dtype=bool, count=len(self))
        elif wanted.label:
            mask &= _true(pc.equal(known, wanted.label))
        if wanted.segment:
            mask &= _true(pc.equal(self._column("segment"), wanted.segment))
        if wanted.split:
            mask &= _true(pc.equal(self._column("split"), wanted.split))
        if wanted.search:
            mask &= _true(pc.match_substring(self._column("input"), wanted.search, ignore_case=True))
        with np.errstate(invalid="ignore"):  # NaN, of a row without probabilities, is neither below nor above
            if wanted.below is not None:
                mask &= self.confidence < wanted.below
            if wanted.above is not None:
                mask &= self.confidence >= wanted.above
        if wanted.conflicts == "teacher":
            mask &= self._apart()
        elif wanted.conflicts == "near":
            mask &= self._clashing()
        return np.flatnonzero(mask)

    def at(self, place: int) -> dict[str, Any]:
        """Return one row, with the teacher's confidence, and whether gold and teacher differ."""
        row: dict[str, Any] = self.table.slice(place, 1).to_pylist()[0]
        confidence = float(self.confidence[place])
        known = None if np.isnan(confidence) else confidence
        gold, teacher = row["gold"], row["teacher_output"]
        differs = self.task.differ
        return row | {"confidence": known, "conflict": None not in (gold, teacher) and differs(gold, teacher)}

    def values(self, column: str) -> list[str]:
        """List the values of a column, the most frequent first."""
        counted = pc.value_counts(self._column(column)).to_pylist()
        found = sorted(counted, key=lambda each: (-each["counts"], str(each["values"])))
        return [each["values"] for each in found if each["values"] is not None]

    def _column(self, name: str) -> Any:
        return self.table.column(name)

    def _apart(self) -> NDArray[np.bool_]:
        """Find the rows whose teacher differs from gold, as the task compares answers."""
        if self._differ is None:
            gold, teacher = self._column("gold"), self._column("teacher_output")
            self._differ = _true(pc.not_equal(gold, teacher))
            differ = self.task.differ
            for place in np.flatnonzero(self._differ):
                self._differ[place] = differ(gold[int(place)].as_py(), teacher[int(place)].as_py())
        return self._differ

    def _clashing(self) -> NDArray[np.bool_]:
        """Find the rows whose near duplicates have another gold label."""
        if self._near is None:
            clusters, conflicts = label_conflicts(self._column("input").to_pylist(), self._column("gold").to_pylist())
            self._near = np.isin(clusters, list(conflicts))
        return self._near


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
