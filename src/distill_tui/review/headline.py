"""Quality and savings of a play in two lines, as far as they are known: by its evaluation, else by its best student."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from distill_tui.gates import economics
from distill_tui.gates.deferred import handed_back, together
from distill_tui.gates.economics import Prices
from distill_tui.gates.wording import DASH, money, percent
from distill_tui.review.rates import Rate, rates_of
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
    interval: Rate | None = None  # of the student on the held-out rows
    saves: Decimal | None = None  # per month
    payback: Decimal | None = None  # months
    measured: bool = False  # savings by the student's measured cost; else what it saves at most

    @property
    def on(self) -> str:
        """The split that quality was measured on."""
        return "validation" if self.interval is None else "held-out"

    @property
    def quality(self) -> str:
        text = f"{self.measure}  student {percent(self.student)}"
        text += "" if self.teacher is None else f"  teacher {percent(self.teacher)}"
        return text + ("" if self.baseline is None else f"  baseline {percent(self.baseline)}")

    @property
    def savings(self) -> str:
        if self.saves is None:
            return f"saves {DASH}"
        text = f"saves {'' if self.measured else 'at most '}{money(self.saves)} per month"
        return text + ("" if self.payback is None else f", pays back in {float(self.payback):.1f} months")

    def lines(self, kind: PlayKind) -> list[str]:
        """Return quality, and for a cost play savings; never one without the other."""
        return [self.quality, *([self.savings] if kind is PlayKind.COST else [])]


def of(dossier: PlayDossier) -> Headline:
    """Compute quality and savings: of the evaluation where there is one, else of the best student so far."""
    record, prices = dossier.record, prices_of(dossier)
    if record is None:
        saves = economics.monthly_saving(prices, Decimal(0)) if prices else None
        score = _best_score(dossier)
        return Headline("quality" if score is None else "validation score", score, saves=saves)
    served = record
    if dossier.gate is not None:  # what is served, where the gate sends some requests back
        back, served = handed_back(dossier.gate, record), together(dossier.gate, record)
        prices = replace(prices, fallback_share=back) if prices is not None and back is not None else prices
    rates, measure = rates_of(served), "accuracy"
    student, teacher, baseline = rates.student, rates.teacher, rates.baseline
    if student is None:
        measure, student, teacher, baseline = "agreement", rates.agreement, None, None
    per_1k, latency = None, record.mean_latency_us
    if prices is not None and latency is not None:
        per_1k = economics.student_cost_per_1k(latency, prices.machine_price_per_hour)
    return Headline(
        measure,
        student=None if student is None else student.share,
        teacher=None if teacher is None else teacher.share,
        baseline=None if baseline is None else baseline.share,
        interval=student,
        saves=economics.monthly_saving(prices, per_1k or Decimal(0)) if prices else None,
        payback=economics.payback_months(prices, per_1k) if prices and per_1k is not None else None,
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
