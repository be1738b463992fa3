"""What a building worker does: make a round's data set of traffic, the teacher's outputs and the gate's rule.

The first round draws the splits. A later round keeps them: what was held out stays so and what was not never becomes
so; its training rows are weighted to where the last student failed on the validation split. A refresh draws new
held-out rows by the same rule, from fresh rows that no person has seen; the old ones are never used again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from distill_tui import tasks
from distill_tui.dataset import build as building
from distill_tui.dataset import frozen, repeats
from distill_tui.dataset import traffic as imported
from distill_tui.dataset.audit import counts, coverage, written_answers
from distill_tui.dataset.progress import Progress, no_progress
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.split import SplitRule, TooFewRows
from distill_tui.dataset.traces import call_mapping
from distill_tui.digests import Part
from distill_tui.rounds import teacher_calls, weights
from distill_tui.rules import entities, labels
from distill_tui.rules.data import sources
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Objection, Refused
from distill_tui.rules.requests import BuildData
from distill_tui.rules.results import (
    AuditTables,
    DataCounts,
    Finding,
    ImportReport,
    LabelResult,
    encode,
    known,
    label_result,
)
from distill_tui.runs import headroom, refreshed
from distill_tui.runs.ask import labels_of
from distill_tui.runs.claim import Claim
from distill_tui.store import tables
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.project import Change
from distill_tui.tasks.label_map import LabelMap
from distill_tui.teachers import cache, model_names
from distill_tui.teachers.description import Described
from distill_tui.terms import Action, FindingLevel, RunStatus, Split, Task, TeacherSource
from distill_tui.training.students import fields

MOST_MARKED = 2_000  # training answers of which the fields are inferred
PHASES = ("reading", "near duplicates", "answers", "audit", "writing")


@dataclass(frozen=True)
class Built:
    """A data set that was written: its content's digest, its labels, and what it counts."""

    digest: str
    labels: tuple[str, ...]
    counts: DataCounts


def run(claimed: Claim, dossier: PlayDossier) -> None:
    """Build the draft data set of this round, and put it in the place of the last draft."""
    artifacts = claimed.project.artifacts
    with claimed.scratch() as scratch:
        built = build(artifacts, dossier, scratch / "data.parquet", claimed.progress(*PHASES))
        artifact, digest = artifacts.store(scratch / "data.parquet"), f"sha256:{built.digest}"

    def edit(change: Change, row: entities.Run) -> None:
        if _sources(change.dossier) != _sources(dossier):
            raise Refused(
                [
                    Objection(
                        "data.moved", "The traffic, the teacher or the dropped rows changed meanwhile; build again."
                    )
                ]
            )
        if change.dossier.data_set is not None:
            change.session.delete(change.session.get(tables.DataSet, change.dossier.data_set.id))
            change.session.flush()
        change.session.add(
            tables.DataSet(
                play_id=row.play_id,
                round=change.play.round,
                artifact=artifact,
                digest=digest,
                labels=json.dumps(built.labels),
                counts=encode(built.counts),
                built_at=change.at,
            )
        )
        row.step = row.total = sum(built.counts.splits.values())
        row.artifact, row.message = artifact, f"{row.total:,} rows"
        change.detail |= {"data": digest, "splits": built.counts.splits}

    claimed.end(Action.BUILD_DATA, RunStatus.FINISHED, edit, BuildData(claimed.fence))


def _sources(dossier: PlayDossier) -> object:
    assert dossier.play is not None
    play = dossier.play
    return [traffic.id for traffic in dossier.traffic], play.teacher_digest, play.label_map, play.round, dossier.dropped


@dataclass(frozen=True)
class _Drawn:
    """What a round is built of: its traffic, the splits that stay, and the inputs that a teacher wrote."""

    files: list[Path]
    keep: dict[str, Split] | None  # input digest → split; None in the first round
    fresh: refreshed.Fresh | None
    written: set[str]
    varied: set[str]


def build(artifacts: Artifacts, dossier: PlayDossier, out: Path, progress: Progress = no_progress) -> Built:
    """Build this round's data set and write it. Raises BadInput with one sentence."""
    play, gate = dossier.play, dossier.gate
    assert gate is not None
    named = labels.reading(dossier).map if tasks.of(play.task).has_labels else LabelMap(())
    for few in labels.enough(named.labels, dossier):
        raise BadInput(few.sentence)
    outputs = partial(_outputs, artifacts, play, named) if play.teacher_source.computes else _no_outputs
    drawn = _drawn(artifacts, dossier, out.parent)
    dropped = sorted(each.input_digest for each in dossier.dropped)
    rule = SplitRule.of(gate, refresh=dossier.first_round > 1)
    try:
        data = building.build(
            drawn.files,
            outputs,
            rule,
            named,
            task=play.task,
            keep=drawn.keep,
            without=dropped,
            progress=progress,
            scratch=out.parent,
        )
    except TooFewRows as few:
        raise BadInput(str(few) if drawn.fresh is None else drawn.fresh.too_few(few)) from None
    data.rows.beat = lambda: progress("audit", 0, len(data.rows))
    found = coverage.audit(data.rows, data.since, gate, data.labels, drawn.written, play.task)
    teacher = headroom.measure(data.rows, data.labels, gate.seed, play.task, gate.lists)
    factors = weights.cell_factors(weights.failures_of(dossier))
    data.rows.beat = lambda: progress("writing", 0, len(data.rows))
    data = replace(data, lists=gate.lists)
    digest = building.write(
        data,
        out,
        call_mapping.of_traffic(each.mapping for each in dossier.traffic),
        partial(weights.weighted, factors=factors, task=data.task, labels=data.labels) if factors else None,
    )
    counted = counts.count(out, gate)
    of_rows = [*headroom.findings(teacher, gate), *found.findings, *counted.findings]
    report = DataCounts(
        splits={split: counted.of(split) for split in Split},
        cells=tuple(replace(cell, label=cell.label or "(no gold)") for cell in counted.cells),
        groups=counted.groups,
        tally=counted.tally,
        weights={name: round(factor, 2) for name, factor in sorted(factors.items())},
        findings=(*_of_sources(artifacts, dossier), *of_rows, *_of_round(data, drawn)),
        audit=AuditTables(
            axes=found.axes,
            more=found.more,
            pii=found.pii,
            teacher=teacher,
            teacher_says=headroom.summary(teacher) if teacher else "",
            asked_twice=_asked_twice(artifacts, dossier),
        ),
        usable=counted.usable,
        trained=counted.trained,
        names=data.names,
        built_of=sources(dossier),
        dropped=tuple(dropped),
    )
    return Built(digest, data.labels, report)


def _drawn(artifacts: Artifacts, dossier: PlayDossier, scratch: Path) -> _Drawn:
    """Gather what this round is built of; a refresh writes its fresh rows into `scratch`."""
    before = next((d for d in reversed(dossier.data_sets) if d.round < dossier.play.round and d.frozen_at), None)
    keep = _kept(artifacts.path(before.artifact), dossier.burnt) if before else None
    files = [artifacts.path(traffic.artifact) for traffic in dossier.traffic]
    fresh = None
    if dossier.first_round > 1:
        fresh = refreshed.files_of(artifacts, dossier, keep or {}, scratch)
        files, keep = list(fresh.files), dict(fresh.splits)
    written, varied = _written(artifacts, dossier)
    if keep is not None and written:
        keep = keep | {d: Split.TRAIN for d in written | varied if keep.get(d) is not Split.HELD_OUT}
    return _Drawn(files, keep, fresh, written, varied)


def _of_sources(artifacts: Artifacts, dossier: PlayDossier) -> Iterator[Finding]:
    """Report what is wrong with the files and the teacher that the rows come from."""
    yield from _cut(dossier)
    yield from _lacking(dossier)
    yield from _served(artifacts, dossier.play)


def _of_round(data: building.DataSet, drawn: _Drawn) -> Iterator[Finding]:
    """Report what this round's own rows are: written by a teacher, fresh, texts as answers."""
    yield from coverage.written(data.rows, drawn.written, drawn.varied)
    if drawn.fresh is not None:
        yield from drawn.fresh.findings(data.rows)
    if data.task is Task.GENERATION:
        yield from written_answers.findings(data.rows)
        yield from _taught(data.rows)


def _asked_twice(artifacts: Artifacts, dossier: PlayDossier) -> str:
    """Word how far a recorded teacher of scores is from itself; empty for another teacher, or too few repeats."""
    scale = labels.scale_text(dossier.play)
    if not scale or dossier.play.teacher_source.computes:
        return ""
    found = repeats.measure([artifacts.path(each.artifact) for each in dossier.traffic], scale)
    return found.sentence if found is not None else ""


def _taught(rows: building.Rows) -> Iterator[Finding]:
    """Return for each field of a JSON answer how a tagger can learn it, or that it cannot."""
    trained = (row for row in rows if row.split is Split.TRAIN)
    pairs = [(row.input, row.gold or row.answer) for row in islice(trained, MOST_MARKED)]
    known = [(text, answer) for text, answer in pairs if answer is not None]
    if not known:
        return
    marked = fields.mark([text for text, _ in known], [answer for _, answer in known])
    if marked.shape.json:
        yield Finding.of(
            "fields", FindingLevel.NOTE, "tagger",
            f"A tagger writes these fields (of {len(known):,} training answers): {' '.join(marked.by_field)}",
        )  # fmt: skip


def _no_outputs(_: Part) -> dict[str, building.TeacherOutput]:
    return {}


def _outputs(
    artifacts: Artifacts, play: entities.Play, named: LabelMap, part: Part
) -> dict[str, building.TeacherOutput]:
    """Return what a teacher that computes answered, by input digest; what names no label as it is written."""
    own, folder, teacher = labels_of(artifacts, play), artifacts.folder, play.teacher_digest
    several = tasks.of(play.task).several
    answers = cache.labelled(folder, play.teacher_source, teacher, own, several=several, part=part)
    unread = cache.said(folder, teacher, part) if own and any(label is None for label, _ in answers.values()) else {}
    moved = own != named.labels
    return {
        digest: building.TeacherOutput(
            label if label is not None else unread.get(digest) or None,
            shares
            if shares is None or not moved
            else dict(zip(own, shares, strict=True))
            if several
            else named.shares(own, shares),
        )
        for digest, (label, shares) in answers.items()
    }


def _cut(dossier: PlayDossier) -> Iterator[Finding]:
    """Report where the teacher did not read its inputs whole."""
    labelled = [result for run in dossier.runs if isinstance(result := label_result(run), LabelResult)]
    cut = next((each.cut for each in reversed(labelled) if each.teacher == dossier.play.teacher_digest), None)
    if cut is not None and cut.texts_cut:
        level = FindingLevel.MUST if cut.is_finding else FindingLevel.NOTE
        yield Finding.of(
            "cut", level, "teacher",
            f"The teacher does not read every text whole: {cut.sentence}. Choose a teacher that reads more, or import "
            "shorter inputs.",
        )  # fmt: skip


def _lacking(dossier: PlayDossier) -> Iterator[Finding]:
    """Report the files of one import that lack columns or labels which the others have."""
    for each in dossier.traffic:
        report = known(ImportReport, each.report)
        for columns, sentence in report.lacking.items() if report is not None else ():
            yield Finding.of("lacking", FindingLevel.NOTE, f"{each.artifact} {columns}", f"{each.name}: {sentence}")


def _served(artifacts: Artifacts, play: entities.Play) -> Iterator[Finding]:
    """Report where an endpoint answered by another model than the one asked for, or by several versions of it."""
    if play.teacher_source is not TeacherSource.ENDPOINT:
        return
    asked = Described.from_json(artifacts.text(play.teacher_digest)).model
    wrong = model_names.trouble(asked, cache.models(artifacts.folder, play.teacher_digest))
    if wrong:
        yield Finding.of(
            "served", FindingLevel.MUST, "teacher",
            f"{wrong} A student would learn from all of them. Pin the model's version with --model, and label again.",
        )  # fmt: skip


def _kept(path: Path, burnt: frozenset[str]) -> dict[str, Split]:
    """Keep the splits of the round before; what a builder has opened of the held-out split moves to validation."""
    return frozen.splits_of(path) | dict.fromkeys(frozen.held_out_with(path, burnt), Split.VALIDATION)


def _written(artifacts: Artifacts, dossier: PlayDossier) -> tuple[set[str], set[str]]:
    """Return the inputs, by digest, that a teacher wrote, and those that these vary: all of them only train."""
    files = [(traffic, taken) for traffic in dossier.traffic if (taken := teacher_calls.taken(traffic)) is not None]
    paths = [artifacts.path(traffic.artifact) for traffic, _ in files]
    written = {row["input_digest"] for row in imported.rows(paths, ["input_digest"])}
    return written, {digest for _, taken in files for digest in taken.varied}
