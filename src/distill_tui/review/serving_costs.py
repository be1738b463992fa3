"""What it costs to run a student, next to its teacher: latency with its spread, cold start, memory, rate, size. Pure.

Each number has its source. Nothing here decides; the gate does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import median

from distill_tui.gates.record import TIMED, Record
from distill_tui.gates.statistics import sample_rank
from distill_tui.gates.wording import milliseconds

QUANTILES = (0.5, 0.95, 0.99)
MEASURED, FROM_WORKSHEET = "measured here", "p95 from the worksheet, not measured here"


@dataclass(frozen=True)
class Spread:
    """A quantile of latency in milliseconds: the median of the runs, and the lowest and highest run.

    Between these lies the median of all runs that could be made with probability 1 - 2 / 2^n: of five runs, 94%
    (the sign test's interval). Requests within a run depend on each other, so that no interval is taken from them.
    """

    middle: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Cost:
    """What it takes to run one of student, teacher and baseline, as far as that is known."""

    name: str
    parameters: int | None
    bytes: int | None
    passes: int
    quantiles: Mapping[float, Spread]
    cold_start_ms: float | None  # from the start of Python to the first answer, by the program in the model card
    peak_mb: float | None  # of that program, its libraries included
    rows_per_second: Mapping[int, int] = field(default_factory=dict)  # batch size -> texts a second
    source: str = ""  # where its latency comes from

    @property
    def p95_ms(self) -> float | None:
        return self.quantiles[0.95].middle if 0.95 in self.quantiles else None


def costs(record: Record) -> tuple[Cost, ...]:
    found = [_cost(record, name) for name in TIMED]
    return tuple(each for each in found if each.source or each.bytes)


def sentences(found: Sequence[Cost], machine: Mapping[str, str | int]) -> Iterator[str]:
    """Yield what a table of costs does not hold: sources, spreads, rates, and the machine."""
    for each in found:
        facts = list(_facts(each))
        if facts:
            yield f"{each.name}: {'; '.join(facts)}."
    if found and not any(each.name == "teacher" and each.source for each in found):
        yield "teacher: its latency is unknown. It was not timed here, and the worksheet has no p95 of it."
    about = ", ".join(_about(name, value) for name, value in sorted(machine.items()))
    if about:
        yield f"Measured one request at a time on: {about}."


def _about(name: str, value: object) -> str:
    return f"load {int(str(value)) / 100:.2f}" if name == "load_x100" else f"{name} {value}"


def _facts(cost: Cost) -> Iterator[str]:
    for quantile, spread in cost.quantiles.items() if cost.passes > 1 else ():
        low, high = (milliseconds(each).removesuffix(" ms") for each in (spread.lowest, spread.highest))
        yield f"p{round(100 * quantile)} {milliseconds(spread.middle)} ({low}–{high} in {cost.passes} runs)"
    if cost.source:
        yield cost.source
    if cost.rows_per_second:
        rates = ", ".join(f"{rate:,} at batch {size}" for size, rate in sorted(cost.rows_per_second.items()))
        yield f"texts per second: {rates}"
    if cost.cold_start_ms is not None and cost.peak_mb is not None:
        yield f"cold start {cost.cold_start_ms:,.0f} ms, peak memory {cost.peak_mb:,.0f} MB, libraries included"


def _cost(record: Record, name: str) -> Cost:
    runs = [sorted(run) for run in record.latency_us.get(name, ()) if run]
    running = record.running.get(name, {})
    worksheet = record.payback_inputs.get("teacher_p95_ms") if name == "teacher" else None
    source, quantiles = "", {}
    if runs:
        source, quantiles = MEASURED, {at: _spread(runs, at) for at in QUANTILES}
    elif worksheet is not None:
        source, quantiles = FROM_WORKSHEET, {0.95: Spread(*(float(Decimal(worksheet)),) * 3)}
    cold, peak = running.get("cold_start_us"), running.get("peak_kb")
    return Cost(
        name=name,
        parameters=record.parameters.get(name),
        bytes=record.bytes.get(name),
        passes=len(runs),
        quantiles=quantiles,
        cold_start_ms=None if cold is None else cold / 1000,
        peak_mb=None if peak is None else peak / 1000,
        rows_per_second={int(key[6:]): rate for key, rate in running.items() if key.startswith("batch_")},
        source=source,
    )


def _spread(runs: list[list[int]], quantile: float) -> Spread:
    each = [run[sample_rank(len(run), quantile) - 1] / 1000 for run in runs]
    return Spread(median(each), min(each), max(each))
