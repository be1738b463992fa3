"""The deferral curve: what is gained by sending back what the student is least sure of, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from distill_tui import deferral
from distill_tui.gates import Record
from test_controls import record

PRICES = {"machine_price_per_hour": "3.6", "teacher_cost_per_1k": "2"}


def ten(sure: tuple[int, ...], **changes: object) -> Record:
    """Ten rows, gold 0: the teacher errs on the last, the student on the first four."""
    one = record(0.5, rows=10)
    columns = {"teacher": (0,) * 9 + (1,), "student": (1,) * 4 + (0,) * 6, "confidence": sure}
    return replace(one, **columns, **changes)  # type: ignore[arg-type]


RISING = tuple(range(1000, 11_000, 1000))


def test_without_confidence_gold_or_a_teacher_there_is_no_curve() -> None:
    assert deferral.curve(ten(())) == () and list(deferral.sentences(ten(()))) == []
    assert deferral.curve(replace(ten(RISING), gold=(-1,) * 10)) == ()
    assert deferral.curve(replace(ten(RISING), teacher=(-1,) * 10)) == ()


def test_the_least_sure_go_first() -> None:
    alone, some_, all_ = deferral.curve(ten(RISING), shares=(0, 0.4, 1))
    assert (alone.deferred, alone.accuracy, alone.threshold) == (0, 0.6, 0)
    assert (some_.deferred, some_.accuracy, some_.threshold) == (0.4, 1.0, 0.5)  # better than either of the two
    assert (all_.deferred, all_.accuracy) == (1, 0.9)
    assert some_.lower < some_.accuracy <= some_.upper


def test_equal_confidence_goes_the_same_way() -> None:
    """Five rows at .5: a fifth cannot go back without the other four, so nothing does until half may."""
    flat = (5000,) * 5 + (9000,) * 5
    assert [point.deferred for point in deferral.curve(ten(flat), shares=(0, 0.1, 0.4, 0.5))] == [0, 0.5]


def test_a_request_that_goes_back_costs_both() -> None:
    """1,000 µs at 3.6 an hour is .001 a thousand: 1,000 · .001 s · 3.6 / 3,600 s."""
    timed = ten(RISING, latency_us={"student": ((1000,) * 5, (1000,) * 5)}, payback_inputs=PRICES)
    costs = [point.cost_per_1k for point in deferral.curve(timed, shares=(0, 0.4, 1))]
    assert costs == [Decimal("0.001"), Decimal("0.801"), Decimal("2.001")]
    assert deferral.curve(ten(RISING))[0].cost_per_1k is None
    told = list(deferral.sentences(timed))
    assert told[0].startswith("0 % of requests sent back (the student alone): accuracy 60 %")
    assert told[-1].endswith("at 2.0010 a thousand.") and "the teacher answers everything" in told[-1]


@given(sure=some.lists(some.integers(0, 10_000), min_size=10, max_size=10), shares=some.lists(some.floats(0, 1)))
def test_no_point_sends_back_more_than_was_asked_for(sure: list[int], shares: list[float]) -> None:
    points = deferral.curve(ten(tuple(sure)), shares=(*shares, 0.0))
    assert points[0].deferred == 0 and points[0].accuracy == pytest.approx(0.6)
    assert all(point.deferred <= max([*shares, 0.0]) + 1e-9 for point in points)
    assert [point.deferred for point in points] == sorted({point.deferred for point in points})
