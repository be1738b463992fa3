"""What the same calls would cost otherwise: the baseline that the student of a cost play must beat.

Published prices, November 2026: TypeSafe System One USD 0.042, OpenAI Decisions USD 0.10 per million input tokens,
output free. Instructions and labels are billed with every call. Decimal only; pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from distill_tui.gates import economics
from distill_tui.gates.currencies import USUAL
from distill_tui.gates.economics import Prices
from distill_tui.gates.wording import money

_MILLION, _THOUSAND = Decimal(1_000_000), Decimal(1000)


@dataclass(frozen=True)
class Alternative:
    """Another way to answer the same calls."""

    name: str
    per_1k: Decimal  # calls


def of(values: Mapping[str, Decimal]) -> tuple[Alternative, ...]:
    """Return the alternatives that a worksheet has prices for, the cheapest first."""
    found = []
    tokens, price = values.get("decision_tokens_per_call"), values.get("decision_price_per_million")
    if tokens is not None and price is not None:
        found.append(Alternative("a typed-decision API", tokens * price * _THOUSAND / _MILLION))
    smaller = values.get("smaller_model_cost_per_1k")
    if smaller is not None:
        found.append(Alternative("a smaller hosted model", smaller))
    return tuple(sorted(found, key=lambda each: each.per_1k))


def saving(prices: Prices, student_per_1k: Decimal, other: Alternative) -> Decimal:
    """Return what the student saves a month against the alternative; negative where it costs more.

    Calls that are sampled or handed back still go to today's teacher, at its price.
    """
    dearer = (prices.teacher_cost_per_1k - other.per_1k) * prices.calls_per_month / _THOUSAND
    return economics.monthly_saving(prices, student_per_1k) - dearer


def break_even_calls(prices: Prices, student_per_1k: Decimal, other: Alternative, months: Decimal) -> Decimal | None:
    """Return from how many calls a month on the build is paid back against the alternative; None where no number is."""
    still_asked = (prices.sample_share + prices.fallback_share) * prices.teacher_cost_per_1k
    each = (other.per_1k - student_per_1k - still_asked) / _THOUSAND
    upkeep = prices.serving_cost_per_month + prices.retrains_per_month * prices.retrain_cost
    return (upkeep + prices.build_cost / months) / each if each > 0 else None


def sentences(values: Mapping[str, Decimal], currency: str = USUAL) -> Iterator[str]:
    """Show what a worksheet's calls would cost otherwise, next to today's bill."""
    calls, teacher = values.get("calls_per_month"), values.get("teacher_cost_per_1k")
    if calls is None or teacher is None:
        return
    today = calls * teacher / _THOUSAND
    for each in of(values):
        monthly = calls * each.per_1k / _THOUSAND
        yield (
            f"{each.name} would cost {money(monthly, currency)} a month for the same calls; the teacher costs "
            f"{money(today, currency)}."
        )
