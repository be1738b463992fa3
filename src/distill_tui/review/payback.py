"""What the student of a cost play is worth, by the locked numbers, its timed runs and the gate's window. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from distill_tui.gates import economics
from distill_tui.gates.deferred import handed_back
from distill_tui.gates.economics import Prices, Swing
from distill_tui.gates.wording import percent
from distill_tui.review.headline import prices_of
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import worksheet_numbers
from distill_tui.terms import Metric, PlayKind


@dataclass(frozen=True)
class Worth:
    """The figures for a finance lead; exact decimals, in the currency of the worksheet."""

    prices: Prices
    teacher_per_1k: Decimal
    student_per_1k: Decimal
    saving: Decimal  # a month
    payback: Decimal | None  # months; None where it never pays back
    window: Decimal  # months that the gate allows
    chance: Decimal | None  # of payback within the window over the locked ranges; None without ranges
    net_present_value: Decimal
    horizon: int  # months
    discount: Decimal  # a year
    least_calls: Decimal | None  # a month: below, it is not paid back in the window
    least_price: Decimal | None  # of 1,000 calls of the teacher: below, it is not paid back in the window
    swings: tuple[Swing, ...]  # what matters most first


def of(dossier: PlayDossier) -> Worth | None:
    """Compute it for a cost play whose student was timed; None where a number is missing."""
    record, gate, prices, numbers = dossier.record, dossier.gate, prices_of(dossier), worksheet_numbers(dossier)
    if record is None or gate is None or prices is None or dossier.play.kind is not PlayKind.COST:
        return None
    latency = record.mean_latency_us
    window = next((each.threshold for each in gate.criteria if each.metric is Metric.PAYBACK), None)
    if latency is None or window is None or window <= 0:
        return None
    back = handed_back(gate, record)
    prices = prices if back is None else replace(prices, fallback_share=back)
    per_1k = economics.student_cost_per_1k(latency, prices.machine_price_per_hour)
    horizon = int(numbers.get("horizon_months", economics.HORIZON_MONTHS))
    discount = numbers.get("discount_per_year", economics.DISCOUNT_PER_YEAR)
    ranges = [each for each in gate.ranges if hasattr(prices, each.name)]
    return Worth(
        prices=prices,
        teacher_per_1k=prices.teacher_cost_per_1k,
        student_per_1k=per_1k,
        saving=economics.monthly_saving(prices, per_1k),
        payback=economics.payback_months(prices, per_1k),
        window=window,
        chance=economics.chance_of_payback(prices, latency, window, ranges, gate.seed) if ranges else None,
        net_present_value=economics.net_present_value(prices, per_1k, horizon, discount),
        horizon=horizon,
        discount=discount,
        least_calls=economics.break_even_calls(prices, per_1k, window),
        least_price=economics.break_even_price(prices, per_1k, window),
        swings=tuple(economics.tornado(prices, latency, window, ranges)),
    )


def sentences(worth: Worth) -> Iterator[str]:
    yield (
        f"1,000 calls cost {worth.teacher_per_1k:,.2f} with the teacher and {worth.student_per_1k:,.4f} with the "
        f"student: {worth.saving:,.2f} saved per month after upkeep and sampling."
    )
    pays = "does not pay back" if worth.payback is None else f"pays back in {worth.payback:,.1f} months"
    odds = "" if worth.chance is None else f", with a chance of {percent(float(worth.chance))} over the locked ranges"
    yield f"The build of {worth.prices.build_cost:,.2f} {pays}; the gate allows {worth.window:f}{odds}."
    yield (
        f"Net present value over {worth.horizon} months at {percent(float(worth.discount))} per year: "
        f"{worth.net_present_value:,.2f}."
    )
    if worth.least_calls is not None and worth.least_price is not None:
        fall = 1 - worth.least_price / worth.teacher_per_1k if worth.teacher_per_1k else Decimal(0)
        yield (
            f"Break-even within the window: {worth.least_calls:,.0f} calls per month, or a teacher's price of "
            f"{worth.least_price:,.3f} per 1,000 calls ({percent(float(fall), 0)} less than now)."
        )
    most = worth.swings[0]
    yield (
        f"Most sensitive input: {most.name}. From {plainly(most.low)} to {plainly(most.high)} it moves the net after "
        f"{worth.window:f} months from {most.net_at_low:,.0f} to {most.net_at_high:,.0f}."
    )


def plainly(number: Decimal) -> str:
    return f"{number:,f}".rstrip("0").rstrip(".") if number != number.to_integral_value() else f"{number:,.0f}"
