"""Payback and trigger worksheets: exact money, missing numbers by name, triggers with their numbers."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill_tui.gates import alternatives, economics
from distill_tui.gates.alternatives import Alternative
from distill_tui.gates.economics import (
    WORKSHEET,
    Prices,
    Range,
    break_even_calls,
    break_even_price,
    chance_of_payback,
    monthly_saving,
    net_present_value,
    payback_months,
    student_cost_per_1k,
    tornado,
    trigger_holds,
)
from distill_tui.gates.wording import money
from distill_tui.terms import PlayKind

PRICES = Prices(
    calls_per_month=Decimal(1_000_000),
    teacher_cost_per_1k=Decimal("2.00"),
    machine_price_per_hour=Decimal("0.36"),
    serving_cost_per_month=Decimal(100),
    build_cost=Decimal(5000),
    sample_share=Decimal("0.01"),
)


def filled(kind: PlayKind, **changed: str) -> dict[str, Decimal]:
    values = {question.name: Decimal(question.example) for question in WORKSHEET[kind]}
    return values | {name: Decimal(text) for name, text in changed.items()}


# --- refusals first --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PlayKind)
def test_every_missing_number_is_named(kind: PlayKind) -> None:
    for question in WORKSHEET[kind]:
        values = filled(kind)
        del values[question.name]
        assert [reason.split(" ")[0] for reason in trigger_holds(kind, values)] == [question.name]
    assert len(trigger_holds(kind, {})) == len(WORKSHEET[kind])


@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "-1", "1E+30", "1E-30"])
@pytest.mark.parametrize("kind", PlayKind)
def test_a_number_out_of_range_is_refused_by_name(kind: PlayKind, wrong: str) -> None:
    for question in WORKSHEET[kind]:
        (reason,) = trigger_holds(kind, filled(kind, **{question.name: wrong}))
        assert reason.startswith(f"{question.name} ")


def test_a_share_above_one_is_told_to_be_written_as_a_share() -> None:
    (reason,) = trigger_holds(PlayKind.COST, filled(PlayKind.COST, sample_share="5"))
    assert reason == "sample_share is 5; it is a share from 0 to 1, so write 5% as 0.05."


def test_a_cost_play_is_refused_where_the_task_costs_too_little() -> None:
    (reason,) = trigger_holds(PlayKind.COST, filled(PlayKind.COST, calls_per_month="1000"))
    assert "USD 2.40 a month" in reason and "threshold of USD 1,000" in reason


@pytest.mark.parametrize("days", ["29", "91"])
def test_a_cost_play_takes_30_to_90_days(days: str) -> None:
    (reason,) = trigger_holds(PlayKind.COST, filled(PlayKind.COST, window_days=days))
    assert reason == f"window_days is {days}; a cost play takes the last 30 to 90 days of traffic."


def test_a_latency_play_is_refused_where_the_teacher_is_fast_enough() -> None:
    (reason,) = trigger_holds(PlayKind.LATENCY, filled(PlayKind.LATENCY, teacher_p95_ms="50"))
    assert "within the target of 50 ms" in reason


@pytest.mark.parametrize("name", ["target_p95_ms", "calls_per_month", "abandoned_share", "share_of_top_patterns"])
def test_a_latency_play_is_refused_where_nobody_waits(name: str) -> None:
    (reason,) = trigger_holds(PlayKind.LATENCY, filled(PlayKind.LATENCY, **{name: "0"}))
    assert reason.startswith(f"{name} is 0;")


def test_a_stability_play_is_refused_until_the_terms_are_confirmed() -> None:
    (reason,) = trigger_holds(PlayKind.STABILITY, filled(PlayKind.STABILITY, terms_permit_training="0"))
    assert "terms permit training" in reason


def test_a_stability_play_declares_what_is_out_of_our_control() -> None:
    (reason,) = trigger_holds(PlayKind.STABILITY, filled(PlayKind.STABILITY, price_change="0"))
    assert "declare at least one" in reason


def test_a_flag_is_one_or_zero() -> None:
    (reason,) = trigger_holds(PlayKind.STABILITY, filled(PlayKind.STABILITY, price_change="0.5"))
    assert reason == "price_change is 0.5; answer 1 for yes or 0 for no."


def test_a_stability_play_needs_two_weeks_of_use() -> None:
    reasons = trigger_holds(PlayKind.STABILITY, filled(PlayKind.STABILITY, days_of_traffic="13", calls_per_month="0"))
    assert [reason.split(" ")[0] for reason in reasons] == ["days_of_traffic", "calls_per_month"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("generalist_accuracy", "0.75", "The generalist is right on 75%, which is not below the 75% wanted"),
        ("domain_examples", "99", "domain_examples is 99; curate 100 or more"),
        ("edge_cases", "0", "edge_cases is 0;"),
        ("edge_cases", "2501", "edge_cases is 2501, but they are part of the 2500 domain examples"),
    ],
)
def test_a_specialization_play_needs_a_gap_and_examples(name: str, value: str, words: str) -> None:
    reasons = trigger_holds(PlayKind.SPECIALIZATION, filled(PlayKind.SPECIALIZATION, **{name: value}))
    assert any(reason.startswith(words) for reason in reasons)


def test_payback_names_the_numbers_that_it_lacks() -> None:
    values = filled(PlayKind.COST)
    del values["build_cost"], values["sample_share"]
    with pytest.raises(ValueError, match="Payback needs build_cost and sample_share too: fill in the worksheet"):
        Prices.from_values(values)


def test_payback_refuses_a_number_out_of_range() -> None:
    with pytest.raises(ValueError, match="sample_share is 2; it is a share"):
        Prices.from_values(filled(PlayKind.COST, sample_share="2"))


# --- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PlayKind)
def test_the_examples_of_every_worksheet_make_its_trigger_hold(kind: PlayKind) -> None:
    assert trigger_holds(kind, filled(kind)) == []
    assert 4 <= len(WORKSHEET[kind]) <= 8
    assert all(question.sentence.endswith("?") for question in WORKSHEET[kind])


def test_a_cost_worksheet_has_every_number_that_payback_needs() -> None:
    assert Prices.from_values(filled(PlayKind.COST)).build_cost == 4000
    assert Prices.from_values(filled(PlayKind.COST, retrain_cost="7")).retrain_cost == 7


def test_a_thousand_answers_cost_the_time_that_they_take() -> None:
    # 10 ms each: 10 s of an hour at 0.36 is 0.001
    assert student_cost_per_1k(Decimal(10_000), Decimal("0.36")) == Decimal("0.001")


def test_a_saving_is_what_is_left_of_the_teachers_cost() -> None:
    # 1,000 thousands x (2.00 - 0.001 - 0.02) - 100
    assert monthly_saving(PRICES, Decimal("0.001")) == Decimal("1879")
    with_refresh = replace(PRICES, retrains_per_month=Decimal("0.5"), retrain_cost=Decimal(58))
    assert monthly_saving(with_refresh, Decimal("0.001")) == Decimal("1850")


def test_payback_is_build_over_saving_and_never_where_nothing_is_saved() -> None:
    assert payback_months(PRICES, Decimal("0.001")) == Decimal(5000) / Decimal(1879)
    assert payback_months(PRICES, Decimal("1.88")) is None
    assert payback_months(PRICES, Decimal(5)) is None
    assert payback_months(replace(PRICES, build_cost=Decimal(0)), Decimal(0)) == 0


@given(st.integers(0, 10**7), st.integers(0, 10**7))
@settings(max_examples=50, deadline=None)
def test_a_slower_student_never_pays_back_sooner(one: int, two: int) -> None:
    fast, slow = (
        payback_months(PRICES, student_cost_per_1k(Decimal(each), PRICES.machine_price_per_hour))
        for each in sorted((one, two))
    )
    assert slow is None or (fast is not None and fast <= slow)


@given(st.sampled_from(PlayKind), st.data())
@settings(max_examples=60, deadline=None)
def test_a_trigger_answers_for_any_numbers(kind: PlayKind, data: st.DataObject) -> None:
    names = [question.name for question in WORKSHEET[kind]]
    values = data.draw(st.dictionaries(st.sampled_from(names), st.decimals()))
    for reason in trigger_holds(kind, values):
        assert reason.endswith(".") and len(reason) < 400


def test_money_is_never_a_float() -> None:
    assert isinstance(student_cost_per_1k(Decimal(1), Decimal(1)), Decimal)
    assert isinstance(monthly_saving(PRICES, Decimal(1)), Decimal)
    assert "float" not in economics.__dict__


# --- what is not known exactly, and what it is worth -----------------------------------------------------------------

SLOW = Decimal(10_000)  # microseconds an answer: 0.001 for 1,000 of them at 0.36 an hour
BUILD = Range("build_cost", Decimal(3000), Decimal(9000), "quotes", "2026-01-31")


def test_what_the_student_hands_back_is_not_saved() -> None:
    handed_back = replace(PRICES, fallback_share=Decimal("0.10"))
    assert monthly_saving(PRICES, Decimal("0.001")) - monthly_saving(handed_back, Decimal("0.001")) == 200


def test_the_worth_today_is_less_than_the_sum_of_savings_by_the_discount() -> None:
    plain = net_present_value(PRICES, Decimal("0.001"), 12, Decimal(0))
    assert plain == 12 * Decimal(1879) - 5000
    discounted = net_present_value(PRICES, Decimal("0.001"), 12, Decimal("0.12"))
    # an annuity: 1% a month, (1 - 1.01^-12) / 0.01 = 11.25507747…
    assert discounted == pytest.approx(Decimal(1879) * Decimal("11.2550774749") - 5000, abs=Decimal("0.01"))


def test_at_the_break_even_calls_and_price_the_build_is_paid_back_exactly_in_time() -> None:
    calls = break_even_calls(PRICES, Decimal("0.001"), Decimal(6))
    price = break_even_price(PRICES, Decimal("0.001"), Decimal(6))
    assert calls is not None and price is not None
    for changed in (replace(PRICES, calls_per_month=calls), replace(PRICES, teacher_cost_per_1k=price)):
        assert payback_months(changed, Decimal("0.001")) == pytest.approx(Decimal(6), rel=Decimal("1e-20"))
    assert break_even_calls(PRICES, Decimal(5), Decimal(6)) is None
    assert break_even_price(replace(PRICES, calls_per_month=Decimal(0)), Decimal(0), Decimal(6)) is None


def test_the_tornado_has_five_inputs_and_what_matters_most_comes_first() -> None:
    swings = tornado(PRICES, SLOW, Decimal(6), [BUILD])
    assert sorted(swing.name for swing in swings) == sorted(economics.SWUNG) and len(swings) == 5
    assert [swing.width for swing in swings] == sorted((swing.width for swing in swings), reverse=True)
    build = next(swing for swing in swings if swing.name == "build_cost")
    assert (build.net_at_low, build.net_at_high) == (6 * Decimal(1879) - 3000, 6 * Decimal(1879) - 9000)
    calls = next(swing for swing in swings if swing.name == "calls_per_month")
    assert (calls.low, calls.high) == (Decimal(800_000), Decimal(1_200_000))


def test_the_chance_of_payback_is_that_of_the_triangle_and_the_same_on_every_machine() -> None:
    # saved in 3 months: 5,637; a build from 3,000 to 9,000, likeliest 5,000: below 5,637 with 1 - 3363² / (6000·4000)
    chance = chance_of_payback(PRICES, SLOW, Decimal(3), [BUILD], seed=1)
    assert chance == Decimal("0.5324")
    assert float(chance) == pytest.approx(1 - 3363**2 / (6000 * 4000), abs=0.015)


def test_without_room_a_range_is_its_number() -> None:
    fixed = replace(BUILD, low=Decimal(5000), high=Decimal(5000))
    assert chance_of_payback(PRICES, SLOW, Decimal(3), [fixed], seed=1, draws=10) == 1
    assert chance_of_payback(PRICES, SLOW, Decimal(2), [fixed], seed=1, draws=10) == 0


@given(st.integers(0, 10**5), st.integers(1, 24))
@settings(max_examples=15, deadline=None)
def test_a_slower_student_never_has_a_better_chance(latency: int, months: int) -> None:
    chances = [
        chance_of_payback(PRICES, Decimal(each), Decimal(months), [BUILD], seed=3, draws=60)
        for each in (latency, latency * 100 + 1)
    ]
    assert chances[1] <= chances[0]


def test_no_figure_of_the_build_is_a_float() -> None:
    values = [
        net_present_value(PRICES, Decimal("0.001"), 7, Decimal("0.08")),
        break_even_calls(PRICES, Decimal("0.001"), Decimal(6)),
        break_even_price(PRICES, Decimal("0.001"), Decimal(6)),
        chance_of_payback(PRICES, SLOW, Decimal(3), [BUILD], seed=1, draws=5),
        *(swing.width for swing in tornado(PRICES, SLOW, Decimal(6))),
    ]
    assert all(type(value) is Decimal for value in values)


def test_a_worksheet_may_hold_more_than_it_owes() -> None:
    more = {question.name: Decimal(question.example) for question in economics.BESIDES[PlayKind.COST]}
    assert trigger_holds(PlayKind.COST, filled(PlayKind.COST) | more) == []
    (reason,) = trigger_holds(PlayKind.COST, filled(PlayKind.COST) | {"fallback_share": Decimal(3)})
    assert reason.startswith("fallback_share is 3; it is a share")


# the baseline: the same calls answered otherwise


@given(st.integers(1, 10_000), st.integers(0, 300), st.integers(1, 36))
def test_at_the_break_even_calls_the_student_has_just_paid_for_itself_against_the_alternative(
    price: int, sampled: int, months: int
) -> None:
    other, student = Alternative("x", Decimal(price) / 100), Decimal("0.001")
    prices = replace(PRICES, sample_share=Decimal(sampled) / 1000)
    calls = alternatives.break_even_calls(prices, student, other, Decimal(months))
    still_asked = prices.teacher_cost_per_1k * (prices.sample_share + prices.fallback_share)
    assert (calls is None) == (other.per_1k - student <= still_asked)
    if calls is not None:
        net = alternatives.saving(replace(prices, calls_per_month=calls), student, other) * months - prices.build_cost
        assert abs(net) < Decimal("0.000001")


def test_against_the_teacher_itself_the_saving_is_the_usual_one_and_a_cheaper_alternative_leaves_less() -> None:
    same = Alternative("the teacher", PRICES.teacher_cost_per_1k)
    assert alternatives.saving(PRICES, Decimal("0.01"), same) == monthly_saving(PRICES, Decimal("0.01"))
    cheap = Alternative("x", Decimal("0.04"))
    assert alternatives.saving(PRICES, Decimal("0.01"), cheap) < monthly_saving(PRICES, Decimal("0.01"))


def test_a_worksheet_says_what_the_calls_would_cost_otherwise() -> None:
    values = filled(PlayKind.COST)
    assert not list(alternatives.sentences(values))
    values |= {"decision_price_per_million": Decimal("0.10"), "decision_tokens_per_call": Decimal(400)}
    values |= {"smaller_model_cost_per_1k": Decimal("0.30")}
    assert [(each.name, each.per_1k) for each in alternatives.of(values)] == [
        ("a typed-decision API", Decimal("0.04")),
        ("a smaller hosted model", Decimal("0.30")),
    ]
    calls = values["calls_per_month"]
    first, _ = alternatives.sentences(values)
    assert f"would cost {money(calls * Decimal('0.00004'), 'USD')} a month for the same calls" in first
