"""The audit log: its hash chain, and whether rows that decide came in through the door and are proved by signatures.

It reports facts; what follows from them is for `rules` to decide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from distill_tui.digests import canonical, digest_of
from distill_tui.people import signatures, statements
from distill_tui.people.keys import BadSignature, Verified
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, SignOffFacts, StatementFacts
from distill_tui.rules.gate import LOCK_FACTS
from distill_tui.store import migrations
from distill_tui.store.records import read_gate
from distill_tui.store.rows import first, insert, select
from distill_tui.terms import Action, Assurance, Role

DECIDES = (  # the actions whose entries are read; entries that name a signed statement are read too
    *(Action.SIGN_OFF, Action.REFUSE, Action.WITHDRAW, Action.SPOT_CHECK),
    *(Action.LOCK_GATE, Action.FREEZE_DATA, Action.ASSIGN_ROLE),
    *(action for action in Action if action.builds),
)
Head = Callable[[object], str | None]  # the digest of the entry of this number, where the log has one


class Logged:
    """What was done in one play, by the log: rows that did not come in through the door do not count.

    The log is the record; the tables are convenient to read. A person who writes a row with another program would have
    to forge the log as well, and then the log no longer holds the heads that were signed or remembered.
    """

    def __init__(self) -> None:
        self.sign_offs: dict[object, tuple[object, object]] = {}
        self.withdrawals: dict[object, object] = {}
        self.spot_checks: dict[object, tuple[object, object]] = {}
        self.statements: dict[object, tuple[object, object]] = {}
        self.builders: dict[str, list[str]] = {}
        self.roles: dict[str, str] = {}
        self.gate: object = None
        self.frozen: set[object] = set()
        self.places: dict[str, int] = {}  # of statements, by digest: the number of the entry that names them
        self.revoked: dict[str, int] = {}  # keys, by fingerprint: the number of the entry that revoked one

    def after(self, entries: Iterable[entities.AuditEntry]) -> Logged:
        """Return what the log says with these entries added; this object does not change."""
        grown = deepcopy(self)
        for entry in entries:
            grown._take(entry, _object(entry.detail))
        return grown

    def _take(self, entry: entities.AuditEntry, detail: Mapping[str, Any]) -> None:
        if entry.action is Action.REVOKE_KEY:
            self.revoked[str(detail.get("fingerprint"))] = entry.seq
        elif entry.action in (Action.SIGN_OFF, Action.REFUSE):
            self.sign_offs[detail.get("sign_off")] = (entry.person_id, detail.get("statement"))
            self.places[str(detail.get("statement"))] = entry.seq
        elif entry.action is Action.WITHDRAW:
            self.withdrawals[detail.get("sign_off")] = entry.person_id
        elif entry.action is Action.SPOT_CHECK:
            self.spot_checks[detail.get("spot_check")] = (entry.person_id, detail.get("digest"))
        for number, digest in _object(detail.get("signed")).items():
            self.statements[number] = (entry.person_id, digest)
            self.places[str(digest)] = entry.seq
        if entry.action is Action.LOCK_GATE:
            self.gate = detail.get("gate")
        elif entry.action is Action.FREEZE_DATA:
            self.frozen.add(detail.get("data"))
        if entry.action.builds and entry.person_id:
            self._built(entry.person_id, entry.action.value)
        elif entry.action is Action.ASSIGN_ROLE:
            self.roles[str(detail.get("role"))] = str(detail.get("after"))
            if detail.get("role") == Role.DRIVER.value:
                self._built(str(detail.get("after")), "drive")

    def _built(self, person: str, act: str) -> None:
        acts = self.builders.setdefault(person, [])
        if act not in acts:
            acts.append(act)

    def place(self, content: bytes) -> int:
        """Return the number of the entry that names these bytes; a very large one if none does."""
        return self.places.get(digest_of(content), 1 << 62)

    def disagreements(self, dossier: PlayDossier) -> Iterator[str]:
        """Yield a sentence for each table of a play that differs from the log."""
        code = dossier.code
        roles = {role.value: person for role, person in dossier.roles.items()}
        if roles != self.roles:
            yield f"The roles of {code} differ from the audit log; restore the file from a backup."
        locked = dossier.gate_row.digest if dossier.gate_row else None
        if locked != self.gate:
            yield f"The gate of {code} differs from the locked gate in the audit log; restore the file from a backup."
        for data in dossier.data_sets:
            if data.frozen_at is not None and data.digest not in self.frozen:
                yield f"A frozen data set of {code} differs from the audit log; restore the file from a backup."

    def has_spot_check(self, row: entities.SpotCheck) -> bool:
        """Whether this check was recorded through the door, as it is."""
        return self.spot_checks.get(row.id) == (row.person_id, digest_of(row.content.encode()))

    def has_sign_off(self, row: entities.SignOff) -> bool:
        """Whether this sign-off was recorded through the door, as it is."""
        return self.sign_offs.get(row.id) == (row.person_id, digest_of(bytes(row.statement)))

    def has_statement(self, row: entities.Statement) -> bool:
        """Whether this statement was recorded through the door, as it is."""
        return self.statements.get(str(row.id)) == (row.person_id, digest_of(bytes(row.content)))


class LogRead(NamedTuple):
    """What the log said up to an entry. The log only grows, so only later entries have to be read."""

    logged: Logged
    size: int
    head: str


def _object(value: object) -> Mapping[str, Any]:
    """Return a JSON object, given as text or parsed; an empty one for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def frozen_row(data: entities.DataSet) -> str:
    """Digest what a freeze fixes of a data set apart from its rows: round, artifact, labels, counts."""
    return digest_of(canonical([data.round, data.artifact, data.labels, data.counts, data.built_at]))


@lru_cache(maxsize=256)
def _verified(content: bytes, signature: str, namespace: str) -> Verified:
    """Verify a signature once in this process: the same bytes verify the same way. Raises BadSignature."""
    return signatures.verify(content, signature, namespace)


def statement_facts(
    row: entities.Statement, keys: tuple[entities.SshKey, ...], head: Head, logged: Logged
) -> StatementFacts:
    """Read a signed statement that is not a sign-off, and check whether it can be trusted."""
    who, statement = f"The {row.kind} statement by {row.person_id}", {}
    try:
        content = bytes(row.content)
        statement = statements.read(content, row.kind)
        predicate = statement["predicate"]
        verified = _verified(content, row.signature, statements.NAMESPACES[row.kind])
        trouble = _key_trouble(who, row.person_id, logged.place(content), verified, keys, logged)
        if predicate.get("signer") != row.person_id or not logged.has_statement(row):
            trouble = f"{who} differs from the audit log."
        elif head(predicate["audit"].get("size")) != predicate["audit"].get("head"):
            trouble = f"{who} names a head of the audit log that is not in it."
    except (BadSignature, TypeError, KeyError) as error:
        return StatementFacts(row, statement, f"{who} cannot be trusted: {error}")
    return StatementFacts(row, statement, trouble, _strength(verified))


def _strength(verified: Verified) -> Assurance:
    return Assurance.HARDWARE if verified.hardware and verified.present else Assurance.SIGNED


def _key_trouble(
    who: str, person: str, place: int, verified: Verified, keys: tuple[entities.SshKey, ...], logged: Logged
) -> str:
    """Check whose key it is, and whether it was revoked before: by the order of the log, not by a clock."""
    key = next((k for k in keys if k.fingerprint == verified.fingerprint), None)
    if key is None or key.person_id != person:
        return f"{who} is signed by a key that is not theirs ({verified.fingerprint})."
    revoked = logged.revoked.get(key.fingerprint, 0 if key.revoked_at is not None else None)
    if revoked is not None and revoked < place:
        return f"{who} is signed by a key that was revoked before."
    return ""


def sign_off_facts(
    row: entities.SignOff, keys: tuple[entities.SshKey, ...], head: Head, withdrawn: bool, logged: Logged
) -> SignOffFacts:
    """Read a sign-off and check whether its bytes can be trusted; anything unexpected counts as trouble."""
    statement: dict[str, Any] = {}
    try:
        statement = statements.read_sign_off(bytes(row.statement))
        trouble = _statement_trouble(row, statement, keys, head, logged)
        if not logged.has_sign_off(row):
            trouble = f"The sign-off by {row.person_id} differs from the audit log, so it does not count."
    except (BadSignature, TypeError) as error:
        trouble = f"The sign-off by {row.person_id} cannot be trusted: {error}"
    return SignOffFacts(row, statement, trouble, withdrawn and logged.withdrawals.get(row.id) == row.person_id)


def _statement_trouble(
    row: entities.SignOff,
    statement: Mapping[str, Any],
    keys: tuple[entities.SshKey, ...],
    head: Head,
    logged: Logged,
) -> str:
    predicate = statement["predicate"]
    who = f"The sign-off by {row.person_id}"
    if (predicate.get("signer"), predicate.get("opinion")) != (row.person_id, row.opinion.value):
        return f"{who} differs from its row."
    audit = predicate["audit"]
    if head(audit.get("size")) != audit.get("head"):
        return f"{who} names a head of the audit log that is not in it: the log was rewritten, or this is a copy."
    if row.signature is None:
        unsigned = row.assurance in (Assurance.ACCOUNT, Assurance.SESSION)
        return "" if unsigned else f"{who} claims a signature and has none."
    verified = _verified(bytes(row.statement), row.signature, signatures.SIGN_OFF)
    trouble = _key_trouble(who, row.person_id, logged.place(bytes(row.statement)), verified, keys, logged)
    if trouble:
        return trouble
    stronger = row.assurance.strength > _strength(verified).strength
    return f"{who} claims a stronger proof than it has." if stronger else ""


# --- the chain ---


def head(connection: Any, size: object) -> str | None:
    """Return the digest of the entry of this number, where the log has one."""
    if not isinstance(size, int) or size < 1:
        return None
    row = connection.execute("SELECT digest FROM audit WHERE seq = ?", (size,)).fetchone()
    return str(row[0]) if row else None


def append(
    connection: Any, at: str, actor: Actor, action: Action, play_id: int | None, detail: Mapping[str, Any]
) -> entities.AuditEntry:
    """Write the next entry of the log."""
    last = first(connection, entities.AuditEntry, "ORDER BY seq DESC")
    entry = entities.AuditEntry(
        seq=last.seq + 1 if last else 1,
        at=at,
        person_id=actor.person,
        proof=actor.proof,
        action=action,
        play_id=play_id,
        detail=canonical(detail).decode(),
        previous=last.digest if last else "",
        digest="",
    )
    entry = replace(entry, digest=entry_digest(entry))
    insert(connection, entry)
    return entry


def entry_digest(entry: entities.AuditEntry) -> str:
    """Compute the digest of an entry: over its fields and the digest of the one before."""
    return digest_of(canonical(entry_fields(entry)))


def entry_fields(entry: entities.AuditEntry) -> list[Any]:
    """Return what the digest of an entry covers, in order."""
    return [
        entry.seq,
        entry.at,
        entry.person_id or "",
        entry.proof,
        entry.action.value,
        entry.play_id or 0,
        entry.detail,
        entry.previous,
    ]


def chain_trouble(connection: Any) -> str:
    """Return the sentence for the entry at which the audit log breaks; empty where the chain is whole.

    A guard that is missing from the file counts as a break, and so does a locked gate or a frozen data set that differs
    from its log entry.
    """
    previous, expected = "", 1
    fixed: set[tuple[object, ...]] = set()
    for entry in select(connection, entities.AuditEntry, "ORDER BY seq"):
        if entry.seq != expected:
            return f"The audit log breaks at entry {expected}: it is missing."
        if entry.previous != previous or entry.digest != entry_digest(entry):
            return f"The audit log breaks at entry {entry.seq} ({entry.action.value}): it was altered."
        previous, expected = entry.digest, expected + 1
        if entry.action in (Action.LOCK_GATE, Action.FREEZE_DATA):
            fixed.add(_fixed(entry))
    return _guard_trouble(connection) or next(_not_as_logged(connection, fixed), "")


def _guard_trouble(connection: Any) -> str:
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    found = {str(name): str(sql) for name, sql in rows if not str(name).startswith("sqlite_")}
    wanted = expected_schema()
    for name in sorted(wanted.keys() | found.keys()):
        if found.get(name) != wanted.get(name):
            how = "removed or changed" if name in wanted else "added"
            return f"The guard “{name}” of the project file was {how}; restore the file from a backup."
    return ""


def _fixed(entry: entities.AuditEntry) -> tuple[object, ...]:
    """Return all that the entry of a lock or a freeze says of the row that it fixed."""
    detail = json.loads(entry.detail)
    if entry.action is Action.FREEZE_DATA:
        return entry.play_id, detail.get("data"), entry.at, detail.get("row")
    facts = {name: detail[name] for name in LOCK_FACTS if name in detail}
    return entry.play_id, detail.get("gate"), entry.at, entry.person_id, canonical(facts).decode()


def _not_as_logged(connection: Any, fixed: set[tuple[object, ...]]) -> Iterator[str]:
    """Yield a sentence for each locked gate and frozen data set that differs from its log entry."""
    restore = "is not the one in the audit log; restore the file from a backup."
    for row in select(connection, entities.GateRow, "WHERE locked_at IS NOT NULL"):
        gate, trouble = read_gate(row)
        lock = (row.play_id, row.digest, row.locked_at, row.locked_by, row.facts)
        if gate is None or trouble or lock not in fixed:
            yield f"The locked gate of play {row.play_id} {restore}"
    for data in select(connection, entities.DataSet, "WHERE frozen_at IS NOT NULL"):
        freeze = (data.play_id, data.digest, data.frozen_at)
        if fixed.isdisjoint({(*freeze, frozen_row(data)), (*freeze, None)}):  # None: an older entry
            yield f"The frozen data set of play {data.play_id}, round {data.round}, {restore}"


@lru_cache(maxsize=1)
def expected_schema() -> dict[str, str]:
    return migrations.expected_schema()
