"""Import of traffic: a file of any format becomes one Parquet file of known columns, and a report; and its reading.

Importing needs the memory of one batch of rows, and eight bytes for each latency. `build` removes duplicates.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from distill_tui.dataset.counted import Names, Usable, p95
from distill_tui.dataset.doubts import Doubts
from distill_tui.dataset.opening import BadInput, Source, is_saved, parts_of, paths_of, saved_parts, source_name
from distill_tui.dataset.progress import Progress, no_progress
from distill_tui.dataset.readers import ColumnMapping, TrafficRow, kind_of_reason, read_rows
from distill_tui.dataset.records import row_count
from distill_tui.dataset.row_identity import input_digest
from distill_tui.dataset.row_identity import sealed as sealed
from distill_tui.dataset.traces import stream
from distill_tui.dataset.traces.call_mapping import DEFAULT, CallMapping
from distill_tui.digests import EVERY_ROW, Part
from distill_tui.gates.usable import SegmentRows
from distill_tui.rules.results import ImportReport, Reject
from distill_tui.tasks.label_map import Vocabulary, alike

BATCH = 2_000
SHOWN_REJECTS, SHOWN_REASONS = 20, 5
MOST_NAMES = 1_000  # segments; more are texts, and are not listed

# fixed, so that the same rows give the same bytes
WRITING: dict[str, Any] = {"compression": "zstd", "version": "2.6", "use_dictionary": True}

SCHEMA = pa.schema(
    [
        pa.field("input_digest", pa.string(), nullable=False),
        pa.field("input", pa.string(), nullable=False),
        ("teacher_output", pa.string()),
        ("teacher_probabilities", pa.string()),  # JSON: an object label → p, or a list in the order of the labels
        ("gold", pa.string()),
        ("segment", pa.string()),
        ("group", pa.string()),
        ("time", pa.string()),  # ISO 8601, UTC, to the microsecond: its order as text is its order in time
        ("cost", pa.string()),  # decimal
        ("latency_ms", pa.float64()),
        ("tokens_in", pa.int64()),
        ("tokens_out", pa.int64()),
        ("model", pa.string()),  # that answered, as the provider resolved it
    ]
)


COLUMNS = tuple(SCHEMA.names)


def rows(
    files: Sequence[Path], columns: Sequence[str] = COLUMNS, progress: Progress = no_progress
) -> Iterator[dict[str, Any]]:
    """Stream columns of imported traffic, row by row. Raises BadInput where a file is not imported traffic."""
    done = total = 0
    for path in files:
        with _opened(path, columns) as file:
            total += file.metadata.num_rows
    for path in files:
        with _opened(path, columns) as file:
            for batch in file.iter_batches(batch_size=BATCH, columns=list(columns)):
                yield from batch.to_pylist()
                done += batch.num_rows
                progress("reading", done, total)


def batches(files: Sequence[Path], columns: Sequence[str], size: int, progress: Progress) -> Iterator[pa.Table]:
    """Stream columns of imported traffic in tables of about so many rows. Raises BadInput as `rows` does."""
    waiting: list[pa.RecordBatch] = []
    there = done = 0
    total = rows_in(files)
    for path in files:
        with _opened(path, columns) as file:
            for batch in file.iter_batches(batch_size=size, columns=list(columns)):
                waiting.append(batch)
                there += batch.num_rows
                if there >= size:
                    yield pa.Table.from_batches(waiting)
                    done, there = done + there, 0
                    waiting.clear()
                    progress("reading", done, total)
    if waiting:
        yield pa.Table.from_batches(waiting)


def table(path: Path, columns: Sequence[str]) -> pa.Table:
    """Read columns of imported traffic. Raises BadInput where the file is not imported traffic."""
    with _opened(path, columns) as file:
        return file.read(list(columns))


@contextmanager
def _opened(path: Path, columns: Sequence[str]) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            if not set(columns) <= set(file.schema_arrow.names):
                raise BadInput(f"{path.name} is not imported traffic. Import it first.")
            yield file
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path.name} cannot be read as imported traffic. Import it again.") from error


def pick(files: Sequence[Path], wanted: Callable[[Mapping[str, Any]], bool], out: Path) -> int:
    """Write the wanted rows of imported files into one file, in their order; returns their number."""
    written = 0
    with replacing(out) as draft, pq.ParquetWriter(draft, SCHEMA, **WRITING) as writer:
        for path in files:
            picked = [row for row in rows([path]) if wanted(row)]
            writer.write_table(pa.Table.from_pylist(picked, SCHEMA))
            written += len(picked)
    return written


def write_inputs(inputs: Iterable[tuple[str, str]], out: Path) -> None:
    """Write inputs alone, (digest, text), as imported traffic."""
    found = list(inputs)
    columns: dict[str, list[str | None]] = dict.fromkeys(COLUMNS, [None] * len(found))
    columns |= {"input_digest": [digest for digest, _ in found], "input": [text for _, text in found]}
    with replacing(out) as draft, pq.ParquetWriter(draft, SCHEMA, **WRITING) as writer:
        writer.write_table(pa.Table.from_pydict(columns, SCHEMA))


@dataclass
class _Sums:
    """Sums over the rows read so far."""

    rows: int = 0
    gold: int = 0
    teacher: int = 0
    both: int = 0
    differ: int = 0
    first: datetime | None = None
    last: datetime | None = None
    cost: Decimal = Decimal(0)
    costs: int = 0
    tokens: int | None = None
    latencies: array[float] = field(default_factory=lambda: array("d"))
    forms: Counter[str] = field(default_factory=Counter)  # of times
    names: Names = field(default_factory=Names)
    usable: Usable = field(default_factory=Usable)
    segments: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    doubts: Doubts = field(default_factory=Doubts)

    @classmethod
    def of(cls, known: Sequence[stream.Recognised], mapping: ColumnMapping) -> _Sums:
        return cls(names=Names(mapping.several), doubts=Doubts.of(known, mapping))

    def add(self, row: TrafficRow) -> None:
        self.rows += 1
        self.doubts.add(row)
        self.gold += row.gold is not None
        self.teacher += row.teacher_output is not None or row.teacher_probabilities is not None
        if row.gold is not None and row.teacher_output is not None:
            self.both += 1
            sets = self.names.several
            self.differ += row.gold != row.teacher_output if sets else not alike(row.gold, row.teacher_output)
        if row.time is not None:
            self.first = min(row.time, self.first or row.time)
            self.last = max(row.time, self.last or row.time)
            self.forms[row.time_form] += bool(row.time_form)
        if row.cost is not None:
            self.cost += row.cost
            self.costs += 1
        if row.latency_ms is not None:
            self.latencies.append(row.latency_ms)
        if row.tokens_in is not None or row.tokens_out is not None:
            self.tokens = (self.tokens or 0) + (row.tokens_in or 0) + (row.tokens_out or 0)
        self.names.add(row.gold, row.teacher_output, row.teacher_probabilities)
        soft, gold = row.teacher_probabilities is not None, row.gold is not None
        self.usable.add(row.segment, gold=gold, teacher=soft or row.teacher_output is not None, soft=soft)
        if row.segment is not None and len(self.segments) <= MOST_NAMES:
            self.segments[row.segment] += 1
        if row.model is not None and row.teacher_output is not None and len(self.models) <= MOST_NAMES:
            self.models[row.model] += 1

    def report(self, source_doubts: tuple[str, ...], **file: Any) -> ImportReport:
        return ImportReport(
            **file,
            rows=self.rows,
            first_time=iso(self.first),
            last_time=iso(self.last),
            time_forms=tuple((+self.forms).most_common()),
            mean_cost=self.cost / self.costs if self.costs else None,
            total_cost=self.cost if self.costs else None,
            p95_latency_ms=p95(self.latencies),
            tokens=self.tokens,
            gold_share=self.gold / self.rows,
            teacher_share=self.teacher / self.rows,
            disagreement=self.differ / self.both if self.both else None,
            names=self.names.vocabulary(),
            usable=self.usable.segments(),
            segments=tuple(self.segments.most_common()) if len(self.segments) <= MOST_NAMES else (),
            models=tuple(self.models.most_common()),
            doubts=(*source_doubts, *self.doubts.sentences()),
            lacking=self.doubts.files.differences(),
            contradictions=self.doubts.compared.says(),
        )


def import_traffic(
    source: Source,
    mapping: ColumnMapping,
    out: Path,
    progress: Progress = no_progress,
    *,
    calls: CallMapping = DEFAULT,
    answers_of: str = "",
    checked: Callable[[TrafficRow], TrafficRow | Reject] | None = None,
    schema: pa.Schema = SCHEMA,
) -> ImportReport:
    """Stream a source's rows into `out` (Parquet), whole or not at all; rejects go to `OUT.rejects.jsonl`.

    `checked` may complete or reject a row that was read.
    Raises BadInput where the source, or every row of it, is unusable.
    """
    scrubbed: Counter[str] = Counter()
    read = read_rows(source, mapping, calls, answers_of=answers_of, scrubbed=scrubbed)
    if checked is not None:
        read = (row if isinstance(row, Reject) else checked(row) for row in read)
    name, digest, stamp = source_name(source), source_digest(source), _stamp(source)
    total = 0 if progress is no_progress else sum(map(row_count, parts_of(source)))
    known = stream.recognise(source)
    sums, rejects = _Sums.of(known, mapping), 0
    reasons: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    first_rejects: list[Reject] = []
    rejects_out = out.with_suffix(".rejects.jsonl")
    with replacing(rejects_out) as rejects_draft, replacing(out) as draft:
        with rejects_draft.open("w", encoding="utf-8") as log, pq.ParquetWriter(draft, schema, **WRITING) as writer:
            for reject in _store(read, sums, writer, partial(progress, "importing"), total):
                if reject.passed_over:
                    passed[reject.reason] += 1
                    continue
                rejects += 1
                where = {"file": reject.file or name, "line": reject.line, "reason": reject.reason}
                log.write(json.dumps(where) + "\n")
                reasons[kind_of_reason(reject.reason)] += 1
                if len(first_rejects) < SHOWN_REJECTS:
                    first_rejects.append(reject)
        if not sums.rows:
            raise BadInput(_nothing(name, first_rejects, passed))
        sums.doubts.compared.check(name)
        if _stamp(source) != stamp:
            raise BadInput(f"{name} changed while it was read. Import it again when no program writes to it.")
    if not rejects:
        rejects_out.unlink()
    return sums.report(
        stream.doubts(known),
        file_name=name,
        source_digest=digest,
        parquet_digest=file_digest(out),
        rejects=rejects,
        first_rejects=tuple(first_rejects),
        reasons=tuple(reasons.most_common(SHOWN_REASONS)),
        passed_over=tuple(passed.most_common()),
        scrubbed=dict(scrubbed.most_common()),
        formats=tuple(Counter(each.name for each in known).most_common()),
    )


def _nothing(name: str, rejects: Sequence[Reject], passed: Counter[str]) -> str:
    """Word why a source has no row at all."""
    if rejects:
        return f"{name} has no usable row. Line {rejects[0].line}: {rejects[0].reason}."
    reasons = "; ".join(f"{reason} ({count:,})" for reason, count in passed.most_common(3))
    return f"{name} has no usable row: {reasons}. Give a file of model calls."


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; on success the file is synced to disk and renamed to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        _sync(draft)
        draft.replace(path)
        _sync(path.parent)  # the rename itself is only on disk when the folder is
    finally:
        draft.unlink(missing_ok=True)


def source_digest(source: Source) -> str:
    """Return the SHA-256 of a source: of one file its bytes, of several or a saved folder their names and digests."""
    files = _files(source)
    if len(files) == 1 and files[0][0] == "":
        return file_digest(files[0][1])
    sha = hashlib.sha256()
    for name, path in files:
        sha.update(f"{name}\0{file_digest(path)}\n".encode())
    return sha.hexdigest()


def _files(source: Source) -> list[tuple[str, Path]]:
    """Return the plain files of a source, each with its name; a single file has none."""
    found: list[tuple[str, Path]] = []
    paths = paths_of(source)
    for path in paths:
        if path.is_dir() and is_saved(path):
            found += [(part.relative_to(path).as_posix(), part) for part in saved_parts(path)]
        else:
            found.append((path.name if len(paths) > 1 else "", path))
    return found


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _store(
    read: Iterator[TrafficRow | Reject],
    sums: _Sums,
    writer: pq.ParquetWriter,
    progress: Callable[[int, int], None],
    total: int,
) -> Iterator[Reject]:
    batch: list[dict[str, Any]] = []
    for done, row in enumerate(read, 1):
        if not done % BATCH:
            progress(done, max(done, total))
        if isinstance(row, Reject):
            yield row
            continue
        sums.add(row)
        batch.append(_stored(row))
        if len(batch) == BATCH:
            writer.write_table(pa.Table.from_pylist(batch, writer.schema))
            batch.clear()
    if batch:
        writer.write_table(pa.Table.from_pylist(batch, writer.schema))


def _stored(row: TrafficRow) -> dict[str, Any]:
    probabilities = row.teacher_probabilities
    return vars(row) | {
        "input_digest": input_digest(row.input),
        "teacher_probabilities": None if probabilities is None else json.dumps(probabilities, ensure_ascii=False),
        "time": iso(row.time),
        "cost": None if row.cost is None else f"{row.cost:f}",
    }


def iso(time: datetime | None) -> str | None:
    """Format a UTC time such that times sort as text."""
    return None if time is None else time.isoformat(timespec="microseconds")


def _stamp(source: Source) -> list[tuple[int, int]]:
    seen = [path.stat() for _, path in _files(source)]
    return [(one.st_size, one.st_mtime_ns) for one in seen]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def counted(files: Sequence[Path], *, several: bool = False) -> tuple[Vocabulary, tuple[SegmentRows, ...]]:
    """Count the names of imported rows, and the rows that a criterion can use."""
    names, usable = Names(several), Usable()
    for row in rows(files, ("gold", "teacher_output", "teacher_probabilities", "segment")):
        shares = row["teacher_probabilities"]
        names.add(row["gold"], row["teacher_output"], None if shares is None else json.loads(shares))
        answered = shares is not None or row["teacher_output"] is not None
        usable.add(row["segment"], gold=row["gold"] is not None, teacher=answered, soft=shares is not None)
    return names.vocabulary(), usable.segments()


def rows_in(files: Sequence[Path]) -> int:
    """Count the rows of imported files. Raises BadInput."""
    found = 0
    for path in files:
        with _opened(path, COLUMNS) as file:
            found += file.metadata.num_rows
    return found


def distinct_inputs(files: Sequence[Path], part: Part = EVERY_ROW) -> dict[str, str]:
    """Return every distinct input: digest → text, the smallest of the texts that normalise alike."""
    found: dict[str, str] = {}
    for path in files:
        with _opened(path, ("input_digest", "input")) as file:
            for batch in file.iter_batches(batch_size=BATCH, columns=["input_digest", "input"]):
                own = batch if part == EVERY_ROW else _of_part(batch, part)
                for digest, text in zip(*(column.to_pylist() for column in own.columns), strict=True):
                    found[digest] = min(text, found.get(digest, text))
    return found


def _of_part(batch: pa.RecordBatch, part: Part) -> pa.RecordBatch:
    digests = batch.column("input_digest")
    return batch.filter(pc.and_(pc.greater_equal(digests, part.start), pc.less(digests, part.end)))
