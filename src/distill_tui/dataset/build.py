"""Build a data set from imported traffic: apply the window, merge equal inputs, attach the teacher, split, write.

The same traffic gives the same data set, whatever the order of its files and rows. All distinct rows are held in
memory.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distill_tui import tasks
from distill_tui.dataset import frozen, traffic
from distill_tui.dataset.contradictions import Compared, by_label
from distill_tui.dataset.counted import EVERYTHING
from distill_tui.dataset.progress import Progress, no_progress
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.split import Candidate, LeftOut, SplitRule, assign, most_common
from distill_tui.dataset.traces.call_mapping import CallMapping
from distill_tui.gates.gate import ORDERED
from distill_tui.gates.label_sets import LIKELY, likely
from distill_tui.gates.scale import Scale, is_range
from distill_tui.gates.usable import Need
from distill_tui.tasks import multilabel
from distill_tui.tasks.definition import Definition
from distill_tui.tasks.label_map import LabelMap
from distill_tui.terms import Split, Task

MOST_LABELS = 1_000  # that are guessed from traffic
FEW_LABELS = 100  # beyond this, as many labels as half of the answered rows are taken for free text
MOST_UNMATCHED = 100  # names in gold without a label that are listed
GROUP = 20_000  # rows in a row group of the file
NEEDED = ("input_digest", "input", "teacher_output", "teacher_probabilities", "gold", "segment", "group", "time")


Key = tuple[str | None, str, str | None]  # gold, segment, group of a row


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
    unknown_outputs: int = 0  # distinct rows whose teacher answers with none of the labels: they count as wrong
    contradictions: int = 0  # distinct rows whose probabilities contradict the teacher's answer: the answer counts
    partial_probabilities: int = 0  # distinct rows with probabilities of some labels only: they are not used
    contaminated: int = 0  # distinct rows left out because they belong with held-out rows
    straddling: int = 0  # distinct rows left out because they fall in the held-out period
    dropped: int = 0  # rows as read that a person dropped


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

    outside: bool = False  # the teacher's output, kept as it is written, is none of the labels; not written

    @property
    def answer(self) -> str | None:
        """The teacher's output where it counts as an answer: one of the labels, or a text."""
        return None if self.outside else self.teacher_output

    @property
    def compared(self) -> tuple[str, str] | None:
        """Gold and the teacher's output, whatever it is, where an open row has both."""
        if self.split is Split.HELD_OUT or self.gold is None or self.teacher_output is None:
            return None
        return self.gold, self.teacher_output


@dataclass(frozen=True)
class DataSet:
    """A data set before it is written."""

    task: Task
    labels: tuple[str, ...]  # empty where the answers are texts
    rows: tuple[Row, ...]
    tally: Tally
    names: Mapping[str, str] = field(default_factory=dict)  # the label map: as written → label
    unmatched_gold: Mapping[str, int] = field(default_factory=dict)  # names in gold that stand for no label → rows
    since: tuple[str | None, ...] = ()  # when each row first came (ISO 8601, UTC); not written
    lists: str = ORDERED  # how lists in written answers are compared, by the gate


@dataclass(slots=True)
class _Merged:
    """All rows of one normalised input. Every choice among them depends on the rows and not on their order."""

    digest: str
    input: str
    key: Key  # of the first row: there are millions of these objects, and most have one key
    times: int = 0  # rows of this key
    others: dict[Key, int] | None = None  # rows of each other key
    since: str | None = None
    answer: tuple[str, str, str] = ("", "", "")  # time, probabilities as JSON, output: the latest counts

    @property
    def seen(self) -> tuple[tuple[Key, int], ...]:
        """Each (gold, segment, group) with its rows."""
        return (self.key, self.times), *(self.others or {}).items()

    @property
    def golds(self) -> Counter[str]:
        votes: Counter[str] = Counter()
        for (gold, _, _), rows in self.seen:
            if gold is not None:
                votes[gold] += rows
        return votes

    @property
    def groups(self) -> set[str]:
        return {group for (_, _, group), _ in self.seen if group is not None}

    def add(self, row: Mapping[str, Any], key: Key) -> None:
        self.input = min(self.input, row["input"])
        output = row["teacher_output"] or ""
        if key == self.key:
            self.times += 1
        else:
            self.others = self.others or {}
            self.others[key] = self.others.get(key, 0) + 1
        if row["time"] is not None:
            self.since = min(row["time"], self.since or row["time"])
        answer = (row["time"] or "", row["teacher_probabilities"] or "", sys.intern(output))
        if answer[1:] != ("", ""):
            self.answer = max(answer, self.answer)

    def candidate(self, judged: bool) -> Candidate:
        segments: Counter[str] = Counter()
        for (_, segment, _), rows in self.seen:
            segments[segment] += rows
        groups = tuple(sorted(self.groups))
        return Candidate(self.digest, self.input, most_common(segments), groups, self.since, judged)

    def recorded(self) -> TeacherOutput:
        _, probabilities, output = self.answer
        return TeacherOutput(output or None, json.loads(probabilities) if probabilities else None)


def build(
    traffic_files: Sequence[Path],
    outputs: Mapping[str, TeacherOutput],
    rule: SplitRule,
    labels: Sequence[str] | LabelMap | None = None,
    *,
    task: Task = Task.CLASSIFICATION,
    keep: Mapping[str, Split] | None = None,
    without: Collection[str] = (),
    progress: Progress = no_progress,
) -> DataSet:
    """Build a data set from imported traffic. Raises BadInput.

    `outputs` holds the teacher's answers by input digest; they replace what the traffic recorded. `labels` is the
    task's list, or the label map (None: taken from gold and probabilities; empty: the answers are texts). `keep` holds
    the splits of the round before by input digest (`frozen.splits_of`), `without` the digests of dropped rows.
    """
    if problem := rule.problem():
        raise BadInput(problem)
    kept = keep or {}
    names, of = labels.names if isinstance(labels, LabelMap) else {}, tasks.of(task)
    merged, tally = _merge(traffic_files, rule, kept, partial(of.renamed, names), frozenset(without), progress)
    tally = replace(tally, gold_ties=sum(len(one.golds) > 1 and of.settled(one.golds) is None for one in merged))
    named = _label_map(labels, merged, outputs, of)
    judged = _judged(merged, outputs, named, rule.needs, of)
    candidates = [one.candidate(mark) for one, mark in zip(merged, judged, strict=True)]
    places = assign(candidates, rule, kept, progress)
    counted = Counter(places)
    if not counted[Split.TRAIN]:
        raise BadInput("No row is left to train on. Import more traffic, or ask for fewer held-out rows.")
    order = [at for split in Split for at, place in enumerate(places) if place is split]  # by split, then by digest
    rows: list[Row] = []
    lost: Counter[str] = Counter()
    partly = 0
    recorded, computed = Compared(of.several), Compared(of.several)
    for at in order:
        one = merged[at]
        output = outputs.get(one.digest) or one.recorded()
        compared = computed if one.digest in outputs else recorded
        stands = None if output.output is None or not named.labels else of.label_of(named, output.output)
        if compared.add(stands, by_label(output.probabilities, named.labels, named.of)):
            output = replace(output, probabilities=None)
        row = _row(len(rows), one, candidates[at].segment, Split(places[at]), output, named, lost, of)
        partly += output.probabilities is not None and row.teacher_probabilities is None and not row.outside
        rows.append(row)
    recorded.check("the traffic")
    tally = replace(
        tally,
        contradictions=recorded.contradict + computed.contradict,
        unknown_gold=lost.total(),
        unknown_outputs=sum(row.outside for row in rows),
        partial_probabilities=partly,
        contaminated=counted[LeftOut.CONTAMINATED],
        straddling=counted[LeftOut.STRADDLING],
    )
    since = tuple(merged[at].since for at in order)
    return DataSet(task, named.labels, tuple(rows), tally, named.names, dict(lost.most_common(MOST_UNMATCHED)), since)


def write(dataset: DataSet, out: Path, calls: CallMapping | None = None) -> str:
    """Write a data set, whole or not at all, and return its digest (`frozen.content_digest`).

    `calls` made the inputs of logged calls, and is part of the data set.
    """
    about = {
        "task": str(dataset.task),
        "labels": json.dumps(dataset.labels, ensure_ascii=False),
        "names": json.dumps(dataset.names, ensure_ascii=False, sort_keys=True),
        "unmatched_gold": json.dumps(dataset.unmatched_gold, ensure_ascii=False),
        "tally": json.dumps(asdict(dataset.tally)),
    }
    if dataset.lists != ORDERED:
        about["lists"] = dataset.lists
    if calls is not None:
        about["calls"] = calls.to_json()
    schema = frozen.SCHEMA.with_metadata(about)
    with traffic.replacing(out) as draft:
        with pq.ParquetWriter(draft, schema, **traffic.WRITING) as writer:
            for start in range(0, len(dataset.rows), GROUP):
                rows = dataset.rows[start : start + GROUP]
                columns = {name: [getattr(row, name) for row in rows] for name in frozen.COLUMNS}
                writer.write_table(pa.Table.from_pydict(columns, schema), row_group_size=GROUP)
        return frozen.content_digest(draft)


def _merge(
    files: Sequence[Path],
    rule: SplitRule,
    keep: Mapping[str, Split],
    renamed: Callable[[str], str],
    without: frozenset[str],
    progress: Progress,
) -> tuple[list[_Merged], Tally]:
    """Merge equal inputs, their gold by the label map; held-out rows of the round before count as in the window."""
    held_out = {digest for digest, split in keep.items() if split is Split.HELD_OUT}
    merged: dict[str, _Merged] = {}
    keys: dict[Key, Key] = {}  # each is kept once
    read = outside = dropped = 0
    for row in traffic.rows(files, NEEDED, progress):
        read += 1
        digest = row["input_digest"]
        if digest in without:
            dropped += 1
            continue
        if digest not in held_out and not rule.in_window(row["time"]):
            outside += 1
            continue
        gold = None if row["gold"] is None else renamed(row["gold"])
        key = (gold, row["segment"] or EVERYTHING, row["group"])
        if key[2] is None:
            key = keys.setdefault(key, key)
        one = merged.get(digest)
        if one is None:
            one = merged[digest] = _Merged(digest, row["input"], key)
        one.add(row, key)
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
        duplicates_merged=read - outside - dropped - len(distinct),
        gold_conflicts=len(conflicts),
        dropped=dropped,
    )


def _label_map(
    labels: Sequence[str] | LabelMap | None,
    merged: Sequence[_Merged],
    outputs: Mapping[str, TeacherOutput],
    of: Definition,
) -> LabelMap:
    if isinstance(labels, LabelMap):
        return labels
    return LabelMap(tuple(labels) if labels is not None else _guessed_labels(merged, outputs, of))


def _judged(
    merged: Sequence[_Merged],
    outputs: Mapping[str, TeacherOutput],
    named: LabelMap,
    need: Need,
    of: Definition,
) -> Sequence[bool]:
    """Mark the rows that have what the gate's criteria need; where no row has gold and an answer, those with one."""
    golds = [of.settled(one.golds) for one in merged]
    gold = [name is not None and (not named.labels or of.label_of(named, name) is not None) for name in golds]
    given = [outputs.get(one.digest) or one.recorded() for one in merged]
    answered = [each.output is not None or each.probabilities is not None for each in given]
    both = [a and b for a, b in zip(gold, answered, strict=True)]
    soft = [a and each.probabilities is not None for a, each in zip(both, given, strict=True)]
    has: dict[Need, list[bool]] = {
        Need.GOLD: gold,
        Need.TEACHER: answered,
        Need.BOTH: both if any(both) else answered,
        Need.SOFT: soft,
    }
    return has.get(need, [True] * len(merged))


def _guessed_labels(merged: Sequence[_Merged], outputs: Mapping[str, TeacherOutput], of: Definition) -> tuple[str, ...]:
    """Return the labels of gold and of named probabilities; where there are none, the teacher's answers."""
    named: set[str] = set()
    answers: set[str] = set()
    answered = 0
    for one in merged:
        teacher = outputs.get(one.digest) or one.recorded()
        named.update(name for gold in one.golds for name in of.names_in(gold))
        named.update(teacher.probabilities if isinstance(teacher.probabilities, Mapping) else ())
        if teacher.output is not None:
            answers.update(of.names_in(teacher.output))
        answered += bool(one.golds or teacher.output or teacher.probabilities)
    found = named or answers
    if len(found) > MOST_LABELS or len(found) > max(FEW_LABELS, answered // 2):
        raise BadInput(
            f"The traffic has {len(found):,} different labels on {answered:,} rows, like free text. If they are labels,"
            " name them: `distill-tui teacher PLAY --recorded --labels FILE`, one a line. For free text open a play"
            " with --task generation."
        )
    return tuple(sorted(found))


def _row(
    number: int,
    one: _Merged,
    segment: str,
    split: Split,
    teacher: TeacherOutput,
    named: LabelMap,
    lost: Counter[str],
    of: Definition,
) -> Row:
    """Settle one row; counts the names in gold that stand for none of the labels in `lost`."""
    gold, output, probabilities, outside = of.settled(one.golds), teacher.output, None, False
    if named.labels:
        stands = None if gold is None else of.label_of(named, gold)
        if gold is not None and stands is None:
            lost[gold] += 1
        gold = Scale.of(named.labels).known(gold) if is_range(named.labels) else stands
        output, probabilities, outside = _answered(teacher, named, of)
    return Row(
        row=number,
        input_digest=one.digest,
        input=one.input,
        gold=gold,
        segment=segment,
        group=min(one.groups, default=None),
        split=split,
        weight=float(sum(times for _, times in one.seen)),
        teacher_output=output,
        teacher_probabilities=probabilities,
        outside=outside,
    )


def _answered(
    teacher: TeacherOutput, named: LabelMap, of: Definition
) -> tuple[str | None, tuple[float, ...] | None, bool]:
    """Return the teacher's answer, its probabilities by label, and whether it is none of the task's answers."""
    if of.several:
        return _in_sets(teacher, named)
    return _in_range(teacher, named) if is_range(named.labels) else _in_labels(teacher, named)


def _in_range(teacher: TeacherOutput, named: LabelMap) -> tuple[str | None, tuple[float, ...] | None, bool]:
    """Return the teacher's number, shared among the two points of the range that it lies between."""
    scale = Scale.of(named.labels)
    number = scale.known(teacher.output)
    return (
        (teacher.output, None, teacher.output is not None)
        if number is None
        else (number, scale.shares(float(number)), False)
    )


def _in_labels(teacher: TeacherOutput, named: LabelMap) -> tuple[str | None, tuple[float, ...] | None, bool]:
    """Return the teacher's label, its probabilities in the order of the labels, and whether it is none of the labels.

    An answer that stands for no label is returned as it is written.
    """
    shares, output = teacher.probabilities, named.of(teacher.output)
    if isinstance(shares, Mapping):
        strange = [share for name, share in shares.items() if named.of(name) is None]
        if any(strange):
            said = teacher.output or max(shares.items(), key=lambda each: each[1])[0]
            return output or said, None, output is None
        shares = named.shares(tuple(shares), tuple(shares.values()))
    if shares is None:
        return (output if output is not None else teacher.output), None, output is None and teacher.output is not None
    _same_length(shares, named)
    total = math.fsum(shares)
    probabilities = tuple(share / total for share in shares)
    if teacher.output is not None and output is None:
        return teacher.output, probabilities, True
    return output or named.labels[probabilities.index(max(probabilities))], probabilities, False


def _same_length(shares: Sequence[float], named: LabelMap) -> None:
    if len(shares) != len(named.labels):
        raise BadInput(
            f"The teacher's probabilities are lists of {len(shares)}, and the task has {len(named.labels)} labels. "
            "Give the labels in the order of the lists."
        )


def _in_sets(teacher: TeacherOutput, named: LabelMap) -> tuple[str | None, tuple[float, ...] | None, bool]:
    """Return the teacher's set of labels, the probability of each label, and whether a name in it is not a label.

    Probabilities of some labels only say nothing of the others, and are not used. Without an answer, it is the labels
    that are likelier than not.
    """
    shares, said = teacher.probabilities, teacher.output
    output = None if said is None else multilabel.mapped(named, said)
    if isinstance(shares, Mapping):
        strange = [name for name, share in shares.items() if named.of(name) is None and share >= LIKELY]
        if said is None and strange:
            return likely(shares, shares.values()), None, True
        by_name: dict[str, float] = {}
        for name, share in shares.items():
            label = named.of(name)
            if label is not None:
                by_name[label] = max(share, by_name.get(label, 0.0))
        shares = [by_name[label] for label in named.labels] if len(by_name) == len(named.labels) else None
    if shares is None:
        return (output if output is not None else said), None, said is not None and output is None
    _same_length(shares, named)
    probabilities = tuple(min(1.0, share) for share in shares)
    if said is not None:
        return (said if output is None else output), probabilities, output is None
    return likely(named.labels, probabilities), probabilities, False
