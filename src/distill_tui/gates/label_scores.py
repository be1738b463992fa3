"""Precision, recall and F1 of labels: of one label, of all together (micro), and the mean of all (macro).

An answer is a label, or a set of labels as text. The recall of one label is a share of the rows that have it, and its
precision one of the rows where the student gives it: both are judged exactly. Everything else is a ratio of sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from distill_tui.gates.gate import LABEL, Criterion
from distill_tui.gates.label_sets import members
from distill_tui.gates.ratios import MeanRatio, Ratios, Share, Tally
from distill_tui.gates.record import Record, rows_in
from distill_tui.gates.statistics import Scores
from distill_tui.terms import Metric, Task

ALL_LABELS = ""  # the one part of a micro average

Column = tuple[int, ...]


@dataclass(frozen=True)
class Evidence:
    """What a record shows of a label metric in one scope."""

    scores: Scores | Ratios
    student: float
    other: float | None
    lacks: str = ""  # why there is nothing to judge


@lru_cache(maxsize=8)
def _sets(labels: tuple[str, ...], several: bool) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(members(label) if several else (label,)) for label in labels)


def sets_of(record: Record) -> tuple[frozenset[str], ...]:
    """Return the labels of each answer that the record numbers."""
    return _sets(record.labels, record.task is Task.MULTILABEL)


def labels_in_gold(record: Record) -> tuple[str, ...]:
    """Return the labels that gold has on any row, by the alphabet."""
    sets = sets_of(record)
    return tuple(sorted(set().union(*(sets[answer] for answer in set(record.gold) if answer >= 0))))


def evidence(criterion: Criterion, record: Record, scope: str, rival: Column | None, name: str) -> Evidence:
    """Return the evidence on a criterion: of the student alone, or, with a rival's answers, of the difference."""
    label = scope.removeprefix(LABEL) if scope.startswith(LABEL) else None
    rows = rows_in(record, scope) if label is None else [*range(len(record.rows))]
    usable = [row for row in rows if record.gold[row] >= 0 and (rival is None or rival[row] >= 0)]
    if not usable:
        needs = f"gold and an output of {name}" if rival is not None else "gold"
        return Evidence(Scores.of((), paired=False), 0.0, None, f"no row has {needs}")
    if label is not None and criterion.metric is Metric.RECALL:
        return _recall(record, usable, label, rival)
    if label is not None and criterion.metric is Metric.PRECISION and rival is None:
        return _precision(record, usable, label)
    return _ratios(criterion.metric, record, usable, label, rival)


def _recall(record: Record, rows: list[int], label: str, rival: Column | None) -> Evidence:
    sets = sets_of(record)
    having = [row for row in rows if label in sets[record.gold[row]]]
    pairs = [
        (
            label in sets[record.student[row]],
            rival is not None and label in sets[rival[row]],
            record.group[row],
        )
        for row in having
    ]
    count = max(1, len(pairs))
    student, other = (sum(pair[side] for pair in pairs) / count for side in (0, 1))
    lacks = "" if pairs else f"no row has the label “{label}” in gold"
    return Evidence(Scores.of(pairs, paired=rival is not None), student, None if rival is None else other, lacks)


def _precision(record: Record, rows: list[int], label: str) -> Evidence:
    sets = sets_of(record)
    given = [row for row in rows if label in sets[record.student[row]]]
    pairs = [(label in sets[record.gold[row]], False, record.group[row]) for row in given]
    lacks = "" if pairs else f"the student gives the label “{label}” on no row"
    return Evidence(
        Scores.of(pairs, paired=False), sum(right for right, _, _ in pairs) / max(1, len(pairs)), None, lacks
    )


def _ratios(metric: Metric, record: Record, rows: list[int], label: str | None, rival: Column | None) -> Evidence:
    student = _mean(metric, record, rows, label, record.student)
    other = None if rival is None else _mean(metric, record, rows, label, rival)
    if student is None or (rival is not None and other is None):
        what = "no label in gold" if label is None else f"the label “{label}” neither in gold nor in an answer"
        return Evidence(Scores.of((), paired=False), 0.0, None, f"the rows have {what}")
    theirs = None if other is None else other.whole
    return Evidence(Ratios.of(len(rows), student, other), student.whole, theirs)


def _mean(metric: Metric, record: Record, rows: list[int], label: str | None, column: Column) -> MeanRatio | None:
    sets, micro = sets_of(record), metric is Metric.MICRO_F1

    def tally(row: int) -> Tally:
        gold, said = sets[record.gold[row]], sets[column[row]]
        found = {each: _share(metric, each in gold, each in said) for each in (gold | said) if label in (None, each)}
        if not micro or not found:
            return found
        whole = [*found.values()]
        return {ALL_LABELS: sum(whole[1:], whole[0])}

    return MeanRatio.of((record.group[row], tally(row)) for row in rows)


def _share(metric: Metric, has: bool, given: bool) -> Share:
    both = has and given
    if metric is Metric.PRECISION:
        return Share(int(both), int(given), int(given))
    return Share(2 * both, has + given, int(has))


@dataclass(frozen=True)
class LabelRates:
    """One label: rows that have it, and precision, recall and F1 of student and teacher on rows with gold."""

    label: str
    rows: int
    student: tuple[float | None, float | None, float | None]
    teacher: tuple[float | None, float | None, float | None]


def label_rates(record: Record) -> tuple[LabelRates, ...]:
    """Return the rates of every label in gold or in an answer, the student's lowest F1 first."""
    columns = [[*_counts(record, column)] for column in (record.student, record.teacher)]
    counted: list[dict[str, list[int]]] = [{}, {}]
    for found, pairs in zip(counted, columns, strict=True):
        for label, has, given in pairs:
            here = found.setdefault(label, [0, 0, 0])
            here[0] += has and given
            here[1] += has
            here[2] += given
    rates = [
        LabelRates(label, counts[1], _rates(counts), _rates(counted[1].get(label, [0, 0, 0])))
        for label, counts in counted[0].items()
    ]
    return tuple(
        sorted(
            rates, key=lambda each: (not each.rows, -1.0 if each.student[2] is None else each.student[2], each.label)
        )
    )


def _counts(record: Record, column: Column) -> Iterator[tuple[str, bool, bool]]:
    sets = sets_of(record)
    for gold, said in zip(record.gold, column, strict=True):
        if gold >= 0 and said >= 0:
            yield from ((label, label in sets[gold], label in sets[said]) for label in sets[gold] | sets[said])


def _rates(counts: list[int]) -> tuple[float | None, float | None, float | None]:
    both, has, given = counts
    return (
        both / given if given else None,
        both / has if has else None,
        2 * both / (has + given) if has + given else None,
    )
