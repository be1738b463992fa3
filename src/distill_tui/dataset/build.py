"""From imported traffic to a data set: window, merge what is the same, attach the teacher, split, write.

The same traffic gives the same data set, in whatever order its files and rows come. All distinct rows are held in
memory. Which row goes where is `split`'s business, what the file looks like is `frozen`'s.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distill_tui.dataset import frozen, traffic
from distill_tui.dataset.progress import Progress, unheard
from distill_tui.dataset.readers import BadInput
from distill_tui.dataset.split import Candidate, LeftOut, Place, SplitRule, assign, most_common
from distill_tui.terms import Split

EVERYTHING = "all"  # the segment of a row that states none
MOST_LABELS = 100  # guessed from traffic; whoever has more says so
GROUP = 20_000  # rows that are written at once
NEEDED = ("input_digest", "input", "teacher_output", "teacher_probabilities", "gold", "segment", "group", "time")


@dataclass(frozen=True, slots=True)
class TeacherOutput:
    """What the teacher says of one input: its answer, its probabilities by label or in the order of labels, or both."""

    output: str | None = None
    probabilities: Mapping[str, float] | Sequence[float] | None = None


@dataclass(frozen=True)
class Tally:
    """What happened to the rows on the way."""

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
    weight: float  # how often it was seen, in training times what the round weights it with
    teacher_output: str | None
    teacher_probabilities: tuple[float, ...] | None  # in the order of the labels; they sum to 1


@dataclass(frozen=True)
class DataSet:
    """A data set before it is written."""

    labels: tuple[str, ...]  # empty for a generation task
    rows: tuple[Row, ...]
    tally: Tally
    since: tuple[str | None, ...] = ()  # when each row was first seen (ISO 8601, UTC); not written


@dataclass(slots=True)
class _Told:
    """What all rows of one input say, where there are several."""

    golds: Counter[str] = field(default_factory=Counter)
    segments: Counter[str] = field(default_factory=Counter)
    groups: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, said: tuple[str | None, str, str | None]) -> _Told:
        found = cls()
        found.add(said)
        return found

    def add(self, said: tuple[str | None, str, str | None]) -> None:
        gold, segment, group = said
        self.segments[segment] += 1
        if gold is not None:
            self.golds[gold] += 1
        if group is not None:
            self.groups.add(group)


@dataclass(slots=True)
class _Merged:
    """All rows of one normalised input. Every choice among them depends on the rows and not on their order."""

    digest: str
    input: str
    count: int = 0
    since: str | None = None
    teacher: tuple[str, str, str] | None = None  # time, probabilities as JSON, output: the latest is what it says now
    first: tuple[str | None, str, str | None] = (None, EVERYTHING, None)  # gold, segment, group of the first row
    told: _Told | None = None  # of all rows; most inputs come once, and are kept without it

    @property
    def golds(self) -> Counter[str]:
        return self.told.golds if self.told else Counter([self.first[0]] if self.first[0] is not None else [])

    @property
    def segments(self) -> Counter[str]:
        return self.told.segments if self.told else Counter([self.first[1]])

    @property
    def groups(self) -> set[str]:
        return self.told.groups if self.told else {self.first[2]} - {None}  # type: ignore[return-value]

    def add(self, row: Mapping[str, Any]) -> None:
        self.count += 1
        self.input = min(self.input, row["input"])
        gold, output = row["gold"], row["teacher_output"] or ""
        said = (gold and sys.intern(gold), sys.intern(row["segment"] or EVERYTHING), row["group"])
        if self.count == 1:
            self.first = said
        else:
            self.told = self.told or _Told.of(self.first)
            self.told.add(said)
        if row["time"] is not None:
            self.since = min(row["time"], self.since or row["time"])
        answer = (row["time"] or "", row["teacher_probabilities"] or "", sys.intern(output))
        if answer[1:] != ("", ""):
            self.teacher = max(answer, self.teacher or answer)

    def candidate(self) -> Candidate:
        groups = tuple(sorted(self.groups))
        return Candidate(self.digest, self.input, most_common(self.segments), groups, self.since)


def build(
    traffic_files: Sequence[Path],
    outputs: Mapping[str, TeacherOutput],
    rule: SplitRule,
    labels: Sequence[str] | None = None,
    *,
    keep: Mapping[str, str] | None = None,
    weights: Mapping[str, float] | None = None,
    progress: Progress = unheard,
) -> DataSet:
    """Build a data set from imported traffic.

    `outputs` holds the teacher's answers by input digest, and stands above what the traffic recorded. `labels` is
    the task's list (None: taken from gold and probabilities; empty: a generation task). `keep` holds the splits of
    the round before by input digest (`frozen.splits_of`), and `weights` what training weights are multiplied with.
    Raises BadInput with one sentence.
    """
    kept = _splits(keep or {})
    _check(rule, weights or {})
    merged, tally = _merge(traffic_files, rule, kept, progress)
    named = tuple(labels) if labels is not None else _guessed_labels(merged, outputs)
    places = assign([one.candidate() for one in merged], rule, kept, progress)
    counted = Counter(places)
    if not counted[Split.TRAIN]:
        raise BadInput("No row is left to train on; import more traffic or ask for fewer held-out rows.")
    lost = _lost(merged, places, outputs, named)
    tally = replace(tally, contaminated=counted[LeftOut.CONTAMINATED], straddling=counted[LeftOut.STRADDLING], **lost)
    ordered = [(one, split) for split in Split for one, place in zip(merged, places, strict=True) if place is split]
    rows = tuple(
        _row(number, one, split, outputs.get(one.digest), named, (weights or {}).get(one.digest, 1.0))
        for number, (one, split) in enumerate(ordered)  # merged rows are in the order of their digests
    )
    return DataSet(named, rows, tally, tuple(one.since for one, _ in ordered))


def write(dataset: DataSet, out: Path) -> str:
    """Write a data set whole or not at all, and give its digest (`frozen.content_digest`)."""
    about = {"labels": json.dumps(dataset.labels, ensure_ascii=False), "tally": json.dumps(asdict(dataset.tally))}
    schema = frozen.SCHEMA.with_metadata(about)
    with traffic.replacing(out) as draft:
        with pq.ParquetWriter(draft, schema, **traffic.WRITING) as writer:
            for start in range(0, len(dataset.rows), GROUP):
                rows = dataset.rows[start : start + GROUP]
                columns = {name: [getattr(row, name) for row in rows] for name in frozen.COLUMNS}
                writer.write_table(pa.Table.from_pydict(columns, schema), row_group_size=GROUP)
        return frozen.content_digest(draft)


def _check(rule: SplitRule, weights: Mapping[str, float]) -> None:
    problem = rule.problem()
    if problem:
        raise BadInput(problem)
    for digest, weight in weights.items():
        if not (math.isfinite(weight) and weight >= 0):
            raise BadInput(f"The weight of row {digest[:12]} is {weight}; it must be a number of 0 or more.")


def _splits(keep: Mapping[str, str]) -> dict[str, Split]:
    try:
        return {digest: Split(split) for digest, split in keep.items()}
    except ValueError as error:
        raise BadInput(f"The splits of the round before name one that does not exist ({error}).") from None


def _merge(
    files: Sequence[Path], rule: SplitRule, keep: Mapping[str, Split], progress: Progress
) -> tuple[list[_Merged], Tally]:
    """Merge what is the same; held-out rows of the round before are in any window."""
    held_out = {digest for digest, split in keep.items() if split is Split.HELD_OUT}
    merged: dict[str, _Merged] = {}
    read = outside = 0
    for row in _read(files, progress):
        read += 1
        digest = row["input_digest"]
        if digest not in held_out and not rule.in_window(row["time"]):
            outside += 1
            continue
        merged.setdefault(digest, _Merged(digest, row["input"])).add(row)
    missing = len(held_out - merged.keys())
    if missing:
        raise BadInput(f"{missing:,} held-out rows of the round before are not in the traffic; give its files as well.")
    if not merged:
        raise BadInput(f"None of the {read:,} rows of traffic is in the window; widen it or import more traffic.")
    distinct = [merged[digest] for digest in sorted(merged)]
    conflicts = [one.golds for one in distinct if len(one.golds) > 1]
    return distinct, Tally(
        rows_read=read,
        outside_window=outside,
        duplicates_merged=read - outside - len(distinct),
        gold_conflicts=len(conflicts),
        gold_ties=sum(_majority(golds) is None for golds in conflicts),
    )


def _read(files: Sequence[Path], progress: Progress) -> Iterator[Mapping[str, Any]]:
    done, total = 0, sum(_rows_in(path) for path in files)
    for path in files:
        try:
            with pq.ParquetFile(path) as file:
                if not set(NEEDED) <= set(file.schema_arrow.names):
                    raise BadInput(f"{path.name} is no imported traffic; import it first.")
                for batch in file.iter_batches(batch_size=2_000, columns=list(NEEDED)):
                    yield from batch.to_pylist()
                    done += batch.num_rows
                    progress("reading", done, total)
        except (pa.ArrowException, OSError) as error:
            raise BadInput(f"{path.name} cannot be read as imported traffic; import it again.") from error


def _rows_in(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError):
        return 0  # reading it says what is wrong


def _majority(golds: Counter[str]) -> str | None:
    """Give the gold label that most of the rows have; where two have as many there is none."""
    ranked = golds.most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def _guessed_labels(merged: Sequence[_Merged], outputs: Mapping[str, TeacherOutput]) -> tuple[str, ...]:
    """Take the labels from gold and named probabilities, and only where there are none from what the teacher wrote."""
    found: set[str] = set()
    for one in merged:
        said = _said(one, outputs.get(one.digest))
        found.update(one.golds, said.probabilities if isinstance(said.probabilities, dict) else ())
    if not found:
        found = {output for one in merged if (output := _said(one, outputs.get(one.digest)).output) is not None}
    if len(found) > MOST_LABELS:
        raise BadInput(
            f"The traffic names {len(found):,} different labels; give the labels of the task, or an empty list of"
            " them for a generation task."
        )
    return tuple(sorted(found))


@dataclass(frozen=True)
class _Said:
    output: str | None = None
    probabilities: Mapping[str, float] | Sequence[float] | None = None


def _said(one: _Merged, computed: TeacherOutput | None) -> _Said:
    if computed is not None:
        return _Said(computed.output, computed.probabilities)
    if one.teacher is None:
        return _Said()
    _, probabilities, output = one.teacher
    return _Said(output or None, json.loads(probabilities) if probabilities else None)


def _row(
    number: int, one: _Merged, split: Split, computed: TeacherOutput | None, labels: tuple[str, ...], weight: float
) -> Row:
    gold = _majority(one.golds)
    output, probabilities = _teacher(_said(one, computed), labels)
    return Row(
        row=number,
        input_digest=one.digest,
        input=one.input,
        gold=gold if not labels or gold in labels else None,
        segment=most_common(one.segments),
        group=min(one.groups, default=None),
        split=split,
        weight=one.count * weight if split is Split.TRAIN else float(one.count),
        teacher_output=output,
        teacher_probabilities=probabilities,
    )


def _teacher(said: _Said, labels: tuple[str, ...]) -> tuple[str | None, tuple[float, ...] | None]:
    """Give the teacher's label and its probabilities in the order of the labels; what is not among them is dropped."""
    if not labels:
        return said.output, None
    probabilities = _ordered(said.probabilities, labels)
    output = said.output if said.output in labels else None
    if output is None and probabilities is not None:
        output = labels[probabilities.index(max(probabilities))]
    return output, probabilities


def _ordered(
    probabilities: Mapping[str, float] | Sequence[float] | None, labels: tuple[str, ...]
) -> tuple[float, ...] | None:
    if isinstance(probabilities, Mapping):
        if not set(probabilities) <= set(labels):
            return None
        probabilities = [probabilities.get(label, 0.0) for label in labels]
    if probabilities is None:
        return None
    if len(probabilities) != len(labels):
        raise BadInput(
            f"The teacher's probabilities are lists of {len(probabilities)}, and the task has {len(labels)} labels;"
            " give the labels in the order of the lists."
        )
    total = math.fsum(probabilities)
    return tuple(share / total for share in probabilities)


def _lost(
    merged: Sequence[_Merged], places: Sequence[Place], outputs: Mapping[str, TeacherOutput], labels: tuple[str, ...]
) -> dict[str, int]:
    """Count the labels that the task does not know, of the rows that are in a split."""
    gold = answers = 0
    for one, place in zip(merged, places, strict=True):
        if labels and isinstance(place, Split):
            said = _said(one, outputs.get(one.digest))
            majority = _majority(one.golds)
            gold += majority is not None and majority not in labels
            strange = isinstance(said.probabilities, Mapping) and not set(said.probabilities) <= set(labels)
            answers += strange or (said.output is not None and said.output not in labels)
    return {"unknown_gold": gold, "unknown_outputs": answers}
