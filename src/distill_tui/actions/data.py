"""Actions of the stage `data`, and opening a held-out row."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_tui.actions.runs import Start, queue
from distill_tui.dataset import readers
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.data import open_findings
from distill_tui.rules.requests import AcceptFindings, ConfirmTerms, OpenRow, QueueRun, SetTeacher
from distill_tui.rules.training import OF_DATA
from distill_tui.store import tables
from distill_tui.store.project import Change, Project, ProjectError
from distill_tui.terms import Action, RunKind, Split, TeacherSource
from distill_tui.training.folders import check_causal_folder, check_model_folder

if TYPE_CHECKING:
    from distill_tui.teachers.description import Described


def import_traffic(
    project: Project,
    play_id: int,
    actor: Actor,
    path: Path,
    mapping: readers.ColumnMapping | None = None,
    *,
    most_rejects: float = 0.05,
    variations: Mapping[str, Any] | None = None,
    moves: bool = False,
    start: Start | None = None,
) -> int:
    """Queue the import of a traffic file; return the run's number.

    The worker rejects the file if the share of unusable rows is above `most_rejects`. `variations` describes rows that
    a teacher wrote; none may be too close to a held-out row. With `moves` the file is moved into the run's folder.
    """

    project.ask_first(Action.IMPORT_TRAFFIC, play_id, actor)
    spec = {"mapping": dataclasses.asdict(mapping or readers.guess_mapping(path)), "most_rejects": most_rejects}
    spec |= {"variations": dict(variations)} if variations is not None else {}

    def source(run_id: int) -> str:
        folder = project.artifacts.run_folder(run_id) if moves else path.absolute().parent
        if moves:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(path, folder / path.name)
        return json.dumps(spec | {"source": str(folder / path.name)})

    return _queue_data(project, play_id, actor, RunKind.IMPORT, source, start=start)


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


def set_teacher(
    project: Project, play_id: int, actor: Actor, folder: Path | None, described: Described | None = None
) -> None:
    """Choose the teacher: recorded outputs (neither given), a model folder, which is copied in, or a description.

    A description names an endpoint, or has the prompt for the model in `folder`.
    """
    source = described.source if described else TeacherSource.RECORDED if folder is None else TeacherSource.LOCAL
    recorded = source is TeacherSource.RECORDED
    request = SetTeacher(source, None if recorded else described is None or bool(described.labels))
    project.ask_first(Action.SET_TEACHER, play_id, actor, request)
    name, digest = "recorded outputs", ""
    if folder is not None:
        name, digest = folder.resolve().name, _teacher_folder(project, folder, described)
    if described is not None:
        described = dataclasses.replace(described, model=digest or described.model)
        if described.problem():
            raise ProjectError(str(described.problem()))
        name = name if folder is not None else described.model
        digest = project.artifacts.store_bytes(described.to_json().encode())
    with project.change(Action.SET_TEACHER, play_id, actor, dataclasses.replace(request, digest=digest)) as change:
        play = change.play
        play.teacher_source, play.teacher_name, play.teacher_digest = source, name, digest
        change.session.add(play)
        change.detail |= {"source": source, "name": name, "teacher": digest}


def _teacher_folder(project: Project, folder: Path, described: Described | None) -> str:
    """Check a model folder, copy it in, and return its digest."""

    causal = described is not None and described.source is TeacherSource.PROMPTED
    trouble = check_causal_folder(folder) if causal else check_model_folder(folder)
    if trouble:
        raise ProjectError(trouble)
    return project.artifacts.store_copy(folder, ignore=lambda name: name.startswith("."))


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
    """Accept the open findings with these IDs, or all; return the IDs accepted."""
    with project.change(Action.ACCEPT_FINDINGS, play_id, actor, AcceptFindings(names, reason)) as change:
        chosen = [each for each in open_findings(change.dossier) if not names or each.id in names]
        for each in chosen:
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
        change.detail |= {"accepted": {each.id: each.says for each in chosen}, "reason": reason}
        return [each.id for each in chosen]


def freeze_data(project: Project, play_id: int, actor: Actor, *, start: Start | None = None) -> int:
    """Queue the leak check and freeze of the data set; return the run's number."""
    seen = project.ask_first(Action.FREEZE_DATA, play_id, actor)
    assert seen.data_set is not None
    return _queue_data(project, play_id, actor, RunKind.FREEZE, data=seen.data_set.id, start=start)


def open_row(project: Project, play_id: int, actor: Actor, row: int, *, burn: bool = False) -> dict[str, Any]:
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
