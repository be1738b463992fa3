"""Actions of the stage `data`, and opening a held-out row."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui import tasks
from distill_tui.actions.runs import Start, queue
from distill_tui.dataset import opening, readers
from distill_tui.dataset.traces.call_mapping import CallMapping
from distill_tui.rounds import call_mappings
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.data import open_findings
from distill_tui.rules.findings import by_name
from distill_tui.rules.labels import scale_text, settled
from distill_tui.rules.requests import (
    AcceptFindings,
    ConfirmTerms,
    DropTraffic,
    MapLabels,
    OpenRow,
    QueueRun,
    SetTeacher,
)
from distill_tui.rules.training import OF_DATA
from distill_tui.store import tables
from distill_tui.store.project import Change, Project, ProjectError
from distill_tui.teachers.choice import choose
from distill_tui.terms import Action, RunKind, Split, TeacherSource
from distill_tui.training.folders import READING, check_answers, check_causal_folder, check_model_folder

if TYPE_CHECKING:
    from distill_tui.teachers.description import Described


def import_traffic(
    project: Project,
    play_id: int,
    actor: Actor,
    source: opening.Source,
    mapping: readers.ColumnMapping | None = None,
    *,
    calls: CallMapping | None = None,
    answers_of: str = "",
    scrub: bool = False,
    most_rejects: float = 0.05,
    variations: Mapping[str, object] | None = None,
    moves: bool = False,
    start: Start | None = None,
) -> int:
    """Queue the import of traffic: a file, several, a folder or a glob; return the run's number.

    `calls` makes inputs and answers of logged calls; by default as the play's traffic so far, or as proposed. The
    worker rejects the source if the share of unusable rows is above `most_rejects`. With `scrub` personal data that the
    screen finds is replaced by placeholders. `variations` describes rows that a
    teacher wrote; none may be too close to a held-out row. With `moves` a file is moved into the run's folder.
    """
    seen = project.ask_first(Action.IMPORT_TRAFFIC, play_id, actor)
    paths = opening.paths_of(source)
    columns = mapping or readers.guess_mapping(source, call_mappings.template_of(seen))
    how = (calls or call_mappings.calls_of(seen, source, columns.teacher_output)) if variations is None else None
    how = replace(how or CallMapping(), scrub=True) if scrub else how
    several, scale = tasks.of(seen.play.task).several, scale_text(seen.play)
    columns = readers.with_answers(columns, source, several=several, scale=scale)
    spec: dict[str, object] = {
        "mapping": asdict(columns),
        "most_rejects": most_rejects,
        "name": opening.source_name(source),
    }
    spec |= {"calls": how.to_json()} if how is not None else {}
    spec |= {"answers_of": answers_of} if answers_of else {}
    spec |= {"variations": dict(variations)} if variations is not None else {}

    def about(run_id: int) -> str:
        if not moves:
            return json.dumps(spec | {"sources": [str(path.absolute()) for path in paths]})
        folder = project.artifacts.run_folder(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        for path in paths:
            shutil.move(path, folder / path.name)
        return json.dumps(spec | {"sources": [str(folder / path.name) for path in paths]})

    return _queue_data(project, play_id, actor, RunKind.IMPORT, about, start=start)


def drop_traffic(project: Project, play_id: int, actor: Actor, file: int, reason: str) -> str:
    """Drop an imported file of this round, and a draft that was built of it; return the file's name."""
    with project.change(Action.DROP_TRAFFIC, play_id, actor, DropTraffic(file, reason)) as change:
        dropped = change.dossier.traffic[file - 1]
        row = change.session.get(tables.Traffic, dropped.id)
        assert row is not None
        change.session.delete(row)
        draft = change.dossier.data_set
        if draft is not None:
            for each in change.dossier.runs:
                if each.data_set_id == draft.id:  # a freeze that was rejected
                    run = change.session.get(tables.Run, each.id)
                    assert run is not None
                    run.data_set_id = None
            change.session.flush()
            change.session.delete(change.session.get(tables.DataSet, draft.id))
        about = {"name": dropped.name, "rows": dropped.rows, "traffic": dropped.artifact, "reason": reason.strip()}
        change.detail |= about | ({"draft": draft.artifact} if draft is not None else {})
        return dropped.name


def _queue_data(
    project: Project,
    play_id: int,
    actor: Actor,
    kind: RunKind,
    spec: Callable[[int], str] | None = None,
    *,
    data: int | None = None,
    start: Start | None = None,
) -> int:
    """Queue a run that changes the round's data; the worker records the change as the person's own action."""

    def begin(change: Change, run: entities.Run) -> None:
        if spec is not None:
            run.spec = spec(run.id or 0)

    request = QueueRun(OF_DATA[kind])
    return queue(project, play_id, actor, Action.QUEUE_RUN, kind, request, data_set_id=data, begin=begin, start=start)


def set_teacher(project: Project, play_id: int, actor: Actor, described: Described | None = None) -> None:
    """Choose a teacher that is not a model on this machine: recorded outputs, or a described endpoint.

    A description names the endpoint, or the labels of recorded outputs.
    """
    described = _asked_for(project, play_id, described)
    source = described.source if described else TeacherSource.RECORDED
    request = SetTeacher(source, None if described is None else bool(described.labels))
    project.ask_first(Action.SET_TEACHER, play_id, actor, request)
    name, digest = "recorded outputs", ""
    if described is not None:
        _possible(described)
        name, digest = described.model, project.artifacts.store_bytes(described.to_json().encode())
    with project.change(Action.SET_TEACHER, play_id, actor, replace(request, digest=digest)) as change:
        play = change.play
        change.detail |= choose(play, source, name, digest, described.labels if described is not None else ())
        change.session.add(play)


def map_labels(project: Project, play_id: int, actor: Actor, names: Mapping[str, str | None]) -> None:
    """Confirm which label each name stands for, over what was confirmed before; None for no label."""
    request = MapLabels({name: label and label.strip() for name, label in names.items()})
    with project.change(Action.MAP_LABELS, play_id, actor, request) as change:
        names = settled(change.dossier, request)
        change.play.label_map = json.dumps(names, ensure_ascii=False, sort_keys=True)
        change.session.add(change.play)
        change.detail |= {"names": names}


def try_teacher(
    project: Project,
    play_id: int,
    actor: Actor,
    folder: Path,
    described: Described | None = None,
    *,
    max_tokens: int | None = None,
    windows: bool = False,
    start: Start | None = None,
) -> int:
    """Copy in a model folder and queue its trial; it becomes the teacher if it passes. Return the run's number.

    A description has the prompt for the model; without one it is a classifier, which reads `max_tokens` at once, or as
    many as it can. With `windows` it reads longer texts in parts.
    """
    described = _asked_for(project, play_id, described)
    source = described.source if described else TeacherSource.LOCAL
    request = SetTeacher(source, described is None or bool(described.labels))
    project.ask_first(Action.SET_TEACHER, play_id, actor, request)
    causal = source is TeacherSource.PROMPTED
    trouble = check_causal_folder(folder) if causal else check_model_folder(folder)
    if not trouble and described is None:
        trouble = check_answers(folder, sets=tasks.of(project.dossier(play_id).play.task).several)
    if trouble:
        raise ProjectError(trouble)
    asked = {"max_tokens": max_tokens} if max_tokens else {}
    asked |= {"windows": True} if windows else {}
    lowered = {READING: json.dumps(asked)} if asked and described is None else {}
    digest = project.artifacts.store_copy(folder, lambda name: name.startswith("."), lowered)
    if described is not None:
        described = replace(described, model=digest)
        _possible(described)
        digest = project.artifacts.store_bytes(described.to_json().encode())
    spec = {"source": source.value, "name": folder.resolve().name, "teacher": digest}
    return _queue_data(project, play_id, actor, RunKind.TEACHER, lambda _: json.dumps(spec), start=start)


def _asked_for(project: Project, play_id: int, described: Described | None) -> Described | None:
    """Return the teacher as it is asked for the answers of the play's task."""
    several = tasks.of(project.dossier(play_id).play.task).several
    return described.for_sets() if described is not None and several else described


def _possible(described: Described) -> None:
    if problem := described.problem():
        raise ProjectError(problem)


def confirm_terms(
    project: Project, play_id: int, actor: Actor, provider: str, version: str, dated: str, permits: bool
) -> None:
    """Record whether the provider's terms permit training on outputs."""
    request = ConfirmTerms(provider.strip(), version.strip(), dated, permits)
    with project.change(Action.CONFIRM_TERMS, play_id, actor, request) as change:
        row = change.session.get(tables.ProviderTerms, play_id)
        before = "" if row is None else f"{row.provider} {row.version} {row.dated}, permits {bool(row.permits)}"
        columns = vars(request) | {"permits": int(permits), "checked_by": change.person, "checked_at": change.at}
        change.session.merge(tables.ProviderTerms(play_id=play_id, **columns))
        change.detail |= vars(request) | {"before": before}


def build_data(project: Project, play_id: int, actor: Actor, *, start: Start | None = None) -> int:
    """Queue the build of this round's draft data set; return the run's number."""
    project.ask_first(Action.BUILD_DATA, play_id, actor)
    return _queue_data(project, play_id, actor, RunKind.BUILD, start=start)


def accept_findings(project: Project, play_id: int, actor: Actor, names: Sequence[str], reason: str) -> list[str]:
    """Accept the open findings with these IDs, the notes of these kinds, or all notes; return the IDs accepted."""
    with project.change(Action.ACCEPT_FINDINGS, play_id, actor, AcceptFindings(names, reason)) as change:
        accepted = by_name(open_findings(change.dossier), names)
        for each in accepted:
            change.session.add(
                tables.AcceptedFinding(
                    play_id=play_id,
                    round=change.play.round,
                    finding=each.id,
                    says=each.says,
                    reason=reason.strip(),
                    person_id=change.person,
                    at=change.at,
                )
            )
        change.detail |= {"accepted": {each.id: each.says for each in accepted}, "reason": reason}
        return [each.id for each in accepted]


def freeze_data(project: Project, play_id: int, actor: Actor, *, start: Start | None = None) -> int:
    """Queue the leak check and freeze of the data set; return the run's number."""
    seen = project.ask_first(Action.FREEZE_DATA, play_id, actor)
    assert seen.data_set is not None
    return _queue_data(project, play_id, actor, RunKind.FREEZE, data=seen.data_set.id, start=start)


def open_row(project: Project, play_id: int, actor: Actor, row: int, *, burn: bool = False) -> dict[str, object]:
    """Open one held-out row and return it. A builder confirms with `burn`."""
    from distill_tui.dataset import frozen

    seen = project.ask_first(Action.OPEN_ROW, play_id, actor)
    assert seen.data_set is not None
    found = frozen.row_of(project.artifacts.path(seen.data_set.artifact), row)
    held_out = found is not None and found["split"] == Split.HELD_OUT
    with project.change(Action.OPEN_ROW, play_id, actor, OpenRow(row, held_out, burn)) as change:
        assert found is not None
        key = (play_id, found["input_digest"], change.person)
        if change.session.get(tables.OpenedRow, key) is None:
            opened = tables.OpenedRow(
                play_id=play_id,
                input_digest=found["input_digest"],
                person_id=change.person,
                round=change.play.round,
                at=change.at,
            )
            change.session.add(opened)
        change.detail |= {"row": row, "input_digest": key[1], "burnt": change.person in change.dossier.builders}
        return found


def take_variations(
    project: Project,
    play_id: int,
    actor: Actor,
    run_id: int | None = None,
    without: Sequence[int] = (),
    *,
    start: Start | None = None,
) -> int:
    """Queue the import of a run's variations, except those at places `without` (from 1); return the run's number."""
    from distill_tui.rounds import variations

    seen = project.ask_first(Action.IMPORT_TRAFFIC, play_id, actor)
    wait = variations.waiting(project, seen, run_id)
    strange = [place for place in without if not 1 <= place <= len(wait.written)]
    if strange:
        raise ProjectError(f"Variation {strange[0]} does not exist; run {wait.run} wrote {len(wait.written):,}.")
    chosen = [one for place, one in enumerate(wait.written, 1) if place not in without]
    if not chosen:
        raise ProjectError(f"No variation of run {wait.run} is left to import.")
    about = {"run": wait.run, "by": seen.play.teacher_name, "varied": sorted({one.like_digest for one in chosen})}
    with project.artifacts.scratch() as scratch:
        path = scratch / f"variations-of-run-{wait.run}.jsonl"
        path.write_text("".join(variations.rows(project, seen, chosen)), encoding="utf-8")
        return import_traffic(project, play_id, actor, path, variations=about, moves=True, start=start)
