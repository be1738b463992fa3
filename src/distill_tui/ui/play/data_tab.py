"""The data tab of a play: traffic, teacher, terms, the data set in counts, what the audit found. Pure: a `View` in.

It shows counts and never a held-out row.
"""

from __future__ import annotations

from collections.abc import Iterator

from distill_tui import tasks
from distill_tui.reports import labels as label_reports
from distill_tui.reports import pace
from distill_tui.rules.data import counts, findings, labelled
from distill_tui.rules.dossier import read_object
from distill_tui.rules.findings import Fold, folded
from distill_tui.rules.labels import reading
from distill_tui.rules.results import AxisValue, ImportReport, known
from distill_tui.terms import FindingLevel, RunKind, RunStatus, Split
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page, show
from distill_tui.ui.widgets.page import WIDE, Column, Lines

MOST_CELLS = 200  # rows of the coverage table that are shown


def data(view: View, width: int) -> Lines:
    return page.stacked(
        _running(view, width),
        traffic(view, width),
        _teacher(view, width),
        _labels(view, width),
        _splits(view, width),
        _weights(view, width),
        _findings(view, width),
        _audit(view, width),
        _coverage(view, width),
    )


DOES = {RunKind.IMPORT: "imports traffic", RunKind.BUILD: "builds the data set", RunKind.FREEZE: "freezes it"}


def _running(view: View, width: int) -> Lines:
    """Show the run that changes the data now, or waits to: how far it is and what it does."""
    lines: Lines = []
    for run in view.dossier.runs:
        if run.kind in DOES and run.status.active:
            bar = page.progress(run.step, run.total, 20)
            parts = (f"run {run.id} {DOES[run.kind]}", bar, pace.share(run), pace.left(run, None), run.message)
            lines += page.sentence("  ".join(part for part in parts if part), width, word=run.status.value)
    return lines


def traffic(view: View, width: int) -> Lines:
    lines = [page.heading("TRAFFIC", "i imports a file")]
    if not view.dossier.traffic:
        return [*lines, *page.sentence("No traffic is imported.", width, word="waiting")]
    columns = (
        Column("N", 2, right=True),
        Column("FILE", 0),
        Column("ROWS", 10, right=True),
        Column("REJECTS", 8, right=True),
        Column("GOLD", 6, 1, right=True),
        Column("IMPORTED", 16, 2),
        Column("DIGEST", 12, 3),
    )
    rows = []
    for place, each in enumerate(view.dossier.traffic, 1):  # the numbers that `import drop` takes
        rejects = (f"{each.rejects:,}", "$tone-warn" if each.rejects else "")
        report = known(ImportReport, each.report)
        share = show.percent(report.gold_share, 0) if report is not None else show.glyph("dash")
        digest = page.short(each.source_digest)
        rows.append((str(place), each.name, f"{each.rows:,}", rejects, share, page.when(each.imported_at), digest))
    lines += page.table(columns, rows, width)
    for each in view.dossier.traffic:
        report = known(ImportReport, each.report)
        if report is not None:
            lines += _rejects(each.name, each.rejects, report, width)
            for doubt in filter(None, [*report.doubts, report.contradictions]):
                lines += page.sentence(f"{each.name}: {doubt}", width, word="look")
            lines += [page.muted(f"  {text}") for text in _logged(report)]
    return lines


def _logged(report: ImportReport) -> Iterator[str]:
    """Show what a log of calls was recognised as, who answered, and what was not traffic in it."""
    if report.models:
        kinds = ", ".join(name for name, _ in report.formats)
        yield f"{kinds}: answered by " + ", ".join(f"{name} ({count:,})" for name, count in report.models[:3])
    for reason, count in report.passed_over[:MOST_REASONS]:
        yield f"passed over {count:,}: {reason}"
    left = sum(count for _, count in report.passed_over[MOST_REASONS:])
    if left:
        yield f"passed over {left:,} more for other reasons"
    if report.scrubbed:
        yield "personal data replaced: " + ", ".join(f"{kind} {count:,}" for kind, count in report.scrubbed.items())


def _rejects(name: str, rejects: int, report: ImportReport, width: int) -> Lines:
    """Write the reasons with their counts, the most frequent first."""
    lines: Lines = []
    for reason, count in report.reasons[:MOST_REASONS]:
        lines += page.sentence(f"{name}: {count:,} rows left out: {reason}", width, word="look")
    left = rejects - sum(count for _, count in report.reasons[:MOST_REASONS])
    return [*lines, page.muted(f"  and {left:,} more for other reasons")] if left > 0 and lines else lines


MOST_REASONS = 3


def _teacher(view: View, width: int) -> Lines:
    play, dossier = view.play, view.dossier
    if not play.teacher_source:
        return page.sentence("teacher: not chosen. U chooses one.", width, word="waiting")
    digest = f", {page.short(play.teacher_digest)}" if play.teacher_digest else ""
    lines = page.sentence(f"teacher: {play.teacher_name} ({play.teacher_source}{digest})", width, word="done")
    lines += _terms(view, width)
    labelling = [r for r in dossier.runs if r.kind is RunKind.LABEL]
    run = next((r for r in reversed(labelling) if r.status.active or "vary" not in read_object(r.spec)), None)
    writer = next((r for r in reversed(labelling) if "vary" in read_object(r.spec) and r.round == play.round), None)
    if writer is not None and writer.status is RunStatus.FINISHED:
        count = read_object(writer.result).get("variations", 0)
        lines += page.sentence(
            f"run {writer.id} wrote {count:,} variations. V shows and imports them", width, word="information"
        )
    if run is not None and run.status.active:
        bar = page.progress(run.step, run.total, 20)
        text = f"run {run.id} labels {bar} {run.step:,}/{run.total:,} {run.message}"
        return [*lines, *page.sentence(text, width, word="running")]
    if labelled(dossier):
        return [*lines, *page.sentence("the teacher has labelled all traffic", width, word="done")]
    text = f"run {run.id} {run.status.value}: {run.error or run.message}" if run else "not started. O starts"
    return [*lines, *page.sentence(f"labels: {text}", width, word=run.status.value if run else "waiting")]


def _labels(view: View, width: int) -> Lines:
    """Show how many rows stand for a label, and what the names in gold and in answers leave to settle."""
    if not tasks.of(view.play.task).has_labels:
        return []
    found = reading(view.dossier)
    if not any(each.gold or each.answers for each in found.names):
        return []
    meets = not found.proposed and not found.unmatched
    lines: Lines = []
    for line in label_reports.counted(found):
        lines += page.sentence(line.removeprefix("! "), width, word="holds" if meets else "look")
    return [page.heading("LABELS", "" if meets else "m confirms what the names stand for"), *lines]


def _terms(view: View, width: int) -> Lines:
    terms = view.dossier.terms
    if terms is not None:
        says = "permit training on outputs" if terms.permits else "do NOT permit training on outputs"
        text = f"terms of {terms.provider} ({terms.version}, {terms.dated}) {says}; read by {terms.checked_by}"
        return page.sentence(text, width, word="done" if terms.permits else "misses")
    if not view.play.teacher_source:
        return []
    return page.sentence("terms: not recorded. P records what they permit.", width, word="look")


def _splits(view: View, width: int) -> Lines:
    row = view.dossier.data_set
    if row is None:
        return [
            page.heading("DATA SET"),
            *page.sentence("Not built in this round. B builds it.", width, word="waiting"),
        ]
    counted = counts(view.dossier)
    splits = counted.splits if counted is not None else {}
    note = f"frozen {page.when(row.frozen_at)} UTC" if row.frozen_at else f"draft of {page.when(row.built_at)} UTC"
    lines = [page.heading("DATA SET", note)]
    dot = f" {show.glyph('dot')} "
    sealed = {Split.HELD_OUT: " (sealed)"}
    text = dot.join(f"{split.value} {splits.get(split, 0):,}{sealed.get(split, '')}" for split in Split)
    groups = f"{dot}{counted.groups:,} groups" if counted is not None and counted.groups else ""
    lines += page.sentence(f"{text}{groups}", width, label="")
    promised = view.dossier.gate.held_out_rows if view.dossier.gate else 0
    got = splits.get(Split.HELD_OUT, 0)
    word, than = ("holds", "as many as") if got >= promised else ("look", "fewer than")
    lines += page.sentence(f"held-out: {got:,} rows, {than} the gate requires ({promised:,})", width, word=word)
    if row.frozen_at:
        lines += page.sentence(row.digest, width, word="done")
    return lines


def _weights(view: View, width: int) -> Lines:
    counted = counts(view.dossier)
    if counted is None or not counted.weights:
        return []
    found = counted.weights
    dot = f" {show.glyph('dot')} "
    heaviest = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    text = dot.join(f"{name.removesuffix(' / ?')} {factor:g}" for name, factor in heaviest[:MOST_WEIGHTS])
    more = f"{dot}and {len(found) - MOST_WEIGHTS} more" if len(found) > MOST_WEIGHTS else ""
    note = "of training rows, by the last student's failures on validation"
    return [page.heading("WEIGHTS", note), *page.sentence(text + more, width, label="")]


MOST_WEIGHTS = 12  # cells whose weights are written out


def _findings(view: View, width: int) -> Lines:
    """Write findings by what they cost the verdict, those of one kind in one line until z opens them."""
    found = findings(view.dossier)
    still = [each for each in found if not each.accepted]
    folds = [Fold(each.id, (each,)) for each in still] if view.opened else folded(still)
    lines: Lines = []
    for fold in folds:
        word = "misses" if fold.level is FindingLevel.MUST else "look"
        lines += page.sentence(f"{fold.says}  ({fold.name})", width, word=word)
    accepted = len(found) - len(still)
    if accepted:
        lines += page.sentence(
            f"{accepted:,} accepted; the log and the model card have the reasons", width, word="done"
        )
    found_counts = counts(view.dossier)
    tally = found_counts.tally if found_counts is not None else {}
    counted = [f"{name.replace('_', ' ')} {value:,}" for name, value in tally.items() if value]
    if counted:
        lines += page.sentence(f" {show.glyph('dot')} ".join(counted), width, label="counted: ")
    if not lines:
        return []
    note = "D accepts, with a reason" if still else ""
    if len(folds) < len(still) or view.opened:
        note = f"{len(still):,} in {len(folds):,} lines; z {'folds' if view.opened else 'opens'} them. {note}"
    return [page.heading("FINDINGS", note), *lines]


def _audit(view: View, width: int) -> Lines:
    counted = counts(view.dossier)
    if counted is None or counted.audit is None:
        return []
    found = counted.audit
    lines: Lines = [page.heading("AUDIT", f"all of it: `distill-tui data audit {view.play.code}`")]
    if found.teacher_says:
        lines += page.sentence(found.teacher_says, width, word="information")
    columns = (
        Column("AXIS", 9),
        Column("VALUE", 0),
        Column("TRAFFIC", 7, right=True),
        Column("TRAIN", 9, right=True),
        Column("VALIDATION", 10, 2, right=True),
        Column("HELD-OUT", 9, right=True),
        Column("TEACHER≠GOLD", 12, 1, right=True),
    )
    rows: list[tuple[str | tuple[str, str], ...]] = []
    for axis, values in found.axes.items():
        listed = values if view.opened else values[:MOST_VALUES]
        rows += [_value_row("" if number else axis, each) for number, each in enumerate(listed)]
        left = len(values) - len(listed) + found.more.get(axis, 0)
        if left:
            rows.append(("", (f"and {left:,} more", "$tone-muted"), "", "", "", "", ""))
    return [*lines, *page.table(columns, rows, min(width, WIDE + 20))]


MOST_VALUES = 6  # of an axis that the tab shows until z opens it


def _value_row(axis: str, each: AxisValue) -> tuple[str | tuple[str, str], ...]:
    thin = "$tone-warn" if each.train < 30 else ""
    unproven = "$tone-warn" if each.held_out < 30 else ""
    differ = show.percent(each.differ / each.judged, 0) if each.judged else show.glyph("dash")
    return (
        (axis, "$accent"),
        each.value,
        show.percent(each.traffic, 1),
        (f"{each.train:,}", thin),
        f"{each.validation:,}",
        (f"{each.held_out:,}", unproven),
        differ,
    )


def _coverage(view: View, width: int) -> Lines:
    counted = counts(view.dossier)
    cells: dict[tuple[str, str], dict[Split, int]] = {}
    for cell in counted.cells if counted is not None else ():
        by_split = cells.setdefault((cell.segment, cell.label or ""), {})
        by_split[cell.split] = by_split.get(cell.split, 0) + cell.rows
    if not cells:
        return []
    columns = (Column("SEGMENT", 18), Column("GOLD", 0), *(Column(s.value.upper(), 10, right=True) for s in Split))
    rows = [
        (segment or "(none)", label, *(f"{by_split.get(split, 0):,}" for split in Split))
        for (segment, label), by_split in sorted(cells.items())[:MOST_CELLS]
    ]
    lines = [page.heading("COVERAGE", "rows in each split"), *page.table(columns, rows, min(width, WIDE))]
    if len(cells) > MOST_CELLS:
        lines.append(page.muted(f"{len(cells) - MOST_CELLS:,} more: `distill-tui data show {view.play.code}`"))
    return lines
