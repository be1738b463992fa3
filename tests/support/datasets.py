"""Traffic files of every shape, and their import."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa

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


def saved(folder: Path, rows: list[tuple[str, int]], names: list[str] | None = None, column: str = "label") -> Path:
    """Write a folder as `save_to_disk` of datasets does; a test of `test_intake` holds it to that."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table({"text": [text for text, _ in rows], column: [label for _, label in rows]})
    with (
        pa.OSFile(str(folder / "data-00000-of-00001.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, table.schema) as out,
    ):
        out.write_table(table)
    label = {"names": names, "_type": "ClassLabel"} if names else {"dtype": "int64", "_type": "Value"}
    info = {"features": {"text": {"dtype": "string", "_type": "Value"}, column: label}}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))
    return folder
