"""Rules about identity, assurance, people, roles and rosters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from distill_tui.digests import canonical, digest_of
from distill_tui.gates import currencies
from distill_tui.gates.scale import Scale
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, ProjectDossier
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import (
    AssignRole,
    Enrol,
    OpenPlay,
    OpenProject,
    QueueRun,
    Reasoned,
    Request,
    RevokeKey,
    SetAlarms,
    SetAssurance,
    SetCurrency,
    SetSeparation,
    Signable,
    SignRoster,
)
from distill_tui.terms import Action, Assurance, Role, Stage, StatementKind, Task, Weakness

SIGNED_DECISIONS: dict[Action, StatementKind | None] = {  # that are signed where the project asks for it; by what
    Action.ENROL_PERSON: StatementKind.DECISION,
    Action.ADD_ACCOUNT: StatementKind.DECISION,
    Action.ADD_KEY: StatementKind.DECISION,
    Action.REVOKE_KEY: StatementKind.DECISION,
    Action.SET_ASSURANCE: StatementKind.DECISION,
    Action.SET_SEPARATION: StatementKind.DECISION,
    Action.ACCEPT_RESTORED: StatementKind.DECISION,
    Action.SET_ALARMS: StatementKind.DECISION,
    Action.ASSIGN_ROLE: StatementKind.DECISION,
    Action.SERVE_MODE: StatementKind.DECISION,
    Action.ACKNOWLEDGE: StatementKind.DECISION,  # it and the next two put a student before users again
    Action.RESUME: StatementKind.DECISION,
    Action.ROLL_BACK: StatementKind.DECISION,
    Action.LOCK_GATE: StatementKind.GATE,
    Action.SIGN_OFF: None,  # the sign-off itself is signed
    Action.REFUSE: None,
    Action.WITHDRAW: StatementKind.WITHDRAWAL,
    Action.SHIP: StatementKind.SHIP,
    Action.OBJECT: StatementKind.OBJECTION,
}

MOST_WORDS, LONGEST_WORD = 32, 1_000  # of a command

PlayRule = Callable[[PlayDossier, Actor, Any], Iterator[Objection]]  # each takes the request of its action
ProjectRule = Callable[[ProjectDossier, Actor, Any], Iterator[Objection]]


def held_by(dossier: PlayDossier, actor: Actor, *roles: Role) -> Iterator[Objection]:
    """Only a holder of one of these roles may do this."""
    holders = [dossier.roles.get(role) for role in roles]
    if actor.person in holders:
        return
    named = " or ".join(f"the {role.value} ({dossier.holder(role)})" for role in roles)
    cure = "" if any(holders) else f"; assign the role first: `distill-tui role {dossier.code} {roles[0].value} ID`"
    yield Objection(f"role.{roles[0].value}", f"Only {named} may do this; you are {actor.person}{cure}.", roles)


def kept_by(project: ProjectDossier, actor: Actor) -> Iterator[Objection]:
    """Only the keeper of the project may change its roster."""
    if actor.person != project.keeper:
        yield Objection(
            "roster.keeper",
            f"Only the keeper ({project.keeper}) may change the roster; you are {actor.person}.",
        )


def hosted(action: Action, dossier: PlayDossier, actor: Actor, request: Request | None) -> Iterator[Objection]:
    """An SSH session cannot read files of its host, and proves nothing where a builder runs the host."""
    if actor.assurance is not Assurance.SESSION and not actor.over_ssh:
        return
    if (request.queues if isinstance(request, QueueRun) else action).reads_files:
        yield Objection("session.no_files", "An SSH session cannot read files of its host. Run this on the host.")
    if actor.host in dossier.builders and actor.host != actor.person and proof(actor, request) is Assurance.SESSION:
        yield Objection(
            "session.host_built",
            f"This session runs under the account of {actor.host}, a builder of this play, so it does not prove that "
            f"you are {actor.person}. Sign with your own key: `distill-tui sign --via`.",
        )


def proof(actor: Actor, request: Request | None) -> Assurance:
    """Return the assurance of a request: that of its signature, else that of its actor."""
    given = request.proof if isinstance(request, Signable) else None
    return given or actor.assurance


def least_proof(dossier: PlayDossier) -> Assurance:
    """Return the weakest assurance that counts in a play: the project's or the gate's, whichever is stronger."""
    gate = [dossier.gate.minimum_assurance] if dossier.gate else []
    return max([dossier.project.minimum_assurance, *gate], key=lambda each: each.strength)


def proved(
    project: ProjectDossier, actor: Actor, request: Signable | None, least: Assurance, rule: str
) -> Iterator[Objection]:
    """A decision has the assurance that the project, or the gate of its play, requires."""
    asks = "project" if least is project.minimum_assurance else "gate"
    found = proof(actor, request)
    if found.strength < least.strength:
        yield Objection(
            rule,
            f"This {asks} requires assurance “{least.value}” for a decision; yours has “{found.value}”: sign with "
            "--key.",
        )


def decided(project: ProjectDossier, actor: Actor, request: Signable | None) -> Iterator[Objection]:
    """A change of the roster, or of what answers users, is signed where the project requires it."""
    if request is not None:
        yield from proved(project, actor, request, project.minimum_assurance, "decision.weak")


def reasoned(request: Reasoned | None, what: str) -> Iterator[Objection]:
    if request is not None and not request.reason.strip():
        yield Objection("reason.missing", f"{what} needs a reason: add one with -m.")


def open_project(project: ProjectDossier | None, actor: Actor, request: OpenProject | None) -> Iterator[Objection]:
    """A file holds one project."""
    if project is not None:
        yield Objection("project.exists", f"This file already holds the project “{project.name}”; choose another file.")
    yield from _person_words(project.people if project is not None else {}, request)
    if request is not None and (wrong := currencies.problem(request.currency)):
        yield Objection("currency.unknown", wrong)


_CONFUSABLE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "_": "-"})


def _person_words(people: Mapping[str, entities.Person], request: OpenProject | Enrol | None) -> Iterator[Objection]:
    if request is None:
        return
    person = request.person
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    if not 1 <= len(person) <= 32 or not set(person) <= allowed or person[0] in "_-":
        yield Objection(
            "person.id",
            "A person's ID is 1 to 32 of a-z, 0-9, - and _, and starts with a letter or a digit, like vera or dan-2.",
        )
        return
    if person in people:
        yield Objection("person.exists", f"{person} is already enrolled; add an account or a key instead.")
        return
    for other in people:
        if other.translate(_CONFUSABLE) == person.translate(_CONFUSABLE):
            yield Objection("person.confusable", f"{person} looks like {other}, who is enrolled; choose another ID.")


def enrol_person(project: ProjectDossier, actor: Actor, request: Enrol | None) -> Iterator[Objection]:
    """The keeper enrols persons, under IDs that cannot be mistaken for one another."""
    yield from kept_by(project, actor)
    yield from decided(project, actor, request)
    yield from _person_words(project.people, request)
    yield from _proofs_free(project, request)


def _proofs_free(project: ProjectDossier, request: Enrol | None) -> Iterator[Objection]:
    """An account or a key belongs to one person."""
    uid, fingerprint = (request.uid, request.fingerprint) if request is not None else (None, None)
    for account in project.accounts:
        if uid is not None and account.uid == uid:
            yield Objection("account.taken", f"uid {uid} already belongs to {account.person_id}.")
    for key in project.keys:
        if fingerprint is not None and key.fingerprint == fingerprint:
            yield Objection(
                "key.taken", f"Key {fingerprint} already belongs to {key.person_id}; a key proves one person."
            )


def add_proof(project: ProjectDossier, actor: Actor, request: Enrol | None) -> Iterator[Objection]:
    """The keeper adds accounts and keys to enrolled persons."""
    yield from kept_by(project, actor)
    yield from decided(project, actor, request)
    yield from enrolled(project, request)
    yield from _proofs_free(project, request)


def enrolled(project: ProjectDossier, request: Enrol | AssignRole | None) -> Iterator[Objection]:
    if request is not None and request.person not in project.people:
        known = ", ".join(sorted(project.people))
        yield Objection("person.unknown", f"“{request.person}” is not enrolled; enrolled: {known}.")


def revoke_key(project: ProjectDossier, actor: Actor, request: RevokeKey | None) -> Iterator[Objection]:
    """Its owner or the keeper revokes a key."""
    if request is None:
        return
    fingerprint = request.fingerprint
    key = next((k for k in project.keys if k.fingerprint == fingerprint), None)
    if key is None:
        yield Objection("key.unknown", f"Key {fingerprint} is not enrolled; see `distill-tui person list`.")
    elif key.revoked_at is not None:
        yield Objection("key.revoked", f"Key {fingerprint} is already revoked.")
    elif actor.person != key.person_id:
        yield from kept_by(project, actor)
    yield from decided(project, actor, request)


def set_assurance(project: ProjectDossier, actor: Actor, request: SetAssurance | None) -> Iterator[Objection]:
    """The keeper sets the weakest assurance that counts; it can be raised, never lowered."""
    yield from kept_by(project, actor)
    if request is not None and request.assurance.strength < project.minimum_assurance.strength:
        yield Objection(
            "assurance.lowered",
            f"The project already requires “{project.minimum_assurance.value}”; that can only be raised.",
        )
    keyed = any(key.person_id == project.keeper and key.revoked_at is None for key in project.keys)
    if request is not None and request.assurance.strength >= Assurance.SIGNED.strength and not keyed:
        yield Objection(
            "assurance.no_key",
            f"{project.keeper}, the keeper, has no key, so the roster could not be changed any more. Add one first: "
            f"`distill-tui key add {project.keeper} FILE.pub`.",
        )
    yield from decided(project, actor, request)


def set_separation(project: ProjectDossier, actor: Actor, request: SetSeparation | None) -> Iterator[Objection]:
    """The keeper forbids what weakens separation; what is forbidden stays forbidden."""
    yield from kept_by(project, actor)
    given = set(request.forbids) if request is not None else set(project.forbids)
    if not given <= set(Weakness):
        yield Objection("separation.word", f"A project can forbid: {', '.join(Weakness)}.")
    if not project.forbids <= given:
        kept = ", ".join(sorted(project.forbids))
        yield Objection("separation.lowered", f"The project already forbids {kept}; more can be added, none taken out.")
    yield from decided(project, actor, request)


def set_currency(project: ProjectDossier, actor: Actor, request: SetCurrency | None) -> Iterator[Objection]:
    """The keeper names the currency of all amounts, until a gate was locked on such amounts."""
    yield from kept_by(project, actor)
    if request is not None and (wrong := currencies.problem(request.currency)):
        yield Objection("currency.unknown", wrong)
    if project.gates_locked:
        yield Objection(
            "currency.fixed",
            f"The amounts of this project are in {project.currency}: a gate is locked on them. For another currency "
            "make another project.",
        )


def set_alarms(project: ProjectDossier, actor: Actor, request: SetAlarms | None) -> Iterator[Objection]:
    """The keeper sets what gets each drift alarm; the command runs under the account that observes."""
    yield from kept_by(project, actor)
    yield from decided(project, actor, request)
    if request is None:
        return
    if request.command and not request.command[0].startswith("/"):
        yield Objection(
            "alarms.path",
            f"The command begins with {request.command[0][:60]!r}; write the whole path of the program, like "
            "/usr/local/bin/page.",
        )
    if len(request.command) > MOST_WORDS or any("\0" in word or len(word) > LONGEST_WORD for word in request.command):
        yield Objection(
            "alarms.words", f"The command may have {MOST_WORDS} arguments of {LONGEST_WORD:,} characters at most."
        )
    if request.webhook and not _is_address(request.webhook):
        yield Objection("alarms.webhook", "The webhook is not an address like https://hooks.example.com/alarm.")


def _is_address(text: str) -> bool:
    try:
        found = urlsplit(text)
        return found.scheme in ("http", "https") and bool(found.hostname) and text.isascii() and text.isprintable()
    except ValueError:
        return False


def repair(project: ProjectDossier, actor: Actor, request: None) -> Iterator[Objection]:
    """The keeper puts the log's rows back; it gives no advantage, because the log decides anyway."""
    yield from kept_by(project, actor)


def sign_roster(dossier: PlayDossier, actor: Actor, request: SignRoster | None) -> Iterator[Objection]:
    """The sponsor signs the play's roles, accounts and keys."""
    yield from held_by(dossier, actor, Role.SPONSOR)
    if proof(actor, request).strength < Assurance.SIGNED.strength:
        yield Objection("roster.key", "A roster must be signed with a key: add --key FILE.")
    if request is not None and request.roster != roster(dossier):
        yield Objection("roster.moved", "The roster changed after you opened it; review it again with `roster show`.")


def roster_signed(dossier: PlayDossier) -> Iterator[Objection]:
    """Where the project requires signatures, the sponsor has signed the current roster."""
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
        f"This project requires a signed roster, and the sponsor ({dossier.holder(Role.SPONSOR)}) has not signed the "
        f"current one: `distill-tui roster sign {dossier.code} --key FILE`.",
        (Role.SPONSOR,),
        (Action.SIGN_ROSTER,),
    )


def open_play(project: ProjectDossier, actor: Actor, request: OpenPlay | None) -> Iterator[Objection]:
    """Anyone enrolled may open a play, under an unused name."""
    if request is None:
        return
    if not 1 <= len(request.name.strip()) <= 80:
        yield Objection("play.name", "A play's name has 1 to 80 characters.")
    elif request.name in project.play_names:
        yield Objection("play.exists", f"A play “{request.name}” already exists; choose another name.")
    yield from _scale(request)
    predecessor = request.predecessor
    if predecessor is not None and predecessor.stage is not Stage.KILLED:
        yield Objection(
            "play.predecessor", f"{predecessor.code} is not killed; only a killed play can have a successor."
        )


def _scale(request: OpenPlay) -> Iterator[Objection]:
    """A play of scores has a scale, for good; no other play has one."""
    if request.task is not Task.SCORE:
        if request.scale:
            yield Objection("play.scale", f"A play of {request.task} has no levels; leave them out, or take score.")
        return
    try:
        Scale.read(request.scale)
    except ValueError as problem:
        missing = "A play of scores needs its scale: levels like 1,2,3,4,5, or a range like 0..1 (--levels)."
        yield Objection("play.scale", str(problem) if request.scale else missing)


def assign_role(dossier: PlayDossier, actor: Actor, request: AssignRole | None) -> Iterator[Objection]:
    """Anyone assigns roles before the lock, then the sponsor; a builder never validates."""
    yield from enrolled(dossier.project, request)
    yield from decided(dossier.project, actor, request)
    if dossier.locked:
        yield from held_by(dossier, actor, Role.SPONSOR)
    if request is None:
        return
    role, person = request.role, request.person
    yield from _independent(dossier, role, person)
    if role is Role.VALIDATOR:
        yield from never_built(dossier, person, "role.validator_built")
        if person == dossier.roles.get(Role.DRIVER):
            yield Objection("role.driver_validates", f"{person} is the driver of this play; choose another validator.")
    if role is Role.DRIVER and person == dossier.roles.get(Role.VALIDATOR):
        yield Objection("role.driver_validates", f"{person} is the validator of this play; choose another driver.")


def _independent(dossier: PlayDossier, role: Role, person: str) -> Iterator[Objection]:
    """A project may forbid a change of roles that weakens the separation of builders and validator."""
    forbids, both = dossier.project.forbids, {Role.SPONSOR: Role.VALIDATOR, Role.VALIDATOR: Role.SPONSOR}
    why = ""
    if dossier.locked and Weakness.LATE_ROLE.value in forbids and dossier.roles.get(role) not in (None, person):
        why = f"The {role.value} cannot change after the lock"
    elif Weakness.SPONSOR_VALIDATES.value in forbids and role in both and dossier.roles.get(both[role]) == person:
        why = f"{person} cannot be sponsor and validator"
    if why:
        yield Objection("separation.forbidden", f"{why}: this project forbids that. Choose another person or play.")


def never_built(dossier: PlayDossier, person: str | None, rule: str) -> Iterator[Objection]:
    """A builder of a play can never validate it."""
    if person is not None and person in dossier.builders:
        built = ", ".join(dossier.builders[person]).replace("_", " ")
        yield Objection(
            rule,
            f"{person} is a builder of this play ({built}) and can never validate it; assign another validator.",
            (Role.SPONSOR,),
            (Action.ASSIGN_ROLE,),
        )


def roster(dossier: PlayDossier) -> dict[str, Any]:
    """Return the persons of a play: their roles, and every account and key that proves them."""
    people = sorted({*dossier.roles.values(), *dossier.builders})
    return {
        "roles": {role.value: person for role, person in sorted(dossier.roles.items())},
        "people": {
            person: {
                "accounts": sorted(a.uid for a in dossier.project.accounts if a.person_id == person),
                "keys": sorted(f"{k.kind} {k.blob}" for k in dossier.project.keys if k.person_id == person),
                "enrolled": {
                    "by": sorted(dossier.enrolled_by.get(person, ())),
                    "at": known.enrolled_at if (known := dossier.project.people.get(person)) is not None else "",
                },
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
    Action.SET_SEPARATION: set_separation,
    Action.SET_CURRENCY: set_currency,
    Action.SET_ALARMS: set_alarms,
    Action.OPEN_PLAY: open_play,
    Action.REPAIR: repair,
}


RULES: dict[Action, PlayRule] = {
    Action.SIGN_ROSTER: sign_roster,
    Action.ASSIGN_ROLE: assign_role,
}
