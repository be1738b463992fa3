"""The teacher before the student: how good it is against gold, and whether it knows more than a baseline of words.

Teacher quality is the ceiling: a student that is held to a floor above it, or that could be replaced by a bag of
words, is not worth training. Findings are accepted before the data set is frozen. Held-out rows are not looked at.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from distill_tui import tasks
from distill_tui.dataset.build import Rows
from distill_tui.gates import statistics
from distill_tui.gates.gate import ALL, ORDERED, Gate
from distill_tui.gates.label_sets import members
from distill_tui.rules.results import Finding
from distill_tui.tasks.label_map import LabelMap
from distill_tui.terms import FindingLevel, Metric, Reference, Split, Task
from distill_tui.training.baseline import fit_baseline, fit_nearest, fit_sets

LEAST = 50  # rows with gold below which a share is not informative
MOST = 2_000  # rows that the baseline learns on: a second or two
ALPHA = 0.025  # on each side
ONE_SIDED = 0.9  # of the rows right by chance: nearly all have one label
FOLDS = 5


def measure(
    rows: Rows, labels: Sequence[str], seed: int, task: Task = Task.CLASSIFICATION, lists: str = ORDERED
) -> dict[str, int] | None:
    """Compare teacher and baseline on the rows outside the held-out split that have both; None where too few do.

    An answer that is none of the labels is wrong. Without labels the answers are texts, and each spelling has a number
    as a label has.
    """
    of, label_map = tasks.compared(task, lists), LabelMap(tuple(labels))
    read = (lambda text: of.label_of(label_map, text) or text) if task is Task.SCORE else of.spelled

    def both() -> Iterator[tuple[str, str, str, str]]:
        for row in rows:
            if row.split is not Split.HELD_OUT and row.gold is not None and row.teacher_output is not None:
                yield row.input_digest, row.input, read(row.gold), read(row.teacher_output)

    several, named = tasks.of(task).several, set(labels)
    if not tasks.of(task).one_label:  # of written answers those of the rows that are compared suffice
        known = heapq.nsmallest(MOST, both())
        named = {answer for _, _, *answers in (both() if several else known) for answer in answers}
    else:
        known = heapq.nsmallest(MOST, (each for each in both() if each[2] in named))
    if len(known) < LEAST:
        return None
    names = labels if tasks.of(task).one_label else sorted(named)
    index = {name: at for at, name in enumerate(names)}
    gold, said = ([index.get(each[at], -1) for each in known] for at in (2, 3))
    sets = names if several else ()
    return compare([each[1] for each in known], gold, said, seed, of_answers=task is Task.GENERATION, sets=sets)


def compare(
    texts: Sequence[str],
    gold: Sequence[int],
    teacher: Sequence[int],
    seed: int,
    of_answers: bool = False,
    sets: Sequence[str] = (),
) -> dict[str, int]:
    """Count on how many rows teacher, baseline and majority are right, and on how many only one of the first two is.

    The baseline answers each fifth of the rows after it was fitted on the other four. Where answers are texts it copies
    the answer of the most similar row. `sets` are the sets of labels that gold and teacher number, where these are.
    """
    truth, said = np.array(gold, dtype=np.int64), np.array(teacher, dtype=np.int64)
    fold = np.random.default_rng(seed).permutation(len(truth)) % FOLDS
    words = np.empty_like(truth)
    for each in range(FOLDS):
        known = np.where(fold == each, -1, truth)
        here = [int(at) for at in np.flatnonzero(fold == each)]
        asked = [texts[at] for at in here]
        if of_answers:
            nearest = fit_nearest(texts, [None if number < 0 else str(number) for number in known], seed)
            words[here] = [int(number) for number in nearest(asked)]
        elif sets:
            words[here] = _sets(texts, known, seed, sets, asked)
        else:
            words[here] = fit_baseline(texts, known, seed)(asked)
    right, baseline = said == truth, words == truth
    size = int(max(truth.max(), said.max())) + 1
    return {
        "rows": len(truth),
        "teacher": int(right.sum()),
        "baseline": int(baseline.sum()),
        "majority": int(np.bincount(truth).max()),
        "by_chance": round(
            float((np.bincount(truth, minlength=size) * np.bincount(said[said >= 0], minlength=size)).sum())
            / len(truth)
        ),
        "only_teacher": int((right & ~baseline).sum()),
        "only_baseline": int((baseline & ~right).sum()),
        "of_answers": int(of_answers),
    } | ({"of_sets": 1} if sets else {})


def _sets(
    texts: Sequence[str], known: NDArray[np.int64], seed: int, sets: Sequence[str], asked: Sequence[str]
) -> list[int]:
    """Return the number of the set that the baseline of labels answers with; -1 for one that is not numbered."""
    labels = sorted({label for text in sets for label in members(text)})
    marks = np.array([[label in members(text) for label in labels] for text in sets], dtype=np.int64)
    found = fit_sets(texts, np.where(known[:, None] < 0, -1, marks[np.maximum(known, 0)]), seed)(asked)
    number = {text: at for at, text in enumerate(sets)}
    return [number.get(text, -1) for text in found.answers(labels)]


def summary(counts: dict[str, int]) -> str:
    """Word how often the teacher is right, with its interval, compared with the baseline."""
    rows, right = counts["rows"], counts["teacher"]
    low, high = (_percent(bound) for bound in statistics.wilson_interval(right, rows, ALPHA))
    return (
        f"The teacher is right on {_percent(right / rows)} ({low} to {high}) of {rows:,} rows with gold; "
        f"{_baseline(counts)}, learning on the same gold, on {_percent(counts['baseline'] / rows)}."
    )


def _percent(share: float | Decimal) -> str:
    return f"{100 * share:.1f}%"


def _baseline(counts: dict[str, int]) -> str:
    several = Task.MULTILABEL if counts.get("of_sets") else Task.CLASSIFICATION
    return tasks.of(Task.GENERATION if counts.get("of_answers") else several).baseline


def findings(counts: dict[str, int] | None, gate: Gate) -> Iterator[Finding]:
    if counts is None:
        yield Finding.of(
            "teacher", FindingLevel.NOTE, "unknown",
            f"Fewer than {LEAST} rows have both gold and a teacher's answer: its quality is unknown.",
        )  # fmt: skip
        return
    yield from _at_chance(counts)
    yield from _below_the_gate(counts, gate)
    rows, losses, wins = counts["rows"], counts["only_baseline"], counts["only_teacher"]
    least = statistics.difference_at_least(losses, wins, rows, ALPHA)
    most = statistics.difference_at_most(losses, wins, rows, ALPHA)
    if least <= 0:
        what = "is behind" if most < 0 else "is not shown to be ahead of"
        yield Finding.of(
            "teacher", FindingLevel.NOTE, "headroom",
            f"No headroom: the teacher {what} {_baseline(counts)} ({least * 100:+.1f} to {most * 100:+.1f} points). "
            f"{summary(counts)} Label more gold, or find a better teacher, before a student is trained.",
        )  # fmt: skip


def _at_chance(counts: dict[str, int]) -> Iterator[Finding]:
    """The teacher's answers have something to do with gold: more of them are right than if both were shuffled."""
    rows, right, expected = counts["rows"], counts["teacher"], counts.get("by_chance", 0)
    share = expected / rows
    if share < 1 and right <= expected + 1.645 * (rows * share * (1 - share)) ** 0.5 and not counts.get("of_answers"):
        said = f"The teacher gives the gold answer to {right:,} of {rows:,} rows, chance alone to about {expected:,}"
        if share > ONE_SIDED:
            why = "nearly all rows have one label, so it cannot be shown that it knows the others. Import more of them."
        else:
            why = (
                "it does not know this task, or its answers belong to other inputs. Choose another teacher, or check "
                "the columns."
            )
        yield Finding.of("teacher", FindingLevel.MUST, "chance", f"{said}: {why}")


def _below_the_gate(counts: dict[str, int], gate: Gate) -> Iterator[Finding]:
    _, high = statistics.wilson_interval(counts["teacher"], counts["rows"], ALPHA)
    for criterion in gate.criteria:
        floor = criterion.threshold
        absolute = criterion.metric is Metric.ACCURACY and criterion.reference is Reference.NONE
        if absolute and criterion.scope == ALL and criterion.counts and floor is not None and high < float(floor):
            yield Finding.of(
                "teacher", FindingLevel.MUST, "floor",
                f"The teacher is below the gate: {summary(counts)} The gate asks the student for {_percent(floor)}, "
                "and a student seldom knows more than its teacher.",
            )  # fmt: skip
