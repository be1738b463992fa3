"""JSONL, CSV and Parquet, read as one stream of rows: a bad row is set aside with its reason, and reading goes on.

It keeps nothing: `traffic` stores what is read here. Everything in a file is a stranger's text and is only looked
at, never run, followed or shown.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from collections.abc import Mapping as AnyMapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

LINE_LIMIT = 1_000_000  # bytes; a longer line is no example but a mistake, or somebody who wants our memory
PEEK = 1_000  # rows of a JSONL file that are read to learn its column names
PARQUET_BATCH = 1_000
PROBABILITY_SLACK = 0.01  # teachers print rounded probabilities

SYNONYMS = {
    "input": ("input", "text", "prompt", "query", "question", "message", "content"),
    "teacher_output": ("teacher_output", "teacher", "output", "completion", "response", "answer", "prediction"),
    "teacher_probabilities": ("teacher_probabilities", "probabilities", "probs", "soft_labels", "scores"),
    "gold": ("gold", "label", "human", "human_label", "gold_label", "target", "expected"),
    "segment": ("segment", "domain", "locale", "language", "category"),
    "group": ("group", "conversation_id", "document_id", "session_id", "thread_id", "user_id", "customer_id"),
    "time": ("time", "timestamp", "created", "created_at", "date"),
    "cost": ("cost", "price", "cost_usd"),
    "latency_ms": ("latency_ms", "latency", "duration_ms"),
}

Probabilities = dict[str, float] | list[float]


class BadInput(ValueError):
    """Something that a person gave cannot be used; the message is one sentence that says what, where and the cure."""


@dataclass(frozen=True)
class Mapping:
    """Which column of a file holds what; only the input must be there."""

    input: str
    teacher_output: str | None = None
    teacher_probabilities: str | None = None  # an object label → p, or a list in the order of the task's labels
    gold: str | None = None
    segment: str | None = None
    group: str | None = None  # the conversation, customer or document: rows that must stay in one split
    time: str | None = None  # ISO 8601, or seconds or milliseconds since 1970; UTC where no zone is given
    cost: str | None = None
    latency_ms: str | None = None

    def columns(self) -> list[str]:
        """Give the names of the columns in use, each once."""
        return list(dict.fromkeys(name for name in (getattr(self, field.name) for field in fields(self)) if name))


@dataclass(frozen=True)
class TrafficRow:
    """One call of the teacher, or one example; `line` is the line of the file, or the row of a Parquet file, from 1."""

    line: int
    input: str
    teacher_output: str | None = None
    teacher_probabilities: Probabilities | None = None
    gold: str | None = None
    segment: str | None = None
    group: str | None = None
    time: datetime | None = None  # UTC
    cost: Decimal | None = None
    latency_ms: float | None = None


@dataclass(frozen=True)
class Reject:
    """A row that cannot be used, and why."""

    line: int
    reason: str


class _BadRow(Exception):
    """Why a row is set aside."""


_NOT_UTF8 = object()

Record = tuple[int, AnyMapping[str, object] | str]  # a line and its values, or the reason that it has none


def guess_mapping(path: Path) -> Mapping:
    """Find the columns by their usual names. Raises BadInput where none looks like the input."""
    names = column_names(path)
    known = {name.casefold(): name for name in reversed(names)}
    found = {part: next((known[word] for word in words if word in known), None) for part, words in SYNONYMS.items()}
    if found["input"] is None:
        raise BadInput(f"{path.name} has no column that looks like the input; name it: {_listed(names)}.")
    return Mapping(**found)  # type: ignore[arg-type]


def column_names(path: Path) -> list[str]:
    """Give the names of a file's columns (of a JSONL file: those of its first 1,000 rows)."""
    kind = kind_of(path)
    if kind == "csv":
        return _csv_names(path)
    if kind == "parquet":
        return _parquet_names(path)
    names: dict[str, None] = {}
    for (_, record), _ in zip(_json_records(path), range(PEEK), strict=False):
        if not isinstance(record, str):
            names.update(dict.fromkeys(record))
    if not names:
        raise BadInput(f"{path.name} holds no JSON object on its first lines; write one object on each line.")
    return list(names)


def kind_of(path: Path) -> str:
    """Say whether a file is `jsonl`, `csv` or `parquet`, by its first bytes and then its name; else BadInput."""
    if not path.is_file():
        raise BadInput(f"{path.name} is not a file; give a JSONL, CSV or Parquet file.")
    with path.open("rb") as file:
        start = file.read(4096)
    if not start.strip():
        raise BadInput(f"{path.name} is empty; give a file with at least one row.")
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInput(f"{path.name} is UTF-16; save it as UTF-8.")
    ending = path.suffix.casefold()
    if ending in (".csv", ".tsv"):
        return "csv"
    first = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first == b"[":
        raise BadInput(f"{path.name}, line 1: this is one JSON list; write one object on each line (JSONL).")
    if first == b"{" or ending in (".jsonl", ".ndjson"):
        return "jsonl"
    raise BadInput(f"{path.name} is neither JSONL, CSV nor Parquet; name it .jsonl, .csv or .parquet if it is.")


def read_rows(path: Path, mapping: Mapping) -> Iterator[TrafficRow | Reject]:
    """Stream the rows of a file; one that cannot be used comes as a Reject and stops nothing.

    Raises BadInput for a file that cannot be used as a whole: at once where that can be seen, else at the end
    (a JSONL file has no header, so that a column is missing only when no row had it).
    """
    kind = kind_of(path)
    if kind != "jsonl":
        _check_columns(path, mapping, column_names(path))
    if kind == "parquet":
        return _rows(path, mapping, _parquet_records(path, mapping.columns()))
    return _rows(path, mapping, _csv_records(path) if kind == "csv" else _json_records(path))


def _check_columns(path: Path, mapping: Mapping, names: list[str]) -> None:
    for wanted in mapping.columns():
        if names.count(wanted) != 1:
            problem = "no column" if wanted not in names else "more than one column"
            raise BadInput(f"{path.name} has {problem} '{wanted}'; it has {_listed(names)}.")


def _rows(path: Path, mapping: Mapping, records: Iterator[Record]) -> Iterator[TrafficRow | Reject]:
    unseen = set(mapping.columns())
    names: dict[str, None] = {}
    read = 0
    for line, record in records:
        read += 1
        if isinstance(record, str):
            yield Reject(line, record)
            continue
        unseen.difference_update(record)
        if unseen and len(names) < PEEK:
            names.update(dict.fromkeys(record))
        try:
            yield _row(line, record, mapping)
        except _BadRow as bad:
            yield Reject(line, str(bad))
    if not read:
        raise BadInput(f"{path.name} has a header and no rows; give a file with at least one row.")
    if unseen and names:
        raise BadInput(f"{path.name} has no column '{min(unseen)}'; it has {_listed(list(names))}.")


def _row(line: int, record: AnyMapping[str, object], mapping: Mapping) -> TrafficRow:
    def value(name: str | None) -> object:
        return None if name is None else record.get(name)

    return TrafficRow(
        line,
        _input(value(mapping.input), mapping.input),
        _word(value(mapping.teacher_output), mapping.teacher_output),
        _probabilities(value(mapping.teacher_probabilities)),
        _word(value(mapping.gold), mapping.gold),
        _word(value(mapping.segment), mapping.segment),
        _word(value(mapping.group), mapping.group),
        _time(value(mapping.time)),
        _cost(value(mapping.cost)),
        _latency(value(mapping.latency_ms)),
    )


# what one value may be


def _input(value: object, name: str) -> str:
    if value is None:
        raise _BadRow(f"there is no input ('{name}' is missing)")
    if not isinstance(value, str):
        raise _BadRow(f"the input is {_kind(value)}, not text")
    if not value.strip():
        raise _BadRow("the input is empty")
    return _clean(value, "the input")


def _word(value: object, name: str | None) -> str | None:
    """Read a label, a name or an output; the space around it is nobody's meaning, and an empty one is none."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if value is None or isinstance(value, str):
        return _clean(value.strip(), f"'{name}'") or None if value else None
    raise _BadRow(f"'{name}' is {_kind(value)}, not text")


def _clean(text: str, what: str) -> str:
    if "\0" in text:
        raise _BadRow(f"{what} holds a NUL character")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        escaped = any("\udc80" <= character <= "\udcff" for character in text)
        raise _BadRow(
            f"{what} is not UTF-8" if escaped else f"{what} holds half a character (a lone surrogate)"
        ) from None
    if size > LINE_LIMIT:
        raise _BadRow(f"{what} is over 1 MB")
    return text


def _number(value: object, what: str) -> Decimal | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
            raise ValueError
        number = Decimal(str(value).strip())
    except (ValueError, InvalidOperation):
        raise _BadRow(f"the {what} {_short(value)} is not a number") from None
    # an exponent of a million digits is legal to write and would be ruinous to print
    if not number.is_finite() or (number and abs(number.adjusted()) > 30):
        raise _BadRow(f"the {what} {_short(value)} is not a number of any use")
    return number


def _cost(value: object) -> Decimal | None:
    cost = _number(value, "cost")
    if cost is not None and cost < 0:
        raise _BadRow(f"the cost {_short(value)} is negative")
    return cost


def _latency(value: object) -> float | None:
    latency = _number(value, "latency")
    if latency is not None and latency < 0:
        raise _BadRow(f"the latency {_short(value)} is negative")
    return None if latency is None else float(latency)


def _time(value: object) -> datetime | None:
    if isinstance(value, str):
        value = value.strip()
        if re.fullmatch(r"[0-9]{9,13}(\.[0-9]+)?", value):  # fewer digits are a date like 20261124
            value = float(value)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            # seconds reach this size in the year 5138: it is a count of milliseconds
            return datetime.fromtimestamp(value / 1000 if abs(value) > 1e11 else value, UTC)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)  # type: ignore[arg-type]
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        raise _BadRow(f"the time {_short(value)} is no ISO 8601 time") from None


def _probabilities(value: object) -> Probabilities | None:
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            value = _json(value)
        except (ValueError, RecursionError):
            raise _BadRow("the probabilities are not JSON") from None
    if value is None:
        return None
    if isinstance(value, list) and value and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        value = dict(value)  # a Parquet map
    if isinstance(value, dict):
        # a Parquet struct has every field in every row
        named = {_clean(str(label), "a label"): _share(p) for label, p in value.items() if p is not None}
        return _whole(named, list(named.values()))
    if isinstance(value, list):
        shares = [_share(p) for p in value]
        return _whole(shares, shares)
    raise _BadRow("the probabilities are neither an object nor a list")


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _BadRow(f"the probability {_short(value)} is not a number")
    try:
        share = float(value)
    except OverflowError:
        share = math.inf
    if not 0 <= share <= 1 + PROBABILITY_SLACK:
        raise _BadRow(f"the probability {_short(value)} lies outside 0 to 1")
    return share


def _whole(probabilities: Probabilities, shares: list[float]) -> Probabilities:
    if not abs(math.fsum(shares) - 1) <= PROBABILITY_SLACK + 1e-9:
        raise _BadRow(f"the probabilities sum to {math.fsum(shares):.4g}, not to 1")
    return probabilities


def _kind(value: object) -> str:
    """Name what a value is in the words of JSON."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true or false"
    words = {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object", bytes: "bytes"}
    return words.get(type(value), f"of the type {type(value).__name__}")


def _short(value: object) -> str:
    """Quote a value as far as one needs to recognise it; repr escapes what could steer a terminal."""
    text = repr(value) if isinstance(value, str) else repr(str(value)[:60])[1:-1]
    return text if len(text) <= 40 else text[:37] + "…"


def _listed(names: list[str]) -> str:
    shown = ", ".join(_short(name) for name in names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown


# the three kinds of file


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield line by line with its ending; None stands for one over the limit, which is skipped without being held."""
    while line := file.readline(LINE_LIMIT + 1):
        whole = True
        while len(line) > LINE_LIMIT and not line.endswith(b"\n"):
            whole, line = False, file.readline(LINE_LIMIT + 1)
        yield line if whole else None


def _json_records(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file), 1):
            if line is None:
                yield number, "the line is over 1 MB"
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, _json_record(line)


def _json_record(line: bytes) -> AnyMapping[str, object] | str:
    try:
        value = _json(line.rstrip(b"\r\n").decode())
    except UnicodeDecodeError as error:
        return f"the line is not UTF-8 (byte {error.start + 1})"
    except json.JSONDecodeError as error:
        return f"the line is not JSON (column {error.colno}: {error.msg})"
    except RecursionError:
        return "the line is nested too deeply"
    except ValueError as error:
        return str(error)
    return value if isinstance(value, dict) else f"the line is {_kind(value)}, not an object"


def _json(text: str) -> object:
    """Read strict JSON: Python's reader would take NaN, Infinity and a key that comes twice (the last one wins)."""
    return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_each_key_once)


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"the line holds {word}, which is not JSON")


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {_short(twice)} comes twice")
    return found


def _csv_records(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
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
    with path.open("rb") as file:
        _, names = next(_csv_rows(file, path))
    return list(names)


def _csv_rows(file: BinaryIO, path: Path) -> Iterator[tuple[int, list[str] | str]]:
    """Yield the first line of each row with its fields, or with what is wrong; the header comes first, checked."""
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
    """Decode line by line; a byte that is not UTF-8 becomes half a character, which `_clean` knows and names."""
    for number, line in enumerate(_lines(file), 1):
        if line is None:
            overlong.append(number)
            yield "\n"
        else:
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            yield line.decode(errors="surrogateescape")


def _delimiter(header: str, path: Path) -> str:
    if path.suffix.casefold() == ".tsv":
        return "\t"
    return max(",;\t|", key=header.count)  # max keeps the first of equals: the comma


def _check_header(values: list[str] | str, path: Path) -> None:
    if isinstance(values, str):
        raise BadInput(f"{path.name}, line 1: {values}; write one row of column names that ends in a line feed.")
    if not values or "" in (name.strip() for name in values):
        column = [name.strip() for name in values].index("") + 1 if values else 1
        raise BadInput(f"{path.name}, line 1: column {column} has no name; name every column.")
    for name in values:
        if values.count(name) > 1:
            raise BadInput(f"{path.name}, line 1: the column {_short(name)} comes twice; rename one.")
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise BadInput(f"{path.name}, line 1: the header is not UTF-8; save the file as UTF-8.")


def _parquet_names(path: Path) -> list[str]:
    import pyarrow.parquet as pq

    with _as_bad_input(path), pq.ParquetFile(path) as file:
        return list(file.schema_arrow.names)


def _parquet_records(path: Path, columns: list[str]) -> Iterator[Record]:
    import pyarrow.parquet as pq

    line = 0
    with _as_bad_input(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=PARQUET_BATCH, columns=columns):
            values = [_values(batch.column(name)) for name in columns]
            for row in zip(*values, strict=True):
                line += 1
                undecodable = any(value is _NOT_UTF8 for value in row)
                yield line, "the row is not UTF-8" if undecodable else dict(zip(columns, row, strict=True))


@contextmanager
def _as_bad_input(path: Path) -> Iterator[None]:
    """Turn what Parquet says of a broken file into one sentence."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:200].rstrip(".") if str(error) else type(error).__name__
        raise BadInput(f"{path.name} is no readable Parquet file ({reason}); write it again.") from error


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
