"""Who may act, how strongly that is proved, and the rules about people, roles and rosters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from distill_tui.digests import canonical, digest_of
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, ProjectDossier
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import (
    AddAccount,
    AddKey,
    AssignRole,
    EnrolPerson,
    OpenPlay,
    OpenProject,
    QueueRun,
    Request,
    RevokeKey,
    SetAssurance,
    Signable,
    SignRoster,
)
from distill_tui.terms import Action, Assurance, Role, Stage, StatementKind

PlayRule = Callable[[PlayDossier, Actor, Any], Iterator[Objection]]  # each takes the request of its action
ProjectRule = Callable[[ProjectDossier, Actor, Any], Iterator[Objection]]


def held_by(dossier: PlayDossier, actor: Actor, *roles: Role) -> Iterator[Objection]:
    """Only the holder of one of these roles does this."""
    holders = [dossier.roles.get(role) for role in roles]
    if actor.person in holders:
        return
    named = " or ".join(f"the {role.value} ({dossier.name(dossier.roles.get(role))})" for role in roles)
    cure = "" if any(holders) else f"; first give the role: `distill-tui role {dossier.code} {roles[0].value} ID`"
    yield Objection(f"role.{roles[0].value}", f"Only {named} may do this; you are {actor.person}{cure}.", roles)


def kept_by(project: ProjectDossier, actor: Actor) -> Iterator[Objection]:
    """Only the keeper of the project writes its roster."""
    if actor.person != project.keeper:
        yield Objection(
            "roster.keeper",
            f"Only {project.keeper}, who keeps this project, may change its roster; you are {actor.person}.",
        )


def hosted(action: Action, dossier: PlayDossier, actor: Actor, request: Request | None) -> Iterator[Objection]:
    """A session over SSH reaches no files, and proves nothing against whoever runs its server."""
    if actor.assurance is not Assurance.SESSION and not actor.over_ssh:
        return
    if (request.queues if isinstance(request, QueueRun) else action).reads_files:
        yield Objection("session.no_files", "A session over SSH reaches no files of its host; do this on the host.")
    if actor.host in dossier.builders and actor.host != actor.person and proof(actor, request) is Assurance.SESSION:
        yield Objection(
            "session.host_built",
            f"This session is run by {actor.host}'s account, and {actor.host} built in this play, so it does not prove "
            f"that you are {actor.person}; sign with your own key: `distill-tui sign --via`.",
        )


def proof(actor: Actor, request: Request | None) -> Assurance:
    """How what is asked for is proved: by its signature, where it has one, else as its actor is."""
    given = request.proof if isinstance(request, Signable) else None
    return given or actor.assurance


def least_proof(dossier: PlayDossier) -> Assurance:
    """The weakest proof that counts here: what the project states, or the gate where it asks for more."""
    gate = [dossier.gate.minimum_assurance] if dossier.gate else []
    return max([dossier.project.minimum_assurance, *gate], key=lambda each: each.strength)


def proved(project: ProjectDossier, actor: Actor, request: Signable | None, rule: str) -> Iterator[Objection]:
    """A decision is proved as strongly as the project asks."""
    least = project.minimum_assurance
    found = proof(actor, request)
    if found.strength < least.strength:
        yield Objection(
            rule,
            f"This project accepts a decision that is {least.value} or stronger; yours would be {found.value}: "
            "sign with --key.",
        )


def reasoned(reason: str | None, what: str) -> Iterator[Objection]:
    if reason is not None and not reason.strip():
        yield Objection("reason.missing", f"{what} needs a reason; say it with -m.")


def open_project(project: ProjectDossier | None, actor: Actor, request: OpenProject | None) -> Iterator[Objection]:
    """A project file is made once."""
    if project is not None:
        yield Objection("project.exists", f"This file is the project “{project.name}” already.")
    yield from _person_words(project.people if project is not None else {}, request)


_CONFUSABLE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "_": "-"})


def _person_words(
    people: Mapping[str, entities.Person], request: OpenProject | EnrolPerson | None
) -> Iterator[Objection]:
    if request is None:
        return
    person = request.person
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    if not 1 <= len(person) <= 32 or not set(person) <= allowed or person[0] in "_-":
        yield Objection(
            "person.id",
            "A person's id has 1 to 32 of a-z, 0-9, - and _, and begins with a letter or a digit, like vera or dan-2.",
        )
        return
    if person in people:
        yield Objection("person.exists", f"{person} is enrolled already; add an account or a key to them instead.")
        return
    for other in people:
        if other.translate(_CONFUSABLE) == person.translate(_CONFUSABLE):
            yield Objection("person.confusable", f"{person} looks like {other}, who is enrolled; choose another id.")


def enrol_person(project: ProjectDossier, actor: Actor, request: EnrolPerson | None) -> Iterator[Objection]:
    """Persons are enrolled by the keeper, under ids that cannot be mistaken for one another."""
    yield from kept_by(project, actor)
    yield from _person_words(project.people, request)
    yield from _proofs_free(project, request)


def _proofs_free(project: ProjectDossier, request: EnrolPerson | AddAccount | AddKey | None) -> Iterator[Objection]:
    """One account, and one key, belongs to one person."""
    uid, fingerprint = (request.uid, request.fingerprint) if request is not None else (None, None)
    for account in project.accounts:
        if uid is not None and account.uid == uid:
            yield Objection("account.taken", f"The account with uid {uid} is {account.person_id}'s already.")
    for key in project.keys:
        if fingerprint is not None and key.fingerprint == fingerprint:
            yield Objection(
                "key.taken", f"The key {fingerprint} is {key.person_id}'s already; one key proves one person."
            )


def add_proof(project: ProjectDossier, actor: Actor, request: AddAccount | AddKey | None) -> Iterator[Objection]:
    """The keeper adds accounts and keys to persons who are enrolled."""
    yield from kept_by(project, actor)
    yield from enrolled(project, request)
    yield from _proofs_free(project, request)


def enrolled(project: ProjectDossier, request: AddAccount | AddKey | AssignRole | None) -> Iterator[Objection]:
    if request is not None and request.person not in project.people:
        known = ", ".join(sorted(project.people))
        yield Objection("person.unknown", f"Nobody called “{request.person}” is enrolled; there are {known}.")


def revoke_key(project: ProjectDossier, actor: Actor, request: RevokeKey | None) -> Iterator[Objection]:
    """A key is revoked by its owner or by the keeper."""
    if request is None:
        return
    fingerprint = request.fingerprint
    key = next((k for k in project.keys if k.fingerprint == fingerprint), None)
    if key is None:
        yield Objection("key.unknown", f"No key {fingerprint} is enrolled; `distill-tui person list` shows them.")
    elif key.revoked_at is not None:
        yield Objection("key.revoked", f"The key {fingerprint} was revoked already.")
    elif actor.person != key.person_id:
        yield from kept_by(project, actor)


def set_assurance(project: ProjectDossier, actor: Actor, request: SetAssurance | None) -> Iterator[Objection]:
    """The keeper states the weakest proof that counts; it can be raised, never lowered."""
    yield from kept_by(project, actor)
    if request is not None and request.assurance.strength < project.minimum_assurance.strength:
        yield Objection(
            "assurance.lowered",
            f"The project asks for {project.minimum_assurance.value} already; that can be raised, not lowered.",
        )


def sign_roster(dossier: PlayDossier, actor: Actor, request: SignRoster | None) -> Iterator[Objection]:
    """The sponsor vouches with a key for who is who in this play."""
    yield from held_by(dossier, actor, Role.SPONSOR)
    if proof(actor, request).strength < Assurance.SIGNED.strength:
        yield Objection("roster.key", "A roster is signed with a key; say which with --key FILE.")
    if request is not None and request.roster != roster(dossier):
        yield Objection("roster.moved", "The roster changed meanwhile; look at it again with `roster show`.")


def roster_signed(dossier: PlayDossier) -> Iterator[Objection]:
    """Where the project asks for signatures, the sponsor has signed the roster as it is now."""
    if dossier.project.minimum_assurance.strength < Assurance.SIGNED.strength:
        return
    sponsor, now = dossier.roles.get(Role.SPONSOR), digest_of(canonical(roster(dossier)))
    signed = [
        f
        for f in dossier.statements
        if f.row.kind is StatementKind.ROSTER and f.row.person_id == sponsor and not f.trouble
    ]
    if any(facts.about("roster") == now for facts in signed):
        return
    yield Objection(
        "roster.unsigned",
        f"This project asks for a signed roster, and {dossier.name(sponsor)}, the sponsor, has not signed it as it is "
        f"now: `distill-tui roster sign {dossier.code} --key FILE`.",
        (Role.SPONSOR,),
        (Action.SIGN_ROSTER,),
    )


def open_play(project: ProjectDossier, actor: Actor, request: OpenPlay | None) -> Iterator[Objection]:
    """Anyone enrolled may open a play, under a name that is free."""
    if request is None:
        return
    if not 1 <= len(request.name.strip()) <= 80:
        yield Objection("play.name", "A play's name has 1 to 80 characters.")
    elif request.name in project.play_names:
        yield Objection("play.exists", f"There is a play “{request.name}” already; choose another name.")
    predecessor = request.predecessor
    if predecessor is not None and predecessor.stage is not Stage.KILLED:
        yield Objection("play.predecessor", f"{predecessor.code} is not killed; only a killed play has a successor.")


def assign_role(dossier: PlayDossier, actor: Actor, request: AssignRole | None) -> Iterator[Objection]:
    """Roles are given freely until the lock, then by the sponsor; no builder validates, no validator builds."""
    yield from enrolled(dossier.project, request)
    if dossier.locked:
        yield from held_by(dossier, actor, Role.SPONSOR)
    if request is None:
        return
    role, person = request.role, request.person
    if role is Role.VALIDATOR:
        yield from never_built(dossier, person, "role.validator_built")
        if person == dossier.roles.get(Role.DRIVER):
            yield Objection("role.driver_validates", f"{person} drives this play; the validator must be somebody else.")
    if role is Role.DRIVER and person == dossier.roles.get(Role.VALIDATOR):
        yield Objection("role.driver_validates", f"{person} validates this play; the driver must be somebody else.")


def never_built(dossier: PlayDossier, person: str | None, rule: str) -> Iterator[Objection]:
    """Whoever ever built in a play can never sign it off."""
    if person is not None and person in dossier.builders:
        deeds = ", ".join(dossier.builders[person]).replace("_", " ")
        yield Objection(
            rule,
            f"{person} built in this play ({deeds}), so somebody else must validate; this cannot be undone.",
            (Role.SPONSOR,),
            (Action.ASSIGN_ROLE,),
        )


def roster(dossier: PlayDossier) -> dict[str, Any]:
    """Say who the persons of this play are: their roles, and every account and key that proves them."""
    people = sorted({*dossier.roles.values(), *dossier.builders})
    return {
        "roles": {role.value: person for role, person in sorted(dossier.roles.items())},
        "people": {
            person: {
                "accounts": sorted(a.uid for a in dossier.project.accounts if a.person_id == person),
                "keys": sorted(f"{k.kind} {k.blob}" for k in dossier.project.keys if k.person_id == person),
            }
            for person in people
        },
    }


PROJECT_RULES: dict[Action, ProjectRule] = {
    Action.ENROL_PERSON: enrol_person,
    Action.ADD_ACCOUNT: add_proof,
    Action.ADD_KEY: add_proof,
    Action.REVOKE_KEY: revoke_key,
    Action.SET_ASSURANCE: set_assurance,
    Action.OPEN_PLAY: open_play,
}


RULES: dict[Action, PlayRule] = {
    Action.SIGN_ROSTER: sign_roster,
    Action.ASSIGN_ROLE: assign_role,
}
