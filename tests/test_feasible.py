"""A gate that cannot pass is named before the lock and takes a yes; advice that cannot help is not given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tui import actions
from distill_tui.gates import economics
from distill_tui.gates.feasible import cannot_pass, looser_than_target
from distill_tui.gates.gate import Criterion, Gate, default_gate
from distill_tui.gates.measures import judge_payback
from distill_tui.rules.actor import Actor
from distill_tui.rules.gate import warnings
from distill_tui.rules.objection import Refused
from distill_tui.store import queries, whole_check
from distill_tui.store.project import Project
from distill_tui.terms import Metric, PlayKind, Reference, Role, Verdict
from distill_tui.ui.play.gate_tab import gate as gate_tab
from distill_tui.ui.play.view import View
from support.intake import MIA, MINE
from support.records import record

PAYBACK = Criterion(Metric.PAYBACK, threshold=Decimal(6))
BILL = {
    "calls_per_month": Decimal(900_000),
    "teacher_cost_per_1k": Decimal("2.40"),
    "threshold_per_month": Decimal(1_000),
    "window_days": Decimal(60),
    "machine_price_per_hour": Decimal("0.08"),
    "serving_cost_per_month": Decimal(60),
    "build_cost": Decimal(4_000),
    "sample_share": Decimal("0.01"),
}


TIMED = record(0.9, rows=10)


def of(*criteria: Criterion, **changes: object) -> Gate:
    return replace(Gate(criteria, held_out_rows=2_000), **changes)  # type: ignore[arg-type]


# the best case


def test_a_gate_that_can_pass_names_nothing() -> None:
    assert cannot_pass(default_gate(PlayKind.COST), BILL) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"serving_cost_per_month": Decimal(2_500)},
            "a student whose answers cost nothing saves USD -362 a month",
        ),
        ({"build_cost": Decimal(40_000)}, "takes 19.2 months to pay back a build of USD 40,000, at USD 2,078 a month"),
        ({"retrains_per_month": Decimal(4), "retrain_cost": Decimal(600)}, "saves USD -322 a month"),
        ({"sample_share": Decimal(1)}, "saves USD -60.00 a month"),
    ],
)
def test_a_payback_that_even_a_free_student_misses_is_named(changes: dict[str, Decimal], says: str) -> None:
    (sentence,) = cannot_pass(of(PAYBACK), BILL | changes)
    assert says in sentence


def test_over_ranges_the_best_chance_counts() -> None:
    build = economics.Range("build_cost", Decimal(4_000), Decimal(60_000), "bill", "2026-10-01")
    (sentence,) = cannot_pass(of(PAYBACK, ranges=(build,)), BILL)
    assert "with a chance of" in sentence and "the gate asks for 80%" in sentence
    assert not cannot_pass(of(PAYBACK, ranges=(replace(build, high=Decimal(5_000)),)), BILL)


def test_what_goes_back_to_the_teacher_is_part_of_the_best_case() -> None:
    bound = Criterion(Metric.DEFERRED, threshold=Decimal("0.9"))
    assert not cannot_pass(of(PAYBACK, bound, deferral=Decimal("0.2")), BILL)
    (sentence,) = cannot_pass(of(PAYBACK, bound, deferral=Decimal("0.8")), BILL)
    assert "months to pay back" in sentence


@pytest.mark.parametrize(
    ("criterion", "rows", "says"),
    [
        (Criterion(Metric.ACCURACY, Reference.TEACHER, margin=Decimal("0.05")), 20, "you asked for 5"),
        (Criterion(Metric.ACCURACY, threshold=Decimal("0.999")), 200, "can never be proven, even with 0 errors"),
        (Criterion(Metric.P95_LATENCY, threshold=Decimal(50)), 30, "no p95 can be bounded from above"),
        (Criterion(Metric.BRIER, threshold=Decimal("0.001")), 50, "can never prove this"),
        (Criterion(Metric.P95_LATENCY, threshold=Decimal("0.005")), 200, "no student is below 0.01 ms"),
        (Criterion(Metric.SIZE, threshold=Decimal("0.0002")), 200, "no student is below 0.001 MB, and the gate asks"),
        (Criterion(Metric.AGREEMENT, threshold=Decimal("0.9999")), 100, "a floor of 99.99% can never be proven"),
    ],
)
def test_a_bar_that_the_rows_cannot_show_is_named(criterion: Criterion, rows: int, says: str) -> None:
    (sentence,) = cannot_pass(of(criterion, held_out_rows=rows), {})
    assert says in sentence
    assert not cannot_pass(of(replace(criterion, watch_only="for later"), held_out_rows=rows), {})


def test_a_p95_below_what_the_teachers_requests_take_is_named() -> None:
    fast, bound = (
        Criterion(Metric.P95_LATENCY, threshold=Decimal(50)),
        Criterion(Metric.DEFERRED, threshold=Decimal("0.3")),
    )
    numbers = {"teacher_p95_ms": Decimal(820)}
    (sentence,) = cannot_pass(of(fast, bound, deferral=Decimal("0.2")), numbers)
    assert "20% of the requests go back to the teacher, whose p95 is 820 ms" in sentence
    assert not cannot_pass(of(fast, bound, deferral=Decimal("0.05")), numbers)
    assert not cannot_pass(of(replace(fast, threshold=Decimal(900)), bound, deferral=Decimal("0.2")), numbers)


@given(
    st.decimals(0, 5_000, places=2), st.decimals(0, 50_000, places=2), st.decimals(0, 1, places=2),
    st.integers(1, 60), st.integers(1, 1_000_000),
)  # fmt: skip
def test_what_is_named_is_missed_by_every_student(
    serving: Decimal, build: Decimal, sampled: Decimal, months: int, microseconds: int
) -> None:
    numbers = BILL | {"serving_cost_per_month": serving, "build_cost": build, "sample_share": sampled}
    gate = of(replace(PAYBACK, threshold=Decimal(months)))
    timed = {"student": ((microseconds, microseconds + 1), (microseconds, microseconds + 2))}
    prices = {name: str(value) for name, value in numbers.items()}
    judged = judge_payback(
        gate.criteria[0], Decimal(months), gate, replace(TIMED, latency_us=timed, payback_inputs=prices), 0.05
    )
    if cannot_pass(gate, numbers):
        assert judged.verdict is Verdict.MISSES
    if judged.verdict is Verdict.HOLDS:
        assert not cannot_pass(gate, numbers)


@pytest.mark.parametrize("serving", [2_139, 2_500, 90_000])
def test_the_trigger_of_a_cost_play_does_not_hold_where_serving_costs_more_than_the_bill(serving: int) -> None:
    (reason,) = economics.trigger_holds(PlayKind.COST, BILL | {"serving_cost_per_month": Decimal(serving)})
    assert reason.startswith("No student can save anything: the teacher's bill is USD 2,160 a month")
    assert not economics.trigger_holds(PlayKind.COST, BILL | {"serving_cost_per_month": Decimal(2_138)})


# through the door


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = Project.create(tmp_path / "team.distill", "Team", "mia", "Mia", Actor(None, MINE))
    for uid, person in ((4001, "dan"), (4002, "vera"), (4003, "olga")):
        actions.enrol_person(made, MIA, person, person, uid=uid)
    yield made
    made.close()


def opened(project: Project, kind: PlayKind) -> int:
    play = actions.open_play(project, MIA, f"a {kind} play", kind)
    people = {Role.SPONSOR: "mia", Role.DRIVER: "dan", Role.VALIDATOR: "vera", Role.OPERATOR: "olga"}
    for role, person in people.items():
        actions.assign_role(project, play, MIA, role, person)
    return play


def test_a_lock_that_cannot_pass_takes_a_yes_and_the_log_names_why(project: Project) -> None:
    play = opened(project, PlayKind.COST)
    actions.fill_worksheet(
        project, play, MIA, {name: str(value) for name, value in BILL.items()} | {"build_cost": "40000"}
    )
    actions.qualify(project, play, MIA)
    with pytest.raises(Refused) as refusal:
        actions.lock_gate(project, play, MIA)
    assert [each.rule for each in refusal.value.objections] == ["gate.cannot_pass"]
    dossier = project.dossier(play)
    shown = " ".join(" ".join(line.plain.split()) for line in gate_tab(View(dossier, MIA), 100))
    assert "Payback cannot hold" in shown and warnings(dossier)
    actions.lock_gate(project, play, MIA, cannot_pass=True)
    entry = queries.entries(project, play, last=1)[0]
    assert "Payback cannot hold" in json.loads(entry.detail)["cannot_pass"][0]


def p95_of(project: Project, play: int) -> Decimal | None:
    gate = project.dossier(play).gate
    assert gate is not None
    return next(each.threshold for each in gate.criteria if each.metric is Metric.P95_LATENCY)


def test_the_default_p95_follows_the_worksheets_target_until_a_person_writes_another(project: Project) -> None:
    play = opened(project, PlayKind.LATENCY)
    actions.fill_worksheet(project, play, MIA, {"target_p95_ms": "20"})
    assert p95_of(project, play) == 20
    actions.fill_worksheet(project, play, MIA, {"target_p95_ms": "35.5", "teacher_p95_ms": "800"})
    assert p95_of(project, play) == Decimal("35.5")
    gate = project.dossier(play).gate
    assert gate is not None
    own = tuple(
        replace(each, threshold=Decimal(80)) if each.metric is Metric.P95_LATENCY else each for each in gate.criteria
    )
    actions.edit_gate(project, play, MIA, replace(gate, criteria=own))
    actions.fill_worksheet(project, play, MIA, {"target_p95_ms": "20"})
    assert p95_of(project, play) == 80
    assert "allows a p95 of 80 ms, and the worksheet's target is 20 ms" in warnings(project.dossier(play))[-1]
    with project.view() as connection:
        assert whole_check.trouble(connection) == ""


def test_a_bar_within_the_target_is_not_remarked() -> None:
    gate = default_gate(PlayKind.LATENCY)
    assert not looser_than_target(gate, PlayKind.LATENCY, {"target_p95_ms": Decimal(50)})
    assert not looser_than_target(gate, PlayKind.COST, {"target_p95_ms": Decimal(20)})
    assert looser_than_target(gate, PlayKind.LATENCY, {"target_p95_ms": Decimal(20)})
