"""What each threshold of confidence would do at a gateway: who answers, how often both agree, what it costs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from distill_tui.gates.statistics import wilson_interval
from distill_tui.store.gateway import Cell, Routes

LINES = 5  # segments and answers that are listed


@dataclass(frozen=True)
class RoutePoint:
    """One threshold: the student answers what it is at least so sure of."""

    threshold: float
    served: bool  # whether it is the one in force
    by_student: float  # share of the requests that the student computed
    pairs: int  # of them, those that the teacher answered too
    agrees: float | None  # share of these with the same answer; None where no fair pair is known
    lower: float  # of its 95% interval, to show
    upper: float
    together: float | None  # share of all requests with the teacher's answer, from the teacher or the student
    cost_per_1k: Decimal | None  # that the teacher takes for what goes back


def points(routes: Routes, teacher_cost_per_1k: Decimal | None) -> Iterator[RoutePoint]:
    """Yield a point for each threshold that separates anything, from the lowest.

    In a cascade no pair is known below the threshold in force: what went back is not a fair sample, so lower thresholds
    have a share and no agreement.
    """
    whole = sum(routes.computed)
    for at, threshold in enumerate(routes.edges):
        served = threshold == routes.threshold
        if not whole or (not served and not routes.computed[at]):
            continue
        computed, pairs, agreed = (sum(each[at:]) for each in (routes.computed, routes.pairs, routes.agreed))
        fair = threshold >= routes.threshold or any(routes.pairs[:at] + routes.pairs[at : at + 1])
        known = fair and pairs > 0
        share, agrees = computed / whole, agreed / pairs if known else None
        lower, upper = wilson_interval(agreed, pairs, 0.025) if known else (0.0, 1.0)
        yield RoutePoint(
            threshold,
            served,
            share,
            pairs if known else 0,
            agrees,
            lower,
            upper,
            None if agrees is None else 1 - share + share * agrees,
            None if teacher_cost_per_1k is None else (1 - Decimal(f"{share:.6f}")) * teacher_cost_per_1k,
        )


def unsure(routes: Routes) -> list[Cell]:
    """Return where the student is unsure most often, the most requests first."""
    found = sorted((each for each in routes.cells if each.unsure), key=lambda each: (-each.unsure, each.requests))
    return found[:LINES]
