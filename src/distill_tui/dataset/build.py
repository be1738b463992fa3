"""Build a data set from imported traffic: apply the window, merge equal inputs, attach the teacher, split, write.

The same traffic gives the same data set, whatever the order of its files and rows. All distinct rows are held in
memory.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distill_tui.dataset import frozen, traffic
from distill_tui.dataset.progress import Progress, no_progress
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.split import Candidate, LeftOut, SplitRule, assign, most_common
from distill_tui.terms import Split

EVERYTHING = "all"  # the segment of a row without one
MOST_LABELS = 100  # that are guessed from traffic
GROUP = 20_000  # rows in a row group of the file
NEEDED = ("input_digest", "input", "teacher_output", "teacher_probabilities", "gold", "segment", "group", "time")


@dataclass(frozen=True, slots=True)
class TeacherOutput:
    """The teacher's output for one input: an answer, probabilities (by label, or in the order of labels), or both."""

    output: str | None = None
    probabilities: Mapping[str, float] | Sequence[float] | None = None


@dataclass(frozen=True)
class Tally:
    """How many rows were read, merged and left out."""

    rows_read: int = 0
    outside_window: int = 0  # rows as read
    duplicates_merged: int = 0  # rows as read that were merged into another
    gold_conflicts: int = 0  # distinct rows with more than one gold label
    gold_ties: int = 0  # of them, those without a majority: their gold is dropped
    unknown_gold: int = 0  # distinct rows whose gold is none of the labels: dropped
    unknown_outputs: int = 0  # distinct rows whose teacher answers with none of the labels: dropped
    contaminated: int = 0  # distinct rows left out because they belong with held-out rows
    straddling: int = 0  # distinct rows left out because they fall in the held-out period


@dataclass(frozen=True, slots=True)
class Row:
    """One distinct example, as the file stores it."""

    row: int
    input_digest: str
    input: str
    gold: str | None
    segment: str
    group: str | None
    split: Split
    weight: float  # how often the input came; in training times the factor of its cell
    teacher_output: str | None
    teacher_probabilities: tuple[float, ...] | None  # in the order of the labels; they sum to 1

    @property
    def compared(self) -> tuple[str, str] | None:
        """Gold and the teacher's output, where an open row has both."""
        if self.split is Split.HELD_OUT or self.gold is None or self.teacher_output is None:
            return None
        return self.gold, self.teacher_output


@dataclass(frozen=True)
class DataSet:
    """A data set before it is written."""

    labels: tuple[str, ...]  # empty for a generation task
    rows: tuple[Row, ...]
    tally: Tally
    since: tuple[str | None, ...] = ()  # when each row first came (ISO 8601, UTC); not written


@dataclass(slots=True)
class _Merged:
    """All rows of one normalised input. Every choice among them depends on the rows and not on their order."""

    digest: str
    input: str
    seen: dict[tuple[str | None, str, str | None], int] = field(default_factory=dict)  # (gold, segment, group): rows
    since: str | None = None
    answer: tuple[str, str, str] = ("", "", "")  # time, probabilities as JSON, output: the latest counts

    @property
    def golds(self) -> Counter[str]:
        votes: Counter[str] = Counter()
        for (gold, _, _), rows in self.seen.items():
            if gold is not None:
                votes[gold] += rows
        return votes

    @property
    def groups(self) -> set[str]:
        return {group for _, _, group in self.seen if group is not None}

    def add(self, row: Mapping[str, Any]) -> None:
        self.input = min(self.input, row["input"])
        gold, output = row["gold"], row["teacher_output"] or ""
        key = (gold and sys.intern(gold), sys.intern(row["segment"] or EVERYTHING), row["group"])
        self.seen[key] = self.seen.get(key, 0) + 1
        if row["time"] is not None:
            self.since = min(row["time"], self.since or row["time"])
        answer = (row["time"] or "", row["teacher_probabilities"] or "", sys.intern(output))
        if answer[1:] != ("", ""):
            self.answer = max(answer, self.answer)

    def candidate(self) -> Candidate:
        segments: Counter[str] = Counter()
        for (_, segment, _), rows in self.seen.items():
            segments[segment] += rows
        return Candidate(self.digest, self.input, most_common(segments), tuple(sorted(self.groups)), self.since)

    def recorded(self) -> TeacherOutput:
        _, probabilities, output = self.answer
        return TeacherOutput(output or None, json.loads(probabilities) if probabilities else None)


def build(
    traffic_files: Sequence[Path],
    outputs: Mapping[str, TeacherOutput],
    rule: SplitRule,
    labels: Sequence[str] | None = None,
    *,
    keep: Mapping[str, Split] | None = None,
    progress: Progress = no_progress,
) -> DataSet:
    """Build a data set from imported traffic. Raises BadInput.

    `outputs` holds the teacher's answers by input digest; they replace what the traffic recorded. `labels` is the
    task's list (None: taken from gold and probabilities; empty: a generation task). `keep` holds the splits of the
    round before by input digest (`frozen.splits_of`).
    """
    if problem := rule.problem():
        raise BadInput(problem)
    kept = keep or {}
    merged, tally = _merge(traffic_files, rule, kept, progress)
    named = tuple(labels) if labels is not None else _guessed_labels(merged, outputs)
    candidates = [one.candidate() for one in merged]
    places = assign(candidates, rule, kept, progress)
    counted = Counter(places)
    if not counted[Split.TRAIN]:
        raise BadInput("No row is left to train on. Import more traffic, or ask for fewer held-out rows.")
    order = [at for split in Split for at, place in enumerate(places) if place is split]  # by split, then by digest
    rows: list[Row] = []
    lost: Counter[str] = Counter()
    for at in order:
        one = merged[at]
        output = outputs.get(one.digest) or one.recorded()
        rows.append(_row(len(rows), one, candidates[at].segment, Split(places[at]), output, named, lost))
    tally = replace(
        tally,
        unknown_gold=lost["gold"],
        unknown_outputs=lost["output"],
        contaminated=counted[LeftOut.CONTAMINATED],
        straddling=counted[LeftOut.STRADDLING],
    )
    return DataSet(named, tuple(rows), tally, tuple(merged[at].since for at in order))


def write(dataset: DataSet, out: Path) -> str:
    """Write a data set, whole or not at all, and return its digest (`frozen.content_digest`)."""
    about = {"labels": json.dumps(dataset.labels, ensure_ascii=False), "tally": json.dumps(asdict(dataset.tally))}
    schema = frozen.SCHEMA.with_metadata(about)
    with traffic.replacing(out) as draft:
        with pq.ParquetWriter(draft, schema, **traffic.WRITING) as writer:
            for start in range(0, len(dataset.rows), GROUP):
                rows = dataset.rows[start : start + GROUP]
                columns = {name: [getattr(row, name) for row in rows] for name in frozen.COLUMNS}
                writer.write_table(pa.Table.from_pydict(columns, schema), row_group_size=GROUP)
        return frozen.content_digest(draft)


def _merge(
    files: Sequence[Path], rule: SplitRule, keep: Mapping[str, Split], progress: Progress
) -> tuple[list[_Merged], Tally]:
    """Merge equal inputs; held-out rows of the round before count as in the window."""
    held_out = {digest for digest, split in keep.items() if split is Split.HELD_OUT}
    merged: dict[str, _Merged] = {}
    read = outside = 0
    for row in traffic.rows(files, NEEDED, progress):
        read += 1
        digest = row["input_digest"]
        if digest not in held_out and not rule.in_window(row["time"]):
            outside += 1
            continue
        merged.setdefault(digest, _Merged(digest, row["input"])).add(row)
    missing = len(held_out - merged.keys())
    if missing:
        raise BadInput(f"{missing:,} held-out rows of the round before are not in the traffic. Give its files as well.")
    if not merged:
        raise BadInput(f"None of the {read:,} rows of traffic is in the window. Widen it, or import more traffic.")
    distinct = [merged[digest] for digest in sorted(merged)]
    conflicts = [one.golds for one in distinct if len(one.golds) > 1]
    return distinct, Tally(
        rows_read=read,
        outside_window=outside,
        duplicates_merged=read - outside - len(distinct),
        gold_conflicts=len(conflicts),
        gold_ties=sum(_majority(golds) is None for golds in conflicts),
    )


def _majority(golds: Counter[str]) -> str | None:
    """Return the gold label of most rows; None where two labels have equally many."""
    ranked = golds.most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def _guessed_labels(merged: Sequence[_Merged], outputs: Mapping[str, TeacherOutput]) -> tuple[str, ...]:
    """Return the labels of gold and of named probabilities; where there are none, the teacher's answers."""
    named: set[str] = set()
    answers: set[str] = set()
    for one in merged:
        teacher = outputs.get(one.digest) or one.recorded()
        named.update(one.golds, teacher.probabilities if isinstance(teacher.probabilities, Mapping) else ())
        if teacher.output is not None:
            answers.add(teacher.output)
    found = named or answers
    if len(found) > MOST_LABELS:
        raise BadInput(
            f"The traffic has {len(found):,} different labels. Give the task's labels, or an empty list for a"
            " generation task."
        )
    return tuple(sorted(found))


def _row(
    number: int,
    one: _Merged,
    segment: str,
    split: Split,
    teacher: TeacherOutput,
    labels: tuple[str, ...],
    lost: Counter[str],
) -> Row:
    """Settle one row; counts what the task's labels do not have in `lost`, under "gold" and "output"."""
    gold, output, probabilities = _majority(one.golds), teacher.output, None
    if labels:
        if gold is not None and gold not in labels:
            gold, lost["gold"] = None, lost["gold"] + 1
        output, probabilities, unknown = _in_labels(teacher, labels)
        lost["output"] += unknown
    return Row(
        row=number,
        input_digest=one.digest,
        input=one.input,
        gold=gold,
        segment=segment,
        group=min(one.groups, default=None),
        split=split,
        weight=float(sum(one.seen.values())),
        teacher_output=output,
        teacher_probabilities=probabilities,
    )


def _in_labels(teacher: TeacherOutput, labels: tuple[str, ...]) -> tuple[str | None, tuple[float, ...] | None, bool]:
    """Return the teacher's label, its probabilities in the order of the labels, and whether it named another label."""
    shares = teacher.probabilities
    unknown = teacher.output is not None and teacher.output not in labels
    if isinstance(shares, Mapping):
        if shares.keys() <= set(labels):
            shares = [shares.get(label, 0.0) for label in labels]
        else:
            shares, unknown = None, True
    output = teacher.output if teacher.output in labels else None
    if shares is None:
        return output, None, unknown
    if len(shares) != len(labels):
        raise BadInput(
            f"The teacher's probabilities are lists of {len(shares)}, and the task has {len(labels)} labels. Give the"
            " labels in the order of the lists."
        )
    total = math.fsum(shares)
    probabilities = tuple(share / total for share in shares)
    return output or labels[probabilities.index(max(probabilities))], probabilities, unknown
