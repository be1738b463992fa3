"""Audit sets of labels: how each label is covered, which never or always occur, and which always come together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

from distill_tui.dataset.build import Row, Rows
from distill_tui.gates import statistics
from distill_tui.gates.label_sets import members
from distill_tui.rules.results import AxisValue, Finding
from distill_tui.terms import FindingLevel, Split

ALWAYS = 0.98  # share of the rows from which on a label says next to nothing
TOGETHER, LEAST = 0.95, 30  # rows with both labels over rows with one of them, and rows with both
HOT_ROWS = 20  # rows of a label in a segment from which on its disagreement is judged
MOST_NAMED = 5  # pairs of labels that a finding names
ALPHA = 0.025


def labels_of(row: Row) -> tuple[str, ...]:
    answer = row.gold if row.gold is not None else row.answer
    return () if answer is None else members(answer)


def axis(rows: Rows, written: Collection[str] = ()) -> tuple[AxisValue, ...]:
    """Return how the labels are covered, the most frequent first; a row counts for each label that it has.

    Teacher and gold differ about a label where only one of them has it.
    """
    calls, splits = Counter[str](), defaultdict[str, Counter[Split]](Counter)
    judged, differ = Counter[str](), Counter[str]()
    total = 0.0
    for row in rows:
        weight = 0.0 if row.input_digest in written else row.weight
        total += weight
        for label in labels_of(row):
            calls[label] += weight  # type: ignore[assignment]
            splits[label][row.split] += 1
        if row.compared is not None:
            gold, said = ({*members(answer)} for answer in row.compared)
            judged.update(gold | said)
            differ.update(gold ^ said)
    return tuple(
        AxisValue(
            label,
            calls[label] / total if total else 0.0,
            splits[label][Split.TRAIN],
            splits[label][Split.VALIDATION],
            splits[label][Split.HELD_OUT],
            judged[label],
            differ[label],
        )
        for label in sorted(splits, key=lambda label: (-calls[label], label))
    )


def findings(rows: Rows, labels: Sequence[str]) -> Iterator[Finding]:
    """Report labels that nearly every row has, pairs that come together, sets of one, and where the teacher errs."""
    known = most = empty = 0
    counted, pairs = Counter[str](), Counter[tuple[str, str]]()
    for row in rows:
        if row.gold is not None or row.answer is not None:
            found = {*labels_of(row)}
            known, most, empty = known + 1, max(most, len(found)), empty + (not found)
            counted.update(found)
            pairs.update(combinations(sorted(found), 2))
    for label in labels:
        if known and counted[label] >= ALWAYS * known:
            says = f"Label {label} is in {counted[label]:,} of {known:,} rows: it distinguishes none."
            yield _note("always", label, says)
    yield from _together(pairs, counted)
    if known and most <= 1:
        yield _note(
            "sets", "one", "No row has more than one label. A play of the task classification suits such data better."
        )
    if empty:
        yield _note("sets", "empty", f"{empty:,} of {known:,} rows have none of the labels.")
    yield from _hot(rows)


def _together(pairs: Counter[tuple[str, str]], counted: Counter[str]) -> Iterator[Finding]:
    found = [
        (one, other, both)
        for (one, other), both in sorted(pairs.items(), key=lambda each: (-each[1], each[0]))
        if both >= LEAST and both >= TOGETHER * (counted[one] + counted[other] - both)
    ]
    if found:
        named = ", ".join(f"{one} with {other} ({both:,} rows)" for one, other, both in found[:MOST_NAMED])
        more = f" and {len(found) - MOST_NAMED:,} more pairs" if len(found) > MOST_NAMED else ""
        yield _note(
            "together",
            "labels",
            f"Labels that come together on 95% of their rows or more: {named}{more}. Are they one?",
        )


def _hot(rows: Rows) -> Iterator[Finding]:
    """Report the labels of a segment about which teacher and gold differ significantly more often than overall."""
    judged, wrong = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in rows:
        if row.compared is not None:
            gold, said = ({*members(answer)} for answer in row.compared)
            judged.update((row.segment, label) for label in gold | said)
            wrong.update((row.segment, label) for label in gold ^ said)
    overall = wrong.total() / max(1, judged.total())
    for (segment, label), count in sorted(judged.items()):
        differ = wrong[segment, label]
        if count < HOT_ROWS or statistics.wilson_interval(differ, count, ALPHA / len(judged))[0] <= overall:
            continue
        where = f"on {100 * differ / count:.0f}% of the {count:,} rows of {segment} where one of the two has it"
        says = f"Teacher and gold differ about label {label} {where}, and on {100 * overall:.0f}% of all labels."
        yield _note("hot", f"{segment}/{label}", says)


def _note(kind: str, about: str, says: str) -> Finding:
    return Finding.of(kind, FindingLevel.NOTE, about, says)
