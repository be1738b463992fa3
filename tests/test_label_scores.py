"""Scores of labels and sets of labels: each against scikit-learn or scipy, and what their intervals may not do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn import metrics

from distill_tui.gates.gate import ALL, Criterion, Gate
from distill_tui.gates.judging import judge
from distill_tui.gates.label_scores import evidence, label_rates
from distill_tui.gates.label_sets import members, read, written
from distill_tui.gates.power import power
from distill_tui.gates.problems import criterion_problems, problems
from distill_tui.gates.ratios import MeanRatio, Ratios, Share
from distill_tui.gates.record import Record
from distill_tui.tasks import gate_problems, row_scores
from distill_tui.terms import Metric, PlayKind, Reference, Task, Verdict

NAMES = [f"L{number}" for number in range(4)]
Marks = list[list[bool]]
marks = st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=4, max_size=40)


def record_of(gold: Marks, student: Marks, teacher: Marks, group: Sequence[int] = ()) -> Record:
    """A record of answers that are sets."""
    texts = [
        [written(NAMES[at] for at, has in enumerate(row) if has) for row in rows] for rows in (gold, student, teacher)
    ]
    answers = tuple(sorted({text for column in texts for text in column}))
    g, s, t = (tuple(answers.index(text) for text in column) for column in texts)
    rows = tuple(range(len(gold)))
    return Record(answers, rows, g, t, s, t, 0, (-1,) * len(rows), (), tuple(group) or rows, task=Task.MULTILABEL)


def value(metric: Metric, record: Record, scope: str = ALL) -> float | None:
    found = evidence(Criterion(metric, scope=scope), record, scope, None, "")
    return None if found.lacks else found.student


@given(marks, st.randoms(use_true_random=False))
def test_each_score_is_that_of_scikit_learn(gold: Marks, random) -> None:  # type: ignore[no-untyped-def]
    student = [[has != (random.random() < 0.3) for has in row] for row in gold]
    record, truth, said = record_of(gold, student, gold), np.array(gold), np.array(student)
    there = [at for at in range(4) if truth[:, at].any()]
    if not there:
        assert value(Metric.MACRO_F1, record) is None
        return
    macro = metrics.f1_score(truth, said, labels=there, average="macro", zero_division=0)
    micro = metrics.f1_score(truth, said, average="micro", zero_division=0)
    assert value(Metric.MACRO_F1, record) == pytest.approx(macro)
    assert value(Metric.MICRO_F1, record) == pytest.approx(micro)
    for at in there:
        scope = f"label: {NAMES[at]}"
        oracle = metrics.precision_recall_fscore_support(truth[:, at], said[:, at], average="binary", zero_division=0)
        assert value(Metric.RECALL, record, scope) == pytest.approx(oracle[1])
        assert value(Metric.LABEL_F1, record, scope) == pytest.approx(oracle[2])
        if said[:, at].any():
            assert value(Metric.PRECISION, record, scope) == pytest.approx(oracle[0])
    hamming = row_scores.of_sets(truth.astype(int), {"student": said.astype(int)}, {})[Metric.HAMMING]["student"]
    assert sum(hamming) / 10_000 / len(gold) == pytest.approx(metrics.hamming_loss(truth, said), abs=1e-4)
    right = sum(s == g for s, g in zip(record.student, record.gold, strict=True)) / len(gold)
    assert right == pytest.approx(metrics.accuracy_score(truth, said)), "the exact set"


def _share(has: bool, given: bool) -> Share:
    return Share(2 * (has and given), has + given, int(has))


@given(marks, st.randoms(use_true_random=False))
def test_leaving_a_group_out_is_the_score_without_its_rows(gold: Marks, random) -> None:  # type: ignore[no-untyped-def]
    student = [[has != (random.random() < 0.3) for has in row] for row in gold]
    group = [random.randrange(5) for _ in gold]
    truth, said = np.array(gold), np.array(student)

    def mean(rows: list[int]) -> float | None:
        there = [at for at in range(4) if truth[rows][:, at].any()] if rows else []
        if not there:
            return None
        return float(metrics.f1_score(truth[rows], said[rows], labels=there, average="macro", zero_division=0))

    tallies = [
        (
            group[row],
            {
                NAMES[at]: Share(2 * (g and s), g + s, int(g))
                for at, (g, s) in enumerate(zip(*pair, strict=True))
                if g or s
            },
        )
        for row, pair in enumerate(zip(gold, student, strict=True))
    ]
    found = MeanRatio.of(tallies)
    assert (found is None) == (mean([*range(len(gold))]) is None)
    for left in found.without if found is not None else ():
        expected = mean([row for row in range(len(gold)) if group[row] != left])
        if expected is not None:
            assert found is not None and found.without[left] == pytest.approx(expected)


def test_a_perfect_student_proves_no_more_than_clopper_and_pearson_of_the_rows_with_the_label() -> None:
    """A thousand rows without a label say nothing of it."""
    gold = [[row < 12, False, True, False] for row in range(1000)]
    record = record_of(gold, gold, gold)
    found = evidence(Criterion(Metric.LABEL_F1, scope="label: L0"), record, "label: L0", None, "")
    least = found.scores.at_least(0.05)
    assert least == pytest.approx(0.05 ** (1 / 12), abs=0.05) and found.student == 1
    assert found.scores.exceeds(0.9) == pytest.approx(binom.pmf(12, 12, 0.9), rel=0.35)


def test_a_macro_mean_is_unseen_where_its_rarest_labels_could_be() -> None:
    """Twenty perfect labels of three rows each do not prove a macro-F1 of 0.99."""
    rare = Ratios.of(60, MeanRatio.of((row, {f"L{row % 20}": Share(2, 2, 1)}) for row in range(60)))
    common = Ratios.of(6000, MeanRatio.of((row, {f"L{row % 20}": Share(2, 2, 1)}) for row in range(6000)))
    assert rare.exceeds(0.99) > 0.05 > common.exceeds(0.99)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_bounds_and_p_values_never_contradict_each_other(seed: int) -> None:
    random = np.random.default_rng(seed)
    gold = random.random((80, 4)) < 0.4
    student, teacher = (np.where(random.random((80, 4)) < wrong, ~gold, gold) for wrong in (0.2, 0.1))
    record = record_of(gold.tolist(), student.tolist(), teacher.tolist(), [row // 2 for row in range(80)])
    for metric in (Metric.MICRO_F1, Metric.MACRO_F1):
        alone = evidence(Criterion(metric), record, ALL, None, "").scores
        pair = evidence(Criterion(metric, Reference.TEACHER), record, ALL, record.teacher, "the teacher").scores
        for scores in (alone, pair):
            low, high = scores.at_least(0.05), scores.at_most(0.05)
            assert low <= (scores.estimate or 0) <= high
            assert scores.exceeds(low - 1e-6) <= 0.05 < scores.exceeds(low + 1e-3)
            assert scores.falls_below(high + 1e-6) <= 0.05 < scores.falls_below(high - 1e-3)
    better = np.where(gold, gold, student)  # it finds every label now
    more = record_of(gold.tolist(), better.tolist(), teacher.tolist(), [row // 2 for row in range(80)])
    found = evidence(Criterion(Metric.MICRO_F1), more, ALL, None, "")
    assert found.student >= evidence(Criterion(Metric.MICRO_F1), record, ALL, None, "").student


def test_a_gate_judges_every_label_and_holds_single_ones_to_their_own_bar() -> None:
    random = np.random.default_rng(5)
    gold = random.random((600, 4)) < (0.5, 0.4, 0.3, 0.2)
    student = np.where(random.random((600, 4)) < (0.02, 0.02, 0.02, 0.4), ~gold, gold)
    record = record_of(gold.tolist(), student.tolist(), gold.tolist())
    every = Criterion(Metric.RECALL, scope="every label", threshold=Decimal("0.9"), binding=True)
    gate = Gate((every,), held_out_rows=600, rounds=1)
    verdicts = {each.scope: each.verdict for each in judge(gate, record)}
    assert verdicts == {"label: L0": "holds", "label: L1": "holds", "label: L2": "holds", "label: L3": "misses"}
    (missed,) = [each for each in judge(gate, record) if each.verdict is Verdict.MISSES]
    assert missed.sentence.startswith("Recall of label 'L3' is ")
    own = Criterion(Metric.RECALL, scope="label: L3", threshold=Decimal("0.4"))
    looser = Gate((every, own), held_out_rows=600, rounds=1)
    assert all(each.verdict is Verdict.HOLDS for each in judge(looser, record))
    absent = Criterion(Metric.RECALL, scope="label: L9", threshold=Decimal("0.5"))
    (found,) = judge(Gate((absent,)), record)
    assert found.sentence == "Recall of label 'L9' is unmeasured: no row has the label “L9” in gold."


def test_criteria_of_labels_are_refused_where_they_could_not_be_judged() -> None:
    def wrong(**about: object) -> list[str]:
        return list(criterion_problems(Criterion(**about)))  # type: ignore[arg-type]

    bar = {"threshold": Decimal("0.8")}
    assert wrong(metric=Metric.RECALL, **bar) == [
        "recall is of one label: give it the scope 'every label' or 'label: NAME'."
    ]
    assert wrong(metric=Metric.LABEL_F1, scope="label:  ", **bar)
    assert wrong(metric=Metric.MICRO_F1, scope="every label", **bar)
    assert not wrong(metric=Metric.MACRO_F1, scope="every segment", **bar)
    assert "which no sample proves" in wrong(metric=Metric.MACRO_F1, threshold=Decimal(1))[0]
    binding = Gate((Criterion(Metric.MACRO_F1, Reference.TEACHER, margin=Decimal("0.05"), binding=True),))
    assert not problems(binding, PlayKind.STABILITY)
    assert not gate_problems(binding, PlayKind.STABILITY, Task.CLASSIFICATION), "labels have macro-F1 too"
    assert "macro_f1 is of labels, but this play's answers are texts; use accuracy or field_f1." in gate_problems(
        binding, PlayKind.STABILITY, Task.GENERATION
    )
    hamming = Gate((Criterion(Metric.HAMMING, threshold=Decimal("0.1"), binding=True),))
    assert gate_problems(hamming, PlayKind.STABILITY, Task.CLASSIFICATION) == [
        "hamming_loss is of several labels, and each answer of this play is one; use accuracy."
    ]
    assert not gate_problems(hamming, PlayKind.STABILITY, Task.MULTILABEL)


def test_a_power_note_says_how_many_rows_with_the_label_it_takes() -> None:
    every = Criterion(Metric.RECALL, scope="every label", threshold=Decimal("0.9"))
    (note,) = power(Gate((every,), held_out_rows=500, rounds=1))
    least = math.ceil(math.log(0.05) / math.log(0.9))
    assert f"it takes {least} rows that have the label at least, and 500 rows are held out" in note.sentence
    (short,) = power(Gate((every,), held_out_rows=20, rounds=1))
    assert not short.possible
    few = Criterion(Metric.MICRO_F1, threshold=Decimal("0.9"))
    (note,) = power(Gate((few,), held_out_rows=20, rounds=1))
    assert note.enough is False and "can never prove this" in note.sentence


def test_rates_of_labels_are_listed_the_worst_first() -> None:
    gold = [[True, row % 2 == 0, False, False] for row in range(10)]
    student = [[row < 9, row % 2 == 0, row == 0, False] for row in range(10)]
    found = {each.label: each for each in label_rates(record_of(gold, student, gold))}
    assert [*found] == ["L0", "L1", "L2"], "a label that gold never has comes last"
    assert found["L0"].student == (1.0, 0.9, pytest.approx(18 / 19)) and found["L0"].rows == 10
    assert found["L2"].student == (0.0, None, 0.0) and found["L1"].teacher == (1.0, 1.0, 1.0)


@given(st.lists(st.text(alphabet='ab, ["\\é\n', min_size=1)))
def test_a_set_is_read_as_it_was_written(labels: list[str]) -> None:
    assert read(written(labels)) == tuple(sorted(set(labels)))
    assert written(reversed(labels)) == written(labels)


@pytest.mark.parametrize("text", ["", "a", "{}", "[1]", '["a"', '[["a"]]', "null", "[" * 5000])
def test_what_is_no_set_is_read_as_none(text: str) -> None:
    assert read(text) is None and members(text) == (text,)
