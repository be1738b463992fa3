"""Rows in a file of columns, which is written batch by batch and then read as often as needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BATCH = 10_000  # rows that are read at once


class ColumnFile:
    """A Parquet file for a while. It is complete, and can be read, once it is closed."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema, self._rows = path, schema, 0
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False)

    def __len__(self) -> int:
        return self._rows

    def write(self, rows: Sequence[tuple[object, ...]]) -> None:
        if rows:
            columns = [
                pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), self._schema.types, strict=True)
            ]
            self._writer.write_table(pa.table(columns, self._schema))
            self._rows += len(rows)

    def close(self) -> None:
        self._writer.close()

    def batches(self, names: Sequence[str] = ()) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(self._path) as file:
            yield from file.iter_batches(BATCH, columns=list(names) or None)

    def rows(self, names: Sequence[str] = ()) -> Iterator[tuple[Any, ...]]:
        for batch in self.batches(names):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


@dataclass(frozen=True)
class Column:
    """One column of files, as often as it is asked for."""

    files: Sequence[ColumnFile]
    name: str

    def __len__(self) -> int:
        return sum(map(len, self.files))

    def __iter__(self) -> Iterator[Any]:
        for file in self.files:
            for batch in file.batches([self.name]):
                yield from batch.column(0).to_pylist()
