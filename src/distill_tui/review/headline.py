"""Quality and savings of a play in two lines, as far as they are known: by its evaluation, else by its best student."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from distill_tui.gates import economics
from distill_tui.gates.currencies import USUAL
from distill_tui.gates.deferred import handed_back, together
from distill_tui.gates.economics import Prices
from distill_tui.gates.wording import DASH, money, percent
from distill_tui.review.rates import Rate, rates_of, shares_of
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import worksheet_numbers
from distill_tui.rules.results import train_result
from distill_tui.rules.training import trained
from distill_tui.terms import PlayKind


@dataclass(frozen=True)
class Headline:
    """Quality and savings, as far as they are known."""

    measure: str = "quality"  # accuracy against gold, agreement with the teacher, or the score on validation rows
    student: float | None = None
    teacher: float | None = None
    baseline: float | None = None
    held_out: bool = False  # whether it was measured on the held-out rows
    interval: Rate | None = None  # of the student there, where it was asked for
    saves: Decimal | None = None  # per month
    payback: Decimal | None = None  # months
    currency: str = USUAL
    measured: bool = False  # savings by the student's measured cost; else what it saves at most

    @property
    def on(self) -> str:
        """The split that quality was measured on."""
        return "held-out" if self.held_out else "validation"

    @property
    def quality(self) -> str:
        split = "held-out " if self.held_out else ""
        text = f"{split}{self.measure}  student {percent(self.student)}"
        text += "" if self.teacher is None else f"  teacher {percent(self.teacher)}"
        return text + ("" if self.baseline is None else f"  baseline {percent(self.baseline)}")

    @property
    def savings(self) -> str:
        if self.saves is None:
            return f"saves {DASH}"
        text = f"saves {'' if self.measured else 'at most '}{money(self.saves, self.currency)} per month"
        text += " (measured)" if self.measured else " (worksheet)"
        return text + ("" if self.payback is None else f", pays back in {float(self.payback):.1f} months")

    def lines(self, kind: PlayKind) -> list[str]:
        """Return quality, and for a cost play savings; never one without the other."""
        return [self.quality, *([self.savings] if kind is PlayKind.COST else [])]


def of(dossier: PlayDossier, *, interval: bool = False) -> Headline:
    """Compute quality and savings: of the evaluation where there is one, else of the best student so far.

    The interval imports scipy, so it is computed only where it is shown.
    """
    record, prices, currency = dossier.record, prices_of(dossier), dossier.project.currency
    if record is None:
        saves = economics.monthly_saving(prices, Decimal(0)) if prices else None
        score = _best_score(dossier)
        return Headline("quality" if score is None else "validation score", score, saves=saves, currency=currency)
    served = record
    if dossier.gate is not None:  # what is served, where the gate sends some requests back
        back, served = handed_back(dossier.gate, record), together(dossier.gate, record)
        prices = replace(prices, fallback_share=back) if prices is not None and back is not None else prices
    shares, measure = shares_of(served), "accuracy"
    student, teacher, baseline = shares.student, shares.teacher, shares.baseline
    if student is None:
        measure, student, teacher, baseline = "agreement", shares.agreement, None, None
    rates = rates_of(served) if interval else None
    per_1k, latency = None, record.mean_latency_us
    if prices is not None and latency is not None:
        per_1k = economics.student_cost_per_1k(latency, prices.machine_price_per_hour)
    return Headline(
        measure,
        student,
        teacher,
        baseline,
        held_out=student is not None,
        interval=None if rates is None else rates.student or rates.agreement,
        saves=economics.monthly_saving(prices, per_1k or Decimal(0)) if prices else None,
        payback=economics.payback_months(prices, per_1k) if prices and per_1k is not None else None,
        currency=currency,
        measured=per_1k is not None,
    )


def _best_score(dossier: PlayDossier) -> float | None:
    best = next(iter(trained(dossier)), None)
    result = train_result(best) if best is not None else None
    return result.validation_score if result is not None else None


def prices_of(dossier: PlayDossier) -> Prices | None:
    try:
        return Prices.from_values(worksheet_numbers(dossier))
    except ValueError:
        return None
