"""What may happen next, who may do it, and why not: the whole operation in one pure file.

The one question is `objections(action, dossier, actor)`; an empty answer means go ahead. Screens dim a key with it,
the command line exits with it, a worker is refused by it, and the door of the project file asks it again inside the
transaction. Nothing here reads a clock, a file or a network, and every function answers for any dossier.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from distill_tui import gates
from distill_tui.digests import canonical, digest_of
from distill_tui.gates import economics
from distill_tui.gates.paired import Prospect
from distill_tui.rules import spot_checks
from distill_tui.rules.actor import Actor as Actor
from distill_tui.terms import (
    FIVE_STAGES,
    Action,
    Advice,
    Assurance,
    Opinion,
    PlayKind,
    Remedy,
    Role,
    RunKind,
    RunStatus,
    Stage,
    Standing,
    StudentKind,
    Task,
)

if TYPE_CHECKING:
    from distill_tui.store import tables

Request = Mapping[str, Any]  # what exactly is asked for; a screen that only dims a key asks with nothing in it
NOTHING: Request = {}


@dataclass(frozen=True)
class Objection:
    """A reason why not: a stable rule id, and one full sentence that names the thing and the cure."""

    rule: str
    sentence: str

    def __str__(self) -> str:
        return self.sentence


class Refused(Exception):
    """The rules said no. An answer, not a fault: front ends show the sentences."""

    def __init__(self, objections: Iterable[Objection]) -> None:
        self.objections = tuple(objections)
        super().__init__(" ".join(o.sentence for o in self.objections))


@dataclass(frozen=True)
class SignOffFacts:
    """A sign-off with what was found out about it: `trouble` says why its bytes cannot be trusted."""

    row: tables.SignOff
    statement: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""
    withdrawn: bool = False

    @property
    def covers(self) -> Mapping[str, Any]:
        """What it was given for."""
        covers = self.statement.get("predicate", {}).get("covers", {})
        return covers if isinstance(covers, dict) else {}


@dataclass(frozen=True)
class StatementFacts:
    """Something else that was signed, with what was found out about it, and the strength of its signature."""

    row: tables.Statement
    statement: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""
    assurance: Assurance = Assurance.SIGNED

    def about(self, name: str) -> str:
        """The digest of one of its subjects, by name; empty where it has none."""
        for subject in self.statement.get("subject", ()):
            if subject["name"] == name:
                return f"sha256:{subject['digest']['sha256']}"
        return ""


@dataclass(frozen=True)
class Dossier:
    """All that is known at one moment: of the project, and of one play where there is one."""

    now: str = ""  # when it was loaded: rules read no clock
    project: tables.Project | None = None
    people: Mapping[str, tables.Person] = field(default_factory=dict)
    accounts: tuple[tables.Account, ...] = ()
    keys: tuple[tables.SshKey, ...] = ()
    play_names: frozenset[str] = frozenset()
    audit_size: int = 0
    audit_head: str = ""
    audit_trouble: str = ""  # where the chain breaks; looked for before a sign-off and a ship
    play: tables.Play | None = None
    roles: Mapping[Role, str] = field(default_factory=dict)
    builders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    worksheet: Mapping[str, tables.WorksheetValue] = field(default_factory=dict)
    gate: gates.Gate | None = None
    gate_row: tables.GateRow | None = None
    gate_trouble: str = ""  # the stored gate cannot be read, or is not what was locked
    traffic: tuple[tables.Traffic, ...] = ()
    data_sets: tuple[tables.DataSet, ...] = ()
    opened: tuple[tables.OpenedRow, ...] = ()
    terms: tables.ProviderTerms | None = None
    accepted: tuple[tables.AcceptedFinding, ...] = ()
    runs: tuple[tables.Run, ...] = ()
    evaluations: tuple[tables.Evaluation, ...] = ()
    record: gates.Record | None = None
    record_before: gates.Record | None = None  # of the round before, to compare with
    judgements_before: tuple[gates.Judgement, ...] = ()
    record_live: gates.Record | None = None  # of the student that is live, where that is another round's
    judgements_live: tuple[gates.Judgement, ...] = ()
    validations: Mapping[int, gates.Record] = field(default_factory=dict)  # by training run: builders may see these
    judgements: tuple[gates.Judgement, ...] = ()
    spot_checks: tuple[tables.SpotCheck, ...] = ()  # those that the log knows
    sign_offs: tuple[SignOffFacts, ...] = ()
    statements: tuple[StatementFacts, ...] = ()
    bundles: tuple[tables.Bundle, ...] = ()
    feeds: tuple[tables.Feed, ...] = ()
    watches: tuple[tables.Watch, ...] = ()
    remedies: tuple[tables.RemedyRow, ...] = ()
    file_troubles: tuple[str, ...] = ()  # artifacts missing or altered; looked for before a sign-off and a ship

    @property
    def data_set(self) -> tables.DataSet | None:
        """The data set of this round."""
        return next((d for d in self.data_sets if self.play and d.round == self.play.round), None)

    @property
    def burnt(self) -> frozenset[str]:
        """The held-out rows, by input digest, that somebody who ever built has opened: they are held out no longer."""
        return frozenset(row.input_digest for row in self.opened if row.person_id in self.builders)

    @property
    def evaluation(self) -> tables.Evaluation | None:
        """This round's one look at the held-out split."""
        return next((e for e in self.round_evaluations if not e.reproduced), None)

    @property
    def round_evaluations(self) -> tuple[tables.Evaluation, ...]:
        """Every evaluation of this round, the validator's own included."""
        return tuple(e for e in self.evaluations if self.play and e.round == self.play.round)

    @property
    def locked(self) -> bool:
        """Whether the gate is locked."""
        return self.gate_row is not None and self.gate_row.locked_at is not None

    @property
    def passed(self) -> bool:
        """Whether this round's student holds every criterion that counts."""
        return bool(self.judgements) and gates.passed(self.judgements)

    @property
    def first_round(self) -> int:
        """The first round of this effort: 1, or that of the newest refresh. Looks are counted from it on."""
        return max((r.round for r in self.remedies if r.kind is Remedy.REFRESH), default=1)

    @property
    def looks(self) -> tuple[tables.Evaluation, ...]:
        """The looks at the held-out split of this effort, the validator's own left out."""
        return tuple(e for e in self.evaluations if not e.reproduced and e.round >= self.first_round)

    @property
    def round_of_effort(self) -> int:
        """Which round of this effort it is, from 1."""
        return self.play.round - self.first_round + 1 if self.play else 1

    @property
    def live(self) -> tables.Bundle | None:
        """The bundle that is live: the newest, or the one that was put back after it."""
        if not self.bundles:
            return None
        newest = self.bundles[-1]
        back = [r for r in self.remedies if r.kind is Remedy.ROLL_BACK and r.newest_bundle == newest.id]
        return next((b for b in self.bundles if back and b.id == back[-1].bundle_id), newest)

    @property
    def watched_from(self) -> int:
        """The feed after which the present watch began: the one before the newest acknowledgement or rollback."""
        return max((r.feed_id for r in self.remedies if r.kind is not Remedy.REFRESH), default=0)

    @property
    def watch(self) -> tables.Watch | None:
        """How the monitor of the live bundle stands, where anything was observed since the watch began."""
        live = self.live
        mine = [w for w in self.watches if live and w.bundle_id == live.id and w.feed_id > self.watched_from]
        return mine[-1] if mine else None

    @property
    def standing(self) -> Standing:
        """How the live student stands; steady while nothing was observed."""
        return self.watch.standing if self.watch else Standing.STEADY

    @property
    def refreshing(self) -> bool:
        """Whether a bundle is live and another round is under way."""
        return bool(self.bundles) and self.play is not None and self.play.stage in FIVE_STAGES

    @property
    def refresh_due(self) -> str:
        """The day on which a refresh is due, ISO 8601; empty where none is."""
        if self.live is None or self.play is None or self.play.refresh_days is None or self.play.stage is Stage.KILLED:
            return ""
        return (date.fromisoformat(self.live.shipped_at[:10]) + timedelta(self.play.refresh_days)).isoformat()

    @property
    def overdue(self) -> bool:
        """Whether the live student's refresh is due, and none is under way."""
        return bool(self.refresh_due) and not self.refreshing and self.now[:10] >= self.refresh_due

    def run(self, run_id: object) -> tables.Run | None:
        """Find a run of this play."""
        return next((r for r in self.runs if r.id == run_id), None)

    def name(self, person: str | None) -> str:
        """Name a person for a sentence."""
        return person if person else "nobody"


def _from(*stages: Stage, to: Stage | None = None) -> dict[Stage, Stage]:
    return {stage: to or stage for stage in stages}


_BEFORE_LOCK = (Stage.QUALIFY, Stage.GATE)
_ANY = (*FIVE_STAGES, Stage.LIVE, Stage.KILLED)
_SHIPPABLE = (Stage.DATA, Stage.TRAIN, Stage.DECIDE, Stage.LIVE)  # a bundle stays live while a refresh is under way

# The state machine. What is not in it cannot happen.
NEXT_STAGE: dict[tuple[Stage, Action], Stage] = {
    (stage, action): after
    for action, moves in {
        Action.ASSIGN_ROLE: _from(*FIVE_STAGES, Stage.LIVE),
        Action.SIGN_ROSTER: _from(*FIVE_STAGES, Stage.LIVE),
        Action.FILL_WORKSHEET: _from(*_BEFORE_LOCK),
        Action.QUALIFY: _from(Stage.QUALIFY, to=Stage.GATE),
        Action.EDIT_GATE: _from(*_BEFORE_LOCK),
        Action.LOCK_GATE: _from(Stage.GATE, to=Stage.DATA),
        Action.IMPORT_TRAFFIC: _from(Stage.QUALIFY, Stage.GATE, Stage.DATA),
        Action.SET_TEACHER: _from(Stage.QUALIFY, Stage.GATE, Stage.DATA),
        Action.LABEL: _from(Stage.DATA),
        Action.CONFIRM_TERMS: _from(Stage.QUALIFY, Stage.GATE, Stage.DATA),
        Action.BUILD_DATA: _from(Stage.DATA),
        Action.ACCEPT_FINDINGS: _from(Stage.DATA),
        Action.FREEZE_DATA: _from(Stage.DATA, to=Stage.TRAIN),
        Action.OPEN_ROW: _from(Stage.TRAIN, Stage.DECIDE, Stage.LIVE),
        Action.START_RUN: _from(Stage.TRAIN),
        Action.STOP_RUN: _from(*_SHIPPABLE),
        Action.RESUME_RUN: _from(*_SHIPPABLE),
        Action.EVALUATE: _from(Stage.TRAIN),
        Action.RECORD_EVALUATION: _from(Stage.TRAIN, to=Stage.DECIDE),
        Action.REPRODUCE: _from(Stage.DECIDE),
        Action.RECORD_REPRODUCTION: _from(Stage.DECIDE),
        Action.SPOT_CHECK: _from(Stage.DECIDE),
        Action.SIGN_OFF: _from(Stage.DECIDE),
        Action.REFUSE: _from(Stage.DECIDE),
        Action.WITHDRAW: _from(Stage.DECIDE),
        Action.SET_MAINTENANCE: _from(*FIVE_STAGES, Stage.LIVE),
        Action.SHIP: _from(Stage.DECIDE, to=Stage.LIVE),
        Action.ITERATE: _from(Stage.DECIDE, to=Stage.DATA),
        Action.KILL: _from(*FIVE_STAGES, to=Stage.KILLED),
        Action.REHEARSE: _from(Stage.DECIDE),
        Action.OBSERVE: _from(*_SHIPPABLE),
        Action.RECORD_OBSERVATIONS: _from(*_SHIPPABLE),
        Action.ACKNOWLEDGE: _from(*_SHIPPABLE),
        Action.ROLL_BACK: _from(*_SHIPPABLE, to=Stage.LIVE),
        Action.REFRESH: _from(Stage.LIVE, to=Stage.DATA),
        Action.COMMENT: _from(*_ANY),
        Action.FINISH_RUN: _from(*_ANY),
        Action.END_RUN: _from(*_ANY),
    }.items()
    for stage, after in moves.items()
}

ABOUT_THE_PROJECT = (
    Action.OPEN_PROJECT,
    Action.ENROL_PERSON,
    Action.ADD_ACCOUNT,
    Action.ADD_KEY,
    Action.REVOKE_KEY,
    Action.SET_ASSURANCE,
    Action.OPEN_PLAY,
)
BY_WORKERS = (
    Action.FINISH_RUN,
    Action.END_RUN,
    Action.RECORD_EVALUATION,
    Action.RECORD_REPRODUCTION,
    Action.RECORD_OBSERVATIONS,
)
BUILDING = (  # whoever does one of these has built, for good
    Action.IMPORT_TRAFFIC,
    Action.SET_TEACHER,
    Action.LABEL,
    Action.BUILD_DATA,
    Action.FREEZE_DATA,
    Action.START_RUN,
    Action.EVALUATE,
    Action.ITERATE,
    Action.REFRESH,  # it takes what was observed in as training data
)


def objections(action: Action, dossier: Dossier, actor: Actor, request: Request = NOTHING) -> list[Objection]:
    """Say why this actor may not do this now: all the reasons, or none."""
    if action is Action.OPEN_PROJECT:
        return list(open_project(dossier, actor, request))
    if actor.person is None or actor.person not in dossier.people:
        return [
            Objection(
                "identity.unknown",
                f"{actor.proof} belongs to nobody in this project, so you may look, not act; ask "
                f"{dossier.project.keeper if dossier.project else 'its keeper'} to enrol you, or use --key.",
            )
        ]
    if action not in ABOUT_THE_PROJECT:
        if dossier.play is None:
            return [Objection("play.none", "There is no such play; `distill-tui list` shows them.")]
        if (dossier.play.stage, action) not in NEXT_STAGE:
            return [_closed(action, dossier.play)]
    return [*hosted(action, dossier, actor, request), *RULES[action](dossier, actor, request)]


def _closed(action: Action, play: tables.Play) -> Objection:
    stages = [stage.value for stage in Stage if (stage, action) in NEXT_STAGE]
    what = action.command or action.value
    if play.stage is Stage.KILLED:
        return Objection("stage.killed", f"{play.code} was killed; open a new play that names it as its predecessor.")
    if action in (Action.EDIT_GATE, Action.LOCK_GATE, Action.FILL_WORKSHEET) and play.stage not in _BEFORE_LOCK:
        return Objection(
            "gate.locked",
            f"The gate of {play.code} is locked and never changes; to move the goalposts, kill it and open another.",
        )
    return Objection(
        "stage.closed", f"“{what}” belongs to {' or '.join(stages)}; {play.code} stands at {play.stage.value}."
    )


# --- who ---------------------------------------------------------------------------------------------------------


def held_by(dossier: Dossier, actor: Actor, *roles: Role) -> Iterator[Objection]:
    """Only the holder of one of these roles does this."""
    holders = [dossier.roles.get(role) for role in roles]
    if actor.person in holders:
        return
    named = " or ".join(f"the {role.value} ({dossier.name(dossier.roles.get(role))})" for role in roles)
    cure = "" if any(holders) else f"; first give the role: `distill-tui role {_code(dossier)} {roles[0].value} ID`"
    yield Objection(f"role.{roles[0].value}", f"Only {named} may do this; you are {actor.person}{cure}.")


def kept_by(dossier: Dossier, actor: Actor) -> Iterator[Objection]:
    """Only the keeper of the project writes its roster."""
    keeper = dossier.project.keeper if dossier.project else None
    if actor.person != keeper:
        yield Objection(
            "roster.keeper", f"Only {keeper}, who keeps this project, may change its roster; you are {actor.person}."
        )


def run_of_worker(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """A worker speaks only for the run that it holds."""
    run = dossier.run(request.get("run"))
    if run is None or actor.run != run.id:
        yield Objection("run.foreign", "Only the worker of a run may report on it.")
    elif run.status is not RunStatus.RUNNING or run.token is None or request.get("token") != run.token:
        yield Objection("run.fenced", f"Run {run.id} is no longer this worker's: it was stopped, resumed or given up.")


NEEDS_FILES = (Action.IMPORT_TRAFFIC, Action.SET_TEACHER, Action.START_RUN, Action.OBSERVE)  # each may name a path


def hosted(action: Action, dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """A session over SSH reaches no files, and proves nothing against whoever runs its server."""
    if actor.assurance is not Assurance.SESSION and not actor.over_ssh:
        return
    if action in NEEDS_FILES:
        yield Objection("session.no_files", "A session over SSH reaches no files of its host; do this on the host.")
    if actor.host in dossier.builders and actor.host != actor.person and proof(actor, request) is Assurance.SESSION:
        yield Objection(
            "session.host_built",
            f"This session is run by {actor.host}'s account, and {actor.host} built in this play, so it does not prove "
            f"that you are {actor.person}; sign with your own key: `distill-tui sign --via`.",
        )


def proof(actor: Actor, request: Request) -> Assurance:
    """How what is asked for is proved: by its signature, where it has one, else as its actor is."""
    found: Assurance = request.get("proof", actor.assurance)
    return found


def least_proof(dossier: Dossier) -> Assurance:
    """The weakest proof that counts here: what the project states, or the gate where it asks for more."""
    stated = [dossier.project.minimum_assurance] if dossier.project else []
    stated += [dossier.gate.minimum_assurance] if dossier.gate else []
    return max(stated, key=lambda each: each.strength, default=Assurance.ACCOUNT)


def proved(dossier: Dossier, actor: Actor, request: Request, rule: str) -> Iterator[Objection]:
    """A decision is proved as strongly as the project asks."""
    least = dossier.project.minimum_assurance if dossier.project else Assurance.ACCOUNT
    found = proof(actor, request)
    if found.strength < least.strength:
        yield Objection(
            rule,
            f"This project accepts a decision that is {least.value} or stronger; yours would be {found.value}: "
            "sign with --key.",
        )


def _reason(request: Request, what: str) -> Iterator[Objection]:
    if "reason" in request and not str(request["reason"]).strip():
        yield Objection("reason.missing", f"{what} needs a reason; say it with -m.")


# --- the project and its people ----------------------------------------------------------------------------------


def open_project(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """A project file is made once."""
    if dossier.project is not None:
        yield Objection("project.exists", f"This file is the project “{dossier.project.name}” already.")
    yield from _person_words(dossier, request)


_CONFUSABLE = str.maketrans({"0": "o", "1": "l", "i": "l", "5": "s", "_": "-"})


def _person_words(dossier: Dossier, request: Request) -> Iterator[Objection]:
    person = request.get("person")
    if person is None:
        return
    person = str(person)
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    if not 1 <= len(person) <= 32 or not set(person) <= allowed or person[0] in "_-":
        yield Objection(
            "person.id",
            "A person's id has 1 to 32 of a-z, 0-9, - and _, and begins with a letter or a digit, like vera or dan-2.",
        )
        return
    if person in dossier.people:
        yield Objection("person.exists", f"{person} is enrolled already; add an account or a key to them instead.")
        return
    for other in dossier.people:
        if other.translate(_CONFUSABLE) == person.translate(_CONFUSABLE):
            yield Objection("person.confusable", f"{person} looks like {other}, who is enrolled; choose another id.")


def enrol_person(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """Persons are enrolled by the keeper, under ids that cannot be mistaken for one another."""
    yield from kept_by(dossier, actor)
    yield from _person_words(dossier, request)
    yield from _proofs_free(dossier, request)


def _proofs_free(dossier: Dossier, request: Request) -> Iterator[Objection]:
    """One account, and one key, belongs to one person."""
    uid, fingerprint = request.get("uid"), request.get("fingerprint")
    for account in dossier.accounts:
        if uid is not None and account.uid == uid:
            yield Objection("account.taken", f"The account with uid {uid} is {account.person_id}'s already.")
    for key in dossier.keys:
        if fingerprint is not None and key.fingerprint == fingerprint:
            yield Objection(
                "key.taken", f"The key {fingerprint} is {key.person_id}'s already; one key proves one person."
            )


def add_proof(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The keeper adds accounts and keys to persons who are enrolled."""
    yield from kept_by(dossier, actor)
    yield from _enrolled(dossier, request)
    yield from _proofs_free(dossier, request)


def _enrolled(dossier: Dossier, request: Request) -> Iterator[Objection]:
    person = request.get("person")
    if person is not None and person not in dossier.people:
        known = ", ".join(sorted(dossier.people))
        yield Objection("person.unknown", f"Nobody called “{person}” is enrolled; there are {known}.")


def revoke_key(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """A key is revoked by its owner or by the keeper."""
    fingerprint = request.get("fingerprint")
    if fingerprint is None:
        return
    key = next((k for k in dossier.keys if k.fingerprint == fingerprint), None)
    if key is None:
        yield Objection("key.unknown", f"No key {fingerprint} is enrolled; `distill-tui person list` shows them.")
    elif key.revoked_at is not None:
        yield Objection("key.revoked", f"The key {fingerprint} was revoked already.")
    elif actor.person != key.person_id:
        yield from kept_by(dossier, actor)


def set_assurance(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The keeper states the weakest proof that counts; it can be raised, never lowered."""
    yield from kept_by(dossier, actor)
    wanted = request.get("assurance")
    if wanted is not None and dossier.project and wanted.strength < dossier.project.minimum_assurance.strength:
        yield Objection(
            "assurance.lowered",
            f"The project asks for {dossier.project.minimum_assurance.value} already; that can be raised, not lowered.",
        )


def sign_roster(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The sponsor vouches with a key for who is who in this play."""
    yield from held_by(dossier, actor, Role.SPONSOR)
    if proof(actor, request).strength < Assurance.SIGNED.strength:
        yield Objection("roster.key", "A roster is signed with a key; say which with --key FILE.")
    if "roster" in request and request["roster"] != roster(dossier):
        yield Objection("roster.moved", "The roster changed meanwhile; look at it again with `roster show`.")


def roster_signed(dossier: Dossier) -> Iterator[Objection]:
    """Where the project asks for signatures, the sponsor has signed the roster as it is now."""
    if dossier.project is None or dossier.project.minimum_assurance.strength < Assurance.SIGNED.strength:
        return
    sponsor, now = dossier.roles.get(Role.SPONSOR), digest_of(canonical(roster(dossier)))
    signed = [f for f in dossier.statements if f.row.kind == "roster" and f.row.person_id == sponsor and not f.trouble]
    if any(facts.about("roster") == now for facts in signed):
        return
    yield Objection(
        "roster.unsigned",
        f"This project asks for a signed roster, and {dossier.name(sponsor)}, the sponsor, has not signed it as it is "
        f"now: `distill-tui roster sign {_code(dossier)} --key FILE`.",
    )


def open_play(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """Anyone enrolled may open a play, under a name that is free."""
    name = request.get("name")
    if name is not None:
        if not 1 <= len(str(name).strip()) <= 80:
            yield Objection("play.name", "A play's name has 1 to 80 characters.")
        elif str(name) in dossier.play_names:
            yield Objection("play.exists", f"There is a play “{name}” already; choose another name.")
    predecessor = request.get("predecessor")
    if predecessor is not None and predecessor.stage is not Stage.KILLED:
        yield Objection("play.predecessor", f"{predecessor.code} is not killed; only a killed play has a successor.")


# --- qualify -----------------------------------------------------------------------------------------------------


def assign_role(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """Roles are given freely until the lock, then by the sponsor; no builder validates, no validator builds."""
    yield from _enrolled(dossier, request)
    if dossier.locked:
        yield from held_by(dossier, actor, Role.SPONSOR)
    role, person = request.get("role"), request.get("person")
    if role is Role.VALIDATOR:
        yield from never_built(dossier, person, "role.validator_built")
        if person is not None and person == dossier.roles.get(Role.DRIVER):
            yield Objection("role.driver_validates", f"{person} drives this play; the validator must be somebody else.")
    if role is Role.DRIVER and person is not None and person == dossier.roles.get(Role.VALIDATOR):
        yield Objection("role.driver_validates", f"{person} validates this play; the driver must be somebody else.")


def never_built(dossier: Dossier, person: str | None, rule: str) -> Iterator[Objection]:
    """Whoever ever built in a play can never sign it off."""
    if person is not None and person in dossier.builders:
        deeds = ", ".join(dossier.builders[person]).replace("_", " ")
        yield Objection(
            rule, f"{person} built in this play ({deeds}), so somebody else must validate; this cannot be undone."
        )


def fill_worksheet(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The driver or the sponsor fills in the trigger's numbers."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)
    if dossier.play is None or "values" not in request:
        return
    kind = dossier.play.kind
    known = {question.name for question in (*economics.WORKSHEET[kind], *economics.BESIDES[kind])}
    for name, value in request["values"].items():
        if name not in known:
            yield Objection(
                "worksheet.unknown",
                f"A {dossier.play.kind.value} play has no “{name}”; it asks for {', '.join(sorted(known))}.",
            )
        elif _number(value) is None:
            yield Objection("worksheet.number", f"“{value}” is no number for {name}; write it like 1200 or 0.45.")


def _number(value: object) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def worksheet_numbers(dossier: Dossier) -> dict[str, Decimal]:
    """Give the trigger's numbers that can be read as numbers."""
    read = {name: _number(row.value) for name, row in dossier.worksheet.items()}
    return {name: number for name, number in read.items() if number is not None}


def trigger(dossier: Dossier) -> Iterator[Objection]:
    """The trigger's numbers are there, and hold."""
    if dossier.play is not None:
        for sentence in economics.trigger_holds(dossier.play.kind, worksheet_numbers(dossier)):
            yield Objection("trigger.holds", sentence)


def qualify(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """A play qualifies when the numbers of its trigger hold; else mend the numbers or kill the play."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)
    yield from trigger(dossier)


# --- gate --------------------------------------------------------------------------------------------------------


def edit_gate(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The draft of the gate is the driver's and the sponsor's to write."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)


def lock_gate(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The sponsor locks a gate that can pass and can fail, once all four roles are named and somebody can validate."""
    yield from held_by(dossier, actor, Role.SPONSOR)
    for role in Role:
        if role not in dossier.roles:
            yield Objection(
                "roles.missing",
                f"Nobody is the {role.value} yet; name one: `distill-tui role {_code(dossier)} {role.value} PERSON`.",
            )
    yield from trigger(dossier)
    if dossier.gate is None or dossier.play is None:
        yield Objection("gate.unreadable", dossier.gate_trouble or "There is no gate yet; write one with `gate edit`.")
        return
    for sentence in gates.problems(dossier.gate, dossier.play.kind, dossier.play.task):
        yield Objection("gate.problem", sentence)
    if dossier.play.kind is PlayKind.STABILITY:
        yield from terms_unclear(dossier)
    if "expected" in request and request["expected"] != gates.digest(dossier.gate):
        yield Objection("gate.moved", "The gate was edited after you opened it; read it again before you lock it.")
    yield from proved(dossier, actor, request, "gate.weak")
    yield from can_validate(dossier)
    yield from provable(dossier)
    yield from priced(dossier)


def segment_shares(dossier: Dossier) -> dict[str, float] | None:
    """Say from the imported traffic how large each segment is; None where there is no traffic yet."""
    rows: dict[str, int] = {}
    for traffic in dossier.traffic:
        for pair in _stored(traffic.report).get("segments") or ():
            if isinstance(pair, list) and len(pair) == 2:
                rows[str(pair[0])] = rows.get(str(pair[0]), 0) + int(_measured(pair[1]))
    total = sum(rows.values())
    return {name: count / total for name, count in rows.items()} if total else None


def provable(dossier: Dossier) -> Iterator[Objection]:
    """A segment whose rows could not prove its criterion at their best is merged, filled, or only watched."""
    shares = segment_shares(dossier)
    for note in gates.power(dossier.gate, segment_shares=shares) if dossier.gate is not None and shares else ():
        if note.criterion.counts and not note.possible and note.scope.startswith(gates.SEGMENT):
            yield Objection(
                "gate.unprovable",
                f"{note.sentence} By the traffic imported so far: merge the segment, import more of it, or write it a "
                "criterion of its own with watch_only and the reason.",
            )


def priced(dossier: Dossier) -> Iterator[Objection]:
    """A range of a price holds the worksheet's number, which is the likeliest one."""
    numbers = worksheet_numbers(dossier)
    for each in dossier.gate.ranges if dossier.gate is not None else ():
        likeliest = numbers.get(each.name)
        if likeliest is None or not each.low <= likeliest <= each.high:
            yield Objection(
                "gate.range",
                f"The range of {each.name} goes from {each.low} to {each.high}, and the worksheet says "
                f"{'nothing' if likeliest is None else likeliest}; the range must hold the worksheet's number.",
            )


LOCK_FACTS = ("methods", "teacher", "segments", "numbers", "roles")


def lock_facts(dossier: Dossier) -> dict[str, Any]:
    """Say what a lock fixes besides the gate itself: nothing of it may move afterwards."""
    play, shares = dossier.play, segment_shares(dossier)
    methods = gates.methods(dossier.gate) if dossier.gate is not None else {}
    teacher = {"source": play.teacher_source, "name": play.teacher_name, "digest": play.teacher_digest} if play else {}
    return {
        "methods": {metric.value: said for metric, said in sorted(methods.items())},
        "teacher": teacher if play is not None and play.teacher_source else {},
        "segments": {name: f"{share:.4f}" for name, share in sorted((shares or {}).items())},
        "numbers": {name: [row.value, row.source, row.at] for name, row in sorted(dossier.worksheet.items())},
        "roles": {role.value: person for role, person in sorted(dossier.roles.items())},
    }


def locked_facts(dossier: Dossier) -> dict[str, Any]:
    """Give what was fixed at the lock; nothing before it."""
    row = dossier.gate_row
    return _stored(row.facts) if row is not None and row.locked_at is not None else {}


def terms_unclear(dossier: Dossier) -> Iterator[Objection]:
    """Somebody read the provider's terms, and they permit training on outputs."""
    terms = dossier.terms
    if terms is None:
        yield Objection(
            "terms.unconfirmed",
            "Nobody has recorded what the provider's terms say of training on outputs; read them, then "
            f"`distill-tui terms {_code(dossier)} --provider NAME --terms-version TEXT --dated DATE --permitted`.",
        )
    elif not terms.permits:
        yield Objection(
            "terms.forbid",
            f"The terms of {terms.provider} ({terms.version}, {terms.dated}) do not permit training on outputs, as "
            f"{terms.checked_by} read them; change the teacher, or kill the play.",
        )


def confirm_terms(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The driver or the sponsor records which terms were read, of what date, and what they permit."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)
    for name in ("provider", "version"):
        if name in request and not 1 <= len(str(request[name]).strip()) <= 200:
            yield Objection("terms.words", f"The {name} of the terms has 1 to 200 characters; write it down.")
    if "dated" in request and not _is_date(str(request["dated"])):
        yield Objection("terms.date", f"“{request['dated']}” is no date of the terms; write it like 2026-11-24.")


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def can_validate(dossier: Dossier) -> Iterator[Objection]:
    """The validator can prove who they are as strongly as the gate asks, and has never built here."""
    validator = dossier.roles.get(Role.VALIDATOR)
    if validator is None or dossier.gate is None:
        return
    yield from never_built(dossier, validator, "gate.nobody_validates")
    if validator == dossier.roles.get(Role.DRIVER):
        yield Objection("gate.nobody_validates", f"{validator} drives this play; name another validator.")
    least = least_proof(dossier)
    has_key = any(k.person_id == validator and k.revoked_at is None for k in dossier.keys)
    has_account = any(a.person_id == validator for a in dossier.accounts)
    if not has_key and (not has_account or least.strength >= Assurance.SESSION.strength):
        yield Objection(
            "gate.nobody_validates",
            f"{validator} has no way to sign as strongly as this gate asks ({least.value}); add their SSH key with "
            f"`distill-tui key add {validator} FILE.pub`.",
        )


def gate_untouched(dossier: Dossier) -> Iterator[Objection]:
    """The locked gate is what was locked."""
    if dossier.gate_trouble:
        yield Objection("gate.touched", dossier.gate_trouble)
    locked = dossier.gate_row.digest if dossier.gate_row else None
    for facts in dossier.statements:
        if facts.row.kind == "gate" and (facts.trouble or facts.about("gate") != locked):
            yield Objection("gate.touched", facts.trouble or "The gate is not the one that its lock was signed for.")


# --- data --------------------------------------------------------------------------------------------------------


def import_traffic(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The driver brings traffic in; the same file, read the same way, comes in once."""
    yield from held_by(dossier, actor, Role.DRIVER)
    if any(
        t.source_digest == request.get("source_digest") and t.mapping == request.get("mapping") for t in dossier.traffic
    ):
        yield Objection("traffic.twice", f"“{request.get('name')}” was imported already; nothing was added.")
    yield from _too_many_rejects(request)
    leaks = sum(request.get("held_out", {}).values()) if request.get("variations") else 0
    if leaks:
        yield Objection(
            "variation.leak",
            f"{leaks:,} of the variations belong with held-out rows, so none is taken in; have others written.",
        )
    yield from _not_frozen(dossier)


def _too_many_rejects(request: Request) -> Iterator[Objection]:
    rejects, rows, most = (request.get(name) for name in ("rejects", "rows", "most_rejects"))
    if rejects is None or rows is None or most is None or rejects <= most * (rejects + rows):
        return
    reasons = "; ".join(f"{reason} ({count:,})" for reason, count in request.get("reasons", ())[:3])
    yield Objection(
        "traffic.rejects",
        f"{rejects:,} of the {rejects + rows:,} rows of “{request.get('name')}” cannot be used, more than the "
        f"{most:.4g} that you allow: {reasons}. Mend the file, or allow more with --most-rejects.",
    )


def _not_frozen(dossier: Dossier) -> Iterator[Objection]:
    if dossier.data_set is not None and dossier.data_set.frozen_at is not None:
        yield Objection("data.frozen", "The data set of this round is frozen and never changes; iterate for another.")


def set_teacher(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The driver names the teacher before the data are frozen; one that the lock names stays."""
    yield from held_by(dossier, actor, Role.DRIVER)
    locked = locked_facts(dossier).get("teacher")
    named = {"source": request.get("source"), "digest": request.get("teacher")}
    known = locked if isinstance(locked, dict) else {}
    if "teacher" in request and known and named != {name: known.get(name) for name in named}:
        yield Objection(
            "gate.teacher",
            f"The gate was locked against the teacher “{known.get('name')}”; another one is another play.",
        )
    yield from _fitting(dossier, request)
    yield from _not_frozen(dossier)
    yield from _idle(dossier)


def _fitting(dossier: Dossier, request: Request) -> Iterator[Objection]:
    """A teacher chooses among labels, or it writes its answers, as the play's task is."""
    if dossier.play is None or "chooses" not in request:
        return
    chooses, code = request["chooses"], _code(dossier)
    if dossier.play.task is Task.GENERATION and chooses:
        yield Objection(
            "teacher.chooses",
            f"{code} is a generation play, and this teacher chooses among labels; take --recorded, an endpoint or a "
            "causal model (--prompted), without --labels.",
        )
    if dossier.play.task is Task.CLASSIFICATION and not chooses:
        yield Objection(
            "teacher.no_labels",
            f"{code} is a classification play, and this teacher was given no labels; name them with --labels a,b,c.",
        )


def _idle(dossier: Dossier) -> Iterator[Objection]:
    busy = next((r for r in dossier.runs if r.status.active and r.kind is not RunKind.OBSERVE), None)
    if busy is not None:
        yield Objection(
            "run.active",
            f"Run {busy.id} ({busy.kind.value}) is {busy.status.value}; wait for it, or stop it with "
            f"`distill-tui train stop {_code(dossier)} --run {busy.id}`.",
        )


def _teacher(dossier: Dossier) -> Iterator[Objection]:
    if dossier.play is not None and not dossier.play.teacher_source:
        yield Objection(
            "teacher.none",
            f"There is no teacher yet; name one: `distill-tui teacher {_code(dossier)} --recorded`, or a model folder.",
        )


def _some_traffic(dossier: Dossier) -> Iterator[Objection]:
    if not dossier.traffic:
        yield Objection(
            "traffic.none", f"There is no traffic yet; `distill-tui import {_code(dossier)} FILE` brings it in."
        )


def label(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """A worker asks a local teacher; recorded outputs are there already."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from _some_traffic(dossier)
    yield from _teacher(dossier)
    yield from _not_frozen(dossier)
    if dossier.play is not None and dossier.play.teacher_source == "recorded":
        yield Objection(
            "teacher.recorded", "The teacher's outputs are recorded in the traffic; there is nothing to compute."
        )
    yield from _writes(dossier, request)
    yield from _budget(dossier, request)
    yield from _tried(dossier, request)
    yield from _idle(dossier)


def _writes(dossier: Dossier, request: Request) -> Iterator[Objection]:
    """Variations are written by a teacher that can write, of rows that are not held out."""
    if dossier.play is None or not request.get("vary"):
        return
    if dossier.play.teacher_source not in ("", "recorded", "endpoint", "prompted"):
        yield Objection(
            "teacher.cannot_write",
            f"{dossier.play.teacher_name} is a classifier and cannot write; variations need an endpoint, or a causal "
            "model that is asked in words (--prompted).",
        )
    if request.get("sealed"):
        rows = ", ".join(str(row) for row in request["sealed"])
        yield Objection(
            "variation.sealed",
            f"Row {rows} is held out, and no writer of training data ever reads it; name rows of training or "
            "validation.",
        )


def _tried(dossier: Dossier, request: Request) -> Iterator[Objection]:
    """A teacher that is paid is tried on one row first, in the words of the run; that answer is not paid for again."""
    limits = request.get("limits", {})
    paid = "budget" in limits and any(_number(limits.get(name, 0)) != 0 for name in ("price_in", "price_out"))
    if dossier.play is None or request.get("tried", True) or not paid:
        return
    command = "data vary" if request.get("vary") else "label"
    yield Objection(
        "teacher.untried",
        f"{dossier.play.teacher_name} has answered nothing in these words yet, and it is paid; try one row first, "
        f"which is kept: `distill-tui {command} {_code(dossier)} --estimate` with the same budget and prices.",
    )


def _budget(dossier: Dossier, request: Request) -> Iterator[Objection]:
    """Whoever has an endpoint asked says what it may cost."""
    if dossier.play is None or dossier.play.teacher_source != "endpoint" or "limits" not in request:
        return
    missing = [name for name in ("budget", "price_in", "price_out") if name not in request["limits"]]
    if missing:
        yield Objection(
            "teacher.budget",
            f"{dossier.play.teacher_name} is asked for money: say {', '.join(missing)}, with the prices of a million "
            f"tokens, 0 where it is free; `distill-tui label {_code(dossier)} --estimate` asks one row first.",
        )


def labelled(dossier: Dossier) -> bool:
    """Whether the teacher has answered all the traffic that there is."""
    play = dossier.play
    if play is None or not play.teacher_source:
        return False
    if play.teacher_source == "recorded":
        return True
    wanted = {traffic.artifact for traffic in dossier.traffic}
    for run in dossier.runs:
        if run.kind is RunKind.LABEL and run.status is RunStatus.FINISHED:
            result = _stored(run.result)
            files = result.get("traffic")
            if (
                result.get("teacher") == play.teacher_digest
                and isinstance(files, list)
                and all(w in files for w in wanted)
            ):
                return True
    return False


def _stored(column: str) -> dict[str, Any]:
    """Read a JSON column of the project file; what is no JSON, or no object, says nothing."""
    try:
        value = json.loads(column)
    except (ValueError, TypeError, RecursionError):  # another program wrote it
        return {}
    return value if isinstance(value, dict) else {}


def _measured(value: object) -> float:
    """Read a number that a worker reported; what is none counts as nothing."""
    return float(value) if isinstance(value, int | float) else 0.0


def build_data(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """A data set is built from traffic that the teacher has answered."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from _some_traffic(dossier)
    yield from _teacher(dossier)
    yield from _not_frozen(dossier)
    yield from gate_untouched(dossier)
    if dossier.play is not None and dossier.play.teacher_source and not labelled(dossier):
        yield Objection(
            "teacher.unasked",
            f"The teacher has not answered all the traffic; run `distill-tui label {_code(dossier)}`.",
        )
    yield from _idle(dossier)


def findings(dossier: Dossier) -> list[dict[str, str]]:
    """What the audit of this round's data set found: `id`, `level`, `says`, and `accepted`, a reason or nothing."""
    if dossier.data_set is None:
        return []
    reasons = {(a.finding, a.says): a.reason for a in dossier.accepted if a.round == dossier.data_set.round}
    found = _stored(dossier.data_set.counts).get("findings")
    whole = [each for each in found if _is_finding(each)] if isinstance(found, list) else []
    return [each | {"accepted": reasons.get((each["id"], each["says"]), "")} for each in whole]


def _is_finding(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in ("id", "level", "says"))


def open_findings(dossier: Dossier) -> list[dict[str, str]]:
    """What of it nobody has accepted."""
    return [each for each in findings(dossier) if not each["accepted"]]


def accept_findings(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The driver accepts what the audit found, knowingly and with a reason; the rest is mended."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from _not_frozen(dossier)
    still = [each["id"] for each in open_findings(dossier)]
    if not still:
        yield Objection("finding.none", f"{_code(dossier)} has no finding that is open; `data show` lists all.")
    for name in request.get("findings", ()):
        if still and name not in still:
            yield Objection("finding.unknown", f"“{name}” is no open finding; there are {', '.join(still[:12])}.")
    yield from _reason(request, "Accepting a finding")


def freeze_data(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """A data set is frozen when its held-out split is as large as the gate was promised, and nothing leaks."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from _not_frozen(dossier)
    if dossier.data_set is None or dossier.gate is None:
        yield Objection("data.none", f"There is no data set yet; `distill-tui data build {_code(dossier)}` makes one.")
        return
    counted = _stored(dossier.data_set.counts).get("splits")
    splits = counted if isinstance(counted, dict) else {}
    held_out = int(_measured(splits.get("held-out")))
    if held_out < dossier.gate.held_out_rows and dossier.data_set.round == dossier.first_round:
        yield Objection(
            "data.held_out",
            f"The held-out split has {held_out:,} rows; the locked gate was promised {dossier.gate.held_out_rows:,}: "
            "import more traffic.",
        )
    for split in ("train", "validation"):
        if not splits.get(split):
            yield Objection("data.empty", f"The {split} split is empty; import more traffic.")
    for leak in request.get("leaks", ()):
        yield Objection("data.leak", str(leak))
    for each in open_findings(dossier):
        if each["level"] == "must":
            accept = f"`distill-tui data accept {_code(dossier)} {each['id']} -m WHY`"
            yield Objection("data.finding", f"{each['says']} Mend it, or accept it: {accept}.")


def open_row(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """A held-out row is opened knowingly, by somebody of this play; a builder who opens one burns it."""
    if actor.person not in dossier.roles.values() and actor.person not in dossier.builders:
        yield Objection(
            "held_out.sealed",
            f"Held-out rows are sealed; {actor.person} has no role in {_code(dossier)} to open one by.",
        )
    if dossier.data_set is None or dossier.data_set.frozen_at is None:
        yield Objection("data.not_frozen", "The data set of this round is not frozen, so it has no held-out row yet.")
    if "row" in request and not request.get("held_out"):
        yield Objection(
            "held_out.none",
            f"Row {request['row']} is no held-out row of this round's data set; `data show` counts them.",
        )
    if "burn" in request and not request["burn"] and actor.person in dossier.builders:
        yield Objection(
            "held_out.burns",
            f"{actor.person} built in this play, so opening row {request.get('row')} burns it and its near duplicates: "
            "they no longer count in an evaluation and move to validation with the next data set. Say so with --burn.",
        )


# --- train -------------------------------------------------------------------------------------------------------


def start_run(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """Training starts on a frozen data set, one run of a play at a time."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from gate_untouched(dossier)
    if dossier.data_set is None or dossier.data_set.frozen_at is None:
        yield Objection("data.not_frozen", "The data set is not frozen; freeze it first.")
    yield from _idle(dossier)
    spec = request.get("spec")
    if spec is not None and spec.problem():
        yield Objection("spec.problem", spec.problem())
    elif spec is not None and dossier.play is not None and spec.generates != (dossier.play.task is Task.GENERATION):
        kinds = ", ".join(f"student={kind}" for kind in StudentKind if kind.generates != spec.generates)
        yield Objection(
            "spec.task",
            f"{_code(dossier)} is a {dossier.play.task.value} play, and a student of kind {spec.student} "
            f"{'writes its answers' if spec.generates else 'chooses among labels'}; take one of {kinds}.",
        )
    elif spec is not None and spec.generates:
        return  # what feeds it are texts; the worker sees in its first second whether there are any
    elif spec is not None and suits(dossier) is not StudentKind.LAYERS and spec.needs_layers:
        yield Objection(
            "spec.no_layers",
            "The teacher's outputs are recorded, so there are no layers of it for a student to start from; train "
            "another kind, like student=static or student=ngram.",
        )
    elif spec is not None and "soft_rows" in request:
        yield from _fed(spec, request["soft_rows"], dossier)


def _fed(spec: Any, soft_rows: int, dossier: Dossier) -> Iterator[Objection]:
    """A term of the teacher's that no row feeds would teach nothing."""
    for name in spec.soft_terms if not soft_rows else ():
        yield Objection(
            "spec.silent",
            f"{name} is {getattr(spec, name):g}, and no training row has the teacher's probabilities, so that nothing "
            f"would be learnt from it; give {name}=0 to train on labels alone: `distill-tui train {_code(dossier)} "
            f"{name}=0`.",
        )


def suits(dossier: Dossier) -> StudentKind:
    """The kind of student that a play trains where none is named: the teacher's own layers, where it has them."""
    if dossier.play is not None and dossier.play.task is Task.GENERATION:
        return StudentKind.TAGGER
    local = dossier.play is not None and dossier.play.teacher_source == "local"
    return StudentKind.LAYERS if local else StudentKind.STATIC


def stop_run(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """Whoever started a run, or the driver, stops it."""
    run = dossier.run(request["run"]) if "run" in request else next((r for r in dossier.runs if r.status.active), None)
    if run is None:
        yield Objection("run.none", f"{_code(dossier)} has no run that could be stopped.")
    elif not run.status.active:
        yield Objection("run.ended", f"Run {run.id} is {run.status.value} already.")
    elif actor.person != run.started_by:
        yield from held_by(dossier, actor, Role.DRIVER)


_STARTS = {
    RunKind.LABEL: Action.LABEL,
    RunKind.TRAIN: Action.START_RUN,
    RunKind.EVALUATE: Action.EVALUATE,
    RunKind.REPRODUCE: Action.REPRODUCE,
    RunKind.OBSERVE: Action.OBSERVE,
    RunKind.REHEARSE: Action.REHEARSE,
}


def resume_run(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """A run that ended early goes on from its last checkpoint, for whoever started it."""
    run = dossier.run(request["run"]) if "run" in request else resumable(dossier)
    if run is None:
        yield Objection("run.none", f"{_code(dossier)} has no run that could be resumed.")
        return
    if run.status not in (RunStatus.STOPPED, RunStatus.FAILED, RunStatus.LOST):
        yield Objection(
            "run.not_resumable", f"Run {run.id} is {run.status.value}; only a stopped, failed or lost run resumes."
        )
    if dossier.play is not None and run.round != dossier.play.round and run.kind is not RunKind.OBSERVE:
        yield Objection(
            "run.old_round", f"Run {run.id} belongs to round {run.round}; this is round {dossier.play.round}."
        )
    elif dossier.play is not None and (dossier.play.stage, _STARTS[run.kind]) not in NEXT_STAGE:
        yield Objection(
            "run.old_stage",
            f"Run {run.id} ({run.kind.value}) served an earlier stage; {_code(dossier)} stands at "
            f"{dossier.play.stage.value}, so let it rest and see the next step with `distill-tui next`.",
        )
    if actor.person != run.started_by:
        yield Objection("run.foreign", f"{run.started_by} started run {run.id} and resumes it; you may start your own.")
    yield from _one_look(dossier) if run.kind is RunKind.EVALUATE else ()
    yield from _unobserved(dossier) if run.kind is RunKind.OBSERVE else _idle(dossier)


def resumable(dossier: Dossier) -> tables.Run | None:
    """The newest run of this round and stage that ended early; one that observes is resumed by its feed."""
    play, ended = dossier.play, (RunStatus.STOPPED, RunStatus.FAILED, RunStatus.LOST)
    if play is None:
        return None
    of_round = [r for r in dossier.runs if r.round == play.round and r.status in ended]
    of_stage = [r for r in of_round if r.kind is not RunKind.OBSERVE and (play.stage, _STARTS[r.kind]) in NEXT_STAGE]
    return of_stage[-1] if of_stage else None


def trained(dossier: Dossier) -> list[tables.Run]:
    """The students of this round, best on validation first."""
    if dossier.play is None:
        return []
    done = [
        r
        for r in dossier.runs
        if r.kind is RunKind.TRAIN and r.status is RunStatus.FINISHED and r.round == dossier.play.round and r.artifact
    ]
    return sorted(done, key=lambda r: -_measured(_stored(r.result).get("validation_score")))


def findings_of(run: tables.Run) -> list[str]:
    """What a training says of its arms and its probe, on the validation rows."""
    found = _stored(run.result).get("findings")
    return [str(each) for each in found] if isinstance(found, list) else []


def _one_look(dossier: Dossier) -> Iterator[Objection]:
    if dossier.evaluation is not None:
        yield Objection(
            "held_out.looked", "This round has had its one look at the held-out split; iterate for another."
        )
    if dossier.gate is not None and len(dossier.looks) >= dossier.gate.rounds:
        yield Objection(
            "rounds.spent",
            f"All {dossier.gate.rounds} looks that the gate allows are spent; the way on is to kill the play.",
        )


def evaluate(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The driver spends the round's one look at the held-out split on one trained student."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from gate_untouched(dossier)
    yield from _one_look(dossier)
    yield from _idle(dossier)
    if not trained(dossier):
        yield Objection(
            "run.untrained", f"There is no trained student yet; `distill-tui train {_code(dossier)}` makes one."
        )
    elif "run" in request and request["run"] not in [r.id for r in trained(dossier)]:
        yield Objection("run.unknown", f"Run {request['run']} is no finished training run of this round.")


def reproduce(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The validator may run the evaluation again; that makes nobody a builder."""
    yield from held_by(dossier, actor, Role.VALIDATOR)
    yield from _idle(dossier)
    if dossier.evaluation is None:
        yield Objection("evaluation.none", "There is no evaluation to reproduce.")


def record_evaluation(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The worker's evaluation counts for the gate and data that are current, once a round."""
    yield from run_of_worker(dossier, actor, request)
    yield from gate_untouched(dossier)
    yield from _one_look(dossier)


# --- decide ------------------------------------------------------------------------------------------------------


def roster(dossier: Dossier) -> dict[str, Any]:
    """Say who the persons of this play are: their roles, and every account and key that proves them."""
    people = sorted({*dossier.roles.values(), *dossier.builders})
    return {
        "roles": {role.value: person for role, person in sorted(dossier.roles.items())},
        "people": {
            person: {
                "accounts": sorted(a.uid for a in dossier.accounts if a.person_id == person),
                "keys": sorted(f"{k.kind} {k.blob}" for k in dossier.keys if k.person_id == person),
            }
            for person in people
        },
    }


def covers(dossier: Dossier) -> dict[str, Any]:
    """Name everything that a sign-off is given for; whatever changes it makes the sign-off stale."""
    play, evaluation, data = dossier.play, dossier.evaluation, dossier.data_set
    return {
        "project": dossier.project.uid if dossier.project else "",
        "play": play.id if play else 0,
        "round": play.round if play else 0,
        "gate": (dossier.gate_row.digest if dossier.gate_row else None) or "",
        "data": data.digest if data else "",
        "model": evaluation.model if evaluation else "",
        "evaluations": [e.record for e in dossier.round_evaluations],
        "verdict": "passed" if dossier.passed else "missed",
        "roles": {role.value: person for role, person in sorted(dossier.roles.items())},
        "roster": digest_of(canonical(roster(dossier))),
        "builders": sorted(dossier.builders),
        "spot_check": spot_checks.summary(counted.content if (counted := counted_spot_check(dossier)) else None),
    }


def counted_spot_check(dossier: Dossier) -> tables.SpotCheck | None:
    """The validator's newest blind spot check of this round's evaluation that holds what was drawn."""
    validator, record = dossier.roles.get(Role.VALIDATOR), dossier.record
    for row in reversed(dossier.spot_checks):
        if record is not None and dossier.evaluation is not None and row.person_id == validator:
            same = row.evaluation == dossier.evaluation.record
            if same and not spot_checks.trouble(record, row.person_id, row.content):
                return row
    return None


def spot_check(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The validator judges what was drawn, all of it, and at least as much as the gate says."""
    yield from held_by(dossier, actor, Role.VALIDATOR)
    yield from never_built(dossier, actor.person, "sign_off.builder")
    if dossier.evaluation is None or dossier.record is None:
        yield Objection("evaluation.none", "There is no evaluation whose answers could be judged.")
    elif "content" in request:
        wrong = spot_checks.trouble(dossier.record, str(actor.person), request["content"])
        if wrong:
            yield Objection("spot_check.wrong", wrong)
        elif spot_checks.result(request["content"])["judged"] < answers_to_judge(dossier):
            yield Objection(
                "spot_check.short",
                f"The gate asks for {answers_to_judge(dossier)} answers judged blind; judge them all.",
            )


def answers_to_judge(dossier: Dossier) -> int:
    """How many answers the gate wants judged, as far as there are any that can be."""
    if dossier.gate is None or dossier.record is None:
        return 0
    return min(dossier.gate.minimum_spot_check, sum(teacher >= 0 for teacher in dossier.record.teacher))


def spot_checked(dossier: Dossier) -> Iterator[Objection]:
    """The validator has judged as many answers blind as the gate says."""
    counted = counted_spot_check(dossier)
    done = spot_checks.result(counted.content)["judged"] if counted else 0
    if done < answers_to_judge(dossier):
        validator = dossier.name(dossier.roles.get(Role.VALIDATOR))
        yield Objection(
            "spot_check.missing",
            f"The gate asks for {answers_to_judge(dossier)} held-out answers judged blind before a sign-off; "
            f"{validator} has judged {done}: `distill-tui spotcheck {_code(dossier)}`.",
        )


def gate_holds(dossier: Dossier) -> Iterator[Objection]:
    """Every criterion that counts holds; a point estimate, a tie and a missing measurement do not."""
    if dossier.evaluation is None or not dossier.judgements:
        yield Objection("gate.unmeasured", "There is no evaluation of this round that the gate could be judged by.")
        return
    for judgement in dossier.judgements:
        if judgement.criterion.counts and judgement.verdict != "holds":
            yield Objection(f"gate.{judgement.verdict.value}", judgement.sentence)


def nothing_altered(dossier: Dossier) -> Iterator[Objection]:
    """The log's chain is whole and the files are what their digests say."""
    if dossier.audit_trouble:
        yield Objection("audit.broken", dossier.audit_trouble)
    for trouble in dossier.file_troubles:
        yield Objection("artifact.altered", trouble)


def may_sign(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The validator signs, never having built, proved as strongly as the gate asks."""
    yield from held_by(dossier, actor, Role.VALIDATOR)
    yield from never_built(dossier, actor.person, "sign_off.builder")
    found, least = proof(actor, request), least_proof(dossier)
    if found.strength < least.strength:
        yield Objection(
            "sign_off.weak",
            f"A sign-off counts here that is {least.value} or stronger; yours would be {found.value}: "
            f"{_stronger(least)}{_elsewhere(dossier, actor)}.",
        )
    if dossier.evaluation is None:
        yield Objection("evaluation.none", "There is no evaluation to sign off.")


def sign_off(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The validator approves what is true now, and only what they were shown."""
    yield from may_sign(dossier, actor, request)
    yield from roster_signed(dossier)
    yield from spot_checked(dossier)
    yield from nothing_altered(dossier)
    yield from _unmoved(dossier, request)


def refuse(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The validator refuses, with a reason."""
    yield from may_sign(dossier, actor, request)
    yield from _reason(request, "A refusal")
    yield from _unmoved(dossier, request)


def _unmoved(dossier: Dossier, request: Request) -> Iterator[Objection]:
    if "covers" in request and request["covers"] != covers(dossier):
        what = ", ".join(moved(request["covers"], covers(dossier)))
        yield Objection(
            "sign_off.moved", f"This changed after you opened it: {what}; look at it again before you sign."
        )


def moved(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what a sign-off covers and is not as it was."""
    return [name.replace("_", " ") for name in now if before.get(name) != now[name]]


def _elsewhere(dossier: Dossier, actor: Actor) -> str:
    """In a session there is no key to sign with: it is on the validator's own machine."""
    if actor.assurance is not Assurance.SESSION:
        return ""
    return f", on your own machine: `distill-tui sign --via {actor.address or 'ssh://…'} {_code(dossier)}`"


def _stronger(least: Assurance) -> str:
    if least is Assurance.HARDWARE:
        return "sign with --key, with a hardware key that you touch"
    return "sign with --key" if least is Assurance.SIGNED else "sign over SSH, or with --key"


def withdraw(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """A sign-off or refusal is taken back by who made it, before the ship."""
    own = [s for s in dossier.sign_offs if s.row.person_id == actor.person and not s.withdrawn]
    if not own:
        yield Objection("sign_off.none", "You have no sign-off here that could be taken back.")
    if own and proof(actor, request).strength < min(own[-1].row.assurance.strength, Assurance.SIGNED.strength):
        yield Objection(
            "withdrawal.weak",
            f"What you take back is {own[-1].row.assurance.value}, so taking it back must be, too: "
            f"{_stronger(own[-1].row.assurance)}.",
        )
    yield from _reason(request, "A withdrawal")


def sign_off_troubles(dossier: Dossier, facts: SignOffFacts) -> Iterator[Objection]:
    """Say why a sign-off does not count now. Nothing is stored: this is asked anew each time."""
    who, now = facts.row.person_id, covers(dossier)
    if facts.withdrawn:
        yield Objection("sign_off.withdrawn", f"{who} withdrew the sign-off.")
    if facts.trouble:
        yield Objection("sign_off.broken", facts.trouble)
    for name, value in now.items():
        if facts.covers.get(name) != value:
            yield Objection(
                "sign_off.stale",
                f"The sign-off by {who} is stale: {name.replace('_', ' ')} changed since; {who} must look again.",
            )
    if who in dossier.builders:
        yield from never_built(dossier, who, "sign_off.builder")
    if who != dossier.roles.get(Role.VALIDATOR):
        yield Objection("sign_off.not_validator", f"{who} is not the validator of this play now.")
    least = least_proof(dossier)
    if facts.row.assurance.strength < least.strength:
        yield Objection(
            "sign_off.weak",
            f"The sign-off by {who} is proved by {facts.row.assurance.value} only; {least.value} is asked for: {who} "
            f"signs again: {_stronger(least)}.",
        )


def counting_sign_off(dossier: Dossier) -> SignOffFacts | None:
    """The newest approval that counts now."""
    for facts in reversed(dossier.sign_offs):
        if facts.row.opinion is Opinion.APPROVE and not any(sign_off_troubles(dossier, facts)):
            return facts
    return None


def standing_refusals(dossier: Dossier) -> list[SignOffFacts]:
    """Refusals of this round that their makers have not lifted, by withdrawing or by approving later."""
    latest: dict[str, SignOffFacts] = {}
    for facts in dossier.sign_offs:
        if dossier.play and facts.row.round == dossier.play.round and not facts.withdrawn:
            latest[facts.row.person_id] = facts
    return [facts for facts in latest.values() if facts.row.opinion is Opinion.REFUSE]


def lacks_sign_off(dossier: Dossier, shipper: Actor) -> Iterator[Objection]:
    """Somebody who never built says yes, nobody who may says no, and nobody ships on their own word."""
    for facts in standing_refusals(dossier):
        yield Objection(
            "sign_off.refused",
            f"{facts.row.person_id} refused: “{facts.row.comment}”; only {facts.row.person_id} can lift that.",
        )
    counting = counting_sign_off(dossier)
    if counting is not None:
        if counting.row.person_id == shipper.person:
            yield Objection("sign_off.own", f"{shipper.person} signed this off, so somebody else must ship it.")
        return
    approvals = [f for f in dossier.sign_offs if f.row.opinion is Opinion.APPROVE]
    if approvals:
        yield from sign_off_troubles(dossier, approvals[-1])
    else:
        validator, code = dossier.roles.get(Role.VALIDATOR), _code(dossier)
        does = f"{validator}, the validator, does it: `distill-tui sign {code}`"
        nobody = f"a validator does it, and nobody is one yet: `distill-tui role {code} validator ID`"
        yield Objection("sign_off.missing", f"Nobody has signed this off; {does if validator else nobody}.")


def maintained(dossier: Dossier) -> Iterator[Objection]:
    """A student that ships is watched from its first day."""
    play = dossier.play
    if Role.OPERATOR not in dossier.roles:
        yield Objection("maintenance.operator", "Nobody is the operator; a live student needs an owner.")
    if play is not None and (play.sampling_per_month is None or play.refresh_days is None):
        yield Objection(
            "maintenance.missing",
            "The maintenance loop is not set; say how many calls a month are sampled and how often the student is "
            f"refreshed: `distill-tui maintain {_code(dossier)} --sample 400 --refresh-days 90`.",
        )


def set_maintenance(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The operator or the driver sets how a live student is watched."""
    yield from held_by(dossier, actor, Role.OPERATOR, Role.DRIVER)
    for name in ("sample", "refresh_days"):
        number = request.get(name, 1)
        if not isinstance(number, int) or not 1 <= number <= 100_000_000:
            yield Objection("maintenance.number", f"{name} is {number}; it is a whole number from 1 to 100,000,000.")


def ship(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """A student ships when it holds its locked gate and someone who did not build it says so."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.OPERATOR, Role.SPONSOR)
    yield from gate_untouched(dossier)
    yield from gate_holds(dossier)
    yield from lacks_sign_off(dossier, shipper=actor)
    yield from spot_checked(dossier)
    yield from roster_signed(dossier)
    yield from proved(dossier, actor, request, "ship.weak")
    yield from maintained(dossier)
    yield from rehearsed(dossier)
    yield from nothing_altered(dossier)
    yield from _idle(dossier)


def iterate(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """Another round opens while the gate has rounds left."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)
    yield from _idle(dossier)
    if dossier.play is not None and dossier.gate is not None and dossier.round_of_effort >= dossier.gate.rounds:
        ways = "ship, put a bundle back or kill" if dossier.bundles else "ship or kill"
        yield Objection(
            "rounds.spent",
            f"The gate allows {dossier.gate.rounds} rounds and this is the last; {ways}.",
        )


def kill(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The sponsor or the driver ends a play, and says why."""
    yield from held_by(dossier, actor, Role.SPONSOR, Role.DRIVER)
    yield from _reason(request, "A kill")
    yield from _idle(dossier)


def comment(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """Anyone enrolled may comment."""
    if "text" in request and not 1 <= len(str(request["text"]).strip()) <= 4000:
        yield Objection("comment.length", "A comment has 1 to 4,000 characters.")


# --- live --------------------------------------------------------------------------------------------------------


def rehearse(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The recipe of the student that was judged is run again; whoever only does that has not built."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.OPERATOR, Role.VALIDATOR)
    yield from _idle(dossier)
    if dossier.evaluation is None:
        yield Objection("evaluation.none", "There is no evaluation, so no student whose recipe could be rehearsed.")


def rehearsed(dossier: Dossier) -> Iterator[Objection]:
    """A stability play ships once its retraining path was run, and gave the student that was judged."""
    play, judged = dossier.play, dossier.evaluation
    if play is None or play.kind is not PlayKind.STABILITY or judged is None:
        return
    runs = [r for r in dossier.runs if r.kind is RunKind.REHEARSE and r.student_run == judged.run_id]
    done = [_stored(r.result) for r in runs if r.status is RunStatus.FINISHED]
    if not done:
        yield Objection(
            "rehearsal.missing",
            "A stability play ships only after its retraining path was run, not only written: "
            f"`distill-tui rehearse {_code(dossier)}`.",
        )
    elif not any(result.get("same") for result in done):
        yield Objection(
            "rehearsal.differs",
            "The recipe gave another student than the one that was judged, so nobody could make it again; train with "
            "the same thread count and libraries, and judge that student.",
        )


def shipped(dossier: Dossier) -> Iterator[Objection]:
    """A student is live."""
    if dossier.live is None:
        yield Objection("live.none", f"Nothing of {_code(dossier)} has shipped yet, so there is nothing to watch.")


def observe(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The operator or the driver brings in samples of production; the same file comes in once."""
    yield from held_by(dossier, actor, Role.OPERATOR, Role.DRIVER)
    yield from shipped(dossier)
    yield from _unobserved(dossier)
    if any(f.source_digest == request.get("source_digest") for f in dossier.feeds):
        yield Objection("feed.twice", f"“{request.get('name')}” was observed already; nothing was added.")


def _unobserved(dossier: Dossier) -> Iterator[Objection]:
    busy = next((r for r in dossier.runs if r.status.active and r.kind is RunKind.OBSERVE), None)
    if busy is not None:
        yield Objection("run.observes", f"Run {busy.id} observes already; wait for it to end.")


def acknowledge(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The operator answers an alarm. The ceiling stays what it is: what goes on diverging will alarm again."""
    yield from held_by(dossier, actor, Role.OPERATOR)
    yield from shipped(dossier)
    if dossier.standing is Standing.STEADY:
        yield Objection("watch.steady", "The live student is steady; there is no alarm to acknowledge.")
    yield from _reason(request, "An acknowledgement")


def roll_back(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """The operator or the sponsor puts back a bundle that shipped; a refresh that is under way is put aside."""
    yield from held_by(dossier, actor, Role.OPERATOR, Role.SPONSOR)
    yield from shipped(dossier)
    yield from _idle(dossier)
    others = [b.id for b in dossier.bundles if dossier.refreshing or dossier.live is None or b.id != dossier.live.id]
    if dossier.bundles and not others:
        yield Objection("rollback.none", "There is no other bundle to go back to; open a refresh instead.")
    elif "bundle" in request and request["bundle"] not in others:
        known = ", ".join(str(each) for each in others)
        yield Objection("rollback.unknown", f"Bundle {request['bundle']} cannot be put back; there are: {known}.")
    yield from _reason(request, "A rollback")


def refresh(dossier: Dossier, actor: Actor, request: Request) -> Iterator[Objection]:
    """A round opens from `live`: new held-out rows, a new set of looks, the same locked gate, a new sign-off."""
    yield from held_by(dossier, actor, Role.OPERATOR, Role.DRIVER)
    yield from shipped(dossier)
    yield from gate_untouched(dossier)
    yield from _idle(dossier)
    yield from _unobserved(dossier)
    if actor.person is not None and actor.person == dossier.roles.get(Role.VALIDATOR):
        yield Objection(
            "refresh.validator",
            f"A refresh takes in training data, and {actor.person} validates this play; the driver opens it.",
        )
    yield from _reason(request, "A refresh")


RULES: dict[Action, Callable[[Dossier, Actor, Request], Iterator[Objection]]] = {
    Action.OPEN_PROJECT: open_project,
    Action.ENROL_PERSON: enrol_person,
    Action.ADD_ACCOUNT: add_proof,
    Action.ADD_KEY: add_proof,
    Action.REVOKE_KEY: revoke_key,
    Action.SET_ASSURANCE: set_assurance,
    Action.SIGN_ROSTER: sign_roster,
    Action.SPOT_CHECK: spot_check,
    Action.OPEN_PLAY: open_play,
    Action.ASSIGN_ROLE: assign_role,
    Action.FILL_WORKSHEET: fill_worksheet,
    Action.QUALIFY: qualify,
    Action.EDIT_GATE: edit_gate,
    Action.LOCK_GATE: lock_gate,
    Action.IMPORT_TRAFFIC: import_traffic,
    Action.SET_TEACHER: set_teacher,
    Action.LABEL: label,
    Action.CONFIRM_TERMS: confirm_terms,
    Action.BUILD_DATA: build_data,
    Action.ACCEPT_FINDINGS: accept_findings,
    Action.FREEZE_DATA: freeze_data,
    Action.OPEN_ROW: open_row,
    Action.START_RUN: start_run,
    Action.STOP_RUN: stop_run,
    Action.RESUME_RUN: resume_run,
    Action.EVALUATE: evaluate,
    Action.REPRODUCE: reproduce,
    Action.SIGN_OFF: sign_off,
    Action.REFUSE: refuse,
    Action.WITHDRAW: withdraw,
    Action.SET_MAINTENANCE: set_maintenance,
    Action.SHIP: ship,
    Action.ITERATE: iterate,
    Action.KILL: kill,
    Action.COMMENT: comment,
    Action.REHEARSE: rehearse,
    Action.OBSERVE: observe,
    Action.ACKNOWLEDGE: acknowledge,
    Action.ROLL_BACK: roll_back,
    Action.REFRESH: refresh,
    Action.FINISH_RUN: run_of_worker,
    Action.END_RUN: run_of_worker,
    Action.RECORD_EVALUATION: record_evaluation,
    Action.RECORD_REPRODUCTION: run_of_worker,
    Action.RECORD_OBSERVATIONS: run_of_worker,
}


# --- what next ---------------------------------------------------------------------------------------------------


def next_step(dossier: Dossier) -> Action | None:
    """The one next step of a play."""
    play = dossier.play
    if play is None:
        return None
    if play.stage in _BEFORE_LOCK and len(dossier.roles) < len(Role):
        return Action.ASSIGN_ROLE
    if play.stage is Stage.QUALIFY:
        return Action.FILL_WORKSHEET if any(trigger(dossier)) else Action.QUALIFY
    if play.stage is Stage.GATE:
        return (
            Action.EDIT_GATE
            if dossier.gate is None or gates.problems(dossier.gate, play.kind, play.task)
            else Action.LOCK_GATE
        )
    if play.stage is Stage.DATA:
        return _next_data_step(dossier, play)
    if play.stage is Stage.TRAIN:
        return Action.EVALUATE if trained(dossier) else (Action.RESUME_RUN if resumable(dossier) else Action.START_RUN)
    if play.stage is Stage.DECIDE:
        return _next_decision(dossier)
    if play.stage is Stage.LIVE and (dossier.standing is Standing.ALARM or dossier.overdue):
        return Action.REFRESH
    return None


def _next_data_step(dossier: Dossier, play: tables.Play) -> Action:
    if not dossier.traffic:
        return Action.IMPORT_TRAFFIC
    if not play.teacher_source:
        return Action.SET_TEACHER
    if not labelled(dossier):
        return Action.RESUME_RUN if resumable(dossier) else Action.LABEL
    if dossier.data_set is None:
        return Action.BUILD_DATA
    must = any(each["level"] == "must" for each in open_findings(dossier))
    return Action.ACCEPT_FINDINGS if must else Action.FREEZE_DATA


def _next_decision(dossier: Dossier) -> Action:
    advised, _ = advice(dossier)
    if advised is not Advice.SHIP:
        last = Action.ROLL_BACK if dossier.bundles else Action.KILL  # a refresh that fails leaves what is live
        return Action.ITERATE if advised is Advice.ITERATE else last
    if any(maintained(dossier)):
        return Action.SET_MAINTENANCE
    if any(rehearsed(dossier)):
        return Action.REHEARSE
    if counting_sign_off(dossier):
        return Action.SHIP
    return Action.SPOT_CHECK if any(spot_checked(dossier)) else Action.SIGN_OFF


def advice(dossier: Dossier) -> tuple[Advice, list[str]]:
    """Recommend ship, iterate or kill, with the reasons. A person decides."""
    missing = [o.sentence for o in gate_holds(dossier)]
    if not missing:
        return Advice.SHIP, ["Every criterion of the locked gate holds on the held-out split."]
    gate, play = dossier.gate, dossier.play
    if gate is not None and play is not None and dossier.round_of_effort >= gate.rounds:
        stays = ["The bundle that shipped stays live: put this refresh aside with `rollback`."] if dossier.live else []
        return Advice.KILL, [f"All {gate.rounds} rounds of the gate are spent.", *stays, *missing]
    seen = progress(dossier)
    if seen is not None and seen.outlook.prospect is Prospect.HOPELESS:
        return Advice.KILL, [seen.sentence, *missing]
    left = gate.rounds - dossier.round_of_effort if gate else 0
    gained = [seen.sentence] if seen is not None else []
    rounds = f"{left} of its rounds {'is' if left == 1 else 'are'} left"
    return Advice.ITERATE, [f"The gate is not held and {rounds}.", *gained, *missing]


def progress(dossier: Dossier) -> gates.Progress | None:
    """What the last two rounds brought on the validation split, where there were two and more are left."""
    gate, play = dossier.gate, dossier.play
    looked = [e.run_id for e in dossier.looks]
    if gate is None or play is None or len(looked) < 3:
        return None
    before, after = dossier.validations.get(looked[-3]), dossier.validations.get(looked[-1])
    if before is None or after is None:
        return None
    return gates.progress(gate, before, after, gate.rounds - dossier.round_of_effort)


def waits_for(dossier: Dossier) -> str | None:
    """The person whose turn it is."""
    step = next_step(dossier)
    role = (
        {
            Action.LOCK_GATE: Role.SPONSOR,
            Action.SPOT_CHECK: Role.VALIDATOR,
            Action.SIGN_OFF: Role.VALIDATOR,
            Action.REFRESH: Role.OPERATOR,
            Action.ROLL_BACK: Role.OPERATOR,
        }.get(step, Role.DRIVER)
        if step is not None
        else None
    )
    return dossier.roles.get(role) if role is not None else None


FIRST_PLAY = (
    "Begin with a cost play: its trigger is a number that you already pay, its gate compares with the teacher that you "
    "have, and its payback shows within weeks."
)


def _code(dossier: Dossier) -> str:
    return dossier.play.code if dossier.play is not None else "PLAY"
