"""Traffic files of every shape, and their import."""

from __future__ import annotations

import json
from pathlib import Path

from distill_tui.dataset import traffic
from distill_tui.dataset.readers import ColumnMapping

EVERY = ColumnMapping("input", "teacher_output", "probs", "gold", "segment", "group", "time", "cost", "latency_ms")


def file_of(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def jsonl(folder: Path, rows: list[dict[str, object]], name: str = "rows.jsonl") -> Path:
    return file_of(folder, name, "".join(json.dumps(row) + "\n" for row in rows))


def imported(folder: Path, rows: list[dict[str, object]], name: str = "rows") -> Path:
    out = folder / f"{name}.parquet"
    source = jsonl(folder, rows, f"{name}.jsonl")
    held = {key for row in rows for key in row}
    known = {field: column for field, column in vars(EVERY).items() if column in held}
    traffic.import_traffic(source, ColumnMapping(**known), out)
    return out
