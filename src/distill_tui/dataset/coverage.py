"""What a data set covers, in counts: what builders may know of it, held-out rows included. It quotes no row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from distill_tui.dataset import frozen
from distill_tui.rules.results import Cell, Finding
from distill_tui.terms import FindingLevel, Split


@dataclass(frozen=True)
class Counts:
    """The counts of a data set."""

    rows: int
    cells: tuple[Cell, ...]  # by split, then segment, then label; for a generation task one cell for all gold texts
    groups: int
    without_teacher: int  # rows with neither an answer nor probabilities of the teacher
    without_gold: int
    rows_read: int
    outside_window: int
    duplicates_merged: int
    gold_conflicts: int
    gold_ties: int
    unknown_gold: int
    unknown_outputs: int
    contaminated: int
    straddling: int
    findings: tuple[Finding, ...]  # what the build left out or lost; how the rows cover the traffic is `audit`'s

    def of(self, split: Split, segment: str | None = None) -> int:
        """Give the rows of a split, or of one segment of it."""
        return sum(cell.rows for cell in self.cells if cell.split is split and segment in (None, cell.segment))


GIVEN = "(gold)"  # the label of a cell that counts gold texts of a generation task


def counts(path: Path) -> Counts:
    """Count a data set. Raises BadInput where the file is none."""
    labels = frozen.labels_of(path)
    cells: Counter[tuple[Split, str, str | None]] = Counter()
    groups: set[str] = set()
    without_teacher = without_gold = 0
    for row in frozen.stored(path):
        gold = row["gold"]
        cells[Split(row["split"]), row["segment"], gold if labels or gold is None else GIVEN] += 1
        if row["group"] is not None:
            groups.add(row["group"])
        without_teacher += row["teacher_output"] is None and row["teacher_probabilities"] is None
        without_gold += gold is None
    tally = frozen.tally_of(path)
    order = list(Split)
    found = sorted(cells, key=lambda key: (order.index(key[0]), key[1], key[2] or ""))
    return Counts(
        rows=cells.total(),
        cells=tuple(Cell(split, label, segment, cells[split, segment, label]) for split, segment, label in found),
        groups=len(groups),
        without_teacher=without_teacher,
        without_gold=without_gold,
        findings=tuple(_findings(cells, tally, without_teacher)),
        **tally,
    )


def _findings(
    cells: Counter[tuple[Split, str, str | None]], tally: dict[str, int], without_teacher: int
) -> list[Finding]:
    bare = sum(rows for (split, _, gold), rows in cells.items() if split is Split.HELD_OUT and gold is None)
    ungraded = "{} no gold label: only agreement with the teacher can be measured there."
    return [
        *_told("ungraded", bare, ungraded, "held-out row has", "held-out rows have"),
        *_told("silent", without_teacher, "{} no output of the teacher; label before training.", *_HAVE),
        *_told("gold", tally["gold_ties"], "{} as many votes for two gold labels and lost both.", *_HAVE),
        *_told("gold", tally["unknown_gold"], "{} a gold label that is none of the task's.", *_HAVE),
        *_told("answer", tally["unknown_outputs"], "{} a teacher's answer that is none of the labels.", *_HAVE),
        *_told("close", tally["contaminated"], "{} left out: too close to held-out rows.", *_WERE),
        *_told("period", tally["straddling"], "{} left out: they fall in the held-out period.", *_WERE),
    ]


_HAVE, _WERE = ("row has", "rows have"), ("row was", "rows were")


def _told(kind: str, number: int, sentence: str, one: str, many: str) -> list[Finding]:
    says = sentence.format(f"{number:,} {one if number == 1 else many}")
    return [Finding.of(kind, FindingLevel.NOTE, sentence, says)] if number else []
