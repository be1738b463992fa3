"""Actions that start, stop and resume runs. A run is queued in the project file, then its worker is started."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from distill_tui.digests import canonical
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.requests import ForRun, Label, Request, StartRun
from distill_tui.rules.training import resumable, trained
from distill_tui.runs.executors import local
from distill_tui.spec import Spec
from distill_tui.store import tables
from distill_tui.store.project import Change, Project, ProjectError
from distill_tui.teachers import cache
from distill_tui.teachers.limits import Limits
from distill_tui.terms import Action, RunKind, RunStatus
from distill_tui.training.folders import check_encoder_folder

Start = Callable[[Project, int], None]  # starts a queued run; by default in a worker on this machine


def queue(
    project: Project,
    play_id: int,
    actor: Actor,
    action: Action,
    kind: RunKind,
    request: Request | None = None,
    *,
    spec: str = "{}",
    student_run: int | None = None,
    data_set_id: int | None = None,
    begin: Callable[[Change, entities.Run], None] | None = None,
    start: Start | None = None,
) -> int:
    """Queue a run and start its worker; return the run's number. `begin` edits more rows in the same transaction."""
    with project.change(action, play_id, actor, request) as change:
        run = tables.Run(
            play_id=play_id,
            round=change.play.round,
            kind=kind,
            status=RunStatus.QUEUED,
            spec=spec,
            student_run=student_run,
            data_set_id=data_set_id,
            started_by=change.person,
            created_at=change.at,
        )
        change.session.add(run)
        change.session.flush()
        if begin is not None:
            begin(change, run)
        change.detail |= {"run": run.id, "kind": kind.value, "spec": run.spec}
    assert run.id is not None
    (start or local.start)(project, run.id)
    return run.id


def label(project: Project, play_id: int, actor: Actor, limits: Mapping[str, str] = {}) -> int:
    """Queue labelling by the teacher; return the run's number. `limits` has an endpoint's limits, prices and budget."""
    given = {name: value for name, value in limits.items() if value is not None}
    Limits.read(given)
    play = project.dossier(play_id).play
    tried = bool(cache.answered(project.artifacts.folder, play.teacher_digest))
    request = Label(given, tried)
    return queue(project, play_id, actor, Action.LABEL, RunKind.LABEL, request, spec=canonical(given).decode())


def vary(
    project: Project,
    play_id: int,
    actor: Actor,
    each: int,
    rows: int,
    numbers: Sequence[int] = (),
    limits: Mapping[str, str] = {},
) -> int:
    """Queue variations, `each` per row, by the teacher; return the run's number.

    The rows are those of `numbers`, or at most `rows` on which the last student fails.
    """
    from distill_tui.rounds import variations

    given = {name: value for name, value in limits.items() if value is not None}
    Limits.read(given)
    seen = project.ask_first(Action.LABEL, play_id, actor, Label(given, vary=True))
    request = Label(given, vary=True, sealed=variations.sealed(project, seen, numbers))
    project.ask_first(Action.LABEL, play_id, actor, request)
    described = variations.writer(project.artifacts, seen.play, each)
    variations.sources(project, seen, rows, numbers)  # raises now what the worker would fail with
    writer = project.artifacts.store_bytes(described.to_json().encode())
    about = {"writer": writer, "teacher": seen.play.teacher_digest, "each": each, "rows": rows, "numbers": [*numbers]}
    request = dataclasses.replace(request, tried=bool(cache.answered(project.artifacts.folder, writer)))
    words = canonical(given | {"vary": about}).decode()
    return queue(project, play_id, actor, Action.LABEL, RunKind.LABEL, request, spec=words)


def start_run(project: Project, play_id: int, actor: Actor, spec: Spec) -> int:
    """Queue a training run; return its number. A model folder to start from is copied in."""
    from distill_tui.dataset import frozen

    seen = project.ask_first(Action.START_RUN, play_id, actor, StartRun(spec))
    assert seen.data_set is not None
    path = project.artifacts.path(seen.data_set.artifact)
    request = StartRun(spec, frozen.soft_rows(path) if spec.soft_terms and path.exists() else None)
    if spec.folder:
        spec = dataclasses.replace(spec, folder=_model(project, spec.folder))
    data, kind = seen.data_set.id, RunKind.TRAIN
    return queue(project, play_id, actor, Action.START_RUN, kind, request, spec=spec.to_json(), data_set_id=data)


def _model(project: Project, folder: str) -> str:
    """Return the digest of a stored model, or copy its folder in."""
    if folder.startswith("sha256:"):
        trouble = project.artifacts.trouble(folder)
        if trouble:
            raise ProjectError(trouble)
        return folder
    trouble = check_encoder_folder(Path(folder))
    if trouble:
        raise ProjectError(trouble)
    return project.artifacts.store_copy(Path(folder), ignore=lambda name: name.startswith("."))


def stop_run(project: Project, play_id: int, actor: Actor, run_id: int) -> None:
    """Request that a run stop; its worker keeps a checkpoint."""
    with project.change(Action.STOP_RUN, play_id, actor, ForRun(run_id)) as change:
        run = change.session.get(tables.Run, run_id)
        assert run is not None
        run.stop_requested = 1
        change.session.add(run)
        change.detail["run"] = run_id


def resume_run(project: Project, play_id: int, actor: Actor, run_id: int | None = None) -> int:
    """Resume a run that ended early from its last checkpoint."""
    if run_id is None:
        run = resumable(project.dossier(play_id))
        run_id = run.id if run else None
    request = ForRun(run_id) if run_id is not None else None
    with project.change(Action.RESUME_RUN, play_id, actor, request) as change:
        row = change.session.get(tables.Run, run_id)
        assert row is not None and run_id is not None
        row.status, row.stop_requested, row.token, row.ended_at, row.error = RunStatus.QUEUED, 0, None, None, None
        row.heartbeat_at = change.at
        change.session.add(row)
        change.detail["run"] = run_id
    local.start(project, run_id)
    return run_id


def evaluate(project: Project, play_id: int, actor: Actor, run_id: int | None = None) -> int:
    """Queue this round's one look at the held-out split, for one student (by default the best on validation)."""
    seen = project.dossier(play_id)
    if run_id is None and trained(seen):
        run_id = trained(seen)[0].id
    request = ForRun(run_id) if run_id is not None else None
    data, kind = seen.data_set.id if seen.data_set else None, RunKind.EVALUATE
    return queue(project, play_id, actor, Action.EVALUATE, kind, request, student_run=run_id, data_set_id=data)


def reproduce(project: Project, play_id: int, actor: Actor) -> int:
    """Queue the evaluation again, as the validator; return the run's number."""
    return _again(project, play_id, actor, Action.REPRODUCE, RunKind.REPRODUCE)


def rehearse(project: Project, play_id: int, actor: Actor) -> int:
    """Queue the recipe of the evaluated student again; return the run's number."""
    return _again(project, play_id, actor, Action.REHEARSE, RunKind.REHEARSE)


def _again(project: Project, play_id: int, actor: Actor, action: Action, kind: RunKind) -> int:
    """Queue a run on the student and data of this round's evaluation."""
    seen = project.dossier(play_id)
    student = seen.evaluation.run_id if seen.evaluation else None
    data = seen.data_set.id if seen.data_set else None
    return queue(project, play_id, actor, action, kind, student_run=student, data_set_id=data)
