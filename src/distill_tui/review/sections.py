"""A `Review` laid out in sections of sentences and tables, once for all four printers. Pure.

Cells and sentences are text; a printer adds only marks, styles and layout, so a figure reads the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from distill_tui import tasks
from distill_tui.gates.gate import ALL, SEGMENT, Criterion
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.wording import DASH, count, estimate, megabytes, milliseconds, percent, signed
from distill_tui.gates.wording import money as amount
from distill_tui.review import deferral, errors, payback, serving_costs
from distill_tui.review.controls import NONE
from distill_tui.review.rates import Rate
from distill_tui.review.review import Review
from distill_tui.terms import Verdict

AT_FIRST = 15  # classes


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
    at_first: int = 0  # rows that a screen or a terminal shows until it is asked for all; 0: all

    def shown(self, *, every: bool) -> tuple[tuple[str, ...], ...]:
        """Return the rows that are shown: of a long table the first, unless `every` is wanted."""
        return self.rows if every or not self.at_first else self.rows[: self.at_first]


def of(review: Review) -> Iterator[Section]:
    """Yield the sections in the order in which they are read, the verdict first."""
    parts = (
        *(verdict(review), judgements(review), segments(review), worth(review), costs(review), sent_back(review)),
        *(right_and_wrong(review), confusions(review), classes(review), by_label(review), by_level(review)),
        calibration(review),
        Section("scores", "Row scores", lines=_lines(*(each.sentence for each in review.scores))),
        Section("drift", "What drifted of the live student", lines=_lines(*review.drift, word="look")),
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
    lines += _lines(*([review.lead] if review.lead else []), word="information")
    for each in review.reproduced:
        result = "same" if each.passed == review.evaluation.passed else "different"
        lines.append(Line(f"Reproduced by the validator on {each.recorded_at}: {result} result.", "done"))
    reasons = " ".join(review.reasons) if review.passed else review.reasons[0]
    lines.append(Line(f"Recommended: {review.advice.value}. {reasons}", "information"))
    return Section("verdict", "Verdict", lines=tuple(lines))


def judgements(review: Review) -> Section:
    note = tasks.of(review.task).metrics_note
    words = (Line(note, muted=True),) if note else ()
    return Section("judgements", "Judgements", lines=(*folded(review.judgements), *words))


MOST_SCOPES = 12  # segments or labels of one criterion with the same verdict that each have a line


def folded(found: Iterable[Judgement]) -> Iterator[Line]:
    """Yield a line for each judgement; where many scopes of a criterion have the same verdict, they share one."""
    by_criterion: dict[Criterion, list[Judgement]] = {}
    for each in found:
        by_criterion.setdefault(each.criterion, []).append(each)
    for criterion, several in by_criterion.items():
        by_verdict = {verdict: [each for each in several if each.verdict is verdict] for verdict in Verdict}
        yield from (judgement(each) for each in several if len(by_verdict[each.verdict]) <= MOST_SCOPES)
        for verdict, same in by_verdict.items():
            if len(same) > MOST_SCOPES:
                lowest = min(same, key=_above)
                is_so = verdict.value if verdict in (Verdict.HOLDS, Verdict.MISSES) else f"is {verdict.value}"
                which = "the closest" if verdict is Verdict.HOLDS else "the furthest"
                text = f"{criterion.words} {is_so} in {len(same):,} of {len(several):,}, {which}: {lowest.sentence}"
                yield Line(f"{text[:1].upper()}{text[1:]}", verdict.value, not criterion.counts)


def _above(found: Judgement) -> float:
    """Return how far the known bound lies on the good side, up to a constant of the criterion."""
    if found.criterion.at_least:
        return found.upper or 0.0 if found.lower is None else found.lower
    return -(found.lower or 0.0 if found.upper is None else found.upper)


def judgement(found: Judgement) -> Line:
    text = f"{'binding: ' if found.criterion.binding else ''}{found.sentence}"
    return Line(text, found.verdict.value, not found.criterion.counts)


def segments(review: Review) -> Section:
    columns = ("segment", "rows", "student", "teacher", "baseline", "agreement", "points ahead")
    rows = tuple(
        (
            _segment(each.scope),
            f"{each.n:,}" if each.gold == each.n else f"{each.gold:,} of {each.n:,}",
            *map(_rate, (each.student, each.teacher, each.baseline, each.agreement)),
            signed(each.difference),
        )
        for each in review.segments
    )
    some = any(each.gold != each.n for each in review.segments)
    note = f"held-out rows{' with gold' if some else ''}, 95% CI, worst first; points ahead of the teacher"
    drops = (0, 0, 0, 1, 4, 2, 3)
    lines = tuple(
        Line(f"The {name} does not read every text whole: {cut.sentence}.", "look" if cut.is_finding else "")
        for name, cut in review.cut
        if cut.texts_cut
    )
    whole = [name for name, cut in review.cut if not cut.texts_cut]
    lines += (Line(f"Read whole by the {' and the '.join(whole)}: every text."),) if whole else ()
    return Section("segments", "By segment", note, lines, tuple(map(Column, columns, drops)), rows)


def _segment(scope: str) -> str:
    """Return a segment's name; rows without one are not all rows."""
    return "(none)" if scope == f"{SEGMENT}{ALL}" else scope.removeprefix(SEGMENT)


def worth(review: Review) -> Section:
    lines = [Line(each.sentence, "done" if each.beats else "look") for each in review.controls]
    lines += [] if lines else [Line(NONE, "look")]
    lines += [Line(review.seeds, "information")] if review.seeds else []
    return Section("worth", "What distillation is worth", lines=(*lines, Line(review.more_rows, "information")))


def costs(review: Review) -> Section:
    columns = ("", "p50", "p95", "p99", "size", "parameters")
    rows = []
    for each in review.costs:
        times = (each.quantiles[at].middle if at in each.quantiles else None for at in serving_costs.QUANTILES)
        parameters = DASH if each.parameters is None else f"{each.parameters:,}"
        rows.append((each.name, *map(milliseconds, times), megabytes(each.bytes), parameters))
    lines = tuple(Line(text, muted=True) for text in serving_costs.sentences(review.costs, review.machine))
    note = "one at a time, the median run; the gate judges the slowest"
    return Section("costs", "Speed and size", note, lines, tuple(map(Column, columns, (0, 0, 0, 1, 0, 0))), tuple(rows))


ROUTES = ("student answers", "confidence from", "accuracy", "cost of 1,000")


def routes(points: Iterable[deferral.Point], currency: str) -> tuple[tuple[str, ...], ...]:
    """Write what each threshold brings: the share that the student answers, the accuracy of both, the cost."""
    return tuple(
        (
            percent(1 - each.deferred),
            f"{each.threshold:.4f}" if 0 < each.deferred < 1 else DASH,
            estimate(each.accuracy, each.lower, each.upper),
            DASH if each.cost_per_1k is None else amount(each.cost_per_1k, currency),
        )
        for each in points
    )


def sent_back(review: Review) -> Section:
    rows = routes(review.points, review.headline.currency)
    named = review.pair is not None
    note = "by the held-out rows" if named else "this gate fixes no threshold"
    lines = _lines(*deferral.sentences(review.pair), word="look")
    if rows:
        which = "All other thresholds" if named else "The thresholds"
        text = (
            f"{which} were read off the rows that they are described on: evaluate one on fresh rows before serving it."
        )
        lines = (*lines, Line(text, muted=True))
    title = "Answered by the student, by threshold"
    return Section("deferral", title, note, lines, tuple(map(Column, ROUTES, (0, 0, 0, 1))), rows)


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


def classes(review: Review) -> Section:
    """Each label's precision, recall and rows, and what the student takes it for; worst recall first."""
    found = review.classes[: errors.MOST_CLASSES]
    columns = ("class", "rows", "precision", "recall", "taken for")
    rows = tuple(
        (
            each.label,
            f"{each.support:,}",
            percent(each.precision),
            percent(each.recall),
            ", ".join(f"{label} {rows:,}" for label, rows in each.taken_for) or DASH,
        )
        for each in found
    )
    left = len(review.classes) - len(found)
    note = "of the student alone on the held-out rows, worst recall first"
    note += f"; {left:,} more are not listed" if left else ""
    return Section(
        "classes", "By class", note, (), tuple(map(Column, columns, (0, 0, 0, 0, 1))), rows, at_first=AT_FIRST
    )


MOST_LABELS = 25  # that a table lists; the others are counted


def by_label(review: Review) -> Section:
    """Lay out precision, recall and F1 of each label, the worst first."""
    columns = ("label", "rows", "precision", "recall", "F1", "teacher's F1")
    rows = tuple(
        (each.label, f"{each.rows:,}", *map(percent, each.student), percent(each.teacher[2]))
        for each in review.by_label[:MOST_LABELS]
    )
    known = [each for each in review.by_label if each.rows]
    lines: tuple[Line, ...] = ()
    if known:
        macro = sum(each.student[2] or 0.0 for each in known) / len(known)
        lines = (Line(f"Macro-F1 {percent(macro)} over the {count(len(known), 'label')} that gold has."),)
    more = len(review.by_label) - len(rows)
    if more:
        lines = (
            *lines,
            Line(f"{count(more, 'more label')} with a higher F1: `eval show --json` lists all.", muted=True),
        )
    drops = (0, 0, 2, 2, 0, 1)
    return Section("labels", "By label", "worst first", lines, tuple(map(Column, columns, drops)), rows)


def by_level(review: Review) -> Section:
    """Lay out what student and teacher give the rows of each level, the lowest first."""
    columns = ("gold", "rows", "student's mean", "teacher's mean", "student off by", "teacher off by")
    rows = tuple(
        (each.level, f"{each.rows:,}", *map(_score, (each.student, each.teacher, each.student_off, each.teacher_off)))
        for each in review.by_level
    )
    drops = (0, 0, 0, 1, 0, 2)
    note = "mean distance from gold in the units of the scale"
    return Section("levels", "By level", note, _lines(*review.of_scale), tuple(map(Column, columns, drops)), rows)


def _score(number: float | None) -> str:
    return DASH if number is None else f"{number:.2f}"


def calibration(review: Review) -> Section:
    found = review.calibration
    if found is None:
        return Section("calibration", "Calibration")
    rows = tuple((percent(each.sure, 0), percent(each.right, 0), f"{each.rows:,}") for each in found.bins)
    by = "gold" if found.by_gold else "the teacher"
    note = f"expected calibration error {100 * found.error:.1f} points; right by {by}"
    columns = (Column("confidence"), Column("right"), Column("rows"))
    lines = _lines(*([found.cure] if found.cure else []), word="look")
    return Section("calibration", "Calibration", note, lines, columns, rows, tuple(each.right for each in found.bins))


def money(review: Review) -> Section:
    found = review.worth
    if found is None:
        return Section("money", "Money")
    columns = ("input", "from", "to", "net at from", "net at to")
    rows = tuple(
        (
            each.name,
            payback.written_input(each.name, each.low, found.currency),
            payback.written_input(each.name, each.high, found.currency),
            amount(each.net_at_low, found.currency),
            amount(each.net_at_high, found.currency),
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
