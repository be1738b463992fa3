"""What a trial of a file found, as sections for a terminal and for one HTML page. Pure: a `Trial` in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from distill_tui.dataset.window import Measured
from distill_tui.gates import power
from distill_tui.gates.gate import QUALITY
from distill_tui.gates.record import Record
from distill_tui.gates.scale import Scale, apart
from distill_tui.gates.statistics import wilson_interval
from distill_tui.gates.wording import DASH, megabytes, money, percent, points
from distill_tui.review import review, sections
from distill_tui.review.sections import Column, Line, Section
from distill_tui.rules.data import counts, findings
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.findings import folded
from distill_tui.rules.measurable import held_out_rows
from distill_tui.rules.results import ImportReport, known, train_result
from distill_tui.rules.training import trained
from distill_tui.spec import Spec
from distill_tui.terms import Split, StudentKind, Task

WORDS = {StudentKind.NGRAM: "n-grams (hashed words, linear)", StudentKind.STATIC: "static embeddings"}
AGREEMENT = 0.98
MOST_LABELS, MOST_FINDINGS = 12, 8
UPKEEP = "Serving, upkeep and the build are not in it: a play asks for them."


@dataclass(frozen=True)
class Trial:
    """A play that was judged in a folder of its own, what the file holds, and a plan for a play of one's own."""

    dossier: PlayDossier
    file: str
    columns: Mapping[str, str]  # by their meaning
    rows: int  # usable rows of the file
    used: int
    rejects: tuple[tuple[str, int], ...]  # reason → rows
    window: Measured
    plan: str
    seconds: float = 0.0

    @property
    def record(self) -> Record:
        assert self.dossier.record is not None
        return self.dossier.record

    @property
    def calls_per_month(self) -> Decimal | None:
        """Of the whole file: the window measured the rows that were used."""
        each = self.window.calls_per_month
        return None if each is None or not self.window.days else each * self.rows / max(1, self.used)


def of(trial: Trial) -> Iterator[Section]:
    yield from (_recognised(trial), _answer(trial), _students(trial))
    found = review.of(trial.dossier)
    if found is not None:
        yield sections.segments(found)
    yield from (_answerable(trial), _savings(trial), _promise(trial))
    if found is not None:
        yield sections.costs(found)
        where = sections.by_level(found) if found.by_level else sections.confusions(found)
        if where.rows:
            yield where
    yield from (_labels(trial), _findings(trial))


def _recognised(trial: Trial) -> Section:
    report = known(ImportReport, trial.dossier.traffic[0].report)
    counted = counts(trial.dossier)
    lines = [Line(f"{trial.rows:,} usable rows in {trial.file}.")]
    if trial.used < trial.rows:
        lines.append(Line(f"A random sample of {trial.used:,} was used; --rows N takes more.", "look"))
    lines += [Line(f"Left out: {count:,} rows: {reason}", "look") for reason, count in trial.rejects]
    merged = sum(count for name, count in (counted.tally if counted else {}).items() if "duplicate" in name)
    lines.append(Line(f"{merged:,} duplicates were merged.") if merged else Line("There are no exact duplicates."))
    if report is not None:
        answered, gold = percent(report.teacher_share, 0), percent(report.gold_share, 0)
        lines.append(Line(f"{answered} of the rows have a teacher's answer, {gold} have gold."))
    rows = tuple((name.replace("_", " "), column) for name, column in trial.columns.items())
    return Section("recognised", "What was recognised", "", tuple(lines), (Column("read as"), Column("column")), rows)


def _answer(trial: Trial) -> Section:
    """Answer the question first: on these rows, is the small model close enough?"""
    found = review.of(trial.dossier)
    lines = [] if found is None else [sections.judgement(each) for each in found.judgements[:1]]
    if found is not None:
        lines.append(Line(" · ".join(found.headline.lines(trial.dossier.play.kind)[:1])))
    return Section(
        "answer", "Would a small model do?", "the better of two cheap students, on rows it never saw", tuple(lines)
    )


def _students(trial: Trial) -> Section:
    rows, judged = [], ""
    for run in trained(trial.dossier):
        result = train_result(run)
        size = megabytes(result.bytes or None) if result is not None else DASH
        kind = Spec.from_json(run.spec).student
        rows.append((WORDS.get(kind, kind.value), DASH if result is None else result.shown, size))
        judged = result.judged if result is not None else ""
    score = judged or ("share of equal scores" if trial.record.task is Task.SCORE else "accuracy")
    note = f"{score} on the validation rows; the first is the one that was judged"
    columns = (Column("student"), Column("validation"), Column("size"))
    return Section("students", "Students tried", note, (), columns, tuple(rows))


def answerable(record: Record, least: float = AGREEMENT) -> tuple[int, int, float]:
    """Return how many of the rows the student may answer, the surest first, with that agreement with the teacher.

    Returns the rows answered, the rows with a teacher's answer, and the lower 95% bound of their agreement. Scores
    agree within one level, or a tenth of a range.
    """
    labels = record.labels
    scale = Scale.of(labels) if record.task is Task.SCORE else None
    rows = [row for row in range(len(record.rows)) if record.teacher[row] >= 0]
    if not record.confidence or not rows:
        return 0, len(rows), 0.0
    rows.sort(key=lambda row: -record.confidence[row])
    agreed, best, hits = 0, 0, 0
    for number, row in enumerate(rows, 1):
        agreed += not apart(scale, labels[record.student[row]], labels[record.teacher[row]])
        if agreed >= least * number and (
            number == len(rows) or record.confidence[rows[number]] < record.confidence[row]
        ):
            best, hits = number, agreed
    return best, len(rows), wilson_interval(hits, best, 0.05)[0] if best else 0.0


def _answerable(trial: Trial) -> Section:
    answered, rows, lower = answerable(trial.record)
    if answered:
        text = (
            f"The student may answer the {percent(answered / rows, 0)} of requests that it is surest of, at "
            f"{percent(AGREEMENT, 0)} agreement with the teacher (95% CI from {percent(lower)}). The teacher "
            "answers the rest."
        )
        line = Line(text, "holds" if lower >= AGREEMENT - 0.02 else "look")
    else:
        line = Line(f"At no threshold does the student agree with the teacher on {percent(AGREEMENT, 0)}.", "look")
    note = "the threshold was read off these rows: a play fixes it on others"
    return Section("answerable", f"Answerable at {percent(AGREEMENT, 0)} agreement", note, (line,))


def _savings(trial: Trial) -> Section:
    calls, price, currency = trial.calls_per_month, trial.window.cost_per_1k, trial.dossier.project.currency
    if calls is None or price is None:
        missing = " and ".join(word for word, there in (("times", calls), ("costs", price)) if there is None)
        line = Line(f"The file has no {missing}: name the columns with --time and --cost to see what is spent.", "look")
        return Section("savings", "Likely savings", lines=(line,))
    spend = calls * price / 1000
    answered, rows, _ = answerable(trial.record)
    share = Decimal(answered) / max(1, rows)
    lines = (
        Line(
            f"The teacher costs {money(spend, currency)} a month: {calls:,.0f} calls at {money(price, currency)} a "
            "thousand."
        ),
        Line(
            f"At most {money(spend, currency)} a month if the student answers all, {money(spend * share, currency)} at "
            "the threshold above."
        ),
        Line(UPKEEP),
    )
    return Section("savings", "Likely savings", lines=lines)


def _promise(trial: Trial) -> Section:
    """Write what a gate on this file could prove, and with how many more rows."""
    gate, counted = trial.dossier.gate, counts(trial.dossier)
    assert gate is not None
    notes = power.power(gate, held_out=held_out_rows(trial.dossier))
    notes = [note for note in notes if note.criterion.metric in QUALITY]
    lines = [Line(note.sentence, "holds" if note.enough else "look") for note in notes[:4]]
    held = counted.splits.get(Split.HELD_OUT, 0) if counted is not None else gate.held_out_rows
    smallest = [note.smallest for note in notes if note.smallest is not None]
    if smallest:
        lines.append(
            Line(f"The smallest margin that {held:,} sealed rows can prove is {points(min(smallest))} points.")
        )
    return Section("promise", "What a gate could promise with these rows", lines=tuple(lines))


def _labels(trial: Trial) -> Section:
    counted = counts(trial.dossier)
    sums: dict[str, int] = {}
    for cell in counted.cells if counted is not None else ():
        sums[cell.label or "(no gold)"] = sums.get(cell.label or "(no gold)", 0) + cell.rows
    ordered = sorted(sums.items(), key=lambda each: -each[1])
    more = f"and {len(ordered) - MOST_LABELS:,} more" if len(ordered) > MOST_LABELS else ""
    rows = tuple((label, f"{count:,}") for label, count in ordered[:MOST_LABELS])
    columns = (Column("gold level" if trial.record.task is Task.SCORE else "gold label"), Column("rows"))
    return Section("labels", "Labels", more or "rows after duplicates were merged", (), columns, rows)


def _findings(trial: Trial) -> Section:
    found = folded(findings(trial.dossier))
    lines = [Line(each.says, "look") for each in found[:MOST_FINDINGS]]
    if len(found) > MOST_FINDINGS:
        lines.append(Line(f"and {len(found) - MOST_FINDINGS:,} more", muted=True))
    return Section("findings", "What the data audit found", lines=tuple(lines) or (Line("Nothing.", "holds"),))
