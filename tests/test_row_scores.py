"""Metrics that score each row from 0 to 1: what cannot be locked or read, what holds, and what the Brier score is."""

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import brier_score_loss

from distill_tui.gates.gate import Criterion, Gate
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.judging import judge
from distill_tui.gates.paired import Prospect
from distill_tui.gates.power import power
from distill_tui.gates.problems import problems
from distill_tui.gates.progress import progress
from distill_tui.gates.record import Record
from distill_tui.gates.statistics import Scores
from distill_tui.gates.written import from_json, from_toml, to_json, to_toml
from distill_tui.tasks import row_scores
from distill_tui.terms import Metric, PlayKind, Reference, Verdict

BRIER, TEACHER, BASELINE = Metric.BRIER, Reference.TEACHER, Reference.BASELINE
ORDER = (Verdict.MISSES, Verdict.UNPROVEN, Verdict.HOLDS)
NEAR = Criterion(BRIER, TEACHER, margin=Decimal("0.05"), binding=True)
LOW = Criterion(BRIER, threshold=Decimal("0.2"), binding=True)
EVERYWHERE = Criterion(BRIER, TEACHER, "every segment", margin=Decimal("0.05"))


def scored(
    student: Sequence[int], teacher: Sequence[int] | None = None, group: Sequence[int] | None = None, **more: object
) -> Record:
    """Make a record whose rows have these Brier scores, in 1/10,000."""
    count, scores = len(student), {"student": tuple(student)}
    if teacher is not None:
        scores["teacher"] = tuple(teacher)
    values: dict[str, object] = {"segment": (-1,) * count, "segments": (), "key": tuple(range(count))}
    return Record(
        labels=("no", "yes"),
        rows=tuple(range(count)),
        gold=(1,) * count,
        teacher=(1,) * count,
        student=(1,) * count,
        baseline=(0,) * count,
        majority=0,
        group=tuple(range(count)) if group is None else tuple(group),
        scores={"brier_score": scores},
        **values | more,  # type: ignore[arg-type]
    )


def only(gate: Gate, record: Record) -> Judgement:
    (judgement,) = judge(gate, record)
    return judgement


def one_look(criterion: Criterion, **more: object) -> Gate:
    return Gate((criterion,), rounds=1, **more)  # type: ignore[arg-type]


# --- what cannot be locked, or read ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("criterion", "sentence"),
    [
        (Criterion(BRIER, threshold=Decimal(1)), "which cannot fail; give a score below 1, like 0.1."),
        (Criterion(BRIER, threshold=Decimal(0)), "which cannot pass; give a number above 0."),
        (Criterion(BRIER, TEACHER), "brier_score against the teacher has no margin"),
        (Criterion(BRIER, TEACHER, margin=Decimal(0)), "cannot be shown to lead it"),
        (Criterion(BRIER, margin=Decimal("0.1")), "has a margin but no reference"),
    ],
)
def test_a_bar_that_cannot_fail_or_cannot_pass_is_refused(criterion: Criterion, sentence: str) -> None:
    assert any(sentence in problem for problem in problems(Gate((criterion,)), PlayKind.STABILITY))


def test_a_row_score_may_be_what_binds_and_goes_through_toml_and_back() -> None:
    gate = Gate((NEAR, replace(LOW, binding=False), EVERYWHERE))
    assert problems(gate, PlayKind.STABILITY) == []
    assert from_toml(to_toml(gate)) == from_json(to_json(gate)) == gate
    assert 'metric = "brier_score"' in to_toml(gate)


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        (
            {"brier_score": {"stranger": (1, 1)}},
            "scores 'brier_score' of the evaluation record is not a table",
        ),
        (
            {"brier_score": {"student": (1,)}},
            "of the student of the evaluation record has 1 values for 2 rows",
        ),
        ({"brier_score": {"student": (1, 10_001)}}, "of the evaluation record holds 10001, which is out of range"),
        ({"brier_score": {"student": (1, 0.5)}}, "it takes whole numbers only"),
        ({"brier_score": []}, "is not a table of student, teacher, baseline"),
    ],
)
def test_scores_that_are_none_are_refused(scores: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(scored([1, 1]), scores=scores)


def test_a_record_from_before_there_were_row_scores_opens_and_they_are_unmeasured() -> None:
    values = json.loads(scored([100] * 300, [100] * 300).to_json())
    del values["scores"]
    judgement = only(one_look(NEAR), Record.from_json(json.dumps(values)))
    assert judgement.verdict is Verdict.UNMEASURED
    assert judgement.sentence.endswith("the evaluation has no such score of the student: it takes rows with gold.")


def test_against_a_teacher_without_probabilities_nothing_is_measured() -> None:
    judgement = only(one_look(NEAR), scored([100] * 300))
    assert judgement.verdict is Verdict.UNMEASURED
    assert "no row has such a score of the student and of the teacher" in judgement.sentence


# --- what a verdict says ---------------------------------------------------------------------------------------------


def test_the_mean_alone_never_decides() -> None:
    few = scored([900, 1100] * 10, [800, 1000] * 10)
    assert only(one_look(NEAR), few).verdict is Verdict.UNPROVEN
    many = scored([900, 1100] * 100, [800, 1000] * 100)
    judgement = only(one_look(NEAR), many)
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.sentence == (
        "The Brier score trails the teacher by 1 point, 0.1 against 0.09 (95% bound: trails by 2.5); the gate allows "
        "5: holds."
    )


def test_less_is_better_and_a_worse_student_misses() -> None:
    teacher = [500, 700] * 150
    worse = only(one_look(NEAR), scored([each + 1500 for each in teacher], teacher))
    assert (worse.verdict, worse.student, worse.reference) == (Verdict.MISSES, 0.21, 0.06)
    assert "trails the teacher by 15 points" in worse.sentence
    better = only(one_look(NEAR), scored(teacher, [each + 1500 for each in teacher]))
    assert better.verdict is Verdict.HOLDS and "leads the teacher by 15 points" in better.sentence


def test_a_threshold_is_judged_on_the_scale_of_the_metric() -> None:
    judgement = only(one_look(LOW), scored([500, 1500] * 200))
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.estimate == pytest.approx(0.1) and judgement.lower < 0.1 < judgement.upper < 0.2
    assert judgement.sentence.startswith("The Brier score is 0.1 (95% bound: at most 0.10")
    assert only(one_look(LOW), scored([2500, 3500] * 200)).verdict is Verdict.MISSES


def test_rows_of_one_group_are_one_piece_of_evidence() -> None:
    chance = np.random.default_rng(1)
    teacher = [2000] * 400
    student = [2000 + int(each) for each in np.repeat(chance.normal(150, 800, 40).clip(-2000, 3000), 10)]
    alone = only(one_look(NEAR), scored(student, teacher))
    together = only(one_look(NEAR), scored(student, teacher, [row // 10 for row in range(400)]))
    assert alone.groups == 400 and together.groups == 40
    assert together.lower is not None and alone.lower is not None and together.lower < alone.lower
    assert (alone.verdict, together.verdict) == (Verdict.HOLDS, Verdict.UNPROVEN)


def test_each_segment_is_judged_and_named() -> None:
    teacher = [1000, 1200] * 200
    student = [each + (3000 if row >= 200 else 0) for row, each in enumerate(teacher)]
    record = scored(student, teacher, segment=(0,) * 200 + (1,) * 200, segments=("en", "de"))
    good, bad = judge(Gate((EVERYWHERE,), rounds=1), record)
    assert (good.verdict, bad.verdict) == (Verdict.HOLDS, Verdict.MISSES)
    assert bad.sentence.startswith("The Brier score in segment 'de' trails the teacher by 30 points")


def test_about_so_many_more_rows_would_decide_and_they_do() -> None:
    chance = np.random.default_rng(3)

    def drawn(count: int) -> Record:
        return scored((4000 + chance.normal(200, 1200, count)).clip(0, 9000).astype(int).tolist(), [4000] * count)

    first = only(one_look(NEAR), drawn(60))
    assert first.verdict is Verdict.UNPROVEN and first.rows_needed is not None
    held = [only(one_look(NEAR), drawn(300)).verdict is Verdict.HOLDS for _ in range(40)]
    assert sum(held) >= 30


def test_the_bound_is_about_the_paired_t_bound_of_scipy_where_rows_stand_alone_and_are_many() -> None:
    chance = np.random.default_rng(2)
    student, teacher = (chance.integers(0, 4000, 800).tolist() for _ in range(2))
    sample = Scores.of_graded(zip(student, teacher, range(800), strict=True), 10_000, paired=True)
    differences = (np.array(student) - np.array(teacher)) / 10_000
    expected = stats.ttest_1samp(differences, 0).confidence_interval(0.9)
    assert (sample.at_least(0.05), sample.at_most(0.05)) == pytest.approx((expected.low, expected.high), abs=1e-3)


rows = st.lists(st.tuples(*[st.integers(0, 10_000)] * 2, st.integers(0, 30)), min_size=1, max_size=40)


@given(rows, st.data())
@settings(max_examples=60, deadline=None)
def test_a_verdict_never_improves_when_a_row_scores_worse(drawn, data) -> None:
    student, teacher, group = zip(*drawn, strict=True)
    at = data.draw(st.integers(0, len(drawn) - 1))
    worse = (*student[:at], data.draw(st.integers(student[at], 10_000)), *student[at + 1 :])
    for criterion in (replace(NEAR, margin=Decimal("0.3")), LOW):
        before, after = (only(one_look(criterion), scored(each, teacher, group)) for each in (student, worse))
        assert ORDER.index(after.verdict) <= ORDER.index(before.verdict)


@given(rows, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_never_matters(drawn, chance) -> None:
    shuffled = list(drawn)
    chance.shuffle(shuffled)
    first, second = (only(one_look(NEAR), scored(*zip(*each, strict=True))) for each in (drawn, shuffled))
    assert first == second


# --- before the lock, and over rounds --------------------------------------------------------------------------------


def test_too_few_rows_for_any_result_are_told_and_else_nothing_is_promised() -> None:
    (note,) = power(one_look(NEAR, held_out_rows=58))
    assert (note.possible, note.rows_needed) == (False, 59)
    assert note.sentence == (
        "The Brier score: 58 rows can never prove this: it takes at least 59, so add 1 held-out row with gold "
        "and the teacher's probabilities."
    )
    assert only(one_look(NEAR), scored([1000] * 58, [1000] * 58)).verdict is Verdict.UNPROVEN
    assert only(one_look(NEAR), scored([1000] * 59, [1000] * 59)).verdict is Verdict.HOLDS
    (note,) = power(one_look(NEAR, held_out_rows=500))
    assert note.possible and note.enough is None
    assert "is not known before the first look" in note.sentence and note.sentence.endswith("it takes 59 at least.")


def test_the_gain_of_rounds_is_that_of_the_row_score_where_it_binds() -> None:
    flat = scored([3000, 3400] * 250, [1000, 1000] * 250)
    seen = progress(one_look(NEAR), flat, flat, rounds_left=2)
    assert seen is not None and seen.criterion == NEAR
    assert seen.outlook.prospect is Prospect.HOPELESS
    assert seen.outlook.gap == pytest.approx(0.22 - 0.05)


# --- the Brier score -------------------------------------------------------------------------------------------------


def test_rows_without_gold_and_subjects_without_probabilities_have_no_score() -> None:
    gold = np.array([0, -1])
    sure, unknown = np.array([[0.5, 0.5], [1.0, 0.0]]), np.full((2, 2), np.nan)
    assert row_scores.of_probabilities(gold, {"student": sure, "teacher": unknown}) == {
        "brier_score": {"student": (2500, -1)}
    }
    assert row_scores.of_probabilities(np.array([-1, -1]), {"student": sure}) == {"brier_score": {}}


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=30))
@settings(max_examples=50, deadline=None)
def test_the_brier_score_of_two_labels_is_that_of_sklearn(drawn) -> None:
    gold, share = (np.array(each) for each in zip(*drawn, strict=True))
    scores = row_scores.brier(gold, np.stack([1 - share, share], axis=1))
    expected = brier_score_loss(gold, share, labels=[0, 1], pos_label=1)
    assert sum(scores) / len(scores) / 10_000 == pytest.approx(expected, abs=5.1e-5)
