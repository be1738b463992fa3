"""What the student of a cost play is worth, by the locked numbers, its timed runs and the gate's window. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from distill_tui.gates import alternatives, economics
from distill_tui.gates.alternatives import Alternative
from distill_tui.gates.deferred import handed_back
from distill_tui.gates.economics import Prices, Swing
from distill_tui.gates.wording import money, percent
from distill_tui.review.headline import prices_of
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import worksheet_numbers
from distill_tui.terms import Metric, PlayKind


@dataclass(frozen=True)
class Against:
    """The student next to another way to answer the same calls."""

    other: Alternative
    saving: Decimal  # of the student against it, a month
    least_calls: Decimal | None  # a month: below, the build is not paid back against it in the window


@dataclass(frozen=True)
class Worth:
    """The figures for a finance lead; exact decimals, in the project's currency."""

    currency: str
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
    against: tuple[Against, ...] = ()  # the alternatives to a student, the cheapest first


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
        currency=dossier.project.currency,
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
        against=tuple(
            Against(
                each,
                alternatives.saving(prices, per_1k, each),
                alternatives.break_even_calls(prices, per_1k, each, window),
            )
            for each in alternatives.of(numbers)
        ),
    )


def sentences(worth: Worth) -> Iterator[str]:
    currency = worth.currency
    yield (
        f"1,000 calls cost {money(worth.teacher_per_1k, currency)} with the teacher and "
        f"{money(worth.student_per_1k, currency)} with the student: {money(worth.saving, currency)} saved per month "
        "after upkeep and sampling."
    )
    pays = "does not pay back" if worth.payback is None else f"pays back in {worth.payback:,.1f} months"
    odds = "" if worth.chance is None else f", with a chance of {percent(float(worth.chance))} over the locked ranges"
    yield f"The build of {money(worth.prices.build_cost, currency)} {pays}; the gate allows {worth.window:f}{odds}."
    yield (
        f"Net present value over {worth.horizon} months at {percent(float(worth.discount))} per year: "
        f"{money(worth.net_present_value, currency)}."
    )
    if worth.least_calls is not None and worth.least_price is not None:
        yield (
            f"Break-even within the window: {worth.least_calls:,.0f} calls per month, or a teacher's price of "
            f"{money(worth.least_price, currency)} per 1,000 calls{_than_now(worth.least_price, worth.teacher_per_1k)}."
        )
    yield from (_against(each, currency) for each in worth.against)
    most = worth.swings[0]
    low, high = (written_input(most.name, end, currency) for end in (most.low, most.high))
    yield (
        f"Most sensitive input: {most.name}. From {low} to {high} it moves the net after "
        f"{worth.window:f} months from {money(most.net_at_low, currency)} to {money(most.net_at_high, currency)}."
    )


def _against(each: Against, currency: str) -> str:
    dearer = "saves" if each.saving >= 0 else "costs more by"
    calls = (
        "no number of calls pays the build back against it"
        if each.least_calls is None
        else f"break-even within the window at {each.least_calls:,.0f} calls per month"
    )
    return (
        f"Against {each.other.name} ({money(each.other.per_1k, currency)} per 1,000 calls) the student {dearer} "
        f"{money(abs(each.saving), currency)} per month; {calls}."
    )


def _than_now(price: Decimal, now: Decimal) -> str:
    """Return how far a price is from the present one: lower, or higher where it does not pay back today."""
    if not now or price == now:
        return ""
    away = percent(float(abs(price - now) / now), 0)
    return f" ({away} {'less' if price < now else 'more'} than now)"


def plainly(number: Decimal) -> str:
    return f"{number:,f}".rstrip("0").rstrip(".") if number != number.to_integral_value() else f"{number:,.0f}"


def written_input(name: str, value: Decimal, currency: str) -> str:
    """Write an input of the tornado: calls, or an amount."""
    return plainly(value) if name == "calls_per_month" else money(value, currency)
