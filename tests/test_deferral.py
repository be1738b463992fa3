"""What the student is least sure of goes back to the teacher: the curve, and a gate that names a point of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from distill_tui.bundles.verify import verify_bundle
from distill_tui.gates import economics, written
from distill_tui.gates.aside import aside
from distill_tui.gates.deferred import (
    chosen,
    handed_back,
    rows_for_headroom,
    sent_back,
    threshold,
    together,
    with_headroom,
)
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.judging import judge, methods
from distill_tui.gates.power import PowerNote, power
from distill_tui.gates.problems import problems
from distill_tui.gates.record import Record
from distill_tui.gates.wording import percent
from distill_tui.gates.written import from_json, from_toml, to_json, to_toml
from distill_tui.reports import html, text
from distill_tui.review import deferral, payback, review
from distill_tui.store import verdicts
from distill_tui.terms import Metric, PlayKind, Reference, Verdict
from distill_tui.ui.play import evidence
from distill_tui.ui.play.view import load
from support import real_play
from support.records import record

PRICES = {"machine_price_per_hour": "3.6", "teacher_cost_per_1k": "2"}


def ten(sure: tuple[int, ...], **changes: object) -> Record:
    """Ten rows, gold 0: the teacher errs on the last, the student on the first four."""
    one = record(0.5, rows=10)
    columns = {"teacher": (0,) * 9 + (1,), "student": (1,) * 4 + (0,) * 6, "confidence": sure}
    return replace(one, **columns, **changes)  # type: ignore[arg-type]


RISING = tuple(range(1000, 11_000, 1000))


def test_without_confidence_gold_or_a_teacher_there_is_no_curve() -> None:
    assert deferral.curve(ten(())) == () and deferral.pair(sending("0.2"), ten(())) is None
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


@given(sure=some.lists(some.integers(0, 10_000), min_size=10, max_size=10), shares=some.lists(some.floats(0, 1)))
def test_no_point_sends_back_more_than_was_asked_for(sure: list[int], shares: list[float]) -> None:
    points = deferral.curve(ten(tuple(sure)), shares=(*shares, 0.0))
    assert points[0].deferred == 0 and points[0].accuracy == pytest.approx(0.6)
    assert all(point.deferred <= max([*shares, 0.0]) + 1e-9 for point in points)
    assert [point.deferred for point in points] == sorted({point.deferred for point in points})


# --- a gate that names a point ----------------------------------------------------------------------------------------

DEFERRED, PAYBACK = Metric.DEFERRED, Metric.PAYBACK
CLOSE = Criterion(Metric.ACCURACY, Reference.TEACHER, margin=Decimal("0.05"), binding=True)
IN_TIME = Criterion(PAYBACK, threshold=Decimal(6))
FULL_PRICES = real_play.NUMBERS | {"retrains_per_month": "0"}


def at_most(share: str, **more: object) -> Criterion:
    return Criterion(DEFERRED, threshold=Decimal(share), **more)  # type: ignore[arg-type]


def sending(share: str, *criteria: Criterion, **more: object) -> Gate:
    return Gate((CLOSE, IN_TIME, *criteria), deferral=Decimal(share), rounds=1, **more)  # type: ignore[arg-type]


def measured(rows: int = 1000, back: int = 200, **changes: object) -> Record:
    """The teacher is always right; the student errs on the rows that it is least sure of, and those go back."""
    sure = tuple(3000 if row < back else 9000 for row in range(rows))
    wrong = tuple(int(row < back) for row in range(rows))
    times = {"student": ((1000,) * 200,) * 5, "together": ((1000,) * 160 + (30_000,) * 40,) * 5}
    one = replace(record(1.0, rows=rows), student=wrong, confidence=sure, deferred_below=5000, latency_us=times)
    return replace(one, payback_inputs=FULL_PRICES, **changes)  # type: ignore[arg-type]


def verdict_of(gate: Gate, measured: Record, metric: Metric = Metric.ACCURACY) -> Judgement:
    (found,) = (each for each in judge(gate, measured) if each.criterion.metric is metric)
    return found


@pytest.mark.parametrize("share", ["0", "1", "1.5", "-0.1", "NaN"])
def test_a_share_that_sends_nothing_or_everything_back_cannot_be_locked(share: str) -> None:
    (found,) = problems(sending(share, at_most("0.9")), PlayKind.COST)
    assert "above 0 and below 1" in found


def test_a_gate_that_sends_rows_back_bounds_how_many() -> None:
    (found,) = problems(sending("0.2"), PlayKind.COST)
    assert "nothing bounds how many" in found
    (found,) = problems(sending("0.2", at_most("0.3", watch_only="to see")), PlayKind.COST)
    assert "nothing bounds how many" in found
    (found,) = problems(sending("0.2", at_most("0.2")), PlayKind.COST)
    assert "chance decides" in found
    (found,) = problems(Gate((CLOSE, IN_TIME, at_most("0.3"))), PlayKind.COST)
    assert "sends nothing back" in found
    assert any("cannot fail" in each for each in problems(sending("0.2", at_most("1")), PlayKind.COST))
    assert problems(sending("0.2", at_most("0.3")), PlayKind.COST) == []


def test_a_price_of_what_goes_back_is_measured_and_not_guessed() -> None:
    guessed = (economics.Range("fallback_share", Decimal(0), Decimal("0.2"), "a guess", "2026-01-31"),)
    (found,) = problems(sending("0.2", at_most("0.3"), ranges=guessed), PlayKind.COST)
    assert "drop the range" in found


def test_a_record_without_a_threshold_or_without_confidence_holds_nothing() -> None:
    gate = sending("0.2", at_most("0.3"))
    assert {each.verdict for each in judge(gate, measured(deferred_below=0))} == {Verdict.UNMEASURED}
    with pytest.raises(ValueError, match="no confidence"):
        measured(confidence=())
    with pytest.raises(ValueError, match="it takes 14 calibration rows; there are 0"):
        chosen(gate, replace(record(1.0, rows=0), confidence=()))


def test_a_latency_that_was_not_timed_through_both_is_unmeasured() -> None:
    gate = sending("0.2", at_most("0.3"), Criterion(Metric.P95_LATENCY, threshold=Decimal(50)))
    alone = measured(latency_us={"student": ((1000,) * 200,) * 5})
    found = verdict_of(gate, alone, Metric.P95_LATENCY)
    assert found.verdict is Verdict.UNMEASURED and "a teacher on this machine" in found.sentence


def test_more_going_back_than_allowed_misses_and_about_as_much_is_unproven() -> None:
    found = verdict_of(sending("0.1", at_most("0.15")), measured(), DEFERRED)
    assert found.verdict is Verdict.MISSES and "the gate allows 15" in found.sentence
    found = verdict_of(sending("0.1", at_most("0.21")), measured(), DEFERRED)
    assert found.verdict is Verdict.UNPROVEN and found.rows_needed is not None
    holds = verdict_of(sending("0.1", at_most("0.25")), measured(), DEFERRED)
    assert holds.verdict is Verdict.HOLDS and holds.sentence.startswith("20% of requests go back to the teacher, those")


def test_an_answer_that_the_teacher_never_gave_counts_as_wrong() -> None:
    """150 of the 200 rows that go back have no answer of the teacher's: against the baseline each is an error."""
    lead = Criterion(Metric.ACCURACY, Reference.NONE, threshold=Decimal("0.8"))
    silent = measured(teacher=(-1,) * 150 + (0,) * 850)
    gate = replace(sending("0.2", at_most("0.3")), criteria=(replace(lead, binding=True), at_most("0.3")))
    assert verdict_of(gate, silent).student == 0.85
    assert "count as wrong" in " ".join(deferral.sentences(deferral.pair(gate, silent)))


def test_the_pair_holds_where_the_student_alone_misses() -> None:
    gate = sending("0.2", at_most("0.25"))
    found = verdict_of(gate, measured())
    assert found.verdict is Verdict.HOLDS and found.student == 1.0
    assert found.sentence.endswith(": holds, with 20% of requests sent back to the teacher.")
    alone = verdict_of(replace(gate, deferral=None), measured())
    assert alone.verdict is Verdict.MISSES and "sent back" not in alone.sentence


def test_latency_and_payback_count_what_goes_back() -> None:
    """The p95 is the teacher's 30 ms; of 2.40 a thousand a fifth is paid still, and a twentieth more by the bound."""
    fast = Criterion(Metric.P95_LATENCY, threshold=Decimal(20))
    gate = sending("0.2", at_most("0.25"), fast)
    assert verdict_of(gate, measured(), Metric.P95_LATENCY).estimate == 30
    assert verdict_of(gate, measured(), Metric.P95_LATENCY).verdict is Verdict.MISSES
    pays, alone = (verdict_of(each, measured(), PAYBACK) for each in (gate, replace(gate, deferral=None)))
    assert pays.estimate == pytest.approx(4000 / (900 * (2.4 * (1 - 0.01 - 0.2)) - 60), rel=1e-3)
    assert alone.estimate is not None and pays.estimate > alone.estimate
    assert pays.lower < pays.estimate < pays.upper  # type: ignore[operator]
    assert "with 20% of calls sent back" in pays.sentence


def test_row_scores_of_what_goes_back_are_the_teachers() -> None:
    scores = {"brier_score": {"student": (9000,) * 200 + (100,) * 800, "teacher": (50,) * 100 + (-1,) * 900}}
    mixed = together(sending("0.2"), measured(scores=scores)).scores["brier_score"]["student"]
    assert mixed == (50,) * 100 + (10_000,) * 100 + (100,) * 800  # unknown is the worst: up for a score that falls


def test_an_old_gate_and_an_old_record_say_nothing_of_it() -> None:
    assert "deferral" not in to_json(real_play.GATE) and "deferral" not in to_toml(real_play.GATE)
    assert "deferred_below" not in record(0.5).to_json()
    gate = sending("0.2", at_most("0.25"))
    assert from_toml(to_toml(gate)) == from_json(to_json(gate)) == gate
    assert written.digest(gate) != written.digest(replace(gate, deferral=Decimal("0.21")))
    assert Record.from_json(measured().to_json()) == measured()
    told = methods(gate)
    assert told[Metric.ACCURACY].endswith("together") and not told[DEFERRED].endswith("together")


def test_the_rows_that_it_takes_are_told_before_the_lock() -> None:
    def note(rows: int) -> PowerNote:
        (found,) = (
            each
            for each in power(sending("0.2", at_most("0.25"), held_out_rows=rows))
            if each.criterion.metric is DEFERRED
        )
        return found

    few, many = note(100), note(2000)
    assert few.enough is False and "add " in few.sentence and many.enough is True
    assert few.rows_needed == many.rows_needed


def of_confidence(sure: Sequence[int], **columns: object) -> Record:
    return replace(record(1.0, rows=len(sure)), confidence=tuple(sure), **columns)  # type: ignore[arg-type]


@given(
    sure=some.lists(some.integers(1, 10_000), min_size=1, max_size=40),
    share=some.decimals("0.01", "0.99", places=2),
)
def test_too_few_rows_fix_no_threshold_and_others_keep_headroom(sure: list[int], share: Decimal) -> None:
    gate, rows = sending(str(share)), of_confidence(sure)
    if len(sure) < rows_for_headroom(gate):
        with pytest.raises(ValueError, match="calibration rows; there are"):
            chosen(gate, rows)
        return
    below = chosen(gate, rows)
    assert sum(each < below for each in sure) <= float(share) * len(sure) + 1e-9
    assert below <= threshold(sure, float(share))


def test_the_target_holds_on_the_next_rows_as_often_as_it_says() -> None:
    """Next to the threshold without headroom, which breaks it every second time; 400 draws, 95% is promised."""
    random = np.random.default_rng(5)
    held = {"headroom": 0, "none": 0}
    for _ in range(400):
        sure = [*map(int, random.beta(4, 1, 300) * 9_000 + 1_000)]
        later = random.beta(4, 1, 500) * 9_000 + 1_000
        found = with_headroom(sure, range(300), 0.2, 500, 0.95)
        assert found is not None
        held["headroom"] += (later < found).mean() <= 0.2
        held["none"] += (later < threshold(sure, 0.2)).mean() <= 0.2
    assert held["headroom"] >= 0.92 * 400 and 0.35 * 400 < held["none"] < 0.65 * 400


def test_dependent_rows_are_worth_fewer() -> None:
    random = np.random.default_rng(6)
    each = random.beta(4, 1, 60)
    sure = [int(9_000 * value) + 1_000 for value in each for _ in range(5)]
    alone, grouped = (
        with_headroom(sure, group, 0.2, 500, 0.95) for group in (range(300), [n // 5 for n in range(300)])
    )
    assert alone is not None and grouped is not None and grouped < alone


def test_a_threshold_is_fixed_on_the_rows_set_aside_alone() -> None:
    """The others, which stopped the training, may be as sure as they like."""
    keys = tuple(range(600))
    kept = aside(keys)
    assert len(kept) == 200
    sure = [5_000 + row for row in range(600)]
    moved = [each if row in set(kept) else 10_000 for row, each in enumerate(sure)]
    gate = sending("0.2")
    assert chosen(gate, of_confidence(sure, key=keys)) == chosen(gate, of_confidence(moved, key=keys))


# --- by real work -----------------------------------------------------------------------------------------------------

REAL = real_play.gate_with(criteria=(CLOSE, IN_TIME, at_most("0.4")), deferral=Decimal("0.15"), held_out_rows=120)


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = real_play.copy_to(tmp_path, gate=REAL)
    yield made
    made.project.close()


def test_a_play_is_judged_and_shipped_with_what_it_sends_back(play: real_play.Play) -> None:
    dossier = play.project.dossier(play.id)
    run, seen = dossier.run(dossier.evaluation.run_id), dossier.record  # type: ignore[union-attr]
    assert run is not None and seen is not None and dossier.passed
    fixed = json.loads(run.result)["deferred_below"]  # by the training run, which saw no held-out row
    assert 5000 < seen.deferred_below == fixed
    validation = dossier.validation(run.id)  # type: ignore[union-attr]
    assert validation is not None and 0 < len(sent_back(validation)) <= 0.15 * len(validation.rows)
    told = "\n".join(text.evaluation(review.of(dossier)))
    assert f"confidence below {fixed / 10_000:.4f}" in told and "of requests go back to the teacher" in told
    assert "go to the teacher, by a threshold" in "\n".join(text.gate(dossier))
    assert "Judged together" in html.report(review.of(dossier), ())
    view = load(play.project, play.id, play.by("vera"))
    drawn = "\n".join(line.plain for line in evidence.evaluation(view, 118))
    assert "Judged together" in drawn and "fixes no threshold" not in drawn
    bare = replace(view, review=review.of(replace(dossier, gate=replace(REAL, deferral=None))))
    drawn = "\n".join(line.plain for line in evidence.evaluation(bare, 118))
    rows = drawn[drawn.index("ANSWERED BY THE STUDENT, BY THRESHOLD  this gate fixes no threshold") :].splitlines()[3:]
    points = deferral.curve(seen)
    assert len(points) > 2 and all(percent(point.accuracy) in row for point, row in zip(points, rows, strict=False))
    earned = payback.of(dossier)
    assert earned is not None and earned.prices.fallback_share == handed_back(REAL, seen)
    assert [each.trouble for each in verdicts.check(play.project)] == [""]

    play.sign()
    folder = play.ship()
    assert json.loads((folder / "recipe.json").read_bytes())["deferred_below"] == f"{fixed / 10_000:.4f}"
    card = (folder / "MODEL_CARD.md").read_text()
    assert f"below {fixed / 10_000:.4f}, ask the teacher" in card
    assert "All other thresholds were read off" in card
    assert verify_bundle(folder).problems == []


def test_a_threshold_that_the_validation_rows_do_not_give_is_noticed(play: real_play.Play) -> None:
    dossier = play.project.dossier(play.id)
    assert dossier.record is not None and dossier.evaluation is not None
    moved = replace(dossier.record, deferred_below=dossier.record.deferred_below - 500)
    digest = play.project.artifacts.store_bytes(moved.to_json().encode())
    play.sql("DROP TRIGGER evaluation_never_updated")
    play.sql("UPDATE evaluation SET record = ?", values=(digest,))
    (found,) = verdicts.check(play.project)
    assert "not what the validation rows say" in found.trouble
