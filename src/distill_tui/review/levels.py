"""Scores by level: where on its scale a student, and its teacher, score too high or too low. Nothing here decides."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from distill_tui.gates.gate import SCALE_SCORES
from distill_tui.gates.record import SUBJECTS, Record
from distill_tui.gates.scale import value
from distill_tui.gates.scale_scores import kappa, spearman
from distill_tui.gates.wording import count, trim
from distill_tui.terms import Metric, Task

_MEASURED = {Metric.KAPPA: kappa, Metric.SPEARMAN: spearman}


@dataclass(frozen=True)
class LevelRates:
    """The rows of one gold level: the mean score that student and teacher give them, and how far off they are."""

    level: str
    rows: int
    student: float
    teacher: float | None
    student_off: float  # mean distance from the level, in the units of the scale
    teacher_off: float | None


def by_level(record: Record) -> tuple[LevelRates, ...]:
    """Return the rates of each level that gold has, in the order of the scale; none for another task."""
    found = []
    for at, label in enumerate(record.labels if record.task is Task.SCORE else ()):
        level = value(label)
        rows = [row for row, gold in enumerate(record.gold) if gold == at]
        if level is None or not rows:
            continue
        said = [_scores(record, column, rows) for column in (record.student, record.teacher)]
        means = [math.fsum(each) / len(each) if each else None for each in said]
        off = [math.fsum(abs(score - level) for score in each) / len(each) if each else None for each in said]
        if means[0] is not None and off[0] is not None:
            found.append(LevelRates(label.removeprefix("~"), len(rows), means[0], means[1], off[0], off[1]))
    return tuple(found)


def _scores(record: Record, column: tuple[int, ...], rows: list[int]) -> list[float]:
    known = (value(record.labels[column[row]]) for row in rows if column[row] >= 0)
    return [each for each in known if each is not None]


def sentences(record: Record) -> Iterator[str]:
    """Word kappa and Spearman's correlation of each subject with gold, on the rows where all have a score."""
    if record.task is not Task.SCORE:
        return
    columns = {"student": record.student, "teacher": record.teacher, "baseline": record.baseline}
    there = {name: column for name, column in columns.items() if max(column, default=-1) >= 0}
    scored = [(row, _of_row(record, row, [record.gold, *there.values()])) for row in range(len(record.rows))]
    rows = [numbers for _, numbers in scored if numbers]
    for metric, name in SCALE_SCORES.items():
        measured = {
            subject: _MEASURED[metric]([(numbers[0], numbers[at]) for numbers in rows])
            for at, subject in enumerate(there, 1)
        }
        known = {subject: found for subject, found in measured.items() if found is not None}
        if rows and known:
            shown = ", ".join(f"{subject} {trim(f'{known[subject]:.4f}')}" for subject in SUBJECTS if subject in known)
            yield f"{name[:1].upper()}{name[1:]} with gold: {shown}, on {count(len(rows), 'row')} (higher is better)."


def _of_row(record: Record, row: int, columns: list[tuple[int, ...]]) -> list[float]:
    """Return the scores of a row in each column; empty where one has none."""
    found = [value(record.labels[column[row]]) if column[row] >= 0 else None for column in columns]
    return [each for each in found if each is not None] if None not in found else []
