"""Quality and savings of a play in two lines, as far as they are known: by its evaluation, else by its best student."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from distill_tui.gates import economics
from distill_tui.gates.currencies import USUAL
from distill_tui.gates.deferred import handed_back, together
from distill_tui.gates.economics import Prices
from distill_tui.gates.gate import ALL, QUALITY, SCORED, Criterion, Gate
from distill_tui.gates.headline import SHARES, lower_is_better, metric_of, worded
from distill_tui.gates.quality import Sample
from distill_tui.gates.record import Record
from distill_tui.gates.wording import DASH, estimate, money
from distill_tui.review.rates import TAIL, rates_of, shares_of
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import worksheet_numbers
from distill_tui.rules.results import train_result
from distill_tui.rules.training import trained
from distill_tui.terms import Metric, PlayKind, Reference


@dataclass(frozen=True)
class Headline:
    """Quality and savings, as far as they are known."""

    measure: str = "quality"  # what the gate judges, accuracy, agreement, or of validation rows what `of` names
    metric: str = ""  # by which the numbers are written
    student: float | None = None
    teacher: float | None = None
    baseline: float | None = None
    held_out: bool = False  # whether it was measured on the held-out rows
    interval: tuple[int, float, float] | None = None  # of the student there, where it was asked for: rows and bounds
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
        text = f"{split}{self.measure}  student {self.worded(self.student)}"
        text += "" if self.teacher is None else f"  teacher {self.worded(self.teacher)}"
        return text + ("" if self.baseline is None else f"  baseline {self.worded(self.baseline)}")

    def worded(self, value: float | None) -> str:
        return worded(self.metric, value)

    @property
    def estimate(self) -> str:
        """The student's value with its interval, where that was asked for."""
        if self.interval is None or self.student is None:
            return self.worded(self.student)
        _, low, high = self.interval
        if self.metric not in SCORED or self.metric in SHARES:
            return estimate(self.student, low, high)
        return f"{self.worded(self.student)} ({self.worded(low)} to {self.worded(high)})"

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


@dataclass(frozen=True)
class Values:
    """A metric of student, teacher and baseline, each on its own scale; None where it was not measured."""

    student: float | None
    teacher: float | None = None
    baseline: float | None = None


def values(metric: Metric, gate: Gate, record: Record) -> Values:
    """Compute a metric that is not a share of right answers, over all rows."""
    alone = Sample.of(Criterion(metric), gate, record, ALL)
    if not alone.scores.rows:
        return Values(None)
    against = (
        Sample.of(Criterion(metric, each), gate, record, ALL) for each in (Reference.TEACHER, Reference.BASELINE)
    )
    teacher, baseline = (each.other_score if each.scores.rows else None for each in against)
    return Values(alone.student, teacher, baseline)


def bounds(metric: Metric, gate: Gate, record: Record) -> tuple[int, float, float] | None:
    """Return rows and 95% interval of the student's value; imports scipy."""
    scores = Sample.of(Criterion(metric), gate, record, ALL).scores
    if not scores.rows:
        return None
    low, high = scores.at_least(TAIL), scores.at_most(TAIL)
    if low is None or high is None:
        return None
    return (scores.rows, 1 - high, 1 - low) if lower_is_better(metric) else (scores.rows, low, high)


def of(dossier: PlayDossier, *, interval: bool = False) -> Headline:
    """Compute quality and savings: of the evaluation where there is one, else of the best student so far.

    The interval imports scipy, so it is computed only where it is shown.
    """
    record, prices, currency = dossier.record, prices_of(dossier), dossier.project.currency
    if record is None:
        saves = economics.monthly_saving(prices, Decimal(0)) if prices else None
        name, score = _best_score(dossier)
        measure = "quality" if score is None else f"validation {name if name in SCORED else 'score'}"
        return Headline(measure, name, score, saves=saves, currency=currency)
    served = record
    if dossier.gate is not None:  # what is served, where the gate sends some requests back
        back, served = handed_back(dossier.gate, record), together(dossier.gate, record)
        prices = replace(prices, fallback_share=back) if prices is not None and back is not None else prices
    metric = metric_of(dossier.gate, record.task)
    found = None if dossier.gate is None or metric in QUALITY else values(metric, dossier.gate, served)
    if found is None or found.student is None or dossier.gate is None:
        shares, metric = shares_of(served), Metric.ACCURACY
        student, teacher, baseline = shares.student, shares.teacher, shares.baseline
        if student is None:
            metric, student, teacher, baseline = Metric.AGREEMENT, shares.agreement, None, None
        rates = rates_of(served) if interval else None
        rate = None if rates is None else rates.student or rates.agreement
        around = None if rate is None else (rate.n, rate.lower, rate.upper)
    else:
        student, teacher, baseline = found.student, found.teacher, found.baseline
        around = bounds(metric, dossier.gate, served) if interval else None
    per_1k, latency = None, record.mean_latency_us
    if prices is not None and latency is not None:
        per_1k = economics.student_cost_per_1k(latency, prices.machine_price_per_hour)
    return Headline(
        metric.value,
        metric.value,
        student,
        teacher,
        baseline,
        held_out=student is not None,
        interval=around,
        saves=economics.monthly_saving(prices, per_1k or Decimal(0)) if prices else None,
        payback=economics.payback_months(prices, per_1k) if prices and per_1k is not None else None,
        currency=currency,
        measured=per_1k is not None,
    )


def _best_score(dossier: PlayDossier) -> tuple[str, float | None]:
    best = next(iter(trained(dossier)), None)
    result = train_result(best) if best is not None else None
    return result.quality if result is not None else ("", None)


def prices_of(dossier: PlayDossier) -> Prices | None:
    try:
        return Prices.from_values(worksheet_numbers(dossier))
    except ValueError:
        return None
