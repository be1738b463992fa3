"""Actions that start, stop and resume runs. A run is queued in the project file, then its worker is started."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from distill_tui import tasks
from distill_tui.dataset import opening
from distill_tui.digests import canonical
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.requests import ForRun, Label, Repeat, Request, StartRun
from distill_tui.rules.results import RepeatSpec, VariationsSpec, encode
from distill_tui.rules.training import resumable, suits, trained
from distill_tui.runs.executors import local, place
from distill_tui.runs.executors.place import HERE, Place
from distill_tui.spec import Spec
from distill_tui.store import tables
from distill_tui.store.project import Change, Project, ProjectError
from distill_tui.teachers import cache
from distill_tui.teachers.folder import local_teacher
from distill_tui.teachers.limits import Limits
from distill_tui.terms import Action, RunKind, RunStatus, TeacherSource
from distill_tui.training import starts
from distill_tui.training.folders import check_encoder_folder

DIGEST = "sha256:"  # begins the name of a model that is stored already
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
    where: Place = HERE,
) -> int:
    """Queue a run and start its worker; return the run's number. `begin` edits more rows in the same transaction."""
    if problem := where.problem(kind):
        raise ProjectError(problem)
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
        change.detail |= {"run": run.id, "kind": kind.value, "spec": run.spec, "on": where.on.value}
    assert run.id is not None
    _placed(project, run.id, where)
    (start or local.start)(project, run.id)
    return run.id


def _placed(project: Project, run_id: int, where: Place) -> None:
    if where != HERE:
        place.write(project.artifacts.run_folder(run_id), where)


def label(project: Project, play_id: int, actor: Actor, limits: Mapping[str, str] = {}, where: Place = HERE) -> int:
    """Queue labelling by the teacher; return the run's number. `limits` has an endpoint's limits, prices and budget."""
    given = {name: value for name, value in limits.items() if value is not None}
    Limits.read(given)
    seen = project.dossier(play_id)
    tried = bool(cache.answered(project.artifacts.folder, seen.play.teacher_digest))
    request = Label(given, tried)
    spec = canonical(_in_currency(given, seen)).decode()
    return queue(project, play_id, actor, Action.LABEL, RunKind.LABEL, request, spec=spec, where=where)


def _in_currency(limits: Mapping[str, str], dossier: PlayDossier) -> dict[str, str]:
    """Add what the worker calls the money by, where there is any."""
    return {**limits, "currency": dossier.project.currency} if "budget" in limits else dict(limits)


def label_results(
    project: Project,
    play_id: int,
    actor: Actor,
    source: opening.Source,
    prices: Mapping[str, str],
    *,
    start: Start | None = None,
) -> int:
    """Queue that the results of a batch are taken into the teacher's cache; return the run's number.

    `prices` are the list prices of a million tokens, `price_in` and `price_out`.
    """
    paths = opening.paths_of(source)
    Limits.read(prices)
    missing = [name for name in ("price_in", "price_out") if name not in prices]
    if missing:
        raise ProjectError(f"Set --{' and --'.join(missing).replace('_', '-')}, the list prices; 0 if free.")
    if project.dossier(play_id).play.teacher_source is not TeacherSource.ENDPOINT:
        raise ProjectError("Results of a batch are of an endpoint; the teacher of this play is another.")
    spec = canonical({**prices, "results": [str(path.absolute()) for path in paths]}).decode()
    return queue(project, play_id, actor, Action.LABEL, RunKind.LABEL, Label(), spec=spec, start=start)


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
    teacher = seen.play.teacher_digest
    about = VariationsSpec(writer=writer, teacher=teacher, each=each, rows=rows, numbers=(*numbers,))
    request = dataclasses.replace(request, tried=bool(cache.answered(project.artifacts.folder, writer)))
    words = canonical(_in_currency(given, seen) | {"vary": json.loads(encode(about))}).decode()
    return queue(project, play_id, actor, Action.LABEL, RunKind.LABEL, request, spec=words)


def fitting(project: Project, play_id: int, named: Mapping[str, object]) -> tuple[Spec, bool]:
    """Complete a spec by what the play's data set has; also whether it was set to hard labels only. Raises ValueError.

    Where no row has the teacher's probabilities, the student learns from hard labels only unless `named` weights soft
    ones; there is no control arm then, because the arm on hard labels would be the student itself.
    """
    from distill_tui.dataset import frozen

    dossier = project.dossier(play_id)
    data, has_labels = dossier.data_set, tasks.of(dossier.play.task).has_labels
    path = project.artifacts.path(data.artifact) if data is not None else None
    open_ = has_labels and not named.keys() & {"alpha", "logit_mse"} and path is not None and path.exists()
    hard = open_ and path is not None and not frozen.soft_rows(path)
    fitted = {"student": suits(dossier)} | ({"controls": "", **named, "alpha": 0} if hard else dict(named))
    return Spec.from_mapping(fitted), hard


def start_run(project: Project, play_id: int, actor: Actor, spec: Spec, where: Place = HERE) -> int:
    """Queue a training run; return its number. A model folder to start from is copied in.

    Raises ProjectError where its files, or those of a local teacher, show that the worker could not train the student.
    """
    from distill_tui.dataset import frozen

    seen = project.ask_first(Action.START_RUN, play_id, actor, StartRun(spec))
    assert seen.data_set is not None
    path = project.artifacts.path(seen.data_set.artifact)
    request = StartRun(spec, frozen.soft_rows(path) if spec.soft_terms and path.exists() else None)
    start = _checked(project, spec.folder) if spec.folder else None
    teacher, _ = local_teacher(project.artifacts, seen.play)
    labels = json.loads(seen.data_set.labels)
    if (teacher is None or teacher.is_dir()) and (trouble := starts.problem(spec, start, teacher, labels)):
        raise ProjectError(trouble)
    if start is not None:
        spec = dataclasses.replace(spec, folder=_kept(project, spec.folder))
    data, kind = seen.data_set.id, RunKind.TRAIN
    return queue(
        project, play_id, actor, Action.START_RUN, kind, request, spec=spec.to_json(), data_set_id=data, where=where
    )


def _checked(project: Project, folder: str) -> Path:
    """Return where a stored model, or a model folder, is. Raises ProjectError where it is not sound."""
    stored = folder.startswith(DIGEST)
    trouble = project.artifacts.trouble(folder) if stored else check_encoder_folder(Path(folder))
    if trouble:
        raise ProjectError(trouble)
    return project.artifacts.path(folder) if stored else Path(folder)


def _kept(project: Project, folder: str) -> str:
    """Return the digest of a stored model, or copy its folder in."""
    if folder.startswith(DIGEST):
        return folder
    return project.artifacts.store_copy(Path(folder), ignore=lambda name: name.startswith("."))


def stop_run(project: Project, play_id: int, actor: Actor, run_id: int) -> None:
    """Request that a run stop; its worker keeps a checkpoint."""
    with project.change(Action.STOP_RUN, play_id, actor, ForRun(run_id)) as change:
        run = change.session.get(tables.Run, run_id)
        assert run is not None
        run.stop_requested = 1
        change.session.add(run)
        change.detail["run"] = run_id


def resume_run(
    project: Project, play_id: int, actor: Actor, run_id: int | None = None, where: Place | None = None
) -> int:
    """Resume a run that ended early from its last checkpoint; `where` moves it to another executor."""
    if run_id is None:
        run = resumable(project.dossier(play_id))
        run_id = run.id if run else None
    request = ForRun(run_id) if run_id is not None else None
    with project.change(Action.RESUME_RUN, play_id, actor, request) as change:
        row = change.session.get(tables.Run, run_id)
        assert row is not None and run_id is not None
        row.status, row.stop_requested, row.token, row.ended_at, row.error = RunStatus.QUEUED, 0, None, None, None
        row.heartbeat_at, row.message = change.at, ""
        change.session.add(row)
        if where is not None and (problem := where.problem(row.kind)):
            raise ProjectError(problem)
        change.detail |= {"run": run_id} | ({"on": where.on.value} if where is not None else {})
    if where is not None:
        place.write(project.artifacts.run_folder(run_id), where)
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


def repeat(project: Project, play_id: int, actor: Actor, seeds: int) -> int:
    """Queue further trainings of the evaluated student, each with another seed; return the run's number."""
    spec = encode(RepeatSpec(seeds=seeds))
    return _again(project, play_id, actor, Action.REPEAT, RunKind.REPEAT, Repeat(seeds), spec)


def _again(
    project: Project,
    play_id: int,
    actor: Actor,
    action: Action,
    kind: RunKind,
    request: Request | None = None,
    spec: str = "{}",
) -> int:
    """Queue a run on the student and data of this round's evaluation."""
    seen = project.dossier(play_id)
    student = seen.evaluation.run_id if seen.evaluation else None
    data = seen.data_set.id if seen.data_set else None
    return queue(project, play_id, actor, action, kind, request, spec=spec, student_run=student, data_set_id=data)
