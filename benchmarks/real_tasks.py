"""Verdicts of plays of scores and of several labels on real data whose truth is known; and the judge asked twice.

    python benchmarks/real_tasks.py CACHE [--plays 20] [--splits 40] [--kept build/real_tasks.jsonl] [--only scores]

As `real_plays.py`, whose splits, bars and table these are: whole documents are drawn for training, validation and a
reserve on which the truth is known, and held-out splits of the reserve are judged with the bar put exactly there.

scores  A panel of five raters of a text of vader_rated is the judge, five others are the judge asked again, and the
        median of the rest is gold. The student, n-grams, learns from the first panel's votes. The second panel is also
        judged as if it were another student (a lead over the first, margin 0), and in the place of the first.
tags    Debian's packages (from the machine's apt lists, see sample_projects/package_tags). The teacher, of words and
        letters, learns from 6,000 packages, the student, static vectors, from its answers to 3,000.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields, replace
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from statistics import median_low
from typing import Any

import shared

sys.path += [str(shared.ROOT / "sample_projects" / name) for name in ("package_tags", "judge_scores")]

# isort: split
import fetch
import judge
import numpy as np
import packages
import real_plays
import tag
from real_plays import Counts, Rows

from distill_tui.dataset import frozen
from distill_tui.dataset.row_identity import input_digest
from distill_tui.gates.gate import ALL, Criterion
from distill_tui.gates.label_sets import written
from distill_tui.gates.record import Record
from distill_tui.runs import task_rows
from distill_tui.spec import Spec
from distill_tui.teachers.description import GIVEN_ALONE
from distill_tui.terms import Metric, Reference, Task, Verdict
from distill_tui.training import predict
from distill_tui.training.ladder import Climb

TRAINING, VALIDATION, LESSONS, RESERVE, HELD_OUT = 3_000, 600, 6_000, 12_000, 1_000
LESS_IS_BETTER = (Metric.MAE, Metric.HAMMING)
RATERS = 5  # of a panel
LEVELS = ("1", "2", "3", "4", "5")
STUDENTS = {
    Task.SCORE: {"student": "ngram", "epochs": 8, "learning_rate": 0.005, "alpha": 0.8},
    Task.MULTILABEL: {"student": "static", "epochs": 30, "learning_rate": 0.01, "alpha": 0.8},
}
BARS: dict[Task, dict[str, tuple[Metric, str, str]]] = {  # name -> metric, scope, how much the bar is moved
    Task.SCORE: {
        "mean absolute error": (Metric.MAE, ALL, "0.05"),
        "within one level": (Metric.WITHIN_ONE, ALL, "0.05"),
        "weighted kappa": (Metric.KAPPA, ALL, "0.1"),
        "rank correlation": (Metric.SPEARMAN, ALL, "0.1"),
    },
    Task.MULTILABEL: {
        "micro F1": (Metric.MICRO_F1, ALL, "0.05"),
        "macro F1": (Metric.MACRO_F1, ALL, "0.1"),
        "wrong labels": (Metric.HAMMING, ALL, "0.01"),
        "recall of role::program": (Metric.RECALL, "label: role::program", "0.1"),
    },
}


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--plays", type=int, default=20)
    parser.add_argument("--splits", type=int, default=40, help="held-out splits of a play")
    parser.add_argument("--kept", type=Path, default=shared.ROOT / "build" / "real_tasks.jsonl")
    parser.add_argument("--only", choices=("scores", "tags"))
    options = parser.parse_args()
    for name, task in (("scores", Task.SCORE), ("tags", Task.MULTILABEL)):
        if options.only in (None, name):
            done = real_plays.continued(options.kept, options.plays, partial(counted, task, options.splits), name)
            print(f"\n{name}")
            real_plays.table(done)


def counted(task: Task, splits: int, number: int) -> Counts:
    """Make one play and judge its splits."""
    rows = rated() if task is Task.SCORE else tagged()
    return judged(task, *played(task, rows, number), np.random.default_rng(1_000 + number), splits)


# --- a play -----------------------------------------------------------------------------------------------------------


@cache
def rated() -> Rows:
    """Return the rated texts that have raters for two panels and for gold."""
    rows = judge.rated(fetch.download())
    return [row | {"id": str(at)} for at, row in enumerate(rows) if len(row["levels"]) >= 3 * RATERS]


@cache
def tagged() -> Rows:
    return [row | {"id": row["input"]} for row in packages.rows(packages.dumped())]


def played(task: Task, rows: Rows, number: int) -> tuple[Record, Record | None]:
    """Train a student; return the record of the reserve, with the teacher in the baseline's place.

    The second record has the judge asked again in the place of the student; None of tags, whose teacher answers once.
    """
    random = np.random.default_rng(number)
    if task is Task.SCORE:
        rows = [_paneled(row, random) for row in rows]
        training, validation, left = real_plays.parts(rows, random, TRAINING, VALIDATION)
    else:
        lessons, training, validation, left = real_plays.parts(rows, random, LESSONS, TRAINING, VALIDATION)
        left = left[:RESERVE]
        answers = iter(tag.answered(lessons, [*training, *validation, *left]))
        training, validation, left = ([next(answers) for _ in part] for part in (training, validation, left))
    labels = LEVELS if task is Task.SCORE else tuple(sorted({name for row in training for name in row["gold"]}))
    of, (taught, checked, held) = (
        task_rows.of(task),
        (_rows(task, labels, each) for each in (training, validation, left)),
    )
    known = of.arm_rows(taught, checked, GIVEN_ALONE)
    spec = Spec.from_mapping({"hidden": 64, "controls": "", "threads": 1, "seed": number} | STUDENTS[task])
    with tempfile.TemporaryDirectory(prefix="real-tasks-") as folder:
        climb = Climb(spec, known, teacher=None, start=None, folder=Path(folder))
        for _ in climb.steps():
            pass
        student = predict.predictions(climb.kept.folder, held.inputs, spec)
    again = np.array([row["again"] for row in left], dtype=np.float32) if task is Task.SCORE else student
    majority = of.fit_baseline(taught, 1, by_majority=True).majority
    first, second = (Record(**of.columns(held, each, student, majority, {})) for each in (student, again))
    return _beside_teacher(first), _beside_teacher(second) if task is Task.SCORE else None


def _paneled(row: dict[str, Any], random: np.random.Generator) -> dict[str, Any]:
    levels = [row["levels"][at] for at in random.permutation(len(row["levels"]))]
    panels = [judge.judged(levels[at : at + RATERS])["teacher_probabilities"] for at in (0, RATERS)]
    first, again = ([panel[level] for level in LEVELS] for panel in panels)
    said = str(median_low(levels[:RATERS]))
    gold = str(median_low(levels[2 * RATERS :]))
    return row | {"gold": gold, "teacher_output": said, "teacher_probabilities": first, "again": again}


def _rows(task: Task, labels: Sequence[str], rows: Rows) -> frozen.Rows:
    """Make the rows of a split as a frozen data set has them."""
    if task is Task.MULTILABEL:
        gold, teacher = ([_set(row[name], labels) for row in rows] for name in ("gold", "teacher_output"))
        soft = [[row["teacher_probabilities"].get(label, 0.0) for label in labels] for row in rows]
        known = frozen.sets_in({"gold": gold, "teacher_output": teacher}, labels)
    else:
        gold, teacher = ([row[name] for row in rows] for name in ("gold", "teacher_output"))
        soft, known = [row["teacher_probabilities"] for row in rows], list(labels)
    place = {text: at for at, text in enumerate(known)}
    return frozen.Rows(
        task=task,
        rows=np.arange(len(rows)),
        inputs=real_plays.texts(rows),
        digests=tuple(input_digest(row["input"] + row["id"]) for row in rows),
        labels=tuple(labels),
        gold=np.array([place[text] for text in gold]),
        gold_texts=tuple(gold),
        teacher=np.array([place[text] for text in teacher]),
        teacher_texts=tuple(teacher),
        soft=np.array(soft, dtype=np.float32),
        weights=np.ones(len(rows)),
        segments=tuple(row["segment"] for row in rows),
        groups=tuple(row["group"] for row in rows),
    )


def _set(names: Sequence[str], labels: Sequence[str]) -> str:
    return written([name for name in names if name in labels])


def _beside_teacher(record: Record) -> Record:
    """Put the teacher where a lead may be asked for: no gate locks a margin below 0 against a teacher."""
    scores = {metric: each | {"baseline": each["teacher"]} for metric, each in record.scores.items()}
    return replace(record, baseline=record.teacher, scores=scores)


# --- the gate ------------------------------------------------------------------------------------------------------


def judged(task: Task, whole: Record, again: Record | None, random: np.random.Generator, splits: int) -> Counts:
    """Judge held-out splits of the reserve; count verdicts by row of the table."""
    counts: Counts = {}
    bars = {name: _at_the_truth(whole, metric, scope) for name, (metric, scope, _) in BARS[task].items()}
    documents = real_plays.by_document(np.array(whole.group))
    for _ in range(splits):
        rows = real_plays.split(documents, random, HELD_OUT)
        part = _part(whole, rows)
        for name, criterion in bars.items():
            easier = Decimal(BARS[task][name][2])
            for word, moved in (("", Decimal(0)), (" easier", easier), (" harder", -easier)):
                _count(counts, name + word, _verdict(criterion, moved, part))
        if again is not None:
            _asked_twice(counts, bars, part, _part(again, rows))
    return counts


def _asked_twice(counts: Counts, bars: dict[str, Criterion], part: Record, other: Record) -> None:
    """Judge the judge asked again as another student, and in the place of the first."""
    for name, criterion in bars.items():
        lead = replace(criterion, margin=Decimal(0))
        _count(counts, f"asked twice: leads, {name}", _verdict(lead, Decimal(0), other))
        placed = _beside_teacher(replace(part, teacher=other.student, scores=_taught(part, other)))
        easier = Decimal(BARS[Task.SCORE][name][2])
        verdicts = {_verdict(criterion, easier, each) for each in (part, placed)}
        _count(counts, f"asked twice: {name}", "same" if len(verdicts) == 1 else "differs")


def _taught(part: Record, other: Record) -> dict[str, dict[str, tuple[int, ...]]]:
    return {name: {**each, "teacher": other.scores[name]["student"]} for name, each in part.scores.items()}


def _part(record: Record, rows: np.ndarray) -> Record:
    """Return the record of some of the rows."""
    took: dict[str, Any] = {"scores": {}}
    for each in fields(record):
        column = getattr(record, each.name)
        if each.name not in ("labels", "segments") and isinstance(column, tuple) and len(column) == len(record.rows):
            took[each.name] = tuple(column[at] for at in rows)
    for metric, subjects in record.scores.items():
        took["scores"][metric] = {name: tuple(column[at] for at in rows) for name, column in subjects.items()}
    return replace(record, **took)


def _at_the_truth(record: Record, metric: Metric, scope: str) -> Criterion:
    """Put the bar where student and teacher stand on the whole reserve, rounded to the harder side."""
    asked = Criterion(metric, Reference.BASELINE, scope, margin=Decimal("0.5"), binding=True)
    found = real_plays.judgement(asked, record)
    assert found.student is not None and found.reference is not None
    behind = found.reference - found.student
    return real_plays.margin(metric, -behind if metric in LESS_IS_BETTER else behind, scope)


def _verdict(criterion: Criterion, easier: Decimal, record: Record) -> Verdict:
    return real_plays.judgement(real_plays.eased(criterion, easier), record).verdict


def _count(counts: Counts, name: str, verdict: str) -> None:
    real_plays.count(counts, name, str(verdict))


if __name__ == "__main__":
    main()
