"""How a paid endpoint is asked, and what it may cost. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation

from distill_tui.gates.currencies import USUAL

MILLION = 1_000_000
WRITING_MORE = Decimal("0.25")  # of the price of an input token, for one that goes into the cache (Anthropic, 2026)


@dataclass(frozen=True)
class Limits:
    """How an endpoint is asked, and what it may cost; not part of the teacher's description."""

    budget: Decimal = Decimal(0)  # money, in total
    price_in: Decimal = Decimal(0)  # per million tokens
    price_out: Decimal = Decimal(0)
    price_cached: Decimal | None = None  # of input tokens that the provider reads from its cache; None: as the others
    concurrency: int = 4
    per_minute: int = 0  # requests; 0 for no limit
    timeout: float = 60.0  # seconds of one request
    attempts: int = 6
    backoff: float = 0.5  # seconds before the second attempt; doubled each time
    currency: str = USUAL  # of the budget and the prices

    @classmethod
    def read(cls, values: Mapping[str, object]) -> Limits:
        """Read the values of a command, a form or a run's spec; other names are left out. Raises ValueError."""
        kinds = {each.name: type(getattr(cls, each.name)) for each in fields(cls)} | {"price_cached": Decimal}
        try:
            limits = cls(**{name: kinds[name](str(value)) for name, value in values.items() if name in kinds})
        except (ValueError, InvalidOperation):
            raise ValueError("Budget and prices are numbers like 5.00, requests and attempts whole numbers.") from None
        problem = limits.problem()
        if problem:
            raise ValueError(problem)
        return limits

    def problem(self) -> str | None:
        """Return in one sentence why the limits are impossible, or None."""
        for name in ("budget", "price_in", "price_out", "price_cached"):
            value = getattr(self, name)
            if value is None:
                continue
            if not value.is_finite() or value < 0:
                return f"{name} is {value}; it is a number of 0 or more."
        if not 1 <= self.concurrency <= 256 or self.attempts < 1 or self.per_minute < 0 or not self.timeout > 0:
            return "Ask with 1 to 256 requests at once, one attempt or more, and a timeout above 0."
        return None

    def money(self, tokens_in: float, tokens_out: float, cached: int = 0, written: int = 0) -> Decimal:
        """Return the price of a call. Of its input tokens `cached` come from a cache, and `written` go into it."""
        price = self.price_in if self.price_cached is None else self.price_cached
        full = Decimal(tokens_in) - cached + WRITING_MORE * written
        return (full * self.price_in + cached * price + Decimal(tokens_out) * self.price_out) / MILLION
