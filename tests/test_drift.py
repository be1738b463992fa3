"""The drift monitor: what it promises whatever comes, and that a replay gives the same numbers to the bit."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill_tui.gates import statistics
from distill_tui.monitor import drift
from distill_tui.monitor.drift import OVERALL, Group, GroupState, Inputs, Rates
from distill_tui.rules.results import decode, encode

limits = st.floats(0.005, 0.9)
shares = st.floats(0, 1)


# --- the bets ----------------------------------------------------------------------------------------------------


@given(limits, shares)
def test_no_bet_ever_loses_more_than_all_it_has(limit: float, share: float) -> None:
    for bets in (drift.row_bets(limit), drift.batch_bets(limit)):
        assert all(factor >= 0 for factor in drift.factors(share, limit, bets))


@given(limits, st.floats(0, 1))
def test_no_bet_gains_on_average_at_or_below_the_ceiling(limit: float, part: float) -> None:
    rate = limit * part
    for bets in (drift.row_bets(limit), drift.batch_bets(limit)):
        hit, miss = drift.factors(1.0, limit, bets), drift.factors(0.0, limit, bets)
        assert all(rate * h + (1 - rate) * m <= 1 + 1e-9 for h, m in zip(hit, miss, strict=True))


def test_each_input_bet_is_fair_while_the_ranks_are_uniform() -> None:
    steps = 200_000
    sums = [0.0] * drift.INPUT_BETS
    for step in range(steps):
        for k, factor in enumerate(drift.input_factors((step + 0.5) / steps)):
            sums[k] += factor / steps
    for total in sums:
        assert total == pytest.approx(1, abs=0.03)  # the midpoint rule is coarse at the poles
        assert total <= 1 + 1e-6


def test_the_ceiling_is_never_below_the_locked_one_nor_below_what_the_rows_allow() -> None:
    assert drift.ceiling(10, 100) == statistics.share_at_most(10, 100, 0.10) > 0.10
    assert drift.ceiling(10, 100, locked=0.25) == 0.25
    assert drift.ceiling(10, 100, locked=0.01) == drift.ceiling(10, 100)
    assert drift.ceiling(0, 0) == 1.0  # nothing was seen, so nothing can be held to it


# --- what is promised whatever comes -----------------------------------------------------------------------------


def expected_gain(limit: Fraction, rows: int) -> Fraction:
    """Follow every sequence of rows exactly, each to its first alarm, and give the chance of one at the ceiling."""
    bets = drift.row_bets(float(limit))
    bar, weight = len(bets) * Fraction(1) / Fraction(drift.LEVEL), Fraction(1, rows)
    alive = [(Fraction(1), [Fraction(0)] * len(bets))]
    alarmed = Fraction(0)
    for _ in range(rows):
        after = []
        for chance, sums in alive:
            for share, odds in ((1, limit), (0, 1 - limit)):
                changed = [
                    (s + weight) * (1 + Fraction(bet) * (share - limit)) for s, bet in zip(sums, bets, strict=True)
                ]
                if sum(changed) >= bar:
                    alarmed += chance * odds
                else:
                    after.append((chance * odds, changed))
        alive = after
    return alarmed


@pytest.mark.parametrize("limit", [Fraction(1, 10), Fraction(3, 10), Fraction(1, 50)])
def test_at_the_ceiling_the_chance_of_an_alarm_is_at_most_the_level_by_exact_enumeration(limit: Fraction) -> None:
    assert expected_gain(limit, 12) <= Fraction(drift.LEVEL) * Fraction(1_000_001, 1_000_000)


def test_agreement_alone_never_raises_an_alarm() -> None:
    monitor = Rates({OVERALL: 0.1}, 500, batches=False)
    for row in range(2000):
        monitor.add({OVERALL: 0.0}, str(row))
    assert not monitor.group.alarm and monitor.group.horizons == 3


def test_a_ceiling_of_one_cannot_be_broken_and_is_not_watched() -> None:
    monitor = Rates({OVERALL: 1.0, "new": 1.0}, 100, batches=False)
    monitor.add({OVERALL: 1.0, "new": 1.0}, "day 1")
    assert monitor.group.value == 0 and not monitor.group.alarm


def test_an_alarm_once_raised_stays_and_says_where_the_climb_began() -> None:
    monitor = Rates({OVERALL: 0.1}, 1000, batches=False)
    rows = [0.0] * 9 * 12 + [1.0, 0.0, 0.0] * 40
    for number, share in enumerate(rows):
        monitor.add({OVERALL: share}, f"{number:04}")
    assert monitor.group.alarm
    assert 100 <= int(monitor.group.each[OVERALL].began) <= 120 < int(monitor.group.alarm)
    alarm = monitor.group.alarm
    for number in range(500):
        monitor.add({OVERALL: 0.0}, f"{1000 + number}")
    assert monitor.group.alarm == alarm


def test_the_segment_that_drifted_is_accused_and_the_others_are_not() -> None:
    monitor = Rates({OVERALL: 0.1, "tweet": 0.1, "nyt": 0.1, "movie": 0.1}, 3000, batches=False)
    for number in range(1200):
        segment = ("tweet", "nyt", "movie")[number % 3]
        often = 3 if segment == "nyt" and number > 300 else 12
        share = float((number // 3) % often == 0)
        monitor.add({OVERALL: share, segment: share}, str(number))
    assert monitor.group.alarm
    assert monitor.group.flagged(monitor.segments) == ("nyt",)


def test_several_segments_share_one_alarm_so_that_more_of_them_do_not_mean_more_false_ones() -> None:
    group = Group({"a": 0.5, "b": 0.25, "c": 0.25}, 1, 10)
    group.each["b"].sums = [79.0]
    group.add({"b": (1.0,)}, "here")
    assert not group.alarm  # 19.8 of the 20 that are needed
    group.add({"b": (1.05,)}, "there")
    assert group.alarm == "there"


def test_one_bad_day_is_one_bet_where_row_by_row_it_would_be_an_alarm() -> None:
    by_row, by_day = Rates({OVERALL: 0.1}, 2500, batches=False), Rates({OVERALL: 0.1}, 125, batches=True)
    for day in range(10):
        share = float(day == 9)  # one day in ten is all wrong: 10% in the long run, in a burst
        for _ in range(20):
            by_row.add({OVERALL: share}, str(day))
        by_day.add({OVERALL: share}, str(day))
    assert by_row.group.alarm and not by_day.group.alarm


# --- inputs ------------------------------------------------------------------------------------------------------


def test_inputs_like_those_at_the_gate_are_no_drift_and_other_ones_are() -> None:
    from random import Random

    for shift, drifts in ((0.0, False), (1.0, True)):
        random = Random(3)
        monitor = Inputs({"length": [random.gauss(0, 1) for _ in range(500)]}, {"length": 1.0}, 1000)
        for row in range(300):
            monitor.add({"length": random.gauss(shift, 1)}, 1 - random.random(), str(row))
        assert bool(monitor.group.alarm) is drifts


def test_the_ranks_of_ties_are_broken_by_chance_and_cover_everything() -> None:
    ranks = drift.Conformal([0.0] * 9)
    assert ranks.p_value(0.0, 1.0) == 1.0
    assert drift.Conformal([0.0] * 9).p_value(0.0, 0.5) == 0.5
    assert drift.Conformal([0.0] * 9).p_value(1.0, 1.0) == 0.1


# --- replay ------------------------------------------------------------------------------------------------------

rows = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans()), max_size=300)


@settings(max_examples=50, deadline=None)
@given(rows)
def test_a_replay_gives_the_same_state_to_the_bit_and_json_keeps_it(seen: list[tuple[str, bool]]) -> None:
    def replay() -> Rates:
        monitor = Rates({OVERALL: 0.13, "a": 0.07, "b": 0.31}, 70, batches=False)
        for number, (segment, differs) in enumerate(seen):
            monitor.add({OVERALL: float(differs), segment: float(differs)}, str(number))
        return monitor

    first, again = replay().group.state(), replay().group.state()
    assert first == again
    assert decode(GroupState, encode(first)) == first
    assert math.isfinite(replay().group.value)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.001, 1)), max_size=120))
def test_a_replay_of_inputs_gives_the_same_state_to_the_bit(seen: list[tuple[float, float]]) -> None:
    states = []
    for _ in range(2):
        monitor = Inputs({"score": [0.1 * n for n in range(-20, 20)]}, {"score": 1.0}, 60)
        for number, (score, chance) in enumerate(seen):
            monitor.add({"score": score}, chance, str(number))
        states.append(monitor.group.state())
    assert states[0] == states[1]


# --- what a sample can notice ------------------------------------------------------------------------------------


def test_a_doubling_from_a_tenth_is_noticed_within_two_hundred_rows_and_the_answer_never_changes() -> None:
    rows = drift.rows_to_notice(0.2, 0.1, 2500)
    assert rows is not None and 100 < rows < 200
    drift.rows_to_notice.cache_clear()
    assert drift.rows_to_notice(0.2, 0.1, 2500) == rows


def test_what_stays_below_the_ceiling_is_never_noticed() -> None:
    assert drift.rows_to_notice(0.08, 0.1, 2500) is None


def test_a_smaller_rise_and_bets_by_the_day_take_more_rows() -> None:
    by_row = [drift.rows_to_notice(rate, 0.1, 2500) for rate in (0.3, 0.2, 0.15)]
    assert by_row == sorted(by_row, key=lambda each: each or 0)
    by_day = drift.rows_to_notice(0.2, 0.1, 2500, batch=20)
    assert by_day is not None and by_row[1] is not None and by_day > by_row[1]
