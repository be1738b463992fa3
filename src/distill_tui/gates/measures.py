"""The verdict on what is timed, paid, weighed and sent back: p95 latency, payback, size, deferral."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from distill_tui.gates import economics, statistics
from distill_tui.gates.deferred import handed_back, kept
from distill_tui.gates.gate import ALL, P95, Criterion, Gate
from distill_tui.gates.judgement import Judgement, decided, unmeasured
from distill_tui.gates.record import CERTAIN, Record
from distill_tui.terms import Verdict


def judge_latency(criterion: Criterion, bar: Decimal, record: Record, alpha: float) -> Judgement:
    """Hold where every run's order-statistic upper bound of the p95 is below the target.

    All runs must hold, so each may spend the whole level; a miss is a claim about one of several runs (Bonferroni).
    """
    runs = [sorted(run) for run in record.latency_us.get("student", ())]
    if not runs or not all(runs):
        return unmeasured(criterion, ALL, alpha, _untimed(record))
    fewest, least = min(len(run) for run in runs), statistics.requests_to_bound(P95, alpha)
    samples = [run[statistics.sample_rank(len(run), P95) - 1] for run in runs]
    uppers = [_at_rank(run, statistics.rank_at_most(len(run), P95, alpha)) for run in runs]
    lowers = [_at_rank(run, statistics.rank_at_least(len(run), P95, alpha / len(runs))) for run in runs]
    target, worst, needed = bar * 1000, max(samples), None
    highest = None if None in uppers else max(each for each in uppers if each is not None)
    lowest = max((each for each in lowers if each is not None), default=None)
    if highest is not None and highest < target:
        verdict = Verdict.HOLDS
    elif lowest is not None and lowest >= target:
        verdict = Verdict.MISSES
    else:
        verdict = Verdict.UNPROVEN
        shares = [sum(each < target for each in run) / len(run) for run in runs]
        needed = least if fewest < least else statistics.rows_for_share(P95, min(shares), alpha)
        needed = None if needed is None else max(needed, fewest + 1)
    return Judgement(
        criterion=criterion,
        scope=ALL,
        verdict=verdict,
        n=sum(len(run) for run in runs),
        groups=len(runs),
        estimate=worst / 1000,
        lower=None if lowest is None else lowest / 1000,
        upper=None if highest is None else highest / 1000,
        student=worst / 1000,
        reference=_teacher_p95(record),
        level=alpha,
        rows_needed=needed,
    )


def _untimed(record: Record) -> str:
    if record.deferred_below and record.latency_us and not record.latency_us.get("student"):
        return "no request was timed through student and teacher together, which takes a teacher on this machine"
    return "no request of the student was timed, or none in one of the runs"


def _at_rank(run: list[int], rank: int | None) -> int | None:
    return None if rank is None else run[rank - 1]


def _teacher_p95(record: Record) -> float | None:
    worst = [
        sorted(run)[statistics.sample_rank(len(run), P95) - 1] for run in record.latency_us.get("teacher", ()) if run
    ]
    return max(worst) / 1000 if worst else None


def judge_payback(criterion: Criterion, bar: Decimal, gate: Gate, record: Record, alpha: float) -> Judgement:
    """Compute payback from the worksheet and from the bounds of the student's mean latency, which is what it costs.

    Where the gate locked ranges of prices, what is judged is the chance of paying back in time over those ranges. Where
    the gate sends requests back, each costs the teacher's price too: its share is bounded as well, with half the level.
    """
    runs, shares = record.latency_us.get("student", ()), _shares_back(gate, record, alpha / 2)
    interval = statistics.mean_interval(runs, alpha / 2 if shares else alpha)
    if interval is None:
        return unmeasured(criterion, ALL, alpha, "the student's latency, which decides its cost, was not timed twice")
    try:
        prices = economics.Prices.from_values({name: Decimal(text) for name, text in record.payback_inputs.items()})
    except ValueError as error:
        return unmeasured(criterion, ALL, alpha, str(error)[:1].lower() + str(error)[1:].rstrip("."))
    priced = [replace(prices, fallback_share=share) for share in shares] or [prices] * 3
    middle, best, worst = (_payback(one, microseconds) for one, microseconds in zip(priced, interval, strict=True))
    chances = _chances(priced[1:], bar, gate, interval[1:])
    if chances[1] >= gate.payback_chance if chances else worst is not None and worst <= bar:
        verdict = Verdict.HOLDS
    elif chances[0] < gate.payback_chance if chances else best is None or best > bar:
        verdict = Verdict.MISSES
    else:
        verdict = Verdict.UNPROVEN
    return Judgement(
        criterion=criterion,
        scope=ALL,
        verdict=verdict,
        n=sum(len(run) for run in runs),
        groups=sum(1 for run in runs if run),
        estimate=None if middle is None else float(middle),
        lower=None if best is None else float(best),
        upper=None if worst is None else float(worst),
        level=alpha,
        sent_back=float(shares[0]) if shares else None,
        chance=float(chances[1]) if chances else None,
        chance_asked=float(gate.payback_chance) if chances else None,
    )


def _shares_back(gate: Gate, record: Record, alpha: float) -> tuple[Decimal, ...]:
    """Return the share of requests that go back, its lower and its upper bound; empty where the gate sends none."""
    scores = kept(record)
    if handed_back(gate, record) is None:
        return ()
    bounds = (1 - (scores.estimate or 0.0), 1 - scores.at_most(alpha), 1 - scores.at_least(alpha))
    return tuple(min(Decimal(1), max(Decimal(0), Decimal(f"{bound:.6f}"))) for bound in bounds)


def _chances(
    priced: Sequence[economics.Prices], bar: Decimal, gate: Gate, ends: tuple[float, float]
) -> tuple[Decimal, ...]:
    """Return the chance of payback in time at the least and at the greatest cost; empty without ranges."""
    ranges = [each for each in gate.ranges if hasattr(priced[0], each.name)]
    if not ranges:
        return ()
    return tuple(
        economics.chance_of_payback(prices, Decimal(f"{end:.3f}"), bar, ranges, gate.seed)
        for prices, end in zip(priced, ends, strict=True)
    )


def _payback(prices: economics.Prices, microseconds: float) -> Decimal | None:
    exact = Decimal(f"{microseconds:.3f}")
    cost = economics.student_cost_per_1k(exact, prices.machine_price_per_hour)
    return economics.payback_months(prices, cost)


def judge_deferred(criterion: Criterion, bar: Decimal, record: Record, alpha: float) -> Judgement:
    """Hold where no more than a share of the requests goes back; all held-out rows count, with or without gold."""
    scores, floor = kept(record), 1 - float(bar)
    if not scores.rows:
        return unmeasured(criterion, ALL, alpha, "there is no held-out row")
    misses = scores.falls_below(floor) <= alpha
    verdict, needed = decided(scores, floor, alpha, misses=misses, among=1)
    share, lower, upper = 1 - (scores.estimate or 0.0), 1 - scores.at_most(alpha), 1 - scores.at_least(alpha)
    return Judgement(
        criterion=criterion,
        scope=ALL,
        verdict=verdict,
        n=scores.rows,
        groups=scores.groups,
        estimate=share,
        lower=lower,
        upper=upper,
        student=share,
        level=alpha,
        rows_needed=needed,
        rough=scores.rough,
        confidence_below=record.deferred_below / CERTAIN,
    )


def judge_size(criterion: Criterion, bar: Decimal, record: Record, alpha: float) -> Judgement:
    """Compare bytes with the threshold; nothing is sampled, so there is no interval."""
    size = record.bytes.get("student")
    if size is None:
        return unmeasured(criterion, ALL, alpha, "the record has no size of the student")
    verdict = Verdict.HOLDS if size <= bar * 1_000_000 else Verdict.MISSES
    megabytes = size / 1_000_000
    teacher = record.bytes.get("teacher")
    return Judgement(
        criterion=criterion,
        scope=ALL,
        verdict=verdict,
        n=1,
        groups=1,
        estimate=megabytes,
        lower=megabytes,
        upper=megabytes,
        student=megabytes,
        reference=None if teacher is None else teacher / 1_000_000,
        level=alpha,
    )
