"""Actions on the project, its people, its plays and their roles."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from distill_tui.actions import signed_decisions
from distill_tui.digests import canonical, digest_of
from distill_tui.gates.gate import default_gate
from distill_tui.gates.written import to_json
from distill_tui.people.keys import PublicKey
from distill_tui.rules import entities
from distill_tui.rules import who as who_rules
from distill_tui.rules.actor import Actor
from distill_tui.rules.requests import (
    AssignRole,
    Enrol,
    OpenPlay,
    RevokeKey,
    SetAssurance,
    SignRoster,
)
from distill_tui.store import tables
from distill_tui.store.project import Project, remember_builder
from distill_tui.terms import Action, Assurance, PlayKind, Role, Stage, Task


def enrol_person(
    project: Project,
    actor: Actor,
    person: str,
    name: str,
    *,
    uid: int | None = None,
    key: PublicKey | None = None,
) -> None:
    """Enrol a person with an OS account, a key, or both."""
    request = Enrol(person, uid, key.fingerprint if key else None)
    with project.change(Action.ENROL_PERSON, None, actor, request) as change:
        change.session.add(tables.Person(id=person, name=name.strip()[:200] or person, enrolled_at=change.at))
        change.session.flush()
        if uid is not None:
            change.session.add(tables.Account(uid=uid, person_id=person, added_at=change.at))
        if key is not None:
            change.session.add(_key_row(person, key, change.at))
        change.detail |= {k: v for k, v in vars(request).items() if v is not None} | {"name": name}


def add_account(project: Project, actor: Actor, person: str, uid: int) -> None:
    with project.change(Action.ADD_ACCOUNT, None, actor, Enrol(person, uid)) as change:
        change.session.add(tables.Account(uid=uid, person_id=person, added_at=change.at))
        change.detail |= {"person": person, "uid": uid}


def add_key(project: Project, actor: Actor, person: str, key: PublicKey) -> None:
    with project.change(Action.ADD_KEY, None, actor, Enrol(person, fingerprint=key.fingerprint)) as change:
        change.session.add(_key_row(person, key, change.at))
        change.detail |= {"person": person, "fingerprint": key.fingerprint, "key": key.line}


def _key_row(person: str, key: PublicKey, at: str) -> entities.SshKey:
    return tables.SshKey(fingerprint=key.fingerprint, person_id=person, kind=key.kind, blob=key.blob, added_at=at)


def revoke_key(project: Project, actor: Actor, fingerprint: str) -> None:
    with project.change(Action.REVOKE_KEY, None, actor, RevokeKey(fingerprint)) as change:
        row = change.session.get(tables.SshKey, fingerprint)
        assert row is not None
        row.revoked_at = change.at
        change.session.add(row)
        change.detail |= {"fingerprint": fingerprint, "person": row.person_id}


def set_assurance(project: Project, actor: Actor, least: Assurance) -> None:
    """Set the weakest assurance with which a decision is accepted."""
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
    """Open a play with its kind's default gate as the draft; return its number."""
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
        gate = default_gate(kind)
        if before is not None:
            gate = dataclasses.replace(gate, predecessor=before.code)
        change.session.add(tables.GateRow(play_id=play.id, content=to_json(gate)))
        change.row = play
        change.detail |= {"name": play.name, "kind": kind.value, "task": task.value}
        return play.id


def assign_role(project: Project, play_id: int, actor: Actor, role: Role, person: str) -> None:
    """Assign a role to a person; a driver becomes a builder at once."""
    with project.change(Action.ASSIGN_ROLE, play_id, actor, AssignRole(role, person)) as change:
        holder = change.session.get(tables.RoleHolder, (play_id, role))
        change.detail |= {"role": role.value, "before": holder.person_id if holder else "", "after": person}
        if holder is None:
            holder = tables.RoleHolder(play_id=play_id, role=role, person_id=person)
        holder.person_id = person
        change.session.add(holder)
        if role is Role.DRIVER:
            remember_builder(change, person, "drive")


def sign_roster(project: Project, play_id: int, actor: Actor, *, key: Path | None = None) -> str:
    """Sign the current roster of a play; return its digest."""
    seen = project.dossier(play_id)
    signed, who = signed_decisions.roster(seen, actor, key), who_rules.roster(seen)
    request = SignRoster(who, signed_decisions.proof(actor, signed))
    with project.change(Action.SIGN_ROSTER, play_id, actor, request) as change:
        signed_decisions.keep(change, signed)
        change.detail["roster"] = digest_of(canonical(who))
        return str(change.detail["roster"])
