"""Criteria whose best case already fails: no student could meet them, whatever the data. Pure.

It is computed before the lock, from the gate, the worksheet's numbers and the rows that are expected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from distill_tui.gates import economics
from distill_tui.gates.canonical import decimal_text
from distill_tui.gates.currencies import USUAL
from distill_tui.gates.gate import DEFAULT_P95, P95, SEGMENT, Criterion, Gate, bar_of
from distill_tui.gates.power import power
from distill_tui.gates.usable import SegmentRows
from distill_tui.gates.wording import money, points
from distill_tui.terms import Metric, PlayKind

LEAST_MS, LEAST_MB = Decimal("0.01"), Decimal("0.001")  # of any student: an n-gram look-up, and its config.json


def cannot_pass(
    gate: Gate, numbers: Mapping[str, Decimal], held_out: Sequence[SegmentRows] = (), currency: str = USUAL
) -> list[str]:
    """Return a sentence for each criterion that counts and cannot hold, with its figures and the cure.

    `held_out` is what the held-out rows are expected to have. Single segments and criteria that no row can be used for
    are not in it: they stop the lock.
    """
    return [
        *_rows(gate, held_out),
        *(
            sentence
            for criterion in gate.criteria
            if criterion.counts and bar_of(criterion).is_finite() and bar_of(criterion) > 0
            for sentence in (
                *_money(criterion, gate, numbers, currency),
                *_delay(criterion, gate, numbers),
                *_no_student(criterion),
            )
        ),
    ]


def _rows(gate: Gate, held_out: Sequence[SegmentRows]) -> Iterator[str]:
    for note in power(gate, held_out=held_out):
        whole = note.rows != 0 and not note.scope.startswith(SEGMENT)
        if note.criterion.counts and not note.possible and whole:
            yield note.sentence


def _money(criterion: Criterion, gate: Gate, numbers: Mapping[str, Decimal], currency: str) -> list[str]:
    """Compare the payback asked for with that of a student whose answers cost nothing."""
    if criterion.metric is not Metric.PAYBACK:
        return []
    try:
        prices = economics.Prices.from_values(numbers)
    except ValueError:
        return []  # the trigger names what is missing
    prices = prices if gate.deferral is None else replace(prices, fallback_share=gate.deferral)
    months, free = bar_of(criterion), Decimal(0)
    saving, best = economics.monthly_saving(prices, free), economics.payback_months(prices, free)
    bill = economics.monthly_bill(prices)
    if best is None:
        return [
            f"Payback cannot hold: even a student whose answers cost nothing saves {money(saving, currency)} a "
            f"month, because the teacher's bill is {money(bill, currency)} and serving, refreshes and the teacher's "
            f"remaining calls cost {money(bill - saving, currency)}. Correct the worksheet, or kill the play."
        ]
    ranges = [each for each in gate.ranges if hasattr(prices, each.name)]
    if ranges:
        chance = economics.chance_of_payback(prices, free, months, ranges, gate.seed)
        if chance < gate.payback_chance:
            return [
                f"Payback cannot hold: over the ranges of the gate even a student whose answers cost nothing pays the "
                f"build back within {decimal_text(months)} months with a chance of {points(float(chance))}% only; the "
                f"gate asks for {points(float(gate.payback_chance))}%. Allow more months, or correct the ranges."
            ]
    elif best > months:
        return [
            f"Payback cannot hold: even a student whose answers cost nothing takes {best:.1f} months to pay back a "
            f"build of {money(prices.build_cost, currency)}, at {money(saving, currency)} a month; the gate allows "
            f"{decimal_text(months)}. Allow more months, or correct the worksheet."
        ]
    return []


def _delay(criterion: Criterion, gate: Gate, numbers: Mapping[str, Decimal]) -> list[str]:
    """Where more than 5% of the requests go back to the teacher, the p95 is a request of the teacher."""
    teacher, share = numbers.get("teacher_p95_ms"), gate.deferral
    if criterion.metric is not Metric.P95_LATENCY or teacher is None or share is None:
        return []
    if share <= 1 - Decimal(str(P95)) or bar_of(criterion) > teacher:
        return []
    return [
        f"The student's p95 latency cannot hold: {points(float(share))}% of the requests go back to the teacher, whose "
        f"p95 is {decimal_text(teacher)} ms, so the p95 of the two is one of the teacher's requests; the gate asks for "
        f"{decimal_text(bar_of(criterion))} ms. Send back 5% at most, or only watch the latency."
    ]


def _no_student(criterion: Criterion) -> list[str]:
    """Compare what is asked of a student with the least that any could have."""
    least = {Metric.P95_LATENCY: (LEAST_MS, "ms"), Metric.SIZE: (LEAST_MB, "MB")}.get(criterion.metric)
    if least is None or bar_of(criterion) >= least[0]:
        return []
    asked = f"{decimal_text(bar_of(criterion))} {least[1]}"
    return [
        f"{criterion.words[:1].upper()}{criterion.words[1:]} cannot hold: no student is below "
        f"{decimal_text(least[0])} {least[1]}, and the gate asks for {asked}. Check its unit."
    ]


def looser_than_target(gate: Gate, kind: PlayKind, numbers: Mapping[str, Decimal]) -> str:
    """Return that the latency which the gate allows is above the worksheet's target; else an empty text."""
    target = numbers.get("target_p95_ms")
    if kind is not PlayKind.LATENCY or target is None:
        return ""
    for criterion in gate.criteria:
        if criterion.metric is Metric.P95_LATENCY and criterion.counts and bar_of(criterion) > target:
            allowed = decimal_text(bar_of(criterion))
            return f"The gate allows a p95 of {allowed} ms, and the worksheet's target is {decimal_text(target)} ms."
    return ""


def with_target(gate: Gate, before: Decimal | None, target: Decimal) -> Gate:
    """Move the p95 criterion that still has the default or the target of before to the new target."""
    known = (DEFAULT_P95, before)
    return replace(
        gate,
        criteria=tuple(
            replace(each, threshold=target)
            if each.metric is Metric.P95_LATENCY and each.threshold in known and target > 0
            else each
            for each in gate.criteria
        ),
    )


# Metrics that more or other training data does not change.
WITHOUT_DATA = (Metric.PAYBACK, Metric.P95_LATENCY, Metric.SIZE)
