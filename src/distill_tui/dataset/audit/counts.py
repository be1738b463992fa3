"""Counts of a data set by split, segment and label. Builders may see them, held-out rows included; no row is quoted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from distill_tui.dataset import frozen
from distill_tui.rules.results import Cell, Finding
from distill_tui.terms import FindingLevel, Split


@dataclass(frozen=True)
class Counts:
    """The counts of a data set."""

    cells: tuple[Cell, ...]  # by split, then segment, then label; for a generation task one cell for all gold texts
    groups: int
    tally: Mapping[str, int]  # rows, without_teacher, without_gold, and the fields of `build.Tally`
    findings: tuple[Finding, ...]  # about rows left out and labels dropped

    def of(self, split: Split) -> int:
        """Return the rows of a split."""
        return sum(cell.rows for cell in self.cells if cell.split is split)


GIVEN = "(gold)"  # the label of a cell that counts gold texts of a generation task


def count(path: Path) -> Counts:
    """Count the rows of a data set. Raises BadInput."""
    labels = frozen.labels_of(path)
    table = pq.read_table(
        path, columns=["split", "segment", "gold", "group", "teacher_output", "teacher_probabilities"]
    )
    gold = table["gold"] if labels else pc.if_else(pc.is_valid(table["gold"]), GIVEN, None)
    cells = table.select(["split", "segment"]).append_column("label", gold.cast("string"))
    counted = cells.group_by(["split", "segment", "label"]).aggregate([([], "count_all")]).to_pylist()
    order = list(Split)
    found = sorted(
        (Cell(Split(each["split"]), each["label"], each["segment"], each["count_all"]) for each in counted),
        key=lambda cell: (order.index(cell.split), cell.segment, cell.label or ""),
    )
    silent = pc.and_(pc.is_null(table["teacher_output"]), pc.is_null(table["teacher_probabilities"]))
    tally = {
        "rows": table.num_rows,
        "without_teacher": pc.sum(silent).as_py() or 0,
        "without_gold": table["gold"].null_count,
        **frozen.tally_of(path),
    }
    groups = pc.count_distinct(table["group"]).as_py()
    return Counts(tuple(found), groups, tally, tuple(_findings(found, tally)))


def _findings(cells: Sequence[Cell], tally: Mapping[str, int]) -> Iterator[Finding]:
    ungraded = sum(cell.rows for cell in cells if cell.split is Split.HELD_OUT and cell.label is None)
    have, were = ("row has", "rows have"), ("row was", "rows were")
    for kind, about, rows, sentence, one, many in (
        ("ungraded", "held_out", ungraded, "{} no gold label: only agreement with the teacher can be measured there.",
         "held-out row has", "held-out rows have"),
        ("silent", "teacher", tally["without_teacher"], "{} no teacher output. Label before training.", *have),
        ("gold", "ties", tally["gold_ties"], "{} a tie between gold labels; the label was dropped.", *have),
        ("gold", "unknown", tally["unknown_gold"], "{} a gold label that the task does not have.", *have),
        ("answer", "unknown", tally["unknown_outputs"], "{} a teacher output that is not a label.", *have),
        ("close", "held_out", tally["contaminated"], "{} left out: too close to held-out rows.", *were),
        ("period", "held_out", tally["straddling"], "{} left out: in the held-out period.", *were),
    ):  # fmt: skip
        if rows:
            says = sentence.format(f"{rows:,} {one if rows == 1 else many}")
            yield Finding.of(kind, FindingLevel.NOTE, about, says)
