"""Measure imported traffic for a trigger's worksheet: calls, tokens, spend and latency by month, and the teacher.

The window is the last whole days of the traffic by its own dates, not by today's. The result holds counts and no row;
money is decimal. `economics` lists the numbers that each kind of play needs.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from distill_tui.dataset.counted import p95
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.traffic import rows, table
from distill_tui.tasks.label_map import alike

DAYS_A_MONTH = Decimal("30.4375")
MOST_DAYS = 90
TOP_SHARE, MOST_PATTERNS = 0.8, 10  # the fewest patterns that make up this share of the calls, and at most so many
TOP_INPUTS = 500  # the commonest inputs that the worksheet counts: as many as a latency play's default gate
_COLUMNS = [
    *("time", "cost", "latency_ms", "tokens_in", "tokens_out"),
    *("segment", "input_digest", "gold", "teacher_output"),
]


@dataclass(frozen=True)
class TokenPrices:
    """Prices of a million tokens, with their source; used for calls without a logged cost."""

    per_million_in: Decimal
    per_million_out: Decimal
    source: str  # such as "price list of the provider, 2026-11-01"


@dataclass(frozen=True)
class Month:
    """One month of the window."""

    month: str  # 2026-11
    calls: int
    tokens: int | None  # in and out
    spend: Decimal | None
    p95_ms: float | None


@dataclass(frozen=True)
class Measured:
    """The measures of the traffic in a window."""

    first_day: str  # ISO 8601, included
    last_day: str  # included
    days: int
    calls: int  # rows in the window, or all of them where none has a time
    undated: int  # rows without a time: outside the window
    months: tuple[Month, ...]
    calls_per_month: Decimal | None
    cost_per_1k: Decimal | None
    priced: str  # the source of the money: logged costs, prices of tokens, both, or empty
    p95_ms: float | None
    patterns: tuple[tuple[str, float], ...]  # the top interaction patterns and their shares of the calls
    pattern_of: str  # what a pattern is: "segment", or "input" (a repeated one)
    judged: int  # rows with a gold label and a teacher's output
    disagreement: float | None  # the share of them on which they differ
    examples: int  # distinct inputs with a gold label
    repeated: float | None = None  # share of the calls that the commonest inputs make up; None where none repeats

    @property
    def top_share(self) -> float | None:
        """The share of the calls that the top patterns make up."""
        return sum(share for _, share in self.patterns) if self.patterns else None


@dataclass
class _Sums:
    calls: int = 0
    tokens: int = 0
    counted: int = 0  # calls with tokens
    spend: Decimal = Decimal(0)
    logged: int = 0  # calls with a cost of their own
    computed: int = 0  # calls with a cost from prices
    latencies: array[float] = field(default_factory=lambda: array("d"))

    def add(self, row: Mapping[str, Any], prices: TokenPrices | None) -> None:
        self.calls += 1
        tokens_in, tokens_out = row["tokens_in"], row["tokens_out"]
        if tokens_in is not None or tokens_out is not None:
            self.tokens += (tokens_in or 0) + (tokens_out or 0)
            self.counted += 1
        if row["cost"] is not None:
            self.spend += Decimal(row["cost"])
            self.logged += 1
        elif prices is not None and tokens_in is not None and tokens_out is not None:
            self.spend += (tokens_in * prices.per_million_in + tokens_out * prices.per_million_out) / 1_000_000
            self.computed += 1
        if row["latency_ms"] is not None:
            self.latencies.append(row["latency_ms"])

    @property
    def paid(self) -> int:
        return self.logged + self.computed

    def month(self, name: str) -> Month:
        spend = self.spend if self.paid else None
        return Month(name, self.calls, self.tokens if self.counted else None, spend, p95(self.latencies))


def measure(files: Sequence[Path], *, days: int = MOST_DAYS, prices: TokenPrices | None = None) -> Measured:
    """Measure the last days of imported traffic, in one pass. Raises BadInput where there is no row."""
    last = _last_day(files)
    since, until = (_text(last - timedelta(days=days - 1)), _text(last + timedelta(days=1))) if last else ("", "")
    months: dict[str, _Sums] = {}
    whole = _Sums()
    segments: Counter[str] = Counter()
    inputs: Counter[str] = Counter()
    examples: set[str] = set()
    undated = judged = differ = 0
    first = until
    for row in rows(files, _COLUMNS):
        time = row["time"]
        if last and not (time and since <= time < until):
            undated += time is None
            continue
        if time:
            first = min(first, time)
            months.setdefault(time[:7], _Sums()).add(row, prices)
        whole.add(row, prices)
        segments[row["segment"] or ""] += 1
        inputs[row["input_digest"]] += 1
        if row["gold"] is not None:
            examples.add(row["input_digest"])
            judged += row["teacher_output"] is not None
            differ += row["teacher_output"] is not None and not alike(row["teacher_output"], row["gold"])
    if not whole.calls:
        raise BadInput("There is no traffic to measure. Import some first.")
    covered = (last - date.fromisoformat(first[:10])).days + 1 if last else 0
    by_segment = len(segments) > 1
    return Measured(
        first_day=first[:10],
        last_day=last.isoformat() if last else "",
        days=covered,
        calls=whole.calls,
        undated=undated,
        months=tuple(months[name].month(name) for name in sorted(months)),
        calls_per_month=(whole.calls / Decimal(covered) * DAYS_A_MONTH).quantize(Decimal(1)) if covered else None,
        cost_per_1k=(whole.spend / whole.paid * 1000).quantize(Decimal("0.0001")) if whole.paid else None,
        priced=_priced(whole, prices),
        p95_ms=p95(whole.latencies),
        patterns=_top(segments if by_segment else inputs, whole.calls),
        pattern_of="segment" if by_segment else "input",
        judged=judged,
        disagreement=differ / judged if judged else None,
        examples=len(examples),
        repeated=_repeated(inputs, whole.calls),
    )


def _last_day(files: Sequence[Path]) -> date | None:
    latest = [pc.max(table(path, ["time"]).column(0)).as_py() for path in files]
    found = max((time for time in latest if time), default=None)
    return date.fromisoformat(found[:10]) if found else None


def _text(day: date) -> str:
    """Format the beginning of a day as traffic stores times."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).isoformat(timespec="microseconds")


def _priced(whole: _Sums, prices: TokenPrices | None) -> str:
    sources = []
    if whole.logged:
        sources.append(f"costs logged with {whole.logged:,} calls")
    if whole.computed and prices:
        sources.append(
            f"{prices.per_million_in:f} in and {prices.per_million_out:f} out a million tokens for {whole.computed:,} "
            f"calls ({prices.source})"
        )
    return " and ".join(sources)


def _top(counted: Counter[str], calls: int) -> tuple[tuple[str, float], ...]:
    """Return the fewest patterns that make up most of the calls, the largest first."""
    found: list[tuple[str, float]] = []
    for name, count in sorted(counted.items(), key=lambda item: (-item[1], item[0]))[:MOST_PATTERNS]:
        if count == 1 or sum(share for _, share in found) >= TOP_SHARE:  # a single call is not a pattern
            break
        found.append((name, count / calls))
    return tuple(found)


def _repeated(inputs: Counter[str], calls: int) -> float | None:
    """Return the share of the calls that the commonest inputs make up; a single call is not a pattern."""
    most = sum(count for _, count in inputs.most_common(TOP_INPUTS) if count > 1)
    return most / calls if most else None


def worksheet(measured: Measured) -> dict[str, Decimal]:
    """Return the worksheet numbers that traffic can supply, by their names in `economics`."""
    days = Decimal(measured.days) if measured.days else None
    top, wrong = measured.repeated, measured.disagreement
    known: dict[str, Decimal | None] = {
        "calls_per_month": measured.calls_per_month,
        "teacher_cost_per_1k": measured.cost_per_1k,
        "window_days": days,
        "days_of_traffic": days,
        "teacher_p95_ms": None if measured.p95_ms is None else Decimal(str(round(measured.p95_ms, 1))),
        "share_of_top_patterns": None if top is None else Decimal(str(round(min(1.0, top), 4))),
        "domain_examples": Decimal(measured.examples) if measured.examples else None,
        "generalist_accuracy": None if wrong is None else Decimal(str(round(1 - wrong, 4))),
    }
    return {name: number for name, number in known.items() if number is not None}


def source(measured: Measured) -> str:
    """Describe the source of the numbers: the dates of the window and the prices used."""
    dates = f"traffic {measured.first_day} to {measured.last_day}" if measured.days else "traffic without times"
    return f"{dates}, {measured.calls:,} calls{'; ' + measured.priced if measured.priced else ''}"
