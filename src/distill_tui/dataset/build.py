"""Build a data set from imported traffic: apply the window, merge equal inputs, attach the teacher, split, write.

The same traffic gives the same data set, whatever the order of its files and rows. Distinct rows wait in files; of each
some 60 bytes are held in memory (`split`).
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from distill_tui import tasks
from distill_tui.dataset import frozen, merge, traffic
from distill_tui.dataset.columns import Column, ColumnFile
from distill_tui.dataset.contradictions import Compared, by_label
from distill_tui.dataset.duplicates import Texts
from distill_tui.dataset.merge import Merged, Merging, Wanted
from distill_tui.dataset.progress import Progress, no_progress
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.split import (
    CONTAMINATED,
    HELD_OUT,
    STRADDLING,
    TRAIN,
    Candidates,
    Numbers,
    SplitRule,
    assigned,
)
from distill_tui.dataset.traces.call_mapping import CallMapping
from distill_tui.digests import Part
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
SETTLED = pa.schema(
    [
        *(each for each in frozen.SCHEMA if each.name != "teacher_probabilities"),
        ("teacher_probabilities", pa.list_(pa.float64())),
        ("outside", pa.bool_()),
        ("since", pa.string()),
    ]
)


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


class Rows(Protocol):
    """Rows that can be read more than once, in their order."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Row]: ...


class StoredRows:
    """The settled rows, in a file for each split; the files go when this goes."""

    def __init__(self, files: Sequence[ColumnFile], folder: str) -> None:
        self._files = files
        self.beat: Callable[[], None] = lambda: None  # called at every batch of rows that is read
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __len__(self) -> int:
        return sum(map(len, self._files))

    def __iter__(self) -> Iterator[Row]:
        for split, file in zip(Split, self._files, strict=True):
            for batch in file.batches(_OF_ROWS):
                self.beat()
                for row, digest, text, gold, segment, group, weight, output, shares, outside in zip(
                    *(each.to_pylist() for each in batch.columns), strict=True
                ):
                    known = None if shares is None else tuple(shares)
                    yield Row(row, digest, text, gold, segment, group, split, weight, output, known, outside)

    def column(self, name: str) -> Column:
        return Column(self._files, name)


_OF_ROWS = tuple(name for name in SETTLED.names if name not in ("split", "since"))


def inputs_of(rows: Rows) -> Texts:
    """Return the inputs of rows, to be read more than once."""
    return rows.column("input") if isinstance(rows, StoredRows) else [row.input for row in rows]


@dataclass(frozen=True)
class DataSet:
    """A data set before it is written."""

    task: Task
    labels: tuple[str, ...]  # empty where the answers are texts
    rows: StoredRows
    tally: Tally
    names: Mapping[str, str] = field(default_factory=dict)  # the label map: as written → label
    unmatched_gold: Mapping[str, int] = field(default_factory=dict)  # names in gold that stand for no label → rows
    since: Iterable[str | None] = ()  # when each row first came (ISO 8601, UTC); not written
    lists: str = ORDERED  # how lists in written answers are compared, by the gate


Outputs = Callable[[Part], Mapping[str, TeacherOutput]]  # a teacher's answers to the inputs of a part, by digest


def build(
    traffic_files: Sequence[Path],
    outputs: Mapping[str, TeacherOutput] | Outputs,
    rule: SplitRule,
    labels: Sequence[str] | LabelMap | None = None,
    *,
    task: Task = Task.CLASSIFICATION,
    keep: Mapping[str, Split] | None = None,
    without: Collection[str] = (),
    progress: Progress = no_progress,
    scratch: Path | None = None,
) -> DataSet:
    """Build a data set from imported traffic. Raises BadInput.

    `outputs` holds the teacher's answers by input digest; they replace what the traffic recorded. `labels` is the
    task's list, or the label map (None: taken from gold and probabilities; empty: the answers are texts). `keep` holds
    the splits of the round before by input digest (`frozen.splits_of`), `without` the digests of dropped rows. Rows
    wait in files under `scratch`.
    """
    if problem := rule.problem():
        raise BadInput(problem)
    answers: Outputs = outputs if callable(outputs) else lambda _: outputs
    kept, of = keep or {}, tasks.of(task)
    folder = tempfile.mkdtemp(dir=scratch, prefix="rows-")
    try:
        distinct = _distinct(traffic_files, answers, rule, labels, of, kept, frozenset(without), Path(folder), progress)
        first = Split.HELD_OUT not in kept.values()
        places = assigned(distinct.candidates, rule, first=first, progress=progress)
        if not (places == TRAIN).any():
            raise BadInput("No row is left to train on. Import more traffic, or ask for fewer held-out rows.")
        return _settled(distinct, places, answers, task, Path(folder), progress)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@dataclass(frozen=True)
class _Distinct:
    """The distinct rows of traffic, in the order of their digests."""

    file: ColumnFile  # of `merge.SCHEMA`
    candidates: Candidates
    named: LabelMap
    tally: Tally


def _distinct(
    files: Sequence[Path],
    outputs: Outputs,
    rule: SplitRule,
    labels: Sequence[str] | LabelMap | None,
    of: Definition,
    keep: Mapping[str, Split],
    without: frozenset[str],
    folder: Path,
    progress: Progress,
) -> _Distinct:
    """Merge equal inputs, their gold by the label map; held-out rows of the round before count as in the window."""
    names = labels.names if isinstance(labels, LabelMap) else {}
    wanted = Wanted(
        rule.in_window,
        lambda digest: keep.get(digest) is Split.HELD_OUT,
        without,
        partial(of.renamed, names),
        of.settled,
    )
    merging, file = Merging(wanted), ColumnFile(folder / "distinct.parquet", merge.SCHEMA)
    rows, guess = Candidates(rule.seed, Column([file], "input")), _Guess(of)
    answered, soft = bytearray(), bytearray()
    for part, merged in merging.merge(files, folder, file, progress):
        answers = outputs(part)
        for one, candidate in merged:
            given = answers.get(one.digest)
            _, shares, output = one.answer
            soft.append(bool(shares) if given is None else given.probabilities is not None)
            answered.append(soft[-1] or (bool(output) if given is None else given.output is not None))
            rows.add(candidate, keep.get(one.digest))
            if labels is None:
                guess.add(one, given or _recorded(output, shares))
    file.close()
    counts = merging.counts
    missing = sum(split is Split.HELD_OUT for split in keep.values()) - counts.held_out
    if missing:
        raise BadInput(f"{missing:,} held-out rows of the round before are not in the traffic. Give its files as well.")
    if not len(rows):
        raise BadInput(
            f"None of the {counts.read:,} rows of traffic is in the window. Widen it, or import more traffic."
        )
    named = labels if isinstance(labels, LabelMap) else LabelMap(guess.labels() if labels is None else tuple(labels))
    rows.judge(_judged(file, named, _marks(answered), _marks(soft), rule.needs, of))
    tally = Tally(
        rows_read=counts.read,
        outside_window=counts.outside,
        duplicates_merged=counts.read - counts.outside - counts.dropped - len(rows),
        gold_conflicts=counts.conflicts,
        gold_ties=counts.ties,
        dropped=counts.dropped,
    )
    return _Distinct(file, rows, named, tally)


def _recorded(output: str | None, probabilities: str | None) -> TeacherOutput:
    return TeacherOutput(output or None, json.loads(probabilities) if probabilities else None)


def _marks(marks: bytearray) -> NDArray[np.bool_]:
    return np.frombuffer(marks, np.bool_)


def _judged(
    file: ColumnFile,
    named: LabelMap,
    answered: NDArray[np.bool_],
    soft: NDArray[np.bool_],
    need: Need,
    of: Definition,
) -> NDArray[np.bool_]:
    """Mark the rows that have what the gate's criteria need; where no row has gold and an answer, those with one."""
    if need is Need.NOTHING:
        return np.ones(len(file), np.bool_)
    golds = (
        name is not None and (not named.labels or of.label_of(named, name) is not None)
        for name in Column([file], "gold")
    )
    gold = np.fromiter(golds, np.bool_, len(file))
    both = gold & answered
    if need is Need.BOTH:
        return both if both.any() else answered
    return {Need.GOLD: gold, Need.TEACHER: answered, Need.SOFT: gold & soft}[need]


@dataclass
class _Guess:
    """The labels of gold and of named probabilities; where there are none, the teacher's answers."""

    of: Definition
    named: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)
    answered: int = 0

    def add(self, one: Merged, teacher: TeacherOutput) -> None:
        golds, names_in = one.golds, self.of.names_in
        self.named.update(name for gold in golds for name in names_in(gold))
        self.named.update(teacher.probabilities if isinstance(teacher.probabilities, Mapping) else ())
        if teacher.output is not None:
            self.answers.update(names_in(teacher.output))
        self.answered += bool(golds or teacher.output or teacher.probabilities)

    def labels(self) -> tuple[str, ...]:
        found = self.named or self.answers
        if len(found) > MOST_LABELS or len(found) > max(FEW_LABELS, self.answered // 2):
            raise BadInput(
                f"The traffic has {len(found):,} different labels on {self.answered:,} rows, like free text. If they "
                "are labels, name them: `distill-tui teacher PLAY --recorded --labels FILE`, one a line. For free text "
                "open a play with --task generation."
            )
        return tuple(sorted(found))


@dataclass
class _Side:
    """The settled rows of one split, and what is counted of them."""

    split: Split
    file: ColumnFile
    number: int  # of the next row
    recorded: Compared
    computed: Compared
    lost: Counter[str] = field(default_factory=Counter)  # names in gold that stand for none of the labels
    partial: int = 0
    outside: int = 0
    failed: BadInput | None = None  # the first
    waiting: list[tuple[object, ...]] = field(default_factory=list)

    def add(self, row: Mapping[str, Any], computed: TeacherOutput | None, named: LabelMap, of: Definition) -> None:
        """Settle one row, with what the teacher computed or the traffic recorded."""
        output = computed or _recorded(row["output"], row["probabilities"])
        compared = self.recorded if computed is None else self.computed
        stands = None if output.output is None or not named.labels else of.label_of(named, output.output)
        if compared.add(stands, by_label(output.probabilities, named.labels, named.of)):
            output = replace(output, probabilities=None)
        gold, (answer, shares, outside) = row["gold"], (output.output, None, False)
        if named.labels:
            label = None if gold is None else of.label_of(named, gold)
            if gold is not None and label is None:
                self.lost[gold] += 1
            gold = Scale.of(named.labels).known(gold) if is_range(named.labels) else label
            answer, shares, outside = _answered(output, named, of)
        self.partial += output.probabilities is not None and shares is None and not outside
        self.outside += outside
        about = (self.number, row["input_digest"], row["input"], gold, row["segment"], row["group"], str(self.split))
        self.waiting.append((*about, float(row["rows"]), answer, shares, outside, row["since"]))
        self.number += 1

    def write(self) -> None:
        self.file.write(self.waiting)
        self.waiting = []


def _settled(
    distinct: _Distinct, places: Numbers, outputs: Outputs, task: Task, folder: Path, progress: Progress
) -> DataSet:
    """Settle the rows of each split, and count what is left of them."""
    of, named, number, sides = tasks.of(task), distinct.named, 0, list[_Side]()
    for place, split in enumerate(Split):
        file = ColumnFile(folder / f"{split}.parquet", SETTLED)
        sides.append(_Side(split, file, number, Compared(of.several), Compared(of.several)))
        number += int((places == place).sum())
    done = 0
    for batch in distinct.file.batches():
        own = places[done : done + batch.num_rows]
        inside = own <= HELD_OUT
        rows = batch.filter(pa.array(inside)).to_pylist()
        answers = outputs(Part(rows[0]["input_digest"], f"{rows[-1]['input_digest']}g")) if rows else {}
        for row, place in zip(rows, own[inside].tolist(), strict=True):
            side = sides[place]
            try:
                if side.failed is None:
                    side.add(row, answers.get(row["input_digest"]), named, of)
            except BadInput as problem:
                side.failed = problem
        done += batch.num_rows
        for side in sides:
            side.write()
        progress("answers", done, len(places))
    for side in sides:
        side.file.close()
    if failed := next((side.failed for side in sides if side.failed is not None), None):
        raise failed
    recorded, computed = (_joined([getattr(side, name) for side in sides]) for name in ("recorded", "computed"))
    recorded.check("the traffic")
    lost: Counter[str] = Counter()
    for side in sides:
        lost.update(side.lost)
    tally = replace(
        distinct.tally,
        contradictions=recorded.contradict + computed.contradict,
        unknown_gold=lost.total(),
        unknown_outputs=sum(side.outside for side in sides),
        partial_probabilities=sum(side.partial for side in sides),
        contaminated=int((places == CONTAMINATED).sum()),
        straddling=int((places == STRADDLING).sum()),
    )
    stored = StoredRows([side.file for side in sides], str(folder))
    unmatched = dict(lost.most_common(MOST_UNMATCHED))
    return DataSet(task, named.labels, stored, tally, named.names, unmatched, stored.column("since"))


def _joined(compared: Sequence[Compared]) -> Compared:
    first = next((each.first for each in compared if each.first), "")
    counts = (sum(each.rows for each in compared), sum(each.contradict for each in compared))
    return Compared(compared[0].several, *counts, first)


def write(
    dataset: DataSet, out: Path, calls: CallMapping | None = None, weighted: Callable[[Row], Row] | None = None
) -> str:
    """Write a data set, whole or not at all, and return its digest (`frozen.content_digest`).

    `calls` made the inputs of logged calls, and is part of the data set. `weighted` gives a row its weight.
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
            left = iter(dataset.rows) if weighted is None else map(weighted, dataset.rows)
            while rows := list(islice(left, GROUP)):
                columns = {name: [getattr(row, name) for row in rows] for name in frozen.COLUMNS}
                writer.write_table(pa.Table.from_pydict(columns, schema), row_group_size=GROUP)
        return frozen.content_digest(draft)


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
