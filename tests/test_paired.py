"""Scores on any scale, row by row, and whether more rounds will do. Refusal first; every bound against an oracle."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from distill_tui.gates.paired import Gain, Prospect, outlook

scores = st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 6)), min_size=2, max_size=60)


def test_no_rows_have_no_gain() -> None:
    with pytest.raises(ValueError, match="no rows to compare"):
        Gain.of([], [])


def test_a_single_group_proves_nothing() -> None:
    gain = Gain.of([1.0] * 50, [3] * 50)
    assert (gain.at_least(0.05), gain.at_most(0.05)) == (-math.inf, math.inf)


def test_rows_of_their_own_have_the_paired_t_interval_of_scipy() -> None:
    chance = random.Random(1)
    differences = [chance.gauss(0.3, 1) for _ in range(80)]
    gain = Gain.of(differences, range(80))
    expected = stats.ttest_1samp(differences, 0).confidence_interval(0.9)
    assert (gain.at_least(0.05), gain.at_most(0.05)) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_groups_of_one_size_have_the_t_interval_of_their_means() -> None:
    chance = random.Random(2)
    differences = [chance.gauss(0.3, 1) + (row // 4 % 2) for row in range(80)]
    means = [sum(differences[at : at + 4]) / 4 for at in range(0, 80, 4)]
    expected = stats.ttest_1samp(means, 0).confidence_interval(0.9)
    gain = Gain.of(differences, [row // 4 for row in range(80)])
    assert (gain.at_least(0.05), gain.at_most(0.05)) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(scores, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_and_the_names_of_groups_do_not_matter(rows, chance) -> None:
    shuffled = [(score, 90 - group) for score, group in rows]
    chance.shuffle(shuffled)
    one, two = (Gain.of(*zip(*each, strict=True)) for each in (rows, shuffled))
    assert (one.mean, one.groups) == (two.mean, two.groups)
    assert one.error == pytest.approx(two.error, rel=1e-9)


@given(scores, st.data())
@settings(max_examples=60, deadline=None)
def test_a_row_that_scores_less_lowers_the_mean(rows, data) -> None:
    differences, groups = zip(*rows, strict=True)
    at = data.draw(st.integers(0, len(rows) - 1))
    worse = [score - 1 * (place == at) for place, score in enumerate(differences)]
    assert Gain.of(worse, groups).mean < Gain.of(differences, groups).mean


# --- whether more rounds will do -------------------------------------------------------------------------------------


def test_a_small_sample_never_says_that_rounds_are_wasted() -> None:
    flat = Gain.of([0.0] * 18 + [1.0, -1.0], range(20))
    assert outlook(flat, gap=0.05, rounds_left=2).prospect is Prospect.UNCLEAR


def test_no_gain_on_many_rows_is_hopeless_and_the_figures_are_there() -> None:
    flat = Gain.of([0.0] * 900 + [1.0, -1.0] * 50, range(1000))
    seen = outlook(flat, gap=0.05, rounds_left=2)
    assert seen.prospect is Prospect.HOPELESS
    assert (seen.need, seen.gap, seen.rounds_left) == (0.05, 0.05, 2)
    assert seen.best == pytest.approx(1.1503 * math.sqrt(0.1 / 1000), rel=1e-2)


def test_the_pace_that_is_needed_is_on_track() -> None:
    gain = Gain.of([0.0] * 900 + [1.0] * 80 + [-1.0] * 20, range(1000))
    assert outlook(gain, gap=0.05, rounds_left=2).prospect is Prospect.ON_TRACK


def test_a_score_at_its_target_needs_no_more_rounds_and_none_left_is_hopeless() -> None:
    gain = Gain.of([0.0, 1.0], [0, 1])
    assert outlook(gain, gap=0.0, rounds_left=0).prospect is Prospect.REACHED
    assert outlook(gain, gap=0.01, rounds_left=0).prospect is Prospect.HOPELESS
