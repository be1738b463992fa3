"""Import of traffic: a file of any format becomes one Parquet file of known columns, and a report; and its reading.

Importing needs the memory of one batch of rows, and eight bytes for each latency. `build` removes duplicates.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distill_tui.dataset.duplicates import input_digest
from distill_tui.dataset.progress import Progress, no_progress
from distill_tui.dataset.readers import ColumnMapping, TrafficRow, read_rows
from distill_tui.dataset.records import BadInput, row_count, saved_parts
from distill_tui.rules.results import ImportReport, Reject

BATCH = 2_000
SHOWN_REJECTS, SHOWN_REASONS = 20, 5
MOST_NAMES = 1_000  # labels or segments; more are texts, and are not listed

_NUMBERS = re.compile(r"'(?:[^'\\]|\\.)*'|\d[\d.,]*")  # quoted values and numbers

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


def sealed(digest: str) -> bool:
    """Whether an observed row stays unseen: half of them do, and a refresh draws its held-out rows from those."""
    return hashlib.sha256(f"sealed {digest}".encode()).digest()[0] < 128


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
    labels: set[str] = field(default_factory=set)
    segments: Counter[str] = field(default_factory=Counter)

    def add(self, row: TrafficRow) -> None:
        self.rows += 1
        self.gold += row.gold is not None
        self.teacher += row.teacher_output is not None or row.teacher_probabilities is not None
        if row.gold is not None and row.teacher_output is not None:
            self.both += 1
            self.differ += row.gold != row.teacher_output
        if row.time is not None:
            self.first = min(row.time, self.first or row.time)
            self.last = max(row.time, self.last or row.time)
        if row.cost is not None:
            self.cost += row.cost
            self.costs += 1
        if row.latency_ms is not None:
            self.latencies.append(row.latency_ms)
        if row.tokens_in is not None or row.tokens_out is not None:
            self.tokens = (self.tokens or 0) + (row.tokens_in or 0) + (row.tokens_out or 0)
        self._name(row)

    def _name(self, row: TrafficRow) -> None:
        if len(self.labels) <= MOST_NAMES:
            named = row.teacher_probabilities if isinstance(row.teacher_probabilities, dict) else {}
            self.labels.update(named, () if row.gold is None else (row.gold,))
        if row.segment is not None and len(self.segments) <= MOST_NAMES:
            self.segments[row.segment] += 1

    def report(self, **file: Any) -> ImportReport:
        return ImportReport(
            **file,
            rows=self.rows,
            first_time=iso(self.first),
            last_time=iso(self.last),
            mean_cost=self.cost / self.costs if self.costs else None,
            total_cost=self.cost if self.costs else None,
            p95_latency_ms=p95(self.latencies),
            tokens=self.tokens,
            gold_share=self.gold / self.rows,
            teacher_share=self.teacher / self.rows,
            disagreement=self.differ / self.both if self.both else None,
            labels=tuple(sorted(self.labels)) if len(self.labels) <= MOST_NAMES else (),
            segments=tuple(self.segments.most_common()) if len(self.segments) <= MOST_NAMES else (),
        )


def import_traffic(path: Path, mapping: ColumnMapping, out: Path, progress: Progress = no_progress) -> ImportReport:
    """Stream a file's rows into `out` (Parquet), whole or not at all; rejects go to `OUT.rejects.jsonl`.

    Raises BadInput where the file, or every row of it, is unusable.
    """
    read = read_rows(path, mapping)
    source, stamp = source_digest(path), _stamp(path)
    total = 0 if progress is no_progress else row_count(path)
    sums, rejects = _Sums(), 0
    reasons: Counter[str] = Counter()
    first_rejects: list[Reject] = []
    rejects_out = out.with_suffix(".rejects.jsonl")
    with replacing(rejects_out) as rejects_draft, replacing(out) as draft:
        with rejects_draft.open("w", encoding="utf-8") as log, pq.ParquetWriter(draft, SCHEMA, **WRITING) as writer:
            for reject in _store(read, sums, writer, partial(progress, "importing"), total):
                rejects += 1
                log.write(json.dumps({"file": path.name, "line": reject.line, "reason": reject.reason}) + "\n")
                reasons[_NUMBERS.sub("…", reject.reason)] += 1
                if len(first_rejects) < SHOWN_REJECTS:
                    first_rejects.append(reject)
        if not sums.rows:
            first = first_rejects[0]
            raise BadInput(f"{path.name} has no usable row. Line {first.line}: {first.reason}.")
        if _stamp(path) != stamp:
            raise BadInput(f"{path.name} changed while it was read. Import it again when no program writes to it.")
    if not rejects:
        rejects_out.unlink()
    return sums.report(
        file_name=path.name,
        source_digest=source,
        parquet_digest=file_digest(out),
        rejects=rejects,
        first_rejects=tuple(first_rejects),
        reasons=tuple(reasons.most_common(SHOWN_REASONS)),
    )


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


def source_digest(path: Path) -> str:
    """Return the SHA-256 of an imported source: of a file its bytes, of a saved folder its parts and their bytes."""
    if not path.is_dir():
        return file_digest(path)
    sha = hashlib.sha256()
    for part in saved_parts(path):
        sha.update(f"{part.relative_to(path).as_posix()}\0{file_digest(part)}\n".encode())
    return sha.hexdigest()


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
            writer.write_table(pa.Table.from_pylist(batch, SCHEMA))
            batch.clear()
    if batch:
        writer.write_table(pa.Table.from_pylist(batch, SCHEMA))


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


def p95(latencies: Sequence[float]) -> float | None:
    """Return the smallest latency that at least 95% of the calls did not exceed."""
    if not latencies:
        return None
    return sorted(latencies)[math.ceil(0.95 * len(latencies)) - 1]


def _stamp(path: Path) -> list[tuple[int, int]]:
    seen = [part.stat() for part in (saved_parts(path) if path.is_dir() else [path])]
    return [(one.st_size, one.st_mtime_ns) for one in seen]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def distinct_inputs(files: Sequence[Path]) -> dict[str, str]:
    """Return every distinct input: digest → text, the smallest of the texts that normalise alike."""
    found: dict[str, str] = {}
    for row in rows(files, ("input_digest", "input")):
        found[row["input_digest"]] = min(row["input"], found.get(row["input_digest"], row["input"]))
    return found
