"""How long a served log is kept: its oldest segments go beyond an age or a size, once they were taken.

A segment goes only after `observe` has read it to its end, and before a student is live only after `import` has too.
The newest always stays. A record in the log names what goes; it is written before the segment is deleted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from distill_tui.serving.served_log import ServedLog, segments
from distill_tui.store.artifacts import sync_folder
from distill_tui.store.gateway import Place, place

DAY = 86_400


@dataclass(frozen=True)
class Keep:
    """What a served log is kept to."""

    days: float = 90.0  # since a segment's last record; 0: any age
    bytes: int = 20_000_000_000  # of all segments; 0: any size


@dataclass(frozen=True)
class Segment:
    """A segment that may go, and why."""

    path: Path
    number: int
    bytes: int
    why: str  # age or size


@dataclass(frozen=True)
class Found:
    """How a served log stands to what it is kept to."""

    segments: int = 0
    bytes: int = 0
    gone: int = 0  # segments that are no longer there
    may_go: tuple[Segment, ...] = ()  # oldest first
    waits: int = 0  # segments beyond the limits that were not taken
    waits_for: str = ""  # the use that has not taken them


def look(folder: Path, keep: Keep, uses: Sequence[str], now: float) -> Found:
    """Find what may go: `uses` must have read a segment to its end."""
    there = [(path, int(path.stem), path.stat()) for path in segments(folder)]
    whole = left = sum(state.st_size for _, _, state in there)
    may_go: list[Segment] = []
    waits, waits_for, places = 0, "", {use: place(folder, use) for use in uses}
    for path, number, state in there[:-1]:
        why = _beyond(keep, now - state.st_mtime, left)
        if not why:
            break
        left -= state.st_size
        lacking = _lacking(places, (number, state.st_size))
        if lacking:
            waits, waits_for = waits + 1, waits_for or lacking
        else:
            may_go.append(Segment(path, number, state.st_size, why))
    gone = there[0][1] - 1 if there else 0
    return Found(len(there), whole, gone, tuple(may_go), waits, waits_for)


def _beyond(keep: Keep, age: float, left: int) -> str:
    """Return which limit the oldest segment is beyond; empty for none."""
    if keep.days and age > keep.days * DAY:
        return "age"
    return "size" if keep.bytes and left > keep.bytes else ""


def _lacking(places: dict[str, Place], end: Place) -> str:
    """Return a use that has not read up to the end of a segment; empty where all have."""
    return next((use for use, at in places.items() if at < end), "")


def record(segment: Segment) -> dict[str, object]:
    """Return what the log keeps of a segment that goes: how many records, of when. Raises OSError."""
    count, first, last = 0, b"", b""
    with segment.path.open("rb") as file:
        for line in file:
            count, first, last = count + 1, first or line, line
    return {
        "kind": "removed",
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "segment": segment.number,
        "records": count,
        "bytes": segment.bytes,
        "from": _time(first),
        "until": _time(last),
        "why": segment.why,
    }


def sentence(told: Mapping[str, object]) -> str:
    """Word the record of a segment that went."""
    of = f"{told['records']:,} records, {int(str(told['bytes'])) / 1e6:,.1f} MB, until {told['until'] or 'unknown'}"
    return f"segment {told['segment']} of the served log was deleted by its {told['why']}: {of}."


def _time(line: bytes) -> str:
    with suppress(ValueError, TypeError, KeyError):
        return str(json.loads(line)["time"])
    return ""


def remove(log: ServedLog, found: Found) -> Iterator[dict[str, object]]:
    """Delete what may go, oldest first; yield the record of each. Raises OSError.

    On a full disk the record is written after the deletion, which makes room for it.
    """
    for segment in found.may_go:
        told = record(segment)
        written = log.note(told)
        segment.path.unlink(missing_ok=True)
        if not written:
            log.note(told)
        yield told
    if found.may_go:
        sync_folder(log.folder)


class Retention:
    """Keeps the served log of one play to its limits."""

    def __init__(self, log: ServedLog, keep: Keep) -> None:
        self.log, self.keep = log, keep
        self.found = Found()
        self.trouble = ""

    def run(self, uses: Sequence[str]) -> list[dict[str, object]]:
        """Delete what may go; return the records of it. `trouble` names what cannot be deleted."""
        removed: list[dict[str, object]] = []
        try:
            removed += remove(self.log, look(self.log.folder, self.keep, uses, time.time()))
            self.found, self.trouble = look(self.log.folder, self.keep, uses, time.time()), ""
        except OSError as error:
            self.trouble = f"Old segments of the served log cannot be deleted: {error.strerror or error}."
        return removed

    @property
    def wrong(self) -> list[str]:
        """Return what an operator should know."""
        waits, use = self.found.waits, self.found.waits_for
        late = (
            f"{waits:,} segments of the served log are older, or more, than it keeps, and `{use}` has not taken them."
        )
        return [each for each in (self.trouble, late if waits else "") if each]

    def values(self) -> dict[str, object]:
        found = self.found
        limits = {"days": self.keep.days or None, "bytes": self.keep.bytes or None}
        return {"segments": found.segments, "bytes": found.bytes, "removed": found.gone, "waits": found.waits} | {
            "keep": limits
        }
