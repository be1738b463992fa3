"""Audit how a data set covers its traffic: by label, segment, length, language, month and topic.

Shares of the traffic count every call; shares of a split count distinct rows. Of the held-out split only counts are
shown: quotes (masked) and comparisons with gold come from the other splits.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from distill_tui import tasks
from distill_tui.dataset import words
from distill_tui.dataset.audit import label_sets, language, privacy, scores, topics
from distill_tui.dataset.build import Row, Rows, inputs_of
from distill_tui.dataset.counted import Usable
from distill_tui.dataset.duplicates import label_conflicts
from distill_tui.gates import statistics
from distill_tui.gates.gate import Gate
from distill_tui.gates.power import power
from distill_tui.gates.usable import total
from distill_tui.rules.results import AxisValue, Finding, Screened
from distill_tui.terms import FindingLevel, Split, Task

THIN_TRAIN, THIN_HELD_OUT = 30, 30  # rows of a value, below which it is hardly learned, or hardly measured
COMMON = 0.02  # the share of the traffic from which a value's absence matters
LENGTHS = ((4, "1-4 words"), (12, "5-12 words"), (30, "13-30 words"), (80, "31-80 words"))
HOT_ROWS = 20  # rows of a cell from which its disagreement is judged
MOST_LISTED = 40  # values of one axis that are kept for tables; of labels all are
MOST_JUDGED = 200  # values of one axis that are judged one by one, the most frequent first
ALPHA = 0.025


@dataclass(frozen=True)
class Audit:
    """The coverage tables, the personal data and the findings of an audit."""

    axes: Mapping[str, tuple[AxisValue, ...]]
    more: Mapping[str, int]  # axis → values that are not listed
    pii: tuple[Screened, ...]
    findings: tuple[Finding, ...]


def audit(
    rows: Rows,
    since: Iterable[str | None],
    gate: Gate,
    labels: Sequence[str],
    written: Collection[str] = (),
    task: Task = Task.CLASSIFICATION,
) -> Audit:
    """Audit the rows of a data set before weighting: a row's weight is the number of its calls.

    Rows that a teacher wrote (`written`, by input digest) are not calls.
    """
    of = tasks.of(task)
    own, names = topics.clusters(inputs_of(rows))
    kinds = ("label", "segment", "length", "language", "month", "topic")
    found = {axis: _Axis() for axis in kinds}
    for row, when, topic in zip(rows, since, own, strict=True):
        label = of.cell_label(row.gold or row.answer, labels)
        month = (when or "")[:7] or None
        values = (label, row.segment, _length(row.input), language.guess(row.input), month, names[topic])
        calls = 0.0 if row.input_digest in written else row.weight
        differs = None if row.compared is None else of.differ(*row.compared)
        for axis, value in zip(found.values(), values, strict=True):
            axis.add(value, row.split, calls, differs)
    axes = {axis: each.values() for axis, each in found.items()}
    if of.several:
        axes = {"label": label_sets.axis(rows, written)} | {k: values for k, values in axes.items() if k != "label"}
    pii = tuple(privacy.screen(row.input for row in rows if row.split is not Split.HELD_OUT))
    findings = [
        *_covered(axes, labels),
        *_needed(rows, gate),
        *(label_sets.findings(rows, labels) if of.several else _hot(rows, labels)),
        *(scores.findings(rows, labels) if task is Task.SCORE else ()),
        *(_conflicts(rows) if labels else ()),
        *_private(pii),
    ]
    listed = {axis: values if axis == "label" else values[:MOST_LISTED] for axis, values in axes.items() if values}
    more = {axis: left for axis, values in listed.items() if (left := len(axes[axis]) - len(values))}
    return Audit(listed, more, pii, tuple(findings))


def written(rows: Rows, written: Collection[str], varied: Collection[str]) -> Iterator[Finding]:
    """Report the rows that a teacher wrote, and those that it varied, which left the validation split."""
    trained = count = moved = 0
    for row in rows if written else ():
        trained += row.split is Split.TRAIN
        count += row.split is Split.TRAIN and row.input_digest in written
        moved += row.split is Split.TRAIN and row.input_digest in varied
    if count:
        says = f"{count:,} of the {trained:,} training rows are variations that the teacher wrote."
        yield _note("written", "variations", f"{says} The {moved:,} rows that they vary are training rows as well.")


def _note(kind: str, about: str, says: str) -> Finding:
    return Finding.of(kind, FindingLevel.NOTE, about, says)


def _length(text: str) -> str:
    count = words.count(text)
    return next((name for most, name in LENGTHS if count <= most), "over 80 words")


class _Axis:
    """What is counted of each value of an axis: calls, rows by split, and those on which teacher and gold differ."""

    def __init__(self) -> None:
        self._calls: dict[str, float] = defaultdict(float)
        self._splits: dict[str, Counter[Split]] = defaultdict(Counter)
        self._judged, self._apart = Counter[str](), Counter[str]()

    def add(self, value: str | None, split: Split, calls: float, differs: bool | None) -> None:
        if value is None:
            return
        self._calls[value] += calls
        self._splits[value][split] += 1
        if differs is not None:
            self._judged[value] += 1
            self._apart[value] += differs

    def values(self) -> tuple[AxisValue, ...]:
        """Return the values, the most frequent first, with their share of the traffic and their rows."""
        calls, splits = self._calls, self._splits
        total = sum(calls.values())
        return tuple(
            AxisValue(
                value,
                calls[value] / total if total else 0.0,
                splits[value][Split.TRAIN],
                splits[value][Split.VALIDATION],
                splits[value][Split.HELD_OUT],
                self._judged[value],
                self._apart[value],
            )
            for value in sorted(splits, key=lambda value: (-calls[value], value))
        )


def _covered(axes: Mapping[str, Sequence[AxisValue]], labels: Sequence[str]) -> Iterator[Finding]:
    """Report missing and thin values: labels and segments always, others where they are common in the traffic."""
    present = {value.value for value in axes["label"]}
    for label in labels:
        if label not in present:
            yield _note("missing", f"label={label}", f"Label {label} has no row in any split.")
    for axis, values in axes.items():
        for value in values[:MOST_JUDGED]:
            if axis not in ("label", "segment") and (value.traffic < COMMON or value.value == "unknown"):
                continue
            yield from _thin(axis, value)
        yield from _unjudged(axis, values[MOST_JUDGED:])


def _unjudged(axis: str, rest: Sequence[AxisValue]) -> Iterator[Finding]:
    few = [value for value in rest if min(value.train, value.held_out) < THIN_TRAIN]
    if few and axis in ("label", "segment"):
        share = 100 * sum(value.traffic for value in few)
        says = f"{len(few):,} more {axis}s ({share:.1f}% of the traffic) are rare and not judged one by one: each has"
        yield _note("thin", f"{axis}s", f"{says} fewer than {THIN_TRAIN} training rows or held-out rows.")


def _thin(axis: str, value: AxisValue) -> Iterator[Finding]:
    about = f"{axis}={value.value}"
    name = f"{axis.capitalize()} {value.value} ({100 * value.traffic:.1f}% of the traffic)"
    if not value.train:
        yield _note("missing", about, f"{name} has no training row.")
    elif value.train < THIN_TRAIN:
        yield _note("thin", about, f"{name} has only {value.train:,} training rows.")
    if value.held_out < THIN_HELD_OUT:
        few = f"{name} has {value.held_out:,} held-out rows, fewer than {THIN_HELD_OUT}"
        yield _note("unproven", about, f"{few}: its rate will be too uncertain to use.")


def _needed(rows: Rows, gate: Gate) -> Iterator[Finding]:
    """Compare the held-out rows that the gate's criteria of single segments can use with those that they need."""
    there = Usable()
    for row in rows:
        if row.split is Split.HELD_OUT:
            soft = row.teacher_probabilities is not None
            answered = soft or row.teacher_output is not None
            there.add(row.segment, gold=row.gold is not None, teacher=answered, soft=soft)
        else:
            there.counts.setdefault(row.segment, [0] * 5)
    found = there.segments()
    if not total(found):
        return
    for note in power(dataclasses.replace(gate, held_out_rows=total(found)), held_out=found):
        if note.scope.startswith("segment: ") and note.enough is False and note.criterion.counts:
            level = FindingLevel.MUST if not note.rows else FindingLevel.NOTE
            yield Finding.of("gate", level, f"{note.criterion.words} {note.scope}", note.sentence)


def _hot(rows: Rows, labels: Sequence[str]) -> Iterator[Finding]:
    """Report the cells in which the teacher is wrong significantly more often than overall."""
    judged, wrong = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in rows if labels else ():
        if row.compared:
            gold, teacher = row.compared
            judged[row.segment, gold] += 1
            wrong[row.segment, gold] += gold != teacher
    for (segment, label), count in sorted(judged.items()):
        differ, overall = wrong[segment, label], wrong.total() / judged.total()
        if count < HOT_ROWS or statistics.wilson_interval(differ, count, ALPHA / len(judged))[0] <= overall:
            continue
        where = f"on {100 * differ / count:.0f}% of the {count:,} rows of {segment} / {label}"
        says = f"The teacher differs from gold {where}, and on {100 * overall:.0f}% of all rows."
        yield _note("hot", f"{segment}/{label}", says)


def _conflicts(rows: Rows) -> Iterator[Finding]:
    """Count near duplicates with different gold labels; of equal texts the build took the majority."""
    known = _OpenGold(rows)
    _, conflicts = label_conflicts(known, (row.gold for row in known.rows()))
    if len(conflicts):
        says = f"{len(conflicts):,} sets of near duplicates have more than one gold label."
        yield _note("conflict", "near", f"{says} `rows --conflicts near` shows them.")


class _OpenGold:
    """The inputs of the open rows with gold."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._count = sum(1 for _ in self.rows())

    def rows(self) -> Iterator[Row]:
        return (row for row in self._rows if row.split is not Split.HELD_OUT and row.gold is not None)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return (row.input for row in self.rows())


def _private(pii: Sequence[Screened]) -> Iterator[Finding]:
    for each in pii:
        level = FindingLevel.MUST if each.kind in privacy.GRAVE else FindingLevel.NOTE
        rows = "row has" if each.rows == 1 else "rows have"
        says = f"{each.rows:,} {rows} a likely {each.kind} ({', '.join(each.examples)})."
        yield Finding.of("private", level, each.kind, says)
