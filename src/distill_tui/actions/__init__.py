"""The verbs: one function for each thing that a person does. Permission, stage and audit are the door's business.

Those of the validator are in `sign_offs`, and are verbs like the others.

What takes long (reading a file, building a data set, signing) is done before the door is opened, and the door asks
again. A verb that starts a run queues it through the door and then starts its worker.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlmodel import col, select

from distill_tui import gates
from distill_tui.actions import signed_decisions
from distill_tui.actions.sign_offs import hand_in as hand_in
from distill_tui.actions.sign_offs import sign_off as sign_off
from distill_tui.actions.sign_offs import spot_check as spot_check
from distill_tui.actions.sign_offs import withdraw as withdraw
from distill_tui.bundles.write import write_bundle
from distill_tui.digests import canonical, digest_of
from distill_tui.people import signatures
from distill_tui.rules import entities
from distill_tui.rules import who as who_rules
from distill_tui.rules.actor import Actor
from distill_tui.rules.data import open_findings
from distill_tui.rules.decide import counting_sign_off
from distill_tui.rules.gate import lock_facts
from distill_tui.rules.objection import Objection, Refused
from distill_tui.rules.requests import (
    AcceptFindings,
    AddAccount,
    AddKey,
    AssignRole,
    Comment,
    ConfirmTerms,
    EnrolPerson,
    FillWorksheet,
    ForRun,
    Label,
    LockGate,
    Observe,
    OpenPlay,
    OpenRow,
    QueueRun,
    Request,
    RevokeKey,
    RollBack,
    SetAssurance,
    SetMaintenance,
    SetTeacher,
    Ship,
    SignRoster,
    StartRun,
    WithReason,
)
from distill_tui.rules.training import OF_DATA, resumable, trained
from distill_tui.runs.executors import local
from distill_tui.spec import Spec
from distill_tui.store import tables
from distill_tui.store.project import Change, Project, ProjectError, remember_builder
from distill_tui.terms import (
    Action,
    Assurance,
    PlayKind,
    Remedy,
    Role,
    RunKind,
    RunStatus,
    Stage,
    StatementKind,
    Task,
    TeacherSource,
)

if TYPE_CHECKING:
    from distill_tui.dataset import readers
    from distill_tui.teachers.description import Described

Start = Callable[[Project, int], None]  # what has a queued run done; a worker on this machine where none is named

# --- the project and its people ----------------------------------------------------------------------------------


def enrol_person(
    project: Project,
    actor: Actor,
    person: str,
    name: str,
    *,
    uid: int | None = None,
    key: signatures.PublicKey | None = None,
) -> None:
    """Enrol a person with what proves them."""
    request = EnrolPerson(person, uid, key.fingerprint if key else None)
    with project.change(Action.ENROL_PERSON, None, actor, request) as change:
        change.session.add(tables.Person(id=person, name=name.strip()[:200] or person, enrolled_at=change.at))
        change.session.flush()
        if uid is not None:
            change.session.add(tables.Account(uid=uid, person_id=person, added_at=change.at))
        if key is not None:
            change.session.add(_key_row(person, key, change.at))
        change.detail |= {k: v for k, v in vars(request).items() if v is not None} | {"name": name}


def add_account(project: Project, actor: Actor, person: str, uid: int) -> None:
    """Add an OS account to a person."""
    with project.change(Action.ADD_ACCOUNT, None, actor, AddAccount(person, uid)) as change:
        change.session.add(tables.Account(uid=uid, person_id=person, added_at=change.at))
        change.detail |= {"person": person, "uid": uid}


def add_key(project: Project, actor: Actor, person: str, key: signatures.PublicKey) -> None:
    """Add an SSH public key to a person."""
    with project.change(Action.ADD_KEY, None, actor, AddKey(person, key.fingerprint)) as change:
        change.session.add(_key_row(person, key, change.at))
        change.detail |= {"person": person, "fingerprint": key.fingerprint, "key": key.line}


def _key_row(person: str, key: signatures.PublicKey, at: str) -> tables.SshKey:
    return tables.SshKey(fingerprint=key.fingerprint, person_id=person, kind=key.kind, blob=key.blob, added_at=at)


def revoke_key(project: Project, actor: Actor, fingerprint: str) -> None:
    """Revoke a key from now on."""
    with project.change(Action.REVOKE_KEY, None, actor, RevokeKey(fingerprint)) as change:
        row = change.session.get(tables.SshKey, fingerprint)
        assert row is not None
        row.revoked_at = change.at
        change.session.add(row)
        change.detail |= {"fingerprint": fingerprint, "person": row.person_id}


def set_assurance(project: Project, actor: Actor, least: Assurance) -> None:
    """State the weakest proof with which a decision is accepted."""
    with project.change(Action.SET_ASSURANCE, None, actor, SetAssurance(least)) as change:
        row = change.session.get(tables.Project, 1)
        assert row is not None
        change.detail["assurance"] = [row.minimum_assurance.value, least.value]
        row.minimum_assurance = least
        change.session.add(row)


def open_play(
    project: Project,
    actor: Actor,
    name: str,
    kind: PlayKind,
    *,
    summary: str = "",
    task: Task = Task.CLASSIFICATION,
    predecessor: int | None = None,
) -> int:
    """Open a play with its kind's default gate as the draft; gives its number."""
    before = project.dossier(predecessor).play if predecessor is not None else None
    with project.change(Action.OPEN_PLAY, None, actor, OpenPlay(name.strip(), before)) as change:
        play = tables.Play(
            name=name.strip(),
            summary=summary,
            kind=kind,
            task=task,
            stage=Stage.QUALIFY,
            predecessor=predecessor,
            opened_at=change.at,
            stage_since=change.at,
        )
        change.session.add(play)
        change.session.flush()
        assert play.id is not None
        gate = gates.default_gate(kind)
        if before is not None:
            gate = dataclasses.replace(gate, predecessor=before.code)
        change.session.add(tables.GateRow(play_id=play.id, content=gates.to_json(gate)))
        change.row = play
        change.detail |= {"name": play.name, "kind": kind.value, "task": task.value}
        return play.id


# --- qualify and gate --------------------------------------------------------------------------------------------


def assign_role(project: Project, play_id: int, actor: Actor, role: Role, person: str) -> None:
    """Give a role to a person; whoever drives has built from that moment on."""
    with project.change(Action.ASSIGN_ROLE, play_id, actor, AssignRole(role, person)) as change:
        holder = change.session.get(tables.RoleHolder, (play_id, role))
        change.detail |= {"role": role.value, "before": holder.person_id if holder else "", "after": person}
        if holder is None:
            holder = tables.RoleHolder(play_id=play_id, role=role, person_id=person)
        holder.person_id = person
        change.session.add(holder)
        if role is Role.DRIVER:
            remember_builder(change, person, "drive")


def fill_worksheet(project: Project, play_id: int, actor: Actor, values: Mapping[str, str], source: str = "") -> None:
    """Fill in numbers of the trigger, with where they come from."""
    with project.change(Action.FILL_WORKSHEET, play_id, actor, FillWorksheet(values)) as change:
        for name, value in values.items():
            row = change.session.get(tables.WorksheetValue, (play_id, name))
            change.detail[name] = [row.value if row else "", value]
            row = row or tables.WorksheetValue(play_id=play_id, name=name, value=value, source=source)
            row.value, row.source, row.at = value, source, change.at
            change.session.add(row)


def qualify(project: Project, play_id: int, actor: Actor) -> None:
    """Pass the trigger."""
    with project.change(Action.QUALIFY, play_id, actor) as change:
        change.detail["numbers"] = {name: row.value for name, row in change.dossier.worksheet.items()}


def edit_gate(project: Project, play_id: int, actor: Actor, gate: gates.Gate) -> None:
    """Write the draft of the gate."""
    with project.change(Action.EDIT_GATE, play_id, actor) as change:
        row = change.session.get(tables.GateRow, play_id)
        assert row is not None
        row.content = gates.to_json(gate)
        change.session.add(row)
        change.detail["gate"] = gates.digest(gate)


def lock_gate(
    project: Project, play_id: int, actor: Actor, expected: str | None = None, *, key: Path | None = None
) -> None:
    """Fix what success means; every later evaluation is held to this digest. With a key, gate and roster are signed."""
    seen = project.dossier(play_id)
    about = {"gate": gates.digest(seen.gate)} if seen.gate else {}
    signed = signed_decisions.give(seen, actor, StatementKind.GATE, about, key) if seen.gate else None
    shown = (expected or about.get("gate")) if expected or signed else None
    request = LockGate(signed_decisions.proof(actor, signed), shown)
    roster = signed_decisions.roster(seen, actor, key)
    with project.change(Action.LOCK_GATE, play_id, actor, request) as change:
        row, gate = change.session.get(tables.GateRow, play_id), change.dossier.gate
        assert row is not None and gate is not None
        row.content, row.digest = gates.to_json(gate), gates.digest(gate)
        row.locked_by, row.locked_at = change.person, change.at
        facts = lock_facts(change.dossier)
        row.facts = canonical(facts).decode()
        change.session.add(row)
        change.detail |= {"gate": row.digest, **facts}
        signed_decisions.keep(change, signed, roster)


def sign_roster(project: Project, play_id: int, actor: Actor, *, key: Path | None = None) -> str:
    """Sign who holds which role in a play and whose keys are whose, as it is now; gives the roster's digest."""
    seen = project.dossier(play_id)
    signed, who = signed_decisions.roster(seen, actor, key), who_rules.roster(seen)
    request = SignRoster(who, signed_decisions.proof(actor, signed))
    with project.change(Action.SIGN_ROSTER, play_id, actor, request) as change:
        signed_decisions.keep(change, signed)
        change.detail["roster"] = digest_of(canonical(who))
        return str(change.detail["roster"])


# --- data --------------------------------------------------------------------------------------------------------


def import_traffic(
    project: Project,
    play_id: int,
    actor: Actor,
    path: Path,
    mapping: readers.Mapping | None = None,
    *,
    most_rejects: float = 0.05,
    variations: Mapping[str, Any] | None = None,
    moves: bool = False,
    start: Start | None = None,
) -> int:
    """Have a worker import a file of traffic; return the run's number. Importing it again adds nothing.

    With more than `most_rejects` of the rows unusable, the file is refused. `variations` tells of those that a teacher
    wrote, of which none may belong with a held-out row. With `moves` the run takes the file into its folder.
    """
    from distill_tui.dataset import readers

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
    spec: Callable[[int], str] = lambda _: "{}",
    *,
    data: int | None = None,
    start: Start | None = None,
) -> int:
    """Queue what changes the data of a round; it is recorded as the person's own action when the worker has done it."""
    with project.change(Action.QUEUE_RUN, play_id, actor, QueueRun(OF_DATA[kind])) as change:
        run = _new_run(change, kind, data_set_id=data)
        assert run.id is not None
        run.spec = spec(run.id)
        change.session.add(run)
        change.detail["spec"] = run.spec
    (start or local.start)(project, run.id)
    return run.id


def set_teacher(
    project: Project, play_id: int, actor: Actor, folder: Path | None, described: Described | None = None
) -> None:
    """Choose the teacher: outputs recorded in the traffic (None), a model folder, which is copied in, or a description.

    A description names an endpoint, or says in which words the model of `folder` is asked.
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
    """See that a folder is what it should be, and copy it in; gives its digest."""
    from distill_tui.training.folders import check_causal_folder, check_model_folder

    causal = described is not None and described.source is TeacherSource.PROMPTED
    trouble = check_causal_folder(folder) if causal else check_model_folder(folder)
    if trouble:
        raise ProjectError(trouble)
    return project.artifacts.store_copy(folder, ignore=lambda name: name.startswith("."))


def confirm_terms(
    project: Project, play_id: int, actor: Actor, provider: str, version: str, dated: str, permits: bool
) -> None:
    """Record what the terms of the teacher's provider say of training on its outputs."""
    request = ConfirmTerms(provider.strip(), version.strip(), dated, permits)
    with project.change(Action.CONFIRM_TERMS, play_id, actor, request) as change:
        row = change.session.get(tables.ProviderTerms, play_id)
        before = "" if row is None else f"{row.provider} {row.version} {row.dated}, permits {bool(row.permits)}"
        columns = vars(request) | {"permits": int(permits), "checked_by": change.person, "checked_at": change.at}
        change.session.merge(tables.ProviderTerms(play_id=play_id, **columns))
        change.detail |= vars(request) | {"before": before}


def build_data(project: Project, play_id: int, actor: Actor, *, start: Start | None = None) -> int:
    """Have a worker build the draft data set of this round; return the run's number."""
    project.ask_first(Action.BUILD_DATA, play_id, actor)
    return _queue_data(project, play_id, actor, RunKind.BUILD, start=start)


def accept_findings(project: Project, play_id: int, actor: Actor, names: Sequence[str], reason: str) -> list[str]:
    """Accept findings by their ids, all that are open where none is named; gives those that were."""
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
    """Have a worker show that nothing leaks, and freeze the data set; return the run's number."""
    seen = project.ask_first(Action.FREEZE_DATA, play_id, actor)
    assert seen.data_set is not None
    return _queue_data(project, play_id, actor, RunKind.FREEZE, data=seen.data_set.id, start=start)


def open_row(project: Project, play_id: int, actor: Actor, row: int, *, burn: bool = False) -> dict[str, Any]:
    """Open one held-out row; gives what is in it. `burn` says that a builder knows what that costs."""
    from distill_tui.dataset import frozen
    from distill_tui.terms import Split

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


# --- runs --------------------------------------------------------------------------------------------------------


def _queue(
    project: Project, play_id: int, actor: Actor, action: Action, kind: RunKind, request: Request | None, **columns: Any
) -> int:
    with project.change(action, play_id, actor, request) as change:
        run = _new_run(change, kind, **columns)
    assert run.id is not None
    local.start(project, run.id)
    return run.id


def _new_run(change: Change, kind: RunKind, **columns: Any) -> tables.Run:
    run = tables.Run(
        play_id=change.play.id or 0,
        round=change.play.round,
        kind=kind,
        status=RunStatus.QUEUED,
        started_by=change.person,
        created_at=change.at,
        **({"spec": "{}"} | columns),
    )
    change.session.add(run)
    change.session.flush()
    change.detail |= {"run": run.id, "kind": kind.value, "spec": run.spec}
    return run


def label(project: Project, play_id: int, actor: Actor, limits: Mapping[str, str] = {}) -> int:
    """Have a worker ask the teacher; gives the run's number. `limits` says how an endpoint is asked, and its budget."""
    from distill_tui.teachers import cache
    from distill_tui.teachers.limits import Limits

    given = {name: value for name, value in limits.items() if value is not None}
    Limits.read(given)
    play = project.dossier(play_id).play
    tried = bool(cache.answered(project.artifacts.folder, play.teacher_digest))
    request = Label(given, tried)
    return _queue(project, play_id, actor, Action.LABEL, RunKind.LABEL, request, spec=canonical(given).decode())


def vary(
    project: Project,
    play_id: int,
    actor: Actor,
    each: int,
    rows: int,
    numbers: Sequence[int] = (),
    limits: Mapping[str, str] = {},
) -> int:
    """Have a worker ask the teacher for variations of open rows; gives the run's number.

    Of the rows that are named by their numbers, or of at most `rows` on which the last student fails.
    """
    from distill_tui.rounds import variations
    from distill_tui.teachers import cache
    from distill_tui.teachers.limits import Limits

    given = {name: value for name, value in limits.items() if value is not None}
    Limits.read(given)
    seen = project.ask_first(Action.LABEL, play_id, actor, Label(given, vary=True))
    request = Label(given, vary=True, sealed=variations.sealed(project, seen, numbers))
    project.ask_first(Action.LABEL, play_id, actor, request)
    described = variations.writer(project.artifacts, seen.play, each)
    variations.sources(project, seen, rows, numbers)  # says now what the worker could only fail with
    writer = project.artifacts.store_bytes(described.to_json().encode())
    about = {"writer": writer, "teacher": seen.play.teacher_digest, "each": each, "rows": rows, "numbers": [*numbers]}
    request = dataclasses.replace(request, tried=bool(cache.answered(project.artifacts.folder, writer)))
    columns = {"spec": canonical(given | {"vary": about}).decode()}
    return _queue(project, play_id, actor, Action.LABEL, RunKind.LABEL, request, **columns)


def take_variations(
    project: Project,
    play_id: int,
    actor: Actor,
    run_id: int | None = None,
    without: Sequence[int] = (),
    *,
    start: Start | None = None,
) -> int:
    """Import what a teacher wrote, without those that are named by their place from 1; return the run's number."""
    from distill_tui.rounds import variations

    seen = project.ask_first(Action.IMPORT_TRAFFIC, play_id, actor)
    wait = variations.waiting(project, seen, run_id)
    strange = [place for place in without if not 1 <= place <= len(wait.written)]
    if strange:
        raise ProjectError(f"There is no variation {strange[0]}; run {wait.run} wrote {len(wait.written):,}.")
    chosen = [one for place, one in enumerate(wait.written, 1) if place not in without]
    if not chosen:
        raise ProjectError(f"Nothing of run {wait.run} is left to take in.")
    about = {"run": wait.run, "by": seen.play.teacher_name, "varied": sorted({one.like_digest for one in chosen})}
    with project.artifacts.scratch() as scratch:
        path = scratch / f"variations-of-run-{wait.run}.jsonl"
        path.write_text("".join(variations.rows(project, seen, chosen)), encoding="utf-8")
        return import_traffic(project, play_id, actor, path, variations=about, moves=True, start=start)


def start_run(project: Project, play_id: int, actor: Actor, spec: Spec) -> int:
    """Train a student in a worker; gives the run's number. The folder that it may start from is copied in."""
    from distill_tui.dataset import frozen

    seen = project.ask_first(Action.START_RUN, play_id, actor, StartRun(spec))
    assert seen.data_set is not None
    path = project.artifacts.path(seen.data_set.artifact)
    request = StartRun(spec, frozen.soft_rows(path) if spec.soft_terms and path.exists() else None)
    if spec.folder:
        spec = dataclasses.replace(spec, folder=_model(project, spec.folder))
    columns = {"spec": spec.to_json(), "data_set_id": seen.data_set.id}
    return _queue(project, play_id, actor, Action.START_RUN, RunKind.TRAIN, request, **columns)


def _model(project: Project, folder: str) -> str:
    """Give the digest of a model that is kept already, or copy its folder in."""
    from distill_tui.training.folders import check_encoder_folder

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
    """Ask a run to stop; its worker keeps a checkpoint."""
    with project.change(Action.STOP_RUN, play_id, actor, ForRun(run_id)) as change:
        run = change.session.get(tables.Run, run_id)
        assert run is not None
        run.stop_requested = 1
        change.session.add(run)
        change.detail["run"] = run_id


def resume_run(project: Project, play_id: int, actor: Actor, run_id: int | None = None) -> int:
    """Let a run that ended early go on from its last checkpoint."""
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
    """Spend this round's look at the held-out split on one student (the best on validation where none is named)."""
    seen = project.dossier(play_id)
    if run_id is None and trained(seen):
        run_id = trained(seen)[0].id
    request = ForRun(run_id) if run_id is not None else None
    columns = {"student_run": run_id, "data_set_id": seen.data_set.id if seen.data_set else None}
    return _queue(project, play_id, actor, Action.EVALUATE, RunKind.EVALUATE, request, **columns)


def reproduce(project: Project, play_id: int, actor: Actor) -> int:
    """Run the evaluation again, as the validator."""
    seen = project.dossier(play_id)
    columns = {
        "student_run": seen.evaluation.run_id if seen.evaluation else None,
        "data_set_id": seen.data_set.id if seen.data_set else None,
    }
    return _queue(project, play_id, actor, Action.REPRODUCE, RunKind.REPRODUCE, None, **columns)


# --- decide ------------------------------------------------------------------------------------------------------


def set_maintenance(project: Project, play_id: int, actor: Actor, sample: int, refresh_days: int) -> None:
    """Set how many calls a month are sampled, and how often the student is refreshed."""
    request = SetMaintenance(sample, refresh_days)
    with project.change(Action.SET_MAINTENANCE, play_id, actor, request) as change:
        play = change.play
        play.sampling_per_month, play.refresh_days = sample, refresh_days
        change.session.add(play)
        change.detail |= vars(request)


def ship(project: Project, play_id: int, actor: Actor, *, key: Path | None = None) -> Path:
    """Write the bundle and go live, whole or not at all; with a key, signed. Gives the bundle's folder."""
    optimist = Ship(Assurance.HARDWARE if key is not None else signed_decisions.proof(actor, None))
    seen = project.ask_first(Action.SHIP, play_id, actor, optimist)
    stands = counting_sign_off(seen)
    assert stands is not None
    about = {"student": str(stands.covers["model"]), "sign_off": digest_of(bytes(stands.row.statement))}
    given = signed_decisions.give(seen, actor, StatementKind.SHIP, about, key)
    with project.change(Action.SHIP, play_id, actor, Ship(signed_decisions.proof(actor, given))) as change:
        signed = counting_sign_off(change.dossier)
        assert signed is not None and signed.row.id is not None
        log = list(
            change.session.exec(
                select(tables.AuditEntry)
                .where(tables.AuditEntry.play_id == play_id)
                .order_by(col(tables.AuditEntry.seq))
            )
        )
        with project.artifacts.scratch() as scratch:
            by = (given.content, given.signature) if given is not None else None
            write_bundle(scratch / "bundle", project.artifacts, change.dossier, signed, log, by)
            digest = project.artifacts.store(scratch / "bundle")
        change.session.add(
            tables.Bundle(
                play_id=play_id,
                round=change.play.round,
                digest=digest,
                sign_off_id=signed.row.id,
                shipped_by=change.person,
                shipped_at=change.at,
            )
        )
        change.detail |= {"bundle": digest, "sign_off": signed.row.id}
        signed_decisions.keep(change, given)
    return project.artifacts.path(digest)


def iterate(project: Project, play_id: int, actor: Actor) -> None:
    """Open the next round in `data`."""
    with project.change(Action.ITERATE, play_id, actor) as change:
        change.play.round += 1
        change.session.add(change.play)
        change.detail["round"] = change.play.round


# --- live --------------------------------------------------------------------------------------------------------


def rehearse(project: Project, play_id: int, actor: Actor) -> int:
    """Have a worker run the recipe of the judged student again; gives the run's number."""
    seen = project.dossier(play_id)
    columns = {
        "student_run": seen.evaluation.run_id if seen.evaluation else None,
        "data_set_id": seen.data_set.id if seen.data_set else None,
    }
    return _queue(project, play_id, actor, Action.REHEARSE, RunKind.REHEARSE, None, **columns)


def observe(
    project: Project,
    play_id: int,
    actor: Actor,
    path: Path,
    mapping: readers.Mapping | None = None,
    *,
    name: str = "",
) -> int:
    """Take in a file of production and have a worker observe the live student on it; gives the run's number."""
    from distill_tui.dataset import readers, traffic

    seen = project.ask_first(Action.OBSERVE, play_id, actor)
    assert seen.live is not None
    name = name or path.name
    digest = f"sha256:{traffic.source_digest(path)}"
    request = Observe(name, digest)
    project.ask_first(Action.OBSERVE, play_id, actor, request)
    with project.artifacts.scratch() as scratch:
        report = traffic.import_traffic(path, mapping or readers.guess_mapping(path), scratch / "feed.parquet")
        artifact = project.artifacts.store(scratch / "feed.parquet")
    with project.change(Action.OBSERVE, play_id, actor, request) as change:
        assert change.dossier.live is not None and change.dossier.live.id is not None
        feed = tables.Feed(
            play_id=play_id,
            bundle_id=change.dossier.live.id,
            name=name,
            source_digest=digest,
            artifact=artifact,
            rows=report.rows,
            rejects=report.rejects,
            received_at=change.at,
        )
        change.session.add(feed)
        change.session.flush()
        run = tables.Run(
            play_id=play_id,
            round=change.play.round,
            kind=RunKind.OBSERVE,
            status=RunStatus.QUEUED,
            spec=json.dumps({"feed": feed.id}),
            started_by=change.person,
            created_at=change.at,
        )
        change.session.add(run)
        change.session.flush()
        assert run.id is not None
        change.detail |= {"feed": feed.id, "name": name, "rows": feed.rows, "rejects": feed.rejects, "run": run.id}
    local.start(project, run.id)
    return run.id


def acknowledge(project: Project, play_id: int, actor: Actor, reason: str) -> None:
    """Answer an alarm; the watch begins anew, with the same ceiling."""
    with project.change(Action.ACKNOWLEDGE, play_id, actor, WithReason(reason)) as change:
        assert change.dossier.live is not None
        _remedy(change, Remedy.ACKNOWLEDGE, change.dossier.live, reason, {"standing": change.dossier.standing.value})


def roll_back(project: Project, play_id: int, actor: Actor, bundle_id: int, reason: str) -> None:
    """Put an earlier bundle back as the live one, after its files were checked."""
    request = RollBack(bundle_id, reason)
    seen = project.ask_first(Action.ROLL_BACK, play_id, actor, request)
    trouble = project.artifacts.trouble(next(b.digest for b in seen.bundles if b.id == bundle_id))
    if trouble:
        raise ProjectError(trouble)
    with project.change(Action.ROLL_BACK, play_id, actor, request) as change:
        back = next(b for b in change.dossier.bundles if b.id == bundle_id)
        before = change.dossier.live.id if change.dossier.live else None
        _remedy(change, Remedy.ROLL_BACK, back, reason, {"bundle": [str(before), str(bundle_id)]})


def refresh(project: Project, play_id: int, actor: Actor, reason: str) -> None:
    """Open a round whose traffic holds what was observed, and whose training rows are weighted to what diverged."""
    from distill_tui.monitor import history

    seen = project.ask_first(Action.REFRESH, play_id, actor, WithReason(reason))
    with project.artifacts.scratch() as scratch:
        taken = history.take_in(project, seen, scratch / "observed.parquet")
    with project.change(Action.REFRESH, play_id, actor, WithReason(reason)) as change:
        if [f.id for f in change.dossier.feeds] != [f.id for f in seen.feeds]:
            raise Refused([Objection("data.moved", "A feed came in meanwhile; open the refresh again.")])
        change.play.round += 1
        change.session.add(change.play)
        assert change.dossier.live is not None
        told = {"rows": taken.rows if taken else 0, "round": change.play.round}
        _remedy(change, Remedy.REFRESH, change.dossier.live, reason, told, history.failures(project, seen))
        if taken is not None:
            change.session.add(taken.traffic(play_id, change.play.round, change.at))


def _remedy(
    change: Change,
    kind: Remedy,
    bundle_row: entities.Bundle,
    reason: str,
    told: Mapping[str, Any],
    failures: Mapping[str, Any] | None = None,
) -> None:
    assert bundle_row.id is not None
    dossier = change.dossier
    change.session.add(
        tables.RemedyRow(
            play_id=change.play.id or 0,
            kind=kind,
            round=change.play.round,
            bundle_id=bundle_row.id,
            newest_bundle=dossier.bundles[-1].id or 0,
            feed_id=max((feed.id or 0 for feed in dossier.feeds), default=0),
            reason=reason,
            detail=json.dumps(failures or {}),
            person_id=change.person,
            at=change.at,
        )
    )
    change.detail |= {"reason": reason, **told}


def kill(project: Project, play_id: int, actor: Actor, reason: str) -> None:
    """End a play for good."""
    with project.change(Action.KILL, play_id, actor, WithReason(reason)) as change:
        change.play.outcome = reason
        change.session.add(change.play)
        change.detail["reason"] = reason


def comment(project: Project, play_id: int, actor: Actor, text: str) -> None:
    """Leave a comment in the log."""
    with project.change(Action.COMMENT, play_id, actor, Comment(text)) as change:
        change.detail["text"] = text.strip()
