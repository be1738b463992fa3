"""Figures that say what they are: of which rows, of which run, by which numbers, and never the same one twice."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from distill_tui.dataset import window
from distill_tui.gates.gate import Criterion
from distill_tui.gates.judgement import Judgement
from distill_tui.review import headline, payback, rates, sections
from distill_tui.terms import Metric, Reference, Verdict
from support.datasets import imported
from support.records import record


def of_segments(*names: str) -> tuple[rates.SegmentRates, ...]:
    made = record(0.9, rows=40)
    return rates.segment_rates(replace(made, segments=names, segment=tuple(n % len(names) for n in range(40))))


# segments


@pytest.mark.parametrize("name", ["all", "web"])
def test_without_several_segments_all_rows_are_shown_once(name: str) -> None:
    assert [each.scope for each in of_segments(name)] == ["all"]
    assert [each.scope for each in rates.segment_rates(record(0.9, rows=40))] == ["all"]


def test_rows_without_a_segment_are_not_all_rows() -> None:
    assert [each.scope for each in of_segments("all", "web")] == ["all", "segment: all", "segment: web"]
    assert [sections._segment(scope) for scope in ("all", "segment: all", "segment: web")] == ["all", "(none)", "web"]


def test_rates_count_the_rows_with_gold() -> None:
    made = record(0.9, rows=100)
    (found,) = rates.segment_rates(replace(made, gold=tuple(0 if n % 3 == 0 else -1 for n in range(100))))
    assert (found.n, found.gold) == (100, 34) and found.student is not None and found.student.n == 34


# sentences


@pytest.mark.parametrize(
    ("price", "now", "says"),
    [
        ("2.00", "2.40", " (17% less than now)"),
        ("2.74", "2.40", " (14% more than now)"),
        ("2.40", "2.40", ""),
        ("2.40", "0", ""),
    ],
)
def test_a_price_is_less_or_more_than_now_and_never_a_negative_fall(price: str, now: str, says: str) -> None:
    assert payback._than_now(Decimal(price), Decimal(now)) == says


@pytest.mark.parametrize(
    ("criterion", "scope", "says"),
    [
        (
            Criterion(Metric.ACCURACY, Reference.TEACHER, margin=Decimal("0.05")),
            "all",
            "587 more held-out rows with gold",
        ),
        (
            Criterion(Metric.ACCURACY, threshold=Decimal("0.9"), scope="every segment"),
            "segment: web",
            "587 more held-out rows of this segment with gold",
        ),
        (
            Criterion(Metric.AGREEMENT, threshold=Decimal("0.9")),
            "all",
            "587 more held-out rows with an answer of the teacher",
        ),
        (Criterion(Metric.DEFERRED, threshold=Decimal("0.3")), "all", "587 more held-out rows would decide"),
    ],
)
def test_rows_that_would_decide_are_named(criterion: Criterion, scope: str, says: str) -> None:
    found = Judgement(criterion, scope, Verdict.UNPROVEN, 0.05, n=100, rows_needed=687, other="the teacher")
    assert says in found.sentence


def test_savings_say_by_which_numbers() -> None:
    before = headline.Headline("validation score", 0.9, saves=Decimal(2078))
    after = headline.Headline("accuracy", 0.9, saves=Decimal(1900), measured=True, held_out=True)
    assert before.savings == "saves at most USD 2,078 per month (worksheet)"
    assert after.savings == "saves USD 1,900 per month (measured)"
    assert before.quality.startswith("validation score") and after.quality.startswith("held-out accuracy")


# the worksheet


def test_the_share_of_top_patterns_is_of_repeated_inputs_and_not_of_the_largest_segment(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"input": "where is my parcel", "segment": "web"}] * 30
    rows += [{"input": f"question {n}", "segment": "web"} for n in range(60)]
    rows += [{"input": f"letter {n}", "segment": "mail"} for n in range(10)]
    found = window.measure([imported(tmp_path, rows)])
    assert window.worksheet(found)["share_of_top_patterns"] == Decimal("0.3")
    assert found.patterns[0] == ("web", 0.9)


def test_traffic_without_a_repeated_input_has_no_share_of_top_patterns(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"input": f"question {n}", "segment": "web"} for n in range(40)]
    assert "share_of_top_patterns" not in window.worksheet(window.measure([imported(tmp_path, rows)]))
