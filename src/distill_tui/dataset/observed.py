"""Parts of imported traffic, row by row: what a live student was observed on, and what a refresh may learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distill_tui.dataset import traffic

Row = Mapping[str, Any]  # by the columns of `traffic.SCHEMA`


def rows(path: Path) -> Iterator[Row]:
    """Stream the rows of imported traffic as they are stored."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=traffic.BATCH):
            yield from batch.to_pylist()


def pick(files: Sequence[Path], wanted: Callable[[Row], bool], out: Path) -> int:
    """Write the wanted rows of some imported files into one, in their order, and say how many there are."""
    written = 0
    with traffic.replacing(out) as draft, pq.ParquetWriter(draft, traffic.SCHEMA, **traffic.WRITING) as writer:
        for path in files:
            picked = [row for row in rows(path) if wanted(row)]
            writer.write_table(pa.Table.from_pylist(picked, traffic.SCHEMA))
            written += len(picked)
    return written


def sealed(digest: str) -> bool:
    """Whether an observed row stays unseen: half of them do, and a refresh draws its held-out rows from those."""
    return hashlib.sha256(f"sealed {digest}".encode()).digest()[0] < 128
