"""A frozen data set: one Parquet file of known columns, and its digest.

Rows are sorted by split and digest; a row's number is its position. The digest covers the content, not the bytes: it
does not depend on the release of Parquet.
"""

from __future__ import annotations

import hashlib
import json
import struct
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from distill_tui.dataset.duplicates import clusters
from distill_tui.dataset.progress import Progress, no_progress
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.row_identity import input_digest
from distill_tui.dataset.split import Keys, components
from distill_tui.dataset.traces.call_mapping import CallMapping
from distill_tui.gates.gate import ORDERED
from distill_tui.gates.label_sets import read
from distill_tui.gates.scale import Scale, is_range
from distill_tui.tasks.label_map import LabelMap
from distill_tui.terms import Split, Task

SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("input_digest", pa.string(), nullable=False),
        pa.field("input", pa.string(), nullable=False),
        ("gold", pa.string()),
        pa.field("segment", pa.string(), nullable=False),
        ("group", pa.string()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("weight", pa.float64(), nullable=False),
        ("teacher_output", pa.string()),
        ("teacher_probabilities", pa.list_(pa.float32())),
    ]
)
COLUMNS = tuple(SCHEMA.names)
AT_ONCE = 10_000  # rows of a column that are made at once
DIGEST_VERSION = "distill-tui data set 3"

Homes = NDArray[np.int8]  # the place of each row's split in `Split`


@dataclass(frozen=True)
class Rows:
    """The rows of one split as plain columns, in the order of their numbers."""

    task: Task  # of the whole data set
    rows: NDArray[np.int64]  # numbers in the data set
    inputs: tuple[str, ...]
    digests: tuple[str, ...]
    labels: tuple[str, ...]  # of the whole data set; empty for a generation task
    gold: NDArray[np.int64]  # index of the gold label, or of the set of labels in this split; -1 where there is none
    gold_texts: tuple[str | None, ...]
    teacher: NDArray[np.int64]  # index of the teacher's label, -1 where there is none
    teacher_texts: tuple[str | None, ...]  # as it is written where it is none of the labels
    soft: NDArray[np.float32]  # (n, k): the teacher's probabilities, NaN in the rows that have none
    weights: NDArray[np.float64]
    segments: tuple[str, ...]
    groups: tuple[str | None, ...]
    lists: str = ORDERED  # of the whole data set: how lists in written answers are compared

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Where the teacher answered, with none of the labels."""
        answered = np.array([text is not None for text in self.teacher_texts], dtype=bool)
        return answered & (self.teacher < 0) & bool(self.labels)


def load(path: Path, split: Split | str) -> Rows:
    """Read the rows of one split. Raises BadInput where the file is not a frozen data set."""
    labels, task = labels_of(path), task_of(path)
    columns = _table(path, COLUMNS, ("split", "=", str(Split(split)))).to_pydict()
    index = _index(task, labels, columns)
    return Rows(
        task=task,
        lists=lists_of(path),
        rows=np.array(columns["row"], dtype=np.int64),
        inputs=tuple(columns["input"]),
        digests=tuple(columns["input_digest"]),
        labels=labels,
        gold=np.array([index.get(text, -1) for text in columns["gold"]], dtype=np.int64),
        gold_texts=tuple(columns["gold"]),
        teacher=np.array([index.get(text, -1) for text in columns["teacher_output"]], dtype=np.int64),
        teacher_texts=tuple(columns["teacher_output"]),
        soft=_soft(columns["teacher_probabilities"], len(labels)),
        weights=np.array(columns["weight"], dtype=np.float64),
        segments=tuple(columns["segment"]),
        groups=tuple(columns["group"]),
    )


def _index(task: Task, labels: Sequence[str], columns: Mapping[str, Sequence[str | None]]) -> dict[str, int]:
    """Number the answers of a split: its labels, its sets of labels, or of numbers the point that is nearest."""
    if is_range(labels):
        scale, numbers = Scale.of(labels), {*columns["gold"], *columns["teacher_output"]}
        return {text: scale.nearest(text) for text in numbers if text is not None and scale.known(text) is not None}
    known = sets_in(columns, labels) if task is Task.MULTILABEL else labels
    return {label: position for position, label in enumerate(known)}


def sets_in(columns: Mapping[str, Sequence[str | None]], labels: Sequence[str]) -> list[str]:
    """Return the distinct sets in gold and the teacher's outputs that hold nothing but labels, in order."""
    there, known = {*columns["gold"], *columns["teacher_output"]} - {None}, set(labels)
    return sorted(
        text for text in there if text is not None and (found := read(text)) is not None and known >= {*found}
    )


def task_of(path: Path) -> Task:
    """Return the task that the data set is of. Raises BadInput."""
    return Task(_metadata(path)[b"task"].decode())


def labels_of(path: Path) -> tuple[str, ...]:
    """Return the labels, in the order of the probabilities. Raises BadInput."""
    return tuple(json.loads(_metadata(path)[b"labels"]))


def lists_of(path: Path) -> str:
    """Return how lists in written answers are compared. Raises BadInput."""
    return _metadata(path).get(b"lists", ORDERED.encode()).decode()


def label_map_of(path: Path) -> LabelMap:
    """Return the label map by which the data set was built. Raises BadInput."""
    return LabelMap(labels_of(path), dict(json.loads(_metadata(path).get(b"names", b"{}"))))


def unmatched_gold(path: Path) -> dict[str, int]:
    """Return the most frequent names in gold that stand for none of the labels, with their distinct rows."""
    return dict(json.loads(_metadata(path).get(b"unmatched_gold", b"{}")))


def tally_of(path: Path) -> dict[str, int]:
    """Return the counts of the build: see `build.Tally`."""
    return dict(json.loads(_metadata(path)[b"tally"]))


def splits_of(path: Path) -> dict[str, Split]:
    """Return every row's split by its input digest: the next round must keep them."""
    columns = _table(path, ("input_digest", "split")).to_pydict()
    return {digest: Split(split) for digest, split in zip(*columns.values(), strict=True)}


def row_count(path: Path) -> int:
    _metadata(path)
    return int(pq.read_metadata(path).num_rows)


def soft_rows(path: Path) -> int:
    """Count the training rows that have the teacher's probabilities."""
    table = _table(path, ("teacher_probabilities",), ("split", "=", str(Split.TRAIN)))
    return int(table.num_rows - table.column(0).null_count)


def content_digest(path: Path) -> str:
    """Return the SHA-256 over a data set's task, labels, label map and rows, every field framed by its length.

    In order: the words `distill-tui data set 3`; the task; the number of labels and each label; the number of names in
    the label map, and of each, sorted, the name and its label; then of each row, in order, row number, input digest,
    input, gold, segment, group, split, weight, teacher output and probabilities. Numbers are 8 bytes, big-endian
    (weights as IEEE 754); a text is the length of its UTF-8 and its bytes; a missing value is the length -1;
    probabilities are their number and each as 4 bytes (IEEE 754); where the inputs are of logged calls, their mapping
    as JSON comes next; where lists are not compared in their order, how they are comes last.
    """
    named = label_map_of(path)
    sha = hashlib.sha256(_text(DIGEST_VERSION) + _text(task_of(path)))
    sha.update(_whole(len(named.labels)) + b"".join(map(_text, named.labels)))
    sha.update(_whole(len(named.names)) + b"".join(_text(name) + _text(label) for name, label in named.pairs))
    for row in stored(path):
        sha.update(_framed(row))
    calls = calls_of(path)
    if calls is not None:
        sha.update(_text(calls.to_json()))
    if lists_of(path) != ORDERED:
        sha.update(_text(lists_of(path)))
    return sha.hexdigest()


def calls_of(path: Path) -> CallMapping | None:
    """Return how logged calls became the inputs of a data set; None where they are not calls."""
    stored = _metadata(path).get(b"calls")
    return CallMapping.read(stored.decode()) if stored is not None else None


def stored(path: Path) -> Iterator[dict[str, Any]]:
    """Stream the rows of a frozen data set as they are stored."""
    _metadata(path)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=2_000, columns=list(COLUMNS)):
            yield from batch.to_pylist()


def tables(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Stream columns of a frozen data set in tables of many rows."""
    _metadata(path)
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=AT_ONCE, columns=list(columns)):
            yield pa.Table.from_batches([batch])


def row_of(path: Path, number: int) -> dict[str, Any] | None:
    """Return one row as it is stored; None where the data set has no row of this number."""
    found: list[dict[str, Any]] = _table(path, COLUMNS, ("row", "=", number)).to_pylist()
    return found[0] if found else None


def held_out_with(path: Path, burnt: Collection[str]) -> frozenset[str]:
    """Return the held-out rows, by input digest, in the components of burnt rows (near duplicates, groups)."""
    rows = [row for row in stored(path) if row["split"] == Split.HELD_OUT] if burnt else []
    roots = components([row["input"] for row in rows], [(row["group"],) if row["group"] else () for row in rows])
    gone = {root for root, row in zip(roots, rows, strict=True) if row["input_digest"] in burnt}
    return frozenset(row["input_digest"] for root, row in zip(roots, rows, strict=True) if root in gone)


def without(rows: Rows, digests: Collection[str]) -> Rows:
    """Return the rows without those of the given input digests."""
    stay = [position for position, digest in enumerate(rows.digests) if digest not in digests]
    columns = {field.name: getattr(rows, field.name) for field in fields(Rows)}
    picked: dict[str, Any] = {
        name: column[stay] if isinstance(column, np.ndarray) else tuple(column[position] for position in stay)
        for name, column in columns.items()
        if name not in ("task", "labels", "lists")
    }
    return replace(rows, **picked)


def leaks(path: Path, progress: Progress = no_progress) -> list[str]:
    """List inputs, groups and near duplicates that cross the splits, as counts; empty for a set as it was built."""
    inputs, groups, splits = Keys(), Keys(), array("b")
    order, mistaken, total = {split.value: at for at, split in enumerate(Split)}, 0, row_count(path)
    for table in tables(path, ("split", "input_digest", "group", "input")):
        columns = (table[name].to_pylist() for name in ("split", "input_digest", "group", "input"))
        for split, digest, group, text in zip(*columns, strict=True):
            inputs.add(len(splits), digest)
            if group is not None:
                groups.add(len(splits), group)
            splits.append(order[split])
            mistaken += input_digest(text) != digest
        progress("reading", len(splits), total)
    homes = np.frombuffer(splits, np.int8) if splits else np.empty(0, np.int8)
    found = [
        *_crossings("input is", "inputs are", *inputs.numbered(), homes),
        *_crossings("group is", "groups are", *groups.numbered(), homes),
    ]
    del inputs, groups
    near = clusters(Inputs(path), progress).roots()
    found += _crossings("set of near duplicates is", "sets of near duplicates are", np.arange(len(near)), near, homes)
    if mistaken:
        found.append(f"{mistaken:,} rows do not have the digest of their input. Build the data set again.")
    return found


@dataclass(frozen=True)
class Inputs:
    """The inputs of a data set, read when they are asked for."""

    path: Path

    def __len__(self) -> int:
        return row_count(self.path)

    def __iter__(self) -> Iterator[str]:
        for table in tables(self.path, ("input",)):
            yield from table["input"].to_pylist()


def groups_in(path: Path) -> int:
    """Count the groups."""
    keys = Keys()
    for table in tables(path, ("group",)):
        for group in table["group"].drop_null().to_pylist():
            keys.add(0, group)
    return len(keys.runs()[1])


def _crossings(one: str, many: str, rows: NDArray[np.int64], keys: NDArray[np.int64], homes: Homes) -> Iterator[str]:
    """Report the keys that are in more than one split."""
    splits = len(Split)
    pairs = np.unique(keys * splits + homes[rows])
    crossing = np.flatnonzero(np.bincount(pairs // splits) > 1)
    if len(crossing):
        there = set((pairs[np.isin(pairs // splits, crossing)] % splits).tolist())
        where = " and ".join(split for at, split in enumerate(Split) if at in there)
        what = one if len(crossing) == 1 else many
        yield f"{len(crossing):,} {what} in more than one split ({where}). Build the data set again."


def _metadata(path: Path) -> Mapping[bytes, bytes]:
    if not path.is_file():
        raise BadInput(f"{path.name} is missing. Build the data set again.")
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path.name} is not a readable Parquet file. Build the data set again.") from error
    metadata: Mapping[bytes, bytes] = schema.metadata or {}
    if tuple(schema.names) != COLUMNS or not {b"task", b"labels", b"tally"} <= metadata.keys():
        raise BadInput(f"{path.name} is not a frozen data set of this program. Build it with `data build`.")
    return metadata


def _table(path: Path, columns: Sequence[str], where: tuple[str, str, str | int] | None = None) -> pa.Table:
    """Read some columns; all rows without pyarrow.dataset, which takes pandas 0.3 s to import."""
    _metadata(path)
    if where is None:
        return pq.ParquetFile(path).read(columns=list(columns))
    return pq.read_table(path, columns=list(columns), filters=[where])


def _soft(probabilities: list[list[float] | None], width: int) -> NDArray[np.float32]:
    soft = np.full((len(probabilities), width), np.nan, dtype=np.float32)
    for position, row in enumerate(probabilities):
        if row is not None:
            soft[position] = row
    return soft


def _framed(row: Mapping[str, Any]) -> bytes:
    probabilities = row["teacher_probabilities"]
    return b"".join(
        [
            _whole(row["row"]),
            *(_text(row[name]) for name in ("input_digest", "input", "gold", "segment", "group", "split")),
            struct.pack(">d", row["weight"]),
            _text(row["teacher_output"]),
            _whole(-1)
            if probabilities is None
            else struct.pack(f">q{len(probabilities)}f", len(probabilities), *probabilities),
        ]
    )


def _whole(number: int) -> bytes:
    return struct.pack(">q", number)


def _text(text: str | None) -> bytes:
    if text is None:
        return _whole(-1)
    content = text.encode()
    return _whole(len(content)) + content
