"""Who could append each entry of the audit log: the log is replayed, and the rules are asked at every entry.

The rules change from release to release, so only objections about authority count (`AUTHORITY`): who is enrolled, which
role and stage, separation of duties. What was measured is judged again at a ship only, by the locked methods.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Any

from distill_tui.digests import digest_of
from distill_tui.rules import entities, requests, serving_mode
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, ProjectDossier, read_list
from distill_tui.rules.objection import Objection
from distill_tui.rules.permission import objections
from distill_tui.rules.state_machine import NEXT_STAGE
from distill_tui.rules.training import OF_DATA
from distill_tui.store import audit_log, deciding, fold, lineage, may_write, rows, rows_as_said, signed_entries
from distill_tui.store.records import read_gate
from distill_tui.store.rows_as_said import Changed
from distill_tui.terms import DRAFTS, Action, Assurance, Role, RunKind, Stage

AUTHORITY = (
    *("identity.", "role.", "roles.", "roster.keeper", "roster.unsigned", "stage.", "session.host_built"),
    *("sign_off.builder", "sign_off.not_validator", "gate.nobody_validates", "gate.locked", "refresh.validator"),
    *("key.", "account.", "assurance.", "person.", "separation.", "audit.restored"),
    *("live.none", "serve.untrusted", "serve.unsigned", "serve.withdrawn", "serve.revoked"),
    *("rounds.spent", "held_out.looked", "rollback.", "suspend.", "resume.", "objection.none"),
)
AT_A_SHIP = ("sign_off.", "gate.")  # counted too, where the records are there

ROUNDS = (Action.ITERATE, Action.REFRESH)  # that begin a round
_RECORDS: dict[RunKind, tuple[Action, ...]] = {  # what only a worker reports, by the kind of its run
    RunKind.EVALUATE: (Action.RECORD_EVALUATION,),
    RunKind.REPRODUCE: (Action.RECORD_REPRODUCTION,),
    RunKind.OBSERVE: (Action.RECORD_OBSERVATIONS, Action.NOTE_ALARM),
}
WORKERS = _RECORDS | {kind: (action,) for kind, action in OF_DATA.items()}  # what a worker reports; any run may end
_ENDS = (Action.FINISH_RUN, Action.END_RUN)
WORKERS_ONLY = {*_ENDS, *chain.from_iterable(_RECORDS.values())}
_PROOF = re.compile(
    r"account uid (?P<uid>\d+)|(?:session (?:of (?P<host>[a-z0-9_-]+)'s account, )?)?key (?P<key>SHA256:\S+)"
    r"|worker of run (?P<run>\d+)"
)

Judge = Callable[[PlayDossier], PlayDossier]  # add verdicts to a dossier, where the records can be read


@dataclass
class _Play:
    """What the log says of a play so far."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)  # table → key → entity
    logged: audit_log.Logged = field(default_factory=audit_log.Logged)
    dossier: PlayDossier | None = None  # as these rows say; None: not made yet


@dataclass
class Replay:
    """The state of a replay: everything that the entries so far wrote, and what was wrong with them."""

    fold: fold.Fold = field(default_factory=fold.Fold)
    size: int = 0
    head: str = ""
    troubles: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    judge: Judge = lambda dossier: dossier
    _of_project: dict[str, dict[str, Any]] = field(default_factory=dict)
    _plays: dict[int, _Play] = field(default_factory=dict)
    _project: ProjectDossier | None = None
    _roster: audit_log.Logged = field(default_factory=audit_log.Logged)  # what project entries say
    _accepting: list[entities.AuditEntry] = field(default_factory=list)  # that accept a restored file
    _enrolled: int | None = None  # the first entry that enrolled a person
    _guards: rows_as_said.Guards = field(default_factory=rows_as_said.Guards)
    _used: set[str] = field(default_factory=set)  # digests of the statements so far: each counts once

    def take(self, entry: entities.AuditEntry) -> None:
        """Add an entry: check the chain, then who appended it, then what it wrote."""
        if entry.seq != self.size + 1:
            self.troubles.append(f"The audit log breaks at entry {self.size + 1}: it is missing.")
        elif entry.previous != self.head or entry.digest != audit_log.entry_digest(entry):
            self.troubles.append(f"The audit log breaks at entry {entry.seq} ({entry.action.value}): it was altered.")
        self.size, self.head = entry.seq, entry.digest
        self.digests.append(entry.digest)
        try:
            changed = fold.written(entry)
            self._see(entry, changed)
            self.fold.take(entry)
            self._apply(entry, changed)
        except (ValueError, TypeError, KeyError, LookupError) as error:
            self.troubles.append(f"{_entry(entry)} cannot be read: {error}.")

    def head_at(self, size: object) -> str | None:
        """Return the digest of the entry of this number."""
        return self.digests[size - 1] if isinstance(size, int) and 0 < size <= len(self.digests) else None

    # --- who -----------------------------------------------------------------------------------------------------

    def _see(self, entry: entities.AuditEntry, changed: Changed) -> None:
        actor, wrong = self._actor(entry, changed)
        if wrong:
            self._count(entry, wrong)
            return
        if entry.action is Action.OPEN_PROJECT:
            if entry.seq != 1:
                self._count(entry, "the project exists already")
        else:
            for reason in self._reasons(entry, actor, changed):
                self._count(entry, reason.sentence)
        before = rows_as_said.Before(partial(self._known, entry), self.dossier(entry.play_id or 0))
        for trouble in (
            *self._scope(entry, changed),
            *self._moves(entry, changed),
            *self._guards.refusals(changed),
            *rows_as_said.unsaid(entry, changed, before, actor.run),
            *self._used_again(changed),
            signed_entries.unsigned(entry, changed, before, self.project(), self.head_at) if entry.seq > 1 else "",
        ):
            if trouble:
                self._count(entry, trouble)

    def _known(self, entry: entities.AuditEntry, table: str, key: str) -> Any:
        """Return a row before an entry, of the project or of its play."""
        found = self._of_project if table in _PROJECT_TABLES else self._play(entry).rows
        return found.get(table, {}).get(key)

    def _count(self, entry: entities.AuditEntry, why: str) -> None:
        self.troubles.append(f"{_entry(entry)} does not count: {why.rstrip('.')}.")

    def _actor(self, entry: entities.AuditEntry, changed: Changed) -> tuple[Actor, str]:
        """Return who appended an entry, and why the proof does not prove them."""
        person = entry.person_id
        proof = _PROOF.fullmatch(entry.proof)
        if proof is None:
            return Actor(person, entry.proof), f"“{entry.proof}” proves no person"
        if proof["run"]:
            run = self._play(entry).rows.get("run", {}).get(f"[{proof['run']}]")
            reports = (*_ENDS, *WORKERS.get(run.kind, ())) if run is not None else ()
            may = run is not None and run.started_by == person and entry.action in reports
            return Actor(person, entry.proof, run=int(proof["run"])), (
                "" if may else f"run {proof['run']} is not {person}'s to report so"
            )
        if entry.action in WORKERS_ONLY:
            return Actor(person, entry.proof), "only the worker of a run reports so"
        if proof["uid"]:
            found = self._of_project.get("account", {}).get(f"[{proof['uid']}]")
            own = changed.get("account", {}) if entry.action is Action.OPEN_PROJECT else {}
            owner = found.person_id if found is not None else (own.get(f"[{proof['uid']}]") or {}).get("person_id")
            trouble = "" if owner == person else f"account uid {proof['uid']} is not {person}'s"
            return Actor(person, entry.proof, Assurance.ACCOUNT), trouble
        key = self._of_project.get("ssh_key", {}).get(f'["{proof["key"]}"]')
        held = key is not None and key.person_id == person and key.revoked_at is None
        strength = Assurance.SESSION if entry.proof.startswith("session") else Assurance.SIGNED
        actor = Actor(person, entry.proof, strength, host=proof["host"])
        return actor, "" if held else f"key {proof['key']} is not {person}'s"

    def _reasons(self, entry: entities.AuditEntry, actor: Actor, changed: Changed) -> Iterator[Objection]:
        """Ask the rules as they were asked, and keep what is about authority."""
        dossier: ProjectDossier | PlayDossier
        counted = AUTHORITY
        if entry.play_id is None or entry.action is Action.OPEN_PLAY:
            dossier = self.project()
        else:
            found = self.dossier(entry.play_id)
            if found is None:
                yield Objection("play.none", f"play {entry.play_id} is not open")
                return
            if entry.action is Action.SHIP:
                found = self.judge(found)
                counted = (*AUTHORITY, *(AT_A_SHIP if found.record is not None else ()))
            dossier = found
        request = _request(entry, changed)
        if actor.assurance is Assurance.SESSION and _is_signed(changed):  # what was handed in is signed by its key
            actor = replace(actor, assurance=Assurance.SIGNED)
        try:
            reasons = objections(entry.action, dossier, actor, request)
        except Exception as error:  # a row that no rule expects: only another program can have written it
            yield Objection("audit.tables", f"the rules cannot judge it ({error!r})")
            return
        yield from (reason for reason in reasons if reason.rule.startswith(counted))

    # --- what ----------------------------------------------------------------------------------------------------

    def _scope(self, entry: entities.AuditEntry, changed: Changed) -> Iterator[str]:
        """An action writes only the tables that are its own, and only rows of its play."""
        for name in may_write.strangers(_taken_back(entry) or entry.action, changed, _names_signed(entry)):
            yield f"{entry.action.value} writes no {name.replace('_', ' ')}"
        for name, found in changed.items():
            for row in found.values():
                if isinstance(row, dict) and "play_id" in row and row["play_id"] != entry.play_id:
                    yield f"it writes a {name.replace('_', ' ')} of another play"
                elif isinstance(row, dict) and name == "play" and row["id"] != entry.play_id:
                    yield "it writes another play"
        if entry.action is not Action.LOCK_GATE and any(
            row and row["locked_at"] for row in changed.get("gate", {}).values()
        ):
            yield f"{entry.action.value} locks no gate"
        for name in may_write.COLUMNS:
            for key, row in changed.get(name, {}).items():
                before = self._known(entry, name, key)
                moved = [each for each in row or {} if before is not None and row[each] != getattr(before, each)]
                for column in may_write.others(_taken_back(entry) or entry.action, name, moved):
                    yield f"{entry.action.value} does not change the {name}'s {column.replace('_', ' ')}"

    def _moves(self, entry: entities.AuditEntry, changed: Changed) -> Iterator[str]:
        """A play moves as the state machine says, and a new round begins only with an action that begins one."""
        for key, row in changed.get("play", {}).items():
            before = self._play(entry).rows.get("play", {}).get(key)
            if row is None:
                yield "a play is never deleted"
                continue
            if before is None:
                if (row["stage"], row["round"]) != (Stage.QUALIFY.value, 1):
                    yield "a play begins at qualify"
                continue
            after = NEXT_STAGE.get((before.stage, entry.action))
            if after is None or row["stage"] != after.value:
                yield f"{entry.action.value} does not lead from {before.stage.value} to {row['stage']}"
            if row["round"] != before.round + (entry.action in ROUNDS):
                yield f"{entry.action.value} does not lead from round {before.round} to {row['round']}"

    def _used_again(self, changed: Changed) -> Iterator[str]:
        """A statement decides once: one that is written again would bring back what was decided against it since."""
        for table, column in (("sign_off", "statement"), ("statement", "content")):
            for row in map(deciding.as_stored, filter(None, changed.get(table, {}).values())):
                digest = digest_of(bytes(row[column]))
                if digest in self._used:
                    yield "its statement was used before"
                self._used.add(digest)

    # --- the dossiers --------------------------------------------------------------------------------------------

    def _play(self, entry: entities.AuditEntry) -> _Play:
        return self._plays.setdefault(entry.play_id or 0, _Play())

    def _apply(self, entry: entities.AuditEntry, changed: Changed) -> None:
        play = self._play(entry) if entry.play_id is not None else None
        if play is None:
            self._roster.take(entry)
        if entry.action is Action.ENROL_PERSON:
            self._enrolled = self._enrolled or entry.seq
        if entry.action is Action.ACCEPT_RESTORED:
            self._accepting.append(entry)
            self._forget_dossiers()
        if play is not None:
            play.logged.take(entry)
            play.dossier = None if changed or entry.action in audit_log.MODES else play.dossier
        for name, found in changed.items():
            mine = name in _PROJECT_TABLES or entry.play_id is None or play is None
            into = self._of_project if mine else play.rows  # type: ignore[union-attr]
            for key, row in found.items():
                if row is None:
                    into.setdefault(name, {}).pop(key, None)
                elif isinstance(row, dict):
                    into.setdefault(name, {})[key] = rows.entity_of(deciding.ALL[name].entity, deciding.as_stored(row))
            if mine:
                self._forget_dossiers()

    def _forget_dossiers(self) -> None:
        self._project = None
        for each in self._plays.values():
            each.dossier = None

    def project(self) -> ProjectDossier:
        """Return the project as the log says."""
        if self._project is None:
            known = self._of_project
            (row,) = known.get("project", {}).values() or (None,)
            if row is None:
                raise ValueError("the log names no project")
            self._project = ProjectDossier(
                uid=row.uid,
                name=row.name,
                keeper=row.keeper,
                minimum_assurance=row.minimum_assurance,
                forbids=frozenset(read_list(row.forbids)),
                currency=row.currency,
                people={person.id: person for person in known.get("person", {}).values()},
                accounts=tuple(known.get("account", {}).values()),
                keys=tuple(known.get("ssh_key", {}).values()),
                lineage=lineage.accepted(self._accepting, row.keeper, self._enrolled),
            )
        return self._project

    def dossier(self, play_id: int) -> PlayDossier | None:
        """Return a play as the log says, without verdicts; None where it was not opened."""
        play = self._plays.get(play_id)
        if play is None or not play.rows.get("play"):
            return None
        if play.dossier is None:
            play.dossier = self._made(play)
        return play.dossier

    def _made(self, play: _Play) -> PlayDossier:
        def of(name: str) -> list[Any]:
            return list(play.rows.get(name, {}).values())

        project, logged = replace(self.project(), audit_size=self.size, audit_head=self.head), play.logged
        logged.revoked = self._roster.revoked
        gate_row = next(iter(of("gate")), None)
        gate, gate_trouble = read_gate(gate_row)
        signed = of("sign_off")
        withdrawn = {row.sign_off_id for row in of("withdrawal")}
        return PlayDossier(
            project=project,
            play=of("play")[0],
            roles={row.role: row.person_id for row in of("role_holder")},
            builders=audit_log.builders(of("builder"), logged),
            serving=logged.serving,
            after_ship=tuple(logged.after_ship),
            late_roles=tuple(logged.late_roles),
            enrolled_by={person: tuple(by) for person, by in self._roster.enrolled_by.items()},
            gate=gate,
            gate_row=gate_row,
            gate_trouble=gate_trouble,
            data_sets=tuple(of("data_set")),
            runs=tuple(of("run")),
            evaluations=tuple(of("evaluation")),
            spot_checks=tuple(of("spot_check")),
            sign_offs=tuple(
                audit_log.sign_off_facts(row, project.keys, self.head_at, row.id in withdrawn, logged)
                for row in signed
            ),
            statements=tuple(
                audit_log.statement_facts(row, project.keys, self.head_at, logged) for row in of("statement")
            ),
            bundles=tuple(of("bundle")),
            feeds=tuple(of("feed")),
            watches=tuple(of("watch")),
            remedies=tuple(of("remedy")),
            opened=tuple(of("opened_row")),
        )  # fmt: skip


_PROJECT_TABLES = {table.name for table in deciding.OF_PROJECT} - {"statement"}


def _names_signed(entry: entities.AuditEntry) -> bool:
    return bool(audit_log.read_object(audit_log.read_object(entry.detail).get("signed")))


def _taken_back(entry: entities.AuditEntry) -> Action | None:
    """Return the change of a draft that an entry undoes or redoes. Raises ValueError where it names none."""
    if entry.action not in (Action.UNDO, Action.REDO):
        return None
    named = audit_log.read_object(entry.detail)["action"]
    for action in DRAFTS:
        if action.value == named:
            return action
    raise ValueError(f"{named} cannot be undone")


def _entry(entry: entities.AuditEntry) -> str:
    return f"Entry {entry.seq} of the audit log ({entry.action.value} by {entry.person_id})"


def _is_signed(changed: Changed) -> bool:
    """Whether an entry brought a signature; whether it is good is asked where it counts."""
    rows = (row for table in ("sign_off", "statement") for row in changed.get(table, {}).values())
    return any(isinstance(row, dict) and row.get("signature") for row in rows)


def _request(entry: entities.AuditEntry, changed: Changed) -> requests.Request | None:
    """Return what an entry asked for, as far as the rules about authority depend on it."""
    detail = audit_log.read_object(entry.detail)
    if entry.action is Action.ASSIGN_ROLE:
        return requests.AssignRole(Role(detail["role"]), detail["after"])
    if entry.action in (Action.ENROL_PERSON, Action.ADD_ACCOUNT, Action.ADD_KEY):
        return requests.Enrol(detail["person"], detail.get("uid"), detail.get("fingerprint"))
    if entry.action is Action.REVOKE_KEY:
        return requests.RevokeKey(detail["fingerprint"])
    if entry.action is Action.OBJECT:
        return requests.Object(str(detail.get("reason")), detail.get("lift") is True, Assurance.HARDWARE)
    if entry.action is Action.SERVE_MODE:
        was = serving_mode.from_entry(entry)
        how = was.audit_share, was.on_fault, was.reason, was.on_objection
        return requests.ServeMode(was.mode, was.percent, was.content, *how)
    if entry.action is Action.ROLL_BACK:
        return requests.RollBack(int(detail["bundle"][1]), str(detail.get("reason")))
    if entry.action in (Action.UNDO, Action.REDO):
        return requests.Undo(_taken_back(entry))
    settings = changed.get("project", {}).get("[1]")  # as written, whatever the detail claims
    if entry.action is Action.SET_ASSURANCE:
        return requests.SetAssurance(Assurance(settings["minimum_assurance"] if settings else detail["assurance"][1]))
    if entry.action is Action.SET_SEPARATION:
        return requests.SetSeparation(read_list(settings["forbids"]) if settings else detail["forbids"])
    if entry.action is Action.SET_ALARMS:
        return requests.SetAlarms(tuple(map(str, detail["on_alarm"][1])), str(detail["webhook"][1]))
    return None


def replayed(entries: Iterable[entities.AuditEntry], judge: Judge = lambda dossier: dossier) -> Replay:
    """Replay a log, oldest entry first."""
    replay = Replay(judge=judge)
    for entry in entries:
        replay.take(entry)
    return replay
