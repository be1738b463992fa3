"""A `Review` laid out in sections of sentences and tables, once for all four printers. Pure.

Cells and sentences are text; a printer adds only marks, styles and layout, so a figure reads the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from distill_tui import tasks
from distill_tui.gates.gate import SEGMENT
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.wording import DASH, count, estimate, megabytes, milliseconds, percent, signed
from distill_tui.review import deferral, payback, serving_costs
from distill_tui.review.controls import NONE
from distill_tui.review.rates import Rate
from distill_tui.review.review import Review
from distill_tui.terms import Verdict


@dataclass(frozen=True)
class Column:
    """A column of a table; where room is short, the column with the highest `drop` goes first."""

    title: str
    drop: int = 0


@dataclass(frozen=True)
class Line:
    """A sentence; its word, such as a verdict, becomes a mark."""

    text: str
    word: str = ""
    muted: bool = False


@dataclass(frozen=True)
class Section:
    """A titled part: sentences, then a table whose first column is text and whose others are numbers."""

    name: str
    title: str
    note: str = ""
    lines: tuple[Line, ...] = ()
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    bars: tuple[float, ...] = ()  # a share of 1 for each row, where a bar is drawn for it


def of(review: Review) -> Iterator[Section]:
    """Yield the sections in the order in which they are read, the verdict first."""
    parts = (
        *(verdict(review), judgements(review), segments(review), worth(review), costs(review), sent_back(review)),
        *(right_and_wrong(review), confusions(review), calibration(review)),
        Section("scores", "Row scores", lines=_lines(*(each.sentence for each in review.scores))),
        Section("since_before", "Since the round before", lines=_lines(*review.since_before)),
        money(review),
        Section("not_measured", "Not measured", lines=_lines(*review.not_measured, word=Verdict.UNMEASURED.value)),
    )
    return (each for each in parts if each.lines or each.rows)


def _lines(*texts: str, word: str = "") -> tuple[Line, ...]:
    return tuple(Line(text, word) for text in texts)


def verdict(review: Review) -> Section:
    held = "Gate held" if review.passed else "Gate not held"
    summary = f"{held}: {review.holding} of {len(review.counting)} judgements hold; only “holds” counts."
    lines = [Line(summary, "passed" if review.passed else "misses")]
    lines += _lines(" · ".join(review.headline.lines(review.play.kind)))
    for each in review.reproduced:
        result = "same" if each.passed == review.evaluation.passed else "different"
        lines.append(Line(f"Reproduced by the validator on {each.recorded_at}: {result} result.", "done"))
    reasons = " ".join(review.reasons) if review.passed else review.reasons[0]
    lines.append(Line(f"Recommended: {review.advice.value}. {reasons}", "information"))
    return Section("verdict", "Verdict", lines=tuple(lines))


def judgements(review: Review) -> Section:
    note = tasks.of(review.task).metrics_note
    words = (Line(note, muted=True),) if note else ()
    return Section("judgements", "Judgements", lines=(*map(judgement, review.judgements), *words))


def judgement(found: Judgement) -> Line:
    text = f"{'binding: ' if found.criterion.binding else ''}{found.sentence}"
    return Line(text, found.verdict.value, not found.criterion.counts)


def segments(review: Review) -> Section:
    columns = ("segment", "rows", "student", "teacher", "baseline", "agreement", "points ahead")
    rows = tuple(
        (
            each.scope.removeprefix(SEGMENT),
            f"{each.n:,}",
            *map(_rate, (each.student, each.teacher, each.baseline, each.agreement)),
            signed(each.difference),
        )
        for each in review.segments
    )
    note = "held-out rows, 95% CI, worst first; points ahead of the teacher"
    drops = (0, 0, 0, 1, 4, 2, 3)
    return Section("segments", "By segment", note, (), tuple(map(Column, columns, drops)), rows)


def worth(review: Review) -> Section:
    lines = [Line(each.sentence, "done" if each.beats else "look") for each in review.controls]
    lines += [] if lines else [Line(NONE, "look")]
    return Section("worth", "What distillation is worth", lines=(*lines, Line(review.more_rows, "information")))


def costs(review: Review) -> Section:
    columns = ("", "p50", "p95", "p99", "size", "parameters")
    rows = []
    for each in review.costs:
        times = (each.quantiles[at].middle if at in each.quantiles else None for at in serving_costs.QUANTILES)
        parameters = DASH if each.parameters is None else f"{each.parameters:,}"
        rows.append((each.name, *map(milliseconds, times), megabytes(each.bytes), parameters))
    lines = tuple(Line(text, muted=True) for text in serving_costs.sentences(review.costs, review.machine))
    note = "one request at a time, the median of the passes"
    return Section("costs", "Speed and size", note, lines, tuple(map(Column, columns, (0, 0, 0, 1, 0, 0))), tuple(rows))


def sent_back(review: Review) -> Section:
    columns = ("of requests", "confidence below", "accuracy", "cost of 1,000")
    rows = tuple(
        (
            percent(each.deferred),
            f"{each.threshold:.4f}" if 0 < each.deferred < 1 else DASH,
            estimate(each.accuracy, each.lower, each.upper),
            DASH if each.cost_per_1k is None else f"{each.cost_per_1k:.4f}",
        )
        for each in review.points
    )
    named = review.pair is not None
    note = "by the held-out rows" if named else "this gate names no point; what serving one would bring"
    lines = _lines(*deferral.sentences(review.pair), word="look")
    if rows:
        which = "All other thresholds" if named else "The thresholds"
        text = (
            f"{which} were read off the rows that they are described on: evaluate one on fresh rows before serving it."
        )
        lines = (*lines, Line(text, muted=True))
    return Section("deferral", "Sent back to the teacher", note, lines, tuple(map(Column, columns, (0, 0, 0, 1))), rows)


def right_and_wrong(review: Review) -> Section:
    found = review.right_and_wrong
    rows = (
        ("student right", f"{found.both:,}", f"{found.student_only:,}"),
        ("student wrong", f"{found.teacher_only:,}", f"{found.neither:,}"),
    )
    columns = (Column(""), Column("teacher right"), Column("teacher wrong"))
    note = f"{count(found.rows, 'row')} with gold"
    return Section("right_and_wrong", "Right and wrong", note, (), columns, rows if found.rows else ())


def confusions(review: Review) -> Section:
    columns = (Column("label"), Column("taken for"), Column("by the student"), Column("by the teacher", 1))
    rows = tuple((each.label, each.predicted, f"{each.student:,}", f"{each.teacher:,}") for each in review.confusions)
    return Section("confusions", "Confusions", "", (), columns, rows)


def calibration(review: Review) -> Section:
    found = review.calibration
    if found is None:
        return Section("calibration", "Calibration")
    rows = tuple((percent(each.sure, 0), percent(each.right, 0), f"{each.rows:,}") for each in found.bins)
    by = "gold" if found.by_gold else "the teacher"
    note = f"expected calibration error {100 * found.error:.1f} points; right by {by}"
    columns = (Column("confidence"), Column("right"), Column("rows"))
    return Section("calibration", "Calibration", note, (), columns, rows, tuple(each.right for each in found.bins))


def money(review: Review) -> Section:
    found = review.worth
    if found is None:
        return Section("money", "Money")
    columns = ("input", "from", "to", "net at from", "net at to")
    rows = tuple(
        (
            each.name,
            payback.plainly(each.low),
            payback.plainly(each.high),
            f"{each.net_at_low:,.0f}",
            f"{each.net_at_high:,.0f}",
        )
        for each in found.swings
    )
    most = max(each.width for each in found.swings)
    bars = tuple(float(each.width / most) if most else 0.0 for each in found.swings)
    note = f"by the locked numbers; net after {found.window:f} months, most sensitive input first"
    columns_ = tuple(map(Column, columns, (0, 1, 1, 0, 0)))
    return Section("money", "Money", note, _lines(*payback.sentences(found)), columns_, rows, bars)


def _rate(rate: Rate | None) -> str:
    return DASH if rate is None else estimate(rate.share, rate.lower, rate.upper)
