"""The audit log: its hash chain, and whether rows that decide came in through the door and are proved by signatures.

It reports facts; what follows from them is for `rules` to decide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from distill_tui.digests import canonical, chained, digest_of
from distill_tui.people import signatures, statements
from distill_tui.people.keys import BadSignature, Verified
from distill_tui.rules import entities, serving_mode
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import AfterShip, SignOffFacts, StatementFacts
from distill_tui.store import deciding, fold, migrations, sqlite
from distill_tui.store.rows import first, insert, select
from distill_tui.store.sqlite import Connection
from distill_tui.terms import Action, Assurance, Role

ENROLS = (Action.ENROL_PERSON, Action.ADD_ACCOUNT, Action.ADD_KEY)
MODES = (Action.SERVE_MODE, Action.FALL_BACK)  # of a gateway: the log alone has its mode
DECIDES = (  # the actions whose entries are read; entries that name a signed statement are read too
    *(Action.SIGN_OFF, Action.REFUSE, Action.WITHDRAW, Action.SPOT_CHECK),
    Action.ASSIGN_ROLE,
    *MODES,
    Action.OBJECT,
    Action.LOCK_GATE,
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
        self.driver = ""  # now
        self.built_under: set[str] = set()  # drivers while anything was built
        self.taken_back: set[str] = set()  # who were driver, and under whom nothing was built
        self.after_ship: list[AfterShip] = []
        self.locked = False
        self.late_roles: list[tuple[str, str, str]] = []
        self.enrolled_by: dict[str, list[str]] = {}
        self.serving: serving_mode.Serving | None = None  # the mode that was set last
        self.places: dict[str, int] = {}  # of statements, by digest: the number of the entry that names them
        self.revoked: dict[str, int] = {}  # keys, by fingerprint: the number of the entry that revoked one

    def after(self, entries: Iterable[entities.AuditEntry]) -> Logged:
        """Return what the log says with these entries added; this object does not change."""
        grown = deepcopy(self)
        for entry in entries:
            grown.take(entry)
        return grown

    def take(self, entry: entities.AuditEntry) -> None:
        """Add an entry."""
        detail = read_object(entry.detail)
        if entry.action is Action.LOCK_GATE:
            self.locked = True
        elif entry.action in ENROLS:
            self._enrolled(str(detail.get("person")), entry.person_id)
        elif entry.action is Action.OBJECT:
            self.after_ship.append(_after_ship(entry, detail))
        elif entry.action in MODES:
            self.serving = serving_mode.from_entry(entry)
        elif entry.action is Action.REVOKE_KEY:
            self.revoked[str(detail.get("fingerprint"))] = entry.seq
        elif entry.action in (Action.SIGN_OFF, Action.REFUSE):
            if str(detail.get("statement")) not in self.places:  # a statement decides once
                self.sign_offs[detail.get("sign_off")] = (entry.person_id, detail.get("statement"))
                self.places[str(detail.get("statement"))] = entry.seq
        elif entry.action is Action.WITHDRAW:
            self.withdrawals[detail.get("sign_off")] = entry.person_id
        elif entry.action is Action.SPOT_CHECK:
            self.spot_checks[detail.get("spot_check")] = (entry.person_id, detail.get("digest"))
        for number, digest in read_object(detail.get("signed")).items():
            if str(digest) not in self.places:
                self.statements[number] = (entry.person_id, digest)
                self.places[str(digest)] = entry.seq
        if entry.action is Action.ASSIGN_ROLE and self.locked:
            self.late_roles.append(tuple(str(detail.get(name)) for name in ("role", "before", "after")))  # type: ignore[arg-type]
        if entry.action.builds and entry.person_id:
            self._built(entry.person_id, entry.action.value)
            self.built_under.add(self.driver)
        elif entry.action is Action.ASSIGN_ROLE and detail.get("role") == Role.DRIVER.value:
            self._drives(str(detail.get("after")))

    def _enrolled(self, person: str, by: str | None) -> None:
        if by is not None and by not in self.enrolled_by.setdefault(person, []):
            self.enrolled_by[person].append(by)

    def _drives(self, person: str) -> None:
        """Note the new driver; one under whom nothing was built was assigned by mistake and leaves no builder."""
        if self.driver and person != self.driver and self.driver not in self.built_under:
            self.taken_back.add(self.driver)
        self.driver = person
        self.taken_back.discard(person)
        self._built(person, "drive")

    def _built(self, person: str, act: str) -> None:
        acts = self.builders.setdefault(person, [])
        if act not in acts:
            acts.append(act)

    def place(self, content: bytes) -> int:
        """Return the number of the entry that names these bytes; a very large one if none does."""
        return self.places.get(digest_of(content), 1 << 62)

    def revocation(self, fingerprint: str, content: bytes) -> str:
        """Return whether the key that signed these bytes was revoked, by the order of the log; empty if it was not."""
        return revocation(self.revoked.get(fingerprint), self.place(content))

    def has_spot_check(self, row: entities.SpotCheck) -> bool:
        """Whether this check was recorded through the door, as it is."""
        return self.spot_checks.get(row.id) == (row.person_id, digest_of(row.content.encode()))

    def has_sign_off(self, row: entities.SignOff) -> bool:
        """Whether this sign-off was recorded through the door, as it is."""
        return self.sign_offs.get(row.id) == (row.person_id, digest_of(bytes(row.statement)))

    def has_statement(self, row: entities.Statement) -> bool:
        """Whether this statement was recorded through the door, as it is."""
        return self.statements.get(str(row.id)) == (row.person_id, digest_of(bytes(row.content)))


def revocation(revoked: int | None, place: int) -> str:
    """Return whether a key was revoked before or after an entry that it signed; empty if it was not."""
    if revoked is None:
        return ""
    return f"key revoked {'before' if revoked < place else 'after'} it, at entry {revoked}"


class LogRead(NamedTuple):
    """What the log said up to an entry. The log only grows, so only later entries have to be read."""

    logged: Logged
    size: int
    head: str


def _after_ship(entry: entities.AuditEntry, detail: Mapping[str, object]) -> AfterShip:
    """Read an objection; what another program wrote is read as one that stands."""
    bundle = detail.get("bundle")
    number = bundle if isinstance(bundle, int) else 0
    lift = detail.get("lift") is True
    return AfterShip(entry.person_id or "", str(detail.get("reason")), entry.at, number, lift, entry.seq)


def read_object(value: object) -> Mapping[str, Any]:
    """Return a JSON object, given as text or parsed; an empty one for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


@lru_cache(maxsize=256)
def verified(content: bytes, signature: str, namespace: str) -> Verified:
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
        found = verified(content, row.signature, statements.NAMESPACES[row.kind])
        trouble = _key_trouble(who, row.person_id, logged.place(content), found, keys, logged)
        if predicate.get("signer") != row.person_id or not logged.has_statement(row):
            trouble = f"{who} differs from the audit log."
        elif head(predicate["audit"].get("size")) != predicate["audit"].get("head"):
            trouble = f"{who} names a head of the audit log that is not in it."
    except (BadSignature, TypeError, KeyError) as error:
        return StatementFacts(row, statement, f"{who} cannot be trusted: {error}")
    revoked = logged.revocation(found.fingerprint, bytes(row.content))
    return StatementFacts(row, statement, trouble, strength(found), revoked)


def strength(verified: Verified) -> Assurance:
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
    statement: dict[str, object] = {}
    try:
        statement = statements.read_sign_off(bytes(row.statement))
        trouble = _statement_trouble(row, statement, keys, head, logged)
        if not logged.has_sign_off(row):
            trouble = f"The sign-off by {row.person_id} differs from the audit log, so it does not count."
    except (BadSignature, TypeError) as error:
        trouble = f"The sign-off by {row.person_id} cannot be trusted: {error}"
    withdrawn = withdrawn and logged.withdrawals.get(row.id) == row.person_id
    key = _key_of(row)
    return SignOffFacts(row, statement, trouble, withdrawn, key, logged.revocation(key, bytes(row.statement)))


def _key_of(row: entities.SignOff) -> str:
    """Return the fingerprint of the key that signed; empty where none did, or the signature does not verify."""
    try:
        return verified(bytes(row.statement), row.signature or "", signatures.SIGN_OFF).fingerprint
    except BadSignature:
        return ""


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
    found = verified(bytes(row.statement), row.signature, signatures.SIGN_OFF)
    trouble = _key_trouble(who, row.person_id, logged.place(bytes(row.statement)), found, keys, logged)
    if trouble:
        return trouble
    stronger = row.assurance.strength > strength(found).strength
    return f"{who} claims a stronger proof than it has." if stronger else ""


# --- the chain ---


def head(connection: Connection, size: object) -> str | None:
    """Return the digest of the entry of this number, where the log has one."""
    if not isinstance(size, int) or size < 1:
        return None
    row = connection.execute("SELECT digest FROM audit WHERE seq = ?", (size,)).fetchone()
    return str(row[0]) if row else None


def append(
    connection: Connection, at: str, actor: Actor, action: Action, play_id: int | None, detail: Mapping[str, object]
) -> entities.AuditEntry:
    """Write the next entry of the log, with the rows that this transaction wrote (see `deciding.watch`)."""
    last = first(connection, entities.AuditEntry, "ORDER BY seq DESC")
    entry = entities.AuditEntry(
        seq=last.seq + 1 if last else 1,
        at=at,
        person_id=actor.person,
        proof=actor.proof,
        action=action,
        play_id=play_id,
        detail=canonical(detail).decode(),
        rows=deciding.written(connection),
        state=deciding.state(connection, play_id),
        previous=last.digest if last else "",
        digest="",
    )
    entry = replace(entry, digest=entry_digest(entry))
    insert(connection, entry)
    compared = sqlite.compared(connection)
    compared.clear()  # a row of another scope that was written as well has to be noticed
    compared[play_id] = sqlite.version(connection)
    return entry


def entry_digest(entry: entities.AuditEntry) -> str:
    """Compute the digest of an entry: over its number, the digest of the one before, and that of its content."""
    return chained(entry.seq, entry.previous, content_digest(entry))


def content_digest(entry: entities.AuditEntry) -> str:
    """Compute the digest of what an entry says."""
    return digest_of(canonical(entry_fields(entry)))


def entry_fields(entry: entities.AuditEntry) -> list[object]:
    """Return what the digest of an entry's content covers, in order; its rows by their digest."""
    return [
        entry.at,
        entry.person_id or "",
        entry.proof,
        entry.action.value,
        entry.play_id or 0,
        entry.detail,
        digest_of(entry.rows),
        entry.state,
    ]


def decided(action: Action, detail: Mapping[str, object]) -> str:
    """Digest what an entry decides: its action and its detail, without what was signed over it and what follows."""
    known = {name: value for name, value in detail.items() if name not in ("signed", "stage")}
    return digest_of(canonical([action.value, known]))


def tables_trouble(connection: Connection, play_id: int | None) -> str:
    """Return a sentence where the rows of the project, or of a play, are not those of its newest entry.

    Only then is the log folded, to name the row. What this connection compared is not compared again until another
    one changes the file.
    """
    compared, version = sqlite.compared(connection), sqlite.version(connection)
    if compared.get(play_id) == version:
        return ""
    query = "SELECT seq, state FROM audit WHERE play_id IS ? ORDER BY seq DESC LIMIT 1"
    last = connection.execute(query, (play_id,)).fetchone()
    if last is not None and last[1] == deciding.state(connection, play_id):
        compared[play_id] = version
        return ""
    try:
        known = fold.folded(select(connection, entities.AuditEntry, "WHERE play_id IS ? ORDER BY seq", play_id))
        found = next(fold.differences(connection, known, play_id, whole=False), None)
    except sqlite.DatabaseErrors:
        found = None
    except ValueError:
        found = None
    what = f"P-{play_id:03d}" if play_id is not None else "the project"
    sentence = f"The rows of {what} are not those of its newest entry in the audit log."
    return f"{sentence if found is None else found.sentence} {CURE}"


CURE = "Nothing is decided over it: `distill-tui audit verify` shows more, and `audit repair` puts the log's rows back."


def guard_trouble(connection: Connection) -> str:
    """Return a sentence for a table, index or trigger of the file that this release does not make; else empty."""
    found_rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    found = {str(name): str(sql) for name, sql in found_rows if not str(name).startswith("sqlite_")}
    wanted = expected_schema()
    for name in sorted(wanted.keys() | found.keys()):
        if found.get(name) != wanted.get(name):
            how = "removed or changed" if name in wanted else "added"
            return f"The guard “{name}” of the project file was {how}; `distill-tui audit repair` puts it back."
    return ""


def builders(rows: Iterable[entities.Builder], logged: Logged) -> dict[str, tuple[str, ...]]:
    """Return the union of table and log, so that deleting a row hides no builder.

    A driver whose role was taken back before anything was built, and who built nothing else, is none.
    """
    built: dict[str, tuple[str, ...]] = {}
    for row in rows:
        built[row.person_id] = (*built.get(row.person_id, ()), row.act)
    for person, acts in logged.builders.items():
        built[person] = tuple(dict.fromkeys((*built.get(person, ()), *acts)))
    return {who: acts for who, acts in built.items() if acts != ("drive",) or who not in logged.taken_back}


@lru_cache(maxsize=1)
def expected_schema() -> dict[str, str]:
    return migrations.expected_schema()
