"""A frozen data set: one Parquet file of known columns, and its digest.

Rows are sorted by split and digest; a row's number is its position. The digest covers the content, not the bytes: it
does not depend on the release of Parquet.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from distill_tui.dataset.duplicates import near_duplicates
from distill_tui.dataset.progress import Progress, no_progress
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.row_identity import input_digest
from distill_tui.dataset.split import components
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
    table = _table(path, ("split", "input_digest", "group", "input"))
    splits, digests, texts = table["split"], table["input_digest"], Texts(table["input"])
    found = [
        *_crossings("input is", "inputs are", digests, splits),
        *_crossings("group is", "groups are", table["group"], splits),
        *_crossings(
            "set of near duplicates is", "sets of near duplicates are", [near_duplicates(texts, progress)], splits
        ),
    ]
    mistaken = sum(input_digest(text) != digest for text, digest in zip(texts, Texts(digests), strict=True))
    if mistaken:
        found.append(f"{mistaken:,} rows do not have the digest of their input. Build the data set again.")
    return found


class Texts(Sequence[str]):
    """The texts of a column, made when they are asked for: a column takes a third of the memory of a list."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        found: Any = self._column[at]
        text: str | list[str] = found.to_pylist() if isinstance(at, slice) else found.as_py()
        return text

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), AT_ONCE):
            yield from self[start : start + AT_ONCE]


def _crossings(one: str, many: str, keys: Any, splits: pa.ChunkedArray) -> Iterator[str]:
    """Report the keys that are in more than one split; rows without a key are skipped."""
    pairs = pa.table({"key": pa.chunked_array(keys), "split": splits}).drop_null()
    homes = pairs.group_by("key").aggregate([("split", "distinct")])["split_distinct"]
    crossing = homes.filter(pc.greater(pc.list_value_length(homes), 1)).to_pylist()
    if crossing:
        where = " and ".join(split for split in Split if any(split in splits for splits in crossing))
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
