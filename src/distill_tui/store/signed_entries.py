"""Whether a decision in the log is signed by its actor, where its project or gate asks for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from distill_tui.digests import digest_of
from distill_tui.people import signatures, statements
from distill_tui.people.keys import BadSignature
from distill_tui.rules import who
from distill_tui.rules.dossier import ProjectDossier
from distill_tui.rules.entities import AuditEntry
from distill_tui.rules.who import SIGNED_DECISIONS
from distill_tui.store import audit_log, deciding
from distill_tui.store.rows_as_said import Before, Changed
from distill_tui.terms import Action, Assurance, StatementKind

OF_THE_GATE = (Action.SIGN_OFF, Action.REFUSE, Action.SHIP, Action.OBJECT)  # signed where the gate asks for it, too
Heads = Callable[[object], str | None]  # the digest of the entry of this number


def unsigned(entry: AuditEntry, changed: Changed, before: Before, project: ProjectDossier, heads: Heads) -> str:
    """Return why a decision lacks the signature that it needs; empty where it needs none, or has it."""
    if entry.seq == 1 or entry.action not in SIGNED_DECISIONS:
        return ""
    least = _least(entry, before, project)
    if least.strength < Assurance.SIGNED.strength:
        return ""
    kind = SIGNED_DECISIONS[entry.action]
    found = changed.get("sign_off" if kind is None else "statement", {}).values()
    given = [deciding.as_stored(row) for row in found if row and (kind is None or row["kind"] == kind.value)]
    if given and all(_holds(entry, row, before, project, heads, least) for row in given):
        return ""
    return f"the project or its gate asks for signatures, and {entry.person_id} did not sign it over this log"


def _least(entry: AuditEntry, before: Before, project: ProjectDossier) -> Assurance:
    """Return the weakest proof of a decision that counts: the project's, the gate's, that of what is withdrawn."""
    if entry.action in OF_THE_GATE and before.dossier is not None:
        return who.least_proof(before.dossier)
    if entry.action is Action.WITHDRAW:
        row = before.known("sign_off", f"[{audit_log.read_object(entry.detail).get('sign_off')}]")
        given = row.assurance if row is not None else Assurance.SIGNED
        return min(given, Assurance.SIGNED, key=lambda each: each.strength)
    return project.minimum_assurance


def _holds(
    entry: AuditEntry,
    row: Mapping[str, Any],
    before: Before,
    project: ProjectDossier,
    heads: Heads,
    least: Assurance,
) -> bool:
    """Whether a statement is signed by its signer's own key, is about this entry, and covers a head before it."""
    kind = SIGNED_DECISIONS[entry.action]
    content = bytes(row["statement" if kind is None else "content"])
    space = signatures.SIGN_OFF if kind is None else statements.NAMESPACES[kind]
    try:
        value = statements.read_sign_off(content) if kind is None else statements.read(content, kind)
        verified = audit_log.verified(content, row["signature"] or "", space)
    except BadSignature:
        return False
    key = next((each for each in project.keys if each.fingerprint == verified.fingerprint), None)
    predicate = value["predicate"]
    audit, where = predicate["audit"], predicate["covers"] if kind is None else predicate
    return (
        key is not None
        and key.person_id == entry.person_id == row["person_id"] == predicate.get("signer")
        and key.revoked_at is None
        and heads(audit.get("size")) == audit.get("head")
        and audit["size"] < entry.seq
        and audit_log.strength(verified).strength >= least.strength
        and (where.get("project"), where.get("play")) == (project.uid, entry.play_id)
        and _about(entry, value, before)
    )


def _about(entry: AuditEntry, value: Mapping[str, Any], before: Before) -> bool:
    """Whether a statement is about what its entry decides."""
    detail, predicate = audit_log.read_object(entry.detail), value["predicate"]
    kind, named = SIGNED_DECISIONS[entry.action], {}
    if kind is None:
        return bool(predicate.get("opinion") == detail.get("opinion"))
    if kind is StatementKind.DECISION:
        return bool(predicate.get("decides") == audit_log.decided(entry.action, detail))
    if kind is StatementKind.GATE:
        named = {"gate": str(detail.get("gate"))}
    elif kind in (StatementKind.WITHDRAWAL, StatementKind.SHIP):
        signed = before.known("sign_off", f"[{detail.get('sign_off')}]")
        named = {"sign_off": digest_of(bytes(signed.statement)) if signed is not None else ""}
    elif kind is StatementKind.OBJECTION:
        live = before.known("bundle", f"[{detail.get('bundle')}]")
        named = {"bundle": live.digest if live is not None else ""}
        if (predicate.get("reason"), predicate.get("lift")) != (detail.get("reason"), detail.get("lift")):
            return False
    about = {each["name"]: each["digest"]["sha256"] for each in value["subject"]}
    return all(about.get(name) == digest.removeprefix("sha256:") for name, digest in named.items())
