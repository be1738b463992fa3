"""Rules of the stage `data`: traffic, teacher, labels, findings, freeze, held-out rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from distill_tui import tasks
from distill_tui.rules import entities, labels
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, read_list
from distill_tui.rules.findings import by_cost, by_name, folded
from distill_tui.rules.gate import as_decimal, gate_untouched, locked_facts
from distill_tui.rules.measurable import freezable, recorded_outputs
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import (
    AcceptFindings,
    BuildData,
    DropRow,
    DropTraffic,
    FreezeData,
    ImportTraffic,
    Label,
    OpenRow,
    QueueRun,
    SetTeacher,
)
from distill_tui.rules.results import DataCounts, Finding, ImportReport, LabelResult, known
from distill_tui.rules.state_machine import NEXT_STAGE, closed
from distill_tui.rules.training import OF_DATA, idle, run_of_worker
from distill_tui.rules.who import PlayRule, held_by, reasoned
from distill_tui.terms import Action, FindingLevel, Role, RunKind, RunStatus, Split, TeacherSource

PAID = ("budget", "price_in", "price_out")  # what a run on an endpoint is given


def import_traffic(dossier: PlayDossier, actor: Actor, request: ImportTraffic | None) -> Iterator[Objection]:
    """The driver imports traffic, in a refresh the operator too; a file is imported once with the same mapping."""
    yield from _imports(dossier, actor)
    yield from _of_worker(dossier, actor, request)
    yield from idle(dossier, actor, OF_DATA)
    yield from not_frozen(dossier)
    if request is None:
        return
    if any(t.source_digest == request.source_digest and t.mapping == request.mapping for t in dossier.traffic):
        yield Objection("traffic.twice", f"“{request.name}” is already imported; nothing was added.")
    yield from _too_many_rejects(request)
    yield from _other_mapping(dossier, request)
    yield from _several_models(dossier, request)
    leaks = sum(request.held_out.values()) if request.variations else 0
    if leaks:
        yield Objection(
            "variation.leak",
            f"{leaks:,} of the variations are too close to held-out rows, so none was imported. Generate others.",
        )


def _imports(dossier: PlayDossier, actor: Actor) -> Iterator[Objection]:
    """The driver imports; in a refresh its operator too, who may have opened it and builds by that."""
    yield from held_by(dossier, actor, Role.DRIVER, *([Role.OPERATOR] if dossier.refreshing else []))


def queue_run(dossier: PlayDossier, actor: Actor, request: QueueRun | None) -> Iterator[Objection]:
    """The rules of a worker's action also apply when it is queued."""
    action = request.queues if request is not None else None
    if action is not None and (dossier.play.stage, action) not in NEXT_STAGE:
        yield closed(action, dossier.play)
    if action is Action.IMPORT_TRAFFIC:
        yield from import_traffic(dossier, actor, None)
    elif action is Action.SET_TEACHER:
        yield from set_teacher(dossier, actor, None)
    elif action is Action.BUILD_DATA:
        yield from build_data(dossier, actor, None)
    elif action is Action.FREEZE_DATA:
        yield from freeze_data(dossier, actor, None)
    else:
        yield from _imports(dossier, actor)


def _of_worker(
    dossier: PlayDossier, actor: Actor, request: ImportTraffic | SetTeacher | BuildData | FreezeData | None
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


def _other_mapping(dossier: PlayDossier, request: ImportTraffic) -> Iterator[Objection]:
    """Calls become inputs in one way within a play: at import, labelling, observing and serving."""
    calls = _calls(request.mapping)
    plain = [each for each in dossier.traffic if '"input"' in each.mapping and not _scrubs(each.mapping)]
    if plain and _scrubs(request.mapping):
        yield Objection(
            "traffic.mapping",
            f"“{request.name}” would replace personal data, and “{plain[0].name}” did not. Import it without --scrub, "
            "or open a new play.",
        )
        return
    yield from _other_template(dossier, request)
    before = [found for each in dossier.traffic if (found := _calls(each.mapping)) is not None]
    if calls is None or not before or calls == before[-1]:
        return
    differ = sorted(name for name in calls.keys() | before[-1].keys() if calls.get(name) != before[-1].get(name))
    yield Objection(
        "traffic.mapping",
        f"“{request.name}” makes inputs in another way than the traffic so far ({', '.join(differ)}). Import it "
        "with the same mapping, or open a new play.",
    )


def _other_template(dossier: PlayDossier, request: ImportTraffic) -> Iterator[Objection]:
    """Several fields become one input by one template, in tables and in calls."""
    new, before = _template(request.mapping), [each for each in map(_template, _mappings(dossier)) if each]
    if new and before and new != before[-1]:
        yield Objection(
            "traffic.mapping",
            f"“{request.name}” makes inputs of fields by “{new}”, and the traffic so far by “{before[-1]}”. Import it "
            "by the same template, or open a new play.",
        )


def _mappings(dossier: PlayDossier) -> list[str]:
    return [each.mapping for each in dossier.traffic]


def _template(mapping: str) -> str:
    """Return the template that a table's input column, or the mapping of calls, is; empty for none."""
    found = json.loads(mapping) if mapping.startswith("{") else {}
    column = str(found.get("input") or "")
    of_calls = str((_calls(mapping) or {}).get("template") or "")
    return of_calls or (column if "{" in column and "}" in column else "")


def _scrubs(mapping: str) -> bool:
    return bool((_calls(mapping) or {}).get("scrub"))


def _calls(mapping: str) -> dict[str, object] | None:
    """Return how calls become inputs, of a stored mapping."""
    found = json.loads(mapping).get("calls") if mapping.startswith("{") else None
    return found if isinstance(found, dict) else None


def _several_models(dossier: PlayDossier, request: ImportTraffic) -> Iterator[Objection]:
    """Answers of one model are the teacher's; of several, a person chooses which."""
    reports = [known(ImportReport, each.report) for each in dossier.traffic]
    before = Counter({name: rows for report in reports if report is not None for name, rows in report.models})
    found = before + Counter(dict(request.models))
    others = [name for name in before if request.answers_of and name != request.answers_of]
    if others:
        yield Objection(
            "traffic.models",
            f"The traffic so far is answered by {others[0]}, and “{request.name}” would add answers of "
            f"{request.answers_of}. Import it with --answers-of {others[0]}, or open a new play for the other teacher.",
        )
    if request.answers_of or len(found) < 2 or not request.models:
        return
    names = ", ".join(f"{name}: {rows:,} rows" for name, rows in found.most_common(5))
    yield Objection(
        "traffic.models",
        f"The answers come from {len(found)} models ({names}). Choose the teacher: --answers-of "
        f"{found.most_common(1)[0][0]}; the answers of others in “{request.name}” are then left out.",
    )


def not_frozen(dossier: PlayDossier) -> Iterator[Objection]:
    """The data set of this round is a draft, or not built yet."""
    if dossier.data_set is not None and dossier.data_set.frozen_at is not None:
        yield Objection("data.frozen", "The data set of this round is frozen; iterate to build another.")


def drop_traffic(dossier: PlayDossier, actor: Actor, request: DropTraffic | None) -> Iterator[Objection]:
    """The driver drops an imported file until the freeze; a draft that was built of it goes too."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from not_frozen(dossier)
    yield from idle(dossier, actor)
    yield from _some_traffic(dossier)
    yield from reasoned(request, "Dropping a file")
    mine = [each for each in dossier.traffic if each.round == dossier.play.round]
    if dossier.traffic and not mine:
        yield Objection("traffic.earlier", "All files belong to an earlier round, whose data set is frozen.")
    elif request is not None and request.file not in [place for place, _ in droppable(dossier)]:
        known = ", ".join(f"{place} {each.name}" for place, each in droppable(dossier))
        yield Objection("traffic.unknown", f"There is no file {request.file} to drop; the files are: {known}.")


def droppable(dossier: PlayDossier) -> list[tuple[int, entities.Traffic]]:
    """Return the files of this round with their numbers, as `import drop` takes them."""
    return [(place, each) for place, each in enumerate(dossier.traffic, 1) if each.round == dossier.play.round]


def set_teacher(dossier: PlayDossier, actor: Actor, request: SetTeacher | None) -> Iterator[Objection]:
    """The driver chooses the teacher before the freeze; a teacher that the lock names stays.

    A model on this machine is tried on a few rows first, by a worker.
    """
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from _of_worker(dossier, actor, request)
    facts = locked_facts(dossier)
    locked = facts.teacher if facts is not None else None
    named = (request.source, request.digest) if request is not None and request.digest is not None else None
    if named and locked is not None and named != (locked.source, locked.digest):
        yield Objection(
            "gate.teacher",
            f"The gate was locked with the teacher “{locked.name}”. To use another teacher, open a new play.",
        )
    yield from _fitting(dossier, request)
    yield from request.faults if request is not None else ()
    if request is not None and request.source == TeacherSource.RECORDED:
        yield from _recorded(dossier)
    yield from not_frozen(dossier)
    yield from idle(dossier, actor)


def _recorded(dossier: PlayDossier) -> Iterator[Objection]:
    """The traffic has the outputs of a teacher that is recorded."""
    if dossier.traffic and not recorded_outputs(dossier):
        rows = sum(traffic.rows for traffic in dossier.traffic)
        yield Objection(
            "teacher.not_recorded",
            f"None of the {rows:,} imported rows has an output of a teacher. Import them with --teacher-output COLUMN, "
            f"or choose a teacher that can be asked: `distill-tui teacher {dossier.code} FOLDER`.",
        )


def _fitting(dossier: PlayDossier, request: SetTeacher | None) -> Iterator[Objection]:
    """The teacher chooses among labels or writes its answers, whichever the play's task needs."""
    scale = labels.scale_of(dossier.play)
    if request is not None and scale is not None and scale.ranged and request.source is not TeacherSource.RECORDED:
        yield Objection(
            "teacher.range",
            f"The answers of {dossier.code} are numbers of {scale.text}, and a model is not asked for those: have it "
            "write them to the traffic, and take --recorded.",
        )
        return
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
    yield from not_frozen(dossier)
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
    given = " ".join(f"--{name.replace('_', '-')} {limits[name]}" for name in PAID if name in limits)
    yield Objection(
        "teacher.untried",
        f"{dossier.play.teacher_name} is a paid teacher and this prompt is untested. Label a few rows first (the "
        f"answers are cached): `distill-tui {request.command} {dossier.code} --estimate {given}`.",
    )


def _budget(dossier: PlayDossier, request: Label) -> Iterator[Objection]:
    """A run on an endpoint has a budget and prices."""
    if dossier.play.teacher_source is not TeacherSource.ENDPOINT or request.limits is None:
        return
    missing = [f"--{name.replace('_', '-')}" for name in PAID if name not in request.limits]
    if missing:
        yield Objection(
            "teacher.budget",
            f"{dossier.play.teacher_name} is a paid endpoint: set {', '.join(missing)} (prices per million tokens, "
            f"0 if free). To label a few rows first: `distill-tui {request.command} {dossier.code} --estimate "
            "--budget 1 --price-in 0.5 --price-out 1.5`.",
        )


def labelled(dossier: PlayDossier) -> bool:
    """Return whether the teacher has answered all the traffic."""
    play = dossier.play
    if not play.teacher_source:
        return False
    if play.teacher_source is TeacherSource.RECORDED:
        return recorded_outputs(dossier)
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
    yield from not_frozen(dossier)
    yield from gate_untouched(dossier)
    if dossier.play.teacher_source is TeacherSource.RECORDED:
        yield from _recorded(dossier)
    elif dossier.play.teacher_source and not labelled(dossier):
        yield Objection(
            "teacher.unasked",
            f"The teacher has not labelled all the traffic: `distill-tui label {dossier.code}`.",
        )
    yield from labels.matched(dossier)
    yield from idle(dossier, actor)


def counts(dossier: PlayDossier) -> DataCounts | None:
    """Return the counts of this round's data set; None without one that can be read."""
    return known(DataCounts, dossier.data_set.counts) if dossier.data_set is not None else None


def sources(dossier: PlayDossier) -> tuple[str, ...]:
    """Return what a data set is built of now: the files of traffic, and the teacher."""
    play = dossier.play
    return (*(each.artifact for each in dossier.traffic), f"{play.teacher_source} {play.teacher_digest}")


def outdated(dossier: PlayDossier) -> Iterator[Objection]:
    """A draft holds what is there now: all the traffic, this teacher's answers, read by this label map."""
    counted = counts(dossier)
    if counted is not None and counted.built_of and counted.built_of != sources(dossier):
        other = "Traffic was imported or dropped"
        if counted.built_of[-1] != sources(dossier)[-1]:
            other = "Another teacher was chosen"
        yield Objection(
            "data.outdated", f"{other} after the build; build again: `distill-tui data build {dossier.code}`."
        )
    yield from labels.draft_map_moved(dossier)


def findings(dossier: PlayDossier) -> list[Finding]:
    """Return the findings on this round's data set by what they cost the verdict, with the reasons of acceptance."""
    counted = counts(dossier)
    if dossier.data_set is None or counted is None:
        return []
    reasons = {(a.finding, a.says): a.reason for a in dossier.accepted if a.round == dossier.data_set.round}
    return by_cost([replace(each, accepted=reasons.get((each.id, each.says), "")) for each in counted.findings])


def open_findings(dossier: PlayDossier) -> list[Finding]:
    return [each for each in findings(dossier) if not each.accepted]


def accept_findings(dossier: PlayDossier, actor: Actor, request: AcceptFindings | None) -> Iterator[Objection]:
    """The driver accepts open findings, with a reason."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from not_frozen(dossier)
    still = open_findings(dossier)
    if not still:
        yield Objection("finding.none", f"{dossier.code} has no open findings; `data show` lists all.")
    for name in request.findings if request is not None else ():
        if still and not by_name(still, [name]):
            known = [each.name for each in folded(still)]
            more = f" and {len(known) - 12:,} more" if len(known) > 12 else ""
            yield Objection("finding.unknown", f"Unknown finding “{name}”; open: {', '.join(known[:12])}{more}.")
    if request is not None and still and not request.findings and not by_name(still, ()):
        ids = " ".join(each.id for each in still)
        yield Objection(
            "finding.named",
            f"What is open must be accepted by its ID: `distill-tui data accept {dossier.code} {ids} -m WHY`.",
        )
    yield from reasoned(request, "Accepting a finding")


def drop_row(dossier: PlayDossier, actor: Actor, request: DropRow | None) -> Iterator[Objection]:
    """The driver leaves an open row of the draft out of the data sets, with a reason; held-out rows stay sealed."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from not_frozen(dossier)
    if dossier.data_set is None:
        yield _no_data(dossier)
    if request is not None and not request.open:
        yield Objection(
            "row.sealed",
            f"Row {request.row} is not an open row of this draft that is still in it: `rows` lists those. Held-out "
            "rows are sealed and cannot be dropped.",
        )
    yield from reasoned(request, "Dropping a row")


def _no_data(dossier: PlayDossier) -> Objection:
    return Objection("data.none", f"There is no data set yet: `distill-tui data build {dossier.code}`.")


def _dropped(dossier: PlayDossier, counted: DataCounts | None) -> Iterator[Objection]:
    """The draft was built without exactly the rows that are dropped now."""
    differ = {each.input_digest for each in dossier.dropped} ^ set(counted.dropped if counted is not None else ())
    if differ:
        were = "row was" if len(differ) == 1 else "rows were"
        yield Objection(
            "data.dropped",
            f"{len(differ):,} {were} dropped or put back since this draft was built: `distill-tui data build "
            f"{dossier.code}` builds it again.",
        )


def freeze_data(dossier: PlayDossier, actor: Actor, request: FreezeData | None) -> Iterator[Objection]:
    """The driver freezes a data set with enough held-out rows, no leak and no open `must` finding."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from _of_worker(dossier, actor, request)
    yield from idle(dossier, actor, OF_DATA)
    yield from not_frozen(dossier)
    if dossier.data_set is None or dossier.gate is None:
        yield _no_data(dossier)
        return
    counted = counts(dossier)
    yield from _dropped(dossier, counted)
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
    yield from labels.enough(_trained_labels(dossier, counted), dossier)
    yield from outdated(dossier)
    yield from freezable(dossier)
    for leak in request.leaks if request is not None else ():
        yield Objection("data.leak", leak)
    for each in open_findings(dossier):
        if each.level is FindingLevel.MUST:
            accept = f"`distill-tui data accept {dossier.code} {each.id} -m WHY`"
            yield Objection("data.finding", f"{each.says} Fix the data, or accept the finding: {accept}.")


def _trained_labels(dossier: PlayDossier, counted: DataCounts | None) -> tuple[str, ...]:
    """Return the labels that a student could learn: those of the training rows, or where they were not counted, all."""
    if counted is not None and counted.usable:
        return counted.trained
    assert dossier.data_set is not None
    return tuple(read_list(dossier.data_set.labels))


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
    **labels.RULES,
    Action.IMPORT_TRAFFIC: import_traffic,
    Action.DROP_TRAFFIC: drop_traffic,
    Action.SET_TEACHER: set_teacher,
    Action.LABEL: label,
    Action.QUEUE_RUN: queue_run,
    Action.BUILD_DATA: build_data,
    Action.ACCEPT_FINDINGS: accept_findings,
    Action.DROP_ROW: drop_row,
    Action.FREEZE_DATA: freeze_data,
    Action.OPEN_ROW: open_row,
}
