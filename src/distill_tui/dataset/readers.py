"""Read the mapped columns of a file as rows of traffic. A bad row comes as a reject with its reason; reading goes on.

`records` opens the files, `traffic` stores the rows. Text in a file is untrusted: it is never run, followed or shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from distill_tui.dataset.records import (
    LINE_LIMIT,
    PEEK,
    BadInput,
    Record,
    column_names,
    kind_of,
    kind_word,
    listed,
    parse_json,
    records,
    short,
)
from distill_tui.rules.results import Reject

MOST_TOKENS = 1_000_000_000  # of one call
PROBABILITY_SLACK = 0.01  # teachers print rounded probabilities

SYNONYMS = {
    "input": ("chat_input", "input", "text", "prompt", "query", "question", "message", "content"),
    "teacher_output": (
        "chat_output",
        "teacher_output",
        "teacher",
        "output",
        "completion",
        "response",
        "answer",
        "prediction",
    ),
    "teacher_probabilities": ("teacher_probabilities", "probabilities", "probs", "soft_labels", "scores"),
    "gold": ("gold", "label", "human", "human_label", "gold_label", "target", "expected"),
    "segment": ("segment", "domain", "locale", "language", "category"),
    "group": (
        "group",
        "chat_group",
        "conversation_id",
        "document_id",
        "session_id",
        "thread_id",
        "user_id",
        "customer_id",
    ),
    "time": ("time", "chat_time", "timestamp", "created", "created_at", "date"),
    "cost": ("cost", "price", "cost_usd"),
    "latency_ms": ("latency_ms", "latency", "duration_ms"),
    "tokens_in": ("chat_tokens_in", "tokens_in", "prompt_tokens", "input_tokens"),
    "tokens_out": ("chat_tokens_out", "tokens_out", "completion_tokens", "output_tokens"),
}

Probabilities = dict[str, float] | list[float]


@dataclass(frozen=True)
class ColumnMapping:
    """The names of a file's columns by their meaning; only the input is required."""

    input: str
    teacher_output: str | None = None
    teacher_probabilities: str | None = None  # an object label → p, or a list in the order of the task's labels
    gold: str | None = None
    segment: str | None = None
    group: str | None = None  # the conversation, customer or document: rows that must stay in one split
    time: str | None = None  # ISO 8601, or seconds or milliseconds since 1970; UTC where no zone is given
    cost: str | None = None
    latency_ms: str | None = None
    tokens_in: str | None = None  # of the prompt, as the teacher counted and charged them
    tokens_out: str | None = None

    def columns(self) -> list[str]:
        """Return the names of the columns in use, each once."""
        return list(dict.fromkeys(name for name in (getattr(self, field.name) for field in fields(self)) if name))


@dataclass(frozen=True)
class TrafficRow:
    """One call of the teacher, or one example. `line` is the line in the file, or the row of a Parquet file, from 1."""

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
    tokens_in: int | None = None
    tokens_out: int | None = None


class _BadRow(Exception):
    """The reason why a row is rejected."""


def guess_mapping(path: Path) -> ColumnMapping:
    """Find the columns by their usual names. Raises BadInput where none looks like the input."""
    names = column_names(path)
    known = {name.casefold(): name for name in reversed(names)}
    found = {part: next((known[word] for word in words if word in known), None) for part, words in SYNONYMS.items()}
    if found["input"] is None:
        raise BadInput(f"{path.name} has no column that looks like the input. Name it: {listed(names)}.")
    return ColumnMapping(**found)  # type: ignore[arg-type]


def read_rows(path: Path, mapping: ColumnMapping) -> Iterator[TrafficRow | Reject]:
    """Stream the rows of a file; an unusable row comes as a Reject.

    Raises BadInput for an unusable file: at once, or at the end where a JSONL file has no row with a wanted column.
    """
    names = column_names(path) if kind_of(path) != "jsonl" else []
    for wanted in mapping.columns() if names else ():
        if names.count(wanted) != 1:
            problem = "no column" if wanted not in names else "more than one column"
            raise BadInput(f"{path.name} has {problem} '{wanted}'; it has {listed(names)}.")
    return _rows(path, mapping, records(path, mapping.columns()))


@dataclass(frozen=True)
class Preview:
    """The beginning of a file as an import would read it."""

    columns: list[str]  # of the file
    rows: list[dict[str, object]]  # without empty values
    rejects: list[Reject]
    sampled: int  # rows that were read


def preview(path: Path, mapping: ColumnMapping, *, shown: int = 5, sampled: int = 200) -> Preview:
    """Read the beginning of a file as an import would, without storing it. Raises BadInput."""
    rows: list[dict[str, object]] = []
    rejects: list[Reject] = []
    looked = 0
    for row, _ in zip(read_rows(path, mapping), range(sampled), strict=False):
        looked += 1
        if isinstance(row, Reject):
            rejects.append(row)
        elif len(rows) < shown:
            rows.append({name: value for name, value in vars(row).items() if value is not None})
    return Preview(column_names(path), rows, rejects, looked)


def _rows(path: Path, mapping: ColumnMapping, records: Iterator[Record]) -> Iterator[TrafficRow | Reject]:
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
        raise BadInput(f"{path.name} has a header and no rows. Give a file with at least one row.")
    if unseen and names:
        raise BadInput(f"{path.name} has no column '{min(unseen)}'; it has {listed(list(names))}.")


def _row(line: int, record: Mapping[str, object], mapping: ColumnMapping) -> TrafficRow:
    def value(name: str | None) -> object:
        return None if name is None else record.get(name)

    latency = _amount(value(mapping.latency_ms), "latency")
    return TrafficRow(
        line,
        _input(value(mapping.input), mapping.input),
        _word(value(mapping.teacher_output), mapping.teacher_output),
        _probabilities(value(mapping.teacher_probabilities)),
        _word(value(mapping.gold), mapping.gold),
        _word(value(mapping.segment), mapping.segment),
        _word(value(mapping.group), mapping.group),
        _time(value(mapping.time)),
        _amount(value(mapping.cost), "cost"),
        None if latency is None else float(latency),
        _tokens(value(mapping.tokens_in)),
        _tokens(value(mapping.tokens_out)),
    )


# --- values


def _input(value: object, name: str) -> str:
    if value is None:
        raise _BadRow(f"the input ('{name}') is missing")
    if not isinstance(value, str):
        raise _BadRow(f"the input is {kind_word(value)}, not text")
    if not value.strip():
        raise _BadRow("the input is empty")
    return _clean(value, "the input")


def _word(value: object, name: str | None) -> str | None:
    """Read a label, a name or an output, stripped; an empty one is None."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if value is None or isinstance(value, str):
        return _clean(value.strip(), f"'{name}'") or None if value else None
    raise _BadRow(f"'{name}' is {kind_word(value)}, not text")


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
        raise _BadRow(f"the {what} {short(value)} is not a number") from None
    if not number.is_finite():
        raise _BadRow(f"the {what} {short(value)} is not finite")
    if number and abs(number.adjusted()) > 30:  # printing an exponent of a million would take all memory
        raise _BadRow(f"the {what} {short(value)} is out of range")
    return number


def _amount(value: object, what: str) -> Decimal | None:
    amount = _number(value, what)
    if amount is not None and amount < 0:
        raise _BadRow(f"the {what} {short(value)} is negative")
    return amount


def _tokens(value: object) -> int | None:
    tokens = _number(value, "number of tokens")
    if tokens is not None and (tokens < 0 or tokens != int(tokens) or tokens > MOST_TOKENS):
        raise _BadRow(f"the number of tokens {short(value)} is not a whole number of 0 or more")
    return None if tokens is None else int(tokens)


def _time(value: object) -> datetime | None:
    if isinstance(value, str):
        value = value.strip()
        if re.fullmatch(r"[0-9]{9,13}(\.[0-9]+)?", value):  # fewer digits are a date like 20261124
            value = float(value)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            # seconds reach 1e11 in the year 5138: larger numbers are milliseconds
            return datetime.fromtimestamp(value / 1000 if abs(value) > 1e11 else value, UTC)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)  # type: ignore[arg-type]
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, OSError):
        raise _BadRow(f"the time {short(value)} is not an ISO 8601 time") from None


def _probabilities(value: object) -> Probabilities | None:
    if isinstance(value, str):
        if not value.strip():
            return None
        try:
            value = parse_json(value)
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
        raise _BadRow(f"the probability {short(value)} is not a number")
    try:
        share = float(value)
    except OverflowError:
        share = math.inf
    if not 0 <= share <= 1 + PROBABILITY_SLACK:
        raise _BadRow(f"the probability {short(value)} is outside 0 to 1")
    return share


def _whole(probabilities: Probabilities, shares: list[float]) -> Probabilities:
    if not abs(math.fsum(shares) - 1) <= PROBABILITY_SLACK + 1e-9:
        raise _BadRow(f"the probabilities sum to {math.fsum(shares):.4g}, not to 1")
    return probabilities
