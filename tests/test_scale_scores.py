"""Scores of a scale: how scales and scores are read, each metric against its oracle, and what gates may ask of them."""

from __future__ import annotations

import json
import math
from collections import Counter
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from distill_tui.dataset import readers, traffic
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.gates.judging import judge
from distill_tui.gates.power import power
from distill_tui.gates.problems import problems
from distill_tui.gates.record import Record
from distill_tui.gates.scale import Scale, apart, is_range, value
from distill_tui.gates.scale_scores import evidence, kappa, measure, spearman
from distill_tui.rules.results import Reject
from distill_tui.tasks import default_gate, gate_problems, row_scores
from distill_tui.tasks.label_map import LabelMap
from distill_tui.tasks.score import on_scale, settled
from distill_tui.terms import Metric, PlayKind, Reference, Task, Verdict
from support import scores

FIVE, RANGE = Scale.read("1,2,3,4,5"), Scale.read("0..1")
levels = st.integers(1, 5)
pairs = st.lists(st.tuples(levels, levels), min_size=2, max_size=60)
numbers = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=60)


# --- scales ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "1", "1,2", "3,2,1", "1,1,2", "1,x,3", "0..", "1..0", "a..b", "1..inf", "1,nan,3"]
)
def test_what_is_no_scale_is_rejected_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"like (1,2,3,4,5|0\.\.1)"):
        Scale.read(text)


def test_a_scale_is_known_by_its_labels_and_its_text() -> None:
    for text in ("1,2,3,4,5", "0..1", "-2,-1,0,1.5", "0..100", "1,2,10"):
        scale = Scale.read(text)
        assert Scale.of(scale.labels) == scale and scale.text == text
        assert is_range(scale.labels) is (".." in text)
    assert RANGE.labels[:3] == ("~0", "~0.05", "~0.1") and len(RANGE.labels) == 21


@pytest.mark.parametrize(
    ("scale", "given", "reason"),
    [
        (FIVE, "6", "none of the levels 1,2,3,4,5"),
        (FIVE, 3.5, "none of the levels"),
        (FIVE, "four", "not a number"),
        (FIVE, True, "not a number"),
        (FIVE, "NaN", "not a number"),
        (RANGE, "1.01", "outside 0..1"),
        (RANGE, -0.001, "outside 0..1"),
        (RANGE, "1e-400", "not a number"),
    ],
)
def test_a_score_that_is_not_on_the_scale_has_a_reason(scale: Scale, given: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        scale.number(given)


@pytest.mark.parametrize(
    ("scale", "given", "read"),
    [(FIVE, "4.0", "4"), (FIVE, 4.0, "4"), (FIVE, " 4 ", "4"), (FIVE, 4, "4"), (RANGE, 0.5, "0.5"), (RANGE, "-0", "0"),
     (RANGE, "0.123456", "0.1235"), (RANGE, "1e-1", "0.1")],
)  # fmt: skip
def test_a_score_has_one_spelling(scale: Scale, given: object, read: str) -> None:
    assert scale.number(given) == read


@given(st.floats(0, 1))
def test_a_number_is_shared_so_that_its_mean_is_itself(number: float) -> None:
    shares = RANGE.shares(number)
    assert math.fsum(shares) == pytest.approx(1) and sum(share > 0 for share in shares) <= 2
    assert float(RANGE.answer(shares)) == pytest.approx(number, abs=6e-4)
    assert abs(float(RANGE.points[RANGE.nearest(f"{number:.12f}")]) - number) <= 0.025 + 1e-9


@given(st.lists(st.sampled_from(scores.LEVELS), min_size=1, max_size=9))
def test_several_scores_of_one_input_settle_on_a_median(votes: list[str]) -> None:
    found = settled(Counter(votes))
    assert found is not None and found in votes
    below, above = (
        sum(side(float(each), float(found or 0)) for each in votes) for side in (float.__lt__, float.__gt__)
    )
    assert max(below, above) <= len(votes) / 2


def test_a_level_is_found_by_the_label_map_or_as_a_number() -> None:
    named = LabelMap(FIVE.labels, {"poor": "1"})
    assert [on_scale(named, each) for each in ("poor", "4.0", "5", "7", "good")] == ["1", "4", "5", None, None]
    assert [on_scale(LabelMap(RANGE.labels), each) for each in ("0.37", "~0.35", "2")] == ["~0.35", "~0.35", None]


@pytest.mark.parametrize(
    ("scale", "one", "other", "different"),
    [(None, "a", "b", True), (None, "a", "a", False), (FIVE, "4", "5", False), (FIVE, "3", "5", True),
     (FIVE, "none", "5", True), (FIVE, "none", "none", False), (RANGE, "~0.35", "0.44", False),
     (RANGE, "0.1", "~0.25", True)],
)  # fmt: skip
def test_answers_of_a_scale_differ_from_more_than_one_level_on(
    scale: Scale | None, one: str, other: str, different: bool
) -> None:
    assert apart(scale, one, other) is different and apart(scale, other, one) is different


def test_a_distribution_answers_with_its_median_level() -> None:
    assert [FIVE.answer(shares) for shares in ((0.3, 0.1, 0.2, 0.2, 0.2), (0.5, 0.5, 0, 0, 0), (0, 0, 0, 0, 1))] == [
        "3",
        "1",
        "5",
    ]


# --- import ----------------------------------------------------------------------------------------------------------


def read(tmp_path: Path, scale: str, rows: list[dict], **columns: str) -> list[readers.TrafficRow | Reject]:
    file = scores.write(tmp_path / "rows.jsonl", rows)
    mapping = readers.guess_mapping(file)
    return list(readers.read_rows(file, readers.with_answers(mapping, file, scale=scale)))


def test_what_is_outside_the_scale_is_left_out_with_its_reason(tmp_path: Path) -> None:
    bad = [{"gold": 6}, {"gold": "high"}, {"teacher_output": "2.5"}, {"teacher_probabilities": {"9": 1.0}},
           {"teacher_probabilities": [0.5, 0.5]}]  # fmt: skip
    found = read(tmp_path, "1,2,3,4,5", [{"input": f"text {at}", "gold": 1} | each for at, each in enumerate(bad)])
    assert all(isinstance(each, Reject) for each in found)
    reasons = [each.reason for each in found if isinstance(each, Reject)]
    assert reasons[0] == "'gold' “6” is none of the levels 1,2,3,4,5"
    assert "is not a number" in reasons[1] and "2.5" in reasons[2] and "name “9”" in reasons[3]
    assert "a list of 2, which does not fit the levels" in reasons[4]
    report = traffic.import_traffic(
        file := scores.write(tmp_path / "two.jsonl", [{"input": "a", "gold": 6}, {"input": "b", "gold": 5}]),
        readers.with_answers(readers.guess_mapping(file), file, scale="1,2,3,4,5"),
        tmp_path / "out.parquet",
    )
    assert (report.rows, report.rejects) == (1, 1)
    assert report.reasons == (("'gold' … is none of the levels …", 1),), "one line for all of them"


def test_scores_are_read_however_they_are_written(tmp_path: Path) -> None:
    written = [4, "4", "4.0", 4.0, '{"score": 4}', {"score": "4"}, " 4 "]
    found = read(tmp_path, "1,2,3,4,5", [{"input": f"t {at}", "gold": each} for at, each in enumerate(written)])
    assert [each.gold for each in found if isinstance(each, readers.TrafficRow)] == ["4"] * len(written)
    (row,) = read(tmp_path, "1,2,3,4,5", [{"input": "t", "teacher_probabilities": [0, 0, 0.25, 0.75, 0]}])
    assert isinstance(row, readers.TrafficRow)
    assert row.teacher_probabilities == {"1": 0.0, "2": 0.0, "3": 0.25, "4": 0.75, "5": 0.0}
    (row,) = read(tmp_path, "1,2,3,4,5", [{"input": "t", "teacher_probabilities": {"4.0": 0.75, "3": 0.25}}])
    assert isinstance(row, readers.TrafficRow) and row.teacher_probabilities == {"4": 0.75, "3": 0.25}


def test_of_a_distribution_over_numbers_a_range_takes_the_mean(tmp_path: Path) -> None:
    given = [
        {"input": "a", "teacher_output": "1", "teacher_probabilities": {"1": 0.5, "0.2": 0.5}},
        {"input": "b", "gold": ""},
    ]
    first, second = read(tmp_path, "0..1", given)
    assert isinstance(first, readers.TrafficRow) and (first.teacher_output, first.teacher_probabilities) == (
        "0.6",
        None,
    )
    assert isinstance(second, readers.TrafficRow) and second.gold is None


# --- each metric against its oracle ----------------------------------------------------------------------------------


@given(pairs)
def test_kappa_is_that_of_scikit_learn(found: list[tuple[int, int]]) -> None:
    gold, said = ([each[side] for each in found] for side in (0, 1))
    ours = kappa([(float(g), float(s)) for g, s in found])
    if len({*gold, *said}) == 1:
        assert ours is None
        return
    assert ours == pytest.approx(metrics.cohen_kappa_score(gold, said, weights="quadratic", labels=[1, 2, 3, 4, 5]))


@given(pairs)
def test_spearman_is_that_of_scipy_with_ties(found: list[tuple[int, int]]) -> None:
    assume(len({g for g, _ in found}) > 1 and len({s for _, s in found}) > 1)
    oracle = stats.spearmanr(*zip(*found, strict=True)).statistic
    assert spearman([(float(g), float(s)) for g, s in found]) == pytest.approx(oracle)


@given(numbers)
def test_spearman_of_numbers_and_constant_scores(found: list[tuple[float, float]]) -> None:
    assert spearman([(g, 0.5) for g, _ in found]) is None
    gold, said = ([each[side] for each in found] for side in (0, 1))
    assume(len({*gold}) > 1 and len({*said}) > 1)
    assert spearman(found) == pytest.approx(stats.spearmanr(gold, said).statistic)


@given(pairs)
def test_distance_and_share_within_one_level_are_those_of_scikit_learn(found: list[tuple[int, int]]) -> None:
    gold, said = ([str(each[side]) for each in found] for side in (0, 1))
    ours = row_scores.of_scores(FIVE, gold, {"student": said})
    mae = metrics.mean_absolute_error([*map(float, gold)], [*map(float, said)]) / 4
    assert sum(ours["mae"]["student"]) / 10_000 / len(found) == pytest.approx(mae, abs=1e-4)
    near = sum(abs(g - s) <= 1 for g, s in found) / len(found)
    assert sum(ours["within_one"]["student"]) / 10_000 / len(found) == pytest.approx(near)


def test_an_answer_that_is_no_score_is_as_wrong_as_one_can_be() -> None:
    ours = row_scores.of_scores(FIVE, ["5", "5", None], {"teacher": ["none", None, "5"]})
    assert ours["mae"]["teacher"] == (10_000, -1, -1) and ours["within_one"]["teacher"] == (0, -1, -1)
    assert row_scores.of_scores(Scale.read("1,2,10"), ["1"], {"s": ["2"]})["within_one"]["s"] == (10_000,), (
        "the next level"
    )


@given(pairs, st.randoms(use_true_random=False))
def test_kappa_without_a_group_is_that_of_the_other_rows(found: list[tuple[int, int]], random) -> None:  # type: ignore[no-untyped-def]
    rows = [(float(g), float(s), random.randrange(4)) for g, s in found]
    measured = measure(Metric.KAPPA, rows)
    assume(measured is not None)
    assert measured is not None
    for group, left in measured.mean.without.items():
        rest = kappa([(g, s) for g, s, own in rows if own != group])
        assert left == pytest.approx(measured.mean.whole if rest is None else rest, abs=1e-9)


def test_the_influence_on_ranks_is_that_of_leaving_rows_out() -> None:
    random = np.random.default_rng(3)
    gold = random.integers(1, 6, 800)
    said = np.clip(gold + random.integers(-1, 2, 800), 1, 5)
    rows = [(float(g), float(s), at // 2) for at, (g, s) in enumerate(zip(gold, said, strict=True))]
    measured = measure(Metric.SPEARMAN, rows)
    assert measured is not None
    exact = [spearman([(g, s) for g, s, own in rows if own != group]) or 0.0 for group in range(0, 400, 7)]
    whole = measured.mean.whole
    ours = [measured.mean.without[group] - whole for group in range(0, 400, 7)]
    np.testing.assert_allclose(ours, np.array(exact) - whole, atol=2e-5)


# --- the gate --------------------------------------------------------------------------------------------------------


def record_of(gold: list[int], student: list[int], teacher: list[int], group: list[int] | None = None) -> Record:
    places, rows = [tuple(each - 1 for each in column) for column in (gold, student, teacher)], tuple(range(len(gold)))
    texts = [[str(each) for each in column] for column in (gold, student, teacher)]
    scored = row_scores.of_scores(FIVE, texts[0], {"student": texts[1], "teacher": texts[2]})
    return Record(
        FIVE.labels, rows, places[0], places[2], places[1], places[2], 0, (-1,) * len(rows), (),
        tuple(group) if group else rows, scores=scored, task=Task.SCORE,
    )  # fmt: skip


def drawn(rows: int, spread: float, seed: int = 1) -> tuple[list[int], list[int], list[int]]:
    random = np.random.default_rng(seed)
    gold = random.integers(1, 6, rows)
    student = np.clip(np.rint(gold + random.normal(0, spread, rows)), 1, 5).astype(int)
    teacher = np.clip(np.rint(gold + random.normal(0, 0.4, rows)), 1, 5).astype(int)
    return gold.tolist(), student.tolist(), teacher.tolist()


CRITERIA = (
    Criterion(Metric.KAPPA, threshold=Decimal("0.7"), binding=True),
    Criterion(Metric.SPEARMAN, threshold=Decimal("0.7")),
    Criterion(Metric.MAE, threshold=Decimal("0.15")),
    Criterion(Metric.WITHIN_ONE, threshold=Decimal("0.9")),
    Criterion(Metric.KAPPA, Reference.TEACHER, margin=Decimal("0.1")),
    Criterion(Metric.SPEARMAN, Reference.TEACHER, margin=Decimal("0.1")),
    Criterion(Metric.MAE, Reference.TEACHER, margin=Decimal("0.05")),
    Criterion(Metric.WITHIN_ONE, Reference.TEACHER, margin=Decimal("0.05")),
)


def test_each_metric_holds_misses_and_is_unproven() -> None:
    gate = Gate(CRITERIA, rounds=1)
    for rows, spread, wanted in ((800, 0.45, Verdict.HOLDS), (800, 2.5, Verdict.MISSES)):
        found = judge(gate, record_of(*drawn(rows, spread)))
        assert {each.verdict for each in found} == {wanted}, [each.sentence for each in found]
    few = judge(gate, record_of(*drawn(12, 0.45)))
    assert {each.verdict for each in few} == {Verdict.UNPROVEN}
    words = " ".join(each.sentence for each in judge(gate, record_of(*drawn(800, 0.45))))
    assert "Quadratic weighted kappa" in words and "the teacher" in words


def test_a_student_that_ranks_nothing_cannot_be_measured() -> None:
    gold, _, teacher = drawn(50, 0.5)
    found = evidence(Criterion(Metric.SPEARMAN), record_of(gold, [3] * 50, teacher), "all", None, "")
    assert "the same score" in found.lacks
    empty = Record(FIVE.labels, (0,), (-1,), (1,), (1,), (1,), 0, (-1,), (), (0,), task=Task.SCORE)
    assert evidence(Criterion(Metric.KAPPA), empty, "all", None, "").lacks == "no row has gold"


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from((Metric.KAPPA, Metric.SPEARMAN)), st.booleans())
def test_a_bound_and_its_verdict_never_disagree(seed: int, metric: Metric, paired: bool) -> None:
    random = np.random.default_rng(seed)
    gold, student, teacher = drawn(60, float(random.uniform(0.2, 3)), seed)
    record = record_of(gold, student, teacher, [int(each) for each in random.integers(0, 25, 60)])
    rival = record.teacher if paired else None
    found = evidence(Criterion(metric), record, "all", rival, "the teacher")
    assume(not found.lacks)
    scores_, low = found.scores, -2.0 if paired else -1.0
    least, most = scores_.at_least(0.05), scores_.at_most(0.05)
    assert low <= least <= (scores_.estimate or 0) + 1e-9 <= most + 2e-9 <= -low + 2e-9
    if least > low + 1e-6:
        assert scores_.exceeds(least - 1e-6) <= 0.05
    assert scores_.exceeds(least + 1e-3) > 0.05


def test_rows_of_one_group_count_as_one() -> None:
    gold, student, teacher = drawn(300, 0.5)
    alone = evidence(Criterion(Metric.KAPPA), record_of(gold, student, teacher), "all", None, "").scores
    grouped = evidence(
        Criterion(Metric.KAPPA), record_of(gold * 4, student * 4, teacher * 4, [*range(300)] * 4), "all", None, ""
    ).scores
    assert grouped.estimate == pytest.approx(alone.estimate)
    assert grouped.at_least(0.05) == pytest.approx(alone.at_least(0.05), abs=1e-6)


def test_gates_of_other_tasks_do_not_take_scores_and_the_other_way_round() -> None:
    gate = Gate(CRITERIA)
    assert not [each for each in gate_problems(gate, PlayKind.STABILITY, Task.SCORE) if "score" in each]
    for task in (Task.CLASSIFICATION, Task.MULTILABEL, Task.GENERATION):
        assert any("is of scores" in each for each in gate_problems(gate, PlayKind.STABILITY, task)), task
    f1 = Gate((Criterion(Metric.MICRO_F1, threshold=Decimal("0.5"), binding=True),))
    assert any("this play's answers are scores" in each for each in gate_problems(f1, PlayKind.STABILITY, Task.SCORE))
    assert {each.metric for each in default_gate(PlayKind.STABILITY, Task.SCORE).criteria} == {Metric.MAE}
    assert problems(default_gate(PlayKind.STABILITY, Task.SCORE), PlayKind.STABILITY) == []


def test_what_rows_can_prove_is_said_before_the_lock() -> None:
    notes = power(Gate(CRITERIA, held_out_rows=10, rounds=1))
    assert all(note.rows_needed and not note.possible for note in notes if note.criterion.metric is Metric.MAE)
    impossible = [note for note in notes if note.criterion.metric is Metric.SPEARMAN and not note.possible]
    assert len(impossible) == 2 and "can never prove this" in impossible[0].sentence
    enough = power(Gate(CRITERIA, held_out_rows=2000, rounds=1))
    assert all(note.possible for note in enough)
    assert not any("label" in note.sentence for note in enough), "nothing about labels"


def test_a_value_is_read_from_labels_and_answers() -> None:
    assert [value(each) for each in ("4", "~0.35", "(none of the labels)", json.dumps("x"))] == [4.0, 0.35, None, None]
