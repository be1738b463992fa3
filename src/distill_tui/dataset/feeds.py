"""A feed of production: imported traffic with the application's own ids, its dates checked, late answers joined to it.

A late answer comes after its input: by the id that the input came with, or with the input and its day once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from distill_tui.dataset import readers, traffic
from distill_tui.dataset.opening import BadInput, Source, source_name
from distill_tui.dataset.readers import ColumnMapping, TrafficRow
from distill_tui.dataset.records import short
from distill_tui.dataset.traces.call_mapping import DEFAULT, CallMapping
from distill_tui.rules.results import ImportReport, Reject

SCHEMA = traffic.SCHEMA.append(pa.field("id", pa.string()))
AHEAD = timedelta(days=1)  # that a time may lie ahead of this clock: zones, and clocks that differ


def mapping_of(source: Source, template: str = "") -> ColumnMapping:
    """Find the columns of a feed; one with ids and answers and without inputs holds late answers. Raises BadInput."""
    names = readers.column_names(source)
    known = {name.casefold(): name for name in reversed(names)}
    own = next((known[word] for word in readers.IDS if word in known), None)
    try:
        return replace(readers.guess_mapping(source, template), id=own)
    except BadInput:
        words = {
            part: next((known[word] for word in readers.SYNONYMS[part] if word in known), None) for part in ANSWERS
        }
        if own is None or not any(words.values()):
            raise
        return ColumnMapping("", id=own, **words)  # type: ignore[arg-type]


ANSWERS = ("teacher_output", "teacher_probabilities", "gold")


@dataclass(frozen=True)
class Earlier:
    """A feed that was imported before: its file, and when it came in."""

    path: Path
    received_at: str


def import_feed(
    source: Source,
    mapping: ColumnMapping,
    out: Path,
    *,
    calls: CallMapping = DEFAULT,
    since: str,
    earlier: Sequence[Earlier] = (),
) -> ImportReport:
    """Import a feed. Rows of the future are rejected, and those before the day `since` unless any time is taken.

    Answers without inputs (a mapping with an id and no input) take inputs, days and segments from the earlier feeds.
    Raises BadInput.
    """
    now = datetime.now(UTC)
    named = {} if mapping.input else _by_id(source, mapping, earlier)
    reading = replace(mapping, any_time=True)  # dates are questioned here, by the ship

    def checked(row: TrafficRow) -> TrafficRow | Reject:
        if not mapping.input:
            found = named.get(row.id or "")
            if found is None:
                return Reject(row.line, f"no observed row has the id {_quoted(row.id)}")
            if isinstance(found, str):
                return Reject(row.line, found)
            row = replace(found, line=row.line, file=row.file, **{name: getattr(row, name) for name in ANSWERS})
        reason = _odd_time(row, mapping, now, since)
        return Reject(row.line, reason) if reason else row

    return traffic.import_traffic(source, reading, out, calls=calls, checked=checked, schema=SCHEMA)


def _odd_time(row: TrafficRow, mapping: ColumnMapping, now: datetime, since: str) -> str:
    """Return why a row of this date cannot be traffic of a live student; empty where it can."""
    if row.time is None:
        return ""
    day = row.time.date().isoformat()
    if row.time > now + AHEAD:
        return f"'{mapping.time}' lies in the future: {day}"
    if day < since and not mapping.any_time:
        return f"'{mapping.time}' lies before the ship; --any-time takes such rows, as in a replay: {day}"
    return ""


def _by_id(source: Source, mapping: ColumnMapping, earlier: Iterable[Earlier]) -> dict[str, TrafficRow | str]:
    """Find the observed rows that a file of answers names; where an id names several, the reason instead."""
    wanted = {row.id for row in readers.read_rows(source, mapping) if isinstance(row, TrafficRow)} - {None}
    if not wanted:
        raise BadInput(f"{source_name(source)} has answers and no input, and no id to join them by. Name it with --id.")
    found: dict[str, TrafficRow | str] = {}
    for feed in earlier:
        with pq.ParquetFile(feed.path) as file:
            if "id" not in file.schema_arrow.names:
                continue
        for each in traffic.rows([feed.path], ("id", "input", "segment", "group", "time")):
            if each["id"] in wanted:
                row, before = _row_of(each, feed.received_at), found.get(each["id"])
                same = before is None or (isinstance(before, TrafficRow) and _same(before, row))
                found[each["id"]] = (before or row) if same else f"the id {_quoted(each['id'])} is of several rows"
    return found


def _row_of(each: Mapping[str, str | None], received: str) -> TrafficRow:
    time = datetime.fromisoformat(each["time"] or received)
    return TrafficRow(0, each["input"] or "", segment=each["segment"], group=each["group"], time=time, id=each["id"])


def _same(one: TrafficRow, other: TrafficRow) -> bool:
    assert one.time is not None and other.time is not None
    return (one.input, one.time.date()) == (other.input, other.time.date())


def _quoted(value: str | None) -> str:
    return f"“{short(value)}”" if value else "“” (empty)"
