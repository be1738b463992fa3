"""Read files of traffic as a stream of records: JSONL, JSON, CSV, Parquet, and saved `datasets` folders.

A record holds the raw values of one line or row; `traces` makes plain columns of logged calls, and `readers` interprets
them. An unreadable line comes as its reason, and reading goes on.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from itertools import chain, islice
from typing import IO, Any, BinaryIO, NoReturn, cast

import ijson

from distill_tui.dataset import encodings
from distill_tui.dataset.opening import (
    OTHER_OTLP,
    PEEKED,
    Part,
    class_names,
    is_packed,
    item_prefix,
    kind_of,
    reading,
    saved_parts,
)
from distill_tui.dataset.opening import BadInput as BadInput

LINE_LIMIT = 1_000_000  # bytes; a longer line is a mistake, or an attack on our memory
BATCH = 1_000

Record = tuple[int, Mapping[str, object] | str]  # a line and its values, or why it has none

_NOT_UTF8 = object()
_SEP = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


def column_names(part: Part) -> list[str] | None:
    """Return the columns that a part's header or schema names; None where each record names its own."""
    kind = kind_of(part)
    if kind == "csv":
        return _csv_names(part)
    return None if kind in ("jsonl", "json") else _table_names(part, kind)


def row_count(part: Part) -> int:
    """Count the rows of a table, or the lines of a text file (a row of CSV may have several)."""
    kind = kind_of(part)
    if kind == "parquet":
        with _table(part, kind) as file:
            return int(file.metadata.num_rows)
    if kind == "saved":
        return sum(batch.num_rows for path in saved_parts(part.path) for batch in _batches(Part(path), kind, []))
    with reading(part) as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def records(part: Part, columns: list[str] | None = None) -> Iterator[Record]:
    """Stream the records of a part; of a table the given columns, or all. Raises BadInput."""
    kind = kind_of(part)
    if kind == "csv":
        return _csv_records(part)
    if kind == "jsonl":
        return _json_records(part)
    if kind == "json":
        return _items(part)
    there = _table_names(part, kind)
    return _table_records(part, kind, there if columns is None else [name for name in there if name in columns])


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


def _json_records(part: Part) -> Iterator[Record]:
    with reading(part) as file:
        for number, line in enumerate(_lines(file), 1):
            if line is None:
                yield number, "the line is over 1 MB"
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, _json_record(line)


def _items(part: Part) -> Iterator[Record]:
    """Stream the records inside one JSON text: the items of a list, the spans of OTLP, the data of a page."""
    with reading(part) as file:
        prefix = part.inside or item_prefix(file.read(PEEKED).removeprefix(b"\xef\xbb\xbf").lstrip()) or ""
    name = b"" if part.inside else OTHER_OTLP.get(prefix, (b"",))[0]
    number = 0
    for fast in (True, False):  # the fast parser takes no whole numbers of more than 64 bits
        with reading(part) as file:
            watched = _Watched(file, name)
            try:
                items = enumerate(ijson.items(watched, prefix, multiple_values=True, use_float=fast), 1)
                read = number
                for number, value in islice(items, read, None):
                    whole = value if fast else _plain_numbers(value)
                    yield number, whole if isinstance(whole, dict) else f"the item is {kind_word(whole)}, not an object"
                if watched.seen:
                    yield (
                        number + 1,
                        f"the file also holds {name.decode()}, which are not read: write them to their own file",
                    )
                return
            except (ijson.JSONError, UnicodeDecodeError, RecursionError) as error:
                reason = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
                if fast and "overflow" in reason:
                    continue
        yield number + 1, f"the file is not JSON after record {number:,} ({reason}); what follows cannot be read"
        return


class _Watched:
    """A file, and whether a name was among the bytes read."""

    def __init__(self, file: BinaryIO, name: bytes) -> None:
        self._file, self._name, self._end, self.seen = file, name, b"", False

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        if self._name and not self.seen:
            self._end += block
            self.seen, self._end = self._name in self._end, self._end[-len(self._name) :]
        return block


def outer_values(part: Part, name: str) -> Iterator[object]:
    """Stream the values of one entry of the outer objects of a JSON text, as far as it can be read."""
    with reading(part) as file:
        try:
            yield from ijson.items(file, name, multiple_values=True)
        except (ijson.JSONError, UnicodeDecodeError, RecursionError):
            return  # the reader of its records names the place


def _plain_numbers(value: object) -> object:
    """Turn decimals into floats, as in other JSON."""
    if isinstance(value, dict):
        return {name: _plain_numbers(own) for name, own in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(own) for own in value]
    return float(value) if isinstance(value, Decimal) else value


def _json_record(line: bytes) -> Mapping[str, object] | str:
    try:
        value = parse_json(line.rstrip(b"\r\n").decode(), constants=True)
    except UnicodeDecodeError as error:
        return f"the line is not UTF-8 (byte {error.start + 1}); {encodings.cure(line)}"
    except json.JSONDecodeError as error:
        return f"the line is not JSON (column {error.colno}: {error.msg})"
    except RecursionError:
        return "the line is nested too deeply"
    except ValueError as error:
        return str(error)
    return value if isinstance(value, dict) else f"the line is {kind_word(value)}, not an object"


def parse_json(text: str, *, constants: bool = False) -> object:
    """Parse JSON without duplicate keys, and without NaN and Infinity unless `constants`. Raises ValueError."""
    constant = None if constants else _refuse_constant
    return json.loads(text, parse_constant=constant, object_pairs_hook=_each_key_once)


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"the line holds {word}, which is not JSON")


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {short(twice)} comes twice")
    return found


def _csv_records(part: Part) -> Iterator[Record]:
    with reading(part) as file:
        rows = _csv_rows(file, part)
        _, names = next(rows)
        for line, values in rows:
            if isinstance(values, str):
                yield line, values
            elif len(values) != len(names):
                yield line, f"the row has {len(values)} fields where the header has {len(names)}"
            else:
                yield line, dict(zip(names, values, strict=True))


def _csv_names(part: Part) -> list[str]:
    with reading(part) as file:
        _, names = next(_csv_rows(file, part))
    return list(names)


def _csv_rows(file: BinaryIO, part: Part) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each row's first line number with its fields, or with what is wrong; the header comes first, checked."""
    csv.field_size_limit(LINE_LIMIT)
    overlong: list[int] = []
    text = _csv_text(file, overlong)
    header = next(text)
    hint = _SEP.fullmatch(header.strip("\r\n"))  # Excel writes the delimiter into a line of its own
    first = 2 if hint else 1
    header = next(text, "") if hint else header
    if "\r" in header.rstrip("\r\n"):
        raise BadInput(f"{part.name}: its lines end in a carriage return alone. `tr '\\r' '\\n'` converts it.")
    delimiter = hint[1] if hint else _delimiter(header, part)
    reader = csv.reader(chain([header], text), delimiter=delimiter, strict=True)
    line = first
    values: list[str] | str
    while True:
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            values = f"the quoting is broken ({error}; the row runs to line {reader.line_num + first - 1})"
        if overlong:
            values = "the line is over 1 MB"
            overlong.clear()
        if line == first:
            _check_header(values, part)
        if values:
            yield line, values
        line = reader.line_num + first


def _csv_text(file: BinaryIO, overlong: list[int]) -> Iterator[str]:
    """Decode line by line; a byte that is not UTF-8 becomes a lone surrogate, which `readers` reports."""
    for number, line in enumerate(_lines(file), 1):
        if line is None:
            overlong.append(number)
            yield "\n"
        else:
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            yield line.decode(errors="surrogateescape")


def _delimiter(header: str, part: Part) -> str:
    if part.ending == ".tsv":
        return "\t"
    return max(",;\t|", key=header.count)  # of equals the first: the comma


def _check_header(values: list[str] | str, part: Part) -> None:
    if isinstance(values, str):
        raise BadInput(f"{part.name}, line 1: {values}. Write one row of column names that ends in a line feed.")
    if not values or "" in (name.strip() for name in values):
        column = [name.strip() for name in values].index("") + 1 if values else 1
        raise BadInput(f"{part.name}, line 1: column {column} has no name. Name every column.")
    for name in values:
        if values.count(name) > 1:
            raise BadInput(f"{part.name}, line 1: the column {short(name)} comes twice. Rename one.")
        if any("\ud800" <= character <= "\udfff" for character in name):
            cure = encodings.cure(encodings.escaped(name))
            raise BadInput(f"{part.name}, line 1: the header is not UTF-8; {cure}.")


# --- tables: Parquet, and the Arrow files of a saved `datasets` folder


@contextmanager
def _table(part: Part, kind: str) -> Iterator[Any]:
    """Open a Parquet file, or one Arrow file of a saved set. Raises BadInput."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if kind == "saved":
            with pa.memory_map(str(part.path)) as mapped, pa.ipc.open_stream(mapped) as stream:
                yield stream
            return
        with tempfile.TemporaryFile() as whole:
            packed = is_packed(part)
            if packed:  # Parquet is read from its end, so it is decompressed first
                with reading(part) as stream:
                    shutil.copyfileobj(stream, whole)
            with pq.ParquetFile(cast(IO[bytes], whole) if packed else part.path) as file:
                yield file
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:200].rstrip(".") if str(error) else type(error).__name__
        what = "Arrow" if kind == "saved" else "Parquet"
        raise BadInput(f"{part.name} is not a readable {what} file ({reason}). Write it again.") from error


def _table_names(part: Part, kind: str) -> list[str]:
    with _table(Part(saved_parts(part.path)[0]) if kind == "saved" else part, kind) as table:
        return list((table.schema if kind == "saved" else table.schema_arrow).names)


def _batches(part: Part, kind: str, columns: list[str]) -> Iterator[Any]:
    with _table(part, kind) as table:
        if kind == "parquet":
            yield from table.iter_batches(batch_size=BATCH, columns=columns)
            return
        for batch in table:
            yield from (batch.slice(start, BATCH) for start in range(0, batch.num_rows, BATCH))


def _table_records(part: Part, kind: str, columns: list[str]) -> Iterator[Record]:
    """Yield the rows of a table, each class of a saved set by its name."""
    line = 0
    for path in saved_parts(part.path) if kind == "saved" else [part.path]:
        words = class_names(path.parent) if kind == "saved" else {}
        for batch in _batches(Part(path) if kind == "saved" else part, kind, columns):
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
