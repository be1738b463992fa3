"""Counts of a data set by split, segment and label. Builders may see them, held-out rows included; no row is quoted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from distill_tui import tasks
from distill_tui.dataset import frozen
from distill_tui.dataset.counted import Usable
from distill_tui.gates.gate import ALL, Gate
from distill_tui.gates.usable import Need, SegmentRows, need_of, total, usable
from distill_tui.rules.results import Cell, Finding
from distill_tui.tasks.definition import Definition
from distill_tui.tasks.label_map import MOST_UNMATCHED, SHOWN, LabelMap
from distill_tui.terms import FindingLevel, Metric, Split


@dataclass(frozen=True)
class Counts:
    """The counts of a data set."""

    cells: tuple[Cell, ...]  # by split, then segment, then label; of texts and sets one cell for all gold
    groups: int
    tally: Mapping[str, int]  # rows, without_teacher, without_gold, and the fields of `build.Tally`
    findings: tuple[Finding, ...]  # about rows left out, and what stands for no label
    usable: tuple[SegmentRows, ...]  # of the held-out rows
    trained: tuple[str, ...]  # the labels that occur among the training rows

    def of(self, split: Split) -> int:
        """Return the rows of a split."""
        return sum(cell.rows for cell in self.cells if cell.split is split)


GIVEN = "(gold)"  # the label of a cell that counts gold texts of a generation task


def count(path: Path, gate: Gate) -> Counts:
    """Count the rows of a data set. Raises BadInput."""
    labels, task = frozen.labels_of(path), tasks.of(frozen.task_of(path))
    rows = silent = without_gold = 0
    cells, answers, usable, trained = Counter[tuple[str, str, str | None]](), Counter[str](), Usable(), set[str]()
    for table in frozen.tables(path, _COLUMNS):
        rows += table.num_rows
        without_gold += table["gold"].null_count
        silent += pc.sum(
            pc.and_(pc.is_null(table["teacher_output"]), pc.is_null(table["teacher_probabilities"]))
        ).as_py()
        cells.update(_cells(table, labels, task))
        _add_usable(table, usable)
        if labels:
            answers.update(table["teacher_output"].drop_null().to_pylist())
            _add_trained(table, trained)
    order = list(Split)
    found = sorted(
        (Cell(Split(split), label, segment, count) for (split, segment, label), count in cells.items()),
        key=lambda cell: (order.index(cell.split), cell.segment, cell.label or ""),
    )
    tally = {"rows": rows, "without_teacher": silent, "without_gold": without_gold, **frozen.tally_of(path)}
    segments = usable.segments()
    findings = [*_unmatched(path, answers, tally), *_short(gate, segments), *_bounded(gate, segments, tally)]
    findings += _findings(tally)
    return Counts(
        cells=tuple(found),
        groups=frozen.groups_in(path),
        tally=tally,
        findings=tuple(findings),
        usable=segments,
        trained=_labels_in(trained, labels, task),
    )


_COLUMNS = ("split", "segment", "gold", "teacher_output", "teacher_probabilities")


def _cells(table: pa.Table, labels: Sequence[str], task: Definition) -> Counter[tuple[str, str, str | None]]:
    """Count rows by split, segment and label."""
    gold = table["gold"] if task.one_label else pc.if_else(pc.is_valid(table["gold"]), GIVEN, None).cast("string")
    columns = table.select(["split", "segment"]).append_column("gold", gold)
    counted: Counter[tuple[str, str, str | None]] = Counter()
    for each in columns.group_by(["split", "segment", "gold"]).aggregate([([], "count_all")]).to_pylist():
        label = task.cell_label(each["gold"], labels) if task.one_label else each["gold"]
        counted[each["split"], each["segment"], label] += each["count_all"]
    return counted


def _add_usable(table: pa.Table, found: Usable) -> None:
    """Count what the held-out rows have, by segment."""
    rows = table.filter(pc.equal(table["split"], str(Split.HELD_OUT)))
    has = [pc.is_valid(rows[name]).to_pylist() for name in ("gold", "teacher_output", "teacher_probabilities")]
    for segment, gold, said, soft in zip(rows["segment"].to_pylist(), *has, strict=True):
        found.add(segment, gold=gold, teacher=said or soft, soft=soft)


def _add_trained(table: pa.Table, answers: set[str]) -> None:
    """Add the answers of the training rows, of gold and of the teacher."""
    rows = table.filter(pc.equal(table["split"], str(Split.TRAIN)))
    for name in ("gold", "teacher_output"):
        answers.update(pc.unique(rows[name].drop_null()).to_pylist())


def _labels_in(answers: set[str], labels: Sequence[str], task: Definition) -> tuple[str, ...]:
    """Return the labels that occur in answers."""
    named = LabelMap(tuple(labels))
    answers = {task.label_of(named, each) or each for each in answers} if task.one_label else answers
    there = {name for answer in answers for name in task.names_in(answer)}
    return tuple(label for label in labels if label in there)


def _unmatched(path: Path, answers: Counter[str], tally: Mapping[str, int]) -> Iterator[Finding]:
    """Report gold and answers that stand for none of the labels; more than a few are accepted by name."""
    task, known = tasks.of(frozen.task_of(path)), {*frozen.labels_of(path)}
    strange = {name: count for name, count in answers.items() if not known.issuperset(task.names_in(name))}
    gold = tally["rows"] - tally["without_gold"] + tally["unknown_gold"]
    for kind, rows, of, names, sentence in (
        ("gold", tally["unknown_gold"], gold, frozen.unmatched_gold(path),
         "gold labels stand for none of the task's labels, so these rows have no gold"),
        ("answer", tally["unknown_outputs"], tally["rows"] - tally["without_teacher"], strange,
         "answers of the teacher stand for none of the task's labels, and count as wrong"),
    ):  # fmt: skip
        if rows:
            most = sorted(names.items(), key=lambda each: (-each[1], each[0]))
            told = ", ".join(f"“{name[:40]}” ({count:,})" for name, count in most[:SHOWN])
            more = f" and {len(most) - SHOWN:,} more" if len(most) > SHOWN else ""
            level = FindingLevel.MUST if rows > MOST_UNMATCHED * of else FindingLevel.NOTE
            says = f"{rows:,} of {of:,} {sentence}: {told}{more}. `labels` shows them and matches them."
            yield Finding.of(kind, level, "unknown", says)


def _short(gate: Gate, found: Sequence[SegmentRows]) -> Iterator[Finding]:
    """Report the criteria that can use fewer rows than the gate promised."""
    promised, there = gate.held_out_rows, total(found)
    for need in dict.fromkeys(need_of(each) for each in gate.criteria if need_of(each) is not Need.NOTHING):
        asked = [each for each in gate.criteria if need_of(each) is need]
        rows = usable(found, asked[0], ALL)
        if rows < min(promised, there):
            counts = any(each.counts for each in asked)
            level = (
                FindingLevel.MUST
                if counts and rows < (1 - MOST_UNMATCHED) * min(promised, there)
                else FindingLevel.NOTE
            )
            words = ", ".join(dict.fromkeys(each.words for each in asked))
            yield Finding.of(
                "ungraded", level, need.value,
                f"Only {rows:,} of the {there:,} held-out rows have {need.words}, and the gate promised {promised:,} "
                f"rows to judge by: {words}.",
            )  # fmt: skip


def _bounded(gate: Gate, found: Sequence[SegmentRows], tally: Mapping[str, int]) -> Iterator[Finding]:
    """Report accuracy that can only be bounded, because the rows with gold are in the other splits."""
    elsewhere = tally["rows"] - tally["without_gold"]
    compared = [each for each in gate.criteria if each.metric is Metric.ACCURACY and need_of(each) is Need.BOTH]
    if elsewhere and compared and total(found) and not total(found, Need.GOLD):
        level = FindingLevel.MUST if any(each.counts for each in compared) else FindingLevel.NOTE
        yield Finding.of(
            "ungraded", level, "bounded",
            f"None of the {total(found):,} held-out rows has gold, and {elsewhere:,} other rows have: accuracy is not "
            "measured, only bounded by how often student and teacher differ.",
        )  # fmt: skip


def _findings(tally: Mapping[str, int]) -> Iterator[Finding]:
    have, were = ("row has", "rows have"), ("row was", "rows were")
    for kind, about, rows, sentence, one, many in (
        ("silent", "teacher", tally["without_teacher"], "{} no teacher output. Label before training.", *have),
        ("gold", "ties", tally["gold_ties"], "{} a tie between gold labels; the label was dropped.", *have),
        ("answer", "contradicts", tally.get("contradictions", 0),
         "{} probabilities that contradict the teacher's answer; the answer counts.", *have),
        ("answer", "partial", tally.get("partial_probabilities", 0),
         "{} probabilities of some labels only; they are not used.", *have),
        ("close", "held_out", tally["contaminated"], "{} left out: too close to held-out rows.", *were),
        ("period", "held_out", tally["straddling"], "{} left out: in the held-out period.", *were),
    ):  # fmt: skip
        if rows:
            says = sentence.format(f"{rows:,} {one if rows == 1 else many}")
            yield Finding.of(kind, FindingLevel.NOTE, about, says)
