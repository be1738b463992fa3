"""Read a time as files write it: ISO 8601, numbers since 1970, dates as numbers, Excel's serial days. Pure.

Of the ways to read a number only one gives a time between 2010 and now: the ranges do not overlap. A time that is
outside in every way is questioned, not read as 1970.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

EARLIEST = datetime(2010, 1, 1, tzinfo=UTC)
ISO = "ISO 8601"
UNITS = (("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))
EXCEL = datetime(1899, 12, 30, tzinfo=UTC)  # day 0 of Excel's serial days, as of 1900-03-01
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"[0-9]{4,19}(\.[0-9]+)?")
_WRITTEN = {
    6: "%Y%m",
    8: "%Y%m%d",
    10: "%Y%m%d%H",
    12: "%Y%m%d%H%M",
    14: "%Y%m%d%H%M%S",
}  # digits of a date written as a number


@dataclass(frozen=True)
class Time:
    """A moment, UTC, and the form in which it was written."""

    moment: datetime
    form: str

    @property
    def usual(self) -> bool:
        """Whether nothing was guessed."""
        return self.form in (ISO, *(f"{unit} since 1970" for unit, _ in UNITS[:2]))

    def problem(self, now: datetime) -> str:
        """Return why the time is unlikely for traffic, or an empty text."""
        if self.moment < EARLIEST:
            return f"before {EARLIEST.year}"
        return "in the future" if self.moment > now + timedelta(days=1) else ""


def read(value: object, now: datetime) -> Time | None:
    """Read a value; None for an empty one. Raises ValueError where it is not a time in any form."""
    if isinstance(value, str):
        value = value.strip()
        if _NUMBER.fullmatch(value):
            value = Decimal(value)
    if value is None or value == "":
        return None
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _number(value, now)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)  # type: ignore[arg-type]
        return Time(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC), ISO)
    except (TypeError, OverflowError):
        raise ValueError("not a time") from None


def _number(value: float | Decimal, now: datetime) -> Time:
    """Choose the way to read a number that gives a likely time; without one, the first way of all."""
    if not math.isfinite(value):
        raise ValueError("not a time")
    ways = list(_ways(value))
    if not ways:
        raise ValueError("not a time")
    return next((way for way in ways if not way.problem(now)), ways[0])


def _ways(value: float | Decimal) -> Iterator[Time]:
    whole = int(value)
    digits = str(whole)
    if value == whole and len(digits) in _WRITTEN:
        with suppress(ValueError):
            moment = datetime.strptime(digits, _WRITTEN[len(digits)]).replace(tzinfo=UTC)
            yield Time(moment, "dates written as numbers")
    exact = Decimal(value)
    seconds_first = abs(exact) <= 10**11  # seconds reach 1e11 in the year 5138
    for unit, size in UNITS if seconds_first else (*UNITS[1:], UNITS[0]):
        with suppress(OverflowError):
            yield Time(_UNIX + timedelta(microseconds=round(exact * 10**6 / size)), f"{unit} since 1970")
    with suppress(OverflowError):
        yield Time(EXCEL + timedelta(milliseconds=round(exact * 86_400_000)), "serial days of Excel")
