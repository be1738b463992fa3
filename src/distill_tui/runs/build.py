"""What a building worker does: make a round's data set of traffic, the teacher's outputs and the gate's rule.

The first round draws the splits. A later round keeps them: what was held out stays so and what was not never becomes
so; its training rows are weighted to where the last student failed on the validation split. A refresh draws new
held-out rows by the same rule, from fresh rows that no person has seen; the old ones are never used again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from distill_tui import tasks
from distill_tui.dataset import build as building
from distill_tui.dataset import frozen
from distill_tui.dataset import traffic as imported
from distill_tui.dataset.audit import counts, coverage
from distill_tui.dataset.progress import Progress, no_progress
from distill_tui.dataset.split import SplitRule
from distill_tui.rounds import variations, weights
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Objection, Refused
from distill_tui.rules.requests import BuildData
from distill_tui.rules.results import AuditTables, DataCounts, ImportReport, encode
from distill_tui.runs import headroom
from distill_tui.runs.ask import labels_of
from distill_tui.runs.claim import Claim
from distill_tui.store import tables
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.json_columns import read
from distill_tui.store.project import Change
from distill_tui.teachers import cache
from distill_tui.terms import Action, RunStatus, Split

PHASES = ("reading", "near duplicates", "audit", "writing")


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
            raise Refused([Objection("data.moved", "The traffic or the teacher changed meanwhile; build again.")])
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
    return [traffic.id for traffic in dossier.traffic], dossier.play.teacher_digest, dossier.play.round


def build(artifacts: Artifacts, dossier: PlayDossier, out: Path, progress: Progress = no_progress) -> Built:
    """Build this round's data set and write it. Raises BadInput with one sentence."""
    play, gate = dossier.play, dossier.gate
    assert gate is not None
    labels: tuple[str, ...] | None = None if tasks.of(play.task).has_labels else ()
    outputs = {}
    if play.teacher_source.computes:
        labels = labels_of(artifacts, play)
        said = cache.labelled(artifacts.folder, play.teacher_source, play.teacher_digest, labels)
        for digest, (label, shares) in said.items():
            outputs[digest] = building.TeacherOutput(label, shares)
    before = next((d for d in reversed(dossier.data_sets) if d.round < play.round and d.frozen_at), None)
    keep = _kept(artifacts.path(before.artifact), dossier.burnt) if before else None
    files = [artifacts.path(traffic.artifact) for traffic in dossier.traffic]
    if dossier.first_round > 1:
        files, keep = _refreshed(artifacts, dossier, keep or {}, out.parent)
    written, varied = _written(artifacts, dossier)
    if keep is not None and written:
        keep = keep | {d: Split.TRAIN for d in written | varied if keep.get(d) is not Split.HELD_OUT}
    rule = SplitRule.of(gate, refresh=dossier.first_round > 1)
    data = building.build(files, outputs, rule, labels, keep=keep, progress=progress)
    progress("audit", 0, len(data.rows))
    found = coverage.audit(data.rows, data.since, gate, data.labels, written)
    teacher = headroom.measure(data.rows, data.labels, gate.seed)
    factors = weights.cell_factors(weights.failures_of(dossier))
    if factors:
        data = replace(data, rows=tuple(weights.weighted(row, factors, data.labels) for row in data.rows))
    progress("writing", 0, len(data.rows))
    digest = building.write(data, out)
    counted = counts.count(out)
    findings = [*headroom.findings(teacher, gate), *found.findings, *counted.findings]
    findings += coverage.written(data.rows, written, varied)
    report = DataCounts(
        splits={split: counted.of(split) for split in Split},
        cells=tuple(replace(cell, label=cell.label or "(no gold)") for cell in counted.cells),
        groups=counted.groups,
        tally=counted.tally,
        weights={name: round(factor, 2) for name, factor in sorted(factors.items())},
        findings=tuple(findings),
        audit=AuditTables(
            axes=found.axes,
            pii=found.pii,
            teacher=teacher,
            teacher_says=headroom.summary(teacher) if teacher else "",
        ),
    )
    return Built(digest, data.labels, report)


def _kept(path: Path, burnt: frozenset[str]) -> dict[str, Split]:
    """Keep the splits of the round before; what a builder has opened of the held-out split moves to validation."""
    return frozen.splits_of(path) | dict.fromkeys(frozen.held_out_with(path, burnt), Split.VALIDATION)


def _refreshed(
    artifacts: Artifacts, dossier: PlayDossier, keep: Mapping[str, Split], scratch: Path
) -> tuple[list[Path], dict[str, Split]]:
    """Return the traffic of a refresh, and the splits that are fixed in it.

    What was held out in an earlier effort is left out for good: it was looked at. Earlier traffic gives only the rows
    that were trained or validated on. Of what was observed, the open half may only be trained on, since its rows are
    shown where answers diverge; held-out rows are drawn from the sealed half and from what is imported.
    """
    begin = dossier.first_round
    earlier = [d for d in dossier.data_sets if d.round < begin and d.frozen_at]
    splits = [frozen.splits_of(artifacts.path(d.artifact)) for d in earlier]
    retired = {digest for each in splits for digest, split in each.items() if split is Split.HELD_OUT}
    fixed = {digest: split for digest, split in keep.items() if digest not in retired}
    old, fresh = scratch / "earlier.parquet", scratch / "fresh.parquet"
    paths = {t.id: artifacts.path(t.artifact) for t in dossier.traffic}
    known = set(fixed)
    imported.pick([paths[t.id] for t in dossier.traffic if t.round < begin], lambda r: r["input_digest"] in known, old)
    imported.pick(
        [paths[t.id] for t in dossier.traffic if t.round >= begin], lambda r: r["input_digest"] not in retired, fresh
    )
    for each in (t for t in dossier.traffic if t.round >= begin and is_observed(t)):
        for row in imported.rows([paths[each.id]], ["input_digest"]):
            if not imported.sealed(row["input_digest"]) and row["input_digest"] not in retired:
                fixed.setdefault(row["input_digest"], Split.TRAIN)
    return [old, fresh], fixed


def _written(artifacts: Artifacts, dossier: PlayDossier) -> tuple[set[str], set[str]]:
    """Return the inputs, by digest, that a teacher wrote, and those that these vary: all of them only train."""
    files = [(traffic, taken) for traffic in dossier.traffic if (taken := variations.taken(traffic)) is not None]
    paths = [artifacts.path(traffic.artifact) for traffic, _ in files]
    written = {row["input_digest"] for row in imported.rows(paths, ["input_digest"])}
    return written, {digest for _, taken in files for digest in taken.varied}


def is_observed(traffic: entities.Traffic) -> bool:
    """Whether a file of traffic is what a live student was observed on."""
    return read(ImportReport, traffic.report, f"the report of traffic file {traffic.id}").observed
