"""Rules of the stage `data`: traffic, teacher, labels, findings, freeze, held-out rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from distill_tui import tasks
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import as_decimal, gate_untouched, locked_facts
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import (
    AcceptFindings,
    BuildData,
    FreezeData,
    ImportTraffic,
    Label,
    OpenRow,
    QueueRun,
    SetTeacher,
)
from distill_tui.rules.results import DataCounts, Finding, LabelResult, known
from distill_tui.rules.state_machine import NEXT_STAGE, closed
from distill_tui.rules.training import OF_DATA, idle, run_of_worker
from distill_tui.rules.who import PlayRule, held_by, reasoned
from distill_tui.terms import Action, FindingLevel, Role, RunKind, RunStatus, Split, TeacherSource


def import_traffic(dossier: PlayDossier, actor: Actor, request: ImportTraffic | None) -> Iterator[Objection]:
    """The driver imports traffic; a file is imported once with the same mapping."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from _of_worker(dossier, actor, request)
    yield from idle(dossier, actor, OF_DATA)
    yield from _not_frozen(dossier)
    if request is None:
        return
    if any(t.source_digest == request.source_digest and t.mapping == request.mapping for t in dossier.traffic):
        yield Objection("traffic.twice", f"“{request.name}” is already imported; nothing was added.")
    yield from _too_many_rejects(request)
    leaks = sum(request.held_out.values()) if request.variations else 0
    if leaks:
        yield Objection(
            "variation.leak",
            f"{leaks:,} of the variations are too close to held-out rows, so none was imported. Generate others.",
        )


def queue_run(dossier: PlayDossier, actor: Actor, request: QueueRun | None) -> Iterator[Objection]:
    """The rules of a worker's action also apply when it is queued."""
    action = request.queues if request is not None else None
    if action is not None and (dossier.play.stage, action) not in NEXT_STAGE:
        yield closed(action, dossier.play)
    if action is Action.IMPORT_TRAFFIC:
        yield from import_traffic(dossier, actor, None)
    elif action is Action.BUILD_DATA:
        yield from build_data(dossier, actor, None)
    elif action is Action.FREEZE_DATA:
        yield from freeze_data(dossier, actor, None)
    else:
        yield from held_by(dossier, actor, Role.DRIVER)


def _of_worker(
    dossier: PlayDossier, actor: Actor, request: ImportTraffic | BuildData | FreezeData | None
) -> Iterator[Objection]:
    """A worker records this only for its own run."""
    if actor.run is not None:
        yield from run_of_worker(dossier, actor, request.worker if request is not None else None)


def _too_many_rejects(request: ImportTraffic) -> Iterator[Objection]:
    rejects, rows, most = request.rejects, request.rows, request.most_rejects
    if rejects <= most * (rejects + rows):
        return
    reasons = "; ".join(f"{reason} ({count:,})" for reason, count in request.reasons[:3])
    yield Objection(
        "traffic.rejects",
        f"{rejects:,} of the {rejects + rows:,} rows of “{request.name}” are unusable, more than the allowed share of "
        f"{most:.4g}: {reasons}. Fix the file, or raise --most-rejects.",
    )


def _not_frozen(dossier: PlayDossier) -> Iterator[Objection]:
    if dossier.data_set is not None and dossier.data_set.frozen_at is not None:
        yield Objection("data.frozen", "The data set of this round is frozen; iterate to build another.")


def set_teacher(dossier: PlayDossier, actor: Actor, request: SetTeacher | None) -> Iterator[Objection]:
    """The driver chooses the teacher before the freeze; a teacher that the lock names stays."""
    yield from held_by(dossier, actor, Role.DRIVER)
    locked = locked_facts(dossier).get("teacher")
    known = locked if isinstance(locked, dict) else {}
    named = (request.source, request.digest) if request is not None and request.digest is not None else None
    if named and known and named != (known.get("source"), known.get("digest")):
        yield Objection(
            "gate.teacher",
            f"The gate was locked with the teacher “{known.get('name')}”. To use another teacher, open a new play.",
        )
    yield from _fitting(dossier, request)
    yield from _not_frozen(dossier)
    yield from idle(dossier, actor)


def _fitting(dossier: PlayDossier, request: SetTeacher | None) -> Iterator[Objection]:
    """The teacher chooses among labels or writes its answers, whichever the play's task needs."""
    if request is None or request.chooses is None:
        return
    task = tasks.of(dossier.play.task)
    sentence = task.teacher_problem.format(code=dossier.code)
    if request.chooses and not task.has_labels:
        yield Objection("teacher.chooses", sentence)
    if task.has_labels and not request.chooses:
        yield Objection("teacher.no_labels", sentence)


def _teacher(dossier: PlayDossier) -> Iterator[Objection]:
    if not dossier.play.teacher_source:
        yield Objection(
            "teacher.none",
            f"There is no teacher yet: `distill-tui teacher {dossier.code} --recorded`, or name a model folder.",
        )


def _some_traffic(dossier: PlayDossier) -> Iterator[Objection]:
    if not dossier.traffic:
        yield Objection("traffic.none", f"There is no traffic yet: `distill-tui import {dossier.code} FILE`.")


def label(dossier: PlayDossier, actor: Actor, request: Label | None) -> Iterator[Objection]:
    """The driver has a worker label the traffic, unless the teacher's outputs are recorded."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from _some_traffic(dossier)
    yield from _teacher(dossier)
    yield from _not_frozen(dossier)
    if dossier.play.teacher_source is TeacherSource.RECORDED:
        yield Objection(
            "teacher.recorded", "The teacher's outputs are recorded in the traffic; there is nothing to label."
        )
    if request is not None:
        yield from _writes(dossier, request)
        yield from _budget(dossier, request)
        yield from _tried(dossier, request)
    yield from idle(dossier, actor)


def _writes(dossier: PlayDossier, request: Label) -> Iterator[Objection]:
    """Only a generative teacher writes variations, and never of held-out rows."""
    if not request.vary:
        return
    if dossier.play.teacher_source in (TeacherSource.LOCAL, TeacherSource.ZERO_SHOT):
        yield Objection(
            "teacher.cannot_write",
            f"{dossier.play.teacher_name} is a classifier and cannot write text. Variations need an endpoint or a "
            "causal model (--prompted).",
        )
    if request.sealed:
        rows = ", ".join(str(row) for row in request.sealed)
        yield Objection(
            "variation.sealed",
            f"Row {rows} is held out and cannot be varied; choose training or validation rows.",
        )


def _tried(dossier: PlayDossier, request: Label) -> Iterator[Objection]:
    """A paid teacher labels one row with the run's prompt first; the answer is cached."""
    limits = request.limits or {}
    paid = "budget" in limits and any(as_decimal(limits.get(name, 0)) != 0 for name in ("price_in", "price_out"))
    if request.tried or not paid:
        return
    command = "data vary" if request.vary else "label"
    yield Objection(
        "teacher.untried",
        f"{dossier.play.teacher_name} is a paid teacher and this prompt is untested. Label one row first (the answer "
        f"is cached): `distill-tui {command} {dossier.code} --estimate` with the same budget and prices.",
    )


def _budget(dossier: PlayDossier, request: Label) -> Iterator[Objection]:
    """A run on an endpoint has a budget and prices."""
    if dossier.play.teacher_source is not TeacherSource.ENDPOINT or request.limits is None:
        return
    missing = [
        f"--{name}" for name in ("budget", "price-in", "price-out") if name.replace("-", "_") not in request.limits
    ]
    if missing:
        yield Objection(
            "teacher.budget",
            f"{dossier.play.teacher_name} is a paid endpoint: set {', '.join(missing)} (prices per million tokens, 0 "
            f"if free). To label one row first: `distill-tui label {dossier.code} --estimate`.",
        )


def labelled(dossier: PlayDossier) -> bool:
    """Return whether the teacher has answered all the traffic."""
    play = dossier.play
    if not play.teacher_source:
        return False
    if play.teacher_source is TeacherSource.RECORDED:
        return True
    wanted = {traffic.artifact for traffic in dossier.traffic}
    for run in dossier.runs:
        if run.kind is RunKind.LABEL and run.status is RunStatus.FINISHED:
            result = known(LabelResult, run.result)
            if result is not None and result.teacher == play.teacher_digest and wanted <= set(result.traffic):
                return True
    return False


def build_data(dossier: PlayDossier, actor: Actor, request: BuildData | None) -> Iterator[Objection]:
    """The driver builds a data set from traffic that the teacher has labelled."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from _of_worker(dossier, actor, request)
    yield from _some_traffic(dossier)
    yield from _teacher(dossier)
    yield from _not_frozen(dossier)
    yield from gate_untouched(dossier)
    if dossier.play.teacher_source and not labelled(dossier):
        yield Objection(
            "teacher.unasked",
            f"The teacher has not labelled all the traffic: `distill-tui label {dossier.code}`.",
        )
    yield from idle(dossier, actor)


def counts(dossier: PlayDossier) -> DataCounts | None:
    """Return the counts of this round's data set; None without one that can be read."""
    return known(DataCounts, dossier.data_set.counts) if dossier.data_set is not None else None


def findings(dossier: PlayDossier) -> list[Finding]:
    """Return the audit findings on this round's data set, each with the reason of its acceptance."""
    counted = counts(dossier)
    if dossier.data_set is None or counted is None:
        return []
    reasons = {(a.finding, a.says): a.reason for a in dossier.accepted if a.round == dossier.data_set.round}
    return [replace(each, accepted=reasons.get((each.id, each.says), "")) for each in counted.findings]


def open_findings(dossier: PlayDossier) -> list[Finding]:
    return [each for each in findings(dossier) if not each.accepted]


def accept_findings(dossier: PlayDossier, actor: Actor, request: AcceptFindings | None) -> Iterator[Objection]:
    """The driver accepts open findings, with a reason."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from _not_frozen(dossier)
    still = [each.id for each in open_findings(dossier)]
    if not still:
        yield Objection("finding.none", f"{dossier.code} has no open findings; `data show` lists all.")
    for name in request.findings if request is not None else ():
        if still and name not in still:
            yield Objection("finding.unknown", f"Unknown finding “{name}”; open findings: {', '.join(still[:12])}.")
    yield from reasoned(request, "Accepting a finding")


def freeze_data(dossier: PlayDossier, actor: Actor, request: FreezeData | None) -> Iterator[Objection]:
    """The driver freezes a data set with enough held-out rows, no leak and no open `must` finding."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from _of_worker(dossier, actor, request)
    yield from idle(dossier, actor, OF_DATA)
    yield from _not_frozen(dossier)
    if dossier.data_set is None or dossier.gate is None:
        yield Objection("data.none", f"There is no data set yet: `distill-tui data build {dossier.code}`.")
        return
    counted = counts(dossier)
    splits = counted.splits if counted is not None else {}
    held_out = splits.get(Split.HELD_OUT, 0)
    if held_out < dossier.gate.held_out_rows and dossier.data_set.round == dossier.first_round:
        yield Objection(
            "data.held_out",
            f"The held-out split has {held_out:,} rows; the locked gate requires {dossier.gate.held_out_rows:,}. "
            "Import more traffic.",
        )
    for split in (Split.TRAIN, Split.VALIDATION):
        if not splits.get(split):
            yield Objection("data.empty", f"The {split} split is empty; import more traffic.")
    for leak in request.leaks if request is not None else ():
        yield Objection("data.leak", leak)
    for each in open_findings(dossier):
        if each.level is FindingLevel.MUST:
            accept = f"`distill-tui data accept {dossier.code} {each.id} -m WHY`"
            yield Objection("data.finding", f"{each.says} Fix the data, or accept the finding: {accept}.")


def open_row(dossier: PlayDossier, actor: Actor, request: OpenRow | None) -> Iterator[Objection]:
    """A person with a role in the play opens a held-out row; a builder who opens it burns it."""
    if actor.person not in dossier.roles.values() and actor.person not in dossier.builders:
        yield Objection(
            "held_out.sealed",
            f"Held-out rows are sealed, and {actor.person} has no role in {dossier.code}; ask its validator.",
        )
    if dossier.data_set is None or dossier.data_set.frozen_at is None:
        yield Objection("data.not_frozen", "The data set of this round is not frozen, so it has no held-out rows yet.")
    if request is not None and not request.held_out:
        yield Objection(
            "held_out.none",
            f"Row {request.row} is not held out in this round's data set; `data show` has the counts.",
        )
    if request is not None and not request.burn and actor.person in dossier.builders:
        yield Objection(
            "held_out.burns",
            f"{actor.person} is a builder of this play, so opening row {request.row} burns it and its near duplicates: "
            "they stop counting in evaluations and move to validation in the next data set. Confirm with --burn.",
        )


RULES: dict[Action, PlayRule] = {
    Action.IMPORT_TRAFFIC: import_traffic,
    Action.SET_TEACHER: set_teacher,
    Action.LABEL: label,
    Action.QUEUE_RUN: queue_run,
    Action.BUILD_DATA: build_data,
    Action.ACCEPT_FINDINGS: accept_findings,
    Action.FREEZE_DATA: freeze_data,
    Action.OPEN_ROW: open_row,
}
