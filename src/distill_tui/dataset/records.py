"""Read files of traffic as a stream of records: JSONL, CSV, Parquet, gzip of these, and saved `datasets` folders.

A record holds the raw values of one line or row; `readers` interprets them. An unreadable line comes as its reason,
and reading goes on. Paths in a file are not followed: of a saved folder only plain files inside it are opened.
"""

from __future__ import annotations

import csv
import gzip
import json
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO, NoReturn, cast

from distill_tui.dataset import chat

LINE_LIMIT = 1_000_000  # bytes; a longer line is a mistake, or an attack on our memory
PEEK = 1_000  # rows read to find the column names of a file without a header
BATCH = 1_000

Record = tuple[int, Mapping[str, object] | str]  # a line and its values, or why it has none


class BadInput(ValueError):
    """A given file or setting cannot be used; the message names what, where and the cure."""


_NOT_UTF8 = object()


def kind_of(path: Path) -> str:
    """Return `jsonl`, `csv`, `parquet` or `saved` (a folder), by the first bytes and then the name. Raises BadInput."""
    if path.is_dir():
        saved_parts(path)
        return "saved"
    if not path.is_file():
        formats = "JSONL, CSV, Parquet, gzip of one, or a saved `datasets` folder"
        raise BadInput(f"{path.name} is not a file. Give {formats}.")
    with reading(path) as file:
        start = file.read(4096)
    if not start.strip():
        raise BadInput(f"{path.name} is empty. Give a file with at least one row.")
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInput(f"{path.name} is UTF-16. Save it as UTF-8.")
    ending = ending_of(path)
    if ending in (".csv", ".tsv"):
        return "csv"
    first = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first == b"[":
        raise BadInput(f"{path.name}, line 1: this is one JSON list. Write one object on each line (JSONL).")
    if first == b"{" or ending in (".jsonl", ".ndjson"):
        return "jsonl"
    raise BadInput(f"{path.name} is neither JSONL, CSV nor Parquet. Name it .jsonl, .csv or .parquet if it is.")


def ending_of(path: Path) -> str:
    """Return the suffix of a file's name, without `.gz`."""
    name = Path(path.stem) if path.suffix.casefold() == ".gz" else path
    return name.suffix.casefold()


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """Open a file for its bytes, decompressed if it is gzip. Raises BadInput for damaged gzip."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if packed else raw
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadInput(f"{path.name} is damaged gzip ({error}). Compress it again.") from error


def column_names(path: Path) -> list[str]:
    """Return a file's column names (without a header: those of its first 1,000 rows), with those that `chat` adds."""
    kind = kind_of(path)
    if kind == "csv":
        return _csv_names(path)
    there = [] if kind == "jsonl" else _table_names(path, kind)
    if there and not set(there) & set(chat.PARTS):
        return there
    names = dict.fromkeys(there)
    for (_, record), _ in zip(_records(path, kind, there), range(PEEK), strict=False):
        if not isinstance(record, str):
            names.update(dict.fromkeys(record))
    if not names:
        raise BadInput(f"{path.name} holds no JSON object on its first lines. Write one object on each line.")
    return list(names)


def row_count(path: Path) -> int:
    """Count the rows of a table, or the lines of a text file (a row of CSV may have several)."""
    kind = kind_of(path)
    if kind == "parquet":
        with _table(path, kind) as file:
            return int(file.metadata.num_rows)
    if kind == "saved":
        return sum(batch.num_rows for part in saved_parts(path) for batch in _batches(part, kind, []))
    with reading(path) as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def records(path: Path, wanted: list[str]) -> Iterator[Record]:
    """Stream the records of a file, with at least the `wanted` columns. Raises BadInput."""
    kind = kind_of(path)
    if kind == "csv":
        return _csv_records(path)
    columns: list[str] = []
    if kind != "jsonl":
        there = _table_names(path, kind)
        columns = [name for name in there if name in wanted]
        if any(map(chat.needs_parts, wanted)):
            columns += [name for name in there if name in (*chat.PARTS, *chat.CONTEXT) and name not in columns]
    return _records(path, kind, columns)


def _records(path: Path, kind: str, columns: list[str]) -> Iterator[Record]:
    """Stream the records of any format but CSV, with the columns that `chat` adds."""
    for line, record in _json_records(path) if kind == "jsonl" else _table_records(path, kind, columns):
        yield line, record if isinstance(record, str) else chat.flattened(record)


# --- values in messages


def kind_word(value: object) -> str:
    """Name the JSON type of a value."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true or false"
    words = {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object", bytes: "bytes"}
    return words.get(type(value), f"of the type {type(value).__name__}")


def short(value: object) -> str:
    """Quote at most 40 characters of a value; repr escapes control characters."""
    text = repr(value) if isinstance(value, str) else repr(str(value)[:60])[1:-1]
    return text if len(text) <= 40 else text[:37] + "…"


def listed(names: list[str]) -> str:
    """List at most 12 names."""
    shown = ", ".join(short(name) for name in names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown


# --- text: JSONL and CSV


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield each line with its ending; None for a line over the limit, which is never held in memory."""
    while line := file.readline(LINE_LIMIT + 1):
        whole = True
        while len(line) > LINE_LIMIT and not line.endswith(b"\n"):
            whole, line = False, file.readline(LINE_LIMIT + 1)
        yield line if whole else None


def _json_records(path: Path) -> Iterator[Record]:
    with reading(path) as file:
        for number, line in enumerate(_lines(file), 1):
            if line is None:
                yield number, "the line is over 1 MB"
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, _json_record(line)


def _json_record(line: bytes) -> Mapping[str, object] | str:
    try:
        value = parse_json(line.rstrip(b"\r\n").decode())
    except UnicodeDecodeError as error:
        return f"the line is not UTF-8 (byte {error.start + 1})"
    except json.JSONDecodeError as error:
        return f"the line is not JSON (column {error.colno}: {error.msg})"
    except RecursionError:
        return "the line is nested too deeply"
    except ValueError as error:
        return str(error)
    return value if isinstance(value, dict) else f"the line is {kind_word(value)}, not an object"


def parse_json(text: str) -> object:
    """Parse strict JSON: without NaN, Infinity or duplicate keys. Raises ValueError."""
    return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_each_key_once)


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"the line holds {word}, which is not JSON")


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {short(twice)} comes twice")
    return found


def _csv_records(path: Path) -> Iterator[Record]:
    with reading(path) as file:
        rows = _csv_rows(file, path)
        _, names = next(rows)
        for line, values in rows:
            if isinstance(values, str):
                yield line, values
            elif len(values) != len(names):
                yield line, f"the row has {len(values)} fields where the header has {len(names)}"
            else:
                yield line, dict(zip(names, values, strict=True))


def _csv_names(path: Path) -> list[str]:
    with reading(path) as file:
        _, names = next(_csv_rows(file, path))
    return list(names)


def _csv_rows(file: BinaryIO, path: Path) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each row's first line number with its fields, or with what is wrong; the header comes first, checked."""
    csv.field_size_limit(LINE_LIMIT)
    overlong: list[int] = []
    text = _csv_text(file, overlong)
    header = next(text)
    reader = csv.reader(chain([header], text), delimiter=_delimiter(header, path), strict=True)
    line = 1
    values: list[str] | str
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            values = f"the quoting is broken ({error}; the row runs to line {reader.line_num})"
        if overlong:
            values = "the line is over 1 MB"
            overlong.clear()
        if line == 1:
            _check_header(values, path)
        if values:
            yield line, values
        line = reader.line_num + 1


def _csv_text(file: BinaryIO, overlong: list[int]) -> Iterator[str]:
    """Decode line by line; a byte that is not UTF-8 becomes a lone surrogate, which `readers` reports."""
    for number, line in enumerate(_lines(file), 1):
        if line is None:
            overlong.append(number)
            yield "\n"
        else:
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            yield line.decode(errors="surrogateescape")


def _delimiter(header: str, path: Path) -> str:
    if ending_of(path) == ".tsv":
        return "\t"
    return max(",;\t|", key=header.count)  # of equals the first: the comma


def _check_header(values: list[str] | str, path: Path) -> None:
    if isinstance(values, str):
        raise BadInput(f"{path.name}, line 1: {values}. Write one row of column names that ends in a line feed.")
    if not values or "" in (name.strip() for name in values):
        column = [name.strip() for name in values].index("") + 1 if values else 1
        raise BadInput(f"{path.name}, line 1: column {column} has no name. Name every column.")
    for name in values:
        if values.count(name) > 1:
            raise BadInput(f"{path.name}, line 1: the column {short(name)} comes twice. Rename one.")
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise BadInput(f"{path.name}, line 1: the header is not UTF-8. Save the file as UTF-8.")


# --- tables: Parquet, and the Arrow files of a saved `datasets` folder


@contextmanager
def _table(path: Path, kind: str) -> Iterator[Any]:
    """Open a Parquet file, or one Arrow file of a saved set. Raises BadInput."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if kind == "saved":
            with pa.memory_map(str(path)) as mapped, pa.ipc.open_stream(mapped) as stream:
                yield stream
            return
        with reading(path) as packed, tempfile.TemporaryFile() as whole:
            compressed = isinstance(packed, gzip.GzipFile)
            if compressed:  # Parquet is read from its end, so it is decompressed first
                shutil.copyfileobj(packed, whole)
            with pq.ParquetFile(cast(IO[bytes], whole) if compressed else path) as file:
                yield file
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:200].rstrip(".") if str(error) else type(error).__name__
        what = "Arrow" if kind == "saved" else "Parquet"
        raise BadInput(f"{path.name} is not a readable {what} file ({reason}). Write it again.") from error


def _table_names(path: Path, kind: str) -> list[str]:
    with _table(saved_parts(path)[0] if kind == "saved" else path, kind) as table:
        return list((table.schema if kind == "saved" else table.schema_arrow).names)


def _batches(path: Path, kind: str, columns: list[str]) -> Iterator[Any]:
    with _table(path, kind) as table:
        if kind == "parquet":
            yield from table.iter_batches(batch_size=BATCH, columns=columns)
            return
        for batch in table:
            yield from (batch.slice(start, BATCH) for start in range(0, batch.num_rows, BATCH))


def _table_records(path: Path, kind: str, columns: list[str]) -> Iterator[Record]:
    """Yield the rows of a table, each class of a saved set by its name."""
    line = 0
    for part in saved_parts(path) if kind == "saved" else [path]:
        words = _class_names(part.parent) if kind == "saved" else {}
        for batch in _batches(part, kind, columns):
            values = [_named(_values(batch.column(name)), words.get(name)) for name in columns]
            for row in zip(*values, strict=True):
                line += 1
                undecodable = any(value is _NOT_UTF8 for value in row)
                yield line, "the row is not UTF-8" if undecodable else dict(zip(columns, row, strict=True))


def _named(values: list[Any], words: list[str] | None) -> list[Any]:
    """Replace class numbers by names; `datasets` writes -1 for none."""
    if words is None:
        return values
    return [words[value] if isinstance(value, int) and 0 <= value < len(words) else None for value in values]


def saved_parts(folder: Path) -> list[Path]:
    """List the Arrow files of every split in a folder written by `save_to_disk`. Raises BadInput."""
    if (folder / "dataset_dict.json").is_file():
        splits = _json_object(folder / "dataset_dict.json").get("splits")
        return [part for split in _plain_names(splits, folder) for part in saved_parts(folder / split)]
    if not (folder / "state.json").is_file():
        raise BadInput(
            f"{folder.name} is a folder that `save_to_disk` of datasets did not write. Give such a folder, or a file."
        )
    files = _json_object(folder / "state.json").get("_data_files")
    names = [file.get("filename") for file in files if isinstance(file, dict)] if isinstance(files, list) else None
    parts = [folder / name for name in _plain_names(names, folder)]
    for part in parts:
        if part.is_symlink() or not part.is_file():
            raise BadInput(f"{folder.name} names {short(part.name)}, which is not a file in it. Save the set again.")
    return parts


def _plain_names(names: object, folder: Path) -> list[str]:
    """Check that these are names of files in a folder, not paths out of it."""
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names) or not names:
        raise BadInput(f"{folder.name} does not list its files. Save the set again.")
    for name in names:
        if Path(name).name != name or (folder / name).is_symlink():
            raise BadInput(f"{folder.name} names {short(name)}, which is not a plain name. Save the set again.")
    return names


def _json_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError):
        value = None
    if not isinstance(value, dict):
        raise BadInput(f"{path.parent.name}: {path.name} is not readable JSON. Save the set again.")
    return value


def _class_names(folder: Path) -> dict[str, list[str]]:
    """Read the class names of each column of class numbers."""
    features = (
        _json_object(folder / "dataset_info.json").get("features") if (folder / "dataset_info.json").is_file() else None
    )
    found = features.items() if isinstance(features, dict) else ()
    labels = {
        name: each.get("names") for name, each in found if isinstance(each, dict) and each.get("_type") == "ClassLabel"
    }
    return {name: [str(word) for word in words] for name, words in labels.items() if isinstance(words, list)}


def _values(column: Any) -> list[Any]:
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return [_value(scalar) for scalar in column]


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return _NOT_UTF8
