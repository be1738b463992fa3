"""What a reader of one tool's logs is: how its records are recognised, and how one is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from distill_tui.dataset.traces.call import Call, PassedOver
from distill_tui.dataset.traces.messages import Message


@dataclass(frozen=True)
class Question:
    """The messages of a call whose answer stands in another file, or on another line."""

    key: str
    messages: tuple[Message, ...]
    model: str = ""


@dataclass(frozen=True)
class Score:
    """A person's label for a call that stands in another file."""

    span: str
    label: str


@dataclass(frozen=True)
class Event:
    """What a log record holds of a call whose span may stand in another file: all of it, a half, or one message."""

    key: str
    call: Call
    whole: bool = True  # not one message of several
    half: str = ""  # why it is not a row without its span

    @property
    def alone(self) -> Call | str:
        return self.half or self.call


Found = Call | Question | Score | Event | PassedOver | str  # a str is the reason why the record is rejected


@dataclass(frozen=True)
class Format:
    """One kind of log."""

    name: str
    looks: Callable[[Mapping[str, object]], bool]
    read: Callable[[Mapping[str, object]], Found]
    halves: bool = False  # its records may be questions or scores, to be joined with calls
    keeps: bool = False  # a record's own columns stay next to those of the call


def between(start: object, end: object) -> float | None:
    """Return the milliseconds between two times, as text or datetimes; None where one is missing or not a time."""
    first, last = moment(start), moment(end)
    if first is None or last is None or last < first:
        return None
    return round((last - first).total_seconds() * 1000, 3)


def moment(value: object) -> datetime | None:
    """Read a time as exports write it: ISO 8601 or `YYYY-MM-DD HH:MM:SS.ffffff`, UTC where no zone is given."""
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def text_of(value: object) -> str:
    """Return a plain value as text; "" for none."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
