"""How many rows each criterion of the gate can use, in the traffic and held out; and which can use none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from distill_tui.gates.gate import ALL, EVERY_SEGMENT
from distill_tui.gates.usable import Need, SegmentRows, expected, need_of, total, unmeasurable, usable
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Objection
from distill_tui.rules.results import DataCounts, ImportReport, known
from distill_tui.terms import TeacherSource


def traffic_rows(dossier: PlayDossier) -> tuple[SegmentRows, ...]:
    """Return what the imported rows have, by segment. A teacher that computes, or is not chosen yet, answers all."""
    found: dict[str, SegmentRows] = {}
    for traffic in dossier.traffic:
        report = known(ImportReport, traffic.report)
        for each in report.usable if report is not None else ():
            found[each.segment] = _added(found.get(each.segment), each)
    recorded = dossier.play.teacher_source is TeacherSource.RECORDED
    none_chosen = dossier.play.teacher_source is TeacherSource.NONE and not total(found.values(), Need.TEACHER)
    answers = dossier.play.teacher_source.computes or none_chosen
    return tuple(_answered(each) if answers and not recorded else each for each in found.values())


def _added(before: SegmentRows | None, more: SegmentRows) -> SegmentRows:
    if before is None:
        return more
    return SegmentRows(more.segment, **{need.value: before.of(need) + more.of(need) for need in Need})


def _answered(found: SegmentRows) -> SegmentRows:
    return SegmentRows(found.segment, found.rows, found.gold, found.rows, found.gold, found.gold)


def recorded_outputs(dossier: PlayDossier) -> bool:
    """Return whether the traffic has outputs of a teacher; True where its reports do not show it."""
    reports = [known(ImportReport, traffic.report) for traffic in dossier.traffic]
    counted = [each for report in reports if report is not None for each in report.usable]
    return not counted or total(counted, Need.TEACHER) > 0


def held_out_rows(dossier: PlayDossier) -> tuple[SegmentRows, ...]:
    """Return what the held-out rows of this round have; before they are drawn, what they will have."""
    counted = known(DataCounts, dossier.data_set.counts) if dossier.data_set is not None else None
    if counted is not None:
        return counted.usable
    return expected(dossier.gate, traffic_rows(dossier)) if dossier.gate is not None else ()


def rows_used(dossier: PlayDossier) -> Iterator[tuple[str, int, int]]:
    """Yield for each criterion that needs more than an input: its words, the held-out rows it can use, and all."""
    found = held_out_rows(dossier)
    for criterion in dossier.gate.criteria if dossier.gate is not None and found else ():
        if need_of(criterion) is not Need.NOTHING:
            scope = ALL if criterion.scope == EVERY_SEGMENT else criterion.scope
            yield criterion.words, usable(found, criterion, scope), total(found)


def lockable(dossier: PlayDossier) -> Iterator[Objection]:
    """No criterion that counts is locked while the traffic has not one row that it could use."""
    found = traffic_rows(dossier)
    for sentence in _nothing(dossier, found, "imported rows"):
        yield Objection(
            "gate.unmeasurable",
            f"{sentence} Import rows that have it, choose another criterion, or give this one watch_only and a reason.",
        )


def freezable(dossier: PlayDossier) -> Iterator[Objection]:
    """No data set is frozen on which a criterion that counts could not be measured."""
    for sentence in _nothing(dossier, held_out_rows(dossier), "held-out rows"):
        yield Objection("data.unmeasurable", f"{sentence} Import rows that have it, and build again.")


def worth_a_look(dossier: PlayDossier) -> Iterator[Objection]:
    """No look is spent on a criterion that cannot be measured."""
    for sentence in _nothing(dossier, held_out_rows(dossier), "held-out rows"):
        yield Objection("held_out.unmeasurable", f"{sentence} The look would be spent for nothing; kill the play.")


def _nothing(dossier: PlayDossier, found: Sequence[SegmentRows], rows: str) -> Iterator[str]:
    for criterion, need in unmeasurable(dossier.gate, found) if dossier.gate is not None and total(found) else ():
        words = f"{criterion.words[:1].upper()}{criterion.words[1:]}"
        yield f"{words} cannot be measured: it needs {need.words}, and none of the {total(found):,} {rows} has that."
