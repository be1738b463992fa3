"""What rows can prove: every method against an oracle or a published value, and the rules that bounds must keep."""

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from distill_tui.gates import statistics
from distill_tui.gates.statistics import Cluster, Scores

ALPHAS = (0.05, 0.05 / 3, 0.001)

right_or_wrong = st.tuples(st.booleans(), st.booleans(), st.integers(0, 7))
samples = st.lists(right_or_wrong, max_size=60)


# --- refusals first --------------------------------------------------------------------------------------------------


def test_no_rows_prove_nothing() -> None:
    assert statistics.share_at_least(0, 0, 0.05) == 0
    assert statistics.share_at_most(0, 0, 0.05) == 1
    assert statistics.difference_at_least(0, 0, 0, 0.05) == -1
    assert statistics.difference_at_most(0, 0, 0, 0.05) == 1
    assert Scores.of([], paired=True).estimate is None
    assert Scores.of([], paired=True).exceeds(-0.5) == 1


def test_one_group_proves_nothing_however_many_rows_it_has() -> None:
    scores = Scores.of([(True, False, 3)] * 1000, paired=True)
    assert scores.at_least(0.05) == -1
    assert scores.rows_needed(-0.05, 0.05) is None


def test_58_requests_cannot_bound_a_p95_and_59_can() -> None:
    assert statistics.rank_at_most(58, 0.95, 0.05) is None
    assert statistics.rank_at_most(59, 0.95, 0.05) == 59


def test_a_run_of_one_request_has_no_interval() -> None:
    assert statistics.mean_interval([[5]], 0.05) is None
    assert statistics.mean_interval([], 0.05) is None


def test_a_margin_of_nothing_needs_more_rows_than_there_are() -> None:
    assert statistics.rows_for_difference(0, 0.1, 0.05) is None
    assert statistics.rows_for_difference(0.02, 0.1, 0.05, difference=-0.03) is None


def test_a_share_equal_to_its_floor_is_told_from_it_by_no_number_of_rows() -> None:
    assert statistics.rows_for_share(0.9, 0.9, 0.05) is None


# --- published values ------------------------------------------------------------------------------------------------


def test_tango_gives_the_published_interval() -> None:
    # both right 1, one side only 1 and 7, both wrong 12: (-0.517, -0.026)
    assert statistics.difference_at_least(7, 1, 21, 0.025) == pytest.approx(-0.517, abs=5e-4)
    assert statistics.difference_at_most(7, 1, 21, 0.025) == pytest.approx(-0.026, abs=5e-4)


def test_rows_without_any_difference_prove_what_score_theory_says() -> None:
    z = statistics.normal_quantile(0.95)
    assert statistics.difference_at_least(0, 0, 80, 0.05) == pytest.approx(-z * z / (80 + z * z), abs=1e-9)


@pytest.mark.parametrize(
    ("margin", "tenth", "fifth"), [(0.01, 6183, 12366), (0.02, 1546, 3092), (0.03, 687, 1374), (0.05, 248, 495)]
)
def test_rows_needed_are_those_of_the_usual_formula_and_a_few_more(margin: float, tenth: int, fifth: int) -> None:
    """The usual formula takes one variance for both; its power falls short where the margin nears the discordance."""
    for discordance, usual in ((0.1, tenth), (0.2, fifth)):
        needed = statistics.rows_for_difference(margin, discordance, 0.05)
        assert needed is not None and usual < needed <= usual * (1 + margin / discordance / 2)


def exact_power(rows: int, margin: float, discordance: float, alpha: float) -> float:
    """Add up, over every table that may come of a true tie, the chance of it where it proves the margin."""
    low, high = (int(stats.binom.ppf(each, rows, discordance)) for each in (1e-9, 1 - 1e-9))
    power = 0.0
    for differ in range(low, high + 1):
        wins = next(
            (w for w in range(differ + 1) if statistics.not_inferior(differ - w, w, rows, margin, alpha)), differ + 1
        )
        power += stats.binom.pmf(differ, rows, discordance) * stats.binom.sf(wins - 1, differ, 0.5)
    return power


@pytest.mark.parametrize("alpha", ALPHAS[:2])
@pytest.mark.parametrize(("margin", "discordance"), [(0.03, 0.05), (0.05, 0.1), (0.05, 0.2), (0.1, 0.2), (0.1, 0.3)])
def test_the_rows_counted_beforehand_recognise_a_true_tie_as_often_as_promised(margin, discordance, alpha) -> None:
    needed = statistics.rows_for_difference(margin, discordance, alpha)
    assert needed is not None
    assert 0.8 <= exact_power(needed, margin, discordance, alpha) + 1e-3 <= 0.83


@pytest.mark.parametrize(("floor", "rows"), [(0.8, 14), (0.9, 29), (0.95, 59), (0.98, 149), (0.99, 299)])
def test_a_floor_takes_so_many_rows_without_an_error(floor: float, rows: int) -> None:
    assert statistics.requests_to_bound(floor, 0.05) == rows
    assert statistics.errors_allowed(rows - 1, floor, 0.05) is None
    assert statistics.errors_allowed(rows, floor, 0.05) == 0


@pytest.mark.parametrize(("floor", "rows"), [(0.8, (22, 30)), (0.9, (46, 61)), (0.95, (93, 124)), (0.98, (236, 313))])
def test_one_and_two_errors_take_more_rows(floor: float, rows: tuple[int, int]) -> None:
    assert [statistics.errors_allowed(each, floor, 0.05) for each in rows] == [1, 2]


@pytest.mark.parametrize(("count", "rank"), [(100, 99), (200, 196), (500, 484), (1000, 962), (2000, 1917)])
def test_the_rank_that_bounds_a_p95_is_that_of_the_table(count: int, rank: int) -> None:
    assert statistics.rank_at_most(count, 0.95, 0.05) == rank


def test_holm_accuses_only_what_stands_together() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005], 0.05) == (True, False, False, True)
    assert statistics.holm([], 0.05) == ()


# --- oracles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [1, 2, 3, 5, 19, 99, 1999, 2001, 10**6])
def test_t_quantiles_are_those_of_scipy(degrees: int) -> None:
    for probability in (0.001, 0.4, 0.5, 0.9, 0.95, 0.975, 0.98333, 0.999, 0.99999):
        assert statistics.t_quantile(probability, degrees) == pytest.approx(
            stats.t.ppf(probability, degrees), rel=1e-9, abs=1e-9
        )
    for value in (-3.0, 0.0, 0.5, 2.0, 40.0):
        assert statistics.t_tail(value, degrees) == pytest.approx(stats.t.sf(value, degrees), rel=1e-8, abs=1e-14)


def test_the_normal_is_that_of_scipy() -> None:
    for z in (-4.0, 0.0, 1.0, 1.645, 8.0):
        assert statistics.normal_tail(z) == pytest.approx(stats.norm.sf(z), rel=1e-12)


@given(st.integers(1, 3000), st.data(), st.sampled_from(ALPHAS))
@settings(max_examples=50, deadline=None)
def test_clopper_pearson_is_that_of_scipy(rows: int, data: st.DataObject, alpha: float) -> None:
    hits = data.draw(st.integers(0, rows))
    low = 0.0 if hits == 0 else stats.beta.ppf(alpha, hits, rows - hits + 1)
    high = 1.0 if hits == rows else stats.beta.ppf(1 - alpha, hits + 1, rows - hits)
    assert statistics.share_at_least(hits, rows, alpha) == pytest.approx(low, abs=1e-9)
    assert statistics.share_at_most(hits, rows, alpha) == pytest.approx(high, abs=1e-9)


@given(st.integers(0, 500), st.data(), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_the_binomial_tail_is_that_of_scipy(rows: int, data: st.DataObject, share: float) -> None:
    hits = data.draw(st.integers(0, rows + 1))
    expected = stats.binom.sf(hits - 1, rows, share)
    assert statistics.binomial_tail(hits, rows, share) == pytest.approx(expected, rel=1e-8, abs=1e-13)


@pytest.mark.parametrize(("hits", "rows"), [(0, 10), (3, 10), (10, 10), (481, 500)])
def test_wilson_is_that_of_scipy(hits: int, rows: int) -> None:
    expected = stats.binomtest(hits, rows).proportion_ci(0.95, method="wilson")
    assert statistics.wilson_interval(hits, rows, 0.025) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("count", [59, 100, 333, 1000])
@pytest.mark.parametrize("alpha", ALPHAS[:2])
def test_the_rank_is_the_smallest_that_bounds(count: int, alpha: float) -> None:
    rank = statistics.rank_at_most(count, 0.95, alpha)
    if rank is None:
        assert 0.95**count > alpha
        return
    assert stats.binom.cdf(rank - 1, count, 0.95) >= 1 - alpha > stats.binom.cdf(rank - 2, count, 0.95)
    lower = statistics.rank_at_least(count, 0.95, alpha)
    assert lower is not None
    assert stats.binom.sf(lower - 1, count, 0.95) >= 1 - alpha > stats.binom.sf(lower, count, 0.95)


def test_the_likelihood_of_groups_is_the_greatest_that_scipy_finds() -> None:
    chance = random.Random(5)
    for _ in range(20):
        clusters = Counter(Cluster(chance.randint(-3, 2), 5, 3) for _ in range(60))
        delta, rows = -0.3, 300
        sums = [(each.total - 5 * (delta + 0.5 / rows), count) for each, count in clusters.items()]

        def lost(tilt: float, sums: list[tuple[float, int]] = sums) -> float:
            return -sum(count * math.log1p(tilt * each) for each, count in sums)

        top = (1 - 1e-9) / -min(each for each, _ in sums)
        found = optimize.minimize_scalar(lost, bounds=(0, top), method="bounded", options={"xatol": 1e-12})
        expected = stats.t.sf(math.sqrt(-2 * found.fun), 59)
        assert statistics.clustered_exceeds(delta, clusters) == pytest.approx(expected, abs=1e-9)


def _whole(groups: int, lost: int, *, paired: bool, size: int = 5) -> Scores:
    """Groups that are lost whole or not at all."""
    rows = [(group >= lost, paired, group) for group in range(groups) for _ in range(size)]
    return Scores.of(rows, paired=paired).by(2)


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("groups", "lost"), [(79, 1), (107, 2), (300, 9), (1000, 0)])
def test_groups_lost_whole_prove_no_more_than_the_exact_binomial_of_groups(groups, lost, paired) -> None:
    for share in (0.02, 0.05, 0.10):
        exact = stats.binom.cdf(lost, groups, share)
        assert _whole(groups, lost, paired=paired).exceeds(-share if paired else 1 - share) >= exact * (1 - 1e-9)


def test_where_whole_groups_are_lost_a_margin_is_passed_at_most_as_often_as_promised() -> None:
    """Half a row does not correct for steps of a group: by the likelihood alone, 79 groups pass 9.0% of the time."""
    for groups in (59, 79, 107, 150, 300, 945):
        passes = [_whole(groups, lost, paired=True).exceeds(-0.05) <= 0.05 for lost in range(groups // 20 + 1)]
        chance = sum(stats.binom.pmf(lost, groups, 0.05) for lost, passed in enumerate(passes) if passed)
        assert chance <= 0.05
        assert passes == [stats.binom.cdf(lost, groups, 0.05) <= 0.05 for lost in range(groups // 20 + 1)], groups


@given(st.lists(st.tuples(st.integers(-9, 4), st.integers(9, 12)), min_size=2, max_size=14), st.data())
@settings(max_examples=200, deadline=None)
def test_a_group_that_loses_more_never_has_fewer_lumps_against_it(groups, data) -> None:
    at, delta = data.draw(st.integers(0, len(groups) - 1)), data.draw(st.floats(-0.9, 0.9))
    worse = [(total - (place == at), size) for place, (total, size) in enumerate(groups)]
    rows = sum(size for _, size in groups)

    def against(each: list[tuple[int, int]]) -> float:
        lumps = statistics.Lumps.of(Counter(Cluster(total, size, size) for total, size in each), True)
        return statistics.lumps_exceed(sum(total for total, _ in each) / rows - delta, rows, len(each), lumps)

    assert against(worse) >= against(groups) - 1e-12


def test_many_even_groups_have_about_the_bound_of_miller() -> None:
    clusters = Counter({Cluster(-1, 5, 3): 200, Cluster(0, 5, 3): 600, Cluster(1, 5, 3): 200})
    scores = Scores(clusters, True, 200, 200)
    miller = statistics.t_quantile(0.95, 999) * statistics.clustered_standard_error(clusters.elements())
    assert scores.at_least(0.05) == pytest.approx(-miller, rel=0.05)


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(4, 9)), min_size=2, max_size=12), st.data())
@settings(max_examples=100, deadline=None)
def test_a_group_that_scores_less_never_makes_a_value_easier_to_refute(groups, data) -> None:
    at, delta = data.draw(st.integers(0, len(groups) - 1)), data.draw(st.floats(-0.9, 0.9))
    worse = [(total - (place == at), size) for place, (total, size) in enumerate(groups)]
    first, second = (
        statistics.clustered_exceeds(delta, Counter(Cluster(total, size, size) for total, size in each))
        for each in (groups, worse)
    )
    assert second >= first - 1e-12


def test_the_clustered_standard_error_is_that_of_the_group_means() -> None:
    totals = [3, 1, 4, 1, 5, 0, 2, 5]
    expected = stats.sem([total / 5 for total in totals])
    assert statistics.clustered_standard_error([Cluster(t, 5, 0) for t in totals]) == pytest.approx(expected)


def test_the_mean_of_one_run_has_the_t_interval() -> None:
    run = [1200, 1310, 1190, 2400, 1250]
    middle, low, high = statistics.mean_interval([run], 0.025) or (0, 0, 0)
    expected = stats.t.interval(0.95, 4, loc=middle, scale=stats.sem(run))
    assert (low, high) == pytest.approx(expected, abs=1e-6)


# --- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("rows", [1, 2, 7, 15])
def test_a_worse_student_never_has_a_better_bound_on_independent_rows(rows: int, alpha: float) -> None:
    for losses in range(rows + 1):
        for wins in range(rows - losses + 1):
            low = statistics.difference_at_least(losses, wins, rows, alpha)
            high = statistics.difference_at_most(losses, wins, rows, alpha)
            assert low <= (wins - losses) / rows <= high
            worse = [(losses + 1, wins)] if losses + wins < rows else []
            worse += [(losses, wins - 1)] if wins else []
            for each in worse:
                assert statistics.difference_at_least(*each, rows, alpha) <= low
                assert statistics.difference_at_most(*each, rows, alpha) <= high


@given(samples, st.booleans(), st.sampled_from(ALPHAS), st.data())
@settings(max_examples=80, deadline=None)
def test_a_worse_student_never_has_a_better_bound_on_dependent_rows(rows, paired, alpha, data) -> None:
    rows = [(student, other and paired, group) for student, other, group in rows]
    right = [index for index, row in enumerate(rows) if row[0]]
    if not right:
        return
    worse = list(rows)
    index = data.draw(st.sampled_from(right))
    worse[index] = (False, *rows[index][1:])
    before, after = Scores.of(rows, paired=paired), Scores.of(worse, paired=paired)
    assert after.at_least(alpha) <= before.at_least(alpha) + 1e-12
    assert after.at_most(alpha) <= before.at_most(alpha) + 1e-12


def test_a_lone_win_does_not_weaken_the_proof_that_it_is() -> None:
    """A studentised bound alone would: one group that stands out widens it more than it lifts the mean."""
    ties = [(True, True, group) for group in range(100) for _ in range(2)]
    ties += [(False, False, group) for group in range(100)]
    win = [*ties[:-1], (True, False, 99)]
    assert Scores.of(win, paired=True).at_least(0.05) >= Scores.of(ties, paired=True).at_least(0.05)


@given(samples, st.booleans(), st.sampled_from(ALPHAS))
@settings(max_examples=60, deadline=None)
def test_dependent_rows_never_prove_more_than_independent_ones(rows, paired, alpha) -> None:
    rows = [(student, other and paired, group) for student, other, group in rows]
    grouped = Scores.of(rows, paired=paired)
    alone = Scores.of([(student, other, index) for index, (student, other, _) in enumerate(rows)], paired=paired)
    assert grouped.at_least(alpha) <= alone.at_least(alpha) + 1e-12
    assert grouped.at_most(alpha) >= alone.at_most(alpha) - 1e-12


@given(samples, st.booleans(), st.floats(-1, 1), st.floats(-1, 1))
@settings(max_examples=80, deadline=None)
def test_who_exceeds_a_value_exceeds_every_lower_one(rows, paired, one, two) -> None:
    scores = Scores.of([(student, other and paired, group) for student, other, group in rows], paired=paired)
    low, high = sorted((one, two) if paired else (abs(one), abs(two)))
    assert scores.exceeds(low) <= scores.exceeds(high) + 1e-9
    assert scores.falls_below(high) <= scores.falls_below(low) + 1e-9


@given(samples, st.booleans(), st.sampled_from(ALPHAS))
@settings(max_examples=60, deadline=None)
def test_the_interval_holds_the_estimate_and_stays_in_range(rows, paired, alpha) -> None:
    scores = Scores.of([(student, other and paired, group) for student, other, group in rows], paired=paired)
    low, high = scores.at_least(alpha), scores.at_most(alpha)
    assert (-1 if paired else 0) <= low <= high <= 1
    if scores.estimate is not None:
        assert low - 1e-12 <= scores.estimate <= high + 1e-12


@given(samples, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_rows_and_the_numbers_of_groups_do_not_matter(rows, random) -> None:
    shuffled = [(student, other, 90 - group) for student, other, group in rows]
    random.shuffle(shuffled)
    one, two = Scores.of(rows, paired=True), Scores.of(shuffled, paired=True)
    assert (one.at_least(0.05), one.at_most(0.05)) == (two.at_least(0.05), two.at_most(0.05))
    assert one.rows_needed(-0.05, 0.05) == two.rows_needed(-0.05, 0.05)


def test_forty_groups_do_not_exclude_what_happens_in_one_of_twenty() -> None:
    ties = [(True, True, group) for group in range(40) for _ in range(25)]
    assert Scores.of(ties, paired=True).exceeds(-0.05) > 0.05
    assert Scores.of([(*row[:2], index) for index, row in enumerate(ties)], paired=True).exceeds(-0.05) < 1e-6


def test_groups_of_very_unequal_size_are_worth_little_more_than_the_large_one() -> None:
    rows = [(True, True, 0)] * 500 + [(True, True, group) for group in range(1, 30)]
    assert Scores.of(rows, paired=True).at_least(0.05) < -0.8


def test_a_design_effect_is_one_where_rows_are_independent_and_the_size_where_groups_are_copies() -> None:
    copies = [(group % 3 > 0, True, group) for group in range(90) for _ in range(4)]
    assert Scores.of(copies, paired=True).design_effect == pytest.approx(4, rel=0.02)
    assert Scores.of([(*row[:2], i) for i, row in enumerate(copies)], paired=True).design_effect == 1


@given(st.integers(2, 400), st.floats(0.001, 0.2), st.floats(0.01, 0.4))
@settings(max_examples=50, deadline=None)
def test_margin_and_rows_are_two_sides_of_one_question(rows: int, margin: float, discordance: float) -> None:
    needed = statistics.rows_for_difference(margin, discordance, 0.05)
    assert needed is not None
    assert statistics.smallest_provable_margin(needed, discordance, 0.05) <= margin * 1.05
    if needed * discordance < 90:
        assert statistics.power_of_difference(needed, margin, discordance, 0.05) >= 0.8
    smallest = statistics.smallest_provable_margin(rows, discordance, 0.05)
    if smallest < 1 and rows * discordance < 90:  # power climbs in saw teeth: no way back by rows
        assert statistics.power_of_difference(rows, smallest, discordance, 0.05) >= 0.8
    elif smallest < 1:
        again = statistics.rows_for_difference(smallest, discordance, 0.05)
        assert again is not None and again <= rows * 1.25 + 2


def test_the_power_of_rows_is_that_of_many_drawn_tables() -> None:
    chance, held = np.random.default_rng(1), 0
    for losses, wins, _ in chance.multinomial(158, [0.02, 0.03, 0.95], size=4000):
        held += statistics.not_inferior(int(losses), int(wins), 158, 0.05, 0.05)
    assert held / 4000 == pytest.approx(statistics.power_of_difference(158, 0.05, 0.05, 0.05, 0.01), abs=0.02)


def test_not_inferior_needs_the_whole_bound_inside_the_margin() -> None:
    assert not statistics.not_inferior(5, 5, 80, 0.02, 0.05)
    assert statistics.not_inferior(50, 50, 1546, 0.02, 0.05)


def test_the_sample_quantile_is_the_smallest_value_with_that_share_at_or_below() -> None:
    assert [statistics.sample_rank(count, 0.95) for count in (1, 20, 100, 101)] == [1, 19, 95, 96]
    assert math.isinf(statistics.clustered_standard_error([Cluster(1, 5, 0)]))
