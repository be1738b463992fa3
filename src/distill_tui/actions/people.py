"""Actions on the project, its people, its plays and their roles."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Sequence
from pathlib import Path

from distill_tui import tasks
from distill_tui.actions import signed_decisions
from distill_tui.digests import canonical, digest_of
from distill_tui.gates.written import to_json
from distill_tui.people.keys import PublicKey
from distill_tui.rules import entities
from distill_tui.rules import who as who_rules
from distill_tui.rules.actor import Actor
from distill_tui.rules.labels import first_map
from distill_tui.rules.requests import (
    AcceptRestored,
    AssignRole,
    Enrol,
    OpenPlay,
    RevokeKey,
    SetAlarms,
    SetAssurance,
    SetCurrency,
    SetSeparation,
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
    """Enrol a person with an OS account, a key, or both; signed where the actor has a key."""
    given = {"person": person, "uid": uid, "fingerprint": key.fingerprint if key else None}
    detail = {name: value for name, value in given.items() if value is not None} | {"name": name}
    signed = signed_decisions.decide(project.project_dossier(), actor, Action.ENROL_PERSON, detail)
    request = Enrol(person, uid, key.fingerprint if key else None, signed_decisions.proof(actor, signed))
    with project.change(Action.ENROL_PERSON, None, actor, request) as change:
        change.session.add(tables.Person(id=person, name=name.strip()[:200] or person, enrolled_at=change.at))
        change.session.flush()
        if uid is not None:
            change.session.add(tables.Account(uid=uid, person_id=person, added_at=change.at))
        if key is not None:
            change.session.add(_key_row(person, key, change.at))
        change.detail |= detail
        signed_decisions.keep_decision(change, Action.ENROL_PERSON, signed)


def add_account(project: Project, actor: Actor, person: str, uid: int) -> None:
    detail = {"person": person, "uid": uid}
    signed = signed_decisions.decide(project.project_dossier(), actor, Action.ADD_ACCOUNT, detail)
    request = Enrol(person, uid, proof=signed_decisions.proof(actor, signed))
    with project.change(Action.ADD_ACCOUNT, None, actor, request) as change:
        change.session.add(tables.Account(uid=uid, person_id=person, added_at=change.at))
        change.detail |= detail
        signed_decisions.keep_decision(change, Action.ADD_ACCOUNT, signed)


def add_key(project: Project, actor: Actor, person: str, key: PublicKey) -> None:
    detail = {"person": person, "fingerprint": key.fingerprint, "key": key.line}
    signed = signed_decisions.decide(project.project_dossier(), actor, Action.ADD_KEY, detail)
    request = Enrol(person, fingerprint=key.fingerprint, proof=signed_decisions.proof(actor, signed))
    with project.change(Action.ADD_KEY, None, actor, request) as change:
        change.session.add(_key_row(person, key, change.at))
        change.detail |= detail
        signed_decisions.keep_decision(change, Action.ADD_KEY, signed)


def _key_row(person: str, key: PublicKey, at: str) -> entities.SshKey:
    return tables.SshKey(fingerprint=key.fingerprint, person_id=person, kind=key.kind, blob=key.blob, added_at=at)


def revoke_key(project: Project, actor: Actor, fingerprint: str) -> None:
    seen = project.project_dossier()
    owner = next((key.person_id for key in seen.keys if key.fingerprint == fingerprint), "")
    detail = {"fingerprint": fingerprint, "person": owner}
    signed = signed_decisions.decide(seen, actor, Action.REVOKE_KEY, detail)
    request = RevokeKey(fingerprint, signed_decisions.proof(actor, signed))
    with project.change(Action.REVOKE_KEY, None, actor, request) as change:
        row = change.session.get(tables.SshKey, fingerprint)
        assert row is not None
        row.revoked_at = change.at
        change.session.add(row)
        change.detail |= detail
        signed_decisions.keep_decision(change, Action.REVOKE_KEY, signed)


def set_assurance(project: Project, actor: Actor, least: Assurance) -> None:
    """Set the weakest assurance with which a decision is accepted."""
    seen = project.project_dossier()
    detail = {"assurance": [seen.minimum_assurance.value, least.value]}
    signed = signed_decisions.decide(seen, actor, Action.SET_ASSURANCE, detail)
    request = SetAssurance(least, signed_decisions.proof(actor, signed))
    with project.change(Action.SET_ASSURANCE, None, actor, request) as change:
        row = change.session.get(tables.Project, 1)
        assert row is not None
        row.minimum_assurance = least
        change.session.add(row)
        change.detail |= detail
        signed_decisions.keep_decision(change, Action.SET_ASSURANCE, signed)


def set_separation(project: Project, actor: Actor, forbids: Collection[str]) -> None:
    """Forbid more of what weakens the separation of builders and validator."""
    seen = project.project_dossier()
    all_of_them = sorted({*seen.forbids, *forbids})
    detail = {"forbids": all_of_them, "added": sorted(set(forbids) - seen.forbids)}
    signed = signed_decisions.decide(seen, actor, Action.SET_SEPARATION, detail)
    request = SetSeparation(all_of_them, signed_decisions.proof(actor, signed))
    with project.change(Action.SET_SEPARATION, None, actor, request) as change:
        row = change.session.get(tables.Project, 1)
        assert row is not None
        row.forbids = canonical(all_of_them).decode()
        change.session.add(row)
        change.detail |= detail
        signed_decisions.keep_decision(change, Action.SET_SEPARATION, signed)


def accept_restored(project: Project, actor: Actor, reason: str) -> None:
    """Accept that a file lacks entries of the log that an account saw; the keeper and one more person do."""
    seen = project.project_dossier()
    detail = {"reason": reason, "entries": seen.audit_size, "head": seen.audit_head, "seen": seen.lineage.seen}
    signed = signed_decisions.decide(seen, actor, Action.ACCEPT_RESTORED, detail)
    request = AcceptRestored(reason, signed_decisions.proof(actor, signed))
    with project.change(Action.ACCEPT_RESTORED, None, actor, request) as change:
        change.detail |= detail
        signed_decisions.keep_decision(change, Action.ACCEPT_RESTORED, signed)


def set_currency(project: Project, actor: Actor, currency: str) -> None:
    """Name the currency of all amounts; no amount is converted."""
    with project.change(Action.SET_CURRENCY, None, actor, SetCurrency(currency)) as change:
        row = change.session.get(tables.Project, 1)
        assert row is not None
        change.detail |= {"currency": [row.currency, currency]}
        row.currency = currency
        change.session.add(row)


def set_alarms(project: Project, actor: Actor, command: Sequence[str], webhook: str) -> None:
    """Set what gets each drift alarm: a command, as arguments, and an address; empty for none."""
    seen = project.project_dossier()
    detail = {"on_alarm": [list(seen.on_alarm), list(command)], "webhook": [seen.webhook, webhook]}
    signed = signed_decisions.decide(seen, actor, Action.SET_ALARMS, detail)
    request = SetAlarms(tuple(command), webhook, signed_decisions.proof(actor, signed))
    with project.change(Action.SET_ALARMS, None, actor, request) as change:
        row = change.session.get(tables.Project, 1)
        assert row is not None
        row.on_alarm, row.webhook = json.dumps(list(command)), webhook
        change.session.add(row)
        change.detail |= detail
        signed_decisions.keep_decision(change, Action.SET_ALARMS, signed)


def open_play(
    project: Project,
    actor: Actor,
    name: str,
    kind: PlayKind,
    *,
    summary: str = "",
    task: Task = Task.CLASSIFICATION,
    scale: str = "",
    predecessor: int | None = None,
) -> int:
    """Open a play with its kind's default gate as the draft; return its number.

    The `scale` of a play of scores is fixed with it: its levels are the labels that the label map begins with.
    """
    before = project.dossier(predecessor).play if predecessor is not None else None
    with project.change(Action.OPEN_PLAY, None, actor, OpenPlay(name.strip(), before, task, scale)) as change:
        play = tables.Play(
            name=name.strip(),
            summary=summary,
            kind=kind,
            task=task,
            label_map=first_map(scale),
            stage=Stage.QUALIFY,
            predecessor=predecessor,
            opened_at=change.at,
            stage_since=change.at,
        )
        change.session.add(play)
        change.session.flush()
        assert play.id is not None
        gate = tasks.default_gate(kind, task)
        if before is not None:
            gate = dataclasses.replace(gate, predecessor=before.code)
        change.session.add(tables.GateRow(play_id=play.id, content=to_json(gate)))
        change.row = play
        change.detail |= {"name": play.name, "kind": kind.value, "task": task.value}
        change.detail |= {"scale": scale} if scale else {}
        return play.id


def assign_role(project: Project, play_id: int, actor: Actor, role: Role, person: str) -> None:
    """Assign a role to a person; a driver becomes a builder at once."""
    seen = project.dossier(play_id)
    detail = {"role": role.value, "before": seen.roles.get(role, ""), "after": person}
    signed = signed_decisions.decide(seen, actor, Action.ASSIGN_ROLE, detail)
    request = AssignRole(role, person, signed_decisions.proof(actor, signed))
    with project.change(Action.ASSIGN_ROLE, play_id, actor, request) as change:
        holder = change.session.get(tables.RoleHolder, (play_id, role))
        if holder is None:
            holder = tables.RoleHolder(play_id=play_id, role=role, person_id=person)
        holder.person_id = person
        change.session.add(holder)
        change.detail |= detail
        signed_decisions.keep_decision(change, Action.ASSIGN_ROLE, signed)
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
